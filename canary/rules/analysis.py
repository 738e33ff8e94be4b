"""The rules of a run that is under way, up to its first weight; then its ticks."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from canary.contract import Reason
from canary.model.asking import Word
from canary.model.names import canary_name
from canary.model.state import Outcome, Phase
from canary.model.strategy import HookType
from canary.model.traffic import NOTHING
from canary.model.world import CanaryAbsent, CanaryPresent
from canary.rules.actions import (
    Decision,
    Emit,
    EnsureCanary,
    EnsureRoute,
    SaveState,
    ScaleDownRevision,
    SetTraffic,
)
from canary.rules.ahead import SLACK
from canary.rules.approvals import ahead_of, confirm_rollout, first_traffic, waits
from canary.rules.approvals import missing as shut
from canary.rules.capacity import canary_pods, missing
from canary.rules.checks import overall
from canary.rules.context import RECHECK, Context, Tick, wait, warned
from canary.rules.former import elsewhere, ending
from canary.rules.gates import short_of
from canary.rules.hooks import called, checks_of, hooks_of, waited_for
from canary.rules.not_taken import not_taken
from canary.rules.pods import (
    broken,
    fails_by_itself,
    is_ready,
    lost,
    made_again,
    stormy,
    what_is_missing,
)
from canary.rules.reach import deleted, no_endpoint, no_route, route_lost
from canary.rules.ticks import (
    advance,
    check,
    due_in,
    failed,
    go_on,
    is_moved,
    resync,
    seen_hooks,
    weighed,
)
from canary.rules.transitions import expire, promote, refuse, to_stable


def progress(tick: Tick) -> Decision:
    """Decide the next move of a run that is under way."""
    rule, decision = next((rule, found) for rule in RULES_RUN if (found := rule(tick)) is not None)
    if not tick.state.begun and rule not in _AT_GATES:
        # What is in the way now has a deadline of its own, which runs from here.
        decision = replace(decision, state=replace(decision.state, gate=None))
    return _noticed(tick, _without_share(tick.ctx, decision))


def _without_share(ctx: Context, decision: Decision) -> Decision:
    """Before the first weight there is no share, whoever has written one: a saved copy has it."""
    waits = decision.state.phase is Phase.PROGRESSING and not decision.state.begun
    if not waits or any(isinstance(action, SetTraffic) for action in decision.actions):
        return decision
    return replace(decision, actions=(*to_stable(ctx), *decision.actions))


def _noticed(tick: Tick, decision: Decision) -> Decision:
    """Say that the stable became smaller under its part of the traffic, before it matters."""
    state, target = decision.state, tick.ctx.observed.target
    needed = missing(state, target.replicas)
    if state.phase is not Phase.PROGRESSING or needed == state.needed:
        return decision
    text = (
        f"{tick.ctx.observed.key} has {target.replicas} pods beside its canary at weight "
        f"{state.weight} and needs about {needed} for all of the traffic: a refusal would give "
        "it back as they come"
    )
    news = needed and not state.needed
    events = (Emit(str(Reason.STABLE_SHRUNK), text),) if news else ()
    saved = () if SaveState() in decision.actions else (SaveState(),)
    actions = (*events, *decision.actions, *saved)
    return replace(decision, state=replace(state, needed=needed), actions=actions)


def _undo_first(tick: Tick) -> Decision | None:
    """A promotion that was superseded half-way is taken back before anything is judged."""
    ctx = tick.ctx
    undoing = ctx.state.undoing
    if not undoing:
        return None
    if ctx.since_change() > tick.strategy.progress_deadline and not ctx.state.begun:
        why = f"the half-way promotion of {undoing} is not undone"
        return expire(ctx, why, tick.state, again=True)
    left = [r for r in ctx.observed.revisions if r.template_hash == undoing and r.replicas]
    if left:
        message = f"undoing the half-way promotion of {undoing} first"
        return replace(
            wait(ctx, Reason.UNDOING, message, ctx.timing.poll),
            actions=(ScaleDownRevision(undoing),),
        )
    # Of the stable and of what a team's own rollout has left beside it, each as many as it has.
    back = [r for r in ctx.observed.revisions if r.template_hash not in {undoing, ctx.candidate}]
    if back and sum(r.ready for r in back) < ctx.observed.target.replicas:
        return wait(ctx, Reason.UNDOING, "waiting for the stable pods to be back", ctx.timing.poll)
    return None


def _make_canary(tick: Tick) -> Decision | None:
    """The canary runs the candidate, at the size that the largest step needs."""
    ctx = tick.ctx
    canary = ctx.observed.canary
    size = canary_pods(ctx.state, tick.strategy, ctx.observed.target.replicas, canary)
    match canary:
        case CanaryPresent(template_hash=found) if found != ctx.candidate:
            if kept := _drained(ctx):
                return kept
        case CanaryPresent(replicas=replicas) if replicas == size:
            return None
        case CanaryAbsent() if ctx.state.begun:
            return made_again(tick)
        case CanaryPresent() if ctx.state.begun:
            # The target was scaled: the canary follows, and keeps its share meanwhile.
            if (refused := broken(tick) or weighed(tick)) is not None:
                return refused
            follow = resync(tick, ctx.timing.poll)
            return replace(follow, actions=(*follow.actions, EnsureCanary(size)))
        case _:
            pass
    message = f"New revision detected! Scaling up {ctx.observed.key}"
    decision = wait(ctx, Reason.WAITING_FOR_CANARY, message, ctx.timing.poll)
    # On the route with no share: a proxy that learns of a backend only together with its traffic
    # answers 503 until it has it.
    made = (EnsureRoute(), EnsureCanary(size), SetTraffic(NOTHING))
    return replace(decision, actions=(*decision.actions, *made))


def _drained(ctx: Context) -> Decision | None:
    """Pods of the candidate before may still have connections to finish, and requests to come."""
    if (left := ctx.timing.drain - ctx.drained_for()) > timedelta(0):
        return wait(ctx, Reason.SUPERSEDED, "draining the previous canary", left)
    if lag := ctx.observed.split.lag:
        message = f"the previous canary stays for a while: {lag}"
        return wait(ctx, Reason.GATEWAY_BEHIND, message, ctx.timing.poll)
    return None


def _canary_not_ready(tick: Tick) -> Decision | None:
    """Before the first weight the canary must be ready, within the progress deadline."""
    ctx, strategy, canary = tick.ctx, tick.strategy, tick.ctx.observed.canary
    if isinstance(canary, CanaryAbsent) or ctx.state.begun:
        return None
    if canary.current and is_ready(canary, strategy):
        return None
    ready = f"{canary.ready} of {canary.replicas}"
    if _unready_for(ctx) > strategy.progress_deadline:
        limit = int(strategy.progress_deadline.total_seconds())
        why = f"{ready} canary pods are ready after {limit} s"
        if fails_by_itself(canary, ctx.now - strategy.progress_deadline / 2):
            return refuse(ctx, Reason.REFUSED, why)
        missing = what_is_missing(canary)
        return expire(ctx, f"{why}: {missing}" if missing else why, tick.state, again=True)
    if canary.pods_denied:
        return _pods_denied(ctx, canary)
    return _starting(ctx, canary, f"waiting for canary pods: {ready} are ready")


def _starting(ctx: Context, canary: CanaryPresent, message: str) -> Decision:
    """Say what is waited for: pods that are all ready may be those of the version before."""
    if canary.ready >= canary.replicas:
        message = f"waiting for the Deployment {canary_name(ctx.observed.key.name)}"
    missing = what_is_missing(canary)
    message = f"{message}; {missing}" if missing else message
    return wait(ctx, Reason.WAITING_FOR_CANARY, message, ctx.timing.poll)


def _pods_denied(ctx: Context, canary: CanaryPresent) -> Decision:
    """The API server lets no more pods be made: said at once, in its words."""
    message = (
        f"{canary.ready} of {canary.replicas} pods of {canary_name(ctx.observed.key.name)} are "
        f"ready, and the API server denies more: {canary.pods_denied}"
    )
    return warned(ctx, wait(ctx, Reason.PODS_DENIED, message, RECHECK))


def _unready_for(ctx: Context) -> timedelta:
    """Return how long a canary may have been unready; one whose hooks were called was ready."""
    state = ctx.state
    heard = [one.word.at for one in state.asked if isinstance(one.word, Word)]
    # What kept it from being made is not its pods' time.
    canary = ctx.observed.canary
    made = canary.made_at if isinstance(canary, CanaryPresent) else None
    known = (state.started_at, state.checked_at, state.gated_until, made, *heard)
    # The server writes when it was made, whose clock may have stepped ahead of the run's.
    if state.gate is not None:
        return timedelta(0)
    times = [one for one in known if one is not None and one <= ctx.now + SLACK]
    return timedelta(0) if state.out else ctx.now - max(times, default=ctx.now)


def _skip(tick: Tick) -> Decision | None:
    skips = tick.strategy.skip_analysis
    return promote(tick.ctx, "analysis is skipped (skipAnalysis)") if skips else None


def _before(tick: Tick) -> Decision | None:
    """Before the first step: pre-rollout hooks, then the first weight."""
    ctx, state = tick.ctx, tick.state
    if state.begun:
        return None
    hooks = hooks_of(tick.strategy, HookType.PRE_ROLLOUT)
    if hooks and not state.pre_rollout_passed:
        if left := due_in(tick):
            return wait(ctx, state.reason, state.message, left)
        tick = replace(tick, state=called(ctx, state, hooks))
        if tick.state.out:
            return _pre_rollout(tick)
        if overall(checks_of(tick.state)) is not Outcome.PASSED:
            return failed(seen_hooks(tick))
    kept = _kept_waiting(tick) or first_traffic(tick)
    return kept or _first_weight(tick, passed=[hook.name for hook in hooks])


def _kept_waiting(tick: Tick) -> Decision | None:
    """All has passed: a person, pods or a gateway may still be waited for."""
    ctx = tick.ctx
    if tick.state.paused:
        return wait(ctx, Reason.PAUSED, "paused before the first weight", RECHECK)
    message = f"{ctx.observed.key} gets no traffic yet:"
    if short := short_of(ctx, tick.strategy):
        return warned(ctx, wait(ctx, Reason.STABLE_NOT_READY, f"{message} {short}", RECHECK))
    if why := elsewhere(ctx):
        return wait(ctx, Reason.WAITING_FOR_CANARY, f"{message} {why}", ctx.timing.poll)
    if pod := ending(ctx.observed.canary, ctx.now):
        why = f"{message} pod {pod} of the version before is still ending"
        return wait(ctx, Reason.WAITING_FOR_CANARY, why, ctx.timing.poll)
    if behind := ctx.observed.split.lag or ctx.observed.split.unheard:
        return wait(ctx, Reason.GATEWAY_BEHIND, f"{message} {behind}", ctx.timing.poll)
    return None


def _pre_rollout(tick: Tick) -> Decision:
    """No traffic until every pre-rollout hook has answered, however long that takes."""
    ctx = tick.ctx
    message = f"{ctx.observed.key} gets no traffic yet: waiting for {waited_for(ctx, tick.state)}"
    said = replace(tick.state, reason=str(Reason.PRE_ROLLOUT), message=message)
    saved = (SaveState(),) if said != ctx.state else ()
    return Decision(state=said, actions=saved, requeue_after=RECHECK)


def _first_weight(tick: Tick, *, passed: list[str]) -> Decision:
    ctx = tick.ctx
    canary = ctx.observed.canary
    restarts = canary.restarts if isinstance(canary, CanaryPresent) else 0
    # What happened while it started is forgiven: it did become ready.
    state = replace(
        tick.state,
        pre_rollout_passed=True,
        checks=(),
        restarts=restarts,
        full_size=ctx.observed.target.replicas,
    )
    start = Emit(str(Reason.PROGRESSING), f"Starting canary analysis for {ctx.observed.key}")
    hooks = [Emit(str(Reason.PROGRESSING), f"Pre-rollout check {name} passed") for name in passed]
    decision = advance(replace(tick, state=state), 0, after=timedelta(0))
    # The hooks of the first step are called at once: they may be what brings the traffic.
    unseen = replace(decision.state, checked_at=None)
    return replace(decision, state=unseen, actions=(*hooks, start, *decision.actions))


def _at_gate(tick: Tick) -> Decision | None:
    """Between two ticks, with all passed at the last one: a gate that opens is gone through."""
    ctx, gate = tick.ctx, tick.state.gate
    held = tick.state.paused or ctx.observed.not_followed or is_moved(tick)
    if gate is None or not gate.ready or held or not (left := due_in(tick)):
        return None
    if ahead_of(tick) is not gate.kind:
        return None
    if not shut(ctx, tick.strategy, tick.state, gate.kind):
        return go_on(tick)
    waiting, events = waits(tick, gate.kind)
    if waiting == ctx.state:
        return None
    return Decision(state=waiting, actions=(*events, SaveState()), requeue_after=left)


def _not_due(tick: Tick) -> Decision | None:
    """Between two ticks, and while the canary's pods are replaced."""
    canary = tick.ctx.observed.canary
    if left := due_in(tick):
        return resync(tick, left)
    replaced = isinstance(canary, CanaryPresent) and not canary.current
    return resync(tick, tick.ctx.timing.poll) if replaced else None


def _unreachable(tick: Tick) -> Decision | None:
    """No weight without an endpoint; one that never comes ends the run as pods do."""
    ctx, decision = tick.ctx, no_endpoint(tick)
    in_time = tick.state.begun or _unready_for(ctx) <= tick.strategy.progress_deadline
    if decision is None or in_time:
        return decision
    return expire(ctx, ctx.observed.unserved, tick.state, again=True)


RULES_RUN: Final[tuple[Callable[[Tick], Decision | None], ...]] = (
    _undo_first,
    no_route,
    confirm_rollout,
    _make_canary,
    broken,
    weighed,
    lost,
    deleted,
    _canary_not_ready,
    _unreachable,
    stormy,
    _skip,
    route_lost,
    not_taken,
    _before,
    _at_gate,
    _not_due,
    check,
)
_AT_GATES: Final = frozenset({confirm_rollout, _before})
"""Rules in which a run that has not begun waits at a gate."""
