"""What every way to split promises (`analyzer.ports.Router`), over what is stored in the end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from analyzer.routers.chosen import Chosen
from analyzer.routers.kinds import WATCHED
from canary.model.strategy import Strategy
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Json, Key
from canary.spec.steps import linear
from runtime.errors import Unavailable
from runtime.resources import DEPLOYMENTS, HTTPROUTES
from tests.harness.admitted import Webhook
from tests.harness.api import ApiServer
from tests.harness.client import ANALYZER, TEAM, Client, Write
from tests.harness.stage import NAME, SPACE, deployment, route

WEB = Key(namespace=SPACE, name=NAME)
STRATEGY = Strategy(
    interval=timedelta(minutes=1), threshold=1, steps=linear((50,)), service_name=NAME
)
WAYS = pytest.mark.parametrize("kind", sorted(WATCHED))
T = TypeVar("T")
SHARES = (Traffic(1), Traffic(20), Traffic(99), Traffic(100), Traffic(50))


class CutError(Unavailable):
    """The analyzer's connection was cut."""


@dataclass
class Cut:
    """Lets so many writes arrive; the next one arrives or not, and nobody hears of it."""

    left: int = 1_000
    arrives: bool = False
    writes: list[Write] = field(default_factory=list)

    async def passes(self, write: Write, arrive: Callable[[], T]) -> T:
        self.writes.append(write)
        if self.left:
            self.left -= 1
            return arrive()
        if self.arrives:
            arrive()
        raise CutError(0, "ConnectionLost", "cut")


class World:
    """A namespace with a target and one route of a kind, and a router."""

    def __init__(self, kind: str, *, routes_up: bool = True) -> None:
        self.api = ApiServer(lambda: datetime(2026, 1, 1, tzinfo=UTC))
        self.api.admission = Webhook(lambda _: True, routes_up=routes_up)
        self.resource = WATCHED[kind]
        self.api.create(DEPLOYMENTS, deployment("web:1"), TEAM)
        self.api.create(self.resource, route(kind), TEAM)
        self.cut = Cut()
        self.router = Chosen(Client(self.api, ANALYZER, self.cut))
        self.plain = self.left()

    def left(self) -> list[Json]:
        """Return what is there of the kind, without what every write changes."""
        found = []
        for one in self.api.peek(self.resource):
            said = one["metadata"].get("annotations") or {}
            found.append({"name": one["metadata"]["name"], "notes": said, "spec": one["spec"]})
        return found

    async def carries(self, traffic: Traffic) -> bool:
        found = await self.router.read_split(WEB, STRATEGY)
        return found.routes == 1 and not found.lacks(traffic)


@WAYS
async def test_where_nothing_is_split_there_is_nothing_to_clean(kind: str) -> None:
    world = World(kind)
    found = await world.router.read_split(WEB, STRATEGY)
    assert (found.traffic, found.routes, found.even) == (NOTHING, 1, True)
    assert not await world.router.clean(WEB)
    await world.router.write_split(WEB, STRATEGY, NOTHING)
    assert await world.carries(NOTHING)
    await world.router.clean(WEB)
    assert world.left() == world.plain


@WAYS
@pytest.mark.parametrize("routes_up", [True, False], ids=["webhook", "no webhook"])
async def test_what_is_written_is_read_and_written_once(kind: str, *, routes_up: bool) -> None:
    world = World(kind, routes_up=routes_up)
    for traffic in SHARES:
        await world.router.write_split(WEB, STRATEGY, traffic)
        assert await world.carries(traffic)
        before = world.api.version
        await world.router.write_split(WEB, STRATEGY, traffic)
        assert world.api.version == before
    await world.router.write_split(WEB, STRATEGY, NOTHING)
    assert await world.carries(NOTHING)
    assert await world.router.clean(WEB)
    assert not await world.router.clean(WEB)
    assert world.left() == world.plain


@WAYS
@pytest.mark.parametrize("arrives", [True, False], ids=["after", "before"])
async def test_what_is_cut_off_is_brought_to_its_end_by_the_next_one(
    kind: str, *, arrives: bool
) -> None:
    async def played(world: World) -> None:
        for traffic in (Traffic(20), Traffic(50), NOTHING):
            await world.router.write_split(WEB, STRATEGY, traffic)
        await world.router.clean(WEB)

    whole = World(kind)
    await played(whole)
    assert whole.cut.writes
    for number in range(len(whole.cut.writes)):
        world = World(kind)
        world.cut.left, world.cut.arrives = number, arrives
        with pytest.raises(CutError):
            await played(world)
        world.router = Chosen(Client(world.api, ANALYZER))
        await world.router.write_split(WEB, STRATEGY, Traffic(30))
        assert await world.carries(Traffic(30)), number
        await world.router.write_split(WEB, STRATEGY, NOTHING)
        assert await world.carries(NOTHING), number
        await world.router.clean(WEB)
        assert world.left() == world.plain, number


@WAYS
async def test_a_route_that_is_applied_again_or_made_anew_is_split_again(kind: str) -> None:
    world = World(kind)
    team = Client(world.api, TEAM)
    await world.router.write_split(WEB, STRATEGY, Traffic(20))
    await team.apply(world.resource, route(kind))
    await world.router.write_split(WEB, STRATEGY, Traffic(20))
    assert await world.carries(Traffic(20))
    await team.delete(world.resource, SPACE, NAME)
    assert (await world.router.read_split(WEB, STRATEGY)).routes == 0
    await team.create(world.resource, route(kind))
    await world.router.write_split(WEB, STRATEGY, Traffic(20))
    assert await world.carries(Traffic(20))
    await world.router.clean(WEB)
    assert world.left() == world.plain


@WAYS
async def test_another_target_s_is_left_alone(kind: str) -> None:
    world = World(kind)
    other = Key(namespace=SPACE, name="api")
    await world.router.write_split(WEB, STRATEGY, Traffic(20))
    before = world.left()
    assert not await world.router.clean(other)
    assert world.left() == before


async def test_several_ways_at_once_carry_the_same() -> None:
    world = World("Ingress")
    for kind in sorted(set(WATCHED) - {"Ingress"}):
        world.api.create(WATCHED[kind], route(kind), TEAM)
    await world.router.write_split(WEB, STRATEGY, Traffic(20))
    found = await world.router.read_split(WEB, STRATEGY)
    assert (found.routes, found.weight, found.even) == (len(WATCHED), 20, True)
    world.api.delete(HTTPROUTES, (SPACE, NAME), TEAM)
    assert (await world.router.read_split(WEB, STRATEGY)).routes == len(WATCHED) - 1
    await world.router.clean(WEB)
    assert world.left() == world.plain
