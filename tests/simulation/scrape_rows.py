"""Rows whose counts are subtracted from raw counters."""

from collections.abc import Iterator
from functools import partial

from tests.simulation import scrapes
from tests.simulation.row import Result, Row, refused, seeded


def guarded() -> Iterator[Row]:
    """Give the row of an outage that hits both versions."""
    yield Row(
        table="healthy canaries refused while the stable is not itself",
        name=f"{scrapes.OUTAGE.name}, 1.0% at 50 rps",
        aim="<= 10 %",
        run=partial(_run_scrapes, scrapes.OUTAGE, 0.1),
        cost=10,
    )


def counters() -> Iterator[Row]:
    for trouble in scrapes.TROUBLES:
        yield Row(
            table="healthy canaries refused, counters read through scrapes",
            name=f"{trouble.name}, 1.0% at 50 rps",
            aim="<= 1 %",
            run=partial(_run_scrapes, trouble, 0.01),
            quick=trouble.name == "restarts and churn",
            cost=10,
        )


def _run_scrapes(trouble: scrapes.Trouble, bound: float, runs: int) -> Result:
    outcomes = scrapes.healthy(trouble, seeded(), runs=runs, rps=50, rate=0.01)
    return refused(outcomes, bound)
