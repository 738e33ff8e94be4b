"""The rules for a target that Headgate does not hold: idle, rolling a candidate, or taken back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from canary.contract import Command, Reason
from canary.model.state import RUNNING_PHASES, Phase
from canary.model.strategy import InvalidStrategy
from canary.model.traffic import NOTHING
from canary.model.values import FULL
from canary.model.world import CanaryPresent, Hold
from canary.rules.actions import (
    Action,
    Decision,
    DeleteCanary,
    Emit,
    EnsureRoute,
    SaveState,
)
from canary.rules.asleep import held_again
from canary.rules.context import IDLE_PHASES, RECHECK, Context, Tick, wait
from canary.rules.half_way import undo_promotion
from canary.rules.hooks import after_rollout
from canary.rules.polls import rolled_back
from canary.rules.ticks import tick_while_promoting
from canary.rules.transitions import (
    acted,
    back_to_idle,
    by,
    clean_up,
    clear,
    gone_on,
    refuse,
    settle,
    stand,
    to_share,
    to_stable,
)

_HELD_FOR: Final = frozenset({Reason.SUSPENDED, Reason.INVALID})
"""Reasons for which a version is held before its run begins."""


def another_deployment(ctx: Context) -> Decision | None:
    """The Deployment is not the one that the Canary remembers: it was created again, mostly.

    A creation has nothing else to serve and is never gated, so that nothing went past anybody.
    """
    known, uid = ctx.state.target_uid, ctx.observed.target.uid
    if not known or not uid or known == uid:
        return None
    decision = back_to_idle(ctx, *_whose_it_was(ctx), keep_stable=False)
    if isinstance(ctx.observed.canary, CanaryPresent):
        return decision
    # Its canary went with its owner, maybe unseen; the routes had none and lead there still.
    return replace(decision, actions=(*decision.actions, DeleteCanary()))


def _whose_it_was(ctx: Context) -> tuple[Reason, str]:
    """Say of which other Deployment the Canary speaks: one of before, or another target of its."""
    key, made, known = ctx.observed.key, ctx.observed.target.created, ctx.state.changed_at
    starts = "it starts with what it asks for"
    # The API server's times are in whole seconds.
    if made is None or known is None or made >= known.replace(microsecond=0):
        return Reason.CREATED_ANEW, f"{key} was deleted and created again: {starts}"
    return Reason.INITIALIZED, f"{key} is the target now, another Deployment was: {starts}"


def disabled(ctx: Context) -> Decision | None:
    """The namespace's label is gone: the run ends, the stable serves, the pause is the team's."""
    target = ctx.observed.target
    if target.enabled:
        return None
    if ctx.state.phase in IDLE_PHASES and target.hold is not Hold.OURS:
        return _idle(ctx)
    message = (
        f"{ctx.observed.key} is not gated any more; if it is paused, its new version is released "
        "by `kubectl rollout resume` and given up by setting the previous template"
    )
    decision = back_to_idle(ctx, Reason.RELEASED, message)
    return replace(decision, actions=(*decision.actions, settle()))


def undo_goes_on(ctx: Context) -> Decision | None:
    """A refusal was saved while the candidate rolled, and the target is not held yet."""
    state, target = ctx.state, ctx.observed.target
    if target.hold is not Hold.NONE or state.phase is not Phase.FAILED:
        return None
    if not ctx.same_candidate or target.promoting_mark != state.candidate:
        return None
    return replace(
        wait(ctx, state.reason, state.message, ctx.timing.poll),
        actions=(*to_stable(ctx), *undo_promotion(state, state.candidate)),
    )


def promoting(ctx: Context) -> Decision | None:
    """The candidate rolls into the target by the API server's own rolling update."""
    state, target = ctx.state, ctx.observed.target
    rolling = state.phase is Phase.PROMOTING and ctx.same_candidate
    if not rolling or target.hold is not Hold.NONE:
        return None
    if (waits := held_again(ctx)) is not None:
        return waits
    if target.rollout_complete:
        return _finalise(ctx)
    return _roll(ctx)


def _roll(ctx: Context) -> Decision:
    """Decide while old pods are left, or the last new ones are not there yet."""
    state, target = ctx.state, ctx.observed.target
    if not _can_undo(ctx):
        # The old pods are gone: taking the new ones down would leave nothing that serves.
        return stand(ctx, Reason.PROMOTING, f"{ctx.observed.key}: its last pods start", RECHECK)
    if Command.ABORT in target.commands:
        return acted(
            ctx, Command.ABORT, refuse(ctx, Reason.ABORTED, by(ctx, "aborted", Command.ABORT))
        )
    if target.rollout_failed and not _failed_before(ctx):
        return refuse(ctx, Reason.REFUSED, target.rollout_failed)
    if (back := rolled_back(ctx)) is not None:
        return back
    strategy = ctx.observed.strategy
    if isinstance(strategy, InvalidStrategy):
        return stand(ctx, Reason.PROMOTING, state.message, RECHECK)
    return tick_while_promoting(Tick(ctx, strategy, gone_on(ctx)))


def _failed_before(ctx: Context) -> bool:
    """Tell whether it was another version's rollout that did not go on.

    The controller leaves what it said of that one standing until pods of this one come, where their
    ReplicaSet was there already. After as long as it waits itself it means this one, whatever its
    clock says.
    """
    target, since = ctx.observed.target, ctx.state.changed_at
    at = target.rollout_failed_at
    if at is None or since is None:
        return False
    # The API server's times are in whole seconds.
    return at < since.replace(microsecond=0) and ctx.now - since < target.progress_deadline


def _can_undo(ctx: Context) -> bool:
    """Tell whether old pods are left that can grow back (see the design's facts)."""
    return any(r.template_hash == ctx.state.stable and r.replicas for r in ctx.observed.revisions)


def _finalise(ctx: Context) -> Decision:
    message = f"Routing all traffic to {ctx.observed.key}"
    share = _share_left(ctx)
    state = replace(
        ctx.state,
        phase=Phase.FINALISING,
        weight=share,
        beside=ctx.state.beside if share else NOTHING,
        withheld=0,
        stable=ctx.candidate,
        reason=str(Reason.FINALISING),
        message=message,
        changed_at=ctx.now,
        stepped_at=ctx.now if share else ctx.state.stepped_at,
    )
    return Decision(
        state=state,
        actions=(
            Emit(str(Reason.FINALISING), message),
            SaveState(),
            settle(keep_refused=False),
            *to_share(ctx, share),
        ),
        requeue_after=ctx.timing.drain,
    )


def _share_left(ctx: Context) -> int:
    """Return the share of the canary once another part of its traffic is back with the target.

    Both run the same version by then; new pods get their traffic bit by bit where it is asked for.
    """
    strategy, canary, weight = ctx.observed.strategy, ctx.observed.canary, ctx.state.weight
    if isinstance(strategy, InvalidStrategy) or not strategy.back or not ctx.observed.split.routes:
        return 0
    serves = isinstance(canary, CanaryPresent) and canary.serves and not ctx.observed.unserved
    return max(0, weight - strategy.back) if serves else 0


def _comes_back(ctx: Context) -> Decision | None:
    """The traffic returns to the promoted target in steps, one each interval."""
    state, strategy = ctx.state, ctx.observed.strategy
    if not state.weight:
        return None
    interval = timedelta(0) if isinstance(strategy, InvalidStrategy) else strategy.interval
    until = (state.stepped_at or ctx.now) + interval - ctx.now
    share, now = _share_left(ctx), to_share(ctx, state.weight)
    if until > timedelta(0) and share:
        held = wait(ctx, Reason.FINALISING, state.message, until)
        return replace(held, actions=(*now, *held.actions))
    message = f"Advance {ctx.observed.key} primary weight {FULL - share}"
    moved = replace(
        state,
        weight=share,
        beside=state.beside if share else NOTHING,
        message=message,
        # Connections to the canary end from the last of its shares on.
        changed_at=ctx.now,
        stepped_at=ctx.now,
    )
    return Decision(
        state=moved,
        actions=(Emit(str(Reason.FINALISING), message), SaveState(), *to_share(ctx, share)),
        requeue_after=interval if share else ctx.timing.drain,
    )


def finalising(ctx: Context) -> Decision | None:
    """All pods are new: the canary drains and goes."""
    state, target = ctx.state, ctx.observed.target
    ended = state.phase is Phase.FINALISING and ctx.same_candidate
    if not ended or target.hold is not Hold.NONE:
        return None
    left = (settle(keep_refused=False),) if target.promoting_mark else ()
    if (back := _comes_back(ctx)) is not None:
        return replace(back, actions=(*left, *back.actions))
    actions, after = clean_up(ctx)
    if actions or after is not None:
        held = wait(ctx, Reason.FINALISING, state.message, after or ctx.timing.poll)
        return replace(held, actions=(*left, *actions))
    message = f"Promotion completed! {_how(ctx)}{ctx.observed.key} runs {state.candidate}"
    done = replace(
        state,
        phase=Phase.SUCCEEDED,
        failed_checks=0,
        reason=str(Reason.SUCCEEDED),
        message=message,
        changed_at=ctx.now,
        undoing="",
        post_rollout_called=False,
    )
    return Decision(
        state=done,
        actions=(*left, Emit(str(Reason.SUCCEEDED), message), SaveState()),
        requeue_after=timedelta(0),
    )


def _how(ctx: Context) -> str:
    """Say that nothing was judged, in Flagger's words."""
    strategy = ctx.observed.strategy
    skipped = not isinstance(strategy, InvalidStrategy) and strategy.skip_analysis
    return f"Canary analysis was skipped for {ctx.observed.key}; " if skipped else ""


def not_held(ctx: Context) -> Decision | None:
    """No hold of ours: nothing to do, or somebody took the candidate back."""
    target, state = ctx.observed.target, ctx.state
    if target.hold is Hold.OURS:
        return None
    if target.hold is Hold.THEIRS and state.phase in RUNNING_PHASES:
        return stand(ctx, Reason.PAUSED, "paused by the team, not by Headgate", RECHECK)
    if state.phase in IDLE_PHASES:
        return _idle(ctx)
    back = ctx.candidate == state.stable or not state.stable
    if back:
        message = f"Aborted {ctx.observed.key}: its template is back to the stable one"
        return back_to_idle(ctx, Reason.REVERTED, message)
    if target.hold is Hold.THEIRS:
        message = f"{ctx.observed.key} is paused by its team and not held any more"
        return back_to_idle(ctx, Reason.PAUSED, message)
    message = (
        f"{ctx.observed.key} was released past Headgate: its new version rolls out without analysis"
    )
    return back_to_idle(ctx, Reason.UNGATED, message, warning=True)


def _idle(ctx: Context) -> Decision:
    state, target = ctx.state, ctx.observed.target
    if state.changed_at is None or state.reason == Reason.NO_TARGET:
        return _initialise(ctx)
    clean, after = clean_up(ctx)
    actions: list[Action] = list(clean)
    if state.phase is Phase.SUCCEEDED:
        state, events = after_rollout(ctx)
        actions += events
    if target.promoting_mark or target.stable_mark or target.seen_mark or target.outlived:
        actions.append(settle())
    if target.commands:
        actions.append(clear(target, target.commands))
    if target.hold is Hold.NONE and state.reason in _HELD_FOR:
        said = f"{ctx.observed.key} is not held any more"
        state = replace(state, reason=str(Reason.REVERTED), message=said)
    if target.hold is Hold.NONE and state.stable != ctx.candidate:
        message = f"{ctx.observed.key} was updated without a canary"
        state = replace(state, stable=ctx.candidate)
        actions.append(Emit(str(Reason.UNGATED), message, warning=True))
    if state != ctx.state:
        actions.append(SaveState())
    return Decision(
        state=state,
        actions=tuple(actions),
        requeue_after=after,
    )


def _initialise(ctx: Context) -> Decision:
    message = f"Initialization done! {ctx.observed.key}"
    state = replace(
        ctx.state,
        stable=ctx.candidate if ctx.observed.target.hold is Hold.NONE else "",
        reason=str(Reason.INITIALIZED),
        message=message,
        changed_at=ctx.now,
    )
    return Decision(
        state=state,
        actions=(Emit(str(Reason.INITIALIZED), message), EnsureRoute(), SaveState()),
        requeue_after=timedelta(0),
    )


RULES_IDLE: Final[tuple[Callable[[Context], Decision | None], ...]] = (
    another_deployment,
    disabled,
    undo_goes_on,
    promoting,
    finalising,
    not_held,
)
