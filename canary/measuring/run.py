"""The evidence of one run in memory: what was read is counted and judged, nothing is fetched."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from canary.counting.series import Series, named_in
from canary.evidence.counted import CountEvidence
from canary.evidence.counters import Arm, Pod, Reading, Scrape, Stratum, count
from canary.evidence.dispersion import Calibration
from canary.evidence.judge import Judge, JudgeState
from canary.evidence.latency import Frozen
from canary.evidence.plan import CountPlan, Plan
from canary.evidence.policy import Policy
from canary.evidence.ranked import ScalarEvidence
from canary.evidence.record import load_frozen
from canary.evidence.report import Weighing, recall
from canary.evidence.scalar import Scalars
from canary.evidence.verdict import Continue
from canary.measuring.countable import Comparable, Countable, Place, Uncountable, Way
from canary.measuring.pods import ArmPod
from canary.measuring.scraped import Scraped
from canary.measuring.settling import (
    Settled,
    frozen_bounds,
    is_there,
    page_readings,
    server_readings,
    settle,
    side_name,
    without_bucket,
)
from canary.measuring.sound import is_measure, sound, sound_pages
from canary.measuring.watch import Lesson, Tally, Watch, tallies_of
from canary.measuring.windowed import WindowCount, Windows


@dataclass(slots=True)
class Run:
    """One run that is being judged. `watch` is replaced as the world moves, the judge is not."""

    watch: Watch
    judge: Judge
    state: JudgeState
    tallies: tuple[Tally, ...]
    lag: float
    windows: Windows
    settled: dict[str, Settled] = field(default_factory=dict)
    uncounted: dict[str, str] = field(default_factory=dict)
    frozen: dict[str, Frozen] = field(default_factory=dict)
    pods: tuple[ArmPod, ...] = ()
    sides: dict[str, Pod] = field(default_factory=dict)
    samples: dict[str, Scalars] = field(default_factory=dict)
    sampled: dict[str, float] = field(default_factory=dict)
    weighing: Weighing | None = None
    trouble: str = ""
    taught: set[str] = field(default_factory=set)
    scraped: Scraped = field(default_factory=Scraped)

    @classmethod
    def start(cls, watch: Watch, now: float, lag: float) -> Self:
        """Begin, or go on from what was stored; what went by in between is not counted.

        Args:
            watch: the run.
            now: in seconds since the epoch.
            lag: seconds that what a metrics server has may be old.

        """
        counted = [plan for metric in watch.metrics for plan in metric.plans]
        judge = Judge(watch.policy, [*counted, *(one.plan for one in watch.scalars)])
        state, began, taught = judge.start(), watch.began, set[str]()
        frozen: dict[str, Frozen] = {}
        recalled = False
        if watch.record.get("candidate") == watch.candidate:
            try:
                stored, known = recall(watch.record)
            except ValueError:
                stored, known = judge, state
            if _plain(stored) == _plain(judge):
                judge, state, began = stored, known, now
                taught = {plan.name for plan in judge.plans}
                recalled = True
                frozen = load_frozen(watch.record)
        return cls(
            watch=watch.begun,
            judge=judge,
            state=state,
            tallies=tuple(tallies_of(watch, began, past=not recalled)),
            lag=lag,
            windows=Windows(began=watch.began, lag=lag),
            taught=taught,
            uncounted={one.metric: one.why for one in watch.uncounted},
            frozen=frozen,
        )

    @property
    def known(self) -> Mapping[str, ArmPod]:
        """The pods of both versions by name."""
        return {pod.name: pod for pod in self.pods}

    @property
    def verdict(self) -> str:
        """The kind of the present verdict; without any it goes on."""
        return Continue.__name__ if self.weighing is None else type(self.weighing.verdict).__name__

    @property
    def metrics(self) -> tuple[Countable, ...]:
        """What is counted, as it was when the run began: a Canary may be edited meanwhile."""
        return tuple({tally.metric.metric.name: tally.metric for tally in self.tallies}.values())

    def lessons(self) -> tuple[Lesson, ...]:
        """Return what may still be learned: nothing of a metric once its requests are counted."""
        begun = self._begun()
        return tuple(
            Lesson(
                metric=tally.metric.metric.name,
                plan=tally.plan,
                counted=settled.stable[tally.position],
            )
            for tally in self.tallies
            if not tally.metric.alone
            and tally.plan not in self.taught | begun
            and (settled := self.settled.get(tally.metric.metric.name)) is not None
        )

    def learn(self, lessons: Iterable[Lesson], found: Mapping[str, Calibration]) -> None:
        """Judge by what the past says from now on, unless a request was counted meanwhile.

        Args:
            lessons: what was to be learned.
            found: by plan; a metric without a past is left out.

        """
        self.taught |= {lesson.plan for lesson in lessons}
        learned = found.keys() - self._begun()
        plans = [
            replace(plan, calibration=found[plan.name])
            if isinstance(plan, CountPlan) and plan.name in learned
            else plan
            for plan in self.judge.plans
        ]
        self.judge = Judge(self.judge.policy, plans)
        fresh = self.judge.start().metrics
        pairs = zip(plans, fresh, self.state.metrics, strict=True)
        self.state = JudgeState(
            tuple(_afresh(new, old) if p.name in learned else old for p, new, old in pairs)
        )

    def _begun(self) -> set[str]:
        """Return the plans that have counted requests already."""
        pairs = zip(self.judge.plans, self.state.metrics, strict=True)
        return {plan.name for plan, one in pairs if isinstance(one, CountEvidence) and one.strata}

    def ways(self, metric: Countable) -> tuple[Way, ...]:
        """Return where a metric is to be looked for: one place once it was found."""
        name = metric.metric.name
        if name in self.uncounted:
            return ()
        if (settled := self.settled.get(name)) is not None:
            return (settled.way,)
        # What was held fast in one unit says nothing in another place's.
        frozen = self.frozen.get(name)
        return tuple(w for w in metric.ways if frozen is None or str(w) == frozen.way)

    def read_pages(self, pages: Mapping[str, Sequence[Series]], time: float) -> None:
        """Count what pods' own pages say.

        Args:
            pages: by the pod's name; pods that could not be read are left out.
            time: of the reading, in seconds since the epoch.

        """
        names = frozenset(one.metric.name for one in self.metrics)
        pages, self.trouble = sound_pages(pages)
        if self._lacks(names):
            stable = {name for name, pod in self.known.items() if pod.arm is Arm.STABLE}
            past = [one for name in stable & pages.keys() for one in pages[name]]
            self._find(Place.PODS, [one for page in pages.values() for one in page], past, names)
        for tally, settled in self._at(Place.PODS):
            readings = [
                reading
                for name, page in pages.items()
                for reading in page_readings(settled.canary[tally.position], name, page)
            ]
            self._count(tally, settled, readings, time)
        self.windows.read_pages(self.settled, pages, self.known, time)

    def read_server(self, series: Sequence[Series], metrics: frozenset[str], time: float) -> None:
        """Count what a metrics server has of both sides.

        Args:
            series: its answer.
            metrics: the names of those that this server was asked for.
            time: of the reading, in seconds since the epoch.

        """
        pods = {name: pod.arm for name, pod in self.known.items()}
        series, self.trouble = sound(series, pods)
        if self._lacks(metrics):
            canary = {name for name, arm in pods.items() if arm is Arm.CANARY}
            past = [one for one in series if not named_in(one.labels, canary)]
            self._find(Place.SERVER, series, past, metrics)
        doubted = self._doubted(series, pods, time)
        # The answer that shows a source to have been scraped is where the judge begins to count.
        left_out = doubted - self.scraped.sure
        for tally, settled in self._at(Place.SERVER):
            if tally.metric.metric.name in metrics:
                readings = server_readings(settled, tally.position, series, pods)
                readings = self._own(tally, readings, left_out)
                self._meet(tally, {reading.pod for reading in readings} - pods.keys(), time)
                self._count(tally, settled, readings, time)
        asked = {name: found for name, found in self.settled.items() if name in metrics}
        self.windows.read_server(asked, series, self.known, doubted, time)

    def _doubted(
        self, series: Iterable[Series], pods: Container[str], time: float
    ) -> frozenset[str]:
        """Return the sources whose counts for a whole side may still be of the canary of before."""
        former = self.watch.former_until
        if former is None:
            return frozenset()
        sides = (one for one in series if not named_in(one.labels, pods))
        return self.scraped.doubted(sides, former, time)

    def _own(self, tally: Tally, readings: list[Reading], doubted: Iterable[str]) -> list[Reading]:
        """Leave out what is counted for the canary as a whole while it may be another's."""
        names = {side_name(Arm.CANARY, where) for where in doubted}
        for name in names:
            # Met before: it counts from where it stands once it is not doubted any more.
            pod = Pod(arm=Arm.CANARY, born=tally.counters.began - 1)
            self.sides.setdefault(name, pod)
        return [one for one in readings if one.pod not in names] if names else readings

    def counts(self, now: float) -> tuple[WindowCount, ...]:
        """Return what its metrics' queries would come to, from the run's own counters."""
        return self.windows.counts(self.settled, self.watch, self.pods, now)

    def read_scalar(
        self, scalar: Comparable, canary: Sequence[Series], stable: Sequence[Series], time: float
    ) -> None:
        """Take one sample of a metric that is a number of every pod.

        Args:
            scalar: the metric.
            canary: the answer to its query for the canary.
            stable: the answer to its query for the stable.
            time: of the sample, in seconds since the epoch.

        """
        # A value that looks back into a pod's warm-up would be of the warm-up.
        since = time - self.watch.policy.warmup - scalar.window
        warm = {pod.name: pod.arm for pod in self.pods if pod.born <= since and not pod.former}
        values: dict[Arm, dict[str, list[float]]] = {Arm.CANARY: {}, Arm.STABLE: {}}
        for one in (*canary, *stable):
            if is_measure(one.value) and (name := named_in(one.labels, warm)):
                values[warm[name]].setdefault(name, []).append(one.value)
        means = {
            arm: tuple(sum(found) / len(found) for found in pods.values())
            for arm, pods in values.items()
        }
        if means[Arm.CANARY] and (means[Arm.STABLE] or not scalar.plan.baseline):
            self.samples[scalar.plan.name] = Scalars(time, means[Arm.CANARY], means[Arm.STABLE])
            self.sampled[scalar.plan.name] = time

    def spacing(self, scalar: Comparable) -> float:
        """Return the seconds between two samples of a metric."""
        return scalar.plan.spacing or self.watch.policy.scalar_spacing

    def _lacks(self, metrics: frozenset[str]) -> bool:
        """Tell whether it is still open where some of these metrics are read."""
        return not metrics <= self.settled.keys() | self.uncounted.keys()

    def _find(
        self,
        place: Place,
        series: Sequence[Series],
        past: Sequence[Series],
        metrics: frozenset[str],
    ) -> None:
        """Settle where a metric is read, if its series are there; `past` are the stable's."""
        for metric in self.metrics:
            name = metric.metric.name
            if name not in metrics or name in self.settled:
                continue
            for way in self.ways(metric):
                if way.place is place and is_there(metric, way, series):
                    self._settle(metric, way, series, past)
                    break

    def _settle(
        self, metric: Countable, way: Way, series: Sequence[Series], past: Sequence[Series]
    ) -> None:
        name = metric.metric.name
        kept = self.frozen.get(name)
        bounds = frozen_bounds(metric, way, past) if kept is None else kept.bounds
        if bounds is None:  # Looked for again: the stable has served too little so far.
            return
        if bounds:
            self.frozen[name] = Frozen(str(way), bounds)
        found = settle(metric, way, series, bounds)
        if isinstance(found, Uncountable):
            self.uncounted[found.metric] = found.why
            return
        self.settled[name] = found
        for tally in self.tallies:
            if tally.metric is metric and way.place is Place.SERVER:
                tally.counters = replace(tally.counters, lag=self.lag)

    def judge_now(self) -> bool:
        """Weigh what was counted since the last time, and tell whether it changes the verdict."""
        samples: dict[str, Stratum | Scalars] = dict(self.samples)
        self.samples.clear()
        for tally in self.tallies:
            if tally.pending:
                samples[tally.plan] = tally.pending
            tally.pending = None
        before, kind = self.weighing, self.verdict
        if samples:
            self.state = self.judge.update(self.state, samples)
        # Most readings come to nothing new, and a verdict costs more than all the rest.
        known = before is not None and before.judge is self.judge and not samples
        self.weighing = Weighing(
            candidate=self.watch.candidate,
            verdict=before.verdict if before and known else self.judge.verdict(self.state),
            judge=self.judge,
            state=self.state,
            sources=self._sources(),
            uncounted=dict(self.uncounted),
            frozen=dict(self.frozen),
            trouble=self.trouble,
            at=max((0.0, *(tally.counters.time for tally in self.tallies))),
        )
        return self.verdict != kind

    def _at(self, place: Place) -> Iterable[tuple[Tally, Settled]]:
        for tally in self.tallies:
            settled = self.settled.get(tally.metric.metric.name)
            if settled is not None and settled.way.place is place:
                yield tally, settled

    def _meet(self, tally: Tally, names: set[str], time: float) -> None:
        """Get to know what counts for a whole side.

        What is there at the first look has counted before this run, and only goes on from there;
        what comes later began at 0.
        """
        first = tally.counters.time < self.watch.began and not tally.counters.seen
        for name in names:
            arm = Arm.CANARY if name.startswith(side_name(Arm.CANARY, "")) else Arm.STABLE
            born = tally.counters.began - 1 if first else time
            self.sides.setdefault(name, Pod(arm=arm, born=born))

    def _count(self, tally: Tally, settled: Settled, readings: list[Reading], time: float) -> None:
        counted = settled.canary[tally.position]
        if odd := without_bucket(counted, readings):
            what = f"{tally.metric.metric.name}: nothing is counted of {', '.join(sorted(odd))}"
            self.trouble = f"{what}, whose histogram has no bucket as {settled} asks for"
            readings = [one for one in readings if one.pod not in odd]
        own = {name: pod.known() for name, pod in self.known.items() if not pod.former}
        pods = {**own, **self.sides}
        serving = self.watch.weight > 0
        scrape = Scrape(time=time, pods=pods, readings=tuple(readings), serving=serving)
        found = count(tally.counters, scrape)
        tally.counters, tally.pending = found.counters, found.stratum

    def _sources(self) -> dict[str, str]:
        counted = {
            one.metric.name: str(self.settled.get(one.metric.name, ""))
            for one in self.metrics
            if one.metric.name not in self.uncounted
        }
        compared = {
            one.metric.name: f"{Place.SERVER} (per pod)" if one.plan.name in self.sampled else ""
            for one in self.watch.scalars
        }
        return counted | compared


def _afresh(
    new: CountEvidence | ScalarEvidence, old: CountEvidence | ScalarEvidence
) -> CountEvidence | ScalarEvidence:
    """Return evidence before the first request, with what was learned of the stable by then."""
    if not isinstance(new, CountEvidence) or not isinstance(old, CountEvidence):
        return new
    kept = new.bursty is not None and old.bursty is not None
    return new._replace(bursty=old.bursty) if kept else new


def _plain(judge: Judge) -> tuple[Policy, list[Plan]]:
    """Return what a judge is made of without what it has learned."""
    return judge.policy, [
        replace(plan, calibration=None) if isinstance(plan, CountPlan) else plan
        for plan in judge.plans
    ]
