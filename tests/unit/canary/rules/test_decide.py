"""The rules of a run, on a world in miniature; every run also with a death at every step."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from canary.contract import Command
from canary.evidence.policy import Inconclusive, Policy
from canary.model.state import Phase
from canary.model.strategy import (
    FailureCount,
    Hook,
    HookType,
    InvalidStrategy,
    NoDataPolicy,
    Strategy,
)
from canary.model.traffic import Traffic
from canary.rules.actions import SaveState, SetTraffic
from canary.spec.steps import linear
from tests.fakes.world import STRATEGY, World

Story = Callable[[World], None]
MOST_WRITES = 110
"""More than any of the stories below takes."""


def with_hook(kind: HookType) -> Strategy:
    return replace(STRATEGY, hooks=(Hook(name="gate", type=kind, url="http://x"),))


def good(world: World) -> None:
    world.update("v2")


def bad(world: World) -> None:
    world.update("v2")
    world.values["v2"] = 20.0


def promoted(world: World) -> None:
    assert world.state.phase is Phase.SUCCEEDED
    assert (world.template, world.paused, world.held) == ("v2", False, False)
    assert world.pods == {"v2": 4}
    clean(world)


def refused(world: World) -> None:
    assert world.state.phase is Phase.FAILED
    assert (world.template, world.paused, world.held) == ("v2", True, True)
    assert world.pods == {"v1": 4}
    assert world.marks["refused"] == "v2"
    assert world.verdict
    clean(world)


def clean(world: World) -> None:
    assert (world.weight, world.canary) == (0, "")


@pytest.mark.parametrize("crash_at", [None, *range(MOST_WRITES)])
@pytest.mark.parametrize(
    ("story", "ending"), [(good, promoted), (bad, refused)], ids=["good", "bad"]
)
def test_a_run_ends_the_same_however_the_process_dies(
    story: Story, ending: Story, crash_at: int | None
) -> None:
    world = World()
    story(world)
    world.run(crash_at=crash_at)
    ending(world)


def test_a_good_version_takes_the_steps_and_is_promoted() -> None:
    world = World(strategy=with_hook(HookType.POST_ROLLOUT))
    world.update("v2")
    world.run()
    assert world.weights == [10, 20, 30, 40, 50, 0]
    assert world.post_rollouts == ["Succeeded"]
    assert "promoting" not in world.marks


def test_a_bad_version_is_refused_at_the_threshold_with_its_figures() -> None:
    world = World(strategy=with_hook(HookType.POST_ROLLOUT))
    bad(world)
    start = world.now
    world.run()
    assert world.weights == [10, 0]
    assert world.now - start < timedelta(minutes=4)
    rolled_back = next(text for text in world.events if text.startswith("Rolling back web.prod"))
    assert "threshold reached 3" in rolled_back
    assert "error-rate 20 > 1, above its bound by 19" in rolled_back
    assert world.post_rollouts == ["Failed"]


def until(world: World, condition: Callable[[], bool]) -> None:
    for _ in range(400):
        if condition():
            return
        decision = world.reconcile()
        world.roll()
        world.now += max(decision.requeue_after or timedelta(0), timedelta(milliseconds=100))
    raise AssertionError("it never came to that")


def test_a_refusal_while_it_rolls_undoes_the_promotion() -> None:
    world = World()
    world.strategy = replace(STRATEGY, threshold=1, interval=timedelta(seconds=10))
    world.update("v2")
    until(world, lambda: world.state.phase is Phase.PROMOTING and world.pods.get("v2", 0) > 0)
    world.values["v2"] = 20.0
    world.replicas, world.pods["v1"] = 400, 400  # a slow rollout: the next tick falls into it
    world.run()
    assert world.pods == {"v1": 400}
    assert world.state.phase is Phase.FAILED
    assert (world.paused, world.held) == (True, True)
    clean(world)


def test_a_crash_while_it_rolls_undoes_the_promotion_at_once() -> None:
    world = World(replicas=400, pods={"v1": 400})
    world.update("v2")
    until(world, lambda: world.state.phase is Phase.PROMOTING and world.pods.get("v2", 0) > 0)
    world.restarts, world.crash = 1, CRASH
    world.reconcile()
    assert (world.state.phase, world.weight) == (Phase.FAILED, 0)
    assert CRASH in world.state.message
    world.run()
    assert world.pods == {"v1": 400}


def test_a_crash_does_not_undo_what_a_person_promotes() -> None:
    world = World(replicas=40, pods={"v1": 40})
    world.update("v2")
    world.command(Command.PROMOTE)
    until(world, lambda: world.state.phase is Phase.PROMOTING and world.pods.get("v2", 0) > 0)
    world.restarts, world.crash = 1, CRASH
    world.run()
    assert world.pods == {"v2": 40}


@pytest.mark.parametrize("crash_at", range(12))
def test_an_undo_goes_on_after_a_death(crash_at: int) -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.state.phase is Phase.PROMOTING and world.pods.get("v2", 0) > 0)
    world.command(Command.ABORT)
    world.run(crash_at=crash_at)
    refused(world)


def test_a_newer_version_restarts_at_weight_zero() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 30)
    world.update("v3")
    world.run()
    assert world.weights == [10, 20, 30, 0, 10, 20, 30, 40, 50, 0]
    assert world.pods == {"v3": 4}


def test_a_newer_version_while_one_rolls_is_judged_against_the_old_stable() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.state.phase is Phase.PROMOTING and world.pods.get("v2", 0) > 0)
    world.update("v3")
    until(world, lambda: world.weight == 10)
    assert world.pods == {"v1": 4}
    assert world.state.stable == "v1"
    world.run()
    assert world.pods == {"v3": 4}


@pytest.mark.parametrize("weight", [0, 10, 50])
def test_the_stable_template_again_ends_the_run(weight: int) -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == weight and bool(world.canary))
    world.update("v1")
    world.run()
    assert world.state.phase is Phase.INITIALIZED
    assert world.pods == {"v1": 4}
    clean(world)


def test_a_refused_version_gets_no_second_run_until_somebody_asks() -> None:
    world = World()
    bad(world)
    world.run()
    world.update("v1")
    world.run()
    world.values.clear()
    world.weights.clear()
    world.update("v2")
    world.run()
    assert world.state.phase is Phase.FAILED
    assert world.weights == []
    world.command(Command.RETRY)
    world.run()
    promoted(world)
    assert any("retried by alice" in event for event in world.events)


@pytest.mark.parametrize("between", ["v1", "v3"], ids=["the stable", "another version"])
def test_a_refusal_is_remembered_though_something_else_was_pushed_before_it_was_marked(
    between: str,
) -> None:
    world = World()
    bad(world)
    until(world, lambda: world.decide().state.phase is Phase.FAILED)
    decision = world.decide()
    # The process dies with the verdict saved, and the push comes before the next one looks.
    world.carry_out(decision, decision.actions.index(SaveState()) + 1)
    assert "refused" not in world.marks
    world.update(between)
    until(world, lambda: world.state.candidate != "v2")
    assert world.marks["refused"] == "v2"
    world.weights.clear()
    world.update("v2")
    world.run()
    assert (world.state.phase, world.state.candidate) == (Phase.FAILED, "v2")
    assert world.weights == []


def test_promote_releases_without_waiting() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 10)
    world.command(Command.PROMOTE)
    world.run()
    promoted(world)
    assert world.weights == [10, 0]
    assert any("promoted by alice" in event for event in world.events)


def test_a_refused_version_can_be_promoted_all_the_same() -> None:
    world = World()
    bad(world)
    world.run()
    world.values.clear()
    world.command(Command.PROMOTE)
    world.run()
    promoted(world)


def test_abort_refuses() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 20)
    world.command(Command.ABORT)
    world.run()
    refused(world)
    assert not world.commands


def test_pause_keeps_the_weight_until_it_is_taken_back() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 20)
    world.command(Command.PAUSE)
    world.run(until=timedelta(minutes=20))
    assert world.weight == 20
    world.command(Command.PAUSE, "false")
    world.run()
    promoted(world)


def test_an_invalid_canary_keeps_the_hold_and_makes_nothing() -> None:
    world = World(strategy=InvalidStrategy(problems=("metric x: unknown",)))
    world.update("v2")
    world.run(until=timedelta(minutes=5))
    assert (world.held, world.canary, world.weights) == (True, "", [])
    assert "metric x: unknown" in world.state.message
    assert len([e for e in world.events if "metric x" in e]) == 1
    world.strategy = STRATEGY
    world.run()
    promoted(world)


def test_a_problem_in_the_middle_of_a_run_changes_no_weight() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 20)
    world.problems = ("Service gone",)
    world.run(until=timedelta(minutes=10))
    assert world.weight == 20
    world.problems = ()
    world.run()
    promoted(world)


@pytest.mark.parametrize(
    ("policy", "phase"),
    [
        (NoDataPolicy.HOLD, Phase.PROGRESSING),
        (NoDataPolicy.FAIL, Phase.FAILED),
        (NoDataPolicy.PASS, Phase.SUCCEEDED),
    ],
)
def test_no_data_is_what_the_policy_says(policy: NoDataPolicy, phase: Phase) -> None:
    world = World(strategy=replace(STRATEGY, no_data=policy))
    world.update("v2")
    world.values["v2"] = None
    world.run(until=timedelta(minutes=5))
    assert world.state.phase is Phase.PROGRESSING
    assert world.weight == 10
    assert "no values found" in world.state.message
    world.run(until=timedelta(hours=3))
    assert world.state.phase is phase


@pytest.mark.parametrize(
    ("count", "phase"),
    [(FailureCount.CONSECUTIVE, Phase.SUCCEEDED), (FailureCount.CUMULATIVE, Phase.FAILED)],
)
def test_failures_add_up_as_the_setting_says(count: FailureCount, phase: Phase) -> None:
    world = World(strategy=replace(STRATEGY, failure_count=count))
    world.update("v2")
    until(world, lambda: world.weight == 10)
    for minute in range(9):
        world.values["v2"] = 20.0 if minute % 2 else 0.0
        world.run(until=timedelta(minutes=1))
    world.values.clear()
    world.run()
    assert world.state.phase is phase


def test_an_incident_of_both_versions_holds_and_is_not_blamed_on_the_candidate() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 20)
    world.values = {"v1": 18.0, "v2": 20.0}
    world.run(until=timedelta(hours=2))
    assert (world.state.phase, world.weight) == (Phase.PROGRESSING, 20)
    assert "the stable is at 18, it misses it too" in world.state.message
    assert len([e for e in world.events if "misses it too" in e]) == 1
    world.values = {}
    world.run()
    promoted(world)


@pytest.mark.parametrize(
    ("then", "phase"),
    [
        (Inconclusive.HOLD, Phase.PROGRESSING),
        (Inconclusive.ROLLBACK, Phase.FAILED),
        (Inconclusive.PROMOTE, Phase.PROGRESSING),
    ],
)
def test_an_incident_that_outlasts_the_deadline_is_what_the_policy_says(
    then: Inconclusive, phase: Phase
) -> None:
    policy = Policy(on_inconclusive=then)
    world = World(strategy=replace(STRATEGY, policy=policy, decide_within=timedelta(minutes=20)))
    world.update("v2")
    world.values = {"v1": 18.0, "v2": 20.0}
    world.run(until=timedelta(minutes=19))
    assert world.state.phase is Phase.PROGRESSING
    world.run(until=timedelta(hours=1))
    assert world.state.phase is phase


@pytest.mark.parametrize("policy", [NoDataPolicy.FAIL, NoDataPolicy.PASS])
def test_an_incident_with_data_is_no_time_without(policy: NoDataPolicy) -> None:
    world = World(strategy=replace(STRATEGY, no_data=policy))
    world.update("v2")
    until(world, lambda: world.weight == 10)
    for value in (None, 20.0, None):
        world.values = {"v1": 18.0, "v2": value}
        world.run(until=timedelta(minutes=1 if value is None else 15))
        assert (world.state.phase, world.weight) == (Phase.PROGRESSING, 10), world.state.message


def test_an_incident_late_in_a_run_has_its_own_time() -> None:
    policy = Policy(on_inconclusive=Inconclusive.ROLLBACK)
    strategy = replace(STRATEGY, policy=policy, decide_within=timedelta(minutes=3))
    world = World(strategy=strategy)
    world.update("v2")
    until(world, lambda: world.weight == 50)
    world.values = {"v1": 18.0, "v2": 20.0}
    world.run(until=timedelta(minutes=2))
    world.values = {}
    world.run()
    promoted(world)


@pytest.mark.parametrize(
    "change",
    [
        lambda world: world.values.update(v1=2.0),
        lambda world: setattr(world, "strategy", replace(STRATEGY, policy=Policy(enabled=False))),
        lambda world: setattr(world, "strategy", replace(STRATEGY, steps=linear((60,)))),
    ],
    ids=["plainly worse", "evidence off: as Flagger", "too little of the stable is left"],
)
def test_an_incident_of_both_is_no_excuse_for(change: Callable[[World], None]) -> None:
    world = World()
    world.update("v2")
    world.values = {"v1": 18.0, "v2": 20.0}
    change(world)
    world.run()
    refused(world)


def test_a_pre_rollout_hook_keeps_traffic_away_until_it_passes() -> None:
    world = World(strategy=with_hook(HookType.PRE_ROLLOUT), refuse_hooks={"gate"})
    world.update("v2")
    world.run(until=timedelta(seconds=90))
    assert (world.weights, world.state.failed_checks) == ([], 2)
    world.refuse_hooks.clear()
    world.run()
    promoted(world)


@pytest.mark.parametrize("kind", [HookType.PRE_ROLLOUT, HookType.ROLLOUT])
def test_a_hook_that_keeps_failing_refuses(kind: HookType) -> None:
    world = World(strategy=with_hook(kind), refuse_hooks={"gate"})
    world.update("v2")
    world.run()
    refused(world)


def test_a_canary_that_crashes_is_refused_at_once() -> None:
    world = World(trouble="container app of pod x is in CrashLoopBackOff: Error, exit code 1")
    world.update("v2")
    start = world.now
    world.run()
    refused(world)
    assert world.now - start < timedelta(seconds=30)
    assert "exit code 1" in world.verdict


def test_a_canary_follows_its_scaled_target_without_losing_its_share() -> None:
    world = World(strategy=replace(STRATEGY, steps=linear((25, 50))))
    world.update("v2")
    until(world, lambda: world.weight == 25)
    size, world.replicas, world.pods = world.canary_size, 12, {"v1": 12}
    world.run()
    promoted_at(world, 12)
    assert world.canary_size > size
    assert world.weights == [25, 50, 0]


def promoted_at(world: World, replicas: int) -> None:
    assert world.state.phase is Phase.SUCCEEDED
    assert world.pods == {"v2": replicas}
    clean(world)


CRASH = "container app of pod x ended under traffic: OOMKilled, exit code 137"


def test_a_restart_under_traffic_is_refused_at_once_with_its_last_words() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 20)
    world.restarts, world.crash = 1, CRASH
    start = world.now
    world.run()
    refused(world)
    assert "OOMKilled, exit code 137" in world.verdict
    assert world.state.changed_at is not None
    assert world.state.changed_at - start < timedelta(seconds=1)


def test_a_restart_before_it_was_ready_is_forgiven() -> None:
    world = World(restarts=2, crash=CRASH)
    world.update("v2")
    world.run()
    promoted(world)


def test_a_canary_that_is_never_ready_is_refused_at_the_deadline() -> None:
    strategy = replace(STRATEGY, progress_deadline=timedelta(seconds=60))
    world = World(canary_ready=False, strategy=strategy)
    world.update("v2")
    world.run()
    refused(world)


def test_without_a_route_the_steps_go_on_and_the_status_says_so() -> None:
    world = World(routes=0)
    world.update("v2")
    until(world, lambda: world.state.weight == 10)
    assert "no live traffic is shifted" in world.state.message
    world.run()
    promoted(world)


def test_a_hold_of_the_serving_template_is_released() -> None:
    world = World(paused=True, held=True)
    world.run()
    assert (world.paused, world.held, world.template) == (False, False, "v1")
    clean(world)


def test_a_suspended_canary_waits() -> None:
    world = World(strategy=replace(STRATEGY, suspended=True))
    world.update("v2")
    world.run(until=timedelta(minutes=5))
    assert (world.held, world.canary) == (True, "")


def test_what_a_refusal_owes_is_done_although_the_canary_is_suspended_meanwhile() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 20)
    world.restarts, world.crash = 1, CRASH
    until(world, lambda: world.state.phase is Phase.FAILED)
    assert world.canary
    world.strategy = replace(STRATEGY, suspended=True)
    world.run(until=timedelta(minutes=5))
    refused(world)


def test_a_namespace_without_its_label_is_let_go() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 20)
    world.enabled = False
    world.run(until=timedelta(minutes=5))
    clean(world)
    assert (world.paused, world.held) == (True, False)
    assert world.pods == {"v1": 4}


def test_an_update_past_the_webhook_is_said_aloud() -> None:
    world = World()
    world.run()
    world.template = "v2"
    world.run()
    assert any("updated without a canary" in event for event in world.events)


def test_skip_analysis_promotes_once_the_canary_is_ready() -> None:
    world = World(strategy=replace(STRATEGY, skip_analysis=True))
    world.update("v2")
    world.run()
    promoted(world)


def test_no_step_is_skipped_by_a_process_that_died_before_the_route_was_written() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 10 and world.state.checked_at is not None)
    world.now += timedelta(minutes=1)
    world.reconcile()  # the metrics are asked
    decision = world.reconcile(crash_after=2)  # the event and the state, not the route
    assert decision.state.weight == 20
    world.now += timedelta(minutes=5)  # nobody takes over for a while
    world.run()
    assert world.weights == [10, 20, 30, 40, 50, 0]
    promoted(world)


def test_what_is_passed_over_is_said_when_the_run_starts() -> None:
    strategy = replace(STRATEGY, ignored=("analysis.mirror",), unknown=("x is not known",))
    world = World(strategy=strategy)
    world.update("v2")
    world.reconcile()
    assert any("analysis.mirror" in event for event in world.events)
    assert any("passed over: x is not known" in event for event in world.events)
    world.run()
    promoted(world)


def test_a_promotion_whose_old_pods_are_gone_is_never_undone() -> None:
    world = World()
    world.strategy = replace(STRATEGY, threshold=1)
    world.update("v2")
    until(world, lambda: world.state.phase is Phase.PROMOTING and not world.paused)
    world.pods = {"v2": 4}
    world.now += timedelta(minutes=2)
    world.values["v2"] = 20.0
    world.command(Command.ABORT)
    world.run()
    assert world.pods == {"v2": 4}
    assert world.state.phase is Phase.SUCCEEDED


def test_the_canary_is_on_the_route_before_it_gets_traffic() -> None:
    world = World()
    world.update("v2")
    world.reconcile()
    decision = world.reconcile()
    names = [type(action).__name__ for action in decision.actions]
    assert names[-3:] == ["EnsureRoute", "EnsureCanary", "SetTraffic"]
    assert decision.actions[-1] == SetTraffic(Traffic(0))
