"""Routes that carry a share and that nobody grants any more: said, and no canary goes for them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from analyzer.ports import SplitRefused
from analyzer.routers.chosen import Chosen
from analyzer.routers.kinds import RIGHTS, WATCHED
from analyzer.routers.let_in import Place
from canary.contract import SPLIT
from canary.model.strategy import Strategy
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Key
from canary.spec.steps import linear
from runtime.errors import Forbidden
from runtime.resources import DEPLOYMENTS, HTTPROUTES, INGRESSES, Resource
from tests.harness.admitted import Webhook
from tests.harness.api import ApiServer
from tests.harness.client import ANALYZER, TEAM
from tests.harness.limits import Limited, Limits
from tests.harness.stage import CANARY, NAME, PLACE, SPACE, deployment, route

WEB = Key(namespace=SPACE, name=NAME)
STRATEGY = Strategy(
    interval=timedelta(minutes=1), threshold=1, steps=linear((50,)), service_name=NAME
)
SHARE = Traffic(20)
KINDS = pytest.mark.parametrize("one", [WATCHED[kind] for kind in sorted(RIGHTS)])


@dataclass
class World:
    """A target with an HTTPRoute and a route of another kind, and a router that hears of marks."""

    one: Resource
    limits: Limits = field(default_factory=Limits)
    heard: list[Place] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = ApiServer(lambda: datetime(2026, 1, 1, tzinfo=UTC))
        self.api.admission = Webhook(lambda _: True)
        self.api.create(DEPLOYMENTS, deployment("web:1"), TEAM)
        for kind in (HTTPROUTES, self.one):
            self.api.create(kind, route(kind.kind), TEAM)
        client = Limited(self.api, ANALYZER, limits=self.limits)
        self.router = Chosen(client, marked=lambda _: self.heard)
        name = CANARY if self.one == INGRESSES else NAME
        self.place = (self.one.kind, SPACE, name)

    async def split(self) -> None:
        """Give the canary a share by both, and hear of it."""
        await self.router.write_split(WEB, STRATEGY, SHARE)
        self.heard = [(HTTPROUTES.kind, *PLACE), self.place]

    def left(self) -> dict[str, str]:
        """Return the marks that are there, by kind."""
        found = ((kind, one) for kind in (HTTPROUTES, self.one) for one in self.api.peek(kind))
        return {
            kind.kind: notes[SPLIT]
            for kind, one in found
            if SPLIT in (notes := one["metadata"].get("annotations") or {})
        }


def words(one: Resource) -> str:
    return (
        f"Headgate has no right to {one.plural} any more; "
        f"add manifests/route-rights/{RIGHTS[one.kind]} to its kustomization"
    )


@KINDS
async def test_what_it_carries_is_not_what_is_asked_for(one: Resource) -> None:
    world = World(one)
    await world.split()
    assert (await world.router.read_split(WEB, STRATEGY)).even
    world.limits.forbid(one)
    for traffic in (SHARE, NOTHING):
        split = await world.router.read_split(WEB, STRATEGY)
        assert split.routes == 2
        assert split.lacks(traffic)
        assert words(one) in split.problem


@KINDS
async def test_a_write_says_it_and_reaches_all_others(one: Resource) -> None:
    world = World(one)
    await world.split()
    world.limits.forbid(one)
    with pytest.raises(SplitRefused, match=words(one)):
        await world.router.write_split(WEB, STRATEGY, Traffic(50))
    world.limits.allow(one)
    assert '"weight":50' in world.left()[HTTPROUTES.kind]
    assert '"weight":20' in world.left()[one.kind]


@KINDS
async def test_the_canary_is_not_to_go_and_leaves_all_others(one: Resource) -> None:
    world = World(one)
    await world.split()
    world.limits.forbid(one, watched=True)
    with pytest.raises(Forbidden, match=words(one)):
        await world.router.clean(WEB)
    assert world.left().keys() == {one.kind}
    world.limits.allow(one)
    assert await world.router.clean(WEB)
    assert world.left() == {}


@KINDS
async def test_a_kind_that_is_not_served_any_more_has_taken_its_routes_with_it(
    one: Resource,
) -> None:
    world = World(one)
    await world.split()
    world.limits.undefine(one)
    assert (await world.router.read_split(WEB, STRATEGY)).even
    await world.router.write_split(WEB, STRATEGY, NOTHING)
    assert await world.router.clean(WEB)


@KINDS
async def test_a_right_that_was_never_there_and_one_to_a_neighbour_s_route_hold_nothing_up(
    one: Resource,
) -> None:
    world = World(one)
    world.limits.forbid(one)
    world.heard = [(one.kind, "elsewhere", NAME)]
    await world.router.write_split(WEB, STRATEGY, SHARE)
    assert (await world.router.read_split(WEB, STRATEGY)).routes == 1
    assert await world.router.clean(WEB)
