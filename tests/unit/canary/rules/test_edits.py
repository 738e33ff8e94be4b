"""Settings that change in mid-run: a team's hold at the next tick, the admin's in the next run."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from canary.contract import Command
from canary.model.state import Phase, State
from canary.model.steps import canary_size
from canary.model.strategy import InvalidStrategy, Strategy
from canary.objects.status import state_from_status, status_from_state
from canary.spec.steps import linear
from tests.fakes.world import STRATEGY, World

THEN = {"interval": "30s", "weights": "10,20"}
LATER = {"interval": "5s", "weights": "99"}


def until(world: World, condition: Callable[[], bool], seconds: int = 900) -> None:
    """Look every second."""
    for _ in range(seconds):
        if condition():
            return
        world.reconcile()
        world.roll()
        world.now += timedelta(seconds=1)
    raise AssertionError("it never came to that")


def at_weight(weight: int) -> World:
    world = World(defaults=THEN)
    world.update("v2")
    until(world, lambda: world.weight == weight)
    return world


def edit(world: World, *weights: int, **changes: object) -> None:
    """Change the Canary, as its team does."""
    assert isinstance(world.strategy, Strategy)
    steps = {"steps": linear(weights)} if weights else {}
    world.strategy = replace(world.strategy, **steps, **changes)  # type: ignore[arg-type]


# --- a team's edit -----------------------------------------------------------------------------


def test_a_weight_beyond_the_last_step_is_judged_once_more_and_then_promoted() -> None:
    world = at_weight(50)
    edit(world, 10, 20)
    asked, edited_at = world.metrics_asked, world.now
    until(world, lambda: world.state.phase is Phase.PROMOTING)
    assert world.metrics_asked > asked
    assert world.now - edited_at <= STRATEGY.interval + timedelta(seconds=2)
    assert world.weights == [10, 20, 30, 40, 50]
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_a_weight_beyond_the_last_step_is_not_promoted_where_that_check_fails() -> None:
    world = at_weight(50)
    edit(world, 10, 20)
    world.values["v2"] = 7.0
    until(world, lambda: world.state.phase is Phase.FAILED)
    assert "failed checks threshold reached 3" in world.verdict
    assert world.weights == [10, 20, 30, 40, 50, 0]


def test_smaller_steps_leave_the_canary_the_pods_that_its_share_needs() -> None:
    world = at_weight(50)
    edit(world, 10, 20)
    for _ in range(30):
        world.reconcile()
        world.now += timedelta(seconds=1)
    assert world.canary_size == canary_size(world.replicas, (50,))


def test_pods_that_were_deleted_come_back_for_the_share_that_was_theirs() -> None:
    world = at_weight(50)
    edit(world, 10)
    world.canary, world.canary_size = "", 0
    until(world, lambda: world.canary == "v2")
    assert world.canary_size == canary_size(world.replicas, (50,))


def test_larger_steps_make_the_canary_larger_before_they_are_taken() -> None:
    world = at_weight(20)
    world.replicas, world.pods = 10, {"v1": 10}
    edit(world, 10, 20, 90)
    until(world, lambda: world.weight == 90)
    assert world.canary_size == canary_size(10, (90,))
    assert world.weights == [10, 20, 90]


def test_an_interval_that_is_made_shorter_holds_for_the_tick_that_is_due_next() -> None:
    world = at_weight(20)
    edit(world, interval=timedelta(seconds=10))
    edited_at = world.now
    until(world, lambda: world.weight == 30)
    assert world.now - edited_at <= timedelta(seconds=12)


def test_a_threshold_that_is_made_lower_holds_for_the_next_failed_check() -> None:
    world = at_weight(20)
    world.values["v2"] = 7.0
    until(world, lambda: world.state.failed_checks == 1)
    edit(world, threshold=1)
    until(world, lambda: world.state.phase is Phase.FAILED)
    assert "failed checks threshold reached 2" in world.verdict


@pytest.mark.parametrize("suspended", [True, False])
def test_an_edit_that_cannot_be_followed_takes_no_weight(*, suspended: bool) -> None:
    world = at_weight(30)
    before, invalid = world.strategy, InvalidStrategy(problems=("no",))
    world.strategy = replace(STRATEGY, suspended=True) if suspended else invalid
    for _ in range(200):
        world.reconcile()
        world.now += timedelta(seconds=1)
    assert (world.weight, world.state.phase) == (30, Phase.PROGRESSING)
    world.strategy = before
    world.run()
    assert world.weights == [10, 20, 30, 40, 50, 0]


def test_an_edit_that_is_not_followed_takes_no_step_and_is_said_once() -> None:
    world = at_weight(30)
    world.not_followed = ("analysis.stepWeights: must rise",)
    for _ in range(200):
        world.reconcile()
        world.now += timedelta(seconds=1)
    assert (world.weight, world.state.reason) == (30, "EditNotFollowed")
    said = [text for text in world.events if "must rise" in text]
    assert said == [world.state.message]
    world.not_followed = ()
    world.run()
    assert world.weights == [10, 20, 30, 40, 50, 0]


def test_a_bad_version_is_refused_whatever_its_canary_was_edited_into() -> None:
    world = at_weight(30)
    world.not_followed = ("analysis.stepWeights: must rise",)
    world.values["v2"] = 7.0
    until(world, lambda: world.state.phase is Phase.FAILED)
    assert "failed checks threshold reached 3" in world.verdict


# --- what is in force is in the status ---------------------------------------------------------


def test_what_is_in_force_is_shown_from_the_start_and_with_the_tick_that_follows_an_edit() -> None:
    world = at_weight(10)
    assert world.state.in_force["stepWeights"] == [10, 20, 30, 40, 50]
    edit(world, 10, 70)
    until(world, lambda: world.weight == 70)
    assert world.state.in_force["stepWeights"] == [10, 70]
    world.run()
    assert world.state.in_force["stepWeights"] == [10, 70], "what it was judged by stays"


def test_what_cannot_be_followed_is_not_in_force() -> None:
    world = at_weight(10)
    world.strategy = InvalidStrategy(problems=("no",))
    for _ in range(120):
        world.reconcile()
        world.now += timedelta(seconds=1)
    assert world.state.in_force["stepWeights"] == [10, 20, 30, 40, 50]


def test_a_run_keeps_the_defaults_of_its_start_and_the_next_one_has_those_of_its_day() -> None:
    world = at_weight(10)
    world.defaults = LATER
    world.die()
    until(world, lambda: world.weight == 50)
    assert world.state.defaults == THEN
    world.update("v3")
    until(world, lambda: world.weight == 10 and world.state.candidate == "v3")
    assert world.state.defaults == LATER


def test_a_run_that_starts_anew_keeps_its_defaults() -> None:
    world = at_weight(20)
    world.defaults = LATER
    world.replicas = 0
    until(world, lambda: world.state.reason == "ScaledToZero")
    world.replicas = 4
    until(world, lambda: world.weight == 10)
    assert world.state.defaults == THEN


def test_a_retried_version_has_the_defaults_of_its_day() -> None:
    world = at_weight(10)
    world.values["v2"] = 7.0
    until(world, lambda: world.state.phase is Phase.FAILED)
    world.defaults, world.values["v2"] = LATER, 0.0
    world.command(Command.RETRY)
    until(world, lambda: world.state.phase is Phase.PROGRESSING)
    assert world.state.defaults == LATER


def test_a_version_that_is_promoted_before_its_run_begins_has_the_defaults_of_its_day() -> None:
    world = at_weight(10)
    world.run()
    world.defaults = LATER
    world.update("v3")
    world.command(Command.PROMOTE)
    until(world, lambda: world.state.phase is Phase.PROMOTING)
    assert world.state.defaults == LATER


def test_both_survive_the_way_through_the_status_and_leave_nothing_behind() -> None:
    state = replace(
        State(),
        reason="Initialized",
        defaults=THEN,
        in_force={"threshold": 3, "metrics": []},
        accepted={"spec": {"analysis": {}}, "annotations": {}},
    )
    status = status_from_state(state, previous={}, generation=1, now=World().now)
    assert state_from_status(status) == state
    later = replace(state, defaults={"interval": "5s"}, in_force={"threshold": 1})
    patch = status_from_state(later, previous=status, generation=1, now=World().now)
    merged = {**status["run"]["defaults"], **patch["run"]["defaults"]}
    assert {name: text for name, text in merged.items() if text is not None} == later.defaults
    for strange in (["x"], 1, "{"):
        run = {"defaults": strange, "inForce": strange, "accepted": strange}
        found = state_from_status({"run": run})
        assert (found.defaults, found.in_force, found.accepted) == ({}, {}, {})
    gone = status_from_state(State(), previous=status, generation=1, now=World().now)
    assert (gone["run"]["defaults"], gone["run"]["inForce"]) == (None, None)
