"""What keeps a run at its weight, and the state that is stored meanwhile."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from canary.actions import Decision, Emit, SaveState
from canary.contract import Reason
from canary.durations import format_duration
from canary.endings import Context, refuse
from canary.evidence.policy import Inconclusive
from canary.evidence.verdict import NonInferior
from canary.model import State, Strategy
from canary.weighing import what_promotion_needs

_LASTING: Final = frozenset({Reason.INCONCLUSIVE, Reason.SHARED_INCIDENT})
_TOLD: Final = _LASTING | {Reason.CHECK_FAILED, Reason.NO_DATA, Reason.BAKING}
"""Reasons for which a weight is kept that are worth an event."""


def recorded(ctx: Context, state: State) -> State:
    """Write the evidence into the state, as it stands."""
    weighing = ctx.observed.weighing
    return state if weighing is None else replace(state, evidence=weighing.record())


def stay(ctx: Context, strategy: Strategy, state: State, reason: str, message: str) -> Decision:
    """Keep the weight; say so once per message."""
    kept = replace(state, reason=str(reason), message=message)
    # How much is missing changes at every look; that something is missing is said once.
    news = reason != ctx.state.reason if reason in _LASTING else message != ctx.state.message
    told = reason in _TOLD and news
    events = (Emit(str(reason), message, warning=reason is not Reason.BAKING),) if told else ()
    return Decision(
        reason=kept.reason,
        message=message,
        state=kept,
        actions=(*events, SaveState()),
        requeue_after=strategy.interval,
    )


def gate(ctx: Context, strategy: Strategy, state: State) -> Decision | None:
    """Past the first weight a candidate has to be shown non-inferior, where the policy asks."""
    if not strategy.gate or not strategy.policy.enabled:
        return None
    weighing = ctx.observed.weighing
    if weighing is not None and isinstance(weighing.verdict, NonInferior):
        return None
    missing = what_promotion_needs(weighing)
    deadline = (state.started_at or ctx.now) + strategy.decide_within
    if ctx.now < deadline:
        until = deadline.strftime("%H:%M:%S")
        message = (
            f"Halt {ctx.observed.key} advancement at weight {state.weight}: not yet shown to be no "
            f"worse than the stable: {missing}; waiting until {until} UTC"
        )
        return stay(ctx, strategy, state, Reason.INCONCLUSIVE, message)
    return _undecided(ctx, strategy, state, missing)


def _undecided(ctx: Context, strategy: Strategy, state: State, missing: str) -> Decision | None:
    within = format_duration(strategy.decide_within)
    why = f"not shown to be no worse than the stable within {within}: {missing}"
    match strategy.policy.on_inconclusive:
        case Inconclusive.PROMOTE:
            return None
        case Inconclusive.ROLLBACK:
            return refuse(ctx, Reason.REFUSED, why, state)
        case Inconclusive.HOLD:
            message = f"Halt {ctx.observed.key} at weight {state.weight}: {why}; a person decides"
            return stay(ctx, strategy, state, Reason.INCONCLUSIVE, message)


def bake(ctx: Context, strategy: Strategy, state: State) -> Decision | None:
    """At weight 100 the candidate is judged for a while before the old pods go."""
    if not strategy.bake or state.weight != strategy.weights[-1]:
        return None
    left = (state.stepped_at or ctx.now) + strategy.bake - ctx.now
    if left <= timedelta(0):
        return None
    until = (ctx.now + left).strftime("%H:%M:%S")
    message = f"baking {ctx.observed.key} at weight {state.weight} until {until} UTC"
    return stay(ctx, strategy, state, Reason.BAKING, message)
