"""A row of the suite, what it showed, and how a share of failures is held to its bound."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.simulation.runs import too_many

SEED = 20261123


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a row showed, and whether it kept its bound."""

    text: str
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table. `run` takes the number of runs; `quick` rows belong to every test run.

    `cost` divides the number of runs where a single one takes long.
    """

    table: str
    name: str
    aim: str
    run: Callable[[int], Result]
    quick: bool = False
    cost: int = 1


def seeded() -> np.random.Generator:
    """Return the random numbers of a row, the same every time."""
    return np.random.default_rng(SEED)


def bounded(failures: int, runs: int, bound: float) -> Result:
    """Judge a share by its bound; few runs get the benefit of chance."""
    return Result(
        text=f"{failures} of {runs}: {failures / runs:.2%}",
        ok=not too_many(failures, runs, bound),
    )
