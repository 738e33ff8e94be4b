"""Turns a query that has one value into one that has a value for every pod.

Numbers that are no counts are compared by rank among pods: the query's own aggregations are kept
apart by the label that names the pod.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

import promql_parser as promql

from canary.counting.errors import NotCounts
from canary.counting.expressions import parsed
from canary.counting.series import POD_LABELS

_AGGREGATIONS: Final = frozenset({"sum", "avg", "min", "max", "count", "stddev", "quantile"})
_WITHOUT_LABELS: Final = frozenset({"scalar", "absent", "absent_over_time", "time"})
_Printed = Callable[[Any, str], str]
"""Writes one kind of expression with a pod's label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PerPod:
    """A query with a value for every pod: the label that names the pod, and its longest window.

    `selectors` are what it reads, as queries of their own.
    """

    query: str
    label: str
    window: timedelta
    selectors: tuple[str, ...]


def per_pod(query: str) -> PerPod:
    """Return the query with a value for every pod.

    Args:
        query: PromQL, rendered.

    Raises:
        NotCounts: its values cannot be kept apart by pod.

    """
    expression = parsed(query)
    selectors = list(selectors_of(expression))
    if not selectors:
        raise NotCounts("it selects no series")
    matched = {one.name for vector, _ in selectors for one in vector.matchers.matchers}
    label = next((name for name in POD_LABELS if name in matched), POD_LABELS[0])
    return PerPod(
        query=_printed(expression, label),
        label=label,
        window=max(window for _, window in selectors),
        selectors=tuple(dict.fromkeys(_as_it_is(vector, label) for vector, _ in selectors)),
    )


def selectors_of(expression: promql.Expr) -> Iterator[tuple[promql.VectorSelector, timedelta]]:
    """Return what a query reads, each with the time that it looks back.

    Raises:
        NotCounts: a part looks back over values of its own.

    """
    match expression:
        case promql.VectorSelector():
            yield expression, timedelta(0)
        case promql.MatrixSelector():
            yield expression.vector_selector, expression.range
        case promql.BinaryExpr():
            yield from selectors_of(expression.lhs)
            yield from selectors_of(expression.rhs)
        case promql.Call():
            for argument in expression.args:
                yield from selectors_of(argument)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr():
            yield from selectors_of(expression.expr)
        case promql.SubqueryExpr():
            raise NotCounts("a subquery cannot be kept apart by pod")
        case _:
            return


def _printed(expression: promql.Expr, label: str) -> str:
    if type(expression) not in _PRINTED:
        raise NotCounts("it has a part that cannot be kept apart by pod")
    return _PRINTED[type(expression)](expression, label)


def _as_it_is(expression: promql.Expr, _label: str) -> str:
    return " ".join(expression.prettify().split())


def _aggregated(expression: promql.AggregateExpr, label: str) -> str:
    operation, modifier = str(expression.op), expression.modifier
    if operation not in _AGGREGATIONS:
        raise NotCounts(f"{operation}() cannot be kept apart by pod")
    if modifier is not None and modifier.type == promql.AggModifierType.Without:
        raise NotCounts("a sum without labels cannot be kept apart by pod; name those that stay")
    named = [] if modifier is None else [one for one in modifier.labels if one != label]
    inner = _printed(expression.expr, label)
    if expression.param is not None:
        inner = f"{_printed(expression.param, label)}, {inner}"
    return f"{operation} by ({', '.join([*named, label])}) ({inner})"


def _operated(expression: promql.BinaryExpr, label: str) -> str:
    modifier = expression.modifier
    if modifier is not None and modifier.matching is not None:
        raise NotCounts("what is matched by on() or ignoring() cannot be kept apart by pod")
    bare = modifier is None or not modifier.return_bool
    operator = f"{expression.op}" if bare else f"{expression.op} bool"
    return f"({_printed(expression.lhs, label)}) {operator} ({_printed(expression.rhs, label)})"


def _called(expression: promql.Call, label: str) -> str:
    name = expression.func.name
    if name in _WITHOUT_LABELS:
        raise NotCounts(f"{name}() cannot be kept apart by pod")
    return f"{name}({', '.join(_printed(argument, label) for argument in expression.args)})"


_PRINTED: Final[Mapping[type[promql.Expr], _Printed]] = MappingProxyType(
    {
        promql.NumberLiteral: _as_it_is,
        promql.StringLiteral: _as_it_is,
        promql.VectorSelector: _as_it_is,
        promql.MatrixSelector: _as_it_is,
        promql.ParenExpr: lambda one, label: f"({_printed(one.expr, label)})",
        promql.UnaryExpr: lambda one, label: f"-({_printed(one.expr, label)})",
        promql.AggregateExpr: _aggregated,
        promql.BinaryExpr: _operated,
        promql.Call: _called,
    }
)
