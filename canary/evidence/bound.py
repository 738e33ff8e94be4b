"""The bound test: canary against the metric's own maximum, whatever the dependence.

H0: E[y_t | past] <= maximum, where y_t is the bad fraction of scrape t. Evidence by betting,

    L_i += min(cap, ln(1 + lambda_i (y_t - maximum))),  lambda_i = share_i / maximum

with a mixture over seven shares (Waudby-Smith and Ramdas, arXiv 2010.09686). It is exact under any
dependence of the requests within a scrape, so it needs no dispersion, no baseline and no history.
A scrape without a bad request multiplies every bet by the same constant: those are only counted.
"""

import math
from dataclasses import dataclass, field
from operator import add
from typing import Final

from canary.evidence.mixture import Logs, log_mean

_SHARES: Final[Logs] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95)
_ENDLESS: Final = 700.0
_QUIET: Final[Logs] = tuple(math.log1p(-share) for share in _SHARES)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundTest:
    """A bound test. `cap` bounds what one scrape may add to a logarithm."""

    maximum: float
    cap: float = math.inf
    _bets: Logs = field(init=False)
    _most: float = field(init=False)

    def __post_init__(self) -> None:
        """Compute the bets once."""
        most = math.expm1(self.cap) / _SHARES[-1] if self.cap < _ENDLESS else math.inf
        object.__setattr__(self, "_bets", tuple(share / self.maximum for share in _SHARES))
        object.__setattr__(self, "_most", self.maximum * most)

    def start(self) -> Logs:
        """Return the evidence before the first request."""
        return (0.0,) * len(_SHARES)

    def step(self, logs: Logs, fraction: float) -> Logs:
        """Add one scrape that has bad requests; one without is counted as quiet instead."""
        log, above = math.log, fraction - self.maximum
        adds = [log(1.0 + bet * above) for bet in self._bets]
        if above > self._most:
            adds = [min(self.cap, more) for more in adds]
        return tuple(map(add, logs, adds))

    def logs(self, logs: Logs, quiet: int) -> Logs:
        """Return the evidence for every bet, with this many scrapes without a bad request."""
        return tuple([log + quiet * less for log, less in zip(logs, _QUIET, strict=True)])

    def value(self, logs: Logs, quiet: int) -> float:
        """Return the logarithm of the evidence."""
        return log_mean(self.logs(logs, quiet))

    def growth(self, fraction: float) -> Logs:
        """Return what one more scrape adds if this fraction of it is bad."""
        return self.step(self.start(), fraction)
