"""Gates: a run waits at one until every hook of it agrees, or a person opens it by annotation.

A gate is asked once an interval for as long as it takes. Nothing is stored of an ask: an answer
changes nothing but what the next look finds, so that asking once more after a death does no harm. A
gate that says no is no failed check, and one that gives no answer is shut.
"""

import shlex
from dataclasses import replace
from datetime import timedelta
from typing import Final

from canary.contract import Command, Reason
from canary.model.asking import Answer, Ask, HookAnswer, HookAsk, Pending
from canary.model.gating import Approval, Gate
from canary.model.signatures import giver_of
from canary.model.state import Phase, State
from canary.model.strategy import GATES, Hook, HookType, InvalidStrategy, Strategy
from canary.rules.actions import Action, Decision, Emit, SaveState
from canary.rules.context import RECHECK, Context, Tick
from canary.rules.course import left
from canary.rules.hooks import hooks_of
from canary.rules.transitions import acted, clean_up

GRACE: Final = timedelta(seconds=5)
"""How long a gate's first answer may take before the run is said to wait: most open at once."""
ANY: Final = frozenset({"*", "now"})
"""What the approve annotation says for the gate that the run waits at, whatever its name is."""
_WORDS: Final = 300
"""Characters that a status says of what went wrong with a gate's hook."""
_NAMES: Final = {
    HookType.CONFIRM_ROLLOUT: "approval",
    HookType.CONFIRM_TRAFFIC_INCREASE: "traffic increase approval",
    HookType.CONFIRM_PROMOTION: "promotion approval",
}


# --- where a run has to wait ----------------------------------------------------------------------


def confirm_rollout(tick: Tick) -> Decision | None:
    """No canary is made before its rollout is confirmed; one of a version before goes meanwhile."""
    ctx, state = tick.ctx, tick.state
    if state.begun or state.rollout_confirmed:
        return None
    kind = HookType.CONFIRM_ROLLOUT
    is_there = state.gate is not None and state.gate.kind is kind
    if not hooks_of(tick.strategy, kind) and not is_there:
        return None
    if not missing(ctx, tick.strategy, state, kind):
        message = f"{ctx.observed.key}: its rollout is confirmed"
        gone_on = replace(state, rollout_confirmed=True, gate=None)
        said = replace(gone_on, reason=str(Reason.GATE_PASSED), message=message)
        return Decision(state=said, actions=(SaveState(),), requeue_after=timedelta(0))
    waiting, events = waits(tick, kind)
    actions, after = clean_up(ctx)
    saved = (SaveState(),) if waiting != ctx.state else ()
    return Decision(
        state=waiting, actions=(*events, *saved, *actions), requeue_after=after or RECHECK
    )


def first_traffic(tick: Tick) -> Decision | None:
    """The canary is ready and gets no traffic before that is confirmed."""
    kind = ahead_of(tick)
    if kind is None or not missing(tick.ctx, tick.strategy, tick.state, kind):
        return None
    waiting, events = waits(tick, kind)
    saved = (SaveState(),) if waiting != tick.ctx.state else ()
    return Decision(state=waiting, actions=(*events, *saved), requeue_after=RECHECK)


def confirmed(tick: Tick) -> Decision | None:
    """A tick on which all has passed, in front of a gate that is shut: the weight stays."""
    kind = ahead_of(tick)
    if kind is None or not missing(tick.ctx, tick.strategy, tick.state, kind):
        return None
    waiting, events = waits(tick, kind)
    return Decision(
        state=waiting, actions=(*events, SaveState()), requeue_after=tick.strategy.interval
    )


def ahead_of(tick: Tick) -> HookType | None:
    """Return the kind of gate that is between a run and its next step, None where none can be."""
    steps, state = tick.strategy.steps, tick.state
    further = left(tick.strategy, state) if state.begun else range(len(steps))
    if not further:
        return HookType.CONFIRM_PROMOTION
    after, before = steps[further[0]].traffic, state.traffic if state.begun else None
    if before is None:
        return HookType.CONFIRM_TRAFFIC_INCREASE if after.weight else None
    grows = after.weight > state.weight or after.match != before.match
    return HookType.CONFIRM_TRAFFIC_INCREASE if grows else None


def missing(ctx: Context, strategy: Strategy, state: State, kind: HookType) -> tuple[Hook, ...]:
    """Return the hooks of a gate that have not agreed and that no person has answered for.

    Args:
        ctx: the world.
        strategy: what the run follows; a gate that was edited away is open.
        state: the run, which is at the step that the gate comes after.
        kind: the gate's.

    """
    approved = {one.hook for one in state.approved}
    return tuple(
        hook
        for hook in hooks_of(strategy, kind)
        if hook.name not in approved and not _agrees(ctx, state, hook)
    )


def kept_waiting(ctx: Context) -> timedelta:
    """Return how long people have kept a run waiting at its gates; no deadline counts that."""
    state = ctx.state
    return state.gates_took + (ctx.now - state.gate.since if state.gate else timedelta(0))


# --- what is said of it ---------------------------------------------------------------------------


def waits(tick: Tick, kind: HookType) -> tuple[State, tuple[Action, ...]]:
    """Return the state of a run that only a gate holds up, and the event with which that begins.

    What hooks answer may change at each ask; it is said that they are shut, and which of them give
    no answer and why, and no more, so that days of waiting write nothing.
    """
    ctx = tick.ctx
    before = ctx.state.gate
    same = before is not None and before.kind is kind
    gate = before if before is not None and same else Gate(kind=kind, since=ctx.now)
    gate = replace(gate, ready=True)
    shut = missing(ctx, tick.strategy, tick.state, kind)
    answers = {hook.name: _answer(ctx, tick.state, hook) for hook in shut}
    heard = any(one is not None for one in answers.values())
    if not (gate.told or heard or ctx.now - gate.since >= GRACE):
        return replace(tick.state, gate=gate), ()
    faults = tuple(name for name, one in answers.items() if _is_faulty(name, one, gate))
    text = _text(tick, kind, shut)
    known = gate.told and gate.faults == faults and ctx.state.reason == Reason.WAITING_FOR_APPROVAL
    message = ctx.state.message if known else text + _trouble(answers, faults)
    state = replace(
        tick.state,
        gate=replace(gate, told=True, faults=faults),
        reason=str(Reason.WAITING_FOR_APPROVAL),
        message=message,
    )
    event = Emit(str(Reason.WAITING_FOR_APPROVAL), text, warning=True)
    return state, () if gate.told else (event,)


def _text(tick: Tick, kind: HookType, shut: tuple[Hook, ...]) -> str:
    key, names = tick.ctx.observed.key, [hook.name for hook in shut]
    which = shlex.quote(names[0] if len(names) == 1 else "*")
    return (
        f"Halt {key} advancement waiting for {_NAMES[kind]} {', '.join(names)}; to give it: "
        f"kubectl -n {key.namespace} annotate deployment {key.name} {Command.APPROVE}={which}"
    )


def _is_faulty(name: str, answer: HookAnswer | None, gate: Gate) -> bool:
    """Tell whether a hook gives no answer; one that is being asked is as it was before."""
    return name in gate.faults if answer is None else answer.faulty


def _trouble(answers: dict[str, HookAnswer | None], faults: tuple[str, ...]) -> str:
    said = [one.message for name in faults if (one := answers[name]) is not None]
    text = "; ".join(said)
    text = text if len(text) <= _WORDS else f"{text[:_WORDS]}..."
    return f"; it cannot be asked: {text}" if text else ""


def is_muted(strategy: Strategy, state: State) -> bool:
    """Tell whether no alert is to speak of the gate that a run waits at."""
    gate = state.gate
    return gate is not None and all(hook.muted for hook in hooks_of(strategy, gate.kind))


# --- who opens it ---------------------------------------------------------------------------------


def approve(ctx: Context) -> Decision | None:
    """A person opens a gate: the one that the run waits at, or the one that is named, once.

    Returns:
        None where no run of the candidate has begun, or its Canary cannot be followed: the word
        waits with it.

    """
    state, strategy = ctx.state, ctx.observed.strategy
    if isinstance(strategy, InvalidStrategy) or not ctx.same_candidate:
        return None
    by, value = _by(ctx), ctx.observed.target.approve_value
    hooks = _approved(strategy, state, value) if state.phase is Phase.PROGRESSING else ()
    if not hooks:
        text = f"{ctx.observed.key}: {_no_such_gate(strategy, value)} (approved by {by})"
        nothing = Decision(
            state=state,
            actions=(Emit(str(Reason.NOTHING_TO_APPROVE), text, warning=True),),
            requeue_after=timedelta(0),
        )
        return acted(ctx, Command.APPROVE, nothing)
    known = {one.hook for one in state.approved}
    new = tuple(Approval(hook=hook.name, by=by) for hook in hooks if hook.name not in known)
    said = f"{ctx.observed.key}: {', '.join(hook.name for hook in hooks)} approved by {by}"
    decision = Decision(
        state=replace(state, approved=(*state.approved, *new)),
        actions=(Emit(str(Reason.APPROVED), said), SaveState()),
        requeue_after=timedelta(0),
    )
    return acted(ctx, Command.APPROVE, decision)


def _approved(strategy: Strategy, state: State, value: str) -> tuple[Hook, ...]:
    """Return the hooks that a person answers for by the annotation's value."""
    gates = [hook for hook in strategy.hooks if hook.type in GATES]
    named = tuple(hook for hook in gates if hook.name == value)
    if named or value not in ANY or state.gate is None:
        return named
    return hooks_of(strategy, state.gate.kind)


def _no_such_gate(strategy: Strategy, value: str) -> str:
    gates = [hook.name for hook in strategy.hooks if hook.type in GATES]
    if value in ANY:
        return "no gate waits for an approval"
    known = f"its gates are {', '.join(gates)}" if gates else "it has no gates"
    return f"{value or 'an empty name'} is no gate that could be opened; {known}"


def _by(ctx: Context) -> str:
    return giver_of(ctx.observed.target.requested_by, Command.APPROVE)


# --- what is asked --------------------------------------------------------------------------------


def polled(ctx: Context, strategy: Strategy, state: State, hook: Hook, step: int) -> HookAsk:
    """Return the question to a hook that stands now.

    It is asked once an interval. One that is out is let go on, however long it takes; an answer
    that agrees stands until the check that it came upon is judged.

    Args:
        ctx: the world.
        strategy: what the run follows.
        state: the run as a decision leaves it.
        hook: whom to ask.
        step: the step that the answer is for.

    """
    turn = max(0, (ctx.now - (state.started_at or ctx.now)) // strategy.interval)
    ask = HookAsk(run=state.run, step=step, round=turn, hook=hook.name, type=hook.type)
    found = _standing(ctx, ask)
    match found:
        case Pending(ask=HookAsk() as out):
            return out
        case HookAnswer(ask=before, ok=ok):
            unused = ok and state.checked_at == ctx.state.checked_at
            stands = unused or before.round == turn
            return before if stands else ask
        case _:
            return ask


def answer_of(ctx: Context, state: State, hook: Hook, step: int) -> HookAnswer | None:
    """Return what a hook that is asked again and again has said; None while it is being asked."""
    ask = HookAsk(run=state.run, step=step, round=0, hook=hook.name, type=hook.type)
    found = _standing(ctx, ask)
    return found if isinstance(found, HookAnswer) else None


def _standing(ctx: Context, ask: HookAsk) -> HookAnswer | Pending | None:
    """Return what is known of a question of the same run, step and hook, whenever it was put."""
    standing = ctx.observed.standing
    known: tuple[Pending | Answer, ...] = (*standing.pending, *standing.answers)
    for one in known:
        if isinstance(one, HookAnswer | Pending) and _is_of(one.ask, ask):
            return one
    return None


def _is_of(put: Ask, ask: HookAsk) -> bool:
    return isinstance(put, HookAsk) and replace(put, round=ask.round) == ask


def _answer(ctx: Context, state: State, hook: Hook) -> HookAnswer | None:
    return answer_of(ctx, state, hook, state.step)


def _agrees(ctx: Context, state: State, hook: Hook) -> bool:
    answer = _answer(ctx, state, hook)
    return answer is not None and answer.ok
