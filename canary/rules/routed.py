"""What the routes are to carry: the traffic of a run's step, as far as its canary has it."""

from dataclasses import replace

from canary.contract import Reason
from canary.model.state import State
from canary.model.traffic import NOTHING, Traffic
from canary.rules.actions import Action, SetTraffic
from canary.rules.context import Context


def wanted(ctx: Context, state: State) -> Traffic:
    """Return what the canary of a run is to get; cookies of another run keep nobody in this one.

    Args:
        ctx: the world.
        state: which run, and what it has come to.

    """
    return state.traffic_of(ctx.observed.key)


def meant(ctx: Context, state: State) -> Traffic:
    """Return what the routes of a run are to carry: nothing while nothing would answer.

    Args:
        ctx: the world.
        state: which run, and what it has come to.

    """
    return NOTHING if ctx.observed.unserved else wanted(ctx, state)


def with_share(ctx: Context, state: State, weight: int) -> Traffic:
    """Return the same at another share; with 0 nothing is matched, mirrored or kept either.

    Args:
        ctx: the world.
        state: which run, and what it has come to.
        weight: the share in percent.

    """
    return wanted(ctx, replace(state, weight=weight, withheld=0)) if weight else NOTHING


def to_traffic(ctx: Context, traffic: Traffic) -> tuple[Action, ...]:
    """Return the write that gives the canary this traffic, if the routes carry another."""
    return (SetTraffic(traffic),) if ctx.observed.split.lacks(traffic) else ()


def differing(ctx: Context, state: State) -> str:
    """Say that a run waits for its routes to carry what its step says.

    Args:
        ctx: the world.
        state: the run.

    """
    return (
        f"holding {ctx.observed.key} at weight {state.weight}: not every route carries "
        f"{meant(ctx, state)}; where one cannot, a {Reason.ROUTE_REFUSED} event says why"
    )
