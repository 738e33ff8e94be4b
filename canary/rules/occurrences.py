"""Which events hooks are told of: all that a decision writes, in its order.

They are stored with the state that they speak of and taken out of it before they are sent, as
announcements are: after a death at any moment each is sent once, or in the worst case not at all.
"""

from dataclasses import replace
from typing import Final

from canary.model.announcement import Told
from canary.rules.actions import Decision, Emit, SaveState
from canary.rules.announcements import MAX_TEXT
from canary.rules.context import Context

MOST: Final = 20
"""Events that wait to be sent; where more come up, the oldest are left out."""


def told(ctx: Context, decision: Decision) -> Decision:
    """Add to a decision which of its events hooks are to be told of, where there are such hooks.

    Args:
        ctx: the world, and the run before.
        decision: what was decided.

    """
    state, waiting = decision.state, ctx.state.told
    if not ctx.observed.strategy.listeners:
        return replace(decision, state=replace(state, told=waiting))
    new = tuple(
        Told(
            message=event.message[:MAX_TEXT],
            warning=event.warning,
            at=ctx.now,
            phase=state.stage,
            checksum=state.candidate,
        )
        for event in decision.actions
        if isinstance(event, Emit)
    )
    save = (SaveState(),) if new and SaveState() not in decision.actions else ()
    left = (*waiting, *new)[-MOST:]
    return replace(decision, state=replace(state, told=left), actions=(*decision.actions, *save))
