"""Has a query look back less far, where that changes nothing about what its value means.

A rate is per second whatever its window. An increase is not, unless it is divided by another over
the same window: that the value is the same share of the same counters is read from both texts.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from canary.counting.algebra import Percentile, Share, Value
from canary.counting.errors import NotCounts
from canary.counting.expressions import read
from canary.counting.narrowing import TOKEN
from canary.counting.reads import NORMED, Read, reads_of
from canary.counting.selectors import RATES
from canary.durations import format_duration

_NONE: Final = timedelta(0)


def can_be_shortened(one: Read) -> bool:
    """Tell whether the window of a selector is one that may be shorter."""
    return one.function in RATES and one.behind == _NONE and not one.recorded


def shortened(query: str, longest: timedelta) -> str:
    """Return a query none of whose rates looks back further than some time.

    Args:
        query: PromQL, rendered.
        longest: in whole seconds; windows that are shorter stay as they are.

    Raises:
        NotCounts: it cannot be read, or its value would mean something else.

    """
    reads = reads_of(query)
    meant = [_shorter(one, longest) for one in reads]
    text = _written(query, reads, meant)
    if list(reads_of(text)) != meant:
        raise NotCounts("its windows cannot be told apart in its text")
    if any(one.function not in NORMED for one, new in zip(reads, meant, strict=True) if one != new):
        _check_same(read(query), read(text))
    return text


def _shorter(one: Read, longest: timedelta) -> Read:
    if one.window is None or one.window <= longest or not can_be_shortened(one):
        return one
    return replace(one, window=longest)


def _written(query: str, reads: tuple[Read, ...], meant: list[Read]) -> str:
    windows = [
        (before, after)
        for before, after in zip(reads, meant, strict=True)
        if before.window is not None
    ]
    ranges = _ranges(query)
    if len(ranges) != len(windows):
        raise NotCounts("its windows cannot be told apart in its text")
    parts, at = [], 0
    for (start, end), (before, after) in zip(ranges, windows, strict=True):
        if before != after and after.window is not None:
            parts += [query[at:start], f"[{format_duration(after.window)}]"]
            at = end
    return "".join([*parts, query[at:]])


def _ranges(query: str) -> list[tuple[int, int]]:
    """Return where `[...]` stands, without those of subqueries."""
    found, start = [], 0
    for token in TOKEN.finditer(query):
        if token.group() == "[":
            start = token.start()
        elif token.group() == "]" and ":" not in query[start : token.start()]:
            found.append((start, token.end()))
    return found


def _check_same(before: Value, after: Value) -> None:
    """Raise unless both are the same share, or the same quantile."""
    match before, after:
        case Percentile(), Percentile() if before == after:
            return
        case Share(), Share() if _is_same(before, after):
            return
        case _:
            raise NotCounts("an increase by itself depends on its window")


def _is_same(before: Share, after: Share) -> bool:
    """Tell whether one is the other with both of its sides times one number."""
    if before.whole.keys() != after.whole.keys() or before.part.keys() != after.part.keys():
        return False
    factors = {
        new[one] / old[one]
        for old, new in ((before.whole, after.whole), (before.part, after.part))
        for one in old
    }
    return len(factors) == 1
