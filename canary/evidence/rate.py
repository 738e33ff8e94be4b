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
from operator import add, sub

from canary.evidence.mixture import MULTIPLES, Logs, log_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTest:
    """A rate test with its grid. `cap` bounds what one scrape may add to a logarithm."""

    bound: float
    multiples: Logs = MULTIPLES
    cap: float = math.inf
    _grid: tuple[tuple[float, float], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Compute the grid once."""
        grid = tuple(_weights(self.bound, multiple) for multiple in self.multiples)
        object.__setattr__(self, "_grid", grid)

    def exceeds(self, bad: float, requests: float) -> bool:
        """Tell whether a scrape may add more than the cap: it never does where this is false.

        No alternative at all gains more than n KL(k/n, bound), which is below k ln(k / (n bound)).
        """
        return bad > 0 and bad * math.log(bad / (requests * self.bound)) > self.cap

    def excess(self, before: Logs, bad: float, requests: float) -> Logs:
        """Return the excess so far with that of one scrape that has bad requests.

        An empty one stands for none.
        """
        if not self.exceeds(bad, requests):
            return before
        excess = [max(0.0, bad * up + requests * down - self.cap) for up, down in self._grid]
        return tuple(map(add, before or (0.0,) * len(excess), excess))

    def logs(self, bad: float, requests: float, excess: Logs = ()) -> Logs:
        """Return the evidence of these totals for every alternative."""
        logs = tuple([bad * up + requests * down for up, down in self._grid])
        return tuple(map(sub, logs, excess)) if excess else logs

    def value(self, bad: float, requests: float, excess: Logs = ()) -> float:
        """Return the logarithm of the evidence of these totals."""
        return log_mean(self.logs(bad, requests, excess))

    def growth(self, rate: float) -> Logs:
        """Return what one more request adds on average, at this rate."""
        return self.logs(rate, 1.0)


def _weights(bound: float, multiple: float) -> tuple[float, float]:
    """Return what a bad request adds beyond a good one, and what every request adds."""
    odds = multiple * bound / (1 - bound)
    rate = odds / (1 + odds)
    down = math.log((1 - rate) / (1 - bound))
    return math.log(rate / bound) - down, down
