"""What Prometheus learns of runs: Flagger's series under Flagger's names, beside our own.

All of it is what the watch of Canaries tells. So it is the same after a restart, ends with the
object or its namespace's label, and a reconcile has nothing to do with it. Only the process that
leads tells it: Prometheus adds up what two of them would say.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from analyzer.guards import guarded, told
from analyzer.loop.index import ClusterIndex
from analyzer.loop.records import target_of
from canary.model.names import canary_name
from canary.model.values import FULL, Json, Key
from canary.objects.exported import Analysis, Ended, Kind, Shown, ended, shown
from runtime.version import VERSION

MESH_PROVIDER: Final = "gatewayapi:v1"
"""What splits traffic, in Flagger's words."""
MOST: Final = 2000
"""Targets whose series are told; of more, those that rest are left out first.

Writing a page takes about 50 µs for each, on the loop that all runs share.
"""
BOUNDS: Final = (30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
"""Seconds of a run: from half a minute to a day."""
_TARGET: Final = ("namespace", "name")
_NAME: Final = ("name", "namespace")
"""Flagger's order of the same two."""
_OUTCOME: Final = (*_NAME, "deployment_strategy", "analysis_status")

Row = tuple[Key, Shown, "Tally"]


@dataclass(slots=True)
class Tally:
    """The runs of one target that have ended while this process was there."""

    verdicts: Counter[str] = field(default_factory=Counter)
    outcomes: dict[tuple[bool, Kind, Analysis], int] = field(default_factory=dict)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def add(self, end: Ended) -> None:
        """Count a run that has ended."""
        self.verdicts[end.reason] += 1
        outcome = (end.succeeded, end.kind, end.analysis)
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        if end.lasted is not None:
            seconds = end.lasted.total_seconds()
            self.buckets[bisect_left(BOUNDS, seconds)] += 1
            self.seconds += seconds


def register(
    index: ClusterIndex,
    registry: CollectorRegistry,
    leading: Callable[[], bool],
    *,
    most: int = MOST,
) -> None:
    """Tell of runs from now on; to be called before the informers run.

    Args:
        index: what the informers know. Whatever else it learns of a Canary, it learns before.
        registry: where the metrics go.
        leading: whether this process acts.
        most: targets whose series are told.

    """
    runs = Runs(index, leading, most)
    index.canaries.add_handler(runs.on_canary)
    registry.register(runs)


class Runs(Collector):
    """Keeps of each Canary the little that is told of it, so that a scrape reads no object.

    Args:
        index: what the informers know.
        leading: whether this process acts.
        most: targets whose series are told.

    """

    def __init__(self, index: ClusterIndex, leading: Callable[[], bool], most: int) -> None:
        self._index = index
        self._most = most
        self._leading = leading
        self._shown: dict[Key, Shown] = {}
        self._tallies: dict[Key, Tally] = {}

    def on_canary(self, namespace: str, name: str, old: Json | None, new: Json | None) -> None:
        """Take in a change of a Canary: the guard per change, as anybody writes them."""
        tell = partial(told, "canary not told of", namespace=namespace, name=name)
        with guarded(tell):
            for one in (old, new):
                if one is not None:
                    self._look(target_of(one))
            if new is not None:
                self._count(old, new)

    def _look(self, key: Key) -> None:
        canary = self._index.canary(key)
        found = None if canary is None else shown(canary)
        if found is None:
            self._shown.pop(key, None)
            self._tallies.pop(key, None)
        else:
            self._shown[key] = found

    def _count(self, old: Json | None, new: Json) -> None:
        key = target_of(new)
        followed = self._index.canary(key)
        if followed is None or followed["metadata"]["name"] != new["metadata"]["name"]:
            return
        if key in self._shown and (end := ended(old, new)) is not None:
            self._tallies.setdefault(key, Tally()).add(end)

    def collect(self) -> Iterator[Metric]:
        """Return all series of this moment."""
        info = GaugeMetricFamily(
            "flagger_info", "Release and router.", labels=["version", "mesh_provider"]
        )
        info.add_metric([VERSION, MESH_PROVIDER], 1)
        yield info
        rows = list(self._rows()) if self._leading() else []
        # What something happens to comes first; else the order is that of the names.
        rows.sort(key=lambda row: (row[1].rests, row[0]))
        yield _left_out(max(0, len(rows) - self._most))
        yield _totals(rows)
        yield from _families(rows[: self._most])

    def _rows(self) -> Iterator[Row]:
        ours: dict[str, bool] = {}
        for key, found in self._shown.items():
            namespace = key.namespace
            if namespace not in ours:
                ours[namespace] = self._is_ours(namespace)
            if ours[namespace]:
                yield key, found, self._tallies.get(key, _NONE)

    def _is_ours(self, namespace: str) -> bool:
        index = self._index
        gone = index.ending(namespace) or index.flagger(namespace)
        return index.enabled(namespace) and not gone


_NONE: Final = Tally()


def _left_out(number: int) -> Metric:
    return GaugeMetricFamily(
        "headgate_canaries_left_out",
        "Canaries of which nothing is told here, as there are too many of them.",
        value=number,
    )


def _totals(rows: Sequence[Row]) -> Metric:
    totals = Counter(key.namespace for key, _, _ in rows)
    return _gauge(
        "flagger_canary_total",
        "Targets of a namespace that have a Canary.",
        ("namespace",),
        (((namespace,), float(count)) for namespace, count in totals.items()),
    )


def _families(rows: Sequence[Row]) -> Iterator[Metric]:
    running = [(key, found) for key, found, _ in rows if not found.rests]
    yield from _of_all(rows)
    yield from _of_runs(running)
    yield from _of_ends(rows)


def _of_all(rows: Sequence[Row]) -> Iterator[Metric]:
    yield _gauge(
        "flagger_canary_status",
        "How the last run stands: 0 running, 1 successful or none, 2 failed.",
        _NAME,
        ((_named(key), float(found.standing)) for key, found, _ in rows),
    )
    yield _gauge(
        "flagger_canary_weight",
        "Share of the traffic of a target and of its canary, in percent.",
        ("workload", "namespace"),
        (
            share
            for key, found, _ in rows
            for share in (
                ((key.name, key.namespace), float(FULL - found.weight)),
                ((canary_name(key.name), key.namespace), float(found.weight)),
            )
        ),
    )
    yield _gauge(
        "flagger_canary_metric_analysis",
        "Value of a metric at the last check.",
        (*_NAME, "metric"),
        (
            ((*_named(key), name), check.value)
            for key, found, _ in rows
            for name, check in found.measured.items()
            if check.value is not None
        ),
    )
    yield _gauge(
        "headgate_canary_metric_bound",
        "The bound that a metric was held against at the last check.",
        (*_TARGET, "metric"),
        (
            ((key.namespace, key.name, name), check.bound)
            for key, found, _ in rows
            for name, check in found.measured.items()
            if check.bound is not None
        ),
    )


def _of_runs(rows: Sequence[tuple[Key, Shown]]) -> Iterator[Metric]:
    yield _gauge(
        "headgate_canary_weight",
        "The canary's share of the traffic, percent.",
        _TARGET,
        (((key.namespace, key.name), float(found.weight)) for key, found in rows),
    )
    yield _gauge(
        "headgate_canary_failed_checks",
        "Failed checks that count toward the threshold.",
        _TARGET,
        (((key.namespace, key.name), float(found.failed_checks)) for key, found in rows),
    )
    yield _gauge(
        "headgate_canary_phase",
        "1 for the phase that a run is in.",
        (*_TARGET, "phase"),
        (((key.namespace, key.name, str(found.phase)), 1.0) for key, found in rows),
    )
    yield _gauge(
        "headgate_canary_check",
        "1 for the outcome of each check of the last round.",
        (*_TARGET, "check", "outcome"),
        (
            ((key.namespace, key.name, check.name, str(check.outcome)), 1.0)
            for key, found in rows
            for check in found.checks
        ),
    )
    yield _gauge(
        "headgate_canary_evidence",
        "1 for what the evidence comes to.",
        (*_TARGET, "verdict"),
        (((key.namespace, key.name, found.verdict), 1.0) for key, found in rows if found.verdict),
    )


def _of_ends(rows: Sequence[Row]) -> Iterator[Metric]:
    verdicts = CounterMetricFamily(
        "headgate_canary_verdicts",
        "Runs that ended, by the reason of their verdict.",
        labels=(*_TARGET, "reason"),
    )
    good = CounterMetricFamily(
        "flagger_canary_successes", "Runs that were promoted.", labels=_OUTCOME
    )
    bad = CounterMetricFamily(
        "flagger_canary_failures", "Runs that ended without it.", labels=_OUTCOME
    )
    seconds = HistogramMetricFamily(
        "flagger_canary_duration_seconds", "From a run's start to its verdict.", labels=_NAME
    )
    for key, found, tally in rows:
        for reason, count in tally.verdicts.items():
            verdicts.add_metric((key.namespace, key.name, reason), count)
        # A series that begins with its first run shows no increase.
        usual = {(succeeded, found.kind, Analysis.COMPLETED): 0 for succeeded in (True, False)}
        for (succeeded, kind, analysis), count in (usual | tally.outcomes).items():
            (good if succeeded else bad).add_metric((*_named(key), kind, analysis), count)
        if any(tally.buckets):
            seconds.add_metric(_named(key), _cumulative(tally.buckets), tally.seconds)
    yield from (verdicts, good, bad, seconds)


def _cumulative(buckets: Sequence[int]) -> list[tuple[str, float]]:
    names = (*map(floatToGoString, BOUNDS), "+Inf")
    return list(zip(names, accumulate(map(float, buckets)), strict=True))


def _gauge(
    name: str,
    text: str,
    labels: Sequence[str],
    samples: Iterable[tuple[Sequence[str], float]],
) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _named(key: Key) -> tuple[str, str]:
    return key.name, key.namespace
