"""A query with other conditions on what it selects, and otherwise as it is."""

import re
from collections.abc import Callable, Iterable
from typing import Final

import promql_parser as promql

from canary.counting.errors import NotCounts
from canary.counting.selectors import matcher_of
from canary.counting.series import Matcher

Change = Callable[[tuple[Matcher, ...]], Iterable[Matcher]]
"""Returns the conditions of a selector anew; its metric's name is none of them."""

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def conditions_of(vector: promql.VectorSelector) -> tuple[Matcher, ...]:
    """Return the conditions of a selector, in the order in which they are written.

    Raises:
        NotCounts: one cannot be read.

    """
    if vector.matchers.or_matchers:
        raise NotCounts("or inside of {} is not PromQL of Prometheus")
    return tuple(matcher_of(one) for one in vector.matchers.matchers)


def rewritten(expression: promql.Expr, change: Change) -> promql.Expr:
    """Return an expression with the conditions of all its selectors changed, itself where none is.

    Raises:
        NotCounts: a condition cannot be read.

    """
    changed = False

    def renew(found: promql.Expr) -> promql.Expr | None:
        nonlocal changed
        after = _renewed(found, change) if isinstance(found, promql.VectorSelector) else None
        changed |= after is not None
        return after

    after = promql.transform(expression, post_visit=renew)
    return after if changed else expression


def _renewed(vector: promql.VectorSelector, change: Change) -> promql.Expr | None:
    before = conditions_of(vector)
    after = tuple(change(before))
    if after == before:
        return None
    name, written = vector.name or "", vector.prettify()
    if name and not _NAME.fullmatch(name):
        raise NotCounts(f"the metric {name} cannot be written without quotes")
    # What is behind the conditions is offset and @, which have no braces.
    rest = written.rpartition("}")[2] if before else written.removeprefix(name)
    return promql.parse(f"{name}{{{','.join(map(str, after))}}}{rest}")


def as_text(expression: promql.Expr) -> str:
    """Write an expression on one line."""
    return " ".join(expression.prettify().split())
