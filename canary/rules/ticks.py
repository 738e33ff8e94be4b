"""The ticks of the analysis: what is asked for a check, and what its answers mean for the run.

A tick that is due asks all metrics and calls the rollout hooks, and is decided when their answers
have come. What fails counts at once; what passes waits for hooks, and its metrics are asked anew
every interval meanwhile.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from canary.actions import Action, Decision, Emit, SaveState, SetWeight
from canary.analysis import judge, overall, summary
from canary.contract import Reason
from canary.endings import RECHECK, Context, Tick, promote, refuse
from canary.evidence.verdict import Refuse
from canary.model.asking import Ask, MetricsAnswer, MetricsAsk, Sample, Unanswered
from canary.model.state import Check, Outcome, Phase, State
from canary.model.steps import ahead, place
from canary.model.strategy import (
    FailureCount,
    HookType,
    InvalidStrategy,
    NoDataPolicy,
    Strategy,
)
from canary.model.world import CanaryPresent
from canary.rules.hooks import called, came_last, checks_of, hooks_of, waited_for
from canary.status import age
from canary.staying import gate, incident, lasting, recorded, stay
from canary.weighing import why_refused

_HALF: Final = 50
"""Percent: a stable with less traffic than its canary is nothing to compare it with."""
_KEEP_EVERY: Final = timedelta(seconds=30)
"""How often evidence is stored between two ticks."""
_GRACE: Final = timedelta(seconds=5)
"""How long a question may be out before the status says so: most are answered long before."""
_HELD_UP: Final = frozenset({Reason.WAITING_FOR_HOOK, Reason.QUEUED})


def located(state: State, strategy: Strategy | InvalidStrategy) -> State:
    """Return the state with its step in the present sequence, which may have been edited."""
    running = state.phase is Phase.PROGRESSING and state.begun
    if not running or isinstance(strategy, InvalidStrategy):
        return state
    return replace(state, step=place(strategy.steps, state.step, state.weight))


def due_in(tick: Tick) -> timedelta:
    """Return the time until the next tick of the analysis; never below zero."""
    if tick.state.checked_at is None:
        return timedelta(0)
    return max(timedelta(0), tick.state.checked_at + tick.strategy.interval - tick.ctx.now)


def resync(tick: Tick, after: timedelta) -> Decision:
    """Between two ticks: the routes carry what the state says, and the status what was counted."""
    return _between(tick, *_to_route(tick), after=after)


def _between(
    tick: Tick, *actions: Action, asks: tuple[Ask, ...] = (), after: timedelta
) -> Decision:
    """Decide nothing more; the evidence is stored where a death would cost much of it."""
    ctx, state = tick.ctx, tick.state
    kept = recorded(ctx, state) if _is_news(ctx) else state
    saved = (SaveState(),) if kept != ctx.state else ()
    return Decision(
        state=kept,
        actions=(*actions, *saved),
        asks=asks,
        requeue_after=min(after, _KEEP_EVERY) if tick.strategy.policy.enabled else after,
    )


def _is_news(ctx: Context) -> bool:
    """Tell whether so much evidence has come since it was stored that a death would cost time."""
    weighing = ctx.observed.weighing
    stored = float(ctx.state.evidence.get("at", 0.0))
    return weighing is not None and weighing.at - stored >= _KEEP_EVERY.total_seconds()


def _is_moved(tick: Tick) -> bool:
    split = tick.ctx.observed.split
    return bool(split.routes) and (split.weight != tick.state.weight or not split.even)


def _to_route(tick: Tick) -> tuple[Action, ...]:
    return (SetWeight(tick.state.weight),) if _is_moved(tick) else ()


def weighed(tick: Tick) -> Decision | None:
    """Sufficient evidence against the candidate needs no tick."""
    ctx = tick.ctx
    weighing = ctx.observed.weighing
    if weighing is None or not isinstance(weighing.verdict, Refuse) or ctx.state.forced:
        return None
    why = why_refused(weighing, weighing.verdict.finding)
    return refuse(ctx, Reason.REFUSED, why, recorded(ctx, ctx.state))


def tick_while_promoting(tick: Tick) -> Decision:
    """The candidate is judged while it rolls, and a refusal undoes the promotion."""
    if (refused := weighed(tick)) is not None:
        return refused
    if left := due_in(tick):
        return resync(tick, left)
    observed = tick.ctx.observed
    unjudged = observed.problems or tick.strategy.suspended or tick.state.forced
    if unjudged or not isinstance(observed.canary, CanaryPresent):
        return resync(tick, RECHECK)
    return check(tick)


# --- what a tick asks, and waits for -----------------------------------------------------------


def check(tick: Tick) -> Decision:
    """One check: ask what it needs, and decide once what has come is enough."""
    hooks = hooks_of(tick.strategy, HookType.ROLLOUT) if _is_running(tick.state) else ()
    tick = replace(tick, state=called(tick.ctx, tick.state, hooks))
    ask = _question(tick)
    samples = _samples(tick, ask)
    if isinstance(samples, Unanswered):
        return _asking(tick, ask)
    checks = (*_measured(tick, ask, samples), *checks_of(tick.state))
    outcome = _outcome(tick, checks)
    first = tick.state.checked_at is None
    if outcome is Outcome.PASSED and tick.state.out and (first or not _is_moved(tick)):
        return _waiting(tick, ask)
    return _VERDICTS[outcome](replace(tick, state=_seen(tick, ask, checks)))


def _is_running(state: State) -> bool:
    return state.phase is Phase.PROGRESSING


def _question(tick: Tick) -> MetricsAsk:
    state = tick.state
    return MetricsAsk(
        run=state.run,
        step=state.step,
        round=state.round + _rounds_waited(tick),
        baselines=_is_comparable(tick),
    )


def _asks(tick: Tick, ask: MetricsAsk) -> tuple[MetricsAsk, ...]:
    """Return the question if this check asks metrics at all.

    The first look after the first weight calls hooks alone: they may be what brings the traffic.
    """
    first = tick.state.checked_at is None and ask.round == tick.state.round
    return () if first or not tick.strategy.metrics else (ask,)


def _samples(tick: Tick, ask: MetricsAsk) -> tuple[Sample, ...] | Unanswered:
    if not _asks(tick, ask):
        return ()
    answer = tick.ctx.observed.standing.answer_to(ask)
    return answer.samples if isinstance(answer, MetricsAnswer) else Unanswered()


def _began(tick: Tick) -> datetime:
    """Return since when this check has waited for hooks; now where it waits for none."""
    state, now = tick.state, tick.ctx.now
    first = min((one.since for one in state.asked), default=now)
    due = first if state.checked_at is None else state.checked_at + tick.strategy.interval
    return max(first, due)


def _rounds_waited(tick: Tick) -> int:
    """Return how often the metrics are to be asked anew, because hooks have been waited for."""
    last = came_last(tick.state)
    until = tick.ctx.now if isinstance(last, Unanswered) else last
    return max(0, (until - _began(tick)) // tick.strategy.interval)


def _asking(tick: Tick, ask: MetricsAsk) -> Decision:
    """The metrics are out: nothing is decided until they have come."""
    if tick.ctx.observed.standing.queues(ask):
        message = (
            f"the metrics of {tick.ctx.observed.key} wait for a free place among the questions "
            f"of its namespace, at weight {tick.state.weight}"
        )
        return _held_up(tick, ask, Reason.QUEUED, message, after=_KEEP_EVERY)
    return _between(tick, asks=(ask,), after=_GRACE)


def _waiting(tick: Tick, ask: MetricsAsk) -> Decision:
    """All that has come has passed, and a hook is out: the weight stays."""
    ctx, interval = tick.ctx, tick.strategy.interval
    waited = ctx.now - min(one.since for one in tick.state.out)
    left = interval - (ctx.now - _began(tick)) % interval
    if waited < _GRACE:
        soon = min(left, _GRACE - waited)
        return _between(tick, *_to_route(tick), asks=_asks(tick, ask), after=soon)
    reason, start = Reason.WAITING_FOR_HOOK, f"holding {ctx.observed.key}"
    if tick.state.paused:
        reason, start = Reason.PAUSED, "paused"
    message = f"{start} at weight {tick.state.weight}: waiting for {waited_for(ctx, tick.state)}"
    return _held_up(tick, ask, reason, message, after=left)


def _held_up(
    tick: Tick, ask: MetricsAsk, reason: Reason, message: str, *, after: timedelta
) -> Decision:
    """Say what is waited for: in the status as it stands, as an event once."""
    said = replace(tick, state=replace(tick.state, reason=str(reason), message=message))
    news = reason in _HELD_UP and reason != tick.ctx.state.reason
    events = (Emit(str(reason), message),) if news else ()
    return _between(said, *events, *_to_route(tick), asks=_asks(tick, ask), after=after)


# --- what the answers mean ---------------------------------------------------------------------


def _measured(tick: Tick, ask: MetricsAsk, samples: tuple[Sample, ...]) -> tuple[Check, ...]:
    """Judge health and metrics; the first look after the first weight calls hooks alone."""
    if tick.state.checked_at is None and ask.round == tick.state.round:
        return ()
    return judge(
        tick.ctx.observed.canary,
        samples,
        tick.strategy,
        tick.state.restarts,
        comparable=ask.baselines,
    )


def _is_comparable(tick: Tick) -> bool:
    """Tell whether the stable still serves at least half of the traffic by itself."""
    running = _is_running(tick.state) and tick.strategy.policy.enabled
    return running and tick.state.weight <= _HALF


def _outcome(tick: Tick, checks: tuple[Check, ...]) -> Outcome:
    """Return what the checks come to; data that has been missing for long may be passed over."""
    outcome, since = overall(checks), tick.state.no_data_since
    over = (
        outcome is Outcome.NO_DATA
        and tick.strategy.no_data is NoDataPolicy.PASS
        and since is not None
        and tick.ctx.now - since >= tick.strategy.no_data_after
    )
    return Outcome.PASSED if over else outcome


def _seen(tick: Tick, ask: MetricsAsk, checks: tuple[Check, ...]) -> State:
    """Return the state after a tick; what lasts beyond it is said anew by the rule it is for."""
    canary = tick.ctx.observed.canary
    seen = replace(
        tick.state,
        round=ask.round + 1,
        asked=tick.state.out,
        checks=checks,
        checked_at=tick.ctx.now,
        restarts=canary.restarts if isinstance(canary, CanaryPresent) else 0,
        no_data_since=None,
        incident_since=None,
    )
    return recorded(tick.ctx, seen)


def seen_hooks(tick: Tick) -> Tick:
    """Return the tick that has judged hooks alone, at weight 0."""
    return replace(tick, state=_seen(tick, _question(tick), checks_of(tick.state)))


def failed(tick: Tick) -> Decision:
    """A failed check: stay, and refuse at the threshold."""
    ctx, threshold = tick.ctx, tick.strategy.threshold
    why = summary(tick.state.checks, Outcome.FAILED)
    count = tick.state.failed_checks + 1
    tick = replace(tick, state=replace(tick.state, failed_checks=count))
    if count >= threshold:
        verdict = f"failed checks threshold reached {count}: {why}"
        return refuse(ctx, Reason.REFUSED, verdict, tick.state)
    message = f"Halt {ctx.observed.key} advancement, check {count} of {threshold}: {why}"
    return stay(tick, Reason.CHECK_FAILED, message)


def _incident(tick: Tick) -> Decision:
    before, state = tick.ctx.state, tick.state
    state = replace(state, incident_since=before.incident_since or tick.ctx.now)
    if any(check.outcome is Outcome.NO_DATA for check in state.checks):
        state = replace(state, no_data_since=before.no_data_since)
    return incident(replace(tick, state=state), summary(state.checks, Outcome.SHARED))


def _no_data(tick: Tick) -> Decision:
    """A metric without a value is never a pass by itself; the policy says what it becomes."""
    ctx, strategy = tick.ctx, tick.strategy
    since = ctx.state.no_data_since or ctx.now
    tick = replace(tick, state=replace(tick.state, no_data_since=since))
    missing = summary(tick.state.checks, Outcome.NO_DATA)
    if ctx.now - since >= strategy.no_data_after and strategy.no_data is NoDataPolicy.FAIL:
        why = f"no data for {age(since, ctx.now)}: {missing}"
        return refuse(ctx, Reason.REFUSED, why, tick.state)
    message = (
        f"Halt {ctx.observed.key} advancement, holding at weight {tick.state.weight}: "
        f"{missing}{_patience(strategy, since)}"
    )
    return stay(tick, Reason.NO_DATA, message)


def _patience(strategy: Strategy, since: datetime) -> str:
    """Say until when a metric without a value is waited for."""
    if strategy.no_data is NoDataPolicy.HOLD:
        return "; waiting until there is one"
    until = (since + strategy.no_data_after).strftime("%H:%M:%S")
    then = "refused" if strategy.no_data is NoDataPolicy.FAIL else "passed over"
    return f"; waiting until {until} UTC, then it is {then}"


# --- a tick on which everything has passed: the first rule that applies answers ----------------


def _passed(tick: Tick) -> Decision:
    if tick.strategy.failure_count is FailureCount.CONSECUTIVE:
        tick = replace(tick, state=replace(tick.state, failed_checks=0))
    return next(found for rule in RULES_TICK if (found := rule(tick)) is not None)


def _on_course(tick: Tick) -> Decision | None:
    """A promotion that rolls on, and the first look after the first weight."""
    before, key = tick.ctx.state, tick.ctx.observed.key
    rolling = before.phase is Phase.PROMOTING
    if not rolling and before.checked_at is not None:
        return None
    if before.reason not in _HELD_UP:
        return stay(tick, before.reason, before.message)
    if rolling:
        return stay(tick, Reason.PROMOTING, f"Promoting {key}: its pods are replaced")
    return stay(tick, Reason.ADVANCED, advancing(tick.ctx, tick.state.weight))


def _paused(tick: Tick) -> Decision | None:
    if not tick.state.paused:
        return None
    message = f"paused at weight {tick.state.weight}; all checks passed"
    return stay(tick, Reason.PAUSED, message)


def _moved(tick: Tick) -> Decision | None:
    """The process died before the route was written, or somebody moved it.

    What was judged is not this step.
    """
    if not _is_moved(tick):
        return None
    again = stay(tick, tick.state.reason, tick.state.message)
    return replace(again, actions=(*again.actions, SetWeight(tick.state.weight)))


def _next_step(tick: Tick) -> Decision | None:
    left = ahead(tick.strategy.steps, tick.state.step, tick.state.weight)
    return advance(tick, left[0], after=tick.strategy.interval) if left else None


def _promote(tick: Tick) -> Decision:
    return promote(tick.ctx, "all checks passed at the last weight", tick.state)


RULES_TICK: Final[tuple[Callable[[Tick], Decision | None], ...]] = (
    _on_course,
    _paused,
    _moved,
    gate,
    lasting,
    _next_step,
    _promote,
)
_VERDICTS: Final[dict[Outcome, Callable[[Tick], Decision]]] = {
    Outcome.FAILED: failed,
    Outcome.SHARED: _incident,
    Outcome.NO_DATA: _no_data,
    Outcome.PASSED: _passed,
}


def advance(tick: Tick, step: int, *, after: timedelta) -> Decision:
    """Take a step: the intent is saved before the route is touched, so a restart completes it."""
    ctx, weight = tick.ctx, tick.strategy.steps[step].traffic.weight
    message = advancing(ctx, weight)
    advanced = replace(
        tick.state,
        step=step,
        round=0,
        asked=(),
        weight=weight,
        reason=str(Reason.ADVANCED),
        message=message,
        checked_at=ctx.now,
        stepped_at=ctx.now,
    )
    return Decision(
        state=advanced,
        actions=(Emit(str(Reason.ADVANCED), message), SaveState(), SetWeight(weight)),
        requeue_after=after,
    )


def advancing(ctx: Context, weight: int) -> str:
    """Say that a step is taken."""
    message = f"Advance {ctx.observed.key} canary weight {weight}"
    if not ctx.observed.split.routes:
        message += " (no route leads to its Service: no live traffic is shifted)"
    return message
