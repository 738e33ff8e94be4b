"""Gathers evidence for every run at once, faster than the analysis ticks.

One loop reads, every few seconds, the metrics pages of the pods of both versions, and once per
scrape of the metrics server what it has: one query per server and family of metrics, however many
runs there are. What was read is judged at once; a verdict that changes wakes the run's reconcile.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, Never

import structlog
from prometheus_client import CollectorRegistry, Counter

from analyzer.calibrator import Calibrator
from analyzer.evidence_run import Run
from analyzer.followed import Asked, Followed, by_server, page_names, shares
from analyzer.pace import Pace
from analyzer.ports import Cluster, ProviderError, ProviderSpec, Scraper, SeriesSource
from analyzer.watch import Lesson, Watch
from canary.arms import ArmPod, arms_of, selector_text
from canary.contract import TARGET_LABEL
from canary.countable import Comparable
from canary.counting.series import Series, merged
from canary.evidence.counters import Arm
from canary.model.values import Key
from canary.weighing import Weighing
from runtime.errors import ApiError
from runtime.resources import PODS

log = structlog.get_logger("analyzer")
_SCRAPES_AT_ONCE: Final = 64
_ROUND_DEADLINE: Final = 20.0
"""Seconds that one round may take; what was not read by then is read in the next."""
_SHORTEST_PAUSE: Final = 0.1
_TEACH_EVERY: Final = 1.0

Pages = Mapping[str, Sequence[Series]]


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
        cluster: Cluster,
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
        self._followed: dict[Key, Followed] = {}
        self._slots = asyncio.Semaphore(_SCRAPES_AT_ONCE)
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
            run = Run.start(watch, self._clock(), self._pace.server.total_seconds())
            self._followed[watch.key] = Followed(run=run, specs=specs)
            return None
        found.run.watch, found.specs = watch, specs
        return found.run.weighing

    def forget(self, key: Key) -> None:
        """Gather nothing more for a run."""
        self._followed.pop(key, None)

    async def run(self, wake: Callable[[Key], None]) -> Never:
        """Gather until cancelled.

        Args:
            wake: called with the key of a run whose verdict has changed.

        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_gathering(wake), name="gather")
            group.create_task(self._keep_teaching(), name="teach")
        raise AssertionError("gathering never ends")

    async def _keep_gathering(self, wake: Callable[[Key], None]) -> Never:
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                async with asyncio.timeout(_ROUND_DEADLINE):
                    changed = await self.gather(started)
                for key in changed:
                    wake(key)
            except TimeoutError:
                log.warning("a round of evidence took too long", seconds=_ROUND_DEADLINE)
            left = self._pace.pods.total_seconds() - (loop.time() - started)
            await asyncio.sleep(max(_SHORTEST_PAUSE, left))

    async def _keep_teaching(self) -> Never:
        while True:
            await asyncio.sleep(_TEACH_EVERY)
            await self.teach()

    async def gather(self, now: float) -> list[Key]:
        """Read everything that is due and judge it; return the runs whose verdict has changed.

        Args:
            now: seconds on a clock that never steps; what is due is told by it.

        """
        followed = list(self._followed.values())
        await self._list_pods(followed, now)
        changed = await self._ask_pods(followed)
        due = [o for o in followed if now - o.asked_at >= self._pace.server.total_seconds()]
        for one in due:
            one.asked_at = now
        changed += await self._ask_servers(due) if due else []
        return changed + await self._ask_scalars(followed)

    async def teach(self) -> None:
        """Have each run learn from the past once, a metric as soon as its counters are found."""
        async with asyncio.TaskGroup() as group:
            for one in list(self._followed.values()):
                lessons = one.run.lessons()
                if lessons:
                    group.create_task(self._teach(one, lessons))

    async def _teach(self, one: Followed, lessons: Sequence[Lesson]) -> None:
        try:
            found = await self._calibrator.learn(one.run, lessons, one.specs)
            one.run.learn(lessons, found)
        except ProviderError as error:
            one.run.learn(lessons, {})
            self._report(one, str(error))

    # --- pods ---------------------------------------------------------------------------------

    async def _list_pods(self, followed: Iterable[Followed], now: float) -> None:
        async with asyncio.TaskGroup() as group:
            for one in followed:
                one.run.trouble = ""
                if self._wants_list(one, now):
                    one.listed_at = now
                    group.create_task(self._list(one))

    def _wants_list(self, one: Followed, now: float) -> bool:
        """A canary that has not been seen to run yet is looked for at every reading."""
        runs = any(pod.arm is Arm.CANARY and pod.runs for pod in one.run.pods)
        return not runs or now - one.listed_at >= self._pace.listing.total_seconds()

    async def _list(self, one: Followed) -> None:
        watch = one.run.watch
        namespace = watch.key.namespace
        try:
            canary = await self._cluster.list(
                PODS, namespace, label_selector=f"{TARGET_LABEL}={watch.key.name}"
            )
            target = await self._cluster.list(
                PODS, namespace, label_selector=selector_text(watch.selector)
            )
        except ApiError as error:
            self._report(one, f"the pods cannot be listed: {error}")
            return
        one.run.pods = arms_of(
            canary.items,
            target.items,
            watch.revisions,
            candidate=watch.candidate,
            stable=watch.stable,
            began=watch.began,
        )

    async def _ask_pods(self, followed: Sequence[Followed]) -> list[Key]:
        time = self._clock()
        pages = await self._read_pods(followed)
        changed = []
        for one in followed:
            key = one.run.watch.key
            if self._judged(one, partial(one.run.read_pages, pages.get(key, {}), time)):
                changed.append(key)
        return changed

    async def _read_pods(self, followed: Iterable[Followed]) -> dict[Key, Pages]:
        """Read the pages of all pods at once; by the run's key, then by the pod's name."""
        wanted = [
            (one, pod, names)
            for one in followed
            if (names := page_names(one.run))
            for pod in one.run.pods
            if pod.url
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._scrape(*entry)) for entry in wanted]
        found: dict[Key, dict[str, Sequence[Series]]] = {}
        for (one, pod, _), task in zip(wanted, tasks, strict=True):
            if (page := task.result()) is not None:
                found.setdefault(one.run.watch.key, {})[pod.name] = page
        return dict(found)

    async def _scrape(
        self, one: Followed, pod: ArmPod, names: frozenset[str]
    ) -> Sequence[Series] | None:
        async with self._slots:
            try:
                page = await self._scraper.scrape(pod.url or "", names)
            except ProviderError as error:
                self._reads.labels("pods", "error").inc()
                self._report(one, str(error))
                return None
        self._reads.labels("pods", "success").inc()
        return page

    # --- metrics servers ------------------------------------------------------------------------

    async def _ask_servers(self, due: Sequence[Followed]) -> list[Key]:
        """Ask each server one query per family of metrics for all runs together."""
        time = self._clock()
        asked = by_server(due, frozenset(self._sources))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(one)) for one in asked]
        changed = []
        for one, task in zip(asked, tasks, strict=True):
            for followed, names, series in shares(one, task.result()):
                step = partial(followed.run.read_server, series, names, time)
                if self._judged(followed, step):
                    changed.append(followed.run.watch.key)
        return changed

    async def _ask(self, asked: Asked) -> Sequence[Series]:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._query(asked.spec, query, [run for run, _ in asked.runs]))
                for query in merged(asked.selectors)
            ]
        answers = [answer for task in tasks if (answer := task.result()) is not None]
        # A part of a metric's counters would be counted as the whole of it.
        whole = len(answers) == len(tasks)
        return [series for answer in answers for series in answer] if whole else ()

    async def _query(
        self, spec: ProviderSpec, query: str, runs: Iterable[Followed]
    ) -> Sequence[Series] | None:
        try:
            found = await self._sources[spec.type].series(spec, query)
        except ProviderError as error:
            self._reads.labels("server", "error").inc()
            for followed in runs:
                self._report(followed, str(error))
            return None
        self._reads.labels("server", "success").inc()
        return found

    async def _ask_scalars(self, followed: Iterable[Followed]) -> list[Key]:
        """Take the samples that are due of metrics that are a number of every pod."""
        time = self._clock()
        due = [
            (one, scalar, spec)
            for one in followed
            for scalar in one.run.watch.scalars
            if (spec := one.specs.get(scalar.metric.name)) is not None
            and spec.type in self._sources
            and time >= one.sampled_next.get(scalar.plan.name, float("-inf"))
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._sample(*entry, time)) for entry in due]
        return [key for task in tasks if (key := task.result()) is not None]

    async def _sample(
        self, one: Followed, scalar: Comparable, spec: ProviderSpec, time: float
    ) -> Key | None:
        name = scalar.plan.name
        one.sampled_next[name] = time + self._pace.server.total_seconds()
        async with asyncio.TaskGroup() as group:
            canary = group.create_task(self._query(spec, scalar.canary, [one]))
            stable = group.create_task(self._query(spec, scalar.stable, [one]))
        ours, theirs = canary.result(), stable.result()
        if ours is None or theirs is None:
            return None
        changed = self._judged(one, partial(one.run.read_scalar, scalar, ours, theirs, time))
        if one.run.sampled.get(name) == time:
            one.sampled_next[name] = time + one.run.spacing(scalar)
        return one.run.watch.key if changed else None

    # --- verdicts -------------------------------------------------------------------------------

    def _judged(self, one: Followed, count: Callable[[], None]) -> bool:
        """Count what was read for one run and judge it; tell whether its verdict has changed.

        A guard as the one around a reconcile: what one team's pods or server answer must not keep
        the evidence of others from being gathered. Layer 1 goes on judging the run.
        """
        key = str(one.run.watch.key)
        try:
            count()
            changed = one.run.judge_now()
        except Exception as error:
            log.exception("evidence cannot be judged", key=key)
            self._report(one, f"what was read cannot be judged: {error!r}")
            return False
        if changed:
            log.info("evidence", key=key, verdict=one.run.verdict)
        return changed

    def _report(self, one: Followed, trouble: str) -> None:
        """Say what keeps counters from being read: in the log once per text, in status always."""
        if trouble not in one.reported:
            one.reported.add(trouble)
            log.warning("counters cannot be read", key=str(one.run.watch.key), why=trouble)
        one.run.trouble = trouble
