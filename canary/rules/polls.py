"""What is asked of a run again and again, whatever else is decided of it: gates, rollback hooks.

A rollback hook is asked once an interval from a run's start to its end. One that agrees refuses the
candidate at once, whatever the run waits for.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from canary.contract import Reason
from canary.model.gating import Gate
from canary.model.state import Phase, State
from canary.model.steps import BEFORE_FIRST
from canary.model.strategy import Hook, HookType, InvalidStrategy, Strategy
from canary.rules.actions import Action, Decision, Emit, SaveState
from canary.rules.approvals import GRACE, answer_of, missing, polled
from canary.rules.context import Context
from canary.rules.hooks import hooks_of
from canary.rules.transitions import refuse

_UNDER_WAY: Final = frozenset({Phase.PROGRESSING, Phase.PROMOTING})


def rolled_back(ctx: Context) -> Decision | None:
    """A rollback hook that agrees ends the run against its candidate, and says so."""
    agreed = agreeing(ctx)
    state = ctx.state
    if not agreed or state.phase not in _UNDER_WAY or not ctx.same_candidate or state.forced:
        return None
    names = ", ".join(hook.name for hook in agreed)
    return refuse(ctx, Reason.ROLLBACK_HOOK, f"manual webhook invoked: {names} asks for a rollback")


def agreeing(ctx: Context) -> tuple[Hook, ...]:
    """Return the rollback hooks that ask for one, of the run that is under way."""
    strategy = ctx.observed.strategy
    if isinstance(strategy, InvalidStrategy):
        return ()
    hooks = hooks_of(strategy, HookType.ROLLBACK)
    answers = ((hook, answer_of(ctx, ctx.state, hook, BEFORE_FIRST)) for hook in hooks)
    return tuple(hook for hook, answer in answers if answer is not None and answer.ok)


def with_polls(ctx: Context, decision: Decision) -> Decision:
    """Return a decision with what is asked again and again, and with its gate left where it is.

    Args:
        ctx: the world, and the run before.
        decision: what the rules say.

    """
    decision = _past_the_gate(ctx, decision)
    strategy, state = ctx.observed.strategy, decision.state
    if isinstance(strategy, InvalidStrategy) or not _is_asked(ctx, strategy, state):
        return decision
    wanted = (*_rollbacks(ctx, strategy, state), *_gates(strategy, state))
    if not wanted:
        return decision
    asks = tuple(polled(ctx, strategy, state, hook, step) for hook, step in wanted)
    after = _next_look(ctx, strategy, state)
    sooner = after if decision.requeue_after is None else min(after, decision.requeue_after)
    return replace(decision, asks=(*decision.asks, *asks), requeue_after=sooner)


def _is_asked(ctx: Context, strategy: Strategy, state: State) -> bool:
    """Tell whether anything of a run is asked: not while it sleeps, or its team has it stand."""
    target = ctx.observed.target
    runs = state.phase in _UNDER_WAY and state.candidate == ctx.candidate
    return runs and target.enabled and target.replicas > 0 and not strategy.suspended


def _rollbacks(ctx: Context, strategy: Strategy, state: State) -> tuple[tuple[Hook, int], ...]:
    """Return the rollback hooks, while there is something that can be rolled back."""
    over = state.phase is Phase.PROMOTING and not any(
        one.template_hash == state.stable and one.replicas for one in ctx.observed.revisions
    )
    if over or state.forced:
        return ()
    return tuple((hook, BEFORE_FIRST) for hook in hooks_of(strategy, HookType.ROLLBACK))


def _gates(strategy: Strategy, state: State) -> tuple[tuple[Hook, int], ...]:
    """Return the hooks of the gate that a run waits at, but for those that people answered for."""
    if state.gate is None:
        return ()
    approved = {one.hook for one in state.approved}
    hooks = hooks_of(strategy, state.gate.kind)
    return tuple((hook, state.step) for hook in hooks if hook.name not in approved)


def _next_look(ctx: Context, strategy: Strategy, state: State) -> timedelta:
    """Return when something is to be asked again, or it is to be said that a gate is shut."""
    passed = (ctx.now - (state.started_at or ctx.now)) % strategy.interval
    after, gate = strategy.interval - passed, state.gate
    if gate is not None and not gate.told:
        left = gate.since + GRACE - ctx.now
        after = min(after, left) if left > timedelta(0) else after
    return after


def _past_the_gate(ctx: Context, decision: Decision) -> Decision:
    """Take a gate from a run that is not at it any more, with the approvals that opened it."""
    before, state = ctx.state, decision.state
    if state.phase is not Phase.PROGRESSING:
        off = replace(state, gate=None, approved=())
        return _saved(ctx, decision, off, _passed(ctx, decision))
    if before.gate is None or state.run != before.run:
        return _saved(ctx, decision, state, ())
    if state.gate is not None and state.step == before.step:
        moved = state.weight != before.weight
        stays = replace(state.gate, ready=False) if moved else state.gate
        return _saved(ctx, decision, replace(state, gate=stays), ())
    return _saved(ctx, decision, _left(ctx, before.gate, state), _passed(ctx, decision))


def _left(ctx: Context, gate: Gate, state: State) -> State:
    """Return the state of a run that goes on: its waiting counts for no deadline."""
    strategy = ctx.observed.strategy
    hooks = () if isinstance(strategy, InvalidStrategy) else hooks_of(strategy, gate.kind)
    used = {hook.name for hook in hooks} if _is_open(ctx) else set()
    return replace(
        state,
        gate=None,
        gated_until=ctx.now,
        gates_took=state.gates_took + (ctx.now - gate.since),
        approved=tuple(one for one in state.approved if one.hook not in used),
    )


def _is_open(ctx: Context) -> bool:
    strategy, state = ctx.observed.strategy, ctx.state
    if isinstance(strategy, InvalidStrategy) or state.gate is None:
        return False
    return not missing(ctx, strategy, state, state.gate.kind)


def _passed(ctx: Context, decision: Decision) -> tuple[Action, ...]:
    """Return the events of a gate that was seen shut and has opened."""
    strategy, gate, state = ctx.observed.strategy, ctx.state.gate, decision.state
    on = state.phase in _UNDER_WAY and not state.forced
    if isinstance(strategy, InvalidStrategy) or gate is None or not (gate.told and on):
        return ()
    if not _is_open(ctx):
        return ()
    by = {one.hook: f", approved by {one.by}" for one in ctx.state.approved}
    kind = str(gate.kind).capitalize()
    return tuple(
        Emit(str(Reason.GATE_PASSED), f"{kind} check {hook.name} passed{by.get(hook.name, '')}")
        for hook in hooks_of(strategy, gate.kind)
    )


def _saved(ctx: Context, decision: Decision, state: State, events: tuple[Action, ...]) -> Decision:
    before = ctx.state
    same = (state.gate, state.approved) == (before.gate, before.approved)
    saved = () if same or SaveState() in decision.actions else (SaveState(),)
    return replace(decision, state=state, actions=(*events, *decision.actions, *saved))
