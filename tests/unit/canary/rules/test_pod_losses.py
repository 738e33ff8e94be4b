"""Runs whose canary loses its pods, on a world in miniature: waited for, and never refused."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.contract import Command, Reason
from canary.evidence.counters import Stratum
from canary.evidence.policy import Policy
from canary.model.fates import (
    Calm,
    Fate,
    Incident,
    Serving,
    Starting,
    Taken,
    Taking,
    Unheard,
    Unready,
)
from canary.model.state import Outcome, Phase
from canary.model.strategy import Strategy
from canary.model.traffic import Traffic
from canary.objects.status import state_from_status, status_from_state
from canary.rules.actions import SaveState, SetTraffic
from canary.spec.steps import linear
from tests.fakes.world import METRIC, START, STRATEGY, World

POD = "web-canary-a"
EVICTED = Taken(pod=POD, how=Taking.EVICTED, words="Eviction API: evicting")
NEXT = Starting(pod="web-canary-b", why="ContainerCreating")
STUCK = Starting(pod="web-canary-b", why="Unschedulable: 0/1 nodes are available")
CRASH = "container app of pod x ended under traffic: Error, exit code 1"
STORM = Incident(lost=128, running=300, latest=START)
QUICK = replace(STRATEGY, progress_deadline=timedelta(minutes=2))

By = tuple[Fate, ...]


def until(world: World, condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        decision = world.reconcile()
        world.roll()
        world.now += max(decision.requeue_after or timedelta(0), timedelta(milliseconds=100))
    raise AssertionError("it never came to that")


def at_weight(weight: int, world: World | None = None) -> World:
    """Return a world whose run has come to a step."""
    world = world or World()
    world.update("v2")
    until(world, lambda: world.weight == weight)
    return world


def without_share(world: World) -> None:
    assert (world.weight, world.state.phase) == (0, Phase.PROGRESSING)
    assert world.state.reason == Reason.PODS_LOST


def promoted(world: World) -> None:
    assert world.state.phase is Phase.SUCCEEDED
    assert (world.template, world.pods, world.canary) == ("v2", {"v2": 4}, "")
    assert "refused" not in world.marks


@pytest.mark.parametrize(
    "fates",
    [
        (EVICTED,),
        (EVICTED, NEXT),
        (Taken(pod=POD, how=Taking.PREEMPTED), STUCK),
        (Taken(pod=POD, how=Taking.DELETED),),
        (Unheard(pod=POD),),
        (NEXT,),
        (EVICTED, Unready(pod="web-canary-c")),
    ],
    ids=str,
)
def test_a_run_whose_pods_were_taken_waits_for_them_and_goes_on_at_its_step(fates: By) -> None:
    world = at_weight(20)
    world.fates = fates
    decision = world.reconcile()
    assert decision.actions[0] == SetTraffic(Traffic(0)), (
        "no share for what has no pods, before all else"
    )
    without_share(world)
    until(world, lambda: world.now - START > timedelta(minutes=6))
    without_share(world)
    assert world.state.step == 1
    world.fates = ()
    world.run()
    promoted(world)
    assert world.weights == [10, 20, 0, 20, 30, 40, 50, 0]
    assert world.state.failed_checks == 0


def test_what_happened_is_said_once_and_stands_in_the_status() -> None:
    world = at_weight(20)
    world.fates = (EVICTED, NEXT)
    until(world, lambda: world.weight == 0)
    said = f"pod {POD} was evicted (Eviction API: evicting); the stable serves all of web.prod"
    assert world.state.message.startswith(said)
    world.fates = (NEXT,)
    before = world.state
    assert SaveState() not in world.reconcile().actions, "nothing new is nothing to write"
    assert world.state == before
    world.fates = (STUCK,)
    world.reconcile()
    assert "pod web-canary-b waits: Unschedulable" in world.state.message
    assert len([text for text in world.events if "the stable serves all" in text]) == 1


def test_the_step_that_was_interrupted_is_judged_for_its_whole_interval_again() -> None:
    world = at_weight(20)
    world.now += timedelta(seconds=50)
    world.fates = (EVICTED,)
    until(world, lambda: world.weight == 0)
    world.fates = ()
    until(world, lambda: world.weight == 20)
    back = world.state.stepped_at
    assert back is not None
    until(world, lambda: world.weight == 30)
    assert world.state.stepped_at is not None
    assert world.state.stepped_at - back >= timedelta(minutes=1)


def test_the_next_check_looks_at_no_time_without_pods() -> None:
    metric = replace(METRIC, interval=timedelta(minutes=3))
    world = at_weight(20, World(strategy=replace(STRATEGY, metrics=(metric,))))
    world.fates = (EVICTED,)
    until(world, lambda: world.weight == 0)
    world.fates = ()
    until(world, lambda: world.weight == 20)
    asked, back = world.metrics_asked, world.state.stepped_at
    assert back is not None
    until(world, lambda: world.metrics_asked > asked)
    assert world.now - back >= timedelta(minutes=3)


def test_what_is_counted_while_pods_are_lost_is_no_evidence() -> None:
    world = World(strategy=replace(STRATEGY, policy=Policy()))
    world.strata["v2"] = Stratum(0, 20, 0, 180)
    at_weight(20, world)
    world.fates = (EVICTED,)
    until(world, lambda: world.weight == 0)
    kept = world.state.evidence
    assert world.now.timestamp() - kept["at"] <= 10, "stored as the pods went"
    world.strata["v2"] = Stratum(20, 20, 0, 180)
    until(world, lambda: world.now.timestamp() - kept["at"] > 120)
    without_share(world)
    assert world.state.evidence == kept


def test_a_run_that_keeps_losing_its_pods_says_so_and_goes_on() -> None:
    world = at_weight(20)
    for _ in range(5):
        world.fates = (EVICTED,)
        until(world, lambda: world.weight == 0)
        world.fates = ()
        until(world, lambda: world.weight == 20)
    assert any("(5 times in this run)" in text for text in world.events)
    world.run()
    promoted(world)


def test_pods_that_do_not_come_back_end_the_run_without_a_verdict() -> None:
    world = at_weight(20, World(strategy=QUICK))
    world.fates = (STUCK,)
    lost = world.now
    world.run()
    assert world.state.phase is Phase.FAILED
    assert world.state.reason == Reason.PROGRESS_DEADLINE
    assert "pods are not back after 120 s: pod web-canary-b waits: Unschedul" in world.given_up
    assert ("refused" in world.marks, world.verdict) == (False, "")
    assert (world.weight, world.canary, world.pods) == (0, "", {"v1": 4})
    assert world.state.changed_at is not None
    assert world.state.changed_at - lost < timedelta(minutes=2, seconds=10)
    world.fates = ()
    world.command(Command.RETRY)
    world.run()
    promoted(world)


def test_a_canary_that_somebody_deleted_is_made_again() -> None:
    world = at_weight(20)
    world.canary = ""
    decision = world.reconcile()
    assert decision.actions[0] == SetTraffic(Traffic(0))
    assert world.canary == "v2"
    assert "the canary's Deployment was deleted" in world.state.message
    world.fates = (NEXT,)
    world.reconcile()
    without_share(world)
    world.fates = ()
    world.run()
    promoted(world)
    assert world.weights == [10, 20, 0, 20, 30, 40, 50, 0]


@pytest.mark.parametrize("crash_at", range(60))
def test_a_loss_is_survived_however_the_process_dies(crash_at: int) -> None:
    world = at_weight(20)
    world.fates = (EVICTED, NEXT)
    world.run(until=timedelta(seconds=20), crash_at=crash_at if crash_at < 8 else None)
    without_share(world)
    world.fates = ()
    world.run(crash_at=crash_at if crash_at >= 8 else None)
    promoted(world)


def test_what_a_run_knows_of_its_loss_is_stored() -> None:
    world = at_weight(20)
    world.fates = (EVICTED,)
    until(world, lambda: world.weight == 0)
    stored = status_from_state(world.state, previous={}, generation=1, now=world.now)
    assert state_from_status(stored) == world.state
    assert (world.state.step, world.state.losses) == (1, 1)


def test_a_share_that_somebody_puts_back_meanwhile_is_taken_again() -> None:
    world = at_weight(20)
    world.fates = (EVICTED,)
    until(world, lambda: world.weight == 0)
    world.weight = 20
    world.reconcile()
    without_share(world)


def test_a_share_comes_back_when_as_many_pods_are_ready_as_it_needs() -> None:
    world = at_weight(20)
    world.fates = (EVICTED, NEXT)
    until(world, lambda: world.weight == 0)
    world.fates = (Serving(pod="b"), NEXT)
    world.run(until=timedelta(minutes=3))
    without_share(world)


def test_an_abort_and_a_new_template_act_at_once_while_pods_are_lost() -> None:
    world = at_weight(20)
    world.fates = (EVICTED,)
    until(world, lambda: world.weight == 0)
    other = replace(world, marks=dict(world.marks), commands=set(), events=[])
    world.command(Command.ABORT)
    world.reconcile()
    assert (world.state.phase, world.state.reason) == (Phase.FAILED, Reason.ABORTED)
    other.update("v3")
    other.reconcile()
    assert (other.state.candidate, other.state.begun) == ("v3", False)
    assert (other.state.lost_since, other.state.losses) == (None, 0)


@pytest.mark.parametrize(
    "lose",
    [
        lambda world: setattr(world, "fates", (EVICTED,)),
        lambda world: setattr(world, "canary", ""),
    ],
    ids=["evicted", "deleted by hand"],
)
def test_while_a_candidate_rolls_its_canary_s_share_is_served_by_the_target(
    lose: Callable[[World], None],
) -> None:
    world = World(replicas=40, pods={"v1": 40})
    world.update("v2")
    until(world, lambda: world.state.phase is Phase.PROMOTING and world.pods.get("v2", 0) > 0)
    lose(world)
    until(world, lambda: world.weight == 0)
    assert (world.state.phase, world.state.reason) == (Phase.PROMOTING, Reason.PODS_LOST)
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert world.pods == {"v2": 40}


@pytest.mark.parametrize(
    "stop",
    [
        lambda world: setattr(world, "problems", ("a Service is missing",)),
        lambda world: setattr(world, "strategy", replace(world.strategy, suspended=True)),
        lambda world: setattr(world, "held", False),
    ],
    ids=["a problem", "suspended", "paused by its team"],
)
def test_a_run_that_stands_still_gives_no_share_to_what_does_not_serve(
    stop: Callable[[World], None],
) -> None:
    world = at_weight(20)
    stop(world)
    world.reconcile()
    assert world.weight == 20
    world.fates = (EVICTED,)
    world.reconcile()
    assert world.weight == 0
    world.problems, world.strategy, world.held, world.fates = (), STRATEGY, True, ()
    world.run()
    promoted(world)


# --- some of the pods --------------------------------------------------------------------------


def test_some_pods_that_were_taken_hold_the_weight_and_count_neither_way() -> None:
    world = at_weight(20)
    world.fates = (Serving(pod="a"), EVICTED, NEXT)
    until(world, lambda: world.now - START > timedelta(minutes=7))
    assert (world.weight, world.state.failed_checks) == (20, 0)
    assert world.state.reason == Reason.PODS_LOST
    assert "until its canary's pods are replaced: 1 of 2 canary" in world.state.message
    assert [check.outcome for check in world.state.checks].count(Outcome.LOST) == 1
    assert len([text for text in world.events if "are replaced" in text]) == 1
    world.fates = ()
    world.run()
    promoted(world)


def test_a_pod_that_fails_its_own_probe_counts_also_beside_one_that_was_taken() -> None:
    world = at_weight(20)
    world.fates = (Serving(pod="a"), Unready(pod="b"), EVICTED)
    until(world, lambda: world.state.failed_checks == 1)
    assert "1 of 2 canary pods are ready" in world.state.message


def test_metrics_that_fail_count_also_while_pods_are_replaced() -> None:
    world = at_weight(20)
    world.fates = (Serving(pod="a"), EVICTED)
    world.values["v2"] = 20.0
    world.run()
    assert world.marks["refused"] == "v2"


def test_some_pods_that_do_not_come_back_end_the_run_without_a_verdict() -> None:
    world = at_weight(20, World(strategy=QUICK))
    world.fates = (Serving(pod="a"), STUCK)
    world.run()
    assert world.state.reason == Reason.PROGRESS_DEADLINE
    assert ("refused" in world.marks, world.canary) == (False, "")
    assert "1 of 2 canary pods are ready, and no more came in 120 s" in world.given_up


# --- an incident of the cluster ----------------------------------------------------------------


@pytest.mark.parametrize(
    "struck",
    [
        {"fates": (Unready(pod="a"), Unready(pod="b"))},
        {"crash": CRASH, "restarts": 1},
        {"trouble": CRASH},
    ],
    ids=["probes fail", "crash", "no start"],
)
def test_in_an_incident_of_the_cluster_nothing_that_pods_do_is_held_against_them(
    struck: dict[str, Any],
) -> None:
    world = replace(at_weight(20), weather=STORM, **struck)
    until(world, lambda: world.now - START > timedelta(minutes=6))
    assert world.state.phase is Phase.PROGRESSING
    assert world.state.reason in {Reason.CLUSTER_INCIDENT, Reason.PODS_LOST}
    assert (world.state.failed_checks, world.state.step) == (0, 1)
    # How a container ended stands in its pod for as long as it lives; it was forgiven.
    world.weather, world.fates, world.trouble = Calm(), (), ""
    world.run()
    promoted(world)


def test_an_incident_is_said_with_its_figures_and_nobody_steps_meanwhile() -> None:
    world = at_weight(20)
    world.weather = STORM
    until(world, lambda: world.now - START > timedelta(minutes=6))
    assert world.weight == 20
    assert world.state.reason == Reason.CLUSTER_INCIDENT
    said = [text for text in world.events if text.startswith("128 of 300 runs lost pods")]
    assert len(said) == 1


def test_a_crash_that_goes_on_after_an_incident_is_refused() -> None:
    world = at_weight(20)
    world.weather = STORM
    world.restarts, world.crash = 1, CRASH
    until(world, lambda: world.now - START > timedelta(minutes=4))
    world.weather, world.restarts = Calm(), 2
    world.reconcile()
    assert world.marks["refused"] == "v2"


def test_a_run_gets_no_first_weight_in_an_incident() -> None:
    world = World(weather=STORM)
    world.update("v2")
    world.run(until=timedelta(minutes=2))
    assert (world.weights, world.state.begun) == ([], False)
    world.weather = Calm()
    world.run()
    promoted(world)


def test_the_very_share_that_was_lost_comes_back_also_where_the_steps_were_edited() -> None:
    world = at_weight(20)
    world.fates = (EVICTED,)
    until(world, lambda: world.weight == 0)
    assert isinstance(world.strategy, Strategy)
    world.strategy = replace(world.strategy, steps=linear((50, 80)))
    world.fates = ()
    world.run()
    assert world.weights == [10, 20, 0, 20, 50, 80, 0]
