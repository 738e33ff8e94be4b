"""What a run does whose split a gateway does not take: it holds, with what it has been told."""

from dataclasses import replace
from datetime import timedelta

from canary.contract import Reason
from canary.model.traffic import Traffic
from canary.rules.actions import Decision
from canary.rules.context import Tick, wait
from canary.rules.reach import MENDED, served_again
from canary.rules.routed import to_traffic, wanted
from canary.rules.ticks import advance


def not_taken(tick: Tick) -> Decision | None:
    """A gateway does not follow a route with the split in it: no step is judged without that.

    It is taken out by the write that would put it in: the route's mark remembers why. A Canary that
    asks for other traffic meanwhile has its step taken anew with that. Of a gateway that has not
    heard of the canary's Service it has no share, and the same write gives it back.
    """
    ctx, split = tick.ctx, tick.ctx.observed.split
    why = split.declined or split.unheard
    moved = to_traffic(ctx, wanted(ctx, tick.state))
    if tick.strategy.skip_analysis or not (why and moved):
        back = tick.state.begun and tick.state.reason == Reason.ROUTE_REFUSED
        return served_again(tick) if back else None
    if _is_edited(tick):
        return advance(tick, tick.state.step, after=timedelta(0))
    message = f"{ctx.observed.key} is held at weight {tick.state.weight}: {why}"
    said = wait(ctx, Reason.ROUTE_REFUSED, message, MENDED)
    return replace(said, actions=(*moved, *said.actions))


def _is_edited(tick: Tick) -> bool:
    """Tell whether the step that a run stands at asks for other traffic now, shares aside."""
    steps, at = tick.strategy.steps, tick.state.step
    return 0 <= at < len(steps) and _kind(steps[at].traffic) != _kind(tick.state.beside)


def _kind(traffic: Traffic) -> Traffic:
    """Return a traffic without its share and ages: the record of a run has whole seconds."""
    affinity, none = traffic.affinity, timedelta(0)
    ageless = affinity and replace(affinity, max_age=none, primary_max_age=none, value="")
    return replace(traffic, weight=0, affinity=ageless)
