"""A write that a run needs and the API server denies: a policy, a quota, a right, an invalid field.

It is said with the server's words, asked again ever more rarely, and ends the run when the progress
deadline is over. Nothing of it speaks against the candidate.
"""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from canary.model.state import RUNNING_PHASES, State
from canary.model.strategy import InvalidStrategy
from canary.model.values import Key
from canary.rules.actions import Decision, SaveState
from canary.rules.context import RECHECK, Context
from canary.rules.transitions import expire

_FIRST: Final = timedelta(seconds=1)
_WORDS: Final = 500
"""Characters of the API server's words that are said."""
_VALUE: Final = re.compile(
    r"\b((?:Invalid|Unsupported|Duplicate) value: )"
    r'(?:"(?:[^"\\]|\\.)*(?:"|$)|\{.*\}|\[.*\]|[{[].*|[^\s:,]+)',
    re.DOTALL,
)
"""A field's value in the API server's words: one of an environment variable may be a secret."""


def denied(state: State, key: Key, words: str, now: datetime) -> State:
    """Return the state of a run of which a write was denied just now.

    Args:
        state: as it is stored.
        key: the target.
        words: what the API server said.
        now: when.

    """
    text = _VALUE.sub(r"\1...", words)[:_WORDS]
    why = f"{key} cannot go on, the API server denies what it takes and is asked again: {text}"
    return replace(state, denied_since=state.denied_since or now, denied_why=why)


def ask_again_in(state: State, now: datetime) -> timedelta:
    """Return when a denied write is tried again: later, the longer it has been denied."""
    waited = now - (state.denied_since or now)
    return min(max(_FIRST, waited / 2), RECHECK)


def denied_too_long(ctx: Context) -> Decision | None:
    """A run that has not been able to act for as long as the progress deadline says is over."""
    state, strategy = ctx.state, ctx.observed.strategy
    if state.denied_since is None or state.phase not in RUNNING_PHASES or state.forced:
        return None
    if isinstance(strategy, InvalidStrategy) or not ctx.same_candidate:
        return None
    if ctx.now - state.denied_since <= strategy.progress_deadline:
        return None
    return expire(ctx, state.denied_why, state, again=True)


def no_longer_denied(before: State, decision: Decision) -> Decision:
    """Return a decision that says so only after it was done: it may be denied once more.

    Args:
        before: the state that is stored.
        decision: what is decided on it.

    """
    if before.denied_since is None:
        return decision
    free = replace(decision.state, denied_since=None, denied_why="")
    if decision.state.phase is not before.phase:
        return replace(decision, state=free)
    said = replace(free, reason=before.reason, message=before.message)
    if said != replace(before, denied_since=None, denied_why=""):
        return decision  # what moves the run is stored first; the next look says the rest
    others = (action for action in decision.actions if action != SaveState())
    return replace(decision, state=free, actions=(*others, SaveState()))
