"""Rules and words that the chronicles do not come to: each answer in full."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.contract import HOLD, NAMESPACE_LABEL, REQUESTED_BY, STABLE, Command
from canary.model.asking import Sample
from canary.model.state import Outcome, Phase, State
from canary.model.strategy import Builtin, InvalidStrategy, Metric
from canary.model.traffic import Traffic
from canary.model.world import CanaryPresent, Hold, OnUnsuitable, Target
from canary.rules.actions import Emit, EndProgress, MarkTarget, Pause, ScaleDownRevision
from canary.rules.beside_flagger import left_alone
from canary.rules.checks import check_all, check_sample, overall, summary
from canary.rules.context import Context
from canary.rules.decide import DEFAULT_TIMING, decide
from canary.rules.denied import ask_again_in, denied
from canary.rules.former import takes_over
from canary.rules.notices import noticed_at_rest
from canary.rules.released import undo_goes_on
from tests.fakes.world import KEY, START, STRATEGY, World

FLAGGER = "Deployment infra/flagger runs Flagger"
HELD = Target(hold=Hold.OURS, template_hash="v2", replicas=4)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("hold", [Hold.NONE, Hold.THEIRS])
@pytest.mark.parametrize("then", OnUnsuitable)
def test_beside_a_flagger_what_is_not_held_is_left_alone(hold: Hold, then: OnUnsuitable) -> None:
    target = replace(HELD, hold=hold, commands=frozenset({Command.PROMOTE}))
    assert left_alone(KEY, target, FLAGGER, then) == ()


@pytest.mark.parametrize(
    ("commands", "by", "then", "who"),
    [
        ({Command.PROMOTE, Command.ABORT}, "alice", OnUnsuitable.HOLD, " (promoted by alice)"),
        ({Command.PROMOTE}, "", OnUnsuitable.RELEASE, " (promoted by an annotation)"),
        ({Command.ABORT}, "alice", OnUnsuitable.RELEASE, ""),
        (set(), "", OnUnsuitable.RELEASE, ""),
    ],
)
def test_beside_a_flagger_it_is_released_where_somebody_wants_that(
    commands: set[Command], by: str, then: OnUnsuitable, who: str
) -> None:
    target = replace(HELD, commands=frozenset(commands), requested_by=by)
    gone = (HOLD, STABLE, REQUESTED_BY, *sorted(map(str, commands)))
    assert left_alone(KEY, target, FLAGGER, then) == (
        Emit("FlaggerAtWork", f"web.prod rolls out without analysis{who}: {FLAGGER}", warning=True),
        MarkTarget(dict.fromkeys(gone), Pause.CLEARED),
    )


def test_beside_a_flagger_it_stays_held_and_what_to_do_is_said() -> None:
    target = replace(HELD, commands=frozenset({Command.RETRY}))
    message = (
        f"web.prod stays held, and nothing is made for it: {FLAGGER}, and Flagger would take it "
        f"up. Keep Flagger from this namespace, or take the label {NAMESPACE_LABEL} off it and "
        "resume the Deployment. To release it unjudged: kubectl -n prod annotate deployment web "
        "headgate.dev/promote=now"
    )
    assert left_alone(KEY, target, FLAGGER, OnUnsuitable.HOLD) == (
        Emit("FlaggerAtWork", message, warning=True),
        EndProgress(message),
    )


RATE = Metric(name="rate", source=Builtin.SUCCESS_RATE, minimum=99, leeway=0.25)
TIME = Metric(name="time", source=Builtin.DURATION, maximum=500, leeway=0.25)
OWN = Metric(name="own", source="q", minimum=1, maximum=10)


@pytest.mark.parametrize(
    ("metric", "value", "baseline", "said"),
    [
        (RATE, 99, None, "passed rate 99% is within its bound [99]"),
        (RATE, 98.9, None, "failed rate 98.9% < 99%, below its bound by 0.1% [99]"),
        (RATE, 98.01, 99, "passed rate 98.01% is within its bound [98.01]"),
        (RATE, 97, 99, "failed rate 97% < 98.01%, below its bound by 1.01% [98.01]"),
        (RATE, 98, 100, "failed rate 98% < 99%, below its bound by 1% [99]"),
        (TIME, 500, None, "passed time 500ms is within its bound [500]"),
        (TIME, 501, None, "failed time 501ms > 500ms, above its bound by 1ms [500]"),
        (TIME, 1000, 800, "passed time 1000ms is within its bound [1000.0]"),
        (TIME, 1001, 800, "failed time 1001ms > 1000ms, above its bound by 1ms [1000.0]"),
        (TIME, 501, 100, "failed time 501ms > 500ms, above its bound by 1ms [500]"),
        (OWN, 1, None, "passed own 1 is within its bound [10]"),
        (OWN, 10, 0, "passed own 10 is within its bound [10]"),
        (OWN, 0.125, 50, "failed own 0.12 < 1, below its bound by 0.88 [1]"),
        (OWN, 10.5, 50, "failed own 10.5 > 10, above its bound by 0.5 [10]"),
        (OWN, 0, None, "failed own 0 < 1, below its bound by 1 [1]"),
    ],
)
def test_a_value_against_its_bound(
    metric: Metric, value: float, baseline: float | None, said: str
) -> None:
    sample = Sample(metric=metric, value=value, baseline=baseline, source="s", query="q")
    found = check_sample(sample)
    bound = found.bound if found.bound is None else round(found.bound, 6)
    assert f"{found.outcome} {found.message} [{bound}]" == said
    assert (found.name, found.value, found.source, found.query) == (metric.name, value, "s", "q")


LIMIT = Metric(name="errors", source="q", maximum=1)
FLOOR = Metric(name="good", source="q", minimum=90)


@pytest.mark.parametrize(
    ("metric", "value", "stable", "shared"),
    [
        (LIMIT, 3, 2, True),
        (LIMIT, 3.01, 2, False),
        (LIMIT, 3, 1, False),
        (LIMIT, 1.2, 1, False),
        (FLOOR, 89.9, 90, False),
        (LIMIT, 2, None, False),
        (RATE, 97, 98, True),
        (RATE, 96.9, 98, False),
        (FLOOR, 87, 88, True),
        (FLOOR, 86.9, 88, False),
        (FLOOR, 50, 89, False),
        (FLOOR, 85, 90, False),
        (OWN, 15, 11, True),
        (OWN, 17, 11, False),
    ],
)
def test_a_miss_that_the_stable_shares(
    metric: Metric, value: float, stable: float | None, *, shared: bool
) -> None:
    sample = Sample(metric=replace(metric, leeway=None), value=value, baseline=stable, note="n")
    found = check_sample(sample, margin=1.5)
    assert (found.outcome is Outcome.SHARED) is shared
    assert found.message.endswith(" (n)")
    assert ("; the stable is at " in found.message) is shared
    alone = check_sample(sample)
    assert alone.outcome is Outcome.FAILED


def test_values_that_are_not_there() -> None:
    sample = Sample(metric=LIMIT)
    assert check_sample(sample).message == (
        "errors: no values found; is there traffic to the canary?"
    )
    assert check_sample(replace(sample, problem="p")).message == "errors: p"
    passed = check_sample(sample, health_is_enough=True)
    assert (passed.outcome, passed.message) == (
        Outcome.PASSED,
        "errors was found for neither version: judged by the canary's health alone",
    )
    for other in (replace(sample, baseline=0.0), replace(sample, problem="p")):
        assert check_sample(other, health_is_enough=True).outcome is Outcome.NO_DATA
    waits = check_sample(replace(sample, waits_until=START), health_is_enough=True)
    assert (waits.outcome, waits.message) == (
        Outcome.WAITING,
        "errors still finds samples of the canary before, until 00:00:00 UTC; no check meanwhile",
    )
    fixed = check_sample(replace(sample, waits_until=START.replace(year=9999)))
    assert fixed.message == (
        "errors reads a fixed time, before this canary was there; leave its @ out"
    )


def test_a_canary_s_health() -> None:
    world = World(canary="v2", canary_size=3)
    world.restarts = 2
    canary = world.observe().canary
    said = {before: check_all(canary, (), STRATEGY, before)[0] for before in (0, 1, 2)}
    assert said[0].message == "canary containers restarted 2 times"
    assert said[1].message == "canary containers restarted 1 times"
    assert (said[2].outcome, said[2].message) == (Outcome.PASSED, "3 of 3 canary pods are ready")
    assert (said[2].value, said[2].bound, said[2].name) == (3.0, 3.0, "canary-health")
    absent = check_all(World().observe().canary, (), STRATEGY, 0)
    assert (absent[0].outcome, absent[0].message, absent[0].name) == (
        Outcome.FAILED,
        "the canary has no pods",
        "canary-health",
    )
    assert overall((*absent, said[2])) is Outcome.FAILED
    assert summary((*absent, said[2], *absent), Outcome.FAILED) == (
        "the canary has no pods; the canary has no pods"
    )


def test_a_write_that_is_denied() -> None:
    state = denied(State(), KEY, 'Invalid value: "secret": no ' + "x" * 600, START)
    said = "web.prod cannot go on, the API server denies what it takes and is asked again: "
    begins = "Invalid value: ...: no "
    assert state.denied_why == said + begins + "x" * (500 - len(begins))
    assert state.denied_since == START
    again = denied(state, KEY, "another", START + SECOND)
    assert (again.denied_since, again.denied_why) == (START, f"{said}another")


@pytest.mark.parametrize(
    ("waited", "after"), [(0, 1), (1, 1), (2, 1), (3, 1.5), (20, 10), (60, 30), (600, 30)]
)
def test_a_write_that_is_denied_is_asked_again_ever_more_rarely(waited: int, after: float) -> None:
    state = State(denied_since=START)
    assert ask_again_in(state, START + waited * SECOND) == after * SECOND
    assert ask_again_in(State(), START) == SECOND


@pytest.mark.parametrize(
    ("phase", "routes", "share"),
    [
        (Phase.PROGRESSING, 1, 20),
        (Phase.PROGRESSING, 0, 100),
        (Phase.PROMOTING, 1, 100),
        (Phase.PROMOTING, 0, 100),
    ],
)
def test_the_share_that_a_canary_has(phase: Phase, routes: int, share: int) -> None:
    world = World(traffic=Traffic(20), routes=routes)
    assert world.observe().share(State(phase=phase)) == share


def test_a_hold_that_no_rule_speaks_of_is_cleaned_up() -> None:
    """A promotion that ended, and whose target is held again before its canary is gone."""
    world = World(template="v2", paused=True, held=True, marks={"stable": "v1"})
    world.canary, world.canary_size, world.weight = "v2", 1, 30
    world.state = State(
        phase=Phase.FINALISING,
        candidate="v2",
        stable="v1",
        changed_at=START,
        reason="Finalising",
        message="m",
    )
    seen = [world.reconcile()]
    world.now += timedelta(seconds=6)
    seen += [world.reconcile(), world.reconcile()]
    assert (world.weight, world.canary) == (0, "")
    assert [one.requeue_after for one in seen] == [5 * SECOND, SECOND, 30 * SECOND]
    assert {(one.reason, one.message) for one in seen} == {("Finalising", "m")}


@pytest.mark.parametrize(
    ("before", "fields", "earlier"),
    [
        (60, {}, True),
        (0, {}, False),
        (60, {"ended": True}, False),
        (60, {"leaving": True}, False),
        (60, {"newest": False}, False),
    ],
)
def test_pods_of_an_earlier_run_that_serve_in_this_one(
    before: int, fields: dict[str, Any], *, earlier: bool
) -> None:
    world = World(template="v2", canary="v2", canary_size=2, pods_at=START - before * SECOND)
    canary = world.observe().canary
    assert isinstance(canary, CanaryPresent)
    canary = replace(canary, pods=tuple(replace(pod, **fields) for pod in canary.pods))
    state = State(phase=Phase.PROGRESSING, candidate="v2", started_at=START)
    assert takes_over(canary, state) is earlier


def test_what_nobody_follows_is_a_warning_once() -> None:
    invalid = InvalidStrategy(problems=("it says nothing",))
    state, [event] = noticed_at_rest(KEY, State(), invalid)
    said = f"the next version of {KEY} would stay held: it says nothing"
    assert event == Emit("InvalidConfiguration", said, warning=True)
    assert event.warning is True
    assert noticed_at_rest(KEY, state, invalid) == (state, ())


def test_a_run_that_begins_in_the_middle_of_a_promotion_is_looked_at_again_soon() -> None:
    """While pods are left of what was superseded."""
    state = State(
        phase=Phase.PROGRESSING, candidate="v3", stable="v1", undoing="v2", started_at=START
    )
    world = World(
        template="v3", paused=True, held=True, marks={"stable": "v1"}, pods={"v1": 3, "v2": 1}
    )
    world.born, world.state = ["v1", "v2"], replace(state, changed_at=START)
    decision = decide(world.state, world.observe(), START)
    assert decision.requeue_after == DEFAULT_TIMING.poll
    assert ScaleDownRevision("v2") in decision.actions


def test_an_undo_is_looked_at_again_soon() -> None:
    state = State(phase=Phase.FAILED, candidate="v2", stable="v1", reason="Refused", message="bad")
    world = World(template="v2", marks={"stable": "v1", "promoting": "v2"}, state=state)
    decision = undo_goes_on(Context(state, world.observe(), START, DEFAULT_TIMING))
    assert decision is not None
    assert decision.requeue_after == DEFAULT_TIMING.poll
    assert (decision.state.reason, decision.state.message) == ("Refused", "bad")
    assert any(isinstance(one, MarkTarget) for one in decision.actions)
