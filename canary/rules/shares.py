"""Which share of the requests a canary really gets, where that is told by the number of pods."""

from dataclasses import replace

from canary.rules.actions import Decision, SaveState, SetTraffic
from canary.rules.context import Context


def share_told(ctx: Context, decision: Decision) -> Decision:
    """Return a decision whose state has the share, as it is or as its actions will make it.

    It changes with every pod that comes or goes, and is stored whenever it does.

    Args:
        ctx: the world.
        decision: what was decided.

    """
    joining, before = ctx.observed.split.joining, ctx.state.share
    moved = [action for action in decision.actions if isinstance(action, SetTraffic)]
    if joining is None:
        share = None
    elif moved:
        share = joining.planned(moved[-1].traffic.weight)[1] or None
    else:
        share = joining.share or None
    told = replace(decision, state=replace(decision.state, share=share))
    if share == before or SaveState() in decision.actions:
        return told
    return replace(told, actions=(SaveState(), *decision.actions))
