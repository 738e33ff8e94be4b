"""The rules for a target that Headgate holds: commands, start, refusal, and the run itself."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

from canary.contract import HOLD, STABLE, Command, Reason
from canary.model.commands import says_no
from canary.model.names import canary_name
from canary.model.state import RUNNING_PHASES, Phase, State
from canary.model.strategy import InvalidStrategy
from canary.model.world import CanaryPresent
from canary.rules.actions import (
    Action,
    Decision,
    DeleteCanary,
    Emit,
    MarkRefused,
    MarkTarget,
    Pause,
    ReopenProgress,
    SaveState,
    ScaleDownRevision,
)
from canary.rules.analysis import progress
from canary.rules.approvals import approve
from canary.rules.asleep import alone, asleep, awake
from canary.rules.context import IDLE_PHASES, RECHECK, Context, Tick, wait, warned
from canary.rules.denied import denied_too_long
from canary.rules.half_way import beside_stable, to_undo
from canary.rules.hooks import after_rollout
from canary.rules.notices import passed_over
from canary.rules.parking import serving
from canary.rules.polls import rolled_back
from canary.rules.reach import MENDED, misfit, released
from canary.rules.transitions import (
    acted,
    back_to_idle,
    by,
    clean_up,
    clear,
    forget_refused,
    gone_on,
    in_the_way,
    promote,
    refuse,
    release,
    share_kept,
    stand,
    still_owed,
    to_share,
    to_stable,
    verdict_of,
    with_share,
    without_share,
)

_AGAIN: Final = timedelta(minutes=1)
_AGAIN_AT_MOST: Final = timedelta(minutes=5)


def command(ctx: Context) -> Decision | None:
    """Promote, abort, retry, pause and approve by annotation; who asked is in the event."""
    commands = ctx.observed.target.commands
    failed = ctx.has_failed
    if Command.ABORT in commands and (not failed or ctx.state.weight):
        return acted(ctx, Command.ABORT, _give_back(ctx) if failed else _abort(ctx))
    if Command.ABORT in commands:
        # The abort is done, and what was to take the commands off was not.
        return acted(ctx, Command.ABORT, _nothing_more(ctx))
    if Command.PROMOTE in commands:
        return acted(
            ctx, Command.PROMOTE, promote(ctx, by(ctx, "promoted", Command.PROMOTE), _forced(ctx))
        )
    if Command.RETRY in commands and failed:
        decision = _start(ctx, by(ctx, "retried", Command.RETRY))
        return acted(ctx, Command.RETRY, decision, forget_refused())
    return _of_the_run(ctx)


def _of_the_run(ctx: Context) -> Decision | None:
    """What leaves a run what it is; what asks for nothing any more is taken off.

    Of a version whose run has not begun, or was refused before, that is said first: the record of
    the version before would speak of this one.
    """
    commands = ctx.observed.target.commands
    if not ctx.same_candidate or ctx.state.phase in IDLE_PHASES:
        return None
    if Command.PAUSE in commands:
        return _pause(ctx)
    if commands == {Command.APPROVE}:
        return approve(ctx)
    return _put_away(ctx) if commands else None


def _nothing_more(ctx: Context) -> Decision:
    return wait(ctx, ctx.state.reason, ctx.state.message, timedelta(0))


def _put_away(ctx: Context) -> Decision:
    """Take commands off that ask for nothing any more.

    A retry among them may have been stored by a process that ended before it forgot the refusal.
    """
    target = ctx.observed.target
    retried = Command.RETRY in target.commands and ctx.same_candidate and not ctx.state.forced
    forgets = (forget_refused(),) if retried and target.refused_mark == ctx.candidate else ()
    return replace(_nothing_more(ctx), actions=(*forgets, clear(target, target.commands)))


def _abort(ctx: Context) -> Decision:
    return refuse(ctx, Reason.ABORTED, by(ctx, "aborted", Command.ABORT), _stable_of(ctx))


def _give_back(ctx: Context) -> Decision:
    """An abort of a refused candidate that keeps a share: the stable takes it, come what may."""
    state = without_share(ctx.state, ctx.now)
    actions = (*to_share(ctx, 0), SaveState())
    return Decision(state=state, actions=actions, requeue_after=ctx.timing.drain)


def _pause(ctx: Context) -> Decision:
    """Say it in state, status and event alike; hooks that are out go on, for the run does."""
    paused = not says_no(ctx.observed.target.pause_value)
    reason = str(Reason.PAUSED if paused else Reason.RESUMED)
    said = by(ctx, "paused" if paused else "resumed", Command.PAUSE)
    message = f"{said} at weight {ctx.state.weight}"
    decision = Decision(
        state=replace(ctx.state, paused=paused, reason=reason, message=message),
        actions=(Emit(reason, message), SaveState()),
        requeue_after=timedelta(0),
    )
    return acted(ctx, Command.PAUSE, decision)


def refused_before(ctx: Context) -> Decision | None:
    """The candidate was refused in an earlier run: no new one."""
    target, state = ctx.observed.target, ctx.state
    known = target.refused_mark == ctx.candidate
    mine = ctx.same_candidate and state.phase not in IDLE_PHASES
    if not known or mine:
        return None
    why = (
        f"to its stable version: {ctx.candidate} was refused before; to try it once more: "
        f"kubectl annotate deployment {ctx.observed.key.name} {Command.RETRY}=now"
    )
    return refuse(ctx, Reason.REFUSED, why, _stable_of(ctx))


def same_as_stable(ctx: Context) -> Decision | None:
    """A hold of the very template that serves (a team's pause that ended): nothing to judge."""
    if ctx.same_candidate and ctx.state.phase in RUNNING_PHASES:
        return None
    serves = serving(ctx)
    if ctx.candidate != serves:
        return None
    message = f"{ctx.observed.key} is held with the template that serves already"
    decision = back_to_idle(ctx, Reason.RELEASED, message)
    settled = replace(decision.state, stable=serves)
    let_go = MarkTarget({HOLD: None, STABLE: None}, Pause.CLEARED)
    return replace(decision, state=settled, actions=(*decision.actions, let_go))


def invalid(ctx: Context) -> Decision | None:
    """What cannot be followed is said; the hold stays and nothing is half made."""
    strategy = ctx.observed.strategy
    problems = strategy.problems if isinstance(strategy, InvalidStrategy) else ()
    problems += (*ctx.observed.taken, *ctx.observed.problems)
    if ctx.observed.unsuitable is not None:
        problems += (ctx.observed.unsuitable.why,)
    if not problems or ctx.has_failed:
        return None
    message = f"{ctx.observed.key} stays held: {'; '.join(problems)}"
    return warned(ctx, stand(ctx, Reason.INVALID, message, MENDED))


def suspended(ctx: Context) -> Decision | None:
    """Do nothing while the Canary says `spec.suspend`, but what a refusal still owes."""
    if ctx.has_failed or not _is_suspended(ctx):
        return None
    return stand(ctx, Reason.SUSPENDED, "suspended by spec.suspend", RECHECK)


def _is_suspended(ctx: Context) -> bool:
    strategy = ctx.observed.strategy
    return not isinstance(strategy, InvalidStrategy) and strategy.suspended


def superseded(ctx: Context) -> Decision | None:
    """A newer version ends the run of the one before, also where none can begin.

    Nobody judges what the one before is sent while its Canary says to wait or cannot be followed.
    """
    running = ctx.state.phase in RUNNING_PHASES
    return new_candidate(ctx) if running else None


def new_candidate(ctx: Context) -> Decision | None:
    """A hold that no run has taken up: start, or start again with what superseded it."""
    if ctx.same_candidate and ctx.state.phase not in IDLE_PHASES:
        return None
    return _start(ctx, "held as a canary")


def _start(ctx: Context, why: str) -> Decision:
    before = ctx.state
    superseded = before.phase in RUNNING_PHASES
    reason = Reason.SUPERSEDED if superseded else Reason.HELD
    verb = "Restarting analysis for" if superseded else "Scaling up"
    message = f"New revision detected! {verb} {ctx.observed.key}: {ctx.candidate} ({why})"
    if text := in_the_way(ctx):
        message += f"; {text}"
    once_more = ctx.has_failed
    ignored = passed_over(ctx.observed.strategy)
    reopen = (ReopenProgress(),) if before.phase is Phase.FAILED else ()
    stable = serving(ctx)
    state = State(
        phase=Phase.PROGRESSING,
        candidate=ctx.candidate,
        stable=stable,
        undoing=to_undo(ctx, stable),
        started_at=ctx.now,
        changed_at=ctx.now,
        tries=before.tries if once_more else 0,
        defaults=ctx.observed.defaults,
        reason=str(reason),
        message=message,
    )
    return Decision(
        state=state,
        actions=(
            *to_stable(ctx),
            Emit(str(reason), message),
            *(Emit(one.reason, one.message, warning=True) for one in ignored),
            *_forewarn(ctx),
            *still_owed(ctx),
            SaveState(),
            *reopen,
        ),
        requeue_after=timedelta(0),
    )


def _forewarn(ctx: Context) -> tuple[Action, ...]:
    """Say what a refusal may come of, before it is a riddle, and what will be done otherwise."""
    said = [Emit(str(Reason.FOREWARNED), text, warning=True) for text in ctx.observed.forewarned]
    said += [Emit(str(Reason.UNCLEAR), text, warning=True) for text in ctx.observed.unclear]
    if text := in_the_way(ctx):
        said.append(Emit(str(Reason.EXCLUSIVE), text, warning=True))
    return tuple(said)


def _forced(ctx: Context) -> State:
    return replace(_stable_of(ctx), forced=True)


def _stable_of(ctx: Context) -> State:
    idle = ctx.state.phase in IDLE_PHASES
    return replace(
        ctx.state,
        candidate=ctx.candidate,
        stable=serving(ctx),
        started_at=ctx.state.started_at or ctx.now,
        defaults=ctx.observed.defaults if idle else ctx.state.defaults,
    )


def promotion_not_released(ctx: Context) -> Decision | None:
    """The promotion was saved, its release was not written.

    Where the canary has what the new pods need, it goes before they come.
    """
    if ctx.state.phase is not Phase.PROMOTING or not ctx.same_candidate:
        return None
    said, message = ctx.state.reason == Reason.PROMOTING, ctx.state.message
    message = message if said else f"Promoting {ctx.observed.key}: it is released again"
    if ctx.observed.exclusive:
        actions, after = clean_up(ctx)
        if actions or after is not None:
            left = wait(ctx, Reason.PROMOTING, message, after or ctx.timing.poll)
            return replace(left, actions=(*left.actions, *actions))
    decision = wait(ctx, Reason.PROMOTING, message, ctx.timing.poll)
    saved = () if said else decision.actions
    return replace(decision, actions=(*saved, release(ctx.state)))


def tried_again(ctx: Context) -> Decision | None:
    """A run that could not get as far as its first step starts anew after a while, by itself.

    What was in its way may be gone: nothing announces that. What is left of it is gone by then.
    """
    state = ctx.state
    if not _is_tried_again(ctx) or not ctx.same_candidate:
        return None
    if isinstance(ctx.observed.canary, CanaryPresent) or ctx.since_change() < _again_in(state):
        return None
    return _start(ctx, f"tried again, attempt {state.tries + 1}")


def _is_tried_again(ctx: Context) -> bool:
    state = ctx.state
    ended = state.phase is Phase.FAILED and state.reason == Reason.PROGRESS_DEADLINE
    return ended and state.tries > 0 and not _is_suspended(ctx)


def _again_in(state: State) -> timedelta:
    """Return how long after its end a run is tried again: a minute, then up to five."""
    return min(_AGAIN * (1 << min(state.tries - 1, 3)), _AGAIN_AT_MOST)


def failed(ctx: Context) -> Decision | None:
    """A refused candidate: everything that a refusal still owes, then rest."""
    state, target = ctx.state, ctx.observed.target
    if state.phase is not Phase.FAILED:
        return None
    judged = state.reason != Reason.PROGRESS_DEADLINE
    down = _to_take_down(ctx, judged=judged)
    actions: list[Action] = [ScaleDownRevision(template) for template in down]
    if judged and target.refused_mark != state.candidate:
        actions.append(MarkRefused(verdict_of(state)))
    clean, after = clean_up(ctx)
    actions += clean
    state, events = after_rollout(ctx)
    state = _share_told(ctx, state)
    actions += events
    if state != ctx.state:
        actions.append(SaveState())
    if any(isinstance(action, DeleteCanary) for action in clean):
        text = f"Canary failed! Scaling down {canary_name(ctx.observed.key.name)}"
        reason = Reason.REFUSED if judged else Reason.PROGRESS_DEADLINE
        actions.append(Emit(str(reason), text, warning=True))
    if state.undoing and after is None and actions:
        after = ctx.timing.poll
    if after is None and _is_tried_again(ctx):
        after = max(_again_in(state) - ctx.since_change(), timedelta(0))
    return Decision(
        state=state,
        actions=tuple(actions),
        requeue_after=after,
    )


def _to_take_down(ctx: Context, *, judged: bool) -> tuple[str, ...]:
    """Return the hashes of the versions whose pods in the target go as the candidate is refused."""
    state, revisions = ctx.state, ctx.observed.revisions
    gone = {r.template_hash for r in revisions if r.template_hash == state.undoing and r.replicas}
    if judged and beside_stable(revisions, state.candidate, state.stable):
        gone.add(state.candidate)
    return tuple(sorted(gone))


def _share_told(ctx: Context, state: State) -> State:
    """Return the state with the share that a refused candidate has from now on."""
    kept = share_kept(ctx)
    if kept == state.weight:
        return state
    return with_share(state, kept, state.needed) if kept else without_share(state, ctx.now)


def run(ctx: Context) -> Decision | None:
    """A run that is under way."""
    strategy = ctx.observed.strategy
    if ctx.state.phase is not Phase.PROGRESSING or isinstance(strategy, InvalidStrategy):
        return None
    return progress(Tick(ctx, strategy, gone_on(ctx)))


def nothing(ctx: Context) -> Decision:
    """Held in the middle of a clean-up that no rule above speaks of: finish it."""
    actions, after = clean_up(ctx)
    present = isinstance(ctx.observed.canary, CanaryPresent)
    decision = wait(ctx, ctx.state.reason, ctx.state.message, after or RECHECK)
    return replace(decision, actions=actions if present else decision.actions)


RULES_HELD: Final[tuple[Callable[[Context], Decision | None], ...]] = (
    command,
    refused_before,
    same_as_stable,
    asleep,
    awake,
    alone,
    rolled_back,
    misfit,
    released,
    superseded,
    invalid,
    suspended,
    new_candidate,
    denied_too_long,
    promotion_not_released,
    tried_again,
    failed,
    run,
    nothing,
)
