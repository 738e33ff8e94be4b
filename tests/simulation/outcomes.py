"""How runs end, how that is summed up, and what all kinds of runs have in common."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SCRAPE = 5.0
"""Seconds."""
LOOKS = 360
"""Thirty minutes."""
PODS = 9
"""Of the stable, where the canary has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How many scrapes a run took to a decision; None where none came."""

    refused: int | None = None
    promoted: int | None = None


def share(outcomes: Sequence[Outcome]) -> float:
    return sum(one.refused is not None for one in outcomes) / len(outcomes)


def seconds(outcomes: Sequence[Outcome], quantile: float = 0.5) -> float:
    """Return a quantile of the time to a refusal, runs without one taken as endless."""
    times = sorted(SCRAPE * one.refused if one.refused else math.inf for one in outcomes)
    return times[min(len(times) - 1, int(quantile * len(times)))]


def promoted(outcomes: Sequence[Outcome]) -> float:
    return sum(one.promoted is not None for one in outcomes) / len(outcomes)


def promoted_seconds(outcomes: Sequence[Outcome]) -> float:
    """Return the median time to non-inferiority, runs without it taken as endless."""
    return statistics.median(
        SCRAPE * one.promoted if one.promoted else math.inf for one in outcomes
    )


def too_many(failures: int, runs: int, bound: float) -> bool:
    """Tell whether so many failures contradict a bound: a binomial tail of 1 in 1000."""
    tail, term = 0.0, math.exp(runs * math.log1p(-bound))
    for count in range(failures):
        tail += term
        term *= (runs - count) / (count + 1) * bound / (1 - bound)
    return 1 - tail < 1e-3
