"""Rows of metrics that are any number."""

from collections.abc import Iterator
from functools import partial

from canary.evidence.policy import Policy
from tests.simulation import scalars
from tests.simulation.row import Result, Row, found_within, refused, seeded


def rows() -> Iterator[Row]:
    every, apart = Policy(scalar_spacing=SPACING, scalar_margin=1.0), Policy()
    for noise, policy, name in (
        (scalars.calm, every, "independent"),
        (scalars.heavy, every, "heavy tails"),
        (scalars.shocks, every, "shocks on both arms"),
        (scalars.slow, apart, "slow, one sample in 120 s"),
    ):
        yield Row(
            table="scalar metrics",
            name=f"healthy, {name}",
            aim="<= 1 %",
            run=partial(_run_scalar, noise, policy),
            quick=noise is scalars.slow,
            cost=5,
        )
    for noise, name in (
        (scalars.calm, "independent"),
        (scalars.heavy, "heavy tails"),
        (scalars.shocks, "shocks on both arms"),
    ):
        yield Row(
            table="scalar metrics",
            name=f"x 1.5, {name}",
            aim="median <= 240 s",
            run=partial(_run_shift, noise, every),
            cost=20,
        )


SPACING = 5.0


def _run_scalar(noise: scalars.Noise, policy: Policy, runs: int) -> Result:
    outcomes = scalars.runs_of(noise, seeded(), runs=runs, policy=policy)
    return refused(outcomes, 0.01)


def _run_shift(noise: scalars.Noise, policy: Policy, runs: int) -> Result:
    outcomes = scalars.runs_of(noise, seeded(), runs=runs, policy=policy, shift=1.5)
    return found_within(outcomes, 240)
