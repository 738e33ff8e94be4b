"""What a Canary says that nobody follows: said when it is written, in mid-run and at rest alike."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from canary.contract import Reason
from canary.model.state import RUNNING_PHASES, Notice, Phase, State
from canary.model.strategy import InvalidStrategy, Strategy, not_followed
from canary.model.values import Key
from canary.rules.actions import Decision, Emit, SaveState
from canary.rules.context import Context


def passed_over(strategy: Strategy | InvalidStrategy) -> tuple[Notice, ...]:
    """Return what is said of fields and annotations that stop nothing; of an invalid one nothing.

    Args:
        strategy: what a Canary asks for.

    """
    return tuple(
        Notice(reason=str(Reason.IGNORED), message=said) for said in not_followed(strategy)
    )


def noticed_at_rest(
    key: Key, state: State, strategy: Strategy | InvalidStrategy
) -> tuple[State, tuple[Emit, ...]]:
    """Return what is remembered of a Canary's words while its target rests, and what is to be said.

    Args:
        key: the target.
        state: what its Canary remembers.
        strategy: what the Canary asks for now.

    """
    notices = _notices(key, strategy)
    return replace(state, noticed=notices), _news(notices, state.noticed)


def noticed(ctx: Context, decision: Decision) -> Decision:
    """Add to a decision what is to be said of the Canary's words, once each time they change.

    In the middle of a run rules of their own say what cannot be followed.
    """
    strategy, before = ctx.observed.strategy, ctx.state.noticed
    notices = _notices(ctx.observed.key, strategy)
    said = isinstance(strategy, InvalidStrategy) and decision.state.phase in RUNNING_PHASES
    if said or not ctx.observed.target.enabled:
        notices = before
    state = replace(decision.state, noticed=notices)
    if notices == before:
        return replace(decision, state=state)
    told = {action.message for action in decision.actions if isinstance(action, Emit)}
    holds = state.reason == Reason.INVALID
    news = [
        event
        for event in _news(notices, before)
        if event.message not in told and not (holds and event.reason == Reason.INVALID)
    ]
    save = () if SaveState() in decision.actions else (SaveState(),)
    return replace(decision, state=state, actions=(*news, *decision.actions, *save))


def untargeted(state: State, message: str, now: datetime) -> State:
    """Return what a Canary remembers whose target is not there any more: no run is under way.

    That it was another Deployment is known by its uid, should one of that name come.

    Args:
        state: what it remembers so far.
        message: what is said of it.
        now: the time of this reconcile.

    """
    if state.phase not in RUNNING_PHASES:
        return state
    return State(
        phase=Phase.INITIALIZED,
        reason=str(Reason.NO_TARGET),
        message=message,
        changed_at=now,
        target_uid=state.target_uid,
        alerts=state.alerts,
        told=state.told,
        noticed=state.noticed,
    )


def _notices(key: Key, strategy: Strategy | InvalidStrategy) -> tuple[Notice, ...]:
    if isinstance(strategy, InvalidStrategy):
        said = f"the next version of {key} would stay held: {'; '.join(strategy.problems)}"
        return (Notice(reason=str(Reason.INVALID), message=said),)
    return passed_over(strategy)


def _news(notices: Iterable[Notice], before: Sequence[Notice]) -> tuple[Emit, ...]:
    return tuple(
        Emit(one.reason, one.message, warning=True) for one in notices if one not in before
    )
