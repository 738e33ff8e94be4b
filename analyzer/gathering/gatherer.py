"""Gathers evidence for every run at once, faster than the analysis ticks.

Each run is read in tasks of its own: every few seconds the metrics pages of its pods, and whatever
belongs to it alone. Metrics servers are asked beside, one query per server and family of metrics,
however many runs there are. What was read is judged as soon as it is there, and a verdict that
changes wakes the run's reconcile at once: pods, servers and lists that hang delay nobody else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Never

import structlog
from prometheus_client import CollectorRegistry, Counter

from analyzer.gathering import limits
from analyzer.gathering.calibrator import Calibrator
from analyzer.gathering.dealing import dealt, queries_of
from analyzer.gathering.followed import Followed, due
from analyzer.gathering.held import NO_ROOM, Held
from analyzer.gathering.pace import Pace
from analyzer.gathering.rhythm import Rhythm
from analyzer.gathering.strain import Strain
from analyzer.guards import Guarded, guarded
from analyzer.places import Places
from analyzer.ports import ProviderError, Scraper, SeriesSource
from canary.contract import TARGET_LABEL
from canary.counting.series import Series
from canary.evidence.report import Weighing
from canary.measuring.countable import Comparable
from canary.measuring.demand import Demand, Wanted, page_names, together
from canary.measuring.pods import ArmPod
from canary.measuring.run import Run
from canary.measuring.watch import Watch
from canary.measuring.windowed import WindowCount
from canary.model.names import target_label
from canary.model.values import Key
from canary.queries.provider import ProviderSpec
from runtime.errors import ApiError, patience_of
from runtime.heard import Readable
from runtime.resources import PODS

log = structlog.get_logger("analyzer")
_Look = Callable[[Followed], Awaitable[None]]

_LIST, _PAGES, _PAST, _ASKED = "list", "pages", "past", "servers"
"""What a trouble keeps from being read; a server's is under the metric's name."""


class Gatherer:
    """Follows runs and gathers their evidence.

    Args:
        cluster: where the pods are listed.
        scraper: reads a pod's page.
        sources: metrics servers by provider type.
        calibrator: learns from the stable's past.
        pace: how often.
        clock: seconds since the epoch.
        registry: where it counts what it reads.

    """

    def __init__(
        self,
        cluster: Readable,
        scraper: Scraper,
        sources: Mapping[str, SeriesSource],
        calibrator: Calibrator,
        *,
        pace: Pace,
        clock: Callable[[], float],
        registry: CollectorRegistry,
    ) -> None:
        self._cluster = cluster
        self._scraper = scraper
        self._sources = sources
        self._calibrator = calibrator
        self._pace = pace
        self._clock = clock
        self._strain = Strain().registered(registry)
        self._followed: dict[Key, Followed] = {}
        self._scrapes = Places[Key](per_owner=limits.SCRAPES_OF_A_RUN, total=limits.SCRAPES_AT_ONCE)
        self._lists = Places[str](per_owner=limits.LISTS_OF_A_NAMESPACE, total=limits.LISTS_AT_ONCE)
        self._held = {place: Held() for place in ("pods", "server")}
        self._asking: dict[Demand[Followed], asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._wake: Callable[[Key], None] = lambda _: None
        self._reads = Counter(
            "headgate_evidence_reads",
            "Reads of counters by place (pods, server) and result (success, error).",
            ["place", "result"],
            registry=registry,
        )

    def follow(self, watch: Watch, specs: Mapping[str, ProviderSpec]) -> Weighing | None:
        """Gather evidence for a run from now on, and return what there is of it already.

        Args:
            watch: the run. Another candidate than before begins anew.
            specs: by metric: the server that has its counters.

        """
        found = self._followed.get(watch.key)
        if found is None or found.run.watch.identity != watch.identity:
            self.forget(watch.key)
            run = Run.start(watch, self._clock(), self._pace.server.total_seconds())
            rhythm = Rhythm(self._pace, watch.weight, self._strain)
            self._followed[watch.key] = Followed(run=run, specs=specs, rhythm=rhythm)
            self._begin(self._followed[watch.key])
            return None
        found.run.watch, found.specs = watch.begun, specs
        found.rhythm.shares(watch.weight)
        return found.run.weighing

    def counts(self, key: Key) -> tuple[WindowCount, ...]:
        """Return what a run's metrics come to by its own counters."""
        found = self._followed.get(key)
        return () if found is None else found.run.counts(self._clock())

    def forget(self, key: Key) -> None:
        """Gather nothing more for a run; what is being read for it alone is not waited for."""
        one = self._followed.pop(key, None)
        if one is None:
            return
        if one.task is not None:
            one.task.cancel()
        for asked, task in self._asking.items():
            if not any(self._follows(user) for user, _ in asked.runs):
                task.cancel()

    async def run(self, wake: Callable[[Key], None]) -> Never:
        """Gather until cancelled.

        Args:
            wake: called with the key of a run as soon as its verdict has changed.

        """
        async with asyncio.TaskGroup() as group:
            self._group, self._wake = group, wake
            group.create_task(self._strain.measure())
            try:
                for one in self._followed.values():
                    self._begin(one)
                await self._keep_asking(group)
            finally:
                self._group = None
        raise AssertionError("gathering never ends")

    def _follows(self, one: Followed) -> bool:
        """Tell whether a run has neither been forgotten nor superseded."""
        return self._followed.get(one.run.watch.key) is one

    # --- one run --------------------------------------------------------------------------------

    def _begin(self, one: Followed) -> None:
        if self._group is not None:
            name = f"evidence-{one.run.watch.key}"
            one.task = self._group.create_task(self._keep_reading(one), name=name)

    async def _keep_reading(self, one: Followed) -> None:
        async with asyncio.TaskGroup() as group:
            reading = partial(self._read_pods, group)
            group.create_task(self._keep(one, _PAGES, reading, one.rhythm.pause))
            # At once: what comes after the first request of the canary comes too late.
            group.create_task(self._keep(one, _PAST, self._learn, lambda _: one.to_learn.wait()))

    async def _keep(
        self, one: Followed, what: str, look: _Look, rest: Callable[[float], Awaitable[object]]
    ) -> Never:
        """Look again and again; `rest` waits, given the start of the last look."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            with self._guard([(one, what)]):
                await look(one)
            await rest(started)

    async def _read_pods(self, group: asyncio.TaskGroup, one: Followed) -> None:
        now = asyncio.get_running_loop().time()
        if one.wants_list(now):
            one.listed_at = now
            one.listing = group.create_task(self._list(one))
            await asyncio.wait({one.listing}, timeout=limits.LIST_WAIT)
        one.looked = True
        self._begin_samples(group, one)
        time = self._clock()
        pages = await self._read_pages(one)
        self._judge(one, _PAGES, partial(one.run.read_pages, pages, time))

    async def _list(self, one: Followed) -> None:
        watch = one.run.watch
        namespace = watch.key.namespace
        with self._guard([(one, _LIST)]):
            try:
                async with self._lists.take(namespace), asyncio.timeout(limits.LIST_DEADLINE):
                    canary = await self._cluster.list(
                        PODS,
                        namespace,
                        label_selector=f"{TARGET_LABEL}={target_label(watch.key.name)}",
                    )
                    target = await self._cluster.list(
                        PODS, namespace, label_selector=watch.selector
                    )
            except (ApiError, TimeoutError) as error:
                one.lists_after = asyncio.get_running_loop().time() + patience_of(error)
                self._report(one, _LIST, f"the pods cannot be listed: {str(error) or 'no answer'}")
                return
            one.found(canary.items, target.items)
            one.troubles.pop(_LIST, None)

    async def _read_pages(self, one: Followed) -> Mapping[str, Sequence[Series]]:
        """Read the pages of a run's pods, by the pod's name; what is late is left out."""
        one.troubles.pop(_PAGES, None)
        names = page_names(one.run)
        pods = one.pods_in_turn() if names else []
        one.tried = {pod.name: one.tried[pod.name] for pod in pods if pod.name in one.tried}
        async with asyncio.TaskGroup() as group:
            tasks = {pod.name: group.create_task(self._scrape(one, pod, names)) for pod in pods}
            late = (
                (await asyncio.wait(tasks.values(), timeout=limits.READING))[1] if tasks else set()
            )
            for task in late:
                task.cancel()
        if late:
            self._report(one, _PAGES, f"the pages of {len(late)} pods are waited for too long")
        return {
            name: page
            for name, task in tasks.items()
            if not task.cancelled() and (page := task.result()) is not None
        }

    async def _scrape(
        self, one: Followed, pod: ArmPod, names: frozenset[str]
    ) -> Sequence[Series] | None:
        page: Sequence[Series] | None = None
        async with self._scrapes.take(one.run.watch.key):
            one.tried[pod.name] = asyncio.get_running_loop().time()
            with self._guard([(one, _PAGES)]):
                namespace = one.run.watch.key.namespace
                try:
                    page = await self._scraper.scrape(pod.url or "", names, namespace)
                except ProviderError as error:
                    self._report(one, _PAGES, str(error))
        if page is None:
            self._reads.labels("pods", "error").inc()
            return None
        return self._take("pods", page, [(one, _PAGES)])

    def _begin_samples(self, group: asyncio.TaskGroup, one: Followed) -> None:
        """Take the samples that are due of metrics that are a number of every pod."""
        time = self._clock()
        for scalar in one.run.watch.scalars:
            name, spec = scalar.plan.name, one.specs.get(scalar.metric.name)
            if spec is None or spec.type not in self._sources or not one.samples_now(name, time):
                continue
            one.sampled_next[name] = time + self._pace.server.total_seconds()
            one.sampling[name] = group.create_task(self._sample(one, scalar, spec, time))

    async def _sample(
        self, one: Followed, scalar: Comparable, spec: ProviderSpec, time: float
    ) -> None:
        name = scalar.plan.name
        users = [(one, name)]
        queries = (scalar.canary, scalar.stable)
        with self._guard(users):
            answers = await self._query_all(spec, queries, users)
            if answers is None:
                return
            canary, stable = answers
            self._judge(one, name, partial(one.run.read_scalar, scalar, canary, stable, time))
            if one.run.sampled.get(name) == time:
                one.sampled_next[name] = time + one.run.spacing(scalar)

    async def _learn(self, one: Followed) -> None:
        """Have a run learn from the past once, a metric as soon as its counters are found."""
        one.troubles.pop(_PAST, None)
        one.to_learn.clear()
        if trouble := await self._calibrator.teach(one.run, one.specs):
            self._report(one, _PAST, trouble)

    # --- metrics servers ------------------------------------------------------------------------

    async def _keep_asking(self, group: asyncio.TaskGroup) -> Never:
        """Ask each server at every beat for all runs together, and for a new run at once."""
        loop = asyncio.get_running_loop()
        while True:
            beat = int(loop.time() / self._pace.server.total_seconds())
            with self._guard(()):
                for asked in together(self._due(beat)):
                    self._ask(group, asked, beat)
            await asyncio.sleep(limits.TICK)

    def _due(self, beat: int) -> list[Wanted[Followed]]:
        """Return what of all runs is to be asked of servers; what fails for one is that one's."""
        found: list[Wanted[Followed]] = []
        for one in self._followed.values():
            with self._guard([(one, _ASKED)]):
                found += due(one, frozenset(self._sources), beat) if one.looked else ()
        return found

    def _ask(self, group: asyncio.TaskGroup, asked: Demand[Followed], beat: int) -> None:
        """Begin to ask a server, unless the answer to what was asked before is still out."""
        if not all(asked.families.isdisjoint(other.families) for other in self._asking):
            return
        for one, names in asked.runs:
            one.asked |= dict.fromkeys(names, beat)
        task = group.create_task(self._read_server(asked))
        self._asking[asked] = task
        task.add_done_callback(lambda _: self._asking.pop(asked))

    async def _read_server(self, asked: Demand[Followed]) -> None:
        time = self._clock()
        users = [(one, name) for one, names in asked.runs for name in names]
        with self._guard(users):
            queries = await queries_of(asked)
            answers = await self._query_all(asked.owned, queries, users)
            # A part of a metric's counters would be counted as the whole of it.
            found = [series for answer in answers or () for series in answer]
            for one, names, series in await dealt(asked, found):
                if self._follows(one):
                    step = partial(one.run.read_server, series, names, time)
                    self._judge(one, min(names), step)
                # Judging hundreds of runs takes long enough for others to need a turn.
                await asyncio.sleep(0)

    async def _query_all(
        self, spec: ProviderSpec, queries: Iterable[str], users: Sequence[tuple[Followed, str]]
    ) -> list[Sequence[Series]] | None:
        """Return the answers to all queries; without one of them, None."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._query(spec, query, users)) for query in queries]
        answers = [answer for task in tasks if (answer := task.result()) is not None]
        if len(answers) < len(tasks):
            return None
        for one, what in users:
            one.troubles.pop(what, None)
        return answers

    async def _query(
        self, spec: ProviderSpec, query: str, users: Iterable[tuple[Followed, str]]
    ) -> Sequence[Series] | None:
        try:
            async with asyncio.timeout(limits.SERVER_DEADLINE):
                found = await self._sources[spec.type].series(spec, query)
        except (ProviderError, TimeoutError) as error:
            self._reads.labels("server", "error").inc()
            for one, what in users:
                self._report(one, what, str(error) or f"{spec.type} has not answered in time")
            return None
        return self._take("server", found, users)

    def _take(
        self, place: str, found: Sequence[Series], users: Iterable[tuple[Followed, str]]
    ) -> Sequence[Series] | None:
        self._reads.labels(place, "success").inc()
        held = self._held[place].hold(found)
        for one, what in users if held is None else ():
            self._report(one, what, NO_ROOM)
        return held

    # --- verdicts -------------------------------------------------------------------------------

    def _judge(self, one: Followed, what: str, count: Callable[[], None]) -> None:
        """Count what was read for one run and judge it; wake the run if its verdict has changed."""
        with self._guard([(one, what)]):
            one.run.trouble = ""
            count()
            if one.run.lessons():
                one.to_learn.set()
            if one.run.trouble:
                one.troubles[what] = one.run.trouble
            one.run.trouble = next(iter(one.troubles.values()), one.rhythm.words)
            if one.run.judge_now():
                log.info("evidence", key=str(one.run.watch.key), verdict=one.run.verdict)
                self._wake(one.run.watch.key)

    def _guard(self, users: Sequence[tuple[Followed, str]]) -> Guarded:
        """Let nothing that is read for a run end more than this reading of it.

        What one team's pods or server answer must not keep the evidence of others from being
        gathered. Layer 1 goes on judging the run.
        """

        def tell(error: BaseException) -> None:
            keys = sorted({str(user.run.watch.key) for user, _ in users})
            log.error("evidence cannot be judged", keys=keys, exc_info=error)
            said = f"what was read cannot be judged: {error!r}"[: limits.MOST_SAID]
            for one, what in users:
                self._report(one, what, said)

        return guarded(tell)

    def _report(self, one: Followed, what: str, trouble: str) -> None:
        """Say what keeps counters from being read: in the log once per text, in status always."""
        if trouble not in one.reported:
            one.reported.add(trouble)
            log.warning("counters cannot be read", key=str(one.run.watch.key), why=trouble)
        one.troubles[what] = trouble
