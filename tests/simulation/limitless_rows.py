"""Rows of a latency without a limit."""

from collections.abc import Iterator
from functools import partial

from tests.simulation import limitless
from tests.simulation.row import Result, Row, found_within, refused, seeded


def rows() -> Iterator[Row]:
    for rps in (5, 50):
        yield Row(
            table="latency without a limit",
            name=f"as fast as the stable, {rps} rps",
            aim="<= 1 %",
            run=partial(_run_as_fast, rps),
            quick=rps == 50,
            cost=10,
        )
    for slower in (1.5, 2.5):
        yield Row(
            table="latency without a limit",
            name=f"x {slower:g}, 50 rps",
            aim="median <= 120 s",
            run=partial(_run_slower, slower),
            quick=slower > 2,
            cost=50,
        )


def _run_as_fast(rps: float, runs: int) -> Result:
    outcomes = limitless.runs_of(seeded(), runs=runs, rps=rps)
    return refused(outcomes, 0.01)


def _run_slower(slower: float, runs: int) -> Result:
    outcomes = limitless.runs_of(seeded(), runs=runs, rps=50, slower=slower)
    return found_within(outcomes, 120)
