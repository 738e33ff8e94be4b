"""What a query reads, and from when: its selectors, with the time that each looks back."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import promql_parser as promql

from canary.counting.errors import NotCounts
from canary.counting.expressions import parsed
from canary.counting.selectors import matcher_of
from canary.counting.series import NAME, Matcher

LOOKBACK: Final = timedelta(minutes=5)
"""How old a sample may be that a selector without a range finds: `--query.lookback-delta`."""
NORMED: Final = frozenset({"rate", "irate"})
"""Functions whose value is per second, whatever their window."""
_RECORDED: Final = ":"
"""In a metric's name it says that a rule has recorded it (Prometheus' naming conventions)."""
_NONE: Final = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One selector of a query.

    `window` is its range, None where it has none; `function` is what takes it, "" for none.
    `behind` is by how much offsets and subqueries around it reach further back, None where it reads
    a fixed time.
    """

    matchers: tuple[Matcher, ...]
    window: timedelta | None = None
    function: str = ""
    behind: timedelta | None = _NONE

    @property
    def recorded(self) -> bool:
        """Whether it reads what a rule has recorded, which looks back by itself."""
        return any(one.label == NAME and _RECORDED in one.value for one in self.matchers)

    def reach(self, recorded: timedelta) -> timedelta | None:
        """Return how far back its samples may be from; None where that is at a fixed time.

        Args:
            recorded: how far back a recorded series looks.

        """
        if self.behind is None:
            return None
        if self.recorded:
            return self.behind + (self.window or _NONE) + recorded
        return self.behind + (LOOKBACK if self.window is None else self.window)


def reads_of(query: str) -> tuple[Read, ...]:
    """Return what a query reads, in the order in which it is written.

    Raises:
        NotCounts: it is no PromQL, or a regular expression in it cannot be read.

    """
    return tuple(_reads(parsed(query), ""))


def _reads(expression: promql.Expr, function: str) -> Iterator[Read]:
    match expression:
        case promql.VectorSelector():
            yield _read(expression, None, function)
        case promql.MatrixSelector():
            yield _read(expression.vector_selector, expression.range, function)
        case promql.SubqueryExpr():
            further = _behind(expression, expression.range or _NONE)
            for one in _reads(expression.expr, ""):
                both = None if one.behind is None or further is None else one.behind + further
                yield replace(one, behind=both)
        case _:
            for part, taken_by in _parts(expression, function):
                yield from _reads(part, taken_by)


def _parts(expression: promql.Expr, function: str) -> Iterator[tuple[promql.Expr, str]]:
    """Return what an expression is made of, and the function that takes it."""
    match expression:
        case promql.Call():
            yield from ((argument, expression.func.name) for argument in expression.args)
        case promql.ParenExpr():
            yield expression.expr, function
        case promql.UnaryExpr():
            yield expression.expr, ""
        case promql.BinaryExpr():
            yield from ((expression.lhs, ""), (expression.rhs, ""))
        case promql.AggregateExpr():
            if expression.param is not None:
                yield expression.param, ""
            yield expression.expr, ""
        case _:
            return


def _read(vector: promql.VectorSelector, window: timedelta | None, function: str) -> Read:
    if vector.matchers.or_matchers:
        raise NotCounts("or inside of {} is not PromQL of Prometheus")
    matchers = [matcher_of(one) for one in vector.matchers.matchers]
    if vector.name is not None:
        matchers.append(Matcher(label=NAME, op="=", value=vector.name))
    return Read(
        matchers=tuple(matchers), window=window, function=function, behind=_behind(vector, _NONE)
    )


def _behind(
    expression: promql.VectorSelector | promql.SubqueryExpr, more: timedelta
) -> timedelta | None:
    """Return how much further back an offset takes it, and a subquery's own range."""
    at = "" if expression.at is None else str(expression.at)
    if at and "start" not in at and "end" not in at:
        return None
    # An offset below zero looks ahead, where there is nothing yet.
    return max(_NONE, (expression.offset or _NONE)) + more
