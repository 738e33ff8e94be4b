"""Which selectors and rates of a query are counters of requests."""

from fractions import Fraction
from functools import lru_cache
from typing import Final

import promql_parser as promql

from canary.counting.algebra import Combination, Constant, Percentile, Share, Value
from canary.counting.errors import NotCounts
from canary.counting.patterns import PatternError, check
from canary.counting.series import LE, NAME, Matcher, SeriesSelector

RATES: Final = frozenset({"rate", "irate", "increase"})
"""Functions that stand for their counter."""

_BUCKET: Final = "_bucket"
_COUNTERS: Final = ("_total", "_count", _BUCKET)
"""How the names of counters end: without a rate nothing else tells them from gauges."""
_SIZES: Final = ("_sum", "_seconds_total", "_milliseconds_total", "_ms_total", "_bytes_total")
"""How the names of counters end that add up times or sizes, and count nothing."""
_OPERATORS: Final = {
    str(promql.MatchOp.Equal): "=",
    str(promql.MatchOp.NotEqual): "!=",
    str(promql.MatchOp.Re): "=~",
    str(promql.MatchOp.NotRe): "!~",
}


def raw(expression: promql.VectorSelector) -> Combination:
    """Read a selector without a rate: what its counters counted in all.

    Raises:
        NotCounts: it may be a gauge, or is no plain selector.

    """
    selector = _selector(expression)
    if not selector.name.endswith(_COUNTERS):
        raise NotCounts(f"{selector.name} has no rate() and may be a gauge, which counts nothing")
    return Combination(terms={selector: Fraction(1)}, rated=False)


def rated(function: str, argument: promql.Expr) -> Combination:
    """Read the argument of a rate. An increase is a rate times its window.

    Raises:
        NotCounts: it is a subquery, or no plain selector.

    """
    if not isinstance(argument, promql.MatrixSelector):
        raise NotCounts(f"{function}() over a subquery cannot be read as counts")
    seconds = _seconds(argument) if function == "increase" else Fraction(1)
    return Combination(terms={_selector(argument.vector_selector): seconds}, rated=True)


def _seconds(selector: promql.MatrixSelector) -> Fraction:
    """Return the window of a range."""
    window = selector.range
    seconds = Fraction(window.days * 86_400 + window.seconds)
    return seconds + Fraction(window.microseconds, 1_000_000)


def pinned(value: Combination, label: str) -> bool:
    """Say whether a label has one value in all that a combination reads."""
    return all(
        any(one.label == label and one.op == "=" for one in selector.matchers)
        for selector in value.terms
    )


def behind(value: Value) -> set[SeriesSelector]:
    """Return the selectors that a value comes from."""
    match value:
        case Constant():
            return set()
        case Combination():
            return set(value.terms)
        case Percentile():
            return {value.buckets}
        case Share():
            return {*value.part, *value.whole}


def histogram(buckets: Combination) -> SeriesSelector:
    """Return the selector of a histogram's buckets.

    Raises:
        NotCounts: they are not those of one histogram.

    """
    # A factor changes no quantile, unless it turns the buckets round.
    found = [selector for selector, times in buckets.terms.items() if times > 0]
    whole = [one for one in found if one.name.endswith(_BUCKET) and not _of_le(one)]
    if len(buckets.terms) != 1 or not whole:
        raise NotCounts("histogram_quantile() needs all buckets of one histogram, ..._bucket")
    return whole[0]


def checked(selector: SeriesSelector) -> SeriesSelector:
    """Return a selector whose counters count each request once.

    Raises:
        NotCounts: they add up times or sizes, or count a request in several buckets.

    """
    if selector.name.endswith(_SIZES):
        raise NotCounts(
            f"{selector.name} adds up times or sizes, so this is a mean; a mean cannot be read "
            "as counts, histogram_quantile() can"
        )
    if selector.name.endswith(_BUCKET) and not any(one.op == "=" for one in _of_le(selector)):
        raise NotCounts(f'{selector.name} counts a request in several buckets; give it le="..."')
    return selector


def _of_le(selector: SeriesSelector) -> list[Matcher]:
    return [one for one in selector.matchers if one.label == LE]


def _selector(expression: promql.VectorSelector) -> SeriesSelector:
    if expression.offset is not None or expression.at is not None:
        raise NotCounts("offset and @ read another time than now; leave them out")
    if expression.matchers.or_matchers:
        raise NotCounts("or inside of {} is not PromQL of Prometheus")
    matchers = [matcher_of(one) for one in expression.matchers.matchers]
    if expression.name is not None:
        matchers.append(Matcher(label=NAME, op="=", value=expression.name))
    if [one.op for one in matchers if one.label == NAME] != ["="]:
        raise NotCounts("a selector must name its metric, as in http_requests_total{...}")
    # In one order, so that {a,b} and {b,a} are the same counter.
    in_order = sorted(map(_same_matcher, set(matchers)), key=lambda m: (m.label != NAME, m))
    return _same_selector(SeriesSelector(matchers=tuple(in_order)))


@lru_cache(maxsize=256)
def _same_matcher(matcher: Matcher) -> Matcher:
    """Return the equal one of before: a run's queries are kept, and differ in few conditions."""
    return matcher


@lru_cache(maxsize=256)
def _same_selector(selector: SeriesSelector) -> SeriesSelector:
    """Return the equal one of before: a query names a counter in several of its parts."""
    return selector


def matcher_of(matcher: promql.Matcher) -> Matcher:
    """Return a condition of a parsed query.

    Raises:
        NotCounts: its regular expression cannot be read.

    """
    read = Matcher(label=matcher.name, op=_OPERATORS[str(matcher.op)], value=matcher.value)
    if read.op in ("=~", "!~"):
        try:
            check(read.value)
        except PatternError as error:
            raise NotCounts(str(error)) from error
    return read
