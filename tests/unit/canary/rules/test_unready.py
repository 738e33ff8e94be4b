"""Pods that fail their own probes: one run's are refused a moment later, those of many are not."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.loop.losses import Losses
from canary.contract import Command, Reason
from canary.model.fates import Broken, Calm, Fate, Incident, Serving, Unready
from canary.model.state import Phase
from canary.model.traffic import Traffic
from canary.model.values import Key
from canary.model.world import CanaryPresent
from canary.objects.status import state_from_status, status_from_state
from canary.rules.actions import SetTraffic
from canary.rules.pods import PATIENCE
from canary.rules.weather import MANY, WINDOW
from tests.fakes.world import START, STRATEGY, World

PODS = ("web-canary-0", "web-canary-1")
UNREADY: tuple[Fate, ...] = tuple(Unready(pod=pod) for pod in PODS)
SERVING: tuple[Fate, ...] = tuple(Serving(pod=pod) for pod in PODS)
CRASH = "container app of pod x ended under traffic: Error, exit code 1"
SECOND = timedelta(seconds=1)


def until(world: World, condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        decision = world.reconcile()
        world.roll()
        world.now += max(decision.requeue_after or timedelta(0), timedelta(milliseconds=100))
    raise AssertionError("it never came to that")


def at_weight(weight: int) -> World:
    """Return a world whose run has come to a step."""
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == weight)
    return world


def refused(world: World) -> bool:
    return world.marks.get("refused") == "v2"


# --- one run -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fates", [UNREADY, (UNREADY[0], Broken(pod=PODS[1], why="it ended"))], ids=["all", "one broke"]
)
def test_the_share_goes_at_once_and_the_verdict_falls_a_moment_later(
    fates: tuple[Fate, ...],
) -> None:
    world = at_weight(20)
    world.fates = fates
    decision = world.reconcile()
    assert decision.actions[0] == SetTraffic(Traffic(0)), "no share, before all else"
    assert (world.weight, world.state.phase) == (0, Phase.PROGRESSING)
    assert "it is refused in 10 s unless other runs lose pods too" in world.state.message
    since = world.now
    until(world, lambda: refused(world))
    assert PATIENCE <= world.now - since <= PATIENCE + SECOND
    assert world.state.reason == Reason.REFUSED
    assert "none of 2 canary pods is ready any more" in world.state.message
    assert world.weights == [10, 20, 0], "nothing was sent to it meanwhile"


@pytest.mark.parametrize("recovered", [SERVING, (SERVING[0], UNREADY[1])], ids=["all", "some"])
def test_pods_that_are_ready_again_by_then_have_failed_all_the_same(
    recovered: tuple[Fate, ...],
) -> None:
    world = at_weight(20)
    world.fates = UNREADY
    world.reconcile()
    world.fates = recovered
    until(world, lambda: refused(world))
    assert world.weights == [10, 20, 0]


def test_a_crash_waits_for_nothing() -> None:
    world = at_weight(20)
    world.fates = UNREADY
    world.reconcile()
    world.now += SECOND
    world.crash = CRASH
    world.reconcile()
    assert refused(world)
    assert CRASH in world.state.message


def test_a_candidate_that_rolls_is_refused_at_once() -> None:
    world = World(replicas=40, pods={"v1": 40})
    world.update("v2")
    until(world, lambda: world.state.phase is Phase.PROMOTING and world.pods.get("v2", 0) > 0)
    world.fates = UNREADY
    world.reconcile()
    assert refused(world)


def test_a_successor_of_the_process_knows_since_when() -> None:
    world = at_weight(20)
    world.fates = UNREADY
    world.reconcile()
    stored = status_from_state(world.state, previous={}, generation=1, now=world.now)
    assert state_from_status(stored) == world.state
    assert world.state.unready_since == world.now
    world.now += PATIENCE
    world.state = state_from_status(stored)
    world.reconcile()
    assert refused(world)
    assert world.state.unready_since is None


@pytest.mark.parametrize("crash_at", range(8))
def test_it_is_refused_however_the_process_dies(crash_at: int) -> None:
    world = at_weight(20)
    world.fates = UNREADY
    world.run(until=2 * PATIENCE, crash_at=crash_at)
    assert (refused(world), world.weight) == (True, 0)


def test_an_abort_and_a_new_template_act_at_once() -> None:
    world = at_weight(20)
    world.fates = UNREADY
    world.reconcile()
    other = replace(world, marks=dict(world.marks), commands=set(), events=[])
    world.command(Command.ABORT)
    world.reconcile()
    assert (world.state.phase, world.state.reason) == (Phase.FAILED, Reason.ABORTED)
    other.update("v3")
    other.reconcile()
    assert (other.state.candidate, other.state.unready_since) == ("v3", None)


# --- many runs ---------------------------------------------------------------------------------


def test_an_incident_that_shows_meanwhile_takes_the_verdict_back() -> None:
    world = at_weight(20)
    world.fates = UNREADY
    world.reconcile()
    world.now += PATIENCE
    world.weather = Incident(lost=3, running=300, latest=world.now)
    world.reconcile()
    assert (world.state.phase, world.weight) == (Phase.PROGRESSING, 0)
    assert "pod web-canary-0 is not ready any more" in world.state.message
    assert "as in many runs at once, an incident of the cluster" in world.state.message
    assert "it is refused" not in world.state.message
    world.reconcile()
    said = [text for text in world.events if text.startswith("3 of 300 runs lost pods")]
    assert len(said) == 1
    # What they share may be down for longer than an incident is remembered.
    world.weather = Calm()
    until(world, lambda: world.now - START > timedelta(minutes=8))
    assert (world.state.phase, world.state.reason) == (Phase.PROGRESSING, Reason.PODS_LOST)
    world.fates = ()
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert world.weights == [10, 20, 0, 20, 30, 40, 50, 0]


def test_pods_that_do_not_come_back_after_an_incident_end_the_run_without_a_verdict() -> None:
    world = at_weight(20)
    world.strategy = replace(STRATEGY, progress_deadline=timedelta(minutes=2))
    world.fates = UNREADY
    world.weather = Incident(lost=3, running=300, latest=world.now)
    world.reconcile()
    world.weather = Calm()
    world.run()
    assert (world.state.phase, world.state.reason) == (Phase.FAILED, Reason.PROGRESS_DEADLINE)
    assert not refused(world)


@dataclass
class Fleet:
    """Worlds whose runs are under way, and the one place that hears of all their losses."""

    worlds: list[World]
    losses: Losses = field(default_factory=Losses)
    due: dict[int, datetime] = field(default_factory=dict)

    def look(self, number: int, now: datetime) -> None:
        """Have one run look, as the reconciler does."""
        world = self.worlds[number]
        world.now = now
        canary = world.observe().canary
        assert isinstance(canary, CanaryPresent)
        key = Key(namespace=f"team-{number}", name="web")
        world.weather = self.losses.look(key, world.state, canary, now)
        after = world.reconcile().requeue_after
        self.due[number] = now + max(after or timedelta(hours=1), timedelta(milliseconds=100))

    def run(self, struck: dict[int, timedelta], start: datetime, end: datetime) -> None:
        """Let runs lose their pods at their time; each looks then, and when it asked to."""
        self.due |= {number: start + after for number, after in struck.items()}
        while (now := min(self.due.values())) < end:
            number = min(self.due, key=self.due.__getitem__)
            if number in struck and now >= start + struck[number]:
                self.worlds[number].fates = UNREADY
            self.look(number, now)


def fleet(size: int) -> Fleet:
    """Return runs at a step, of which all pods serve."""
    first = at_weight(20)
    found = Fleet([replace(first, marks=dict(first.marks), weights=[]) for _ in range(size)])
    for number in range(size):
        found.look(number, first.now)
    return found


OFFSETS = st.lists(
    st.integers(0, int(PATIENCE.total_seconds() * 10) - 1).map(
        lambda tenths: timedelta(seconds=tenths / 10)
    ),
    min_size=MANY,
    max_size=7,
)


@settings(max_examples=50)
@given(OFFSETS, st.integers(0, 5))
def test_of_many_runs_that_fail_their_probes_at_once_none_is_refused(
    offsets: list[timedelta], others: int
) -> None:
    all_runs = fleet(len(offsets) + others)
    start = all_runs.worlds[0].now + SECOND
    struck = dict(enumerate(offsets))
    all_runs.run(struck, start, start + WINDOW + PATIENCE)
    assert not any(refused(world) for world in all_runs.worlds)
    assert {world.weights[0] for world in all_runs.worlds[: len(offsets)]} == {0}


@settings(max_examples=30)
@given(OFFSETS, st.integers(10, 35))
def test_of_many_runs_none_is_refused_by_a_successor_that_has_missed_their_losses(
    offsets: list[timedelta], away: int
) -> None:
    # Whoever looked so far dies before the first verdict is due; another takes over a while later.
    before = fleet(len(offsets))
    start = before.worlds[0].now + SECOND
    for number, offset in sorted(enumerate(offsets), key=lambda one: one[1]):
        before.worlds[number].fates = UNREADY
        before.look(number, start + offset)
    after = Fleet(before.worlds)
    for number in range(len(offsets)):
        after.look(number, start + timedelta(seconds=away))
    after.run({}, start, start + timedelta(seconds=away) + WINDOW)
    assert not any(refused(world) for world in after.worlds)


def test_a_successor_refuses_the_only_one_a_moment_after_it_began() -> None:
    runs = fleet(4)
    start = runs.worlds[0].now + SECOND
    runs.worlds[0].fates = UNREADY
    runs.look(0, start)
    after = Fleet(runs.worlds)
    began = start + timedelta(seconds=20)
    for number in range(4):
        after.look(number, began)
    after.run({}, began, began + PATIENCE)
    assert not refused(after.worlds[0])
    after.run({}, began, began + PATIENCE + SECOND)
    assert [refused(world) for world in after.worlds] == [True, False, False, False]


@pytest.mark.parametrize("size", [4, 8])
def test_of_many_runs_the_only_one_that_fails_its_probes_is_refused(size: int) -> None:
    all_runs = fleet(size)
    start = all_runs.worlds[0].now + SECOND
    all_runs.run({0: timedelta(0)}, start, start + PATIENCE + SECOND)
    assert [refused(world) for world in all_runs.worlds] == [True, *[False] * (size - 1)]
    assert all_runs.worlds[0].weights == [0]
