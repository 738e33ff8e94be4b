"""Reads a parsed PromQL expression as a value of the algebra.

What is read keeps its meaning as counts: a rate, whatever its window, stands for its counter; a
fallback for no data and a comparison with zero stand for nothing, since no requests are no
evidence anyway. Whatever else changes the value is refused, with the reason.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import promql_parser as promql

from canary.counting import algebra, selectors
from canary.counting.algebra import Combination, Constant, Percentile, Share, Value
from canary.counting.bounds import check
from canary.counting.errors import NotCounts, NotPromql
from canary.counting.form import formed
from canary.counting.series import LE

_COMPARISONS: Final = frozenset({">", ">=", "<", "<=", "==", "!="})
_WITH_ZERO: Final = frozenset({">", ">=", "!="})
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_UNSURE: Final = ("unknown function", "illegal regex")
"""What the parser says, in words alone, of functions that a newer Prometheus may have, and of
patterns, which RE2 has taken before (`canary.counting.bounds`) and Rust's engine does not."""
_ONE_VALUE: Final = frozenset({"sum", "avg", "min", "max"})
"""Aggregations that leave a single value as it is."""


def read(query: str) -> Value:
    """Read a query.

    Raises:
        NotCounts: it is no PromQL, or does what counts cannot follow.

    """
    expression = parsed(query)
    try:
        return _value(expression)
    except NotCounts:
        raise
    except ValueError as error:
        raise NotCounts(f"it is no PromQL that can be read: {error}") from error


@lru_cache(maxsize=64)
def parsed(query: str) -> promql.Expr:
    """Parse a query, within bounds.

    Raises:
        NotPromql: it is no PromQL.
        NotCounts: it is too long or too deep to be read safely, or newer than the parser.

    """
    check(query)
    try:
        return promql.parse(query)
    except ValueError as error:
        kind = NotCounts if str(error).startswith(_UNSURE) else NotPromql
        raise kind(f"it is no PromQL that can be read: {error}") from error


def exact(number: float) -> Fraction:
    """Return the decimal that a number is written as.

    Raises:
        NotCounts: it is infinite or none.

    """
    if not math.isfinite(number):
        raise NotCounts(f"it calculates with {number}")
    return Fraction(str(number))


def _value(expression: promql.Expr) -> Value:
    if type(expression) not in _EXPRESSIONS:
        raise NotCounts("a subquery, range or string cannot be read as counts")
    return _EXPRESSIONS[type(expression)](expression)


# --- aggregations -----------------------------------------------------------------------------


def _aggregated(expression: promql.AggregateExpr) -> Value:
    operation, value = str(expression.op), _value(expression.expr)
    one = not isinstance(value, Combination) or value.labels == frozenset()
    if operation in _ONE_VALUE and one:
        return value
    if operation != "sum" or not isinstance(value, Combination):
        raise NotCounts(f"{operation}() of counters is no count; use sum()")
    return replace(value, labels=_left(value, expression.modifier))


def _left(value: Combination, modifier: promql.AggModifier | None) -> frozenset[str] | None:
    """Return the labels that keep values apart after a sum, without those that have one value."""
    if modifier is None:
        return frozenset()
    named = frozenset(modifier.labels)
    if modifier.type == promql.AggModifierType.Without:
        return None if value.labels is None else value.labels - named
    kept = named if value.labels is None else named & value.labels
    return frozenset(label for label in kept if not selectors.pinned(value, label))


# --- operators --------------------------------------------------------------------------------


def _operated(expression: promql.BinaryExpr) -> Value:
    operator = str(expression.op)
    left, right = _value(expression.lhs), _value(expression.rhs)
    if operator in _COMPARISONS:
        bare = expression.modifier is None or not expression.modifier.return_bool
        return _compared(left, right, operator if bare else f"{operator} bool")
    if operator not in _OPERATORS:
        raise NotCounts(f"the operator {operator} cannot be read as counts")
    return _OPERATORS[operator](left, right)


def _compared(left: Value, right: Value, operator: str) -> Value:
    if isinstance(left, Constant):
        left, right, operator = right, left, _MIRRORED.get(operator, operator)
    if operator in _WITH_ZERO and isinstance(right, Constant) and not right.value:
        return left
    raise NotCounts("it compares with something other than > 0, which leaves moments out")


def _subtracted(left: Value, right: Value) -> Value:
    return algebra.added(left, algebra.scaled(right, Fraction(-1)))


def _fallback(left: Value, right: Value) -> Value:
    """`or`: another value where there is none."""
    whole = isinstance(left, Share | Percentile)
    counted = isinstance(left, Combination) and right == Constant(value=Fraction(0))
    if counted or (whole and isinstance(right, Constant)):
        return left
    raise NotCounts("or must be followed by vector(0), for what has not been counted yet")


def _filtered(left: Value, right: Value) -> Value:
    """`and`: a value where another one exists."""
    known = isinstance(right, Combination) and set(right.terms) <= selectors.behind(left)
    if not known:
        raise NotCounts("and must be followed by a counter of the same ratio, compared with > 0")
    return left


_OPERATORS: Final[Mapping[str, Callable[[Value, Value], Value]]] = MappingProxyType(
    {
        "+": algebra.added,
        "-": _subtracted,
        "*": algebra.multiplied,
        "/": algebra.divided,
        "or": _fallback,
        "and": _filtered,
    }
)


# --- functions --------------------------------------------------------------------------------


def _called(expression: promql.Call) -> Value:
    name, arguments = expression.func.name, expression.args
    if name in selectors.RATES:
        return selectors.rated(name, arguments[0])
    if name not in _FUNCTIONS:
        raise NotCounts(f"{name}() cannot be read as counts")
    return _FUNCTIONS[name](*(_value(argument) for argument in arguments))


def _clamped(value: Value, low: Value | None, high: Value | None) -> Value:
    """A limit that the value of a share cannot pass, or zero below counters, changes nothing."""
    lowest, highest = _span(value)
    if low is not None and (lowest is None or _constant(low) > lowest):
        raise NotCounts("clamp cuts values that its counters can reach; leave it out")
    if high is not None and (highest is None or _constant(high) < highest):
        raise NotCounts("clamp cuts values that its counters can reach; leave it out")
    return value


def _span(value: Value) -> tuple[Fraction | None, Fraction | None]:
    match value:
        case Share():
            return formed(value).span()
        case Percentile():
            return (value.offset if value.scale > 0 else None), None
        case Combination() if min(value.terms.values(), default=Fraction(0)) >= 0:
            return Fraction(0), None
        case _:
            return None, None


def _constant(value: Value) -> Fraction:
    if isinstance(value, Constant):
        return value.value
    raise NotCounts("a limit or quantile of it is no number")


def _quantile(quantile: Value, buckets: Value) -> Value:
    share = _constant(quantile)
    if not 0 < share < 1:
        raise NotCounts("a quantile must lie between 0 and 1")
    if not isinstance(buckets, Combination) or buckets.labels != frozenset({LE}):
        raise NotCounts("histogram_quantile() needs sum by (le) (rate(..._bucket[...]))")
    return Percentile(quantile=share, buckets=selectors.histogram(buckets))


_FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = MappingProxyType(
    {
        "vector": lambda value: value,
        "scalar": algebra.single,
        "clamp": _clamped,
        "clamp_min": lambda value, low: _clamped(value, low, None),
        "clamp_max": lambda value, high: _clamped(value, None, high),
        "histogram_quantile": _quantile,
    }
)

_EXPRESSIONS: Final[Mapping[type[promql.Expr], Callable[..., Value]]] = MappingProxyType(
    {
        promql.ParenExpr: lambda expression: _value(expression.expr),
        promql.NumberLiteral: lambda expression: Constant(value=exact(expression.val)),
        promql.UnaryExpr: lambda expression: algebra.scaled(_value(expression.expr), Fraction(-1)),
        promql.VectorSelector: selectors.raw,
        promql.AggregateExpr: _aggregated,
        promql.BinaryExpr: _operated,
        promql.Call: _called,
    }
)
