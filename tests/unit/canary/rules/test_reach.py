"""What reaches the canary and what has to, through whole runs of a world in miniature."""

from datetime import timedelta
from typing import Any

import pytest

from canary.contract import Command, Reason
from canary.model.state import Phase
from canary.model.world import OnUnsuitable, Timing, Unsuitable
from canary.rules.actions import DeleteCanary, EnsureCanary, MarkTarget
from tests.fakes.world import World

STRANGER = "the canary's pods get traffic from Service lead too"
NOBODY = "its Service web-canary has no ready endpoint"
NOWHERE = "no HTTPRoute of its namespace leads to Service prod/web; found was GRPCRoute web"
PORT = "hostPort 8080"
UNSUITABLE = Unsuitable(why="deployment web selects by no label")
RELEASED = Unsuitable(why=UNSUITABLE.why, then=OnUnsuitable.RELEASE)
AGAIN = [10, 20, 30, 0, 10, 20, 30, 40, 50, 0]
"""The shares of a run that starts anew at 30 %."""


def held(**fields: Any) -> World:
    world = World(**fields)
    world.update("v2")
    return world


def until(world: World, so: Any) -> World:
    for _ in range(300):
        if so(world):
            return world
        decision = world.reconcile()
        world.roll()
        world.now += max(world.next_look(decision), timedelta(milliseconds=100))
    raise AssertionError(world.state)


def at_weight(weight: int) -> World:
    return until(held(), lambda world: world.weight == weight)


# --- a Service without a route -------------------------------------------------------------------


def test_a_run_without_a_route_waits_and_says_what_was_found_and_the_ways_out() -> None:
    world = held(routes=0, unrouted=NOWHERE)
    world.run(timedelta(hours=3))
    assert (world.state.phase, world.state.weight, world.canary) == (Phase.PROGRESSING, 0, "")
    assert world.pods == {"v1": 4}
    said = world.events[-1]
    assert NOWHERE in said
    assert "kubectl -n prod annotate deployment web headgate.dev/promote=now" in said
    assert "headgate.dev/canary=disabled" in said
    assert said == world.state.message


def test_a_route_that_comes_is_all_that_it_waited_for() -> None:
    world = held(routes=0, unrouted=NOWHERE)
    world.run(timedelta(minutes=1))
    world.routes = 1
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert world.weights == [10, 20, 30, 40, 50, 0]


def test_a_person_can_promote_what_has_no_route() -> None:
    world = held(routes=0, unrouted=NOWHERE)
    world.run(timedelta(minutes=1))
    world.command(Command.PROMOTE)
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_a_route_that_is_lost_in_mid_run_takes_no_step_and_a_crash_still_refuses() -> None:
    world = at_weight(20)
    world.routes, world.unrouted = 0, NOWHERE
    world.run(timedelta(hours=1))
    assert (world.state.phase, world.state.weight) == (Phase.PROGRESSING, 20)
    assert world.pods == {"v1": 4}
    world.weight = 0  # as it is read where there is no route
    world.trouble = "container app of pod p is in CrashLoopBackOff"
    world.run()
    assert world.state.phase is Phase.FAILED


def test_what_needs_no_route_is_judged_by_its_health() -> None:
    world = held(routes=0)
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


# --- a canary that nothing can reach --------------------------------------------------------------


def test_no_weight_before_there_is_a_ready_endpoint() -> None:
    world = held(unserved=NOBODY)
    world.run(timedelta(minutes=1))
    assert (world.state.phase, world.state.weight, world.weights) == (Phase.PROGRESSING, 0, [])
    assert NOBODY in world.state.message
    world.unserved = ""
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_an_endpoint_is_looked_for_closely_at_first_and_then_at_the_usual_pace() -> None:
    world = until(held(unserved=NOBODY), lambda world: world.state.reason == Reason.NO_ENDPOINT)
    assert world.reconcile().requeue_after == timedelta(milliseconds=200)
    world.now += timedelta(seconds=30)
    assert world.reconcile().requeue_after == Timing().poll


def test_the_share_goes_back_while_there_is_no_endpoint_and_returns_with_one() -> None:
    world = at_weight(20)
    world.unserved = NOBODY
    world.run(timedelta(minutes=5))
    assert (world.weight, world.state.weight) == (0, 20)
    assert NOBODY in world.state.message
    world.unserved = ""
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert world.weights == [10, 20, 0, 20, 30, 40, 50, 0]


def test_the_share_goes_back_in_a_promotion_too() -> None:
    world = until(at_weight(50), lambda world: world.state.phase is Phase.PROMOTING)
    world.unserved = NOBODY
    world.reconcile()
    assert (world.weight, world.state.phase) == (0, Phase.PROMOTING)
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


# --- a canary that others reach -------------------------------------------------------------------


def test_a_service_that_reaches_the_canary_ends_the_run_and_it_starts_anew() -> None:
    world = at_weight(30)
    world.misfit = STRANGER
    world.reconcile()
    assert (world.weight, world.state.weight, world.state.begun) == (0, 0, False)
    assert world.events[-1].endswith(STRANGER)
    while world.canary:
        decision = world.reconcile()
        assert EnsureCanary not in map(type, decision.actions)
        world.now += world.next_look(decision)
    world.misfit = ""
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert world.weights == AGAIN


def test_a_service_that_is_gone_in_time_leaves_the_canary_where_it_is() -> None:
    world = at_weight(30)
    world.misfit = STRANGER
    world.reconcile()
    world.misfit = ""
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert world.weights == AGAIN


@pytest.mark.parametrize("writes", range(1, 12))
def test_a_death_anywhere_in_it_loses_nothing(writes: int) -> None:
    world = at_weight(30)
    world.misfit = STRANGER
    decision = world.decide()
    world.carry_out(decision, min(writes, len(decision.actions)))
    until(world, lambda world: not world.canary)
    assert world.weight == 0
    world.misfit = ""
    world.run(crash_at=writes)
    assert world.state.phase is Phase.SUCCEEDED
    assert world.weights == AGAIN


# --- a target that can have no canary -------------------------------------------------------------


def test_what_can_have_no_canary_waits_until_it_is_mended() -> None:
    world = held(unsuitable=UNSUITABLE)
    world.run(timedelta(hours=1))
    assert world.events[-1] == f"web.prod stays held: {UNSUITABLE.why}"
    assert (world.paused, world.canary, world.pods) == (True, "", {"v1": 4})
    world.unsuitable = None
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_or_it_is_released_where_the_admin_wants_that_and_said_aloud() -> None:
    world = held(unsuitable=RELEASED)
    world.run()
    assert (world.paused, world.held, world.pods) == (False, False, {"v2": 4})
    assert world.events == [f"web.prod rolls out without analysis: {UNSUITABLE.why}"]
    assert (world.state.phase, world.state.stable) == (Phase.INITIALIZED, "v2")


def test_a_refused_version_is_not_released_for_that() -> None:
    world = held()
    world.run(timedelta(minutes=1))
    world.command(Command.ABORT)
    world.run()
    world.unsuitable = RELEASED
    world.run()
    assert (world.state.phase, world.paused) == (Phase.FAILED, True)


# --- what one pod has at a time -------------------------------------------------------------------


def test_the_canary_goes_before_the_pods_that_need_what_it_has() -> None:
    world, order = held(exclusive=PORT), list[str]()
    while world.state.phase is not Phase.SUCCEEDED:
        decision = world.reconcile()
        order += ["the canary goes"] * (DeleteCanary() in decision.actions)
        released = any(isinstance(it, MarkTarget) for it in decision.actions) and not world.paused
        order += ["the target rolls"] * released
        world.roll()
        assert not (world.canary and "v2" in world.pods)
        world.now += max(world.next_look(decision), timedelta(milliseconds=100))
    assert order[:2] == ["the canary goes", "the target rolls"]
    assert world.weights == [10, 20, 30, 40, 50, 0]
    assert any(it.startswith(PORT) for it in world.events)
    assert PORT in next(it for it in world.events if it.startswith("Promoting"))


@pytest.mark.parametrize("writes", range(1, 90, 3))
def test_a_death_anywhere_leaves_that_order(writes: int) -> None:
    world = held(exclusive=PORT)
    world.run(crash_at=writes)
    assert (world.state.phase, world.pods, world.canary) == (Phase.SUCCEEDED, {"v2": 4}, "")
