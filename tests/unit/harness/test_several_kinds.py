"""Whole runs of a Service to which routes of several kinds lead at once, as they come and go."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from analyzer.routers.kinds import WATCHED
from analyzer.routers.lags import MOST
from canary.contract import SPLIT
from canary.model.values import Json
from canary.model.world import Timing
from runtime.resources import (
    CANARIES,
    GRPCROUTES,
    HTTPPROXIES,
    HTTPROUTES,
    INGRESSES,
    INGRESSROUTES,
    TRAEFIKSERVICES,
    VIRTUALSERVICES,
    Resource,
)
from tests.harness.api import ApiServer, Change, Writer
from tests.harness.client import Client, Gate
from tests.harness.defaults import defaulted
from tests.harness.faults import Recorder
from tests.harness.limits import Limited, Limits
from tests.harness.played import play
from tests.harness.stage import CANARY, LAG, PLACE, Stage, route
from tests.harness.stories import BAD, GOOD, Story, begun, push

Kinds = Sequence[Resource]
TOGETHER: tuple[Kinds, ...] = (
    (HTTPROUTES, VIRTUALSERVICES),
    (HTTPROUTES, HTTPPROXIES),
    (HTTPPROXIES, INGRESSES),
    (INGRESSES, INGRESSROUTES),
    (VIRTUALSERVICES, INGRESSROUTES),
    (HTTPROUTES, GRPCROUTES, INGRESSES),
    (HTTPROUTES, VIRTUALSERVICES, HTTPPROXIES),
    (HTTPPROXIES, TRAEFIKSERVICES, VIRTUALSERVICES),
    tuple(WATCHED.values()),
)


def called(kinds: Kinds) -> str:
    return "+".join(it.kind for it in kinds) if len(kinds) < len(WATCHED) else "all"


together = pytest.mark.parametrize("kinds", TOGETHER, ids=called)


@dataclass
class Service:
    """A Service to which routes of several kinds lead, the first of them the stage's own.

    `gone` are kinds of which nothing is left in the end. Whenever canary or its Service goes, no
    route that is there may have a share for it.
    """

    kinds: Kinds
    gone: set[Resource] = field(default_factory=set)
    late: set[Resource] = field(default_factory=set)
    limits: Limits = field(default_factory=Limits)
    wrong: list[str] = field(default_factory=list)
    written: dict[Resource, Json] = field(default_factory=dict)
    _stage: Stage | None = None

    @property
    def stage(self) -> Stage:
        assert self._stage is not None
        return self._stage

    def prepare(self, stage: Stage) -> None:
        """Have the team's other routes there from the beginning."""
        self._stage = stage
        stage.reach = self._reach
        stage.api.watchers.append(self._heard)
        for kind in self.kinds[1:]:
            if kind not in self.late:
                self.make(kind)
        if self.kinds[0] in self.late:
            stage.api.delete(self.kinds[0], PLACE, stage.team.writer)

    def make(self, kind: Resource) -> None:
        """Have the team make a route of a kind."""
        self.stage.api.create(kind, route(kind.kind), self.stage.team.writer)

    def _reach(self, api: ApiServer, writer: Writer, gate: Gate) -> Client:
        return Limited(api, writer, gate, limits=self.limits)

    def shares(self) -> dict[str, int]:
        """Return the canary's share on each route that is there."""
        there = [it for it in self.kinds if self.stage.api.look(it, *PLACE) is not None]
        return {it.kind: self.stage.share_on(it) for it in there}

    def all_have(self, share: int) -> bool:
        """Tell whether the canary has the same share on all routes."""
        return set(self.shares().values()) == {share}

    def _heard(self, change: Change) -> None:
        gone = change.old if change.new is None else None
        if gone is None or gone["metadata"]["name"] != CANARY or change.resource == INGRESSES:
            return
        if left := {kind: it for kind, it in self.shares().items() if it}:
            self.wrong.append(f"{change.resource.kind} {CANARY} went while it had {left}")

    def settle(self) -> None:
        """Look at what is left once a run has ended.

        Raises:
            AssertionError: anything of it is, or something was wrong on the way.

        """
        for kind in self.kinds:
            found = self.stage.api.look(kind, *PLACE)
            if kind in self.gone:
                assert found is None, found
                continue
            assert found is not None, kind.kind
            wanted = self.written.get(kind, route(kind.kind))
            assert found["spec"] == defaulted(kind, wanted)["spec"], kind.kind
            assert SPLIT not in (found["metadata"].get("annotations") or {}), kind.kind
        assert self.wrong == []


def played(
    service: Service,
    plays: Callable[[Service, Stage], Awaitable[None]],
    image: str = "web:2",
    **analysis: Any,
) -> None:
    """Play a run of a Service to its end."""

    async def there(stage: Stage) -> None:
        await plays(service, stage)

    promoted = image == "web:2"
    story = Story(
        name=called(service.kinds),
        plays=there,
        phase="Succeeded" if promoted else "Failed",
        serves=image,
        released={image: 1} if promoted else {},
        never=frozenset() if promoted else frozenset({"web:2"}),
        stage={"kind": service.kinds[0].kind, "analysis": analysis},
    )
    play(story, lambda _: Recorder(), service.prepare)
    service.settle()


async def in_mid_run(service: Service, stage: Stage) -> None:
    """Come to the first step, where the run stays until `answers` have something to say."""
    stage.answers.values["web:2"] = None
    await begun(stage)
    await push(stage, "web:2")
    await stage.until("a share", lambda: 20 in service.shares().values())
    await stage.until("the same share on all", lambda: service.all_have(20), 5)


async def goes_on(service: Service, stage: Stage, value: float = GOOD) -> None:
    """Let the checks say something, and see the next step everywhere where it comes to that."""
    stage.answers.values["web:2"] = value
    if value == GOOD:
        await stage.until("the next step on all", lambda: service.all_have(50), 60)


async def _goes_through(service: Service, stage: Stage) -> None:
    await in_mid_run(service, stage)
    await goes_on(service, stage)


async def _is_refused(service: Service, stage: Stage) -> None:
    await in_mid_run(service, stage)
    await goes_on(service, stage, BAD)
    await stage.until("no share on any", lambda: service.all_have(0), 60)


@together
def test_all_are_split_alike_and_given_back(kinds: Kinds) -> None:
    played(Service(kinds), _goes_through)


@together
def test_a_refused_version_has_no_share_on_any(kinds: Kinds) -> None:
    played(Service(kinds), _is_refused, "web:1")


# --- in mid-run -----------------------------------------------------------------------------------

SOME: tuple[Kinds, ...] = (
    (HTTPROUTES, VIRTUALSERVICES, HTTPPROXIES),
    (INGRESSES, INGRESSROUTES),
    (TRAEFIKSERVICES, GRPCROUTES, HTTPROUTES),
)
"""Each kind in one of them."""


def last(kinds: Kinds, one: Resource) -> Kinds:
    """Return the kinds with another one as the stage's own: of that the ledger says what it has."""
    return (*(it for it in kinds if it != one), one)


each_of_them = pytest.mark.parametrize(
    ("kinds", "one"),
    [(kinds, one) for kinds in SOME for one in kinds],
    ids=lambda it: it.kind if isinstance(it, Resource) else called(it),
)
each_granted = pytest.mark.parametrize(
    ("kinds", "one"),
    [(last(kinds, one), one) for kinds in SOME for one in kinds if one.optional],
    ids=lambda it: it.kind if isinstance(it, Resource) else called(it),
)
each_defined = pytest.mark.parametrize(
    ("kinds", "one"),
    [(kinds, one) for kinds in SOME for one in kinds if one.optional and one != INGRESSES],
    ids=lambda it: it.kind if isinstance(it, Resource) else called(it),
)
either_way = pytest.mark.parametrize(
    ("value", "image"), [(GOOD, "web:2"), (BAD, "web:1")], ids=["good", "bad"]
)


@pytest.mark.parametrize("kinds", SOME, ids=called)
@either_way
def test_one_that_appears_in_mid_run_has_the_share_of_all(
    kinds: Kinds, value: float, image: str
) -> None:
    late = kinds[-1]

    async def plays(service: Service, stage: Stage) -> None:
        await stage.team.delete(late, *PLACE)
        await in_mid_run(service, stage)
        service.make(late)
        await stage.until("the share on it too", lambda: stage.share_on(late) == 20, 40)
        assert service.all_have(20)
        await goes_on(service, stage, value)

    played(Service(kinds), plays, image)


@each_of_them
@either_way
def test_one_that_goes_in_mid_run_keeps_nothing_from_the_others(
    kinds: Kinds, one: Resource, value: float, image: str
) -> None:
    async def plays(service: Service, stage: Stage) -> None:
        await in_mid_run(service, stage)
        await stage.team.delete(one, *PLACE)
        await goes_on(service, stage, value)

    played(Service(kinds, gone={one}), plays, image)


@each_of_them
def test_one_that_goes_and_comes_back_has_the_share_of_all(kinds: Kinds, one: Resource) -> None:
    async def plays(service: Service, stage: Stage) -> None:
        await in_mid_run(service, stage)
        await stage.team.delete(one, *PLACE)
        await stage.wait(60)
        service.make(one)
        await stage.until("the share on it again", lambda: service.all_have(20), 40)
        await goes_on(service, stage)

    played(Service(kinds), plays)


@each_defined
@either_way
def test_a_definition_that_goes_in_mid_run_takes_nothing_with_it_but_its_routes(
    kinds: Kinds, one: Resource, value: float, image: str
) -> None:
    async def plays(service: Service, stage: Stage) -> None:
        await in_mid_run(service, stage)
        service.limits.undefine(one)
        await stage.team.delete(one, *PLACE)
        await goes_on(service, stage, value)

    played(Service(kinds, gone={one}), plays, image)


@each_defined
def test_a_definition_that_comes_in_mid_run_has_its_routes_split(
    kinds: Kinds, one: Resource
) -> None:
    async def plays(service: Service, stage: Stage) -> None:
        await in_mid_run(service, stage)
        service.limits.allow(one)
        service.make(one)
        await stage.until("the share on it too", lambda: service.all_have(20), 60)
        await goes_on(service, stage)

    service = Service(kinds)
    service.limits.undefine(one)
    service.late = {one}
    played(service, plays)


@each_granted
@either_way
@pytest.mark.parametrize("watched", [False, True], ids=["deaf", "watched"])
def test_while_a_right_is_lost_the_canary_stays_for_what_gives_it_a_share(
    kinds: Kinds, one: Resource, value: float, image: str, *, watched: bool
) -> None:
    """It holds its step, or is refused and has nothing on all others; either is said.

    Where its routes are heard of still, the next step is what cannot be written.
    """

    async def plays(service: Service, stage: Stage) -> None:
        await in_mid_run(service, stage)
        service.limits.forbid(one, watched=watched)
        await stage.team.merge_patch(one, *PLACE, {"metadata": {"labels": {"seen": "now"}}})
        stage.answers.values["web:2"] = value
        if value == BAD:
            await stage.until("the verdict", lambda: stage.phase() == "Failed", 60)
        await stage.wait(300)
        assert service.shares().pop(one.kind) == 20
        others = {it for kind, it in service.shares().items() if kind != one.kind}
        assert others == {0 if value == BAD else 50 if watched else 20}, stage.summary()
        assert stage.canary_image() == "web:2", stage.summary()
        assert "RouteRefused" in stage.said()
        service.limits.allow(one)

    played(Service(kinds), plays, image)


# --- one that does not do as the others -----------------------------------------------------------

STICKY: Json = {"sessionAffinity": {"cookieName": "met"}}
cannot_keep_users = pytest.mark.parametrize(
    ("kinds", "one"),
    [
        ((HTTPROUTES, HTTPPROXIES), HTTPPROXIES),
        ((VIRTUALSERVICES, HTTPPROXIES), HTTPPROXIES),
        ((HTTPROUTES, GRPCROUTES), GRPCROUTES),
    ],
    ids=lambda it: it.kind if isinstance(it, Resource) else called(it),
)


async def _one_refuses(service: Service, stage: Stage, one: Resource) -> None:
    """Come to the first step and stay there, though all checks pass."""
    await begun(stage)
    await push(stage, "web:2")
    await stage.until("a share", lambda: any(service.shares().values()))
    await stage.wait(300)
    shares = service.shares()
    assert shares.pop(one.kind) == 0, "the stable has all traffic by it"
    assert all(shares.values()), stage.summary()
    assert stage.phase() == "Progressing", stage.summary()
    assert "RouteRefused" in stage.said()
    assert set(stage.serving()) == {"web:1"}


@cannot_keep_users
def test_one_that_cannot_carry_it_keeps_the_run_at_its_step_until_that_is_mended(
    kinds: Kinds, one: Resource
) -> None:
    async def plays(service: Service, stage: Stage) -> None:
        await _one_refuses(service, stage, one)
        mended = {"spec": {"analysis": {"sessionAffinity": None}}}
        await stage.team.merge_patch(CANARIES, *PLACE, mended)

    played(Service(kinds), plays, **STICKY)


@cannot_keep_users
def test_one_that_cannot_carry_it_keeps_no_version_from_its_refusal(
    kinds: Kinds, one: Resource
) -> None:
    async def plays(service: Service, stage: Stage) -> None:
        await _one_refuses(service, stage, one)
        stage.answers.values["web:2"] = BAD

    played(Service(kinds), plays, "web:1", **STICKY)


@pytest.mark.parametrize(
    "one", [None, HTTPROUTES, HTTPPROXIES, GRPCROUTES], ids=lambda it: it.kind if it else "none"
)
def test_pods_of_a_refused_version_wait_for_the_one_gateway_that_has_not_taken_it(
    one: Resource | None,
) -> None:
    timing = Timing()

    async def plays(service: Service, stage: Stage) -> None:
        await in_mid_run(service, stage)
        stage.others.untaken = set() if one is None else {one}
        stage.answers.values["web:2"] = BAD
        await stage.until("no share on any", lambda: service.all_have(0), 60)
        since = stage.seconds()
        await stage.until("the end of the canary", lambda: not stage.canary_image())
        waited = timedelta(seconds=stage.seconds() - since) + 2 * timedelta(seconds=LAG)
        least = timing.drain if one is None else timedelta(seconds=MOST)
        assert least <= waited < least + timing.drain

    played(Service((HTTPROUTES, HTTPPROXIES, GRPCROUTES)), plays, "web:1")
