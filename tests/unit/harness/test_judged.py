"""The oracle of the random events: what it finds wrong, and what it does not."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator

import pytest
import structlog

from canary.contract import HOLD, REFUSED, STABLE, Command
from canary.model.hashing import template_hash
from canary.model.strategy import HookType
from canary.model.values import Json
from runtime.resources import CANARIES, DEPLOYMENTS, HTTPROUTES, REPLICASETS, SERVICES, Resource
from tests.fakes.loop import ImpatientLoop
from tests.harness.client import ANALYZER, Client
from tests.harness.controllers import Health, image_of
from tests.harness.faults import Fault, Trap
from tests.harness.hooks import NEVER, Given, Hooks, Says
from tests.harness.judged import Judged
from tests.harness.ledger import ANSWERED, KEPT, SWEPT
from tests.harness.machine import hooks
from tests.harness.stage import CANARY, NAME, PLACE, SPACE, Stage, deployment
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

    assert found_wrong(play) == [
        "web:2 was promoted at 20 %, before its last step",
        "web:2 was promoted although nothing was asked of it",
    ]


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


# --- what is the team's, and whose traffic it is --------------------------------------------------


async def by_hand(stage: Stage, patch: Json) -> None:
    """Write to the target as a wrong analyzer would."""
    await Client(stage.api, ANALYZER).merge_patch(DEPLOYMENTS, *PLACE, patch)


async def sent(stage: Stage, share: int) -> None:
    """Give the canary a share, in percent, as a wrong analyzer would that goes past its mark."""
    stage.webhook.routes_up = False
    names = ((NAME, 100 - share), (CANARY, share))
    refs = [{"name": name, "port": 80, "weight": weight} for name, weight in names]
    patch = {"spec": {"rules": [{"backendRefs": refs}]}}
    await Client(stage.api, ANALYZER).merge_patch(HTTPROUTES, *PLACE, patch)


async def stuck(stage: Stage) -> None:
    """Have an analyzer that does nothing any more."""
    stage.installation.gate(Trap(0, Fault.BROKEN, stage.installation.kill, times=MANY))


async def turned_to(stage: Stage, image: str) -> None:
    """Have the canary run another version."""
    template = {"spec": {"containers": [{"name": "app", "image": image}]}}
    patch = {"spec": {"template": template}}
    await Client(stage.api, ANALYZER).merge_patch(DEPLOYMENTS, SPACE, CANARY, patch)


async def taken_away(stage: Stage, resource: Resource, name: str) -> None:
    """Delete what is there, as a wrong analyzer would."""
    await Client(stage.api, ANALYZER).delete(resource, SPACE, name)


def test_a_target_of_another_size() -> None:
    async def play(stage: Stage, team: Team) -> None:
        await team.push("web:2")
        await by_hand(stage, {"spec": {"replicas": 1}})

    assert found_wrong(play) == ["not its own: web was changed beyond its pause and its marks"]


def test_a_pause_of_the_team_s_that_is_ended() -> None:
    async def play(stage: Stage, team: Team) -> None:
        await team.pauses(paused=True)
        await by_hand(stage, {"spec": {"paused": None}})

    assert found_wrong(play) == ["not its own: a pause of the team's was ended"]


def test_a_pause_of_nobody_s() -> None:
    async def play(stage: Stage, team: Team) -> None:
        del team
        await by_hand(stage, {"spec": {"paused": True}})

    said = "not its own: web was paused, and nothing of Headgate's rolled"
    assert found_wrong(play) == [said]


def test_a_replica_set_of_the_history_that_is_deleted() -> None:
    names = list[str]()

    async def play(stage: Stage, team: Team) -> None:
        await team.pauses(paused=True)
        names.append(stage.revisions()[0]["metadata"]["name"])
        await taken_away(stage, REPLICASETS, names[0])

    assert found_wrong(play)[0] == f"not its own: {names[0]} was deleted and is not parked"


@pytest.mark.parametrize("resource", [DEPLOYMENTS, SERVICES], ids=str)
def test_a_canary_that_goes_with_its_traffic(resource: Resource) -> None:
    async def play(stage: Stage, team: Team) -> None:
        await has_a_share(stage, team)
        await taken_away(stage, resource, CANARY)

    assert f"the canary's {resource.kind} was deleted while it had 20 %" in found_wrong(play)


@pytest.mark.parametrize(("seconds", "wrong"), [(1, True), (5, False)])
def test_a_canary_that_goes_before_its_last_requests_are_answered(
    seconds: int, *, wrong: bool
) -> None:
    async def play(stage: Stage, team: Team) -> None:
        await has_a_share(stage, team)
        await stuck(stage)
        await sent(stage, 0)
        await stage.wait(seconds)
        await taken_away(stage, DEPLOYMENTS, CANARY)

    said = ["the canary was deleted before its last requests were answered"] if wrong else []
    assert found_wrong(play) == said


def test_a_canary_of_another_version_that_has_the_share_of_the_one_before() -> None:
    async def play(stage: Stage, team: Team) -> None:
        await has_a_share(stage, team)
        await stuck(stage)
        await turned_to(stage, "web:3")

    assert found_wrong(play) == ["web:3 has 20 % before its first step"]


def test_a_canary_of_a_version_that_was_refused() -> None:
    async def play(stage: Stage, team: Team) -> None:
        await stuck(stage)
        await team.push("web:2")
        await refused(stage)
        canary = deployment("web:2", 1)
        canary["metadata"]["name"] = CANARY
        await Client(stage.api, ANALYZER).create(DEPLOYMENTS, canary)

    assert found_wrong(play) == ["web:2 was refused and is tried again"]


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (50, "web:2 has 50 % although nothing was asked of it since its last step"),
        (60, "web:2 has 60 %, and its next step is 50 %"),
        (FIRST, ""),
    ],
)
def test_a_step_that_is_not_the_next_or_was_not_earned(share: int, said: str) -> None:
    async def play(stage: Stage, team: Team) -> None:
        await has_a_share(stage, team)
        await stuck(stage)
        await sent(stage, share)

    assert (found_wrong(play) or [""])[0] == said


def test_a_canary_that_gets_traffic_and_has_no_ready_pod() -> None:
    async def play(stage: Stage, team: Team) -> None:
        stage.bad["web:2"] = Health.NEVER_READY
        await team.push("web:2")
        await stage.until("a canary", lambda: stage.canary_image() == "web:2")
        await stuck(stage)
        await sent(stage, FIRST)

    assert found_wrong(play) == ["web:2 has 20 %, and none of its pods is ready"]


def test_a_step_and_a_promotion_while_the_target_sleeps() -> None:
    async def play(stage: Stage, team: Team) -> None:
        await has_a_share(stage, team)
        await stuck(stage)
        await team.scales(0)
        await stage.wait(5)
        await sent(stage, FIRST + 10)
        await released(stage)

    said = found_wrong(play)
    assert "web:2 has 30 %, and the target sleeps" in said
    assert "web:2 was promoted while the target slept" in said


def test_a_rollout_of_no_pods_that_is_taken_for_complete() -> None:
    async def play(stage: Stage, team: Team) -> None:
        await team.push("web:2")
        await stage.until("its promotion", lambda: stage.phase() == "Promoting")
        await stuck(stage)
        await team.scales(0)
        await stage.wait(5)
        patch = {"status": {"phase": "Finalising"}}
        analyzer = Client(stage.api, ANALYZER)
        await analyzer.merge_patch(CANARIES, *PLACE, patch, subresource="status")

    assert "a rollout of no pods was taken for complete" in found_wrong(play)


def test_a_first_step_while_the_version_before_is_half_way() -> None:
    async def play(stage: Stage, team: Team) -> None:
        await half_way(stage, team)
        await sent(stage, 0)
        await turned_to(stage, "web:3")
        await sent(stage, FIRST)

    assert "web:3 has 20 %, and web:2 is half-way still" in found_wrong(play)


# --- what may be for a moment, and does not end ---------------------------------------------------


async def superseded(stage: Stage, team: Team) -> None:
    await has_a_share(stage, team)
    await stuck(stage)
    await team.push("web:3")


async def asleep(stage: Stage, team: Team) -> None:
    await has_a_share(stage, team)
    await stuck(stage)
    await team.scales(0)


async def half_way(stage: Stage, team: Team) -> None:
    """Hold what rolls, and leave the pods that it has."""
    await team.push("web:2")
    await stage.until("its promotion", lambda: stage.phase() == "Promoting")
    stage.bad["web:2"] = Health.NEVER_READY
    await stage.until("its first pod", lambda: bool(stage.sizes().get("web:2")))
    await stuck(stage)
    await team.push("web:3")


async def rolls_on(stage: Stage, team: Team) -> None:
    """Its state says that it was refused, and nobody holds it."""
    await team.push("web:2")
    await stage.until("a canary", lambda: stage.canary_image() == "web:2")
    await team.annotates(str(Command.ABORT), "now")
    await stage.until("its end", lambda: stage.refused_image() == "web:2")
    await stuck(stage)
    await released(stage)


async def left_standing(stage: Stage, team: Team) -> None:
    """Refused and without traffic, and its canary stays."""
    await has_a_share(stage, team)
    await team.annotates(str(Command.ABORT), "now")
    await stage.until("its end", lambda: stage.refused_image() == "web:2")
    await stuck(stage)


async def more_than_is_lacked(stage: Stage, team: Team) -> None:
    """The stable has become smaller and larger again, and its refused canary keeps its share."""
    await has_a_share(stage, team)
    await stuck(stage)
    await team.scales(1)
    await refused(stage)
    await stage.wait(1)
    await team.scales(2)


async def unmarked(stage: Stage, team: Team) -> None:
    """The verdict is in the status, and nowhere else."""
    await team.push("web:2")
    await stage.until("a canary", lambda: stage.canary_image() == "web:2")
    await team.annotates(str(Command.ABORT), "now")
    await stage.until("its end", lambda: stage.phase() == "Failed")
    await stuck(stage)
    await by_hand(stage, {"metadata": {"annotations": {REFUSED: None}}})


async def abandoned(stage: Stage, team: Team) -> None:
    await has_a_share(stage, team)
    await stuck(stage)
    await team.deletes()


@pytest.mark.parametrize(
    ("begins", "said"),
    [
        (superseded, "web:2 has traffic, and web:3 is asked for"),
        (asleep, "web:2 has a canary, and the target sleeps"),
        (half_way, "web:2 was not taken back, half-way"),
        (rolls_on, "web:2 was refused, and rolls on"),
        (left_standing, "web:2 was refused and has a canary"),
        (more_than_is_lacked, "web:2 was refused and has more than the stable lacks"),
        (unmarked, "web:2 was refused, and no mark remembers it"),
        (abandoned, "traffic goes to a canary that is not there"),
    ],
)
def test_what_does_not_end(begins: Callable[[Stage, Team], Awaitable[None]], said: str) -> None:
    most = (SWEPT if begins is abandoned else ANSWERED).total_seconds()

    async def act() -> list[str]:
        stage = Stage()
        judged = Judged(stage)
        async with stage.playing():
            await asyncio.sleep(3)
            await begins(stage, Team(stage))
            judged.look()
            await stage.wait(most - 10)
            judged.look()
            assert not any(one.startswith("for more than") for one in judged.wrong)
            await stage.wait(20)
            judged.look()
        return judged.wrong

    assert f"for more than {most:.0f} s: {said}" in in_no_time(act())
