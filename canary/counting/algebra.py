"""The algebra of queries over counters: constants, sums of counters, shares, quantiles.

Coefficients are fractions, exact in what the query and the metric write as decimals, so that
whether two of them are equal is never a matter of rounding.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from canary.counting.errors import NotCounts
from canary.counting.series import SeriesSelector


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A number, whatever the counters say."""

    value: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """Counters times coefficients, summed.

    `rated` says whether they are per second over a window, and not what they counted in all.
    `labels` are those by which the values are still apart; None stands for all that there are.
    """

    terms: Mapping[SeriesSelector, Fraction]
    rated: bool
    labels: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One sum of counters divided by another, with nothing left that keeps values apart.

    A query `offset + scale * part / whole` is the share of `offset * whole + scale * part`.
    """

    part: Mapping[SeriesSelector, Fraction]
    whole: Mapping[SeriesSelector, Fraction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentile:
    """`offset + scale *` the quantile of the histogram that has these buckets."""

    quantile: Fraction
    buckets: SeriesSelector
    scale: Fraction = field(default=Fraction(1))
    offset: Fraction = field(default=Fraction(0))


Value = Constant | Combination | Share | Percentile


def single(value: Value) -> Value:
    """Return a value that is one number.

    Raises:
        NotCounts: it is one number per series or group.

    """
    if isinstance(value, Combination) and value.labels != frozenset():
        apart = "series" if value.labels is None else " and ".join(sorted(value.labels))
        raise NotCounts(f"it has one value per {apart}; wrap each side in sum(...) without by")
    return value


def scaled(value: Value, by: Fraction) -> Value:
    """Multiply by a constant."""
    match value:
        case Constant():
            return Constant(value=value.value * by)
        case Combination():
            return replace(value, terms=_times(value.terms, by))
        case Share():
            return replace(value, part=_times(value.part, by))
        case Percentile():
            return replace(value, scale=value.scale * by, offset=value.offset * by)


def added(left: Value, right: Value) -> Value:
    """Add two values.

    Raises:
        NotCounts: the sum is none of the values of this module.

    """
    match left, right:
        case Constant(), _:
            return _shifted(right, left.value)
        case _, Constant():
            return _shifted(left, right.value)
        case Combination(), Combination():
            return _combined(left, right)
        case Share(), Share() if left.whole == right.whole:
            return replace(left, part=_plus(left.part, right.part))
        case _:
            raise NotCounts("it adds things without a common denominator; write one division")


def multiplied(left: Value, right: Value) -> Value:
    """Multiply two values, one of which must be a constant.

    Raises:
        NotCounts: neither is.

    """
    if isinstance(left, Constant):
        return scaled(right, left.value)
    if isinstance(right, Constant):
        return scaled(left, right.value)
    raise NotCounts("it multiplies counters with each other")


def divided(left: Value, right: Value) -> Value:
    """Divide two values.

    Raises:
        NotCounts: by zero, or the result is none of the values of this module.

    """
    match left, right:
        case _, Constant():
            if not right.value:
                raise NotCounts("it divides by zero")
            return scaled(left, 1 / right.value)
        case Combination(), Combination():
            return _share(left, right)
        case _:
            raise NotCounts("what it divides, or divides by, is no sum of counters")


def _shifted(value: Value, by: Fraction) -> Value:
    match value:
        case Constant():
            return Constant(value=value.value + by)
        case Share():
            return replace(value, part=_plus(value.part, _times(value.whole, by)))
        case Percentile():
            return replace(value, offset=value.offset + by)
        case Combination():
            if by:
                raise NotCounts("it adds a number to counters; add it to their ratio instead")
            return value


def _combined(left: Combination, right: Combination) -> Combination:
    # Two vectors are added where their labels agree; what has no partner would be lost.
    single(left)
    single(right)
    _same_unit(left, right)
    return replace(left, terms=_plus(left.terms, right.terms))


def _share(left: Combination, right: Combination) -> Share:
    single(left)
    single(right)
    _same_unit(left, right)
    if not right.terms:
        raise NotCounts("it divides by counters that cancel out")
    return Share(part=left.terms, whole=right.terms)


def _same_unit(left: Combination, right: Combination) -> None:
    if left.rated != right.rated:
        raise NotCounts("it mixes raw counters with rates; use rate(...) on all of them")


def _times(
    terms: Mapping[SeriesSelector, Fraction], by: Fraction
) -> Mapping[SeriesSelector, Fraction]:
    return _nonzero((selector, value * by) for selector, value in terms.items())


def _plus(
    left: Mapping[SeriesSelector, Fraction], right: Mapping[SeriesSelector, Fraction]
) -> Mapping[SeriesSelector, Fraction]:
    return _nonzero(
        (selector, left.get(selector, Fraction(0)) + right.get(selector, Fraction(0)))
        for selector in {**left, **right}
    )


def _nonzero(terms: Iterable[tuple[SeriesSelector, Fraction]]) -> Mapping[SeriesSelector, Fraction]:
    return {selector: value for selector, value in terms if value}
