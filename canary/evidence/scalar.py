"""Tests for any number that a pod reports, without a distribution or a scale.

The rank test, H0: the canary pods are exchangeable with the stable ones at each sample. Rank r of
a canary pod among itself and m stable pods, bet exp(lambda r / (m + 1)) over its mean: outliers
have no weight, and shocks that all pods share cancel. Several canary pods each bet, and their mean
counts. Ties are resolved in the canary's favour.

The sign test where there are no stable pods, H0: the median is on the right side of its bound. A
breach multiplies by 1 + lambda, anything else by 1 - lambda.

Both need samples far enough apart to be new ones: a `rate[1m]` says the same thing for a minute.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from canary.evidence.mixture import Logs

_LAMBDAS: Final[Logs] = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_STAKES: Final[Logs] = (0.1, 0.3, 0.6, 0.9)
_BREACH: Final[Logs] = tuple(math.log1p(stake) for stake in _STAKES)
_KEPT: Final[Logs] = tuple(math.log1p(-stake) for stake in _STAKES)


class Scalars(NamedTuple):
    """One sample of a scalar metric: a value per pod, at a time in seconds."""

    time: float
    canary: tuple[float, ...]
    stable: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RankTest:
    """The rank test. `margin` is what a canary may be worse by, `cap` bounds one sample."""

    margin: float = 1.0
    cap: float = math.inf
    higher_is_worse: bool = True

    def start(self) -> Logs:
        """Return the evidence before the first sample."""
        return (0.0,) * len(_LAMBDAS)

    def step(self, logs: Logs, canary: Sequence[float], stable: Sequence[float]) -> Logs:
        """Add one sample; both sides have at least one value."""
        table = _bets(len(stable) + 1)
        rows = [table[self._rank(value, stable) - 1] for value in canary]
        adds = [math.log(sum(column) / len(rows)) for column in zip(*rows, strict=True)]
        return tuple([old + min(self.cap, add) for old, add in zip(logs, adds, strict=True)])

    def _rank(self, value: float, stable: Sequence[float]) -> int:
        eased = value - abs(value) * (1 - 1 / self.margin)
        if self.higher_is_worse:
            return 1 + sum(other < eased for other in stable)
        eased = value + abs(value) * (self.margin - 1)
        return 1 + sum(other > eased for other in stable)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignTest:
    """The sign test against a lower and an upper bound of the scalar, either of them or both."""

    minimum: float | None = None
    maximum: float | None = None

    def start(self) -> Logs:
        """Return the evidence before the first sample."""
        return (0.0,) * len(_STAKES)

    def step(self, logs: Logs, canary: Sequence[float]) -> Logs:
        """Add one sample: the mean of the canary pods."""
        value = sum(canary) / len(canary)
        low = self.minimum is not None and value < self.minimum
        high = self.maximum is not None and value > self.maximum
        adds = _BREACH if low or high else _KEPT
        return tuple([old + add for old, add in zip(logs, adds, strict=True)])


@lru_cache(maxsize=256)
def _bets(places: int) -> tuple[Logs, ...]:
    """Return the bet of each rank, a factor for every lambda."""
    rows = [[math.exp(bet * rank / places) for bet in _LAMBDAS] for rank in range(1, places + 1)]
    means = [sum(column) / places for column in zip(*rows, strict=True)]
    return tuple(
        tuple(value / mean for value, mean in zip(row, means, strict=True)) for row in rows
    )
