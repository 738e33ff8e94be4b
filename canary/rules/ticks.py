"""The ticks of the analysis: what is asked for a check, and what its answers mean for the run.

A tick that is due asks all metrics and calls the rollout hooks, and is decided when their answers
have come. What fails counts at once; what passes waits for hooks, and its metrics are asked anew
every interval meanwhile.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from canary.contract import Reason
from canary.durations import age
from canary.evidence.report import why_refused
from canary.evidence.verdict import Refuse
from canary.model.asking import Ask, MetricsAsk, Unanswered
from canary.model.state import Check, Outcome, Phase, State
from canary.model.strategy import (
    FailureCount,
    HookType,
    NoDataPolicy,
)
from canary.model.world import CanaryPresent
from canary.rules.actions import Action, Decision, Emit, SaveState, SetTraffic
from canary.rules.approvals import confirmed
from canary.rules.checks import measurements, patience, summary
from canary.rules.context import RECHECK, Context, Tick
from canary.rules.course import advancing, begins_anew, left, mended
from canary.rules.gates import (
    gate,
    incident,
    lasting,
    looks_back,
    not_carried,
    recorded,
    stable_short,
    stay,
)
from canary.rules.hooks import called, checks_of, hooks_of, names_out, waited_for
from canary.rules.pods import broken, lost, some_lost
from canary.rules.reach import MENDED
from canary.rules.rounds import (
    asked,
    began,
    is_running,
    measured,
    outcome_of,
    question,
    samples_of,
    since_carried,
)
from canary.rules.routed import differing, meant, to_traffic, wanted
from canary.rules.transitions import made_whole, promote, refuse

_KEEP_EVERY: Final = timedelta(seconds=30)
"""How often evidence is stored between two ticks."""
_GRACE: Final = timedelta(seconds=5)
"""How long a question may be out before the status says so: most are answered long before."""
_HELD_UP: Final = frozenset({Reason.WAITING_FOR_HOOK, Reason.QUEUED})
_PASSING: Final = _HELD_UP | {
    Reason.PODS_LOST,
    Reason.CLUSTER_INCIDENT,
    Reason.LOOKS_BACK,
    Reason.GATEWAY_BEHIND,
    Reason.ROUTE_DIFFERS,
}
"""Reasons that are over with the tick that passes."""


def due_in(tick: Tick) -> timedelta:
    """Return the time until the next tick of the analysis; never below zero."""
    if tick.state.checked_at is None:
        return timedelta(0)
    return max(timedelta(0), tick.state.checked_at + tick.strategy.interval - tick.ctx.now)


def resync(tick: Tick, after: timedelta) -> Decision:
    """Between two ticks: the routes carry what the state says, and the status what was counted."""
    # A share of a Service that a gateway has not heard of is nobody's, and goes once that lasts.
    soon = min(after, MENDED) if tick.ctx.observed.split.unheard else after
    return _between(tick, *_to_route(tick), after=soon)


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
    at = ctx.state.evidence.get("at")
    stored = at if isinstance(at, int | float) else 0.0
    return weighing is not None and abs(weighing.at - stored) >= _KEEP_EVERY.total_seconds()


def is_moved(tick: Tick) -> bool:
    """Tell whether the routes carry other traffic than they are to."""
    return tick.ctx.observed.split.lacks(meant(tick.ctx, tick.state))


def _to_route(tick: Tick) -> tuple[Action, ...]:
    return to_traffic(tick.ctx, meant(tick.ctx, tick.state))


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
    found = weighed(tick)
    # Where it has what the new pods need, it is gone on purpose.
    away = bool(tick.ctx.observed.exclusive)
    if found is None and not (away or tick.state.forced):
        found = broken(tick)
    if found is None and not away:
        found = lost(tick)
    if found is not None:
        return found
    if made := made_whole(tick.ctx):
        again = resync(tick, tick.ctx.timing.poll)
        return replace(again, actions=(*made, *again.actions))
    if wait_for := due_in(tick):
        return resync(tick, wait_for)
    observed = tick.ctx.observed
    unjudged = observed.problems or tick.strategy.suspended or tick.state.forced
    if unjudged or not isinstance(observed.canary, CanaryPresent):
        return resync(tick, RECHECK)
    return check(tick)


# --- what a tick asks, and waits for -----------------------------------------------------------


def check(tick: Tick) -> Decision:
    """One check: ask what it needs, and decide once what has come is enough."""
    tick = since_carried(tick)
    hooks = hooks_of(tick.strategy, HookType.ROLLOUT) if is_running(tick.state) else ()
    tick = replace(tick, state=called(tick.ctx, tick.state, hooks))
    ask = question(tick)
    samples = samples_of(tick, ask)
    if isinstance(samples, Unanswered):
        return _asking(tick, ask)
    checks = (*measured(tick, ask, samples), *checks_of(tick.state))
    outcome = outcome_of(tick, checks)
    first = tick.state.checked_at is None
    if outcome is Outcome.PASSED and tick.state.out and (first or not is_moved(tick)):
        return _waiting(tick, ask)
    seen = _seen(tick, ask, checks)
    state = mended(seen, tick.strategy) if is_moved(tick) else seen
    return _VERDICTS[outcome](replace(tick, state=state))


def _asking(tick: Tick, ask: MetricsAsk) -> Decision:
    """The metrics are out: nothing is decided until they have come."""
    if not tick.ctx.observed.standing.queues(ask):
        return _between(tick, asks=(ask,), after=_GRACE)
    text = "its metrics wait for a free place among the questions of its namespace"
    said = _held_up(tick, Reason.QUEUED, text)
    events = _once(tick, Reason.QUEUED, text)
    return _between(said, *events, asks=(ask,), after=_KEEP_EVERY)


def _waiting(tick: Tick, ask: MetricsAsk) -> Decision:
    """All that has come has passed, and a hook is out: the weight stays."""
    ctx, state, interval = tick.ctx, tick.state, tick.strategy.interval
    waited = ctx.now - min(one.since for one in state.out)
    until = interval - (ctx.now - began(tick)) % interval
    asks, route = asked(tick, ask), _to_route(tick)
    if waited < _GRACE:
        return _between(tick, *route, asks=asks, after=min(until, _GRACE - waited))
    said = _held_up(tick, Reason.WAITING_FOR_HOOK, f"waiting for {waited_for(ctx, state)}")
    events = _once(tick, Reason.WAITING_FOR_HOOK, f"waiting for {names_out(state)}")
    return _between(said, *events, *route, asks=asks, after=until)


def _held_up(tick: Tick, reason: Reason, text: str) -> Tick:
    """Say in the state what is waited for; a pause stays one."""
    why = Reason.PAUSED if tick.state.paused else reason
    word = "paused" if tick.state.paused else "holding"
    message = f"{word} {tick.ctx.observed.key} at weight {tick.state.weight}: {text}"
    return replace(tick, state=replace(tick.state, reason=str(why), message=message))


def _once(tick: Tick, reason: Reason, text: str) -> tuple[Action, ...]:
    """Say it as an event when it begins; without a time, so that it is one for each weight."""
    if tick.state.paused or tick.ctx.state.reason == reason:
        return ()
    message = f"holding {tick.ctx.observed.key} at weight {tick.state.weight}: {text}"
    return (Emit(str(reason), message),)


# --- what the answers mean ---------------------------------------------------------------------


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
        lost_since=None,
        gate=None if tick.state.gate is None else replace(tick.state.gate, ready=False),
    )
    return recorded(tick.ctx, seen)


def seen_hooks(tick: Tick) -> Tick:
    """Return the tick that has judged hooks alone, at weight 0."""
    return replace(tick, state=_seen(tick, question(tick), checks_of(tick.state)))


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
        f"{missing}{patience(strategy, since)}"
    )
    return stay(tick, Reason.NO_DATA, message)


# --- a tick on which everything has passed: the first rule that applies answers ----------------


def _passed(tick: Tick) -> Decision:
    if tick.strategy.failure_count is FailureCount.CONSECUTIVE:
        tick = replace(tick, state=replace(tick.state, failed_checks=0))
    return next(found for rule in RULES_TICK if (found := rule(tick)) is not None)


def _on_course(tick: Tick) -> Decision | None:
    """A promotion that rolls on, and the first look after the first weight."""
    before = tick.ctx.state
    if before.phase is not Phase.PROMOTING and before.checked_at is not None:
        return None
    return stay(tick, *_why(tick))


def _why(tick: Tick) -> tuple[str, str]:
    """Return the reason and the message that stand once nothing is waited for any more."""
    before, key = tick.ctx.state, tick.ctx.observed.key
    if before.reason not in _PASSING:
        return before.reason, before.message
    if before.phase is Phase.PROMOTING:
        return Reason.PROMOTING, f"Promoting {key}: its pods are replaced"
    return Reason.ADVANCED, advancing(tick.ctx, tick.strategy, tick.state)


def _paused(tick: Tick) -> Decision | None:
    if not tick.state.paused:
        return None
    message = f"paused at weight {tick.state.weight}; all checks passed"
    return stay(tick, Reason.PAUSED, message)


def _moved(tick: Tick) -> Decision | None:
    """The process died before the route was written, or somebody moved it.

    What was judged is not this step. Where the Canary was edited to other users meanwhile, these
    begin with its first step all the same: a route may never take what the one before asks for.
    """
    if not is_moved(tick) or begins_anew(tick.strategy, tick.state):
        return None
    return stay(tick, Reason.ROUTE_DIFFERS, differing(tick.ctx, tick.state))


def _not_followed(tick: Tick) -> Decision | None:
    """The Canary was edited into what cannot be followed: no step, and judged as before."""
    why = tick.ctx.observed.not_followed
    if not why:
        return None
    message = (
        f"{tick.ctx.observed.key} stays at weight {tick.state.weight}, judged as before its Canary "
        f"was edited: {'; '.join(why)}"
    )
    return stay(tick, Reason.NOT_FOLLOWED, message)


def _next_step(tick: Tick) -> Decision | None:
    further = left(tick.strategy, tick.state)
    return advance(tick, further[0], after=tick.strategy.interval) if further else None


def _promote(tick: Tick) -> Decision:
    by = measurements(tick.state.checks)
    return promote(tick.ctx, f"all checks passed at the last weight{by}", tick.state)


RULES_TICK: Final[tuple[Callable[[Tick], Decision | None], ...]] = (
    _on_course,
    _paused,
    _moved,
    not_carried,
    _not_followed,
    stable_short,
    gate,
    lasting,
    confirmed,
    _next_step,
    _promote,
)
_VERDICTS: Final[dict[Outcome, Callable[[Tick], Decision]]] = {
    Outcome.FAILED: failed,
    Outcome.LOST: some_lost,
    Outcome.SHARED: _incident,
    Outcome.NO_DATA: _no_data,
    Outcome.WAITING: looks_back,
    Outcome.PASSED: _passed,
}


def go_on(tick: Tick) -> Decision:
    """Take the next step, or promote after the last."""
    return _next_step(tick) or _promote(tick)


def advance(tick: Tick, step: int, *, after: timedelta) -> Decision:
    """Take a step: the intent is saved before the route is touched, so a restart completes it."""
    ctx, traffic = tick.ctx, tick.strategy.steps[step].traffic
    advanced = replace(
        tick.state,
        step=step,
        round=0,
        asked=(),
        weight=traffic.weight,
        beside=replace(traffic, weight=0),
        kind=tick.strategy.kind,
        reason=str(Reason.ADVANCED),
        checked_at=ctx.now,
        stepped_at=ctx.now,
        traffic_since=tick.state.traffic_since or ctx.now,
    )
    message = advancing(ctx, tick.strategy, advanced)
    return Decision(
        state=replace(advanced, message=message),
        actions=(
            Emit(str(Reason.ADVANCED), f"{message}{measurements(tick.state.checks)}"),
            SaveState(),
            SetTraffic(wanted(ctx, advanced)),
        ),
        requeue_after=after,
    )
