"""A metric's queries as they are asked in one run: they read nothing of a canary of before.

All candidates' pods have names of one pattern, and a gateway counts them under one name, so that a
window may hold what an earlier candidate has answered. While that is so, and only then, a query is
asked in another way than it is written: first by the names of the run's own pods, else with shorter
windows where that changes nothing but their length; else the check waits.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from canary.counting.errors import NotCounts
from canary.counting.narrowing import RunPods, Scope, narrowed, scope
from canary.counting.reads import LOOKBACK, Read, reads_of
from canary.counting.shortening import can_be_shortened, shortened
from canary.queries.builtin import SourceQuery
from canary.queries.metric import Query
from canary.queries.points import window_of as looked_back

NEVER: Final = datetime.max.replace(tzinfo=UTC)
"""Until when a query is waited for that reads a fixed time of before."""
_SCRAPES: Final = 2
"""How many samples a rate takes at least."""
_LONGEST: Final = timedelta(days=365_000)
"""Longer than anything is there to look back at."""
_DURATION: Final = re.compile(r"(?<![0-9])([0-9]++)(ms|[smhdwy])")
"""A part of one, found in time linear in the text: what cannot be read is up to 64 KiB long."""
_MINUTE: Final = 60.0
_DAY: Final = 1440 * _MINUTE
_SECONDS: Final = {
    "ms": 0.001,
    "s": 1.0,
    "m": _MINUTE,
    "h": 60 * _MINUTE,
    "d": _DAY,
    "w": 7 * _DAY,
    "y": 365 * _DAY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What lies before a run, and what is its own.

    `former_until` is when an earlier canary's pods were there last, None where that was never or is
    not known; `traffic_since` is when this run's had their first. `scrape` is the metrics server's
    interval, `recorded` how far back a recorded series looks.
    """

    former_until: datetime | None
    traffic_since: datetime | None
    pods: RunPods
    scrape: timedelta
    recorded: timedelta


def with_texts(query: Query, texts: tuple[SourceQuery, ...]) -> Query:
    """Return a metric with other texts."""
    return replace(query, texts=texts)


def unread_texts(query: Query, past: Past, now: datetime) -> tuple[SourceQuery, ...]:
    """Return the texts of a metric that is no PromQL: they wait for all that they may reach.

    That is what they say of time, and the window in which they are asked.
    """
    if past.former_until is None:
        return query.texts
    reach = looked_back(query.metric.interval)
    return tuple(_late(text, past, now, reach) for text in query.texts)


def own_texts(texts: tuple[SourceQuery, ...], past: Past, now: datetime) -> tuple[SourceQuery, ...]:
    """Return a metric's texts as they are to be asked now; those of a first run as they are."""
    if past.former_until is None:
        return texts
    return tuple(_asked(text, past, now) for text in texts)


def late_texts(
    texts: tuple[SourceQuery, ...], past: Past, now: datetime
) -> tuple[SourceQuery, ...]:
    """Return a metric's texts where they cannot be read: they wait for all that they may reach."""
    return tuple(_late(text, past, now, LOOKBACK + past.recorded) for text in texts)


def _asked(text: SourceQuery, past: Past, now: datetime) -> SourceQuery:
    """Return one query as it is to be asked, or until when it has to wait."""
    try:
        reads = reads_of(text.query)
    except NotCounts:
        return late_texts((text,), past, now)[0]
    if not any(_touches(one, past, now) for one in reads):
        return _from_first_traffic(text, reads, past, now)
    written = _by_name(text.query, past.pods)
    named = text.query if written is None else written
    mixed = [
        one
        for one in reads
        if _touches(one, past, now) and _finds_former(one, past, named=written is not None)
    ]
    if not mixed:
        return replace(text, query=named)
    return _looking_back_less(replace(text, query=named), mixed, past, now)


def _from_first_traffic(
    text: SourceQuery, reads: Sequence[Read], past: Past, now: datetime
) -> SourceQuery:
    """Shorten rates to what lies after the first traffic, however long ago the canary before was.

    A rate is extrapolated to the beginning of its window, but not below 0. A bucket of a histogram
    in which that canary had all its requests is so, one in which it had none is not: of good
    requests that come late in a window a tenth seems to be as slow as those of before.
    """
    began = past.traffic_since
    if began is None or not any(
        can_be_shortened(one)
        and _looks_before(one, began, past, now)
        and _finds_former(one, past, named=True)
        for one in reads
    ):
        return text
    return _shorter(text, began, past, now) or text


def _touches(one: Read, past: Past, now: datetime) -> bool:
    """Tell whether a selector looks back at a time when an earlier canary was there."""
    former = past.former_until
    return former is not None and _looks_before(one, former, past, now)


def _looks_before(one: Read, moment: datetime, past: Past, now: datetime) -> bool:
    reach = one.reach(past.recorded)
    return reach is None or now - moment < reach


def _finds_former(one: Read, past: Past, *, named: bool) -> bool:
    """Tell whether a selector may find samples of an earlier canary once pods are named."""
    whose = scope(one, past.pods)
    return whose is Scope.OPEN or (whose is Scope.OWN and not named)


@lru_cache(maxsize=256)
def _by_name(query: str, pods: RunPods) -> str | None:
    try:
        return narrowed(query, pods)
    except NotCounts:
        return None


def _looking_back_less(
    text: SourceQuery, mixed: list[Read], past: Past, now: datetime
) -> SourceQuery:
    """Shorten rates to what lies after the first traffic; wait for whatever is no rate."""
    former = past.former_until or now
    began = max(former, past.traffic_since or former)
    shorter = None
    if all(can_be_shortened(one) for one in mixed):
        shorter = _shorter(text, began, past, now)
    if shorter is not None:
        return shorter
    reaches = [one.reach(past.recorded) for one in mixed]
    known = [reach for reach in reaches if reach is not None]
    until = _after(former, max(known)) if len(known) == len(reaches) else NEVER
    return replace(text, waits_until=until)


def _shorter(text: SourceQuery, began: datetime, past: Past, now: datetime) -> SourceQuery | None:
    """Return a query whose rates look back on what has come since; it waits for two scrapes of it.

    None where its rates cannot be shortened.
    """
    least = _SCRAPES * past.scrape
    window = max(least, timedelta(seconds=math.floor((now - began).total_seconds())))
    query = _shortened(text.query, window)
    if query is None:
        return None
    if now - window < began:
        return replace(text, waits_until=began + least)
    return replace(text, query=query)


def _shortened(query: str, window: timedelta) -> str | None:
    try:
        return shortened(query, window)
    except NotCounts:
        return None


def _late(text: SourceQuery, past: Past, now: datetime, beside: timedelta) -> SourceQuery:
    """Return a query that waits for what its text says of time, and what is looked at beside."""
    until = _after(past.former_until or now, _reach_of_text(text.query) + beside)
    return replace(text, waits_until=until) if now < until else text


def _after(former: datetime, reach: timedelta) -> datetime:
    """Return when what reaches so far back finds nothing of before any more."""
    return former + reach if reach < NEVER - former else NEVER


def _reach_of_text(query: str) -> timedelta:
    """Return how far a query that cannot be read looks back at most: all durations in it."""
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(query))
    longest = _LONGEST.total_seconds()
    return timedelta(seconds=min(seconds, longest))


def window_of(query: str) -> float:
    """Return the longest window of a query in seconds; infinite where it reads counters as such.

    Raises:
        NotCounts: it cannot be read.

    """
    windows = [one.window for one in reads_of(query)]
    return max((math.inf if w is None else w.total_seconds() for w in windows), default=math.inf)
