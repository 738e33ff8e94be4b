"""What reaches the canary, and what has to: no Service but its own, a route, an endpoint.

A canary that traffic reaches past its weight is taken down; one that no traffic can reach gets no
weight, and no step is taken without one.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from canary.contract import HOLD, OPT_OUT, OPT_OUT_VALUE, STABLE, Command, Reason
from canary.model.state import Phase
from canary.model.world import OnUnsuitable
from canary.rules.actions import Decision, Emit, MarkTarget, Pause, SaveState, SetTraffic
from canary.rules.context import Context, Tick, wait, warned
from canary.rules.course import advancing
from canary.rules.routed import wanted
from canary.rules.transitions import (
    back_to_idle,
    clean_up,
    from_the_start,
    made_whole,
    to_stable,
)

MENDED: Final = timedelta(seconds=5)
"""How often to look whether a team has mended what no informer tells of: Services and routes."""
_SOON: Final = timedelta(milliseconds=200)
"""How often to look for an endpoint: slices follow their pods within less than a second."""
_SHORTLY: Final = timedelta(seconds=30)
"""How long after a start or a step; where none comes for longer, something is to be mended."""


def misfit(ctx: Context) -> Decision | None:
    """The canary's pods are not told apart any more: it goes, and the run starts anew.

    Weight 0 alone would not do: another Service sends it traffic whatever the route says.
    """
    why, state = ctx.observed.misfit, ctx.state
    if not why or state.phase is not Phase.PROGRESSING or not ctx.same_candidate:
        return None
    message = f"{ctx.observed.key} starts anew with another canary: {why}"
    if state.reason != Reason.MISFIT:
        again = replace(state, started_at=ctx.now)
        anew = from_the_start(again, Reason.MISFIT, message, ctx.now)
        said = Emit(str(Reason.MISFIT), message, warning=True)
        return Decision(
            state=anew, actions=(*to_stable(ctx), said, SaveState()), requeue_after=timedelta(0)
        )
    actions, after = clean_up(ctx)
    decision = wait(ctx, Reason.MISFIT, message, after or ctx.timing.poll)
    return replace(decision, actions=(*decision.actions, *actions))


def released(ctx: Context) -> Decision | None:
    """The target can have no canary, and the admin wants it to roll out then."""
    found, ended = ctx.observed.unsuitable, ctx.has_failed
    if found is None or found.then is not OnUnsuitable.RELEASE or ended:
        return None
    message = f"{ctx.observed.key} rolls out without analysis: {found.why}"
    decision = back_to_idle(ctx, Reason.UNSUITABLE, message, warning=True)
    let_go = MarkTarget({HOLD: None, STABLE: None}, Pause.CLEARED)
    settled = replace(decision.state, stable=ctx.candidate)
    return replace(decision, state=settled, actions=(*decision.actions, let_go))


def no_route(tick: Tick) -> Decision | None:
    """Nothing leads to the Service, and no step has been taken: no canary until something does."""
    return None if tick.state.begun else _unrouted(tick)


def route_lost(tick: Tick) -> Decision | None:
    """Nothing leads to the Service any more: no step is taken meanwhile."""
    return _unrouted(tick)


def _unrouted(tick: Tick) -> Decision | None:
    ctx, found = tick.ctx, tick.ctx.observed.unrouted
    if not found or tick.strategy.skip_analysis:
        return None
    key = ctx.observed.key
    message = (
        f"{key} is held at weight {tick.state.weight}: {found}; waiting for a route. "
        f"To promote it unjudged: kubectl -n {key.namespace} annotate deployment {key.name} "
        f"{Command.PROMOTE}=now; to take it out of gating, where the admin allows it: "
        f"{OPT_OUT}={OPT_OUT_VALUE}"
    )
    return warned(ctx, wait(ctx, Reason.NO_ROUTE, message, MENDED))


def deleted(tick: Tick) -> Decision | None:
    """What belongs to the run and was deleted is made again; the share waits for it meanwhile."""
    ctx = tick.ctx
    made = made_whole(ctx)
    if not made or tick.strategy.skip_analysis:
        return None
    message = f"{ctx.observed.key} gets no traffic: {' and '.join(ctx.observed.gone)} was deleted"
    said = wait(ctx, Reason.NO_ENDPOINT, f"{message}; it is made again", _SOON)
    taken = to_stable(ctx) if tick.state.begun else ()
    return replace(said, actions=(*taken, *made, *said.actions))


def no_endpoint(tick: Tick) -> Decision | None:
    """No weight without an endpoint that takes it; what it had goes back to the stable."""
    ctx, why = tick.ctx, tick.ctx.observed.unserved
    if not why or tick.strategy.skip_analysis:
        back = tick.state.begun and tick.state.reason == Reason.NO_ENDPOINT
        return served_again(tick) if back else None
    message = f"{ctx.observed.key} gets no traffic: {why}; waiting for one"
    since = ctx.now - (tick.state.stepped_at or tick.state.started_at or ctx.now)
    said = wait(ctx, Reason.NO_ENDPOINT, message, _SOON if since < _SHORTLY else ctx.timing.poll)
    if not tick.state.begun:
        return said
    return replace(said, actions=(*to_stable(ctx), *said.actions))


def served_again(tick: Tick) -> Decision:
    """The step goes on where it was, and is judged from now on."""
    ctx = tick.ctx
    state = replace(
        tick.state,
        reason=str(Reason.ADVANCED),
        message=advancing(ctx, tick.strategy, tick.state),
        checked_at=ctx.now,
        stepped_at=ctx.now,
    )
    return Decision(
        state=state,
        actions=(SaveState(), SetTraffic(wanted(ctx, state))),
        requeue_after=tick.strategy.interval,
    )
