"""What a metric's query would come to, computed from the counters that are read anyway.

A check that asks a metrics server gets what the server has scraped, of whatever pods its patterns
fit. What was read of the run's own pods is known to be theirs: the check is the increase of their
counters over the query's own window, and from no earlier than their first traffic.

- A counter of a pod that was made in this run, or was read before without it, began at 0. Any other
  one counts from where it stood when it was first read. A value that fell is a reset.
- There is no value where readings do not reach back far enough, are old, or lack a pod that serves:
  then the query is asked.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple

from canary.counting.derive import Derived, Ratio
from canary.counting.series import NAME, TARGET_LABELS, Series, named_in
from canary.evidence.counters import Arm, gained, is_count
from canary.measuring.countable import Place, Way
from canary.measuring.parts import Parts, parts_of, value_of
from canary.measuring.pods import SKEW, ArmPod
from canary.measuring.settling import Settled, identity, side_name, source
from canary.measuring.standings import Standings
from canary.measuring.watch import Watch
from canary.model.asking import OwnCount, Sample
from canary.queries.metric import Query

_FRESH: Final = 10.0
"""Seconds that the last reading may be old, and the first one late, where pods are read."""
_MOST_ROLES: Final = 10_000
"""Series of one metric whose role is remembered; a page has a few dozen."""
Role = tuple[tuple[str, str], ...]
"""A series' labels, in the order of its page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCount:
    """What a metric comes to for both sides over the same time, in its own unit.

    `baseline` is the stable's, None without any request. `since` is in seconds since the epoch.
    """

    metric: str
    value: float
    baseline: float | None
    way: Way
    since: float


class _Entry(NamedTuple):
    """One series as it was read. `fresh` is whether its pod began in this run."""

    owner: str
    arm: Arm
    series: str
    value: float
    parts: Parts
    fresh: bool


@dataclass(slots=True)
class Window:
    """The counters of one metric, and where their sums stood at each reading."""

    way: Way
    values: dict[tuple[str, str], float] = field(default_factory=dict)
    sums: dict[Arm, Parts] = field(default_factory=lambda: {arm: {} for arm in Arm})
    standings: Standings = field(default_factory=Standings)
    heard: dict[str, float] = field(default_factory=dict)
    roles: dict[Role, tuple[str, Parts]] = field(default_factory=dict)
    worn: dict[str, set[str]] = field(default_factory=dict)

    def role(self, side: Derived, labels: Mapping[str, str]) -> tuple[str, Parts]:
        """Return a page's series by name, and what it counts for; pages say the same all the time.

        Args:
            side: what is looked for.
            labels: the series'.

        """
        key = tuple(labels.items())
        found = self.roles.get(key)
        if found is None:
            if len(self.roles) > _MOST_ROLES:
                self.roles.clear()
            self.wear(labels)
            parts = parts_of(side, labels, TARGET_LABELS)
            found = self.roles[key] = (identity(labels) if parts else "", parts)
        return found

    def wear(self, labels: Mapping[str, str]) -> None:
        """Note which labels the series of a metric have."""
        self.worn.setdefault(labels.get(NAME, ""), set()).update(labels)

    @property
    def tells_bad_ones(self) -> bool:
        """Whether what a ratio calls bad could be seen: no series with a label is no request.

        Else the query is asked, whose answer says which label nobody has.
        """
        side = self.way.canary
        return not isinstance(side, Ratio) or all(
            {one.label for one in selector.matchers} - TARGET_LABELS
            <= self.worn.get(selector.name, set())
            for selector in side.bad
        )

    def read(self, entries: Iterable[_Entry], owners: Iterable[str], time: float) -> None:
        """Count one reading.

        Args:
            entries: the series that play a part.
            owners: whose page was read, with or without any of them.
            time: of the reading, in seconds since the epoch.

        """
        if self.was_read and time <= self.standings.times[-1]:
            return
        heard = set(owners)
        for one in entries:
            heard.add(one.owner)
            self._count(one)
        self.heard |= dict.fromkeys(heard, time)
        self.standings.add(time, self.sums, window=self.way.window)

    @property
    def was_read(self) -> bool:
        """Whether there was a reading."""
        return bool(self.standings.times)

    def _count(self, one: _Entry) -> None:
        if not is_count(one.value):
            return
        key = (one.owner, one.series)
        before = self.values.get(key)
        if before is None:
            # What is there at the first look has counted before, whoever was there.
            began_at_0 = one.fresh or one.owner in self.heard
            delta = one.value if began_at_0 else 0.0
        else:
            delta = gained(before, one.value)
        self.values[key] = one.value
        sums = self.sums[one.arm]
        for part, times in one.parts.items():
            sums[part] = sums.get(part, 0.0) + times * delta

    def over(self, since: float, now: float, slack: float) -> int | None:
        """Return the reading from which on the sums count, None where that is not known.

        Args:
            since: no request from before it may count.
            now: the time.
            slack: seconds by which the first reading may be late, and the last one old.

        """
        begin = max(since, now - self.way.window)
        first = self.standings.since(begin)
        if first is None:
            return None
        at, last = self.standings.times[first], self.standings.times[-1]
        late = at > begin + max(slack, (now - begin) / 10)
        return first if not late and last > at and last >= now - slack else None


@dataclass(slots=True)
class Windows:
    """The windows of one run by metric. `lag` is how old what a metrics server has may be."""

    began: float
    lag: float
    known: dict[str, Window] = field(default_factory=dict)

    def read_pages(
        self,
        settled: Mapping[str, Settled],
        pages: Mapping[str, Sequence[Series]],
        pods: Mapping[str, ArmPod],
        time: float,
    ) -> None:
        """Count what pods' own pages say; the arguments are those of the run."""
        own = {name: page for name, page in pages.items() if self._is_own(pods.get(name))}
        for name, window in self._at(Place.PODS, settled):
            side = settled[name].way.canary
            window.read(
                [
                    _Entry(pod, pods[pod].arm, series, one.value, parts, fresh)
                    for pod, page in own.items()
                    for fresh in [self._is_fresh(pods[pod])]
                    for one in page
                    for series, parts in [window.role(side, one.labels)]
                    if parts
                ],
                own,
                time,
            )

    def read_server(
        self,
        settled: Mapping[str, Settled],
        series: Sequence[Series],
        pods: Mapping[str, ArmPod],
        doubted: Container[str],
        time: float,
    ) -> None:
        """Count what a metrics server has of some metrics.

        Args:
            settled: the metrics that it was asked for.
            series: its answer.
            pods: those of both versions by name.
            doubted: sources whose counts may still be of a canary of before.
            time: of the reading, in seconds since the epoch.

        """
        for _, window in self._at(Place.SERVER, settled):
            window.read(list(self._entries(window, series, pods, doubted)), (), time)

    def counts(
        self, settled: Mapping[str, Settled], watch: Watch, pods: Iterable[ArmPod], now: float
    ) -> tuple[WindowCount, ...]:
        """Return what the metrics come to now, as far as it is known.

        Args:
            settled: where they are read.
            watch: the run, as it is looked at now: a metric that was edited is not counted as the
                one that it was.
            pods: those of both versions.
            now: in seconds since the epoch.

        """
        if watch.traffic_since is None:
            return ()
        asked = {metric.metric.name: metric.ways for metric in watch.metrics}
        serving = [pod for pod in pods if pod.arm is Arm.CANARY and pod.runs and not pod.leaving]
        return tuple(
            count
            for name, window in self.known.items()
            if name in settled and window.way in asked.get(name, ())
            if (count := self._count(name, window, watch, serving, now)) is not None
        )

    def _count(
        self, name: str, window: Window, watch: Watch, serving: list[ArmPod], now: float
    ) -> WindowCount | None:
        way = window.way
        at_server = way.place is Place.SERVER
        since = watch.traffic_since or 0.0
        if at_server and watch.former_until is not None:
            since = max(since, watch.former_until)
        slack = _FRESH + (2 * self.lag if at_server else 0.0)
        first = window.over(since, now, slack)
        is_whole = window.tells_bad_ones and self._is_complete(window, serving, now - slack)
        if first is None or not is_whole:
            return None
        counted = window.standings
        value = value_of(way.canary, counted.increase(Arm.CANARY, first))
        if value is None:
            return None
        baseline = value_of(way.stable, counted.increase(Arm.STABLE, first))
        return WindowCount(
            metric=name, value=value, baseline=baseline, way=way, since=counted.times[first]
        )

    def _is_complete(self, window: Window, serving: list[ArmPod], since: float) -> bool:
        """Tell whether every canary pod that serves was read of late: what hangs must not hide."""
        if not all(map(self._is_own, serving)):
            return False
        if window.way.place is Place.PODS:
            return bool(serving) and all(window.heard.get(p.name, 0.0) >= since for p in serving)
        named = any(pod.name in window.heard for pod in serving)
        return not named or all(
            window.heard.get(pod.name, 0.0) >= since for pod in serving if pod.born < since
        )

    def _at(self, place: Place, settled: Mapping[str, Settled]) -> Iterator[tuple[str, Window]]:
        for name, found in settled.items():
            if found.way.place is place:
                yield name, self.known.setdefault(name, Window(found.way))

    def _is_own(self, pod: ArmPod | None) -> bool:
        """Tell whether a pod is the stable's, or was made in this run: one of before is neither."""
        return pod is not None and (pod.arm is Arm.STABLE or self._is_fresh(pod))

    def _is_fresh(self, pod: ArmPod) -> bool:
        return pod.created >= self.began - SKEW and not pod.former

    def _entries(
        self,
        window: Window,
        series: Sequence[Series],
        pods: Mapping[str, ArmPod],
        doubted: Container[str],
    ) -> Iterator[_Entry]:
        ours, theirs = window.way.canary, window.way.stable
        for one in series:
            window.wear(one.labels)
            of_canary, of_stable = parts_of(ours, one.labels), parts_of(theirs, one.labels)
            parts = of_canary or of_stable
            if not parts:
                continue
            if name := named_in(one.labels, pods):
                if not self._is_own(pod := pods[name]):
                    continue
                arm, fresh = pod.arm, self._is_fresh(pod)
            elif bool(of_canary) is bool(of_stable):
                continue
            else:
                arm, fresh = Arm.CANARY if of_canary else Arm.STABLE, window.was_read
                where = source(one.labels)
                name = side_name(arm, where)
                parts = {} if arm is Arm.CANARY and where in doubted else parts
            yield _Entry(name, arm, identity(one.labels), one.value, parts, fresh)


def own_counts(queries: Sequence[Query], counts: Iterable[WindowCount]) -> dict[str, OwnCount]:
    """Return by metric what the run's own counters come to, as a check takes it.

    Args:
        queries: the metrics as they are asked for.
        counts: what is known; of two metrics with one name nothing is.

    """
    by_name = {count.metric: count for count in counts}
    times = Counter(query.metric.name for query in queries)
    found = {}
    for query in queries:
        name = query.metric.name
        if times[name] == 1 and (count := by_name.get(name)) is not None:
            since = datetime.fromtimestamp(count.since, UTC).strftime("%H:%M:%S")
            sample = Sample(
                metric=query.metric,
                value=count.value,
                baseline=count.baseline,
                source=f"{count.way}, counted since {since} UTC",
                note=query.note,
            )
            first = query.texts[0].source == count.way.name
            found[name] = OwnCount(sample=sample, alone=first)
    return found
