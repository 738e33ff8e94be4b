"""What the routes are to carry: the traffic of a run's step, as far as its canary has a share."""

from dataclasses import replace

from canary.model.state import State
from canary.model.steps import place
from canary.model.strategy import InvalidStrategy
from canary.model.traffic import NOTHING, Traffic
from canary.rules.actions import Action, SetTraffic
from canary.rules.context import Context


def traffic_of(ctx: Context, state: State, weight: int) -> Traffic:
    """Return the traffic of the step that a run is at, where its canary has this share of it.

    Args:
        ctx: the world.
        state: which run, and at which step.
        weight: the share in percent; with 0 nothing is matched, mirrored or kept either.

    """
    strategy = ctx.observed.strategy
    if not weight:
        return NOTHING
    if isinstance(strategy, InvalidStrategy):
        return Traffic(weight)
    step = strategy.steps[place(strategy.steps, state.step, weight)]
    return of_run(ctx, state, replace(step.traffic, weight=weight))


def of_run(ctx: Context, state: State, traffic: Traffic) -> Traffic:
    """Return a step's traffic as a run has it: cookies of another run keep nobody in this one."""
    return traffic.of_run(f"{ctx.observed.key} {state.run}")


def to_traffic(ctx: Context, traffic: Traffic) -> tuple[Action, ...]:
    """Return the write that gives the canary this traffic, if the routes carry another."""
    return (SetTraffic(traffic),) if ctx.observed.split.lacks(traffic) else ()
