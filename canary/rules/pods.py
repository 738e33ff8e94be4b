"""What the fates of its pods mean for a run that is under way.

What a pod did by itself is evidence. What the cluster or a person did to it is not: the pod is
replaced and waited for. Meanwhile a canary of which no pod serves has no share of the traffic.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from canary.contract import Reason
from canary.model.fates import Broken, Calm, Fate, Incident, Starting, Taken, Unheard, Unready
from canary.model.state import Outcome, Phase, State
from canary.model.strategy import Strategy
from canary.model.world import CanaryAbsent, CanaryPresent
from canary.rules.actions import (
    Action,
    Decision,
    Emit,
    EnsureCanary,
    EnsureRoute,
    SaveState,
    SetTraffic,
)
from canary.rules.capacity import canary_pods
from canary.rules.checks import summary
from canary.rules.context import Context, Tick
from canary.rules.gates import recorded, stay
from canary.rules.routed import to_traffic, wanted
from canary.rules.transitions import expire, refuse, to_stable
from canary.rules.weather import WINDOW

_LOOK: Final = timedelta(seconds=5)
"""How often pods that are waited for are looked at; that they are ready is heard at once."""
PATIENCE: Final = timedelta(seconds=10)
"""How long pods that fail their own probes may turn out to be one run's of many that do.

It is Kubernetes' usual `periodSeconds` of a probe: what all share is seen to fail within that.
"""
_AS_MANY: Final = ", as in many runs at once, an incident of the cluster"
_MOST_SAID: Final = 3
_RUNS: Final = frozenset({"", "PodInitializing"})
"""What a pod waits for whose containers, or those before them, have been started."""
_USUAL: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
"""What every pod waits for when it starts, and nobody needs to be told."""


def is_ready(canary: CanaryPresent, strategy: Strategy) -> bool:
    """Tell whether so many pods are ready as the Canary wants before it gets traffic.

    Its Deployment counts those of the template before, too, while it rolls: they do not serve it.
    """
    # Rounded up: a threshold under 100 % must not turn one pod into none.
    return canary.ready * 100 >= canary.replicas * strategy.ready_percent and canary.serves


def broken(tick: Tick) -> Decision | None:
    """What a pod did by itself needs no statistics, but in an incident it says little."""
    ctx = tick.ctx
    canary = ctx.observed.canary
    if isinstance(canary, CanaryAbsent) or isinstance(ctx.observed.weather, Incident):
        return None
    if canary.trouble:
        return refuse(ctx, Reason.REFUSED, canary.trouble)
    if not ctx.state.begun:
        return None
    if canary.crash and (canary.restarts > ctx.state.restarts or not canary.ready):
        return refuse(ctx, Reason.REFUSED, canary.crash)
    return _unready(tick, canary)


def _unready(tick: Tick, canary: CanaryPresent) -> Decision | None:
    """Pods that all fail their own probes refuse their version, unless many runs lose pods at once.

    The share goes at once. The verdict falls a moment later, whatever the pods do by then: whether
    this is one run of many only shows when the others have lost theirs. While the candidate rolls
    there is no such moment, for the target's new pods serve meanwhile.
    """
    ctx, state = tick.ctx, tick.state
    why = f"none of {canary.replicas} canary pods is ready any more"
    if state.unready_since is not None:
        left = _heard_since(ctx, state.unready_since) + PATIENCE - ctx.now
        if left > timedelta(0):
            return replace(_wait(tick, state.message), requeue_after=left)
        return refuse(ctx, Reason.REFUSED, f"{why}, by their own probes")
    # Pods that were lost before have answered nobody: they are waited for.
    if state.is_without_share or canary.ready or not _fail_by_themselves(canary, tick.strategy):
        return None
    if state.phase is Phase.PROMOTING:
        return refuse(ctx, Reason.REFUSED, why)
    patience = f"it is refused in {PATIENCE.seconds} s unless other runs lose pods too"
    gone = _withdraw(tick, f"{why}; {patience}", canary.restarts)
    return replace(gone, state=replace(gone.state, unready_since=ctx.now), requeue_after=PATIENCE)


def _heard_since(ctx: Context, since: datetime) -> datetime:
    """Return since when other runs' losses would have been heard: a new process has missed some."""
    weather = ctx.observed.weather
    began = weather.since if isinstance(weather, Calm) else None
    return max(since, began) if began else since


def _fail_by_themselves(canary: CanaryPresent, strategy: Strategy) -> bool:
    own = bool(canary.fates) and all(_is_own_fault(fate) for fate in canary.fates)
    return own and strategy.ready_percent > 0


def _is_own_fault(fate: Fate) -> bool:
    return isinstance(fate, Unready | Broken)


def lost(tick: Tick) -> Decision | None:
    """The share of a canary of which no pod serves goes to the stable, and comes back with them."""
    state, canary = tick.state, tick.ctx.observed.canary
    if not state.begun:
        return None
    if isinstance(canary, CanaryAbsent):
        return made_again(tick)
    if state.is_without_share:
        serves = is_ready(canary, tick.strategy) and not tick.ctx.observed.unserved
        return _back(tick, canary) if serves else _still_lost(tick, canary)
    if canary.serves or not state.weight:
        return None
    return _withdraw(tick, what_befell(canary.fates), canary.restarts)


def made_again(tick: Tick) -> Decision:
    """The canary's Deployment is gone in the middle of a run: somebody deleted it."""
    observed = tick.ctx.observed
    size = canary_pods(tick.state, tick.strategy, observed.target.replicas, observed.canary)
    again: tuple[Action, ...] = (EnsureRoute(), EnsureCanary(size))
    if tick.state.is_without_share or not tick.state.weight:
        waits = _wait(tick, tick.state.message)
        return replace(waits, actions=(*waits.actions, *again))
    gone = _withdraw(tick, "the canary's Deployment was deleted", 0)
    return replace(gone, actions=(*gone.actions, *again))


def _withdraw(tick: Tick, what: str, restarts: int) -> Decision:
    """Take the share before anything is said: what has no pods answers nothing."""
    ctx, losses = tick.ctx, tick.state.losses + 1
    times = f" ({losses} times in this run)" if losses > 1 else ""
    message = (
        f"{what or 'no canary pod serves'}{times}; the stable serves all of {ctx.observed.key} "
        f"until its canary's pods are ready again"
    )
    state = replace(
        # What is answered for pods that are gone is no evidence: it is taken up again from here.
        recorded(ctx, tick.state),
        weight=0,
        withheld=tick.state.weight,
        lost_since=tick.state.lost_since or ctx.now,
        losses=losses,
        restarts=restarts,
        reason=str(Reason.PODS_LOST),
        message=message,
    )
    return Decision(
        state=state,
        actions=(
            *to_stable(ctx),
            Emit(str(Reason.PODS_LOST), message, warning=True),
            SaveState(),
        ),
        requeue_after=_LOOK,
    )


def _still_lost(tick: Tick, canary: CanaryPresent) -> Decision:
    ctx, limit = tick.ctx, tick.strategy.progress_deadline
    since = tick.state.lost_since or ctx.now
    if tick.state.phase is Phase.PROGRESSING and ctx.now - since > limit:
        what = canary.pods_denied or what_befell(canary.fates)
        why = f"its canary's pods are not back after {int(limit.total_seconds())} s"
        return expire(ctx, f"{why}: {what}" if what else why, tick.state)
    what, weather = canary.pods_denied or what_befell(canary.fates), ctx.observed.weather
    if what and isinstance(weather, Incident):
        what += _AS_MANY
    if not what or what in tick.state.message:
        return _wait(tick, tick.state.message)
    message = (
        f"{what}; the stable serves all of {ctx.observed.key} since {since:%H:%M:%S} UTC, until "
        f"its canary's pods are ready again"
    )
    if isinstance(weather, Calm) or _AS_MANY in tick.state.message:
        return _wait(tick, message)
    return _wait(tick, message, _many_lost(weather, message))


def _wait(tick: Tick, message: str, *events: Action) -> Decision:
    state = replace(tick.state, reason=str(Reason.PODS_LOST), message=message)
    saved = () if state == tick.ctx.state else (SaveState(),)
    actions = (*to_stable(tick.ctx), *events, *saved)
    return Decision(state=state, actions=actions, requeue_after=_LOOK)


def _many_lost(weather: Incident, message: str) -> Emit:
    text = f"{weather.lost} of {weather.running} runs lost pods within a minute: {message}"
    return Emit(str(Reason.CLUSTER_INCIDENT), text, warning=True)


def _back(tick: Tick, canary: CanaryPresent) -> Decision:
    """The step goes on where it was, and is judged from now on."""
    ctx, weight = tick.ctx, tick.state.withheld
    promoting = tick.state.phase is Phase.PROMOTING
    reason = Reason.PROMOTING if promoting else Reason.ADVANCED
    message = f"{ctx.observed.key} canary weight {weight} again: its pods are ready again"
    state = replace(
        tick.state,
        weight=weight,
        withheld=0,
        lost_since=None,
        restarts=canary.restarts,
        reason=str(reason),
        message=message,
        checked_at=ctx.now + _blurred(tick.strategy) - tick.strategy.interval,
        stepped_at=ctx.now,
    )
    return Decision(
        state=state,
        actions=(
            Emit(str(reason), message),
            SaveState(),
            SetTraffic(wanted(ctx, state)),
        ),
        requeue_after=_blurred(tick.strategy),
    )


def _blurred(strategy: Strategy) -> timedelta:
    """Return how long metrics still look at the time without pods, an interval at least."""
    return max([strategy.interval, *(metric.interval for metric in strategy.metrics)])


def some_lost(tick: Tick) -> Decision:
    """A check that misses pods by no fault of theirs counts neither way: they are waited for."""
    ctx, limit = tick.ctx, tick.strategy.progress_deadline
    since = ctx.state.lost_since or ctx.now
    tick = replace(tick, state=replace(tick.state, lost_since=since))
    missing, canary = summary(tick.state.checks, Outcome.LOST), ctx.observed.canary
    if isinstance(canary, CanaryPresent) and canary.pods_denied:
        missing = f"{missing}; {canary.pods_denied}"
    if tick.state.phase is Phase.PROGRESSING and ctx.now - since > limit:
        why = f"{missing}, and no more came in {int(limit.total_seconds())} s"
        return expire(ctx, why, tick.state)
    message = (
        f"Halt {ctx.observed.key} advancement, holding at weight {tick.state.weight} until its "
        f"canary's pods are replaced: {missing}"
    )
    return stay(tick, Reason.PODS_LOST, message)


def stormy(tick: Tick) -> Decision | None:
    """Many runs lose pods at once: nothing that pods do is held against them, and nobody steps.

    It passes by itself, a while after the last loss. Evidence of what is answered still counts.
    """
    ctx = tick.ctx
    weather, canary = ctx.observed.weather, ctx.observed.canary
    if not isinstance(weather, Incident) or isinstance(canary, CanaryAbsent):
        return None
    message = (
        f"many runs lose pods at once, an incident of the cluster: {ctx.observed.key} is held at "
        f"weight {tick.state.weight} until {int(WINDOW.total_seconds())} s after the last loss"
    )
    state = _forgiven(tick.state, canary, message)
    news = tick.ctx.state.reason != Reason.CLUSTER_INCIDENT
    events = (_many_lost(weather, message),) if news else ()
    return Decision(
        state=state,
        actions=(
            *events,
            *((SaveState(),) if state != ctx.state else ()),
            *to_traffic(ctx, wanted(ctx, state)),
        ),
        requeue_after=_LOOK,
    )


def _forgiven(state: State, canary: CanaryPresent, message: str) -> State:
    return replace(
        state,
        restarts=canary.restarts,
        reason=str(Reason.CLUSTER_INCIDENT),
        message=message,
    )


def fails_by_itself(canary: CanaryPresent, since: datetime) -> bool:
    """Tell whether pods that never became ready speak against their version.

    Those whose containers run and fail their probes do, and those whose containers ended. Pods that
    cannot be made, have no node, no volume or no image yet have not run at all.

    Args:
        canary: a canary that is not ready.
        since: what was started later came too late to have been ready in time.

    """
    return any(_is_own_fault(fate) or _runs_in_vain(fate, since) for fate in canary.fates)


def _runs_in_vain(fate: Fate, since: datetime) -> bool:
    if not isinstance(fate, Starting) or fate.why not in _RUNS:
        return False
    return fate.since is None or fate.since <= since


def what_is_missing(canary: CanaryPresent) -> str:
    """Say what keeps a canary from being ready, for a person; nothing where it is usual.

    Args:
        canary: a canary that is not ready.

    """
    said = (canary.pods_denied, what_befell(canary.fates), canary.rolling)
    return next((text for text in said if text), "")


def what_befell(fates: tuple[Fate, ...]) -> str:
    """Say what happened to pods that do not serve, for a person; nothing where it is usual.

    Args:
        fates: what became of a canary's pods.

    """
    said = [text for fate in fates if (text := _text(fate))]
    more = f" and {len(said) - _MOST_SAID} more" if len(said) > _MOST_SAID else ""
    return ", ".join(said[:_MOST_SAID]) + more


def _text(fate: Fate) -> str:
    match fate:
        case Taken(how=how, words=words):
            return f"pod {fate.pod} {how}" + (f" ({words})" if words else "")
        case Unheard():
            return f"the node of pod {fate.pod} is not ready or not heard of"
        case Unready():
            return f"pod {fate.pod} is not ready any more"
        case Starting(why=why) if why not in _USUAL:
            return f"pod {fate.pod} waits: {why}"
        case _:
            return ""
