"""How a run ends: the transitions that several rules share, each in the order of its writes.

Refuse moves the route first and pods last; promote moves pods first and the route last. State is
saved where the process may die right after it: what follows is derived again from what is read.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from canary.contract import (
    HOLD,
    PROMOTING,
    REFUSED,
    REFUSED_WHY,
    REQUESTED_BY,
    SEEN,
    STABLE,
    Command,
    Reason,
)
from canary.model.fates import Incident
from canary.model.signatures import giver_of, givers_of, signature
from canary.model.state import Phase, State
from canary.model.traffic import NOTHING
from canary.model.world import CanaryAbsent, CanaryPresent, Hold, Target
from canary.rules.actions import (
    MAX_WHY,
    Action,
    Decision,
    DeleteCanary,
    Emit,
    EndProgress,
    EnsureCanary,
    EnsureRoute,
    MarkRefused,
    MarkTarget,
    Pause,
    SaveState,
)
from canary.rules.capacity import LONGEST, missing, share_to_keep
from canary.rules.context import Context, wait
from canary.rules.half_way import beside_stable, to_undo, undo_promotion
from canary.rules.routed import to_traffic
from canary.rules.routed import with_share as traffic_with

_KEEPS: Final = "; it keeps "
_GROWS: Final = timedelta(seconds=5)
"""How often a stable that grows is looked at."""
_STOOD: Final = frozenset({Reason.INVALID, Reason.SUSPENDED})


def stand(ctx: Context, reason: str, message: str, after: timedelta) -> Decision:
    """Wait for a person; a canary of which no pod serves has no share of the traffic meanwhile."""
    decision, canary = wait(ctx, reason, message, after), ctx.observed.canary
    serves = isinstance(canary, CanaryPresent) and canary.serves
    taken = () if serves else to_stable(ctx)
    return replace(decision, actions=(*taken, *decision.actions))


def gone_on(ctx: Context) -> State:
    """Return the state of a run that goes on after something stood in its way.

    What was said of a team's pause, of a fault or of `spec.suspend` is not so any more, and what
    pods do in an incident of the cluster is held against nobody.
    """
    state = ctx.state
    if isinstance(ctx.observed.weather, Incident):
        state = replace(state, unready_since=None)
    over = state.reason in _STOOD or (state.reason == Reason.PAUSED and not state.paused)
    if not over:
        return state
    message = f"{ctx.observed.key} goes on at weight {state.weight}"
    return replace(state, reason=str(Reason.RESUMED), message=message)


def refuse(ctx: Context, reason: Reason, why: str, state: State | None = None) -> Decision:
    """End a run against its candidate; a half-way promotion is undone, also one of another before.

    Args:
        ctx: the world.
        reason: Refused, Aborted, or that a rollback hook asks for it.
        why: the evidence, in words.
        state: the state with this tick's checks, if it has any.

    """
    state = state or ctx.state
    promoting = state.phase is Phase.PROMOTING
    key = ctx.observed.key
    verb = "Aborting" if reason is Reason.ABORTED else "Rolling back"
    message = f"{verb} {key} {why}"
    undoing = to_undo(ctx, state.stable)
    ended = replace(_failed(ctx, state, reason, message), undoing=undoing)
    undo: tuple[Action, ...] = undo_promotion(ended, undoing) if promoting else ()
    rolled = promoting or beside_stable(ctx.observed.revisions, ctx.candidate, state.stable)
    # Of a version that supersedes another the canary is that one's still.
    kept = _with_share(ctx, state, ended) if ctx.same_candidate and not rolled else ended
    return Decision(
        state=kept,
        actions=(
            *to_share(ctx, kept.weight),
            Emit(str(reason), message, warning=True),
            *_said_kept(kept),
            SaveState(),
            *undo,
            MarkRefused(message),
        ),
        requeue_after=timedelta(0),
    )


def _failed(ctx: Context, state: State, reason: Reason, message: str) -> State:
    """Return the state of a run that has ended without its candidate: no share, no questions."""
    return replace(
        state,
        phase=Phase.FAILED,
        candidate=ctx.candidate,
        weight=0,
        beside=NOTHING,
        withheld=0,
        unready_since=None,
        needed=0,
        round=state.round + 1,
        asked=(),
        reason=str(reason),
        message=message,
        changed_at=ctx.now,
        post_rollout_called=False,
    )


def _with_share(ctx: Context, before: State, ended: State) -> State:
    """Return the end of a run with the share that the stable cannot take back yet, mostly none."""
    needed = missing(before, ctx.observed.target.replicas)
    weight = share_to_keep(ctx.observed, replace(before, needed=needed))
    return with_share(replace(ended, beside=before.beside), weight, needed) if weight else ended


def with_share(ended: State, weight: int, needed: int) -> State:
    """Return the state of a refused candidate that keeps a share, with a message that says so."""
    message = (
        f"{verdict_of(ended)}{_KEEPS}{weight} % of the traffic, for {LONGEST.seconds} s at most, "
        f"until the stable has about {needed} pods again"
    )
    return replace(ended, weight=weight, needed=needed, message=message)


def without_share(ended: State, now: datetime) -> State:
    """Return the state of a refused candidate that has just lost its last share; it drains now."""
    return replace(
        ended, weight=0, beside=NOTHING, needed=0, changed_at=now, message=verdict_of(ended)
    )


def verdict_of(ended: State) -> str:
    """Return why a candidate was refused, without what is said of its share."""
    return ended.message.partition(_KEEPS)[0]


def _said_kept(ended: State) -> tuple[Action, ...]:
    return (Emit(str(Reason.STABLE_SHRUNK), ended.message, warning=True),) if ended.weight else ()


def share_kept(ctx: Context) -> int:
    """Return the share that a refused candidate keeps now, in percent: what the stable lacks.

    What the stable has got meanwhile, by whoever took the canary from the routes, stays with it.
    """
    split = ctx.observed.split
    if not ctx.has_failed or ctx.since_change() >= LONGEST:
        return 0
    kept = share_to_keep(ctx.observed, ctx.state)
    return kept if split.joining is not None else min(kept, split.weight)


def expire(ctx: Context, why: str, state: State, *, again: bool = False) -> Decision:
    """End a run that could not be judged: nothing is held against its candidate.

    Args:
        ctx: the world.
        why: what it waited for in vain, in words.
        state: the state as this look leaves it.
        again: whether it is tried again by itself after a while.

    """
    message = f"Giving up on {ctx.observed.key} for now, nothing speaks against it: {why}"
    ended = replace(
        _failed(ctx, state, Reason.PROGRESS_DEADLINE, message),
        denied_since=None,
        denied_why="",
        tries=state.tries + 1 if again else 0,
    )
    return Decision(
        state=ended,
        actions=(
            *to_stable(ctx),
            EndProgress(message),
            Emit(str(Reason.PROGRESS_DEADLINE), message, warning=True),
            SaveState(),
            *_half_made(ctx),
        ),
        requeue_after=timedelta(0),
    )


def from_the_start(state: State, reason: Reason, message: str, now: datetime) -> State:
    """Return the state of a run of the same candidate that has not begun; its start stands."""
    return State(
        phase=Phase.PROGRESSING,
        candidate=state.candidate,
        stable=state.stable,
        undoing=state.undoing,
        paused=state.paused,
        rollout_confirmed=state.rollout_confirmed,
        defaults=state.defaults,
        accepted=state.accepted,
        started_at=state.started_at,
        changed_at=now,
        reason=str(reason),
        message=message,
    )


def made_whole(ctx: Context) -> tuple[Action, ...]:
    """Return what makes those objects of a run again that somebody has deleted."""
    gone, canary = ctx.observed.gone, ctx.observed.canary
    if not gone or not isinstance(canary, CanaryPresent):
        return ()
    said = f"{' and '.join(gone)} of {ctx.observed.key} was deleted: it is made again"
    event = Emit(str(Reason.MADE_AGAIN), said, warning=True)
    return (event, EnsureRoute(), EnsureCanary(canary.replicas))


def release(state: State) -> MarkTarget:
    """Return the write that lets the candidate roll, marked as ours."""
    marks = {HOLD: None, PROMOTING: state.candidate, STABLE: state.stable}
    return MarkTarget(marks, Pause.CLEARED)


def settle(*, keep_refused: bool = True) -> MarkTarget:
    """Return the write that takes every mark of ours from a target that is not held any more."""
    gone = (HOLD, STABLE, PROMOTING, REQUESTED_BY, SEEN)
    return MarkTarget(dict.fromkeys(gone if keep_refused else (*gone, REFUSED, REFUSED_WHY)))


def still_owed(ctx: Context) -> tuple[Action, ...]:
    """Return the write that remembers a refused candidate, where something came before it was made.

    Its verdict is in the state alone until then, which is about another version from now on.
    """
    state, target = ctx.state, ctx.observed.target
    judged = state.phase is Phase.FAILED and state.reason != Reason.PROGRESS_DEADLINE
    if not judged or state.candidate in {"", ctx.candidate, target.refused_mark}:
        return ()
    return (MarkTarget({REFUSED: state.candidate, REFUSED_WHY: verdict_of(state)[:MAX_WHY]}),)


def forget_refused() -> MarkTarget:
    """Return the write that takes the memory of a refused candidate from the target."""
    return MarkTarget(dict.fromkeys((REFUSED, REFUSED_WHY)))


def clear(target: Target, commands: frozenset[Command]) -> MarkTarget:
    """Return the write that removes commands that were acted on, and who wrote them."""
    gone = dict.fromkeys(sorted(map(str, commands)))
    left = givers_of(target.requested_by, target.commands - commands)
    return MarkTarget({**gone, REQUESTED_BY: signature(left)})


def promote(ctx: Context, why: str, state: State | None = None) -> Decision:
    """Let the API server's own rolling update take the candidate into the target."""
    state = state or ctx.state
    message = f"Promoting {ctx.observed.key}: {why}"
    first = isinstance(ctx.observed.canary, CanaryPresent) and bool(ctx.observed.exclusive)
    if first:
        message += f"; {in_the_way(ctx)}"
    rolling = replace(
        state,
        phase=Phase.PROMOTING,
        candidate=ctx.candidate,
        weight=0 if first else state.weight,
        beside=NOTHING if first else state.beside,
        withheld=0 if first else state.withheld,
        unready_since=None,
        round=state.round + 1,
        asked=(),
        failed_checks=0,
        undoing="",
        reason=str(Reason.PROMOTING),
        message=message,
        changed_at=ctx.now,
        checked_at=ctx.now,
    )
    return Decision(
        state=rolling,
        actions=(
            Emit(str(Reason.PROMOTING), message),
            SaveState(),
            *(to_stable(ctx) if first else (release(rolling),)),
        ),
        requeue_after=ctx.timing.poll,
    )


def in_the_way(ctx: Context) -> str:
    """Say what the canary's pods keep from the target's, and what follows; "" where nothing."""
    found = ctx.observed.exclusive
    return found and f"{found}: one pod has it at a time, so the canary goes before the new pods"


def to_stable(ctx: Context) -> tuple[Action, ...]:
    """Return the write that takes all traffic from the canary, if it has any."""
    return to_share(ctx, 0)


def to_share(ctx: Context, weight: int) -> tuple[Action, ...]:
    """Return the write that gives the canary this share, in percent, if it has another."""
    return to_traffic(ctx, traffic_with(ctx, ctx.state, weight))


def clean_up(ctx: Context) -> tuple[tuple[Action, ...], timedelta | None]:
    """Return the next step of taking a canary down and when to look again; nothing when done.

    Traffic goes first, then connections get `drain` to end, then the pods go.
    """
    split, timing = ctx.observed.split, ctx.timing
    kept = share_kept(ctx)
    if kept:
        return to_share(ctx, kept), _GROWS
    if actions := to_stable(ctx):
        return actions, timing.drain
    if not isinstance(ctx.observed.canary, CanaryPresent) and not ctx.observed.left_over:
        return (), None
    since = ctx.drained_for()
    # Of a target at 0 nothing serves anyhow, and nothing is to.
    behind = split.lag and ctx.observed.target.replicas
    if behind or (not split.confirmed and since < timing.confirm):
        return (), timing.poll
    if (left := timing.drain - since) > timedelta(0):
        return (), left
    return (DeleteCanary(),), timing.poll


def back_to_idle(
    ctx: Context,
    reason: Reason,
    message: str,
    *,
    warning: bool = False,
    keep_stable: bool = True,
) -> Decision:
    """End a run without a verdict; what is left of the canary is cleaned from the idle state."""
    before = ctx.state.stable if keep_stable else ""
    owed = still_owed(ctx) if keep_stable else ()
    state = State(
        phase=Phase.INITIALIZED,
        stable=ctx.candidate if ctx.observed.target.hold is Hold.NONE else before,
        reason=str(reason),
        message=message,
        changed_at=ctx.now,
    )
    return Decision(
        state=state,
        actions=(
            *to_stable(ctx),
            Emit(str(reason), message, warning=warning),
            *owed,
            SaveState(),
            *_half_made(ctx),
        ),
        requeue_after=timedelta(0),
    )


def _half_made(ctx: Context) -> tuple[Action, ...]:
    """Take back what was made before a write was denied: a Service without its Deployment."""
    absent = isinstance(ctx.observed.canary, CanaryAbsent)
    return (DeleteCanary(),) if absent and ctx.state.denied_since is not None else ()


def by(ctx: Context, what: str, command: Command) -> str:
    """Say who asked for something, as the API server authenticated them."""
    return f"{what} by {giver_of(ctx.observed.target.requested_by, command)}"


def acted(ctx: Context, command: Command, decision: Decision, *more: Action) -> Decision:
    """Remove the command once everything it asked for is written.

    Of commands that stand together the abort wins: what was aborted is not promoted by another.
    """
    ends = command is Command.ABORT
    together = frozenset({command, Command.PROMOTE, Command.RETRY} if ends else {command})
    done = clear(ctx.observed.target, together & ctx.observed.target.commands)
    return replace(decision, actions=(*decision.actions, *more, done))
