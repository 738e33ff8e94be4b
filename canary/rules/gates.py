"""What keeps a run at its weight, and the state that is stored meanwhile."""

import math
from dataclasses import replace
from datetime import timedelta
from typing import Final

from canary.contract import Reason
from canary.durations import format_duration
from canary.evidence.counted import AVERAGED
from canary.evidence.policy import Inconclusive
from canary.evidence.report import what_exposure_needs, what_promotion_needs
from canary.evidence.verdict import NonInferior
from canary.model.state import Outcome, State
from canary.model.strategy import Strategy
from canary.model.values import FULL
from canary.rules.actions import Decision, Emit, SaveState
from canary.rules.approvals import kept_waiting
from canary.rules.checks import summary
from canary.rules.context import Context, Tick
from canary.rules.course import left, present
from canary.rules.former import elsewhere
from canary.rules.routed import meant, to_traffic
from canary.rules.transitions import refuse

_LASTING: Final = frozenset({Reason.INCONCLUSIVE, Reason.SHARED_INCIDENT, Reason.STABLE_NOT_READY})
_USUAL: Final = frozenset({Reason.BAKING, Reason.LOOKS_BACK})
_TOLD: Final = _LASTING | {
    Reason.CHECK_FAILED,
    Reason.NO_DATA,
    Reason.PODS_LOST,
    Reason.BAKING,
    Reason.NOT_FOLLOWED,
    Reason.LOOKS_BACK,
    Reason.STABLE_NOT_READY,
}
"""Reasons for which a weight is kept that are worth an event."""


def recorded(ctx: Context, state: State) -> State:
    """Write the evidence into the state, as it stands."""
    weighing = ctx.observed.weighing
    return state if weighing is None else replace(state, evidence=weighing.record())


def stay(tick: Tick, reason: str, message: str) -> Decision:
    """Keep the weight, on all routes that there are by now; say so once per message."""
    ctx, kept = tick.ctx, replace(tick.state, reason=str(reason), message=message)
    # How much is missing changes at every look; that something is missing is said once.
    news = reason != ctx.state.reason if reason in _LASTING else message != ctx.state.message
    told = reason in _TOLD and news
    events = (Emit(str(reason), message, warning=reason not in _USUAL),) if told else ()
    # What nobody has heard of, such as a route of a kind that is served since, is split here.
    route = to_traffic(ctx, meant(ctx, kept))
    return Decision(
        state=kept, actions=(*events, SaveState(), *route), requeue_after=tick.strategy.interval
    )


def gate(tick: Tick) -> Decision | None:
    """Past the first weight the evidence has to allow each next one, where the policy asks."""
    ctx, strategy, state = tick.ctx, tick.strategy, tick.state
    if not strategy.policy.enabled:
        return None
    missing = _inferior(tick) or _exposed(tick)
    if not missing:
        return None
    deadline = (state.started_at or ctx.now) + strategy.decide_within + kept_waiting(ctx)
    if ctx.now < deadline:
        until = deadline.strftime("%H:%M:%S")
        message = (
            f"Halt {ctx.observed.key} advancement at weight {state.weight}: {missing}; "
            f"waiting until {until} UTC"
        )
        return stay(tick, Reason.INCONCLUSIVE, message)
    return _undecided(tick, missing)


def incident(tick: Tick, why: str) -> Decision:
    """What hits both versions neither counts against the candidate nor lets it on.

    A candidate may be what harms both, which no comparison shows: whoever fears that has the run
    rolled back once it has lasted. It is never promoted past a check.
    """
    ctx, strategy, state = tick.ctx, tick.strategy, tick.state
    lasted = ctx.now - (state.incident_since or ctx.now)
    if (
        strategy.policy.on_inconclusive is Inconclusive.ROLLBACK
        and lasted >= strategy.decide_within
    ):
        return refuse(ctx, Reason.REFUSED, f"{why}, for {format_duration(lasted)}", state)
    message = f"Halt {ctx.observed.key} advancement, holding at weight {state.weight}: {why}"
    return stay(tick, Reason.SHARED_INCIDENT, message)


def looks_back(tick: Tick) -> Decision:
    """A query that still finds the canary before says nothing of this one, for or against it."""
    ctx, why = tick.ctx, summary(tick.state.checks, Outcome.WAITING)
    message = f"Halt {ctx.observed.key} advancement, holding at weight {tick.state.weight}: {why}"
    return stay(tick, Reason.LOOKS_BACK, message)


def _inferior(tick: Tick) -> str:
    """Say what non-inferiority lacks; nothing where it is shown, or not asked for."""
    weighing = tick.ctx.observed.weighing
    shown = weighing is not None and isinstance(weighing.verdict, NonInferior)
    if not present(tick.strategy, tick.state).needs.gate or shown:
        return ""
    return f"not yet shown to be no worse than the stable: {what_promotion_needs(weighing)}"


def _exposed(tick: Tick) -> str:
    """Say by how much the next share of the traffic may overdraw the budget; nothing if it fits."""
    ctx, strategy, state = tick.ctx, tick.strategy, tick.state
    budget, had = present(strategy, state).needs.error_budget, _answered(state)
    if budget is None or not had or state.weight >= FULL:
        return ""
    further = left(strategy, state)
    larger = strategy.steps[further[0]].traffic.weight if further else FULL
    return what_exposure_needs(
        ctx.observed.weighing,
        weight=larger,
        growth=larger / had / _reached(tick),
        seconds=strategy.interval.total_seconds(),
        budget=budget,
    )


def _answered(state: State) -> int:
    """Return what the canary has answered lately, in percent of the requests: copies count."""
    return state.weight or state.traffic.mirror


def _reached(tick: Tick) -> float:
    """Return how much of the present share's requests the averaged rate has come to.

    The average is one of a minute, and begins with the first weight's own.
    """
    ctx, strategy, state = tick.ctx, tick.strategy, tick.state
    before = max((weight for weight in strategy.weights if weight < state.weight), default=0)
    if not before:
        return 1.0
    since = (ctx.now - (state.stepped_at or ctx.now)).total_seconds()
    share = before / state.weight
    return share + (1 - share) * (1 - math.exp(-since / AVERAGED))


def _undecided(tick: Tick, missing: str) -> Decision | None:
    ctx, strategy, state = tick.ctx, tick.strategy, tick.state
    why = f"{missing}, after {format_duration(strategy.decide_within)}"
    match strategy.policy.on_inconclusive:
        case Inconclusive.PROMOTE:
            return None
        case Inconclusive.ROLLBACK:
            return refuse(ctx, Reason.REFUSED, why, state)
        case Inconclusive.HOLD:
            message = f"Halt {ctx.observed.key} at weight {state.weight}: {why}; a person decides"
            return stay(tick, Reason.INCONCLUSIVE, message)


def lasting(tick: Tick) -> Decision | None:
    """A step that lasts longer than an interval: a bake at weight 100, before the old pods go."""
    ctx, state = tick.ctx, tick.state
    left = (state.stepped_at or ctx.now) + present(tick.strategy, tick.state).lasts - ctx.now
    if left <= timedelta(0):
        return None
    until = (ctx.now + left).strftime("%H:%M:%S")
    message = f"baking {ctx.observed.key} at weight {state.weight} until {until} UTC"
    return stay(tick, Reason.BAKING, message)


def not_carried(tick: Tick) -> Decision | None:
    """What was judged is not this step's share: a gateway has not taken it yet, or only just.

    Or some of it went to pods that are not the canary's, or not any more.
    """
    split = tick.ctx.observed.split
    behind = split.lag or split.unheard or _just_carried(tick)
    why = behind or elsewhere(tick.ctx)
    if not why:
        return None
    message = f"{tick.ctx.observed.key} stays at weight {tick.state.weight}: {why}"
    return stay(tick, Reason.GATEWAY_BEHIND if behind else Reason.WAITING_FOR_CANARY, message)


def _just_carried(tick: Tick) -> str:
    """Say for how long the gateways have had this share, where that is half an interval at most."""
    lasted, interval = tick.ctx.observed.split.carried_for, tick.strategy.interval
    if lasted is None or lasted >= interval / 2:
        return ""
    return (
        f"the gateway has had this share for {lasted.total_seconds():.0f} of the "
        f"{interval.total_seconds():.0f} s that a check looks back"
    )


def stable_short(tick: Tick) -> Decision | None:
    """Fewer of the target's pods are ready than its Canary wants before a step: it waits for them.

    Nothing is held against the candidate: they are not its pods.
    """
    missing = short_of(tick.ctx, tick.strategy)
    if not missing:
        return None
    message = f"Halt {tick.ctx.observed.key} advancement at weight {tick.state.weight}: {missing}"
    return stay(tick, Reason.STABLE_NOT_READY, message)


def short_of(ctx: Context, strategy: Strategy) -> str:
    """Say how many pods of the stable are ready where they are too few for a step, else "".

    Args:
        ctx: the world.
        strategy: what the run follows; see `Strategy.stable_ready_percent`.

    """
    share, replicas = strategy.stable_ready_percent, ctx.observed.target.replicas
    ready = sum(r.ready for r in ctx.observed.revisions if r.template_hash == ctx.state.stable)
    if ready * FULL >= share * replicas:
        return ""
    return f"{ready} of {replicas} pods of the target are ready, and {share} % must be for a step"
