"""The bound test: canary against the metric's own maximum, whatever the dependence.

H0: E[y_t | past] <= maximum, where y_t is the bad fraction of scrape t. Evidence by betting,

    L_i += min(cap, ln(1 + lambda_i (y_t - maximum))),  lambda_i = share_i / maximum

with a mixture over seven shares (Waudby-Smith and Ramdas, arXiv 2010.09686). It is exact under any
dependence of the requests within a scrape, so it needs no dispersion, no baseline and no history.
A scrape without a bad request multiplies every bet by the same constant: those are only counted.
"""

import math
from dataclasses import dataclass, field
from typing import Final

from canary.evidence.mixture import Logs, log_mean

_SHARES: Final[Logs] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95)
_QUIET: Final[Logs] = tuple(math.log1p(-share) for share in _SHARES)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundTest:
    """A bound test. `cap` bounds what one scrape may add to a logarithm."""

    maximum: float
    cap: float = math.inf
    _bets: Logs = field(init=False)

    def __post_init__(self) -> None:
        """Compute the bets once."""
        object.__setattr__(self, "_bets", tuple(share / self.maximum for share in _SHARES))

    def start(self) -> Logs:
        """Return the evidence before the first request."""
        return (0.0,) * len(_SHARES)

    def step(self, logs: Logs, fraction: float) -> Logs:
        """Add one scrape that has bad requests; one without is counted as quiet instead."""
        log, above, cap = math.log, fraction - self.maximum, self.cap
        adds = [log(1.0 + bet * above) for bet in self._bets]
        if max(adds) > cap:
            adds = [min(cap, add) for add in adds]
        return tuple([old + add for old, add in zip(logs, adds, strict=True)])

    def logs(self, logs: Logs, quiet: int) -> Logs:
        """Return the evidence for every bet, with this many scrapes without a bad request."""
        return tuple([log + quiet * less for log, less in zip(logs, _QUIET, strict=True)])

    def value(self, logs: Logs, quiet: int) -> float:
        """Return the logarithm of the evidence."""
        return log_mean(self.logs(logs, quiet))

    def growth(self, fractions: tuple[float, ...]) -> Logs:
        """Return what one more scrape adds on average, if it is like one of these."""
        rises = [
            [min(self.cap, math.log1p(bet * (fraction - self.maximum))) for bet in self._bets]
            for fraction in fractions
        ]
        return tuple(sum(column) / len(rises) for column in zip(*rises, strict=True))
