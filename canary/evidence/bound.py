"""The bound test: canary against the metric's own maximum, whatever the dependence.

H0: E[y_t | past] <= maximum, where y_t is the bad fraction of scrape t. Evidence by betting,

    L_i += min(cap, ln(1 + lambda_i (y_t - maximum))),  lambda_i = share_i / maximum

with a mixture over seven shares (Waudby-Smith and Ramdas, arXiv 2010.09686). It is exact under any
dependence of the requests within a scrape, so it needs no dispersion, no baseline and no history.
A scrape without a bad request multiplies every bet by the same constant: those are only counted.
For the others y_t is rounded down by half a percent at most, so that the logarithms are looked up;
all tests share the table.
"""

import math
from dataclasses import dataclass
from operator import add
from typing import Final

from canary.evidence.mixture import Logs, log_mean

_SHARES: Final[Logs] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95)
_STEPS: Final = 200.0
_QUIET: Final[Logs] = tuple(math.log1p(-share) for share in _SHARES)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundTest:
    """A bound test. `cap` bounds what one scrape may add to a logarithm."""

    maximum: float
    cap: float = math.inf

    def start(self) -> Logs:
        """Return the evidence before the first request."""
        return (0.0,) * len(_SHARES)

    def step(self, logs: Logs, fraction: float) -> Logs:
        """Add one scrape that has bad requests; one without is counted as quiet instead."""
        adds = _ADDS[math.floor(_STEPS * math.log(fraction / self.maximum))]
        if adds[-1] > self.cap:  # The largest share gains the most, if any gains at all.
            adds = tuple([min(self.cap, more) for more in adds])
        return tuple(map(add, logs, adds))

    def logs(self, logs: Logs, quiet: int) -> Logs:
        """Return the evidence for every bet, with this many scrapes without a bad request."""
        return tuple([log + quiet * less for log, less in zip(logs, _QUIET, strict=True)])

    def value(self, logs: Logs, quiet: int) -> float:
        """Return the logarithm of the evidence."""
        return log_mean(self.logs(logs, quiet))

    def growth(self, fraction: float) -> Logs:
        """Return what one more scrape adds if this fraction of it is bad."""
        return self.step(self.start(), fraction) if fraction else _QUIET

    def growth_above(self, rate: float, fraction: float) -> Logs:
        """Return the same where a higher rate than the maximum is healthy."""
        above = fraction / max(rate, self.maximum) - 1
        return tuple([min(self.cap, math.log1p(share * above)) for share in _SHARES])


class _Adds(dict[int, Logs]):
    """What a scrape adds to every bet without a cap, by the rounded logarithm of y_t / maximum.

    Filled as needed, with 200 entries for every factor of e between the fractions that were seen.
    """

    def __missing__(self, place: int) -> Logs:
        above = math.exp(place / _STEPS) - 1
        adds = tuple([math.log1p(share * above) for share in _SHARES])
        self[place] = adds
        return adds


_ADDS: Final = _Adds()
