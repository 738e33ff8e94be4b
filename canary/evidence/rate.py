"""The rate test: canary against one known rate, request by request.

H0: every canary request is bad with a chance of at most `bound`, given the past. The evidence is a
mixture of Bernoulli likelihood ratios over alternatives whose odds are multiples of the bound's
(Wald, 1945; Robbins, 1970). It needs no more than the two totals K and N,

    L_j = K (ln(p_j / p0) - ln((1 - p_j) / (1 - p0))) + N ln((1 - p_j) / (1 - p0))

and, where a scrape added more than `cap` to an L_j, the excess that is taken off again.

With multiples below 1 it tests the other side, that the chance is at least the bound.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import repeat
from operator import add, mul, sub

from canary.evidence.mixture import MULTIPLES, Logs, log_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTest:
    """A rate test with its grid. `cap` bounds what one scrape may add to a logarithm."""

    bound: float
    multiples: Logs = MULTIPLES
    cap: float = math.inf
    _ups: Logs = field(init=False)
    _downs: Logs = field(init=False)

    def __post_init__(self) -> None:
        """Compute the grid once."""
        ups, downs = _grid(self.bound, self.multiples)
        object.__setattr__(self, "_ups", ups)
        object.__setattr__(self, "_downs", downs)

    def exceeds(self, bad: float, requests: float) -> bool:
        """Tell whether a scrape may add more than the cap: it never does where this is false.

        No alternative at all gains more than n KL(k/n, bound), which is below k ln(k / (n bound)).
        """
        return bad > 0 and bad * math.log(bad / (requests * self.bound)) > self.cap

    def excess(self, before: Logs, bad: float, requests: float, cap: float | None = None) -> Logs:
        """Return the excess so far with that of one scrape.

        An empty one stands for none. `cap` is one for this scrape alone, which may then be without
        a bad request.
        """
        if cap is None and not self.exceeds(bad, requests):
            return before
        most = self.cap if cap is None else min(cap, self.cap)
        excess = [max(0.0, log - most) for log in self.logs(bad, requests)]
        return tuple(map(add, before or (0.0,) * len(excess), excess))

    def logs(self, bad: float, requests: float, excess: Logs = ()) -> Logs:
        """Return the evidence of these totals for every alternative."""
        ups, downs = map(mul, self._ups, repeat(bad)), map(mul, self._downs, repeat(requests))
        logs = tuple(map(add, ups, downs))
        return tuple(map(sub, logs, excess)) if excess else logs

    def value(self, bad: float, requests: float, excess: Logs = ()) -> float:
        """Return the logarithm of the evidence of these totals."""
        return log_mean(self.logs(bad, requests, excess))

    def growth(self, rate: float) -> Logs:
        """Return what one more request adds on average, at this rate."""
        return self.logs(rate, 1.0)


@lru_cache(maxsize=256)
def _grid(bound: float, multiples: Logs) -> tuple[Logs, Logs]:
    """Return what a bad request adds beyond a good one, and what every request adds.

    Kept, for most bounds are those of a policy or of a metric that has many runs.
    """
    rates = [_rate(bound, multiple) for multiple in multiples]
    downs = tuple([math.log((1 - rate) / (1 - bound)) for rate in rates])
    ups = [math.log(rate / bound) - down for rate, down in zip(rates, downs, strict=True)]
    return tuple(ups), downs


def _rate(bound: float, multiple: float) -> float:
    """Return the rate whose odds are this multiple of the bound's."""
    odds = multiple * bound / (1 - bound)
    return odds / (1 + odds)
