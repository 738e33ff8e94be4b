"""Evidence as logarithms: means of e-values, and the grid of alternatives the tests bet on.

An e-process is a running product that starts at 1 and whose expectation stays at most 1 while the
null hypothesis holds. It exceeds 1/alpha at any time at all with a chance of at most alpha (Ville's
inequality; Howard, Ramdas, McAuliffe, Sekhon, Annals of Statistics 49(2), 2021), so it may be
looked at after every sample. A weighted mean of e-processes is one too, whatever their dependence,
and no other way to merge them is better (Vovk and Wang, Annals of Statistics 49(3), 2021).
"""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

Logs = tuple[float, ...]
"""Logarithms of e-values, one for each alternative that a test bets on."""

MULTIPLES: Final[Logs] = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0)
"""The alternatives, as multiples of the ratio or the odds that the null hypothesis allows."""

_PARTS: Final = (0.05, 0.05, 0.1, 0.15, 0.2, 0.2, 0.15, 0.1)
"""What each of them counts for: most where versions fail that fail plainly."""

NOTHING: Final = 0.0
"""The logarithm of no evidence."""


def log_mean(logs: Sequence[float]) -> float:
    """Return the logarithm of the mean of e-values that are given as logarithms."""
    top = max(logs)
    return top + math.log(sum([math.exp(log - top) for log in logs]) / len(logs))


@lru_cache(maxsize=16)
def prior_of(multiples: Logs) -> Logs:
    """Return the logarithms of what each alternative counts for; those parts sum up to 1.

    Every test with these alternatives shares them.
    """
    if multiples == MULTIPLES:
        return tuple(map(math.log, _PARTS))
    return (-math.log(len(multiples)),) * len(multiples)


PRIOR: Final = prior_of(MULTIPLES)


def log_mixed(logs: Logs, prior: Logs) -> float:
    """Return the logarithm of the mixture of e-values that count for so much."""
    mixed = [log + part for log, part in zip(logs, prior, strict=True)]
    top = max(mixed)
    return top + math.log(sum([math.exp(log - top) for log in mixed]))


def log_weighted(parts: Iterable[tuple[float, float]]) -> float:
    """Return the logarithm of a weighted sum of e-values, from pairs of weight and logarithm."""
    kept = [(weight, log) for weight, log in parts if weight > 0]
    if not kept:
        return -math.inf
    top = max(log for _, log in kept)
    return top + math.log(sum(weight * math.exp(log - top) for weight, log in kept))


def log_needed(
    logs: Logs, growth: Sequence[float], target: float, prior: Logs = ()
) -> float | None:
    """Return how many steps take the mixture of the e-values to a target, None for never.

    It is their mean where no prior is given.

    Each logarithm grows by its `growth` per step. The answer errs to the long side: it waits for
    one alternative to reach the target alone.
    """
    parts = prior or (-math.log(len(logs)),) * len(logs)
    waits = [
        max(0.0, target - part - log) / rise
        for log, part, rise in zip(logs, parts, growth, strict=True)
        if rise > 0
    ]
    return min(waits, default=None)
