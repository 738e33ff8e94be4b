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

The first term sums up to K_c ln(multiple_j), where K_c is the canary's total. So a test keeps only
the sum of the second, which is its dues: what it pays for every bad request on either arm.

D(margin) / D(r) depends on margin n_c / n_s alone. It is looked up for a value of that which is
rounded to the side where the factor is smaller, which it may always be: by half a percent for
n_c / n_s and as much for the margin. That saves a logarithm per alternative, and all tests with the
same multiples share the table.
"""

import math
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import repeat
from math import floor, log
from operator import add, mul
from typing import Final

from canary.evidence.mixture import MULTIPLES, NOTHING, Logs, log_mixed, prior_of

_STEPS: Final = 200.0
"""Odds are rounded to this many steps per factor of e."""


Split = tuple[float, float, float, float]
"""Bad and all requests of the canary, then of the stable, each divided by its dispersion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioTest:
    """A ratio test with its grid. `cap` bounds what one scrape may add to a logarithm.

    `dues` is its table of costs, `shift` what a place is moved by to be looked up there, `prior`
    what each alternative counts for.
    """

    margin: float
    multiples: Logs = MULTIPLES
    cap: float = math.inf
    _bets: Logs = field(init=False)
    prior: Logs = field(init=False, repr=False, compare=False)
    dues: "_Dues" = field(init=False, repr=False, compare=False)
    shift: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Compute the bets and the place of the margin once.

        Raises:
            ValueError: the alternatives lie on both sides, or a cap is asked for below 1.

        """
        up = min(self.multiples) > 1
        if not up and (max(self.multiples) >= 1 or self.cap < math.inf):
            raise ValueError("multiples lie above 1, or below 1 and without a cap")
        dues = _table(self.multiples)
        object.__setattr__(self, "_bets", dues.bets)
        object.__setattr__(self, "dues", dues)
        object.__setattr__(self, "prior", prior_of(self.multiples))
        # Whole steps, so that tests with margins of their own share their tables.
        exact = _STEPS * math.log(self.margin)
        object.__setattr__(self, "shift", math.ceil(exact) + 1 if up else math.floor(exact))

    def start(self) -> Logs:
        """Return the dues before the first request."""
        return (0.0,) * len(self.multiples)

    def rates(self, place: float) -> Logs:
        """Return what a bad request of either arm costs; `place` is 200 ln(n_c / n_s)."""
        return self.dues[math.floor(place) + self.shift]

    def step(self, dues: Logs, split: Split, most: Logs = ()) -> Logs:
        """Add one scrape; both totals are positive.

        `most` is what this scrape may add to each alternative, if it is not the cap alone.
        """
        rates = self.rates(place_of(split))
        paid = pay(dues, rates, split)
        if most:
            return self.kept_below(paid, rates, split, most)
        return self.capped(paid, rates, split, self.cap)

    def kept_below(self, dues: Logs, rates: Logs, split: Split, most: Logs) -> Logs:
        """Take off again what one scrape added to each alternative beyond its own limit."""
        bad, every = split[0], split[0] + split[2]
        return tuple(
            [
                due - max(0.0, bad * bet + every * rate - min(limit, self.cap))
                for due, bet, rate, limit in zip(dues, self._bets, rates, most, strict=False)
            ]
        )

    def capped(self, dues: Logs, rates: Logs, split: Split, cap: float) -> Logs:
        """Take off again what one scrape added beyond a cap; `dues` have it in.

        With the odds o = margin n_c / n_s of a bad request to be the canary's, no alternative at
        all gains more from a scrape than k_c ln(k_c / (k_c + k_s) * (1 + o) / o): mostly less than
        the cap.
        """
        canary_bad, canary_all, stable_bad, stable_all = split
        bad, expected = canary_bad + stable_bad, self.margin * canary_all
        if not canary_bad:
            return dues
        most = canary_bad * (expected + stable_all) / (bad * expected)
        if canary_bad * math.log(most) <= cap:
            return dues
        return tuple(
            [
                due - max(0.0, canary_bad * bet + bad * rate - cap)
                for due, bet, rate in zip(dues, self._bets, rates, strict=False)
            ]
        )

    def logs(self, dues: Logs, bad: float) -> Logs:
        """Return the evidence for every alternative, with the canary's total of bad requests."""
        return tuple(map(add, dues, map(mul, self._bets, repeat(bad))))

    def value(self, dues: Logs, bad: float) -> float:
        """Return the logarithm of the evidence."""
        return log_mixed(self.logs(dues, bad), self.prior)

    def growth(
        self, canary_rate: float, stable_rate: float, canary_all: float, stable_all: float
    ) -> Logs:
        """Return what one more canary request adds on average, at these rates and shares."""
        bad = canary_rate * canary_all
        dues = self.step(self.start(), (bad, canary_all, stable_rate * stable_all, stable_all))
        logs = self.logs(dues, bad)
        return tuple(more / canary_all for more in logs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both ratio tests of a metric in one pass: that the canary is worse, and that it is not.

    Without `inferior` nothing asks for the second, and it costs nothing.
    """

    worse: RatioTest
    inferior: RatioTest | None = None
    _width: int = field(init=False)
    _rates: dict[int, Logs] = field(init=False, repr=False, compare=False)
    _shift: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Remember where the dues of the second test begin."""
        object.__setattr__(self, "_width", len(self.worse.multiples))
        rates: dict[int, Logs] = self.worse.dues
        if self.inferior is not None:
            ahead = self.inferior.shift - self.worse.shift
            rates = _both(self.worse.multiples, self.inferior.multiples, ahead)
        object.__setattr__(self, "_rates", rates)
        object.__setattr__(self, "_shift", self.worse.shift)

    def start(self) -> Logs:
        """Return the dues of both tests before the first request."""
        return self.worse.start() + (self.inferior.start() if self.inferior else ())

    def step(self, dues: Logs, split: Split, most: Logs = ()) -> Logs:
        """Add one scrape; both totals are positive. What each test's own step would make of it.

        `most` is what this scrape may add to each alternative of `worse`.
        """
        # Written out, for it runs at every scrape: `place_of` and `pay` would be a tenth of it.
        bad, requests, stable_bad, stable_all = split
        rates = self._rates[floor(_STEPS * log(requests / stable_all)) + self._shift]
        paid = tuple(map(add, dues, map(mul, rates, repeat(bad + stable_bad))))
        if most:
            return self.worse.kept_below(paid, rates, split, most) + paid[self._width :]
        if not bad:
            return paid
        kept = self.worse.capped(paid, rates, split, self.worse.cap)
        return paid if kept is paid else kept + paid[self._width :]

    def against(self, dues: Logs, bad: float) -> Logs:
        """Return the evidence that the canary is worse than it may be."""
        return self.worse.logs(dues[: self._width], bad)

    def passing(self, dues: Logs, bad: float) -> Logs:
        """Return the evidence that the canary is not inferior; none where nothing asked for it."""
        if self.inferior is None:
            return (NOTHING,)
        return self.inferior.logs(dues[self._width :], bad)


def place_of(split: Split) -> float:
    """Return where the tables have this split of the requests."""
    return _STEPS * math.log(split[1] / split[3])


def pay(dues: Logs, rates: Logs, split: Split) -> Logs:
    """Add what the bad requests of one scrape cost."""
    return tuple(map(add, dues, map(mul, rates, repeat(split[0] + split[2]))))


class _Dues(dict[int, Logs]):
    """ln(D(margin) / D(r)) of every alternative, by the rounded logarithm of margin n_c / n_s.

    Filled as needed. There are 200 entries for every factor of e between the smallest and the
    largest odds that were ever seen: some thousand in the life of a process.
    """

    def __init__(self, multiples: Logs) -> None:
        super().__init__()
        self._multiples = multiples
        self.bets: Final = tuple(map(math.log, multiples))

    def __missing__(self, place: int) -> Logs:
        odds = math.exp(place / _STEPS)
        dues = tuple([math.log((odds + 1) / (many * odds + 1)) for many in self._multiples])
        self[place] = dues
        return dues


class _Both(dict[int, Logs]):
    """What a bad request costs in both tests of a comparison, by the place of the first.

    The second is looked up `ahead` places further. There is one table for every two margins that
    are so far apart, whatever the number of runs.
    """

    def __init__(self, worse: "_Dues", inferior: "_Dues", ahead: int) -> None:
        super().__init__()
        self._worse, self._inferior, self._ahead = worse, inferior, ahead

    def __missing__(self, place: int) -> Logs:
        rates = self._worse[place] + self._inferior[place + self._ahead]
        self[place] = rates
        return rates


@lru_cache(maxsize=512)
def _both(worse: Logs, inferior: Logs, ahead: int) -> _Both:
    """Return the table of these two tests, which every comparison by them shares."""
    return _Both(_table(worse), _table(inferior), ahead)


@lru_cache(maxsize=16)
def _table(multiples: Logs) -> _Dues:
    """Return the table of these multiples, which every test with them shares."""
    return _Dues(multiples)
