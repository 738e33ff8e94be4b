"""Selectors of one metric joined by the alternatives of their labels, and which series is whose.

Selectors of one shape differ in the values that they ask for only. One with all values as
alternatives picks what each of them does, and more: `a{ns=~"x|y",pod=~"p|q"}` picks the pods q of x
too. So what comes is given to each selector by its own conditions, and to no other.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Final, TypeVar

from canary.counting.errors import NotCounts
from canary.counting.patterns import PatternError, check, matched
from canary.counting.reads import reads_of
from canary.counting.series import LE, NAME, Matcher, SeriesSelector, alternatives, shape, weight_of

_Points = TypeVar("_Points")

MOST_JOINED: Final = 4096
"""Characters, and instructions of RE2, of all alternatives of one label."""
_SPECIAL: Final = frozenset(r"\.+*?()|[]{}^$")
_REPEATS: Final = frozenset("*?{+")
_EXPRESSIONS: Final = frozenset({"=~", "!~"})
_ASKING: Final = frozenset({"=", "=~"})


class UndecidedError(ValueError):
    """A label's value is too long to be tried: whose a series is cannot be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranged:
    """All samples of what a selector picks, over the time of a window."""

    selector: SeriesSelector
    window: timedelta

    @property
    def like(self) -> tuple[str, tuple[Matcher, ...], timedelta]:
        """What those have in common that can be joined."""
        return self.selector.name, shape(_asked(self.selector)), self.window

    @property
    def size(self) -> int:
        """What it adds to what it is joined with."""
        return weight_of(self.selector) + 1


def ranged(query: str) -> Ranged | None:
    """Read a query that is a selector with a window; None where it is to be asked alone.

    Args:
        query: PromQL, rendered.

    """
    try:
        reads = reads_of(query)
        read = reads[0]
        for one in read.matchers:
            if one.op in _EXPRESSIONS:
                check(one.value)
    except (NotCounts, PatternError, IndexError):
        return None
    named = [one for one in read.matchers if one.label == NAME]
    if len(reads) != 1 or len(named) != 1 or named[0].op != "=" or read.window is None:
        return None
    found = Ranged(selector=SeriesSelector(matchers=read.matchers), window=read.window)
    return found if written(found.selector, found.window) == query else None


def written(selector: SeriesSelector, window: timedelta) -> str:
    """Return the query that gives all samples of a window."""
    return f"{selector}[{window // timedelta(milliseconds=1)}ms]"


def joined(alike: Sequence[Ranged]) -> str:
    """Return the query of several that can be joined."""
    return written(alternatives([_asked(one.selector) for one in alike]), alike[0].window)


class Dealer:
    """Tells which of some selectors a series is picked by.

    A series is held against few of thousands: each selector is found by one of its conditions, the
    rarest of those that ask for a value, or for how it begins.

    Args:
        selectors: any number of them.
        exact: whether they pick as a metrics server does. Else as `SeriesSelector.accepts`: bounds
            of buckets are numbers, and what is too long to be tried is not picked.

    """

    def __init__(self, selectors: Sequence[SeriesSelector], *, exact: bool) -> None:
        self._selectors = selectors
        self._exact = exact
        handles = [list(self._handles(one)) for one in selectors]
        often = Counter(handle for one in handles for handle in one)
        self._found: dict[_Handle, list[int]] = {}
        self._always: list[int] = []
        for at, own in enumerate(handles):
            rarest = min(own, key=often.__getitem__, default=None)
            found = self._always if rarest is None else self._found.setdefault(rarest, [])
            found.append(at)
        self._lengths: dict[str, set[int | None]] = {}
        for label, length, _ in self._found:
            self._lengths.setdefault(label, set()).add(length)

    def whose(self, labels: Mapping[str, str]) -> Iterator[int]:
        """Yield the positions of the selectors that pick a series.

        Args:
            labels: of the series, with its name.

        Raises:
            UndecidedError: it cannot be told, where it is to be exact.

        """
        for at in self._candidates(labels):
            if all(self._picks(one, labels) for one in self._selectors[at].matchers):
                yield at

    def _candidates(self, labels: Mapping[str, str]) -> Iterator[int]:
        yield from self._always
        for label, lengths in self._lengths.items():
            value = labels.get(label)
            for length in lengths if value else ():
                begins = value if length is None else (value or "")[:length]
                yield from self._found.get((label, length, begins or ""), ())

    def _handles(self, selector: SeriesSelector) -> Iterator["_Handle"]:
        for one in selector.matchers:
            if one.op == "=" and one.value and (self._exact or one.label != LE):
                yield one.label, None, one.value
            elif one.op == "=~" and (begins := _beginning(one.value)):
                yield one.label, len(begins), begins

    def _picks(self, one: Matcher, labels: Mapping[str, str]) -> bool:
        value = labels.get(one.label, "")
        if one.op not in _EXPRESSIONS:
            if not self._exact:
                return one.accepts(value)
            return (value == one.value) is (one.op == "=")
        found = matched(one.value, value) if value.startswith(_beginning(one.value)) else False
        if found is None and self._exact:
            raise UndecidedError(f"the label {one.label} is too long")
        return found is (one.op == "=~")


_Handle = tuple[str, int | None, str]
"""A label, and a value of it, or how it begins and how long that is."""


def dealt(
    alike: Sequence[Ranged], series: Iterable[tuple[Mapping[str, str], _Points]]
) -> list[list[tuple[Mapping[str, str], _Points]]]:
    """Return of each of several, joined and asked together, what it would have come to alone.

    Args:
        alike: in the order in which they were joined.
        series: the answer to all of them: labels and points of each series.

    Raises:
        UndecidedError: it cannot be told.

    """
    dealer = Dealer([one.selector for one in alike], exact=True)
    found: list[list[tuple[Mapping[str, str], _Points]]] = [[] for _ in alike]
    for one in series:
        for at in dealer.whose(one[0]):
            found[at].append(one)
    return found


def _asked(selector: SeriesSelector) -> SeriesSelector:
    """Leave out what is excluded of a label that is asked for as well: that differs by target.

    `pod=~"web-.+",pod!~"web-canary-.+"` is asked without the exclusion, which is for the dealing.
    """
    wanted = {one.label for one in selector.matchers if one.op in _ASKING}
    kept = (one for one in selector.matchers if one.op in _ASKING or one.label not in wanted)
    return SeriesSelector(matchers=tuple(kept))


@lru_cache(maxsize=8192)
def _beginning(pattern: str) -> str:
    """Return what every value begins with that a pattern matches, as far as is plain."""
    found: list[str] = []
    at = 0
    while at < len(pattern):
        escaped = pattern[at] == "\\" and pattern[at + 1 : at + 2] in _SPECIAL
        if pattern[at] in _SPECIAL and not escaped:
            break
        at += escaped
        found.append(pattern[at])
        at += 1
    if pattern[at : at + 1] in _REPEATS:  # the one before may come not at all
        found = found[:-1]
    return "" if "|" in pattern else "".join(found)
