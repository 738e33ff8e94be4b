"""A row of the suite, what it showed, and how a share of failures is held to its bound."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.simulation.outcomes import Outcome, seconds, share, too_many

SEED = 20261123


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a row showed, and whether it kept its bound."""

    text: str
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table. `run` takes the number of runs; `quick` rows belong to every test run.

    `run` is a function of a module, with its arguments. `cost` divides the number of runs where a
    single one takes long. A row that is not `lasting` measures the machine: what it showed once
    says nothing of another time.
    """

    table: str
    name: str
    aim: str
    run: Callable[[int], Result]
    quick: bool = False
    cost: int = 1
    lasting: bool = True

    def runs(self, wanted: int) -> int:
        """Return how many runs are made where so many are wanted of a row that costs 1."""
        return max(20, wanted // self.cost)


def seeded() -> np.random.Generator:
    """Return the random numbers of a row, the same every time."""
    return np.random.default_rng(SEED)


def bounded(failures: int, runs: int, bound: float) -> Result:
    """Judge a share by its bound; few runs get the benefit of chance."""
    return Result(
        text=f"{failures} of {runs}: {failures / runs:.2%}",
        ok=not too_many(failures, runs, bound),
    )


def refused(outcomes: Sequence[Outcome], bound: float) -> Result:
    """Judge the share of runs that were refused."""
    return bounded(sum(one.refused is not None for one in outcomes), len(outcomes), bound)


def found_within(outcomes: Sequence[Outcome], within: float) -> Result:
    """Judge the median time to a refusal, in seconds."""
    median = seconds(outcomes)
    text = f"median {median:.0f} s, caught {share(outcomes):.1%}"
    return Result(text=text, ok=median <= within)
