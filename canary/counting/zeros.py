"""No errors is not no data: a sum over series that are made with their first event.

Client libraries make a series with its first event, so that `sum(rate(errors)) / sum(rate(all))`
is empty while there was no error, and says the same as without any traffic. Such a sum counts as 0
only where its condition is known to mean something:

| with the condition on errors left out | the sum is |
| --- | --- |
| requests are counted, by series that carry its labels | 0 |
| requests are counted, but no series carries such a label | empty: the label may be misspelt |
| no request is counted | empty: there is no traffic |
| there is no such condition: errors are a metric of their own | empty: the metric may be misspelt |
| what it asks for is there, but was seen once only | empty: a rate takes two samples |

The condition on errors is what a selector asks for beyond another one of the same metric, as the
numerator of a ratio does; where there is none, what it asks for by labels that no scrape
configuration adds and that name no version.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import promql_parser as promql

from canary.counting.errors import NotCounts
from canary.counting.expressions import parsed
from canary.counting.rewriting import as_text, conditions_of, rewritten
from canary.counting.selectors import RATES
from canary.counting.series import LE, NAME, POD_LABELS, TARGET_LABELS, Matcher

_NEVER = TARGET_LABELS | {LE, NAME, *POD_LABELS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unborn:
    """A sum that may be empty because nothing of it was counted yet.

    `asked` is the sum, `requests` the same without the condition on errors, `labels` are that
    condition's and `condition` is how it is written; empty where there is none. `seen` is what is
    there of it at all, "" where that is what is asked.
    """

    metric: str
    asked: str
    requests: str
    labels: tuple[str, ...]
    condition: str
    seen: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A query in which such sums are 0 where that is known; `sums` are all that it has."""

    query: str
    sums: tuple[Unborn, ...]


def completed(query: str, names: Collection[str] = ()) -> Completed | None:
    """Return a query with its empty sums counted as 0 where that is what they are.

    Args:
        query: PromQL, rendered.
        names: of the versions: a condition that contains one is none on errors.

    Returns:
        None where it has no such sum, or cannot be read.

    """
    try:
        expression = parsed(query)
        found = [(one, _unborn(one, expression, names)) for one in _sums_of(expression)]
        sums = {
            unborn.asked: unborn
            for one, unborn in found
            # What is split by the very label has no other value to be 0 instead.
            if _groups(one).isdisjoint(unborn.labels)
        }
        return Completed(query=_filled(expression, sums), sums=tuple(sums.values()))
    except NotCounts:
        return None


def _filled(expression: promql.Expr, sums: dict[str, Unborn]) -> str:
    def fill(found: promql.Expr) -> promql.Expr | None:
        one = sums.get(as_text(found)) if isinstance(found, promql.AggregateExpr) else None
        if one is None or not one.labels:
            return None
        carried = rewritten(
            parsed(one.requests),
            lambda before: (*before, *(Matcher(label=it, op="!=", value="") for it in one.labels)),
        )
        zero = f"0 * ({as_text(carried)} > 0)"
        zero = f"({zero} unless on () {one.seen})" if one.seen else zero
        return promql.parse(f"({one.asked} or {zero})")

    return as_text(promql.transform(expression, post_visit=fill))


def _sums_of(expression: promql.Expr) -> Iterator[promql.AggregateExpr]:
    """Return the sums of the series of one selector that are not split by pods."""
    found: list[promql.AggregateExpr] = []

    def look(one: promql.Expr) -> None:
        if isinstance(one, promql.AggregateExpr) and _is_plain(one):
            found.append(one)

    promql.walk(expression, pre_visit=look)
    yield from found


def _is_plain(one: promql.AggregateExpr) -> bool:
    split = one.modifier is not None and one.modifier.type == promql.AggModifierType.Without
    split = split or not _groups(one).isdisjoint(POD_LABELS)
    return str(one.op) == "sum" and not split and _selector_of(one.expr) is not None


def _groups(one: promql.AggregateExpr) -> frozenset[str]:
    """Return the labels that a sum keeps: `by (app)` leaves one value of one version."""
    return frozenset() if one.modifier is None else frozenset(one.modifier.labels)


def _selector_of(expression: promql.Expr) -> promql.VectorSelector | None:
    match expression:
        case promql.ParenExpr():
            return _selector_of(expression.expr)
        case promql.VectorSelector() if expression.name:
            return expression
        case promql.Call() if expression.func.name in RATES:
            return _selector_of(expression.args[0])
        case promql.MatrixSelector() if expression.vector_selector.name:
            return expression.vector_selector
        case _:
            return None


def _unborn(one: promql.AggregateExpr, whole: promql.Expr, names: Collection[str]) -> Unborn:
    vector = _selector_of(one.expr)
    if vector is None:
        raise NotCounts("a sum of more than one selector")
    mine = conditions_of(vector)
    others = [
        frozenset(conditions_of(other))
        for other in (_selector_of(it.expr) for it in _sums_of(whole))
        if other is not None and other.name == vector.name
    ]
    condition = _condition(mine, others, names)
    left = rewritten(one, lambda before: (it for it in before if it not in condition))
    return Unborn(
        metric=str(vector.name),
        asked=as_text(one),
        requests=as_text(left),
        labels=tuple(dict.fromkeys(it.label for it in condition)),
        condition=",".join(map(str, condition)),
        seen=f"count({as_text(vector)})" if _is_windowed(one.expr) else "",
    )


def _is_windowed(expression: promql.Expr) -> bool:
    match expression:
        case promql.ParenExpr():
            return _is_windowed(expression.expr)
        case promql.Call():
            return True
        case _:
            return False


def _condition(
    mine: tuple[Matcher, ...], others: Iterable[frozenset[Matcher]], names: Collection[str]
) -> tuple[Matcher, ...]:
    """Return what a selector asks for beyond the requests that it is a part of."""
    own = frozenset(mine)
    wholes = [other for other in others if other < own]
    if wholes:
        whole = max(wholes, key=len)
        return tuple(it for it in mine if it not in whole)
    if any(own < other for other in others):
        return ()  # What others are parts of.
    return tuple(it for it in mine if it.label not in _NEVER and not _mentions(it.value, names))


def _mentions(value: str, names: Collection[str]) -> bool:
    plain = value.replace("\\", "")
    return any(
        re.search(rf"(?<![0-9A-Za-z]){re.escape(name)}(?![0-9A-Za-z])", plain) for name in names
    )
