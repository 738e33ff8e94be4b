"""What a metrics server had in a past window, as if it had been asked scrape by scrape."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from analyzer.ports import HistorySource, ProviderError
from canary.counting.series import Series, SeriesSelector, merged
from canary.measuring.countable import Comparable, Countable
from canary.measuring.history import Past
from canary.measuring.settling import server_selectors
from canary.queries.provider import ProviderSpec
from kubectl_headgate.faults import Unreadable

_MILLISECONDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From when to when, both included and with their time zone, and the time between looks."""

    start: datetime
    end: datetime
    step: timedelta


@dataclass(frozen=True, slots=True)
class Answer:
    """What one server had of some metrics: its series at each time, in seconds since the epoch."""

    metrics: frozenset[str]
    scrapes: Mapping[float, Sequence[Series]]


@dataclass(frozen=True, slots=True)
class Samples:
    """What a server had of a metric that is a number of every pod, by the time of the sample.

    `read` is what the values were made of: it has the labels that an aggregation drops, and is
    there from a pod's first scrape.
    """

    scalar: Comparable
    read: Mapping[float, Sequence[Series]]
    canary: Mapping[float, Sequence[Series]]
    stable: Mapping[float, Sequence[Series]]


async def read(
    historian: HistorySource,
    metrics: Iterable[Countable],
    specs: Mapping[str, ProviderSpec],
    window: Window,
    *,
    named: bool,
) -> tuple[Answer, ...]:
    """Ask each server for the counters of its metrics, one query per family of counters.

    Args:
        historian: the servers.
        metrics: what is counted.
        specs: by metric: the server that has its counters.
        window: when.
        named: whether a person has named the server, who then needs no advice on that.

    Raises:
        Unreadable: a server does not answer.

    """
    answers = []
    for asked in _by_server(metrics, specs):
        queries = merged(asked.selectors)
        scrapes = await _scrapes(historian, asked.spec, queries, window, named=named)
        answers.append(Answer(frozenset(asked.names), scrapes))
    return tuple(answers)


async def read_samples(
    historian: HistorySource,
    scalars: Iterable[Comparable],
    specs: Mapping[str, ProviderSpec],
    window: Window,
    *,
    named: bool,
) -> tuple[Samples, ...]:
    """Ask for the values of metrics that are a number of every pod. See `read`."""
    found = []
    for scalar in scalars:
        spec = specs[scalar.metric.name]
        canary = await _scrapes(historian, spec, [scalar.canary], window, named=named)
        stable = await _scrapes(historian, spec, [scalar.stable], window, named=named)
        read = await _scrapes(historian, spec, scalar.selectors, window, named=named)
        found.append(Samples(scalar, read, canary, stable))
    return tuple(found)


async def _scrapes(
    historian: HistorySource,
    spec: ProviderSpec,
    queries: Iterable[str],
    window: Window,
    *,
    named: bool,
) -> dict[float, list[Series]]:
    scrapes: dict[float, list[Series]] = {}
    for query in queries:
        try:
            found = await historian.history(
                spec, query, start=window.start, end=window.end, step=window.step
            )
        except ProviderError as error:
            advice = "" if named else _advice(spec.address)
            raise Unreadable(f"{error}{advice}") from error
        _add(scrapes, found)
    return scrapes


@dataclass(slots=True)
class _Asked:
    """What one server is asked for."""

    spec: ProviderSpec
    names: set[str] = field(default_factory=set)
    selectors: list[SeriesSelector] = field(default_factory=list)


def _by_server(metrics: Iterable[Countable], specs: Mapping[str, ProviderSpec]) -> list[_Asked]:
    asked: list[_Asked] = []
    for metric in metrics:
        spec = specs[metric.metric.name]
        at = next((one for one in asked if one.spec == spec), None)
        if at is None:
            at = _Asked(spec)
            asked.append(at)
        at.names.add(metric.metric.name)
        at.selectors += server_selectors(metric.ways)
    return asked


def _add(scrapes: dict[float, list[Series]], found: Iterable[Past]) -> None:
    for labels, points in found:
        for time, value in points:
            scrapes.setdefault(round(time, _MILLISECONDS), []).append(Series(labels, value))


def _advice(address: str) -> str:
    """Say how to reach an address that only has a meaning inside of the cluster."""
    url = urlsplit(address)
    service, _, rest = (url.hostname or "prometheus").partition(".")
    namespace = rest.partition(".")[0] or "monitoring"
    port = url.port or (443 if url.scheme == "https" else 80)
    inside = re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)?(\.svc.*)?", url.hostname or "") is not None
    if not inside:
        return "; or name another Prometheus with --prometheus"
    return (
        ". Names of Services cannot be reached from outside of the cluster; forward it with "
        f"kubectl -n {namespace} port-forward svc/{service} 9090:{port} "
        f"and give --prometheus {url.scheme or 'http'}://localhost:9090{url.path}"
    )
