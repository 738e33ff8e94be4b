"""Many queries in one, each of which comes to what it comes to alone.

A query that is one number can stand beside others: each is given a label of its own, by which its
number is found in the answer. Nothing of it is changed, so that a metrics server computes what it
would compute if it were asked alone, at one time for all.

```text
  (label_replace((sum(rate(a[1m]))), "headgate_part", "0", "", "")
   or label_replace((sum(rate(b[1m]))), "headgate_part", "1", "", ""))
```

What may stand beside others costs little and cannot reach into them: see `joinable`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final, TypeVar

import promql_parser as promql

from canary.counting.errors import NotCounts
from canary.counting.expressions import parsed
from canary.counting.reads import Read, reads_of
from canary.counting.series import LE, NAME

_T = TypeVar("_T")

PART: Final = "headgate_part"
"""The label that says which query a number is of."""
MOST_CHARACTERS: Final = 196_608
"""Of what is asked at once."""
MOST_PARTS: Final = 256
"""Queries that are asked at once: their answer has some 110 bytes of each, 28 kB in all."""
LONGEST_WINDOW: Final = timedelta(minutes=15)
"""What looks further back takes longer than others' are to wait for."""
_MOST_READS: Final = 8

_CLOSED: Final = re.compile(
    r"""(?: [^"'`\\\#]++ | "(?:[^"\\\n]|\\[\\"n])*+" | '(?:[^'\\\n]|\\[\\'n])*+' )*+""", re.VERBOSE
)
"""A text without a comment, and whose strings end where any PromQL parser has them end."""
_STRING: Final = re.compile(r""""(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'""")
_FIRST_MATCH: Final = frozenset({"=", "=~"})
_AGGREGATIONS: Final = frozenset({"sum", "avg", "min", "max", "count", "stddev", "stdvar", "group"})
_OVER_NUMBERS: Final = frozenset(
    {"abs", "ceil", "floor", "round", "sqrt", "exp", "ln", "log2", "log10", "sgn", "scalar"}
    | {"clamp", "clamp_min", "clamp_max", "vector"}
)
"""Functions whose result has no more labels than what they are given."""
_OVER_RANGES: Final = frozenset({"rate", "irate", "increase", "delta", "idelta"}) | {
    f"{name}_over_time" for name in ("sum", "avg", "min", "max", "count", "last")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Joinable:
    """A query that may stand beside others.

    `text` is as it is written, as a vector. `families` are the names of the metrics that it reads,
    sorted: those that read the same are asked together, so that a metric whose series are many
    costs only those who read it.
    """

    text: str
    families: tuple[str, ...]

    @property
    def size(self) -> int:
        """Characters that it takes among others, at most."""
        return len(self.text) + _LONGEST_AROUND


def joinable(query: str) -> Joinable | None:
    """Return a query as one that may stand beside others; None where it is to be asked alone.

    It may where it is a single number by its form, reads a few metrics by name and by another
    condition that is no exclusion, looks back a few minutes, and where its text, put in
    parentheses, ends where these end, whoever parses it: what one team has written is read as no
    part of another's.

    Args:
        query: PromQL, rendered.

    """
    if not _is_closed(query):
        return None
    try:
        expression = parsed(query)
        reads = reads_of(query)
    except NotCounts:
        return None
    if not 0 < len(reads) <= _MOST_READS or not all(map(_is_cheap, reads)):
        return None
    if not _is_number(expression):
        return None
    names = {one.value for read in reads for one in read.matchers if one.label == NAME}
    text = f"vector({query})" if _is_scalar(expression) else f"({query})"
    return Joinable(text=text, families=tuple(sorted(names)))


def joined(texts: Sequence[str]) -> str:
    """Return one query of several, each a vector; the part of each is its position.

    It nests no deeper than the logarithm of their number.
    """
    return _united([_labelled(text, at) for at, text in enumerate(texts)])


def part_of(labels: Mapping[str, str]) -> int | None:
    """Return the position of the query that a number of the answer is of; None where it says none.

    Args:
        labels: of one series of the answer.

    """
    text = labels.get(PART, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= len("999") else None


def portions(
    items: Sequence[_T], weight: Callable[[_T], int], *, characters: int, most: int
) -> Iterator[Sequence[_T]]:
    """Part what is to be asked into as much as is asked at once, in order.

    Args:
        items: what is to be asked.
        weight: the characters that one takes.
        characters: of all together; one that takes more is alone.
        most: items of a portion.

    """
    begin, left = 0, characters
    for at, item in enumerate(items):
        if at > begin and (weight(item) > left or at - begin >= most):
            yield items[begin:at]
            begin, left = at, characters
        left -= weight(item)
    if items:
        yield items[begin:]


def _labelled(text: str, at: int) -> str:
    return f'label_replace({text},"{PART}","{at}","","")'


_LONGEST_AROUND: Final = len(_labelled("", 999)) + len("( or )")
"""What is written around one, and between it and the one before it."""


def _united(parts: Sequence[str]) -> str:
    if len(parts) <= 1:
        return "".join(parts)
    middle = len(parts) // 2
    return f"({_united(parts[:middle])} or {_united(parts[middle:])})"


# --- what may stand beside others -------------------------------------------------------------


def _is_closed(query: str) -> bool:
    """Tell whether a text in parentheses ends where they end."""
    if not _CLOSED.fullmatch(query):
        return False
    depth = 0
    for character in _STRING.sub("", query):
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            return False
    return depth == 0


def _is_cheap(read: Read) -> bool:
    named = any(one.label == NAME and one.op == "=" and one.value for one in read.matchers)
    by_name = sum(one.label == NAME for one in read.matchers) == 1
    narrowed = any(
        one.label != NAME and one.op in _FIRST_MATCH and one.value for one in read.matchers
    )
    back = read.behind
    near = back is not None and back + (read.window or timedelta(0)) <= LONGEST_WINDOW
    return named and by_name and narrowed and near


def _is_scalar(expression: promql.Expr) -> bool:
    match expression:
        case promql.NumberLiteral():
            return True
        case promql.ParenExpr() | promql.UnaryExpr():
            return _is_scalar(expression.expr)
        case promql.BinaryExpr():
            return _is_scalar(expression.lhs) and _is_scalar(expression.rhs)
        case promql.Call():
            return bool(expression.func.return_type == promql.ValueType.Scalar)
        case _:
            return False


def _is_number(expression: promql.Expr) -> bool:
    """Tell whether an expression is a number by its form: one without labels, or none."""
    kind = type(expression)
    return kind in _NUMBERS and _NUMBERS[kind](expression)


def _is_sum(expression: promql.AggregateExpr, labels: frozenset[str] = frozenset()) -> bool:
    modifier = expression.modifier
    by = frozenset(modifier.labels) if modifier is not None else frozenset()
    without = modifier is not None and modifier.type == promql.AggModifierType.Without
    return (
        str(expression.op) in _AGGREGATIONS
        and not without
        and by == labels
        and _is_plain(expression.expr)
    )


def _is_plain(expression: promql.Expr) -> bool:
    """Tell whether an expression is of series as they are, or of their changes; not of subqueries.

    What is computed of the series of one selector beside another's is left out: how many pairs
    there are, and whether they are pairs at all, shows when it is asked only.
    """
    match expression:
        case promql.ParenExpr():
            return _is_plain(expression.expr)
        case promql.VectorSelector():
            return True
        case promql.Call():
            ranges = [one for one in expression.args if isinstance(one, promql.MatrixSelector)]
            return expression.func.name in _OVER_RANGES and len(ranges) == len(expression.args)
        case _:
            return False


def _is_operated(expression: promql.BinaryExpr) -> bool:
    modifier = expression.modifier
    if modifier is not None and modifier.card not in _ONE_TO_ONE:
        return False
    return _is_number(expression.lhs) and _is_number(expression.rhs)


def _is_called(expression: promql.Call) -> bool:
    name, arguments = expression.func.name, expression.args
    if name == "histogram_quantile":
        share, buckets = arguments
        by_bucket = _bare(buckets)
        return (
            _is_scalar(share)
            and _is_number(share)
            and isinstance(by_bucket, promql.AggregateExpr)
            and _is_sum(by_bucket, frozenset({LE}))
        )
    return name in _OVER_NUMBERS and all(map(_is_number, arguments))


def _bare(expression: promql.Expr) -> promql.Expr:
    while isinstance(expression, promql.ParenExpr):
        expression = expression.expr
    return expression


_ONE_TO_ONE: Final = (
    promql.VectorMatchCardinality.OneToOne,
    promql.VectorMatchCardinality.ManyToMany,  # and, or, unless
)
_NUMBERS: Final[Mapping[type[promql.Expr], Callable[..., bool]]] = MappingProxyType(
    {
        promql.NumberLiteral: lambda _: True,
        promql.ParenExpr: lambda expression: _is_number(expression.expr),
        promql.UnaryExpr: lambda expression: _is_number(expression.expr),
        promql.AggregateExpr: _is_sum,
        promql.BinaryExpr: _is_operated,
        promql.Call: _is_called,
    }
)
