"""Rows of what the judge costs: of this machine, and of this moment."""

from collections.abc import Iterator
from functools import partial

from tests.bench import judge_cost
from tests.simulation.row import Result, Row


def rows() -> Iterator[Row]:
    for case in judge_cost.CASES:
        yield Row(
            table="cost of one update",
            name=case.name,
            aim="<= 5 us on an idle core",
            run=partial(_run_cost, case),
            lasting=False,
        )
    yield Row(
        table="cost of one update",
        name=f"memory of a run of {judge_cost.METRICS} metrics",
        aim=f"<= {judge_cost.AIM_KILOBYTES} kB",
        run=_run_memory,
        quick=True,
        lasting=False,
    )


def _run_cost(case: judge_cost.Case, _: int) -> Result:
    """Time an update. No figure of it fails, for cores differ."""
    cost = judge_cost.update(case)
    return Result(text=f"{cost.seconds * 1e6:.1f} us, noise {cost.noise * 1e6:.1f} us", ok=True)


def _run_memory(_: int) -> Result:
    size = judge_cost.memory() / 1000
    return Result(text=f"{size:.1f} kB", ok=size <= judge_cost.AIM_KILOBYTES)
