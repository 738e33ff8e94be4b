"""A stable that an autoscaler made smaller takes its traffic back as it grows, and no faster."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.contract import Command, Reason
from canary.model.state import Phase, State
from canary.model.strategy import Strategy
from canary.model.world import CanaryPresent, Revision
from canary.rules.capacity import HEADROOM, LONGEST, missing, pods_for_all, share_to_keep
from canary.rules.context import Observed
from canary.spec.steps import linear
from tests.fakes.world import STRATEGY, World

FULL_SIZE = 10
LONG: Strategy = replace(STRATEGY, steps=linear((50,)), interval=timedelta(minutes=5))


# --- the numbers -------------------------------------------------------------------------------


def state(weight: int, full_size: int = FULL_SIZE, needed: int = 0) -> State:
    return State(stable="v1", weight=weight, full_size=full_size, needed=needed)


def observed(ready: int, *, serves: bool = True) -> Observed:
    seen = World().observe()
    canary = CanaryPresent(template_hash="v2", replicas=5, ready=5 if serves else 0)
    stable = Revision(name="web-v1", template_hash="v1", replicas=ready, ready=ready)
    return replace(seen, canary=canary, revisions=(stable,))


@pytest.mark.parametrize(
    ("weight", "replicas", "needed"),
    [
        (50, 10, 0),  # no autoscaler, or one with nothing to do
        (50, 5, 10),
        (50, 6, 10),  # 12 by its share, and it never had more than 10
        (50, 2, 4),  # night fell: half of four, not of ten
        (10, 9, 10),
        (10, 5, 6),
        (100, 1, 10),
        (50, 14, 0),
        (0, 5, 0),  # it has all of the traffic already
    ],
)
def test_what_the_stable_lacks_for_all_of_the_traffic(
    weight: int, replicas: int, needed: int
) -> None:
    assert missing(state(weight), replicas) == needed


@pytest.mark.parametrize(("ready", "kept"), [(5, 38), (7, 13), (8, 0), (10, 0), (0, 50), (1, 50)])
def test_the_share_that_is_kept_is_what_the_stable_cannot_take(ready: int, kept: int) -> None:
    assert share_to_keep(observed(ready), state(50, needed=10)) == kept


def test_a_canary_of_which_no_pod_serves_keeps_nothing() -> None:
    assert share_to_keep(observed(5, serves=False), state(50, needed=10)) == 0


@given(st.integers(0, 100), st.integers(0, 60), st.integers(1, 50), st.integers(0, 60))
def test_no_share_grows_and_none_is_kept_beyond_the_stable_s_lack(
    weight: int, replicas: int, full_size: int, ready: int
) -> None:
    run = state(weight, full_size)
    needed = missing(run, replicas)
    kept = share_to_keep(observed(ready), replace(run, needed=needed))
    assert 0 <= kept <= weight
    assert needed == 0 or replicas < needed <= full_size
    if not needed:
        assert kept == 0
    elif kept < weight:
        # Within the rounding of a percent, the stable gets all that its pods take.
        assert 100 - kept == min(100, math.floor(100 * HEADROOM * ready / needed))


@given(st.integers(0, 100), st.integers(0, 60), st.integers(1, 50))
def test_more_pods_are_never_more_that_are_missing(
    weight: int, replicas: int, full_size: int
) -> None:
    run = state(weight, full_size)
    lack = missing(run, replicas) - replicas
    more = missing(run, replicas + 1) - (replicas + 1)
    assert max(0, more) <= max(0, lack) + math.ceil(100 / max(1, 100 - weight))
    assert pods_for_all(run, full_size) == full_size


# --- runs under an autoscaler ------------------------------------------------------------------


class Autoscaled(World):
    """A world whose target is sized by its load, every 15 seconds, as an HPA does."""

    looked = timedelta(0)

    def scale(self) -> None:
        """Give the stable as many pods as its share of ten pods' load asks for."""
        share = 100 - self.weight
        want = max(1, math.ceil(FULL_SIZE * share / 100))
        most = math.ceil(self.replicas * HEADROOM)  # what it can see: its pods are that busy
        self.replicas = min(want, most) if want > self.replicas else want
        if list(self.pods) == ["v1"]:
            self.pods = {"v1": self.replicas}


def under_load() -> Autoscaled:
    world = Autoscaled(strategy=LONG, replicas=FULL_SIZE, pods={"v1": FULL_SIZE})
    world.update("v2")
    until(world, lambda: world.weight == 50)
    world.scale()
    assert world.replicas == 5
    return world


def until(world: Autoscaled, condition: Callable[[], bool], seconds: int = 600) -> None:
    """Look every second, and have the autoscaler look every 15."""
    for second in range(seconds):
        if condition():
            return
        world.reconcile()
        if second % 15 == 14 and world.weight != 50:
            world.scale()
        world.now += timedelta(seconds=1)
    raise AssertionError("it never came to that")


def test_a_shrunken_stable_is_seen_and_said_before_it_matters() -> None:
    world = under_load()
    world.reconcile()
    assert world.state.needed == 10
    (said,) = [text for text in world.events if "needs about 10" in text]
    assert "web.prod has 5 pods beside its canary at weight 50" in said
    world.reconcile()
    assert [text for text in world.events if "needs about" in text] == [said]
    assert world.canary_size == 5, "the canary keeps the pods that its share needs"


def test_a_refusal_gives_the_traffic_back_as_the_stable_grows() -> None:
    world = under_load()
    world.restarts, world.crash = 1, "container app of pod x ended under traffic: OOMKilled"
    before = world.now
    until(world, lambda: world.state.phase is Phase.FAILED)
    assert world.now - before <= timedelta(seconds=1), "the verdict itself waits for nothing"
    assert world.marks["refused"] == "v2"
    assert "keeps" not in world.verdict
    assert world.weight == 38
    assert "it keeps 38 % of the traffic, for 180 s at most" in world.state.message
    until(world, lambda: world.weight == 0)
    assert world.state.message == world.verdict
    assert world.weights == [50, 38, 13, 0]
    assert world.now - before < LONGEST
    drained = world.now
    until(world, lambda: world.canary == "")
    assert world.now - drained >= timedelta(seconds=5), "its connections get their time"


def test_a_stable_that_does_not_grow_gets_all_the_same_after_a_while() -> None:
    world = under_load()
    world.command(Command.ABORT)
    before = world.now
    world.reconcile()
    assert (world.state.reason, world.weight) == (Reason.ABORTED, 38)
    world.run()
    assert (world.weight, world.canary) == (0, "")
    assert LONGEST <= world.now - before <= LONGEST + timedelta(minutes=1)


def test_a_second_abort_gives_all_of_it_back_at_once() -> None:
    world = under_load()
    world.command(Command.ABORT)
    world.reconcile()
    world.command(Command.ABORT)
    world.reconcile()
    assert (world.weight, world.state.weight, world.commands) == (0, 0, set())


def test_a_canary_that_serves_no_more_keeps_nothing() -> None:
    world = under_load()
    world.command(Command.ABORT)
    world.reconcile()
    world.canary_ready = False
    world.reconcile()
    assert world.weight == 0


@pytest.mark.parametrize("template", ["v1", "v3"])
def test_a_revert_or_a_new_template_while_a_share_is_kept_takes_it(template: str) -> None:
    world = under_load()
    world.command(Command.ABORT)
    world.reconcile()
    world.update(template)
    world.reconcile()
    assert world.weight == 0


def test_without_an_autoscaler_a_refusal_takes_all_at_once() -> None:
    world = Autoscaled(strategy=LONG, replicas=FULL_SIZE, pods={"v1": FULL_SIZE})
    world.update("v2")
    until(world, lambda: world.weight == 50)
    world.command(Command.ABORT)
    world.reconcile()
    assert world.weights == [50, 0]


@pytest.mark.parametrize("crash_at", range(40))
def test_a_kept_share_ends_however_the_process_dies(crash_at: int) -> None:
    world = under_load()
    world.command(Command.ABORT)
    world.run(crash_at=crash_at)
    assert (world.state.phase, world.weight, world.canary) == (Phase.FAILED, 0, "")
    assert world.marks["refused"] == "v2"
