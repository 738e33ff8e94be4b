"""One pure decision per reconcile: named rules in reading order, the first that applies answers.

`decide` never looks at a clock or a cluster. What it saves and what it does are derived from the
difference between the state and the world, so that a process that died between any two writes is
continued by the next one.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from canary import held, unheld
from canary.actions import Decision
from canary.endings import Context
from canary.model.state import Phase, State
from canary.model.strategy import InvalidStrategy
from canary.model.world import Hold, Observed, Questions, Timing
from canary.progress import run_questions

Rule = Callable[[Context], Decision | None]
DEFAULT_TIMING: Final = Timing()


def questions(
    state: State, observed: Observed, now: datetime, timing: Timing = DEFAULT_TIMING
) -> Questions:
    """Return what is to be asked of metrics and hooks before `decide` can answer.

    Args:
        state: what the Canary remembers.
        observed: the world, without samples and hook results.
        now: the time of this reconcile.
        timing: the admin's times.

    """
    ctx = Context(state, observed, now, timing)
    strategy = observed.strategy
    if not ctx.same_candidate or isinstance(strategy, InvalidStrategy) or observed.problems:
        return Questions()
    judged = (state.phase is Phase.PROGRESSING and observed.target.hold is Hold.OURS) or (
        state.phase is Phase.PROMOTING and observed.target.hold is Hold.NONE
    )
    if not judged or strategy.suspended or not observed.target.enabled:
        return Questions()
    return run_questions(ctx, strategy)


def decide(
    state: State, observed: Observed, now: datetime, timing: Timing = DEFAULT_TIMING
) -> Decision:
    """Decide what one target needs now.

    Args:
        state: what the Canary remembers.
        observed: the world, with the answers to `questions`.
        now: the time of this reconcile.
        timing: the admin's times.

    """
    ctx = Context(state, observed, now, timing)
    return next(decision for rule in RULES if (decision := rule(ctx)) is not None)


RULES: Final[tuple[Rule, ...]] = (
    unheld.disabled,
    unheld.undo_goes_on,
    unheld.promoting,
    unheld.finalising,
    unheld.not_held,
    held.command,
    held.refused_before,
    held.same_as_stable,
    held.invalid,
    held.suspended,
    held.new_candidate,
    held.promotion_not_released,
    held.failed,
    held.run,
    held.nothing,
)
