"""Derives the counters behind a metric's query, and what each counts for."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from canary.counting.algebra import Percentile, Share, Value, single
from canary.counting.errors import NotCounts
from canary.counting.expressions import exact, read
from canary.counting.form import Form, Signs, formed
from canary.counting.selectors import checked
from canary.counting.series import LE, Series, SeriesSelector, bound

__all__ = ["Derived", "NotCounts", "Quantile", "Ratio", "Slower", "derive"]

_LARGEST = Fraction(10) ** 300
"""Beyond it a limit is no number that a bucket could have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A query that is a share of requests: `offset + scale * counted / requests`.

    `bad` are the counters of bad requests, `requests` those of all, each with 1, or with -1 where
    it is taken off. `maximum` is the largest fraction of bad requests that the metric's own bound
    allows; None where that is not between 0 and 1, so that the bound says nothing. The query's own
    value is `healthy` where no request is bad, and `sick` where all are.
    """

    bad: Signs
    requests: Signs
    maximum: float | None
    healthy: float = 0.0
    sick: float = 1.0

    @property
    def selectors(self) -> tuple[SeriesSelector, ...]:
        """All that has to be fetched."""
        return tuple(sorted({*self.bad, *self.requests}))

    def role(
        self, labels: Mapping[str, str], *, given: frozenset[str] = frozenset()
    ) -> tuple[int, int]:
        """Return how often a series counts as bad, and as requests; (0, 0) where it plays no role.

        Args:
            labels: of the series, with its name.
            given: as in `SeriesSelector.accepts`.

        """
        return (_role(self.bad, labels, given), _role(self.requests, labels, given))


@dataclass(frozen=True, slots=True, kw_only=True)
class Slower:
    """The requests slower than a bucket's bound; a stand-in for `Ratio`.

    `maximum` is None where the metric has no limit: then no fraction is too large by itself.
    """

    buckets: SeriesSelector
    bound: float
    maximum: float | None

    @property
    def selectors(self) -> tuple[SeriesSelector, ...]:
        """All that has to be fetched."""
        return (self.buckets,)

    def role(
        self, labels: Mapping[str, str], *, given: frozenset[str] = frozenset()
    ) -> tuple[int, int]:
        """Return how often a series counts as slower, and as requests. See `Ratio.role`.

        The bucket without a bound holds all requests, from which those of the bound are taken off.
        """
        upper = bound(labels.get(LE, ""))
        if upper is None or not self.buckets.accepts(labels, given=given):
            return (0, 0)
        if upper == math.inf:
            return (1, 1)
        return (-1, 0) if upper == self.bound else (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """A query that is a quantile of a histogram.

    `quantile` lies between 0 and 1. `limit` is the metric's maximum in the histogram's own unit;
    None where it has none above 0. `maximum` is the fraction of requests that may be slower. The
    query's value is `offset + scale *` the quantile.
    """

    quantile: float
    limit: float | None
    maximum: float
    buckets: SeriesSelector
    scale: float = 1.0
    offset: float = 0.0

    @property
    def selectors(self) -> tuple[SeriesSelector, ...]:
        """All that has to be fetched."""
        return (self.buckets,)

    def bounds(
        self, labels: Iterable[Mapping[str, str]], *, given: frozenset[str] = frozenset()
    ) -> list[float]:
        """Return the finite bounds of the buckets among some series, rising, in their own unit."""
        found = {bound(one.get(LE, "")) for one in labels if self.buckets.accepts(one, given=given)}
        return sorted(upper for upper in found if upper is not None and math.isfinite(upper))

    def cumulative(
        self, series: Iterable[Series], *, given: frozenset[str] = frozenset()
    ) -> dict[float, float]:
        """Return how many requests were at or below each bucket's bound, all series together."""
        found: dict[float, float] = {}
        for one in series:
            upper = bound(one.labels.get(LE, ""))
            if upper is not None and self.buckets.accepts(one.labels, given=given):
                found[upper] = found.get(upper, 0.0) + one.value
        return found

    def at(self, bound: float) -> Slower:
        """Return what counts the requests slower than a bucket's bound, in its own unit."""
        maximum = None if self.limit is None else self.maximum
        return Slower(buckets=self.buckets, bound=bound, maximum=maximum)


Derived = Ratio | Quantile


def derive(query: str, *, minimum: float | None, maximum: float | None) -> Derived:
    """Derive the counters behind a query.

    With a maximum what makes the value rise is bad, with a minimum alone what makes it fall. Given
    both, the maximum decides, unless only the minimum is one that requests can pass: "99 to 100
    percent of success" is a minimum.

    Args:
        query: PromQL, rendered.
        minimum: the least value that passes, in the query's unit; None for none.
        maximum: the largest value that passes.

    Raises:
        NotCounts: the value is not the share of counters nor the quantile of a histogram.

    """
    try:
        return _derived(single(read(query)), _usable(minimum), _usable(maximum))
    except ArithmeticError as error:
        raise NotCounts("it calculates with numbers that are too large or too small") from error


def _derived(value: Value, low: Fraction | None, high: Fraction | None) -> Derived:
    match value:
        case Share():
            return _ratio(formed(value), low, high)
        case Percentile():
            return _quantile(value, low, high)
        case _:
            raise NotCounts("it is neither a count divided by another nor a histogram's quantile")


def _ratio(form: Form, low: Fraction | None, high: Fraction | None) -> Ratio:
    for one in (*form.counted, *form.requests):
        checked(one)
    if low is None:
        return _side(form, high, rising=True)
    if high is None:
        return _side(form, low, rising=False)
    upper = _side(form, high, rising=True)
    if upper.maximum is not None:
        return upper
    lower = _side(form, low, rising=False)
    return upper if lower.maximum is None else lower


def _side(form: Form, limit: Fraction | None, *, rising: bool) -> Ratio:
    """Read the value's rise as bad, or its fall."""
    counted = rising == (form.scale > 0)
    fraction = None if limit is None else form.fraction(limit)
    if fraction is not None and not counted:
        fraction = 1 - fraction
    usable = fraction is not None and 0 < fraction < 1
    none, every = float(form.offset), float(form.offset + form.scale)
    return Ratio(
        bad=form.counted if counted else form.others(),
        requests=form.requests,
        maximum=float(fraction) if fraction is not None and usable else None,
        healthy=none if counted else every,
        sick=every if counted else none,
    )


def _quantile(value: Percentile, low: Fraction | None, high: Fraction | None) -> Quantile:
    least = high is None and low is not None and low > value.offset
    if value.scale <= 0 or least:
        raise NotCounts("a quantile that must not fall cannot be read as slow requests")
    limit = None if high is None else (high - value.offset) / value.scale
    return Quantile(
        quantile=float(value.quantile),
        limit=float(limit) if limit is not None and 0 < limit < _LARGEST else None,
        maximum=float(1 - value.quantile),
        buckets=value.buckets,
        scale=float(value.scale),
        offset=float(value.offset),
    )


def _usable(limit: float | None) -> Fraction | None:
    return exact(limit) if limit is not None and math.isfinite(limit) else None


def _role(signs: Signs, labels: Mapping[str, str], given: frozenset[str]) -> int:
    return sum(sign for one, sign in signs.items() if one.accepts(labels, given=given))
