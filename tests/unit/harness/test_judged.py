"""The oracle of the random events: what it finds wrong, and what it does not."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator

import pytest
import structlog

from canary.contract import HOLD, REFUSED, STABLE
from canary.model.hashing import template_hash
from canary.model.strategy import HookType
from canary.model.values import Json
from runtime.resources import DEPLOYMENTS
from tests.fakes.loop import ImpatientLoop
from tests.harness.client import ANALYZER, Client
from tests.harness.controllers import Health, image_of
from tests.harness.faults import Fault, Trap
from tests.harness.hooks import NEVER, Given, Hooks, Says
from tests.harness.judged import Judged
from tests.harness.ledger import KEPT
from tests.harness.machine import hooks
from tests.harness.stage import PLACE, Stage
from tests.harness.team import Team

RELEASE: Json = {"metadata": {"annotations": {HOLD: None, STABLE: None}}, "spec": {"paused": None}}
SHORTLY = 0.1
"""Seconds in which no controller has done anything."""
FIRST = 20
"""Percent that a canary has at its first step."""
MANY = 1_000_000
"""More writes than there are."""
LONG = 8.0
"""Seconds in which a canary is ready and none of its checks is due."""


@pytest.fixture
def _quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


pytestmark = pytest.mark.usefixtures("_quiet")


def found_wrong(play: Callable[[Stage, Team], Awaitable[None]]) -> list[str]:
    """Return what the oracle says of something that is played."""

    async def act() -> list[str]:
        stage = Stage()
        judged = Judged(stage)
        async with stage.playing():
            await asyncio.sleep(3)
            await play(stage, Team(stage))
            await asyncio.sleep(SHORTLY)
        return judged.wrong

    return in_no_time(act())


def in_no_time(act: Coroutine[None, None, list[str]]) -> list[str]:
    """Return what comes of something, on time that passes at once."""
    loop = ImpatientLoop()
    try:
        return loop.run_until_complete(act)
    finally:
        loop.close()


async def released(stage: Stage) -> None:
    """Release whatever is held, as a wrong analyzer would."""
    await Client(stage.api, ANALYZER).merge_patch(DEPLOYMENTS, *PLACE, RELEASE)


async def refused(stage: Stage) -> None:
    """Mark what is held as refused, as a wrong analyzer would whose canary has its share still."""
    mark = {REFUSED: template_hash(stage.target()["spec"]["template"])}
    patch = {"metadata": {"annotations": mark}}
    await Client(stage.api, ANALYZER).merge_patch(DEPLOYMENTS, *PLACE, patch)


async def has_a_share(stage: Stage, team: Team) -> None:
    """Push a version and wait for its first step."""
    await team.push("web:2")
    await stage.until("a share", lambda: stage.weight() == FIRST)


# --- what is right --------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [0.1, 0.3], ids=["without a ReplicaSet", "without a ready pod"])
def test_the_only_version_that_there_ever_was_is_no_candidate(made: float) -> None:
    async def play(stage: Stage, team: Team) -> None:
        await team.deletes()
        await team.creates("web:2")
        await asyncio.sleep(made)
        assert stage.serving() == {}
        assert len(stage.revisions()) == int(made > SHORTLY)
        await team.pauses(paused=True)
        await asyncio.sleep(SHORTLY)
        await team.pauses(paused=False)
        await stage.until("its release", lambda: "Released" in stage.said())

    assert found_wrong(play) == []


# --- what is wrong --------------------------------------------------------------------------------


def test_a_candidate_that_nobody_has_looked_at_yet() -> None:
    async def play(stage: Stage, team: Team) -> None:
        await team.push("web:2")
        await released(stage)

    assert found_wrong(play) == ["web:2 was promoted although nothing was asked of it"]


def test_a_candidate_whose_checks_are_not_due_yet() -> None:
    async def play(stage: Stage, team: Team) -> None:
        await team.push("web:2")
        await asyncio.sleep(LONG)
        assert stage.canary_image() == "web:2"
        await released(stage)

    assert found_wrong(play) == ["web:2 was promoted although nothing was asked of it"]


def test_a_candidate_beside_a_stable_of_which_no_pod_is_ready() -> None:
    async def play(stage: Stage, team: Team) -> None:
        stage.bad["web:1"] = Health.NEVER_READY
        for which in range(2):
            await team.loses_a_pod(which, canarys=False)
        await asyncio.sleep(3)
        assert stage.serving() == {}
        await team.push("web:2")
        await released(stage)

    assert found_wrong(play) == ["web:2 was promoted although nothing was asked of it"]


def test_a_candidate_of_a_target_at_no_replicas() -> None:
    async def play(stage: Stage, team: Team) -> None:
        await team.scales(0)
        await asyncio.sleep(3)
        assert not stage.target_pods()
        assert image_of(stage.target()["spec"]["template"]) == "web:1"
        await team.push("web:2")
        await released(stage)

    assert found_wrong(play) == ["web:2 was promoted although nothing was asked of it"]


def test_a_refused_canary_that_has_its_share_still() -> None:
    async def play(stage: Stage, team: Team) -> None:
        await has_a_share(stage, team)
        stage.installation.kill()
        await refused(stage)

    assert found_wrong(play) == ["web:2 has 20 % although it was refused"]


@pytest.mark.parametrize(("seconds", "wrong"), [(-10, False), (10, True)])
def test_a_refused_canary_that_has_a_share_for_longer_than_a_shrunken_stable_may_need(
    seconds: int, *, wrong: bool
) -> None:
    async def play(stage: Stage, team: Team) -> None:
        await has_a_share(stage, team)
        stage.installation.gate(Trap(0, Fault.BROKEN, stage.installation.kill, times=MANY))
        await team.scales(1)
        await refused(stage)
        await stage.wait(KEPT.total_seconds() + seconds)
        await team.annotates("note", "looked at")

    said = {"web:2 has 20 % although it was refused"} if wrong else set()
    assert set(found_wrong(play)) == said


@pytest.mark.parametrize(
    ("answers", "wrong"),
    [((True,), True), ((False,), False), ((True, False), False), ((False, True), True)],
    ids=["agreed", "did not", "took it back", "came round"],
)
def test_a_canary_that_gets_more_traffic_although_a_hook_had_it_rolled_back(
    answers: tuple[bool, ...], *, wrong: bool
) -> None:
    """The analyzer is never told: it asks, and gets no answer."""

    async def act() -> list[str]:
        stage = Stage(analysis=hooks(HookType.ROLLBACK))
        stage.hooks = asked = Hooks(stage.candidate)
        asked.says[HookType.ROLLBACK] = Says(late=NEVER)
        judged = Judged(stage, hooks=asked)
        async with stage.playing():
            await asyncio.sleep(3)
            await has_a_share(stage, Team(stage))
            for ok in answers:
                asked.given.append(Given(HookType.ROLLBACK, "web:2", ok, stage.seconds()))
            await stage.until("its next step", lambda: stage.weight() > FIRST)
        return judged.wrong

    said = {"web:2 has more traffic although a hook had it rolled back"} if wrong else set()
    assert set(in_no_time(act())) == said
