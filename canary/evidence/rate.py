"""The rate test: canary against one known rate, request by request.

H0: every canary request is bad with a chance of at most `bound`, given the past. The evidence is a
mixture of Bernoulli likelihood ratios over alternatives whose odds are multiples of the bound's
(Wald, 1945; Robbins, 1970). It needs no more than the two totals K and N,

    L_j = K (ln(p_j / p0) - ln((1 - p_j) / (1 - p0))) + N ln((1 - p_j) / (1 - p0))

and, where a scrape added more than `cap` to an L_j, the excess that is taken off again.

With multiples below 1 it tests the other side, that the chance is at least the bound.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import repeat
from operator import add, mul, sub

from canary.evidence.mixture import MULTIPLES, Logs, log_mixed, prior_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTest:
    """A rate test with its grid. `cap` bounds what one scrape may add to a logarithm.

    `prior` is what each alternative counts for.
    """

    bound: float
    multiples: Logs = MULTIPLES
    cap: float = math.inf
    prior: Logs = field(init=False, repr=False, compare=False)
    _ups: Logs = field(init=False)
    _downs: Logs = field(init=False)

    def __post_init__(self) -> None:
        """Compute the grid once."""
        ups, downs = _grid(self.bound, self.multiples)
        object.__setattr__(self, "prior", prior_of(self.multiples))
        object.__setattr__(self, "_ups", ups)
        object.__setattr__(self, "_downs", downs)

    def exceeds(self, bad: float, requests: float) -> bool:
        """Tell whether a scrape may add more than the cap: it never does where this is false.

        No alternative at all gains more than n KL(k/n, bound), which is below k ln(k / (n bound)).
        """
        return bad > 0 and bad * math.log(bad / (requests * self.bound)) > self.cap

    def excess(self, before: Logs, bad: float, requests: float) -> Logs:
        """Return the excess so far with that of one scrape; an empty one stands for none."""
        if not self.exceeds(bad, requests):
            return before
        excess = [max(0.0, log - self.cap) for log in self.logs(bad, requests)]
        return tuple(map(add, before or (0.0,) * len(excess), excess))

    def excess_above(self, before: Logs, rate: float, bad: float, requests: float) -> Logs:
        """Return the same for a scrape that is held against a rate above the bound.

        What it adds is what these alternatives have against that rate, so its excess may be
        negative: a good request speaks less against an alternative there.
        """
        adds = logs_above(rate, self.bound, bad, requests, self.multiples)
        excess = [
            log - min(self.cap, more)
            for log, more in zip(self.logs(bad, requests), adds, strict=True)
        ]
        return tuple(map(add, before or (0.0,) * len(excess), excess))

    def logs(self, bad: float, requests: float, excess: Logs = ()) -> Logs:
        """Return the evidence of these totals for every alternative."""
        ups, downs = map(mul, self._ups, repeat(bad)), map(mul, self._downs, repeat(requests))
        logs = tuple(map(add, ups, downs))
        return tuple(map(sub, logs, excess)) if excess else logs

    def value(self, bad: float, requests: float, excess: Logs = ()) -> float:
        """Return the logarithm of the evidence of these totals."""
        return log_mixed(self.logs(bad, requests, excess), self.prior)

    def growth(self, rate: float) -> Logs:
        """Return what one more request adds on average, at this rate."""
        return self.logs(rate, 1.0)


def logs_above(
    rate: float, bound: float, bad: float, requests: float, multiples: Logs = MULTIPLES
) -> Logs:
    """Return the evidence of these totals against a rate, for the alternatives of a bound.

    One that is not above the rate bets nothing, for its bet would be won by good requests.
    """
    ups, downs = _grid_above(max(rate, bound), bound, multiples)
    return tuple(map(add, map(mul, ups, repeat(bad)), map(mul, downs, repeat(requests))))


@lru_cache(maxsize=256)
def _grid(bound: float, multiples: Logs) -> tuple[Logs, Logs]:
    """Return what a bad request adds beyond a good one, and what every request adds.

    Kept, for most bounds are those of a policy or of a metric that has many runs.
    """
    return _against(bound, [_rate(bound, multiple) for multiple in multiples])


@lru_cache(maxsize=256)
def _grid_above(rate: float, bound: float, multiples: Logs) -> tuple[Logs, Logs]:
    return _against(rate, [max(rate, _rate(bound, multiple)) for multiple in multiples])


def _against(rate: float, alternatives: Sequence[float]) -> tuple[Logs, Logs]:
    downs = tuple([math.log((1 - one) / (1 - rate)) for one in alternatives])
    ups = [math.log(one / rate) - down for one, down in zip(alternatives, downs, strict=True)]
    return tuple(ups), downs


def _rate(bound: float, multiple: float) -> float:
    """Return the rate whose odds are this multiple of the bound's."""
    odds = multiple * bound / (1 - bound)
    return odds / (1 + odds)
