"""What a rate does not see: where a counter stood when it was first seen.

Client libraries and proxies make a series with its first event. `rate` and `increase` count from a
series' first sample on, so that the first errors of a version are no errors at all until they have
been scraped twice, while its good answers, whose series is older, count already: a check that comes
in between finds 100 % of success. Where a target was read before without a series, that series
began at 0, and what it stands at has been counted since.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from canary.counting.derive import Derived, NotCounts, derive
from canary.counting.reads import reads_of
from canary.counting.series import POD_LABELS
from canary.evidence.counters import gained, is_count
from canary.measuring.history import Past
from canary.measuring.parts import Parts, parts_of, value_of

_TARGET = ("job", "instance", *sorted(POD_LABELS))
"""Labels that say which page a series was read from; those of a pod where a gateway names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """The samples that a query's value is computed from.

    `queries` give each of them, all samples of the window, as an instant query whose result is a
    range of values.
    """

    side: Derived
    queries: tuple[str, ...]


def sampled(query: str) -> Sampled | None:
    """Return how to get what a query is computed from; None where its value is no share of counts.

    Args:
        query: PromQL, rendered.

    """
    try:
        side = derive(query, minimum=None, maximum=None)
        windows = {one.window for one in reads_of(query)}
    except NotCounts:
        return None
    if len(windows) != 1 or (window := windows.pop()) is None:
        return None  # Without a window counters are read as they stand, from 0.
    written = f"[{window // timedelta(milliseconds=1)}ms]"
    every = side.selectors
    asked = [
        one
        for index, one in enumerate(every)
        if not any(
            other.covers(one) and not (one.covers(other) and index < at)
            for at, other in enumerate(every)
            if at != index
        )
    ]
    return Sampled(side=side, queries=tuple(f"{one}{written}" for one in asked))


def counted_from_0(side: Derived, series: Iterable[Past]) -> float | None:
    """Return what a metric comes to where a series that began meanwhile is counted from 0.

    Args:
        side: the metric.
        series: its samples in one window, in the order of time.

    Returns:
        None where no series began meanwhile, so that the query's own value says the same.

    """
    known = {tuple(sorted(labels.items())): (labels, points) for labels, points in series}
    parts = {key: found for key, (labels, _) in known.items() if (found := parts_of(side, labels))}
    began = _first_reads(known[key] for key in parts)
    sums: Parts = {}
    is_born = False
    for key, found in parts.items():
        labels, points = known[key]
        values = [value for _, value in points if is_count(value)]
        if not values:
            continue
        born = points[0][0] > began[_target(labels)]
        is_born |= born
        for part, times in found.items():
            sums[part] = sums.get(part, 0.0) + times * _increase(values, born=born)
    return value_of(side, sums) if is_born else None


def _first_reads(series: Iterable[Past]) -> dict[tuple[str, ...], float]:
    """Return when each target was read first, in seconds since the epoch."""
    found: dict[tuple[str, ...], float] = {}
    for labels, points in series:
        if points:
            target, time = _target(labels), points[0][0]
            found[target] = min(time, found.get(target, time))
    return found


def _target(labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels.get(one, "") for one in _TARGET)


def _increase(values: list[float], *, born: bool) -> float:
    """Return what a counter counted over its values."""
    began = 0.0 if born else values[0]
    return sum(gained(before, after) for before, after in pairwise([began, *values]))
