"""What is asked beside: nothing waits for it, nothing is asked for ever, no answer counts twice."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary.contract import Command, Reason
from canary.evidence.counters import Stratum
from canary.evidence.verdict import Refuse
from canary.model.asking import HookAsk, MetricsAsk
from canary.model.state import Phase
from canary.model.strategy import Hook, HookType, NoDataPolicy, Strategy
from canary.objects.status import state_from_status, status_from_state
from canary.rules.hooks import MOST_PUTS
from canary.spec.steps import linear
from tests.fakes.world import METRICS, NEVER, START, STRATEGY, World

Story = Callable[[World], None]
GATE = "gate"
SICK = Stratum(200, 1000, 0, 9000, 5)
MINUTE = timedelta(minutes=1)
ONCE = (HookType.PRE_ROLLOUT, HookType.ROLLOUT, HookType.POST_ROLLOUT)
"""Hooks that are called once for a check; others are asked again and again."""


def with_hook(kind: HookType) -> Strategy:
    return replace(STRATEGY, hooks=(Hook(name=GATE, type=kind, url="http://x"),))


def until(world: World, condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        decision = world.reconcile()
        world.roll()
        world.now += max(world.next_look(decision), timedelta(milliseconds=100))
    raise AssertionError("it never came to that")


def hooks_out(world: World) -> list[HookAsk]:
    return [ask for ask in world.out if isinstance(ask, HookAsk)]


def kept(world: World) -> World:
    """Store and read the state, as another process would."""
    world.state = state_from_status(
        status_from_state(world.state, previous={}, generation=1, now=world.now)
    )
    return world


# --- in each phase, with its questions out, what happens takes effect at once --------------------


def pre_rollout_out() -> World:
    world = World(strategy=with_hook(HookType.PRE_ROLLOUT), latency={GATE: NEVER})
    world.update("v2")
    until(world, lambda: bool(world.out))
    assert not world.state.begun
    return world


def rollout_hook_out() -> World:
    world = World(strategy=with_hook(HookType.ROLLOUT))
    world.update("v2")
    until(world, lambda: world.weight == 20)
    world.latency[GATE] = NEVER
    until(world, lambda: bool(hooks_out(world)) and not any_metrics(world))
    return world


def any_metrics(world: World) -> bool:
    return any(isinstance(ask, MetricsAsk) for ask in world.out)


def metrics_out() -> World:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 20)
    world.latency[METRICS] = NEVER
    until(world, lambda: any_metrics(world))
    return world


def promoting() -> World:
    strategy = replace(STRATEGY, interval=timedelta(seconds=10))
    world = World(strategy=strategy, replicas=400, pods={"v1": 400})
    world.update("v2")
    until(world, lambda: world.state.phase is Phase.PROMOTING)
    world.latency[METRICS] = NEVER
    until(world, lambda: any_metrics(world))
    return world


def finalising() -> World:
    world = World(strategy=with_hook(HookType.POST_ROLLOUT), latency={GATE: NEVER})
    world.update("v2")
    until(world, lambda: world.state.phase is Phase.FINALISING)
    return world


def failed_hook_out() -> World:
    world = World(strategy=with_hook(HookType.POST_ROLLOUT), latency={GATE: NEVER})
    world.update("v2")
    world.values["v2"] = 20.0
    until(world, lambda: world.state.phase is Phase.FAILED and bool(world.out))
    world.values.clear()
    return world


def abort(world: World) -> None:
    world.command(Command.ABORT)


def promote(world: World) -> None:
    world.command(Command.PROMOTE)


def retry(world: World) -> None:
    world.command(Command.RETRY)


def pause(world: World) -> None:
    world.command(Command.PAUSE)


def new_template(world: World) -> None:
    world.update("v3")


def revert(world: World) -> None:
    world.update("v1")


def crash(world: World) -> None:
    world.trouble = "container app of pod x is in CrashLoopBackOff: Error, exit code 1"


def evidence(world: World) -> None:
    """Let it come to a verdict, before anybody looks."""
    world.strata["v2"] = SICK
    for _ in range(100):
        weighing = world.weigh()
        if weighing is not None and isinstance(weighing.verdict, Refuse):
            return
    raise AssertionError("the evidence never sufficed")


def label_gone(world: World) -> None:
    world.enabled = False


def refused(world: World) -> None:
    assert world.state.phase is Phase.FAILED
    assert (world.held, world.marks["refused"]) == (True, "v2")


def released(world: World) -> None:
    assert world.state.phase is Phase.PROMOTING
    assert not world.paused


def started(world: World) -> None:
    assert (world.state.phase, world.state.candidate) == (Phase.PROGRESSING, world.template)
    assert (world.state.step, world.state.weight) == (-1, 0)


def ended(world: World) -> None:
    assert world.state.phase is Phase.INITIALIZED


AT_A_STEP: tuple[tuple[Story, Story], ...] = (
    (abort, refused),
    (promote, released),
    (new_template, started),
    (revert, ended),
    (crash, refused),
    (evidence, refused),
    (label_gone, ended),
)
TABLE: dict[Callable[[], World], tuple[tuple[Story, Story], ...]] = {
    pre_rollout_out: tuple(row for row in AT_A_STEP if row[0] is not evidence),
    rollout_hook_out: AT_A_STEP,
    metrics_out: AT_A_STEP,
    promoting: (
        (abort, refused),
        (new_template, started),
        (revert, ended),
        (evidence, refused),
        (label_gone, ended),
    ),
    finalising: ((new_template, started), (label_gone, ended)),
    failed_hook_out: (
        (promote, released),
        (retry, started),
        (new_template, started),
        (revert, ended),
        (label_gone, ended),
    ),
}
ROWS = [(phase, event, ending) for phase, rows in TABLE.items() for event, ending in rows]


@pytest.mark.parametrize(
    ("phase", "event", "ending"), ROWS, ids=[f"{p.__name__}-{e.__name__}" for p, e, _ in ROWS]
)
def test_what_happens_takes_effect_at_once_and_cancels_what_is_out(
    phase: Callable[[], World], event: Story, ending: Story
) -> None:
    world = phase()
    was_out = set(world.out)
    event(world)
    world.reconcile()
    assert world.weight == 0 or ending is released
    assert not was_out & set(world.out)
    ending(world)
    world.run(until=timedelta(seconds=30))
    assert not was_out & set(world.out)


@pytest.mark.parametrize("phase", [pre_rollout_out, rollout_hook_out])
def test_a_pause_takes_effect_at_once_and_leaves_the_call_alone(
    phase: Callable[[], World],
) -> None:
    world = phase()
    (ask,) = hooks_out(world)
    weight, calls = world.weight, list(world.calls)
    pause(world)
    world.reconcile()
    assert world.state.paused
    assert hooks_out(world) == [ask]
    world.run(until=timedelta(minutes=10))
    assert (world.weight, world.calls) == (weight, calls)
    world.latency.clear()
    world.out[ask] = world.now
    world.run(until=timedelta(minutes=10))
    assert (world.weight, world.state.paused) == (weight, True)
    world.command(Command.PAUSE, "off")
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("phase", "event"), [(failed_hook_out, abort), (failed_hook_out, pause), (finalising, abort)]
)
def test_what_means_nothing_any_more_changes_nothing(
    phase: Callable[[], World], event: Story
) -> None:
    world = phase()
    before = world.state.phase
    event(world)
    world.reconcile()
    assert world.state.phase is before
    assert world.weight == 0


# --- what hooks do to the ticks -----------------------------------------------------------------


def test_a_pre_rollout_hook_that_answers_after_minutes_counts() -> None:
    world = World(strategy=with_hook(HookType.PRE_ROLLOUT), latency={GATE: timedelta(minutes=50)})
    world.update("v2")
    world.run(until=timedelta(minutes=49))
    assert (world.weights, world.calls, world.state.failed_checks) == ([], [GATE], 0)
    assert world.state.reason == Reason.PRE_ROLLOUT
    assert "waiting for pre-rollout hook gate since 00:00:" in world.state.message
    world.run(until=timedelta(hours=2))
    assert (world.state.phase, world.calls) == (Phase.SUCCEEDED, [GATE])


def test_all_pre_rollout_hooks_are_waited_for_and_one_that_failed_is_a_failed_check() -> None:
    hooks = tuple(Hook(name=n, type=HookType.PRE_ROLLOUT, url="http://x") for n in ("a", "b"))
    world = World(
        strategy=replace(STRATEGY, hooks=hooks),
        latency={"b": timedelta(minutes=3)},
        refuse_hooks={"a"},
    )
    world.update("v2")
    world.run(until=timedelta(minutes=2))
    assert (world.state.failed_checks, world.calls) == (0, ["a", "b"])
    world.run(until=timedelta(seconds=90))
    assert (world.state.failed_checks, world.calls) == (1, ["a", "b"])
    world.refuse_hooks.clear()
    world.run()
    assert (world.state.phase, world.calls) == (Phase.SUCCEEDED, ["a", "b", "a", "b"])


def test_while_a_hook_is_out_the_weight_stays_and_metrics_are_asked_every_interval() -> None:
    world = rollout_hook_out()
    asked, calls = world.metrics_asked, list(world.calls)
    world.run(until=timedelta(minutes=10))
    assert (world.weight, world.calls, world.state.phase) == (20, calls, Phase.PROGRESSING)
    assert 9 <= world.metrics_asked - asked <= 11
    assert world.state.reason == Reason.WAITING_FOR_HOOK
    assert "waiting for rollout hook gate since 00:0" in world.state.message
    assert len([event for event in world.events if "waiting for rollout hook" in event]) == 1
    (ask,) = hooks_out(world)
    world.latency.clear()
    world.out[ask] = world.now
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert world.weights == [10, 20, 30, 40, 50, 0]


def test_metrics_that_fail_count_at_once_while_a_hook_is_out() -> None:
    world = rollout_hook_out()
    (ask,) = hooks_out(world)
    world.values["v2"] = 20.0
    start = world.now
    until(world, lambda: world.state.failed_checks == 1)
    assert hooks_out(world) == [ask]
    until(world, lambda: world.state.phase is Phase.FAILED)
    assert world.now - start < timedelta(minutes=4)
    assert not hooks_out(world)


def test_health_that_fails_counts_at_once_while_a_hook_is_out() -> None:
    world = rollout_hook_out()
    world.restarts = 1
    until(world, lambda: world.state.failed_checks == 1)
    assert "restarted 1 times" in world.state.message
    assert hooks_out(world)


def test_a_hook_that_is_out_keeps_data_that_was_passed_over_from_passing() -> None:
    world = rollout_hook_out()
    world.values["v2"] = None
    assert isinstance(world.strategy, Strategy)
    world.strategy = replace(
        world.strategy, no_data=NoDataPolicy.PASS, no_data_after=timedelta(minutes=2)
    )
    world.run(until=timedelta(minutes=20))
    assert world.weight == 20


def test_the_hooks_of_the_first_step_are_called_before_metrics_are_asked() -> None:
    world = World(strategy=with_hook(HookType.ROLLOUT), latency={GATE: NEVER})
    world.update("v2")
    until(world, lambda: bool(world.calls))
    assert (world.weight, world.metrics_asked) == (10, 0)
    world.values["v2"] = 20.0  # a hook that brings traffic for hours hides no failure
    world.run(until=timedelta(minutes=10))
    assert world.state.phase is Phase.FAILED


def test_an_hour_of_a_hook_stores_nothing_but_what_changes() -> None:
    world = rollout_hook_out()
    world.run(until=MINUTE)
    saves = 0
    for _ in range(120):
        decision = world.reconcile()
        saves += len(decision.actions)
        world.now += timedelta(seconds=30)
    assert (saves, hooks_out(world) != []) == (0, True)


def test_a_run_without_hooks_writes_only_at_its_ticks() -> None:
    world = World(latency={METRICS: timedelta(seconds=20)})
    world.update("v2")
    until(world, lambda: any_metrics(world))
    for _ in range(3):
        assert world.reconcile().actions == ()
        world.now += timedelta(seconds=5)


def test_what_waits_for_a_place_is_said() -> None:
    world = metrics_out()
    world.full = {METRICS}
    until(world, lambda: world.state.reason == Reason.QUEUED)
    assert "its metrics wait for a free place" in world.state.message
    assert len([event for event in world.events if "free place" in event]) == 1
    world.full.clear()
    world.latency.clear()
    world.out = dict.fromkeys(world.out, world.now)
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_a_hook_that_waits_for_a_place_is_said() -> None:
    world = rollout_hook_out()
    world.full = {GATE}
    until(world, lambda: "(it waits for a place)" in world.state.message)


def test_an_answer_for_an_earlier_step_counts_for_nothing() -> None:
    world = rollout_hook_out()
    (ask,) = hooks_out(world)
    world.update("v3")
    world.latency.clear()
    world.refuse_hooks = {GATE}
    until(world, lambda: world.weight == 10)
    assert ask not in world.out
    assert ask not in world.answers
    until(world, lambda: world.state.failed_checks > 0)
    assert all(one.ask.run != ask.run for one in world.state.asked)


# --- what a death leaves ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ONCE)
@pytest.mark.parametrize("crash_at", range(110))
def test_a_hook_is_called_at_most_twice_over_one_death(kind: HookType, crash_at: int) -> None:
    whole = World(strategy=with_hook(kind))
    whole.update("v2")
    whole.run()
    world = World(strategy=with_hook(kind))
    world.update("v2")
    world.run(crash_at=crash_at)
    assert world.state.phase is Phase.SUCCEEDED
    assert len(whole.calls) <= len(world.calls) <= len(whole.calls) + 1


@pytest.mark.parametrize("crash_after", range(3))
def test_one_that_was_put_is_repeated_once_and_then_counts_as_not_answered(
    crash_after: int,
) -> None:
    world = World(strategy=with_hook(HookType.PRE_ROLLOUT), latency={GATE: NEVER})
    world.update("v2")
    until(world, lambda: bool(world.canary))
    world.now += timedelta(seconds=1)
    for _ in range(2):
        world.reconcile(crash_after)
        kept(world)
    world.run(until=timedelta(seconds=30))
    if crash_after == 0:  # nothing was stored, so nothing was called either
        assert (world.calls, world.state.failed_checks) == ([GATE], 0)
    else:
        assert len(world.calls) == (2 if crash_after == 2 else 0)
        assert world.state.failed_checks == 1
        assert "called 2 times" in world.state.message


def test_an_answer_that_was_stored_is_not_asked_for_again() -> None:
    hooks = tuple(Hook(name=n, type=HookType.PRE_ROLLOUT, url="http://x") for n in ("a", "b"))
    world = World(strategy=replace(STRATEGY, hooks=hooks), latency={"b": timedelta(minutes=3)})
    world.update("v2")
    until(world, lambda: any(not one.is_out for one in world.state.asked))
    world.die()
    kept(world).run()
    assert (world.state.phase, world.calls) == (Phase.SUCCEEDED, ["a", "b", "b"])


def test_metrics_that_a_death_lost_are_asked_again() -> None:
    world = metrics_out()
    world.die()
    world.latency.clear()
    kept(world).run()
    assert world.state.phase is Phase.SUCCEEDED


@pytest.mark.parametrize("phase", [rollout_hook_out, metrics_out, promoting])
def test_a_gateway_that_confirms_nothing_keeps_no_refusal_waiting(
    phase: Callable[[], World],
) -> None:
    world = phase()
    world.confirmed = False
    abort(world)
    world.reconcile()
    refused(world)
    assert (world.weight, world.canary) == (0, "v2")
    world.run(until=timedelta(seconds=40))
    assert world.canary == ""


@pytest.mark.parametrize(
    ("stops", "goes_on"),
    [
        (
            lambda world: setattr(world, "problems", ("Service gone",)),
            lambda world: setattr(world, "problems", ()),
        ),
        (
            lambda world: setattr(world, "strategy", replace(world.strategy, suspended=True)),
            lambda world: setattr(world, "strategy", replace(world.strategy, suspended=False)),
        ),
    ],
    ids=["invalid", "suspended"],
)
def test_what_a_death_lost_is_not_put_again_while_nothing_is_decided(
    stops: Story, goes_on: Story
) -> None:
    world = rollout_hook_out()
    calls = len(world.calls)
    world.die()
    stops(kept(world))
    world.run(until=timedelta(minutes=5))
    assert (world.out, len(world.calls)) == ({}, calls)
    goes_on(world)
    world.run(until=timedelta(seconds=2))
    assert len(world.calls) == calls + 1


def test_a_canary_that_is_unready_for_a_moment_in_a_long_wait_is_not_refused_for_it() -> None:
    world = pre_rollout_out()
    world.run(until=timedelta(minutes=50))
    world.canary_ready = False
    world.run(until=timedelta(minutes=2))
    (ask,) = hooks_out(world)
    world.out[ask] = world.now
    world.run(until=timedelta(minutes=9))
    assert (world.state.phase, world.calls) == (Phase.PROGRESSING, [GATE])
    world.run(until=timedelta(minutes=2))
    assert "are ready after 600 s" in world.state.message


# --- while it rolls -----------------------------------------------------------------------------


def forced() -> World:
    world = World(replicas=400, pods={"v1": 400})
    world.update("v2")
    until(world, lambda: world.weight == 10)
    promote(world)
    until(world, lambda: world.state.phase is Phase.PROMOTING)
    return world


def with_a_problem() -> World:
    world = promoting()
    world.problems = ("Service gone",)
    return world


@pytest.mark.parametrize("phase", [forced, with_a_problem])
def test_a_promotion_that_cannot_be_judged_or_is_a_person_s_asks_nothing(
    phase: Callable[[], World],
) -> None:
    world = phase()
    world.values["v2"] = 20.0
    world.reconcile()
    asked = world.metrics_asked
    world.run(until=timedelta(minutes=3))
    assert (world.metrics_asked, world.state.failed_checks) == (asked, 0)


# --- after a run --------------------------------------------------------------------------------


def test_a_post_rollout_hook_that_fails_is_said_and_holds_nothing_up() -> None:
    world = World(strategy=with_hook(HookType.POST_ROLLOUT), refuse_hooks={GATE})
    world.update("v2")
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert (world.canary, world.events[-1], world.calls) == ("", "no", [GATE])
    assert not world.state.asked


def test_a_post_rollout_hook_that_hangs_holds_no_new_run_up() -> None:
    world = World(strategy=with_hook(HookType.POST_ROLLOUT), latency={GATE: NEVER})
    world.update("v2")
    world.run()
    assert (world.state.phase, len(hooks_out(world))) == (Phase.SUCCEEDED, 1)
    world.update("v3")
    world.reconcile()
    assert not world.out
    world.latency.clear()
    world.run()
    assert (world.state.phase, world.state.candidate) == (Phase.SUCCEEDED, "v3")
    assert world.calls == [GATE, GATE]


# --- what is said is the same everywhere --------------------------------------------------------


def test_a_pause_says_the_same_in_status_condition_and_event() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 20)
    for value, reason, word in (("now", "Paused", "paused"), ("off", "Resumed", "resumed")):
        world.command(Command.PAUSE, value)
        decision = world.reconcile()
        status = status_from_state(world.state, previous={}, generation=1, now=START)
        (condition,) = status["conditions"]
        message = f"{word} by alice at weight 20"
        assert (decision.reason, decision.message) == (reason, message)
        assert (condition["reason"], condition["message"]) == (reason, message)
        assert world.events[-1] == message
        assert status["run"]["paused"] is (reason == "Paused")


def test_a_pause_before_the_first_weight_keeps_traffic_away() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: bool(world.canary))
    pause(world)
    world.run(until=timedelta(minutes=10))
    assert (world.weights, world.state.reason) == ([], Reason.PAUSED)
    world.command(Command.PAUSE, "false")
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_a_run_of_the_version_before_goes_on_where_it_was() -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 30 and world.state.checked_at is not None)
    status = status_from_state(world.state, previous={}, generation=1, now=world.now)
    for name in ("step", "stepOf", "round", "asked"):
        del status["run"][name]
    world.state = state_from_status(status)
    world.die()
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert world.weights == [10, 20, 30, 40, 50, 0]


def test_the_step_of_another_run_says_nothing_of_this_one() -> None:
    """A version before steps has led meanwhile, and its merge patches left them as they were."""
    world = rollout_hook_out()
    stored = status_from_state(world.state, previous={}, generation=1, now=world.now)
    assert state_from_status(stored) == world.state
    later = replace(world.state, started_at=world.now, weight=0)
    written = status_from_state(later, previous={}, generation=1, now=world.now)
    written["run"] |= {name: stored["run"][name] for name in ("step", "stepOf", "round", "asked")}
    found = state_from_status(written)
    assert (found.begun, found.round, found.asked) == (False, 0, ())


@pytest.mark.parametrize(
    ("weights", "then"), [((5, 25, 60), [60]), ((20, 40), [40]), ((1, 2), []), ((80,), [80])]
)
def test_a_sequence_that_is_edited_in_mid_run_goes_on_by_weight(
    weights: tuple[int, ...], then: list[int]
) -> None:
    world = World()
    world.update("v2")
    until(world, lambda: world.weight == 30)
    world.strategy = replace(STRATEGY, steps=linear(weights))
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert world.weights == [10, 20, 30, *then, 0]


# --- whatever comes in whatever order -----------------------------------------------------------

HOOKS = tuple(
    Hook(name=name, type=kind, url="http://x")
    for name, kind in (
        ("gate", HookType.PRE_ROLLOUT),
        ("approval", HookType.PRE_ROLLOUT),
        ("load", HookType.ROLLOUT),
        ("confirm", HookType.ROLLOUT),
        ("report", HookType.POST_ROLLOUT),
    )
)
NAMES = tuple(hook.name for hook in HOOKS)
latencies = st.dictionaries(
    st.sampled_from([METRICS, *NAMES]),
    st.integers(0, 400).map(lambda seconds: timedelta(seconds=seconds)),
)
deaths = st.lists(st.integers(0, 200), max_size=4, unique=True).map(frozenset)
refusals = st.frozensets(st.sampled_from(NAMES), max_size=1)


@settings(deadline=None, max_examples=80)
@given(latency=latencies, deaths=deaths, refuse=refusals)
def test_however_slow_and_however_often_it_dies_a_run_ends_and_no_hook_is_called_for_ever(
    latency: dict[str, timedelta], deaths: frozenset[int], refuse: frozenset[str]
) -> None:
    world = World(
        strategy=replace(STRATEGY, hooks=HOOKS),
        latency=latency,
        refuse_hooks=set(refuse),
    )
    world.update("v2")
    for number in range(6000):
        if world.state.phase in {Phase.SUCCEEDED, Phase.FAILED} and not world.canary:
            break
        decision = world.reconcile()
        if number in deaths:
            kept(world).die()
            continue
        world.roll()
        world.now += max(world.next_look(decision), timedelta(milliseconds=100))
    holds = refuse & {"gate", "approval", "load", "confirm"}
    if holds:
        assert world.state.phase is Phase.FAILED
    elif not deaths:
        assert world.state.phase is Phase.SUCCEEDED
    else:
        assert world.state.phase in {Phase.SUCCEEDED, Phase.FAILED}
    rising = [weight for weight in world.weights if weight]
    assert rising == sorted(set(rising))
    puts = Counter(world.puts)
    assert max(puts.values()) <= MOST_PUTS
    assert all(count == 1 for count in puts.values()) or deaths
