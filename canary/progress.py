"""The rules of a run that is under way: what is asked, and what each tick of the analysis means."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from canary.actions import (
    Decision,
    Emit,
    EnsureCanary,
    EnsureRoute,
    SaveState,
    ScaleDownRevision,
    SetWeight,
)
from canary.analysis import check_hook, judge, overall, summary
from canary.contract import Reason
from canary.desired import canary_size
from canary.endings import Context, promote, refuse, wait
from canary.evidence.verdict import Refuse
from canary.model.state import Check, Outcome, Phase, State
from canary.model.strategy import FailureCount, HookType, NoDataPolicy, Strategy
from canary.model.world import CanaryAbsent, CanaryPresent, Questions
from canary.status import age
from canary.staying import bake, gate, incident, recorded, stay
from canary.weighing import why_refused

_HALF: Final = 50
"""Percent: a stable with less traffic than its canary is nothing to compare it with."""
_KEEP_EVERY: Final = timedelta(seconds=30)
"""How often evidence is stored between two ticks."""


def due_in(ctx: Context, strategy: Strategy) -> timedelta:
    """Return the time until the next tick of the analysis; never below zero."""
    if ctx.state.checked_at is None:
        return timedelta(0)
    return max(timedelta(0), ctx.state.checked_at + strategy.interval - ctx.now)


def run_questions(ctx: Context, strategy: Strategy) -> Questions:
    """Return what a running analysis wants to know now."""
    state, canary = ctx.state, ctx.observed.canary
    if not isinstance(canary, CanaryPresent) or due_in(ctx, strategy):
        return Questions()
    if state.phase is Phase.PROMOTING:
        return Questions(metrics=not state.forced)
    if not canary.current:
        return Questions()
    if state.weight:
        return Questions(
            metrics=state.checked_at is not None,
            baselines=_is_comparable(state, strategy),
            hooks=HookType.ROLLOUT,
        )
    if _is_ready(canary, strategy) and not state.pre_rollout_passed:
        return Questions(hooks=HookType.PRE_ROLLOUT)
    return Questions()


def progress(ctx: Context, strategy: Strategy) -> Decision:
    """Decide the next move of a run that is under way."""
    for rule in (
        _undo_first,
        _make_canary,
        _canary_broken,
        weighed,
        _canary_not_ready,
        _skip,
        _before,
    ):
        if (decision := rule(ctx, strategy)) is not None:
            return decision
    if ctx.observed.asked:
        return _tick(ctx, strategy)
    return resync(ctx, strategy)


def _undo_first(ctx: Context, strategy: Strategy) -> Decision | None:
    """A promotion that was superseded half-way is taken back before anything is judged."""
    del strategy
    undoing = ctx.state.undoing
    if not undoing:
        return None
    left = [r for r in ctx.observed.revisions if r.template_hash == undoing and r.replicas]
    if left:
        message = f"undoing the half-way promotion of {undoing} first"
        return replace(
            wait(ctx, Reason.UNDOING, message, ctx.timing.poll),
            actions=(ScaleDownRevision(undoing),),
        )
    stable = [r for r in ctx.observed.revisions if r.template_hash == ctx.state.stable]
    if any(r.ready < r.replicas or r.replicas < ctx.observed.target.replicas for r in stable):
        return wait(ctx, Reason.UNDOING, "waiting for the stable pods to be back", ctx.timing.poll)
    return None


def _make_canary(ctx: Context, strategy: Strategy) -> Decision | None:
    """The canary runs the candidate, at the size that the largest step needs."""
    canary = ctx.observed.canary
    size = canary_size(ctx.observed.target.replicas, strategy.weights)
    match canary:
        case CanaryPresent(template_hash=found) if found != ctx.candidate:
            # Pods of the candidate before may still have connections to finish.
            if (left := ctx.timing.drain - ctx.since_change()) > timedelta(0):
                return wait(ctx, Reason.SUPERSEDED, "draining the previous canary", left)
        case CanaryPresent(replicas=replicas) if replicas == size:
            return None
        case CanaryPresent() if ctx.state.weight:
            # The target was scaled: the canary follows, and keeps its share meanwhile.
            follow = resync(ctx, strategy)
            actions = (*follow.actions, EnsureCanary(size))
            return replace(follow, actions=actions, requeue_after=ctx.timing.poll)
        case _:
            pass
    message = f"New revision detected! Scaling up {ctx.observed.key}"
    decision = wait(ctx, Reason.WAITING_FOR_CANARY, message, ctx.timing.poll)
    # On the route with no share: a proxy that learns of a backend only together with its traffic
    # answers 503 until it has it.
    made = (EnsureRoute(), EnsureCanary(size), SetWeight(0))
    return replace(decision, actions=(*decision.actions, *made))


def _canary_broken(ctx: Context, strategy: Strategy) -> Decision | None:
    """A pod that cannot come up needs no statistics."""
    canary = ctx.observed.canary
    if isinstance(canary, CanaryAbsent):
        return None
    if canary.trouble:
        return refuse(ctx, Reason.REFUSED, canary.trouble)
    if ctx.state.weight and (why := _fell(ctx, canary, strategy)):
        return refuse(ctx, Reason.REFUSED, why)
    return None


def _fell(ctx: Context, canary: CanaryPresent, strategy: Strategy) -> str:
    """Say what befell a canary that was ready once and has traffic; nothing where it serves."""
    if canary.crash and (canary.restarts > ctx.state.restarts or not canary.ready):
        return canary.crash
    if strategy.ready_percent and canary.replicas and not canary.ready:
        return f"none of {canary.replicas} canary pods is ready any more"
    return ""


def weighed(ctx: Context, strategy: Strategy) -> Decision | None:
    """Sufficient evidence against the candidate needs no tick."""
    del strategy
    weighing = ctx.observed.weighing
    if weighing is None or not isinstance(weighing.verdict, Refuse) or ctx.state.forced:
        return None
    why = why_refused(weighing, weighing.verdict.finding)
    return refuse(ctx, Reason.REFUSED, why, recorded(ctx, ctx.state))


def _canary_not_ready(ctx: Context, strategy: Strategy) -> Decision | None:
    """Before the first weight the canary must be ready, within the progress deadline."""
    canary = ctx.observed.canary
    if isinstance(canary, CanaryAbsent) or ctx.state.weight:
        return None
    if canary.current and _is_ready(canary, strategy):
        return None
    waited = ctx.now - (ctx.state.started_at or ctx.now)
    if waited > strategy.progress_deadline:
        limit = int(strategy.progress_deadline.total_seconds())
        why = f"{canary.ready} of {canary.replicas} canary pods are ready after {limit} s"
        return refuse(ctx, Reason.REFUSED, why)
    message = f"waiting for canary pods: {canary.ready} of {canary.replicas} are ready"
    return wait(ctx, Reason.WAITING_FOR_CANARY, message, ctx.timing.poll)


def _is_ready(canary: CanaryPresent, strategy: Strategy) -> bool:
    # Rounded up: a threshold under 100 % must not turn one pod into none.
    return canary.ready * 100 >= canary.replicas * strategy.ready_percent and canary.ready > 0


def _skip(ctx: Context, strategy: Strategy) -> Decision | None:
    return promote(ctx, "analysis is skipped (skipAnalysis)") if strategy.skip_analysis else None


def _before(ctx: Context, strategy: Strategy) -> Decision | None:
    """At weight 0: pre-rollout hooks first, then the first weight."""
    if ctx.state.weight:
        return None
    needed = [hook for hook in strategy.hooks if hook.type is HookType.PRE_ROLLOUT]
    if not ctx.state.pre_rollout_passed and needed:
        if not ctx.observed.asked:
            return wait(ctx, Reason.PRE_ROLLOUT, ctx.state.message, due_in(ctx, strategy))
        checks = tuple(check_hook(result) for result in ctx.observed.hooks)
        if overall(checks) is not Outcome.PASSED:
            return _failed(ctx, strategy, checks)
    return _first_weight(ctx, strategy, passed=[hook.name for hook in needed])


def _first_weight(ctx: Context, strategy: Strategy, *, passed: list[str]) -> Decision:
    canary = ctx.observed.canary
    restarts = canary.restarts if isinstance(canary, CanaryPresent) else 0
    # What happened while it started is forgiven: it did become ready.
    state = replace(ctx.state, pre_rollout_passed=True, checks=(), restarts=restarts)
    start = Emit(str(Reason.PROGRESSING), f"Starting canary analysis for {ctx.observed.key}")
    hooks = [Emit(str(Reason.PROGRESSING), f"Pre-rollout check {name} passed") for name in passed]
    decision = _set_weight(ctx, state, strategy.weights[0], after=timedelta(0))
    # The hooks of the first step are called at once: they may be what brings the traffic.
    unseen = replace(decision.state, checked_at=None)
    return replace(decision, state=unseen, actions=(*hooks, start, *decision.actions))


def _set_weight(ctx: Context, state: State, weight: int, *, after: timedelta) -> Decision:
    """Advance: the intent is saved before the route is touched, so a restart completes it."""
    message = f"Advance {ctx.observed.key} canary weight {weight}"
    if not ctx.observed.split.routes:
        message += " (no route leads to its Service: no live traffic is shifted)"
    advanced = replace(
        state,
        weight=weight,
        reason=str(Reason.ADVANCED),
        message=message,
        checked_at=ctx.now,
        stepped_at=ctx.now,
    )
    return Decision(
        reason=advanced.reason,
        message=message,
        state=advanced,
        actions=(Emit(str(Reason.ADVANCED), message), SaveState(), SetWeight(weight)),
        requeue_after=after,
    )


def _tick(ctx: Context, strategy: Strategy) -> Decision:
    """One look at everything that was asked."""
    if ctx.state.checked_at is None:
        checks = tuple(check_hook(result) for result in ctx.observed.hooks)
    else:
        comparable = _is_comparable(ctx.state, strategy)
        checks = judge(ctx.observed, strategy, ctx.state.restarts, comparable=comparable)
    match overall(checks):
        case Outcome.FAILED:
            return _failed(ctx, strategy, checks)
        case Outcome.SHARED:
            return _incident(ctx, strategy, checks)
        case Outcome.NO_DATA:
            return _no_data(ctx, strategy, checks)
        case Outcome.PASSED:
            return _passed(ctx, strategy, checks)


def _seen(ctx: Context, checks: tuple[Check, ...]) -> State:
    """Return the state after a tick; what lasts beyond it is said anew by the rule it is for."""
    canary = ctx.observed.canary
    restarts = canary.restarts if isinstance(canary, CanaryPresent) else 0
    seen = replace(
        ctx.state,
        checks=checks,
        checked_at=ctx.now,
        restarts=restarts,
        no_data_since=None,
        incident_since=None,
    )
    return recorded(ctx, seen)


def _failed(ctx: Context, strategy: Strategy, checks: tuple[Check, ...]) -> Decision:
    why = summary(checks, Outcome.FAILED)
    count = ctx.state.failed_checks + 1
    state = replace(_seen(ctx, checks), failed_checks=count)
    if count >= strategy.threshold:
        verdict = f"failed checks threshold reached {count}: {why}"
        return refuse(ctx, Reason.REFUSED, verdict, state)
    message = f"Halt {ctx.observed.key} advancement, check {count} of {strategy.threshold}: {why}"
    return stay(ctx, strategy, state, Reason.CHECK_FAILED, message)


def _incident(ctx: Context, strategy: Strategy, checks: tuple[Check, ...]) -> Decision:
    state = replace(_seen(ctx, checks), incident_since=ctx.state.incident_since or ctx.now)
    if any(check.outcome is Outcome.NO_DATA for check in checks):
        state = replace(state, no_data_since=ctx.state.no_data_since)
    return incident(ctx, strategy, state, summary(checks, Outcome.SHARED))


def _is_comparable(state: State, strategy: Strategy) -> bool:
    """Tell whether the stable still serves at least half of the traffic by itself."""
    running = state.phase is Phase.PROGRESSING and strategy.policy.enabled
    return running and state.weight <= _HALF


def _no_data(ctx: Context, strategy: Strategy, checks: tuple[Check, ...]) -> Decision:
    """A metric without a value is never a pass by itself; the policy says what it becomes."""
    since = ctx.state.no_data_since or ctx.now
    state = replace(_seen(ctx, checks), no_data_since=since)
    waited = ctx.now - since
    if waited >= strategy.no_data_after and strategy.no_data is not NoDataPolicy.HOLD:
        if strategy.no_data is NoDataPolicy.FAIL:
            why = f"no data for {age(since, ctx.now)}: {summary(checks, Outcome.NO_DATA)}"
            return refuse(ctx, Reason.REFUSED, why, state)
        return _passed(ctx, strategy, checks)
    message = (
        f"Halt {ctx.observed.key} advancement, holding at weight {state.weight}: "
        f"{summary(checks, Outcome.NO_DATA)}{_patience(strategy, since)}"
    )
    return stay(ctx, strategy, state, Reason.NO_DATA, message)


def _patience(strategy: Strategy, since: datetime) -> str:
    """Say until when a metric without a value is waited for."""
    if strategy.no_data is NoDataPolicy.HOLD:
        return "; waiting until there is one"
    until = (since + strategy.no_data_after).strftime("%H:%M:%S")
    then = "refused" if strategy.no_data is NoDataPolicy.FAIL else "passed over"
    return f"; waiting until {until} UTC, then it is {then}"


def _passed(ctx: Context, strategy: Strategy, checks: tuple[Check, ...]) -> Decision:
    state = _seen(ctx, checks)
    if strategy.failure_count is FailureCount.CONSECUTIVE:
        state = replace(state, failed_checks=0)
    if ctx.state.phase is Phase.PROMOTING or ctx.state.checked_at is None:
        return stay(ctx, strategy, state, ctx.state.reason, ctx.state.message)
    if ctx.state.paused:
        message = f"paused at weight {state.weight}; all checks passed"
        return stay(ctx, strategy, state, Reason.PAUSED, message)
    split = ctx.observed.split
    if split.routes and (split.weight != state.weight or not split.even):
        # The process died before the route was written, or somebody moved it: what was judged
        # is not this step.
        again = stay(ctx, strategy, state, state.reason, state.message)
        return replace(again, actions=(*again.actions, SetWeight(state.weight)))
    if (held := gate(ctx, strategy, state) or bake(ctx, strategy, state)) is not None:
        return held
    for weight in strategy.weights:
        if weight > state.weight:
            return _set_weight(ctx, state, weight, after=strategy.interval)
    return promote(ctx, "all checks passed at the last weight", state)


def resync(ctx: Context, strategy: Strategy) -> Decision:
    """Between two ticks: the routes carry what the state says, and the status what was counted."""
    split, state = ctx.observed.split, ctx.state
    moved = split.routes and (split.weight != state.weight or not split.even)
    kept, due = recorded(ctx, state) if _is_news(ctx) else state, due_in(ctx, strategy)
    return Decision(
        reason=state.reason,
        message=state.message,
        state=kept,
        actions=(
            *((SetWeight(state.weight),) if moved else ()),
            *((SaveState(),) if kept is not state else ()),
        ),
        requeue_after=min(due, _KEEP_EVERY) if strategy.policy.enabled else due,
    )


def _is_news(ctx: Context) -> bool:
    """Tell whether so much evidence has come since it was stored that a death would cost time."""
    weighing = ctx.observed.weighing
    stored = float(ctx.state.evidence.get("at", 0.0))
    return weighing is not None and weighing.at - stored >= _KEEP_EVERY.total_seconds()


def tick_while_promoting(ctx: Context, strategy: Strategy) -> Decision:
    """The candidate is judged while it rolls, and a refusal undoes the promotion."""
    if (refused := weighed(ctx, strategy)) is not None:
        return refused
    return _tick(ctx, strategy) if ctx.observed.asked else resync(ctx, strategy)
