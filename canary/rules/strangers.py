"""What has a name of the run's and is not its own gets no traffic and is not written over."""

from dataclasses import replace

from canary.contract import Reason
from canary.model.traffic import NOTHING
from canary.rules.actions import Action, Decision, Emit, EnsureCanary, EnsureRoute, SetTraffic
from canary.rules.context import Context


def kept_from_strangers(ctx: Context, decision: Decision) -> Decision:
    """Return a decision that gives no share to what is not ours, and makes nothing in its place.

    Args:
        ctx: the world.
        decision: what the rules say, none of which has to know of it.

    """
    if not ctx.observed.taken:
        return decision
    made = (EnsureCanary, EnsureRoute, SetTraffic)
    kept: tuple[Action, ...] = tuple(it for it in decision.actions if not isinstance(it, made))
    if not ctx.observed.split.traffic.is_nothing:
        kept = (SetTraffic(NOTHING), *kept)
    if kept == decision.actions:
        return decision
    said = f"{ctx.observed.key}: {'; '.join(ctx.observed.taken)}"
    return replace(decision, actions=(*kept, Emit(str(Reason.TAKEN), said, warning=True)))
