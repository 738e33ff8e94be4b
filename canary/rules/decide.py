"""One pure decision per reconcile: named rules in reading order, the first that applies answers.

`decide` never looks at a clock or a cluster. What it saves and what it does are derived from the
difference between the state and the world, so that a process that died between any two writes is
continued by the next one.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from canary.model.state import RUNNING_PHASES, State
from canary.model.world import Timing
from canary.rules import held, released
from canary.rules.actions import Decision, SaveState
from canary.rules.announcements import announced
from canary.rules.context import Context, Observed
from canary.rules.course import located
from canary.rules.denied import no_longer_denied
from canary.rules.former import remembered, without_forgotten
from canary.rules.hooks import heard, hooks_put
from canary.rules.notices import noticed
from canary.rules.occurrences import told
from canary.rules.parking import kept_apart
from canary.rules.polls import with_polls
from canary.rules.shares import share_told
from canary.rules.strangers import kept_from_strangers

Rule = Callable[[Context], Decision | None]
DEFAULT_TIMING: Final = Timing()


def decide(
    state: State, observed: Observed, now: datetime, timing: Timing = DEFAULT_TIMING
) -> Decision:
    """Decide what one target needs now, with what is known now.

    Args:
        state: what the Canary remembers.
        observed: the world, and what has come of the questions of earlier decisions.
        now: the time of this reconcile.
        timing: the admin's times.

    """
    known = located(heard(state, observed.standing, now), observed.strategy)
    ctx = Context(known, observed, now, timing)
    decision = next(found for rule in RULES if (found := rule(ctx)) is not None)
    decision = kept_from_strangers(ctx, kept_apart(ctx, with_polls(ctx, decision)))
    hooks = hooks_put(state, decision.state, observed.standing)
    # What was asked and answered is stored with whatever was decided.
    unsaved = decision.state.asked != state.asked and SaveState() not in decision.actions
    actions = (*decision.actions, SaveState()) if unsaved else decision.actions
    decision = replace(decision, actions=actions, asks=(*decision.asks, *hooks))
    decision = share_told(ctx, remembered(ctx, decision))
    decision = told(ctx, announced(ctx, noticed(ctx, without_forgotten(ctx, decision))))
    decision = _shown(_answered(no_longer_denied(state, decision), observed), observed)
    return _of_this_target(decision, observed.target.uid)


def _answered(decision: Decision, observed: Observed) -> Decision:
    """Have the status say that an edit of the Canary was seen, whatever it changes."""
    unseen = observed.edited and observed.target.enabled and SaveState() not in decision.actions
    return replace(decision, actions=(*decision.actions, SaveState())) if unseen else decision


def _shown(decision: Decision, observed: Observed) -> Decision:
    """Whatever is stored of a run says what it is judged by; once ended, what it was judged by."""
    state = decision.state
    if SaveState() not in decision.actions:
        return decision
    if state.phase not in RUNNING_PHASES:
        return replace(decision, state=replace(state, accepted={}))
    shown = replace(
        state,
        in_force=observed.in_force or state.in_force,
        accepted=observed.accepted or state.accepted,
    )
    return replace(decision, state=shown)


def _of_this_target(decision: Decision, uid: str) -> Decision:
    """Whatever is stored is stored of the Deployment that is there now."""
    if not uid or SaveState() not in decision.actions:
        return decision
    return replace(decision, state=replace(decision.state, target_uid=uid))


RULES: Final[tuple[Rule, ...]] = (*released.RULES_IDLE, *held.RULES_HELD)
