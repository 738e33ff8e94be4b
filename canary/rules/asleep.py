"""A held target that is scaled to 0: nothing of the app runs, and the run waits for its scale-up.

A canary that went on alone would be the only thing that serves, and a promotion of no pods at all
is complete at once.
"""

from dataclasses import replace
from datetime import timedelta

from canary.contract import Reason
from canary.model.state import Phase, State
from canary.rules.actions import Decision, Emit, SaveState
from canary.rules.context import RECHECK, Context
from canary.rules.half_way import undo_promotion
from canary.rules.transitions import (
    clean_up,
    from_the_start,
    promote,
    to_stable,
)


def asleep(ctx: Context) -> Decision | None:
    """Held at 0 replicas: traffic and pods of the canary go, and the run is as it began."""
    state = ctx.state
    waits = state.phase is Phase.PROGRESSING or (
        state.phase is Phase.PROMOTING and not state.forced
    )
    if ctx.observed.target.replicas or not ctx.same_candidate or not waits:
        return None
    if not _sleeps(state):
        return _fall_asleep(ctx)
    actions, after = clean_up(ctx)
    return Decision(state=state, actions=actions, requeue_after=after or RECHECK)


def awake(ctx: Context) -> Decision | None:
    """Scaled up again: the run of the same candidate begins, with its first step."""
    if not ctx.observed.target.replicas or not ctx.same_candidate or not _sleeps(ctx.state):
        return None
    message = f"{ctx.observed.key} is scaled up: the run of {ctx.candidate} begins"
    state = replace(
        ctx.state,
        started_at=ctx.now,
        changed_at=ctx.now,
        reason=str(Reason.HELD),
        message=message,
    )
    said = Emit(str(Reason.HELD), message)
    return Decision(state=state, actions=(said, SaveState()), requeue_after=timedelta(0))


def alone(ctx: Context) -> Decision | None:
    """Held with no other version left that could serve: as when it is created, it may start.

    A Deployment that keeps no history has lost the one before when it is held at 0 replicas.
    """
    revisions, target = ctx.observed.revisions, ctx.observed.target
    others = any(one.replicas or one.template_hash != ctx.candidate for one in revisions)
    refused = target.refused_mark == ctx.candidate or ctx.state.phase is Phase.FAILED
    if others or refused or not target.replicas or ctx.state.phase is Phase.PROMOTING:
        return None
    state = replace(ctx.state, stable="", forced=True, started_at=ctx.state.started_at or ctx.now)
    return promote(ctx, "no other version is left to serve", state)


def held_again(ctx: Context) -> Decision | None:
    """Scaled to 0 while a promotion rolls: held at once, for no pods are no completed rollout.

    What a person has promoted is theirs to answer for, and goes on. The state is saved last: held
    and still promoting, it is put to sleep by `asleep`.
    """
    if ctx.observed.target.replicas or ctx.state.forced:
        return None
    decision = _fall_asleep(ctx)
    stable = to_stable(ctx)
    said = decision.actions[len(stable) :]
    return replace(
        decision, actions=(*stable, *undo_promotion(ctx.state, ctx.state.candidate), *said)
    )


def _sleeps(state: State) -> bool:
    return state.phase is Phase.PROGRESSING and state.reason == Reason.SCALED_TO_ZERO


def _fall_asleep(ctx: Context) -> Decision:
    message = f"{ctx.observed.key} is scaled to 0; the run begins when it is scaled up"
    state = from_the_start(ctx.state, Reason.SCALED_TO_ZERO, message, ctx.now)
    return Decision(
        state=state,
        actions=(*to_stable(ctx), Emit(state.reason, message), SaveState()),
        requeue_after=ctx.timing.drain,
    )
