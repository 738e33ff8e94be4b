"""Evidence is gathered from pods or from a metrics server, and wakes a run when it decides."""

import asyncio
import gc
import json
import weakref
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from analyzer.gathering.calibrator import Calibrator
from analyzer.gathering.gatherer import Gatherer
from analyzer.gathering.pace import Pace
from analyzer.ports import ProviderError
from canary.counting.series import Series, merged
from canary.evidence.counted import CountEvidence
from canary.evidence.latency import Frozen
from canary.evidence.plan import CountPlan
from canary.evidence.report import why_refused
from canary.evidence.verdict import Refuse
from canary.measuring.countable import Comparable, Uncountable, countable
from canary.measuring.history import Past
from canary.measuring.pods import Newest
from canary.measuring.watch import Watch
from canary.model.strategy import Metric
from canary.model.values import Json, Key
from canary.queries.builtin import SourceQuery
from runtime.errors import ApiError, Throttled
from runtime.resources import ListResult, Resource
from tests.fakes.cluster import Untouched
from tests.fakes.evidence import (
    BEGAN,
    DURATION,
    KEY,
    SERVER,
    SUCCESS,
    counted,
    page,
    pod,
    queries,
    watch,
)
from tests.fakes.loop import ImpatientLoop
from tests.fakes.scraper import FakeScraper
from tests.fakes.series_source import FakeSeriesSource

LOOP = ImpatientLoop
STABLE_POD, CANARY_POD = "web-a-1", "web-canary-b-1"
PAGES = {name: f"http://10.0.0.{len(name)}:8080/metrics" for name in (STABLE_POD, CANARY_POD)}


@dataclass
class Pods(Untouched):
    """A cluster that only lists pods."""

    canary: list[Json] = field(default_factory=lambda: [pod(CANARY_POD, "web-canary-b", BEGAN + 1)])
    target: list[Json] = field(default_factory=lambda: [pod(STABLE_POD, "web-a")])
    broken: bool = False
    asked: int = 0
    patience: float | None = None
    lists: int = 0

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        assert (resource.plural, namespace) == ("pods", "prod")
        self.asked += 1
        if self.patience is not None:
            raise Throttled(429, "TooManyRequests", "later", self.patience)
        if self.broken:
            raise ApiError(500, "InternalError", "no")
        items = self.canary if "headgate.dev/target" in label_selector else self.target
        self.lists += items is self.canary
        return ListResult(items=items, resource_version="1")


@dataclass
class Bench:
    """A gatherer with everything around it, and the counters of both versions."""

    pods: Pods = field(default_factory=Pods)
    scraper: FakeScraper = field(default_factory=FakeScraper)
    server: FakeSeriesSource = field(default_factory=FakeSeriesSource)
    time: float = BEGAN + 10
    totals: dict[str, list[float]] = field(default_factory=dict)
    served: int = 0

    def __post_init__(self) -> None:
        self.gatherer = Gatherer(
            self.pods,
            self.scraper,
            {"prometheus": self.server},
            Calibrator({"prometheus": self.server}, lambda: self.time),
            pace=Pace(pods=timedelta(seconds=2), server=timedelta(seconds=4)),
            clock=lambda: self.time,
            registry=CollectorRegistry(),
        )
        self.totals = {STABLE_POD: [5e6, 300.0], CANARY_POD: [0.0, 0.0]}

    def serve(self, canary: tuple[int, int], stable: tuple[int, int]) -> None:
        """Add good and bad answers, and put them on the pods' pages."""
        for name, more in ((CANARY_POD, canary), (STABLE_POD, stable)):
            self.totals[name] = [
                old + new for old, new in zip(self.totals[name], more, strict=True)
            ]
            self.scraper.page(PAGES[name], page(*self.totals[name]))
        self.time += 2

    async def gather(self) -> list[Key]:
        """Let the gatherer read everything that is due, until it would read the pods again."""
        woken: list[Key] = []
        async with asyncio.TaskGroup() as group:
            gathering = group.create_task(self.gatherer.run(woken.append))
            await asyncio.sleep(1.99)
            gathering.cancel()
        await asyncio.sleep(0.01)
        return woken

    async def rounds(
        self, number: int, canary: tuple[int, int], stable: tuple[int, int]
    ) -> list[Key]:
        changed: list[Key] = []
        for _ in range(number):
            self.serve(canary, stable)
            changed += await self.gather()
        return changed


async def test_pods_are_listed_no_sooner_than_the_api_server_asks_for() -> None:
    bench = Bench(pods=Pods(patience=30.0))
    bench.gatherer.follow(watch(), {"request-success-rate": SERVER})
    await bench.rounds(10, (10, 0), (90, 0))
    assert bench.pods.asked == 1
    bench.pods.patience = None
    await bench.rounds(8, (10, 0), (90, 0))
    assert bench.pods.asked > 1


async def test_a_bad_canary_is_found_on_the_pods_own_pages_and_its_run_is_woken() -> None:
    bench = Bench()
    assert bench.gatherer.follow(watch(), {"request-success-rate": SERVER}) is None
    changed = await bench.rounds(5, (8, 2), (90, 0))
    weighing = bench.gatherer.follow(watch(), {})
    assert changed == [KEY]
    assert weighing is not None
    assert isinstance(weighing.verdict, Refuse)
    assert weighing.sources == {"request-success-rate": "pods (app)"}
    assert weighing.uncounted == weighing.blind == {"queue": "it is a gauge"}
    assert weighing.verdict.finding.canary_bad <= 10


async def test_a_record_is_plain_json_even_before_the_first_reading() -> None:
    bench = Bench()
    bench.gatherer.follow(watch(), {})
    await bench.gather()
    weighing = bench.gatherer.follow(watch(), {})
    assert weighing is not None
    assert json.loads(json.dumps(weighing.record(), allow_nan=False))["at"] == 0


async def test_what_the_evidence_is_blind_for_is_on_record_with_the_reason() -> None:
    bench = Bench()
    bench.gatherer.follow(watch(), {})
    await bench.gather()
    weighing = bench.gatherer.follow(watch(), {})
    assert weighing is not None
    assert weighing.record()["blind"] == {
        "request-success-rate": "its counters were found nowhere yet, neither on the pods' own "
        "pages nor in the metrics server",
        "queue": "it is a gauge",
    }


async def test_two_readings_are_the_least_that_refuse() -> None:
    bench = Bench()
    bench.gatherer.follow(watch(), {})
    assert await bench.rounds(2, (0, 500), (900, 0)) == []
    assert await bench.rounds(2, (0, 500), (900, 0)) == [KEY]


async def test_a_healthy_canary_goes_on() -> None:
    bench = Bench()
    bench.gatherer.follow(watch(), {})
    assert await bench.rounds(40, (20, 0), (180, 1)) == []
    weighing = bench.gatherer.follow(watch(), {})
    assert weighing is not None
    assert weighing.outlook is not None
    assert weighing.outlook.leading is not None
    assert weighing.outlook.leading.canary_all == 40 * 20


async def test_errors_on_both_sides_are_nobodys_fault() -> None:
    bench = Bench()
    bench.gatherer.follow(watch(), {})
    assert await bench.rounds(20, (8, 2), (72, 18)) == []


async def test_without_pages_the_metrics_server_is_asked_once_for_all() -> None:
    bench = Bench()
    bench.pods.canary = [pod(CANARY_POD, "web-canary-b", BEGAN + 1, scraped=False)]
    bench.pods.target = [pod(STABLE_POD, "web-a", scraped=False)]
    bench.gatherer.follow(watch(), {"request-success-rate": SERVER})
    changed: list[Key] = []
    for number in range(12):
        bench.time += 2
        bench.serve((8, 2), (90, 0))
        answer_all(bench)
        changed += await bench.gather()
        assert number or bench.server.asked
    weighing = bench.gatherer.follow(watch(), {})
    assert changed == [KEY]
    assert weighing is not None
    assert weighing.sources == {"request-success-rate": "metrics server (app)"}
    assert bench.scraper.asked == []
    queries_of_a_round = [query for _, query in bench.server.asked][:2]
    assert len(queries_of_a_round) == len({q.partition("{")[0] for q in queries_of_a_round})


async def test_many_runs_are_one_query_per_family_of_metrics() -> None:
    bench = Bench()
    families = len(first_queries())
    for number in range(20):
        one = replace(watch(), key=Key(namespace="prod", name=f"web-{number}"))
        bench.gatherer.follow(one, {"request-success-rate": SERVER})
    await bench.gather()
    assert len(bench.server.asked) == families


def answer_all(bench: Bench) -> None:
    """Let the server have what the pods have counted, under the labels of its scrapes."""
    for query in {query for _, query in bench.server.asked} | first_queries():
        series = [
            one
            for name, totals in bench.totals.items()
            for one in page(*totals, namespace="prod", kubernetes_pod_name=name)
        ]
        bench.server.answer(query, tuple(series) if query.startswith("http_req") else ())


def first_queries() -> set[str]:
    ways = counted(SUCCESS).ways
    selectors = [s for way in ways for side in (way.canary, way.stable) for s in side.selectors]
    return set(merged(selectors))


async def test_what_was_stored_goes_on_after_a_restart_and_is_not_counted_twice() -> None:
    first = Bench()
    first.gatherer.follow(watch(), {})
    await first.rounds(10, (20, 0), (180, 0))
    before = first.gatherer.follow(watch(), {})
    assert before is not None
    second = Bench(time=first.time, scraper=first.scraper)
    second.totals = first.totals
    stored = watch(record=before.record())
    second.gatherer.follow(stored, {})
    await second.rounds(3, (20, 0), (180, 0))
    after = second.gatherer.follow(stored, {})
    assert after is not None
    assert after.outlook is not None
    assert after.outlook.leading is not None
    # The first reading of the new process is where its counting begins.
    assert after.outlook.leading.canary_all == (10 + 2) * 20
    # What the stable had served before any run of the analyzer is known from the first one.
    served = first.totals[STABLE_POD][0] + first.totals[STABLE_POD][1]
    (evidence,) = after.state.metrics
    assert isinstance(evidence, CountEvidence)
    assert evidence.bursty is not None
    assert 0.99 * served < evidence.bursty.stable.requests <= served


class Stored(dict[str, Any]):
    """What an earlier process has stored; whether anybody still has it can be told."""


async def test_what_was_stored_is_held_no_more_once_a_run_goes_on() -> None:
    """It is the larger part of a run's status, and was held beside the judge that is made of it."""
    first = Bench()
    first.gatherer.follow(watch(), {})
    await first.rounds(10, (20, 0), (180, 0))
    before = first.gatherer.follow(watch(), {})
    assert before is not None
    second = Bench(time=first.time, scraper=first.scraper)
    records = [Stored(before.record()) for _ in range(2)]
    gone = [weakref.ref(it) for it in records]
    while records:  # at the first look, and at one that comes later
        second.gatherer.follow(watch(record=records.pop()), {})
    gc.collect()
    assert [it() for it in gone] == [None, None]


async def test_an_unreadable_page_is_said_and_costs_nothing() -> None:
    bench = Bench()
    bench.gatherer.follow(watch(), {})
    await bench.rounds(3, (20, 0), (180, 0))
    bench.scraper.page(PAGES[CANARY_POD], ProviderError("the page of 10.0.0.14 is no metrics page"))
    await bench.gather()
    weighing = bench.gatherer.follow(watch(), {})
    assert weighing is not None
    assert "no metrics page" in weighing.trouble
    assert weighing.record()["trouble"] == weighing.trouble
    await bench.rounds(1, (20, 0), (180, 0))
    weighing = bench.gatherer.follow(watch(), {})
    assert weighing is not None
    assert weighing.trouble == ""
    assert "trouble" not in weighing.record()


async def test_pods_that_cannot_be_listed_are_listed_later() -> None:
    bench = Bench(pods=Pods(broken=True))
    bench.gatherer.follow(watch(), {})
    assert await bench.rounds(2, (0, 500), (900, 0)) == []
    bench.pods.broken = False
    assert await bench.rounds(8, (0, 500), (900, 0)) == [KEY]


@pytest.mark.parametrize(("phase", "lists"), [("Pending", 6), ("Running", 2)])
async def test_pods_are_listed_often_only_until_the_canary_runs(phase: str, lists: int) -> None:
    bench = Bench()
    bench.pods.canary[0]["status"]["phase"] = phase
    bench.gatherer.follow(watch(), {})
    await bench.rounds(6, (0, 0), (90, 0))
    assert bench.pods.lists == lists


async def test_promoted_pods_are_the_candidates() -> None:
    bench = Bench()
    promoted = "web-c-1"
    bench.pods.target.append(pod(promoted, "web-c", BEGAN + 5))
    bench.pods.target[-1]["status"]["podIP"] = "10.0.1.1"
    bench.gatherer.follow(watch(), {})
    for number in range(6):
        bench.scraper.page("http://10.0.1.1:8080/metrics", page(8 * number, 20 * number))
        bench.serve((10, 0), (90, 0))
        await bench.gather()
    weighing = bench.gatherer.follow(watch(), {})
    assert weighing is not None
    assert isinstance(weighing.verdict, Refuse)


FORMER_POD, FORMER_PAGE = "web-canary-a-1", "http://10.0.2.1:8080/metrics"


def beside_former(age: float = 60.0) -> Bench:
    """Return a bench where the pod of the canary before is there still, and has failed a lot."""
    bench = Bench()
    former = pod(FORMER_POD, "web-canary-a", BEGAN - age, address="10.0.2.1")
    for one, template in ((former, "a"), (bench.pods.canary[0], "b")):
        one["metadata"]["labels"] = {"pod-template-hash": template}
    bench.pods.canary.insert(0, former)
    bench.scraper.page(FORMER_PAGE, page(900, 900))
    return bench


async def test_what_the_canary_before_has_counted_is_not_held_against_the_fix() -> None:
    bench = beside_former()
    bench.gatherer.follow(watch(), {})
    assert await bench.rounds(6, (10, 0), (90, 0)) == []
    bench.scraper.page(FORMER_PAGE, page(950, 990))
    assert await bench.rounds(6, (10, 0), (90, 0)) == []
    weighing = bench.gatherer.follow(watch(), {})
    assert weighing is not None
    assert weighing.outlook is not None
    assert weighing.outlook.leading is not None
    finding = weighing.outlook.leading
    assert (finding.canary_bad, finding.canary_all) == (0, 12 * 10)


async def test_nor_by_the_metrics_server_which_has_scraped_it_late() -> None:
    bench = beside_former()
    for one in (*bench.pods.canary, *bench.pods.target):
        one["metadata"]["annotations"] = {"prometheus.io/scrape": "false"}
    bench.totals[FORMER_POD] = [900.0, 900.0]
    bench.gatherer.follow(watch(), {"request-success-rate": SERVER})
    for number in range(12):
        bench.time += 2
        bench.serve((10, 0), (90, 0))
        bench.totals[FORMER_POD] = [900.0, 900.0 + min(number, 5) * 40]
        answer_all(bench)
        assert await bench.gather() == []
    weighing = bench.gatherer.follow(watch(), {})
    assert weighing is not None
    assert weighing.outlook is not None
    assert weighing.outlook.leading is not None
    assert weighing.outlook.leading.canary_bad == 0


async def test_the_pods_of_a_fix_are_looked_for_while_those_of_the_canary_before_run() -> None:
    bench = beside_former()
    own = bench.pods.canary.pop()
    bench.gatherer.follow(watch(), {})
    await bench.rounds(1, (0, 0), (90, 0))
    bench.pods.canary.append(own)
    await bench.rounds(1, (0, 0), (90, 0))
    assert bench.pods.lists == 2


async def test_a_young_pod_of_the_version_pushed_a_second_before_is_another_version_s() -> None:
    bench = beside_former(age=-0.5)
    own = bench.pods.canary.pop()
    unsettled = replace(watch(), newest=Newest.FORMER)
    bench.gatherer.follow(unsettled, {})
    await bench.rounds(2, (0, 0), (90, 0))
    bench.pods.canary.append(own)
    bench.gatherer.follow(watch(), {})
    assert await bench.rounds(6, (10, 0), (90, 0)) == []
    weighing = bench.gatherer.follow(watch(), {})
    assert weighing is not None
    assert weighing.outlook is not None
    assert weighing.outlook.leading is not None
    finding = weighing.outlook.leading
    assert (finding.canary_bad, finding.canary_all) == (0, 6 * 10)


async def test_pods_that_a_run_takes_over_count_from_where_they_are_first_read() -> None:
    bench = beside_former()
    bench.pods.canary = bench.pods.canary[:1]
    taken = replace(watch(), newest=Newest.TAKEN_OVER)
    bench.gatherer.follow(taken, {})
    for number in range(6):
        bench.scraper.page(FORMER_PAGE, page(900, 900 + 10 * number))
        bench.serve((0, 0), (90, 0))
        await bench.gather()
    weighing = bench.gatherer.follow(taken, {})
    assert weighing is not None
    assert isinstance(weighing.verdict, Refuse)
    assert weighing.verdict.finding.canary_all <= 50


async def test_another_candidate_begins_anew() -> None:
    bench = Bench()
    bench.gatherer.follow(watch(), {})
    await bench.rounds(4, (0, 500), (900, 0))
    again = replace(watch(), candidate="v3", began=BEGAN + 60)
    assert bench.gatherer.follow(again, {}) is None


def histogram(fast: float, slow: float, **labels: str) -> tuple[Series, ...]:
    name = "http_request_duration_seconds_bucket"
    buckets = {"0.1": fast, "0.5": fast, "1.0": fast + slow, "+Inf": fast + slow}
    return tuple(
        Series({"__name__": name, "le": le, **labels}, count) for le, count in buckets.items()
    )


@pytest.mark.parametrize(("slow", "verdict"), [(3, [KEY]), (0, [])])
async def test_latency_is_counted_through_the_bucket_of_its_limit(
    slow: int, verdict: list[Key]
) -> None:
    bench = Bench()
    latency = watch(counted(DURATION))
    bench.gatherer.follow(latency, {})
    changed: list[Key] = []
    for number in range(12):
        bench.time += 2
        bench.scraper.page(PAGES[STABLE_POD], histogram(1e6 + 90 * number, 20))
        bench.scraper.page(PAGES[CANARY_POD], histogram(7 * number, slow * number))
        changed += await bench.gather()
    assert changed == verdict
    weighing = bench.gatherer.follow(latency, {})
    assert weighing is not None
    assert weighing.sources == {"request-duration": "pods (app), slower than 0.5"}


LIMITLESS = replace(DURATION, maximum=None)
"""A latency with an empty thresholdRange: nothing is said but that it must not become worse."""


async def timed(bench: Bench, slow: int, rounds: int, served: int = 1000) -> list[Key]:
    """Have the stable answer 5 of 100 in half a second or more, and the canary as many as told."""
    changed: list[Key] = []
    for _ in range(rounds):
        number, bench.served = bench.served, bench.served + 1
        bench.time += 2
        stable = histogram(served * 0.95 + 95 * number, served * 0.05 + 5 * number)
        bench.scraper.page(PAGES[STABLE_POD], stable)
        bench.scraper.page(PAGES[CANARY_POD], histogram((20 - slow) * number, slow * number))
        changed += await bench.gather()
    return changed


@pytest.mark.parametrize(("slow", "verdict"), [(10, [KEY]), (1, [])], ids=["slower", "as fast"])
async def test_latency_without_a_limit_is_held_against_the_stables_own(
    slow: int, verdict: list[Key]
) -> None:
    bench = Bench()
    latency = watch(counted(LIMITLESS))
    bench.gatherer.follow(latency, {})
    assert await timed(bench, slow, 60) == verdict
    weighing = bench.gatherer.follow(latency, {})
    assert weighing is not None
    names = [f"request-duration:{quantile}" for quantile in ("p50", "p95", "p99")]
    assert [plan.name for plan in weighing.judge.plans] == names
    bounds = dict(zip(names, (0.1, 0.1, 1.0), strict=True))
    assert weighing.frozen == {"request-duration": Frozen("pods (app)", bounds)}
    assert weighing.sources == {"request-duration": "pods (app), slower than 0.1, 1"}
    if isinstance(weighing.verdict, Refuse):
        said = why_refused(weighing, weighing.verdict.finding)
        assert said.startswith("request-duration:p95 ")
        assert said.endswith("counted from pods (app), slower than 0.1, 1")


def test_a_load_test_leaves_nothing_to_hold_a_latency_without_a_limit_against() -> None:
    sides = queries(LIMITLESS, "web-canary"), queries(LIMITLESS, "web")
    found = countable(LIMITLESS, *sides, alone=True, gate=False)
    assert isinstance(found, Uncountable)
    assert "leaves a fixed bound alone" in found.why


async def test_what_was_held_fast_outlives_a_restart() -> None:
    first = Bench()
    first.gatherer.follow(watch(counted(LIMITLESS)), {})
    await timed(first, 1, 20)
    before = first.gatherer.follow(watch(counted(LIMITLESS)), {})
    assert before is not None
    second = Bench(time=first.time)
    stored = watch(counted(LIMITLESS), record=before.record())
    second.gatherer.follow(stored, {})
    # The stable has become so slow that its own quantiles would be other ones now.
    second.scraper.page(PAGES[STABLE_POD], histogram(1000, 90000))
    await second.gather()
    after = second.gatherer.follow(stored, {})
    assert after is not None
    assert (after.frozen, after.sources) == (before.frozen, before.sources)


async def test_the_server_tells_the_stables_own_latency_without_the_canarys() -> None:
    bench = Bench()
    bench.pods.target = [pod(STABLE_POD, "web-a", scraped=False)]
    bench.pods.canary = [pod(CANARY_POD, "web-canary-b", BEGAN + 1, scraped=False)]
    way = next(one for one in counted(LIMITLESS).ways if str(one) == "metrics server (app)")
    bench.gatherer.follow(watch(counted(LIMITLESS)), {"request-duration": SERVER})
    labels = {"namespace": "prod"}
    stable = histogram(1000, 0, **labels, kubernetes_pod_name=STABLE_POD)
    # The canary is far slower, and has more requests than the stable.
    canary = histogram(0, 9000, **labels, kubernetes_pod_name=CANARY_POD)
    for query in merged([*way.stable.selectors, *way.canary.selectors]):
        bench.server.answer(query, (*stable, *canary))
    bench.time += 2
    await bench.gather()
    weighing = bench.gatherer.follow(watch(counted(LIMITLESS)), {})
    assert weighing is not None
    (frozen,) = weighing.frozen.values()
    assert (frozen.way, set(frozen.bounds.values())) == ("metrics server (app)", {0.1})


async def test_what_was_held_fast_at_the_server_is_not_taken_for_seconds_on_a_page() -> None:
    way = next(way for way in counted(LIMITLESS).ways if str(way) == "metrics server (gateway)")
    bounds = {f"request-duration:{quantile}": 25.0 for quantile in ("p50", "p95", "p99")}
    first = Bench()
    first.gatherer.follow(watch(counted(LIMITLESS)), {})
    await first.gather()
    before = first.gatherer.follow(watch(counted(LIMITLESS)), {})
    assert before is not None
    record = replace(before, frozen={"request-duration": Frozen(str(way), bounds)}).record()
    second = Bench(time=first.time)
    stored = watch(counted(LIMITLESS), record=record)
    second.gatherer.follow(stored, {})
    await timed(second, 1, 5)
    after = second.gatherer.follow(stored, {})
    assert after is not None
    assert after.sources == {"request-duration": ""}


@pytest.mark.parametrize("metric", [DURATION, LIMITLESS], ids=["limit", "none"])
async def test_a_version_with_other_buckets_is_not_counted_and_it_is_said(metric: Metric) -> None:
    bench = Bench()
    latency = watch(counted(metric))
    bench.gatherer.follow(latency, {})
    name = "http_request_duration_seconds_bucket"
    for number in range(60):
        bench.time += 2
        stable = histogram(950 + 95 * number, 50 + 5 * number)
        bench.scraper.page(PAGES[STABLE_POD], stable)
        others = {"0.3": 20.0 * number, "+Inf": 20.0 * number}
        page = tuple(Series({"__name__": name, "le": le}, n) for le, n in others.items())
        bench.scraper.page(PAGES[CANARY_POD], page)
        assert await bench.gather() == []
    weighing = bench.gatherer.follow(latency, {})
    assert weighing is not None
    assert f"nothing is counted of {CANARY_POD}, whose histogram has no bucket" in weighing.trouble


@pytest.mark.parametrize(("before", "after", "woken"), [(99, 50, []), (50, 99, [KEY])])
async def test_a_run_whose_canary_is_edited_is_judged_by_what_it_asks_for_then(
    before: float, after: float, woken: list[Key]
) -> None:
    bench = Bench()

    def bounded(least: float) -> Watch:
        asked = watch(counted(replace(SUCCESS, minimum=least), alone=True))
        return replace(asked, asked=str(least))

    bench.gatherer.follow(bounded(before), {})
    assert await bench.rounds(2, (8, 2), (0, 0)) == []
    assert bench.gatherer.follow(bounded(after), {}) is None, "nothing was counted of that yet"
    assert await bench.rounds(8, (8, 2), (0, 0)) == woken
    weighing = bench.gatherer.follow(bounded(after), {})
    assert weighing is not None
    assert isinstance(weighing.verdict, Refuse) == bool(woken)


async def test_what_a_query_comes_to_later_leaves_a_run_as_it_began() -> None:
    bench = Bench()
    bench.gatherer.follow(watch(counted(LIMITLESS)), {})
    await timed(bench, 10, 4, served=100)
    bench.gatherer.follow(watch(counted(DURATION)), {})
    assert await timed(bench, 10, 60, served=100) == [KEY]


async def test_a_stable_that_has_served_little_is_waited_for() -> None:
    bench = Bench()
    latency = watch(counted(LIMITLESS))
    bench.gatherer.follow(latency, {})
    await timed(bench, 10, 4, served=100)
    weighing = bench.gatherer.follow(latency, {})
    assert weighing is not None
    assert (weighing.sources, weighing.frozen) == ({"request-duration": ""}, {})
    assert await timed(bench, 10, 60, served=100) == [KEY]


async def test_a_load_test_of_the_canary_is_held_against_the_bound_only() -> None:
    bench = Bench()
    bench.gatherer.follow(watch(counted(SUCCESS, alone=True)), {})
    changed = await bench.rounds(6, (8, 2), (0, 0))
    weighing = bench.gatherer.follow(watch(counted(SUCCESS, alone=True)), {})
    assert changed == [KEY]
    assert weighing is not None
    assert isinstance(weighing.verdict, Refuse)
    assert weighing.verdict.finding.test == "bound"


def past(errors_every: int, hours: int) -> tuple[Past, ...]:
    """Return counters of two stable pods that serve 3 requests per second."""
    found: list[Past] = []
    for name in ("web-a-1", "web-a-2"):
        times = [BEGAN - 3600 * hours + 30 * number for number in range(120 * hours + 1)]
        labels = {"__name__": "http_requests_total", "namespace": "prod", "pod": name}
        labels["kubernetes_pod_name"] = name
        good = [(time, 90.0 * number) for number, time in enumerate(times)]
        bad = [(time, float(number // errors_every)) for number, time in enumerate(times)]
        found += [({**labels, "status": "200"}, good), ({**labels, "status": "500"}, bad)]
    return tuple(found)


def is_past_of(bench: Bench, answer: object) -> None:
    way = next(way for way in counted(SUCCESS).ways if way.name == "app")
    (query,) = merged(way.stable.selectors)
    bench.server.pasts[query] = answer  # type: ignore[assignment]


def learner(answer: object = None) -> Bench:
    """Return a bench whose run has a day of the stable's past to learn from."""
    bench = Bench(time=BEGAN)
    is_past_of(bench, past(errors_every=2, hours=24) if answer is None else answer)
    bench.gatherer.follow(watch(), {"request-success-rate": SERVER})
    return bench


async def test_a_run_learns_from_the_stables_past_before_its_first_request() -> None:
    bench = learner()
    await bench.rounds(1, (0, 0), (180, 1))
    await bench.rounds(3, (20, 0), (180, 1))
    weighing = bench.gatherer.follow(watch(), {})
    assert weighing is not None
    (plan,) = weighing.judge.plans
    assert isinstance(plan, CountPlan)
    assert plan.calibration is not None
    assert plan.calibration.known
    assert plan.calibration.errors == 2 * 24 * 60
    assert plan.calibration.learned == pytest.approx(1 / 181, rel=0.2)


async def test_it_learns_as_soon_as_its_counters_are_found() -> None:
    bench = learner()
    bench.serve((0, 0), (180, 1))
    async with asyncio.TaskGroup() as group:
        gathering = group.create_task(bench.gatherer.run(lambda _: None))
        await asyncio.sleep(0.2)
        gathering.cancel()
    await bench.rounds(3, (20, 0), (180, 1))
    weighing = bench.gatherer.follow(watch(), {})
    assert weighing is not None
    (plan,) = weighing.judge.plans
    assert isinstance(plan, CountPlan)
    assert plan.calibration is not None


async def test_a_metric_that_is_waited_for_costs_no_other_its_lessons() -> None:
    bench = Bench(time=BEGAN)
    is_past_of(bench, past(errors_every=2, hours=24))
    both = watch(counted(SUCCESS), counted(LIMITLESS))
    bench.gatherer.follow(both, {"request-success-rate": SERVER, "request-duration": SERVER})
    await bench.rounds(1, (0, 0), (180, 1))
    await bench.rounds(3, (20, 0), (180, 1))
    weighing = bench.gatherer.follow(both, {})
    assert weighing is not None
    learned = {plan.name: plan.calibration for plan in weighing.judge.plans}  # type: ignore[union-attr]
    assert learned.pop("request-success-rate") is not None
    assert set(learned.values()) == {None}


async def test_what_was_learned_outlives_a_restart() -> None:
    bench = learner()
    await bench.rounds(1, (0, 0), (180, 1))
    await bench.rounds(3, (20, 0), (180, 1))
    before = bench.gatherer.follow(watch(), {})
    assert before is not None
    second = Bench(time=bench.time)
    second.gatherer.follow(watch(record=before.record()), {})
    await second.rounds(1, (20, 0), (180, 1))
    after = second.gatherer.follow(watch(record=before.record()), {})
    assert after is not None
    assert after.judge.plans == before.judge.plans


async def test_a_past_that_cannot_be_read_leaves_the_careful_assumptions() -> None:
    bench = learner(ProviderError("Prometheus has not answered"))
    await bench.rounds(1, (0, 0), (180, 1))
    assert await bench.rounds(6, (0, 50), (180, 1)) == [KEY]


async def test_nothing_is_learned_once_a_request_was_counted() -> None:
    bench = learner()
    await bench.rounds(3, (20, 0), (180, 1))
    await bench.rounds(1, (20, 0), (180, 1))
    weighing = bench.gatherer.follow(watch(), {})
    assert weighing is not None
    (plan,) = weighing.judge.plans
    assert isinstance(plan, CountPlan)
    assert plan.calibration is None


QUEUE = Metric(name="queue", source="avg(queue_length)", maximum=100)


def queue(*, alone: bool = False, query: str = "avg(queue_length)") -> Comparable:
    texts = tuple((SourceQuery(source="query", query=query),) for _ in range(2))
    found = countable(QUEUE, *texts, alone=alone, gate=False)
    assert isinstance(found, Comparable), found
    return found


def lengths(canary: float, stable: float) -> tuple[Series, ...]:
    pods = {CANARY_POD: canary, **{f"web-a-{n}": stable + n / 10 for n in range(1, 6)}}
    return tuple(Series({"pod": name}, value) for name, value in pods.items())


async def sampled(bench: Bench, scalar: Comparable, canary: float, times: int) -> list[Key]:
    bench.pods.target = [pod(f"web-a-{number}", "web-a") for number in range(1, 6)]
    bench.server.answer(scalar.canary, lengths(canary, 10))
    bench.server.answer(scalar.stable, lengths(canary, 10))
    bench.gatherer.follow(watch(scalars=(scalar,)), {"queue": SERVER})
    changed: list[Key] = []
    for _ in range(times):
        changed += await bench.gather()
        bench.time += 10
    return changed


async def test_a_number_of_every_pod_is_compared_by_rank() -> None:
    bench = Bench()
    assert await sampled(bench, queue(), canary=50, times=150) == [KEY]
    weighing = bench.gatherer.follow(watch(scalars=(queue(),)), {})
    assert weighing is not None
    assert weighing.sources == {"queue": "metrics server (per pod)"}
    assert isinstance(weighing.verdict, Refuse)
    assert weighing.verdict.finding.test == "rank"


async def test_a_number_like_that_of_the_others_goes_on() -> None:
    assert await sampled(Bench(), queue(), canary=10, times=150) == []


async def test_samples_are_as_far_apart_as_their_windows_ask() -> None:
    bench = Bench(time=BEGAN + 100)
    await sampled(bench, queue(query="avg(rate(queue_seconds[30s]))"), canary=50, times=31)
    # The first round, then every 60 s of 300 s.
    assert len(bench.server.asked) == 2 * 6


async def test_without_a_comparison_the_bound_is_what_counts() -> None:
    bench = Bench()
    scalar = queue(alone=True)
    assert await sampled(bench, scalar, canary=50, times=300) == []
    other = Bench()
    assert await sampled(other, scalar, canary=500, times=300) == [KEY]


async def test_what_a_check_would_ask_is_counted_since_the_first_traffic() -> None:
    bench = Bench()
    assert bench.gatherer.counts(KEY) == ()
    bench.gatherer.follow(watch(), {})
    await bench.rounds(2, (0, 9), (90, 0))
    assert bench.gatherer.counts(KEY) == ()
    bench.gatherer.follow(replace(watch(), traffic_since=bench.time), {})
    await bench.rounds(4, (18, 2), (90, 10))
    (count,) = bench.gatherer.counts(KEY)
    assert (count.metric, str(count.way)) == ("request-success-rate", "pods (app)")
    assert count.value == pytest.approx(90)
    assert count.baseline == pytest.approx(90)
    bench.gatherer.forget(KEY)
    assert bench.gatherer.counts(KEY) == ()
