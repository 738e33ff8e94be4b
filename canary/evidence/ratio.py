"""The ratio test: canary against the stable that serves at the same time.

H0: p_c(t) <= margin * p_s(t) for every scrape t, where p_s(t) is unknown and may move as it
likes. With counts k of n requests, r_j = margin * multiple_j and D(x) = x n_c + n_s, one scrape
adds

    L_j += min(cap, k_c ln(r_j / margin) + (k_c + k_s) ln(D(margin) / D(r_j)))

This is the likelihood ratio of the bad requests' split between the arms given their sum, taken
per scrape, so that whatever both arms share cancels: the weight, its changes, and a rate that
moves (Lindon and Malek, NeurIPS 2022, arXiv 2011.03567; Turner, Ly, Grunwald, JSPI 230, 2024;
Turner and Grunwald, arXiv 2302.11401). With a = multiple D(margin)/D(r) and b = D(margin)/D(r),
ln E[a^k_c b^k_s] <= n_c p_c (a - 1) + n_s p_s (b - 1), which is 0 where p_c = margin p_s and lower
inside H0: it is exact for Bernoulli and Poisson counts of any rate. A clipped factor stays an
e-value.

With multiples below 1 the same formula tests the other side, p_c >= margin * p_s.

D(margin) / D(r) depends on the arms' shares of the requests alone. It is looked up for a share
that is rounded by half a percent to the side where the factor is smaller, which it may always be:
that saves a logarithm per alternative.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from operator import add
from typing import Final

from canary.evidence.mixture import MULTIPLES, Logs

_STEPS: Final = 200.0
"""Shares are rounded to this many steps per factor of e."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioTest:
    """A ratio test with its grid. `cap` bounds what one scrape may add to a logarithm."""

    margin: float
    multiples: Logs = MULTIPLES
    cap: float = math.inf
    _bets: Logs = field(init=False)
    _up: bool = field(init=False)

    def __post_init__(self) -> None:
        """Compute the bets once."""
        object.__setattr__(self, "_bets", tuple(map(math.log, self.multiples)))
        object.__setattr__(self, "_up", min(self.multiples) > 1)

    def start(self) -> Logs:
        """Return the evidence before the first request."""
        return (0.0,) * len(self.multiples)

    def step(
        self, logs: Logs, canary_bad: float, canary_all: float, stable_bad: float, stable_all: float
    ) -> Logs:
        """Add one scrape. Counts may be divided by a dispersion; both totals are positive."""
        bad = canary_bad + stable_bad
        place = math.floor(_STEPS * math.log(canary_all / stable_all)) + self._up
        shares = _shares(self.margin, self.multiples, place)
        if not canary_bad:
            return tuple([old + bad * share for old, share in zip(logs, shares, strict=True)])
        adds = [
            canary_bad * bet + bad * share for bet, share in zip(self._bets, shares, strict=True)
        ]
        if max(adds) > self.cap:
            adds = [min(self.cap, more) for more in adds]
        return tuple(map(add, logs, adds))

    def growth(
        self, canary_rate: float, stable_rate: float, canary_all: float, stable_all: float
    ) -> Logs:
        """Return what one more canary request adds on average, at these rates and shares."""
        bad, stable_bad = canary_rate * canary_all, stable_rate * stable_all
        step = self.step(self.start(), bad, canary_all, stable_bad, stable_all)
        return tuple(more / canary_all for more in step)


@lru_cache(maxsize=8192)
def _shares(margin: float, multiples: Logs, place: int) -> Logs:
    """Return ln(D(margin) / D(r)) of every alternative, at a rounded share of the canary."""
    share = math.exp(place / _STEPS)
    base = margin * share + 1
    return tuple(math.log(base / (margin * multiple * share + 1)) for multiple in multiples)
