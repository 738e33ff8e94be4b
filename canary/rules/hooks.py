"""Hooks as questions that a run remembers: put beside, stored as they are put and answered.

That a hook is called is saved before it is called, and its answer as it is heard. So a death
neither loses an answer nor calls a hook more than twice, and a decision never waits for one.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final

from canary.contract import Reason
from canary.model.asking import Ask, Asked, HookAnswer, HookAsk, Standing, Unanswered, Word
from canary.model.state import Check, Outcome, State
from canary.model.strategy import Hook, HookType, InvalidStrategy, Strategy
from canary.rules.actions import Action, Emit
from canary.rules.context import Context

MOST_PUTS: Final = 2
"""How often a hook is called for one check where processes die before its answer is stored."""


def heard(state: State, standing: Standing, now: datetime) -> State:
    """Return the state with every answer that has come since it was stored.

    Args:
        state: what is stored.
        standing: what is known of the target's questions.
        now: when the answers are heard.

    """
    asked = tuple(_heard(one, standing, now) for one in state.asked)
    return state if asked == state.asked else replace(state, asked=asked)


def _heard(one: Asked, standing: Standing, now: datetime) -> Asked:
    answer = standing.answer_to(one.ask)
    if not one.is_out or not isinstance(answer, HookAnswer):
        return one
    return replace(one, word=Word(ok=answer.ok, message=answer.message, at=now))


def hooks_of(strategy: Strategy, kind: HookType) -> tuple[Hook, ...]:
    """Return the hooks of one type."""
    return tuple(hook for hook in strategy.hooks if hook.type is kind)


def called(ctx: Context, state: State, hooks: tuple[Hook, ...]) -> State:
    """Return the state in which each of these hooks, and no other, is asked for this check.

    Args:
        ctx: the world.
        state: what is known of the run.
        hooks: whom to call; who was called before is not called again, unless a death lost it.

    """
    known = {(one.ask.hook, one.ask.type): one for one in state.asked}
    asked = []
    for hook in hooks:
        before = known.get((hook.name, hook.type))
        asked.append(_first(ctx, state, hook) if before is None else _again(ctx, before))
    return replace(state, asked=tuple(asked))


def _first(ctx: Context, state: State, hook: Hook) -> Asked:
    ask = HookAsk(run=state.run, step=state.step, round=state.round, hook=hook.name, type=hook.type)
    return Asked(ask=ask, since=ctx.now)


def _again(ctx: Context, before: Asked) -> Asked:
    """Return what became of a hook that was called: one that is lost is called once more."""
    if not before.is_out or ctx.observed.standing.knows(before.ask):
        return before
    if before.puts < MOST_PUTS:
        return replace(before, puts=before.puts + 1)
    why = (
        f"hook {before.ask.hook} was called {before.puts} times and the analyzer was restarted "
        "before each answer: not called again, taken as not passed"
    )
    return replace(before, word=Word(ok=False, message=why, at=ctx.now))


def checks_of(state: State) -> tuple[Check, ...]:
    """Return what the hooks that have answered say; one that does not agree is a failed check."""
    return tuple(_check(one.ask, one.word) for one in state.asked if isinstance(one.word, Word))


def _check(ask: HookAsk, word: Word) -> Check:
    outcome = Outcome.PASSED if word.ok else Outcome.FAILED
    message = f"hook {ask.hook} passed" if word.ok else word.message
    return Check(name=ask.hook, outcome=outcome, message=message)


def waited_for(ctx: Context, state: State) -> str:
    """Say which hooks have not answered, since when, and which still wait for a place."""
    standing = ctx.observed.standing
    return ", ".join(
        f"{one.ask.type} hook {one.ask.hook} since {one.since:%H:%M:%S} UTC"
        + (" (it waits for a place)" if standing.queues(one.ask) else "")
        for one in state.out
    )


def names_out(state: State) -> str:
    """Name the hooks that have not answered, as an event does that is written once."""
    return ", ".join(f"{one.ask.type} hook {one.ask.hook}" for one in state.out)


def hooks_put(stored: State, state: State, standing: Standing) -> tuple[Ask, ...]:
    """Return the hooks' questions that stand after a decision: newly put ones, and those out.

    One that a death lost, and that no rule has put again, is not among them.

    Args:
        stored: the state that the decision was made on.
        state: the state that it leaves.
        standing: what is known of the target's questions.

    """
    before = {(one.ask, one.puts) for one in stored.asked}
    return tuple(
        one.ask for one in state.out if (one.ask, one.puts) not in before or standing.knows(one.ask)
    )


def after_rollout(ctx: Context) -> tuple[State, tuple[Action, ...]]:
    """Call the post-rollout hooks once per run; a failure is said and holds nothing up.

    Returns:
        The state, and the events of hooks that did not agree.

    """
    state, strategy = ctx.state, ctx.observed.strategy
    if not state.post_rollout_called:
        hooks = (
            ()
            if isinstance(strategy, InvalidStrategy)
            else hooks_of(strategy, HookType.POST_ROLLOUT)
        )
        return replace(called(ctx, state, hooks), post_rollout_called=True), ()
    asked = tuple(_again(ctx, one) for one in state.asked)
    failed = tuple(
        Emit(str(Reason.POST_ROLLOUT_FAILED), one.word.message, warning=True)
        for one in asked
        if isinstance(one.word, Word) and not one.word.ok
    )
    return replace(state, asked=tuple(one for one in asked if one.is_out)), failed


def came_last(state: State) -> datetime | Unanswered:
    """Return when the last hook answered; nothing while one is out."""
    words = [one.word for one in state.asked]
    times = [word.at for word in words if isinstance(word, Word)]
    return Unanswered() if len(times) < len(words) or not times else max(times)
