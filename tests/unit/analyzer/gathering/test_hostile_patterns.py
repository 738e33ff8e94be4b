"""What one team's regular expressions come to costs no other run a reading, and ends nothing."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import promql_parser as promql
import pytest
import structlog
from prometheus_client import CollectorRegistry

from analyzer.gathering.calibrator import Calibrator
from analyzer.gathering.gatherer import Gatherer
from analyzer.gathering.pace import Pace
from canary.counting.series import Series
from canary.evidence.verdict import Refuse
from canary.measuring.countable import Comparable, Countable, Uncountable, countable
from canary.measuring.history import Past
from canary.measuring.watch import Watch
from canary.model.strategy import Metric
from canary.model.values import Key
from canary.queries.builtin import SourceQuery
from canary.queries.provider import ProviderSpec
from runtime.resources import ListResult, Resource
from tests.fakes.cluster import Untouched
from tests.fakes.evidence import BEGAN, SERVER, SUCCESS, counted, page, pod, watch
from tests.fakes.loop import ImpatientLoop

LOOP = ImpatientLoop
WELL = Key(namespace="prod", name="web")
SICK = Key(namespace="blue", name="api")
ISSUE = ("(?:a{1000}){3}", "(?:b{1000}){3}")


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, object]]]:
    """Return what is said. Tracebacks are not drawn: that takes longer than all else here."""
    with structlog.testing.capture_logs() as said:
        yield said


def ratio(number: int, condition: str) -> Countable | Comparable | Uncountable:
    """Return what a metric counts: requests with a condition on `p`, of both sides."""
    asked = f"http_requests_total{{{condition}}}"
    query = f'sum(rate({asked[:-1]},status=~"5.."}}[1m])) / sum(rate({asked}[1m]))'
    metric = Metric(name=f"m{number}", source=query, maximum=0.5)
    text = (SourceQuery(source="query", query=query),)
    return countable(metric, text, text, alone=False, gate=False)


def hostile(conditions: Sequence[str]) -> Watch:
    found = [ratio(number, condition) for number, condition in enumerate(conditions)]
    return replace(
        watch(key=SICK),
        metrics=tuple(one for one in found if isinstance(one, Countable)),
        scalars=tuple(one for one in found if isinstance(one, Comparable)),
    )


@dataclass
class Server(Untouched):
    """Both versions of every run, whose pages nobody shows; the server takes what Prometheus takes.

    `past` is what it has of the past.
    """

    past: Sequence[Past] = ()
    asked: list[str] = field(default_factory=list)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        assert (resource.plural, namespace is not None) == ("pods", True)
        name = label_selector.partition("=")[2].partition(",")[0]
        is_canary = label_selector.startswith("headgate.dev/target")
        owner = f"{name}-canary-b" if is_canary else f"{name}-a"
        born = BEGAN + 1 if is_canary else BEGAN - 3600
        items = [pod(f"{owner}-1", owner, born, scraped=False)]
        return ListResult(items=items, resource_version="1")

    async def scrape(self, url: str, names: frozenset[str], owner: str = "") -> tuple[Series, ...]:
        raise AssertionError((url, names, owner))

    async def series(self, spec: ProviderSpec, query: str) -> tuple[Series, ...]:
        del spec
        promql.parse(query)
        self.asked.append(query)
        time = asyncio.get_running_loop().time()
        sent = max(0.0, time - 5)
        sides = {"web-a-1": (5000 + 45 * time, 0.0), "web-canary-b-1": (4 * sent, sent)}
        return tuple(
            one
            for name, (good, bad) in sides.items()
            for one in page(good, bad, namespace="prod", kubernetes_pod_name=name)
        )

    async def history(
        self, spec: ProviderSpec, query: str, *, start: datetime, end: datetime, step: timedelta
    ) -> Sequence[Past]:
        del spec, query, start, end, step
        return self.past


@asynccontextmanager
async def gathering(server: Server) -> AsyncIterator[tuple[Gatherer, asyncio.Event]]:
    """Yield a gatherer at work, and what is set once the run that is well was woken."""
    loop = asyncio.get_running_loop()
    sources = {"prometheus": server}
    gatherer = Gatherer(
        server,
        server,
        sources,
        Calibrator(sources, lambda: BEGAN + 10 + loop.time()),
        pace=Pace(server=timedelta(seconds=4)),
        clock=lambda: BEGAN + 10 + loop.time(),
        registry=CollectorRegistry(),
    )
    woken = asyncio.Event()

    def wake(key: Key) -> None:
        if key == WELL:
            woken.set()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(gatherer.run(wake))
        yield gatherer, woken
        running.cancel()


CONDITIONS = {
    "three metrics of the issue": [*(f'p=~"{one}"' for one in ISSUE), 'p="foo"'],
    "with one label more": [*(f'p=~"{one}"' for one in ISSUE), 'p="foo",x="1"'],
    "each of which is taken": ['p=~"a{1000}"', 'p=~"b{1000}"', 'p="foo"'],
    "and many of them": [*(f'p=~"{i}a{{1000}}"' for i in range(30)), 'p="foo"'],
    "that only hold by themselves": ['p=~"(?P<n>a)"', 'p=~"(?P<n>b)"', r'p=~"\\Qa"', 'p="foo"'],
    "that close what they did not open": ['p=~"a)|(b"', 'p=~"c|d"', 'p="foo"'],
    "as long as there is room for": [f'p=~"{"x" * 1800}{i}"' for i in range(30)],
}


@pytest.mark.parametrize("conditions", CONDITIONS.values(), ids=CONDITIONS)
async def test_three_metrics_of_one_canary_cost_no_other_run_its_verdict(
    conditions: list[str],
) -> None:
    server = Server()
    async with gathering(server) as (gatherer, woken):
        sick, own = hostile(conditions), watch(counted(SUCCESS, key=WELL), key=WELL)
        names = [it.metric.name for it in sick.metrics]
        names += [it.metric.name for it in sick.scalars]
        gatherer.follow(sick, dict.fromkeys(names, SERVER))
        gatherer.follow(own, {"request-success-rate": SERVER})
        async with asyncio.timeout(600):
            await woken.wait()
        weighing = gatherer.follow(own, {})
        assert weighing is not None
        assert isinstance(weighing.verdict, Refuse)
        assert weighing.trouble == ""
        assert server.asked


LABELS = {"__name__": "http_requests_total", "status": "200", "namespace": "prod",
          "kubernetes_pod_name": "web-a-1"}  # fmt: skip
TIMES = (math.nan, math.inf, -math.inf, -5.0, 1e300, 1e18, 0.0)
VALUES = (math.nan, math.inf, -math.inf, -5.0, 1.7e308, 1e18, 5e-324)


@pytest.mark.parametrize("time", TIMES)
async def test_a_point_of_no_time_teaches_nothing_and_is_said(
    time: float, logs: list[MutableMapping[str, object]]
) -> None:
    points = [(BEGAN - 30 * i, 1e6 - i) for i in range(40)]
    past = [(LABELS, (*points, (time, 7.0)))]
    async with gathering(Server(past=past)) as (gatherer, woken):
        gatherer.follow(
            watch(counted(SUCCESS, key=WELL), key=WELL), {"request-success-rate": SERVER}
        )
        async with asyncio.timeout(600):
            await woken.wait()
    assert any("are of no time in it" in str(one.get("why")) for one in logs)


@pytest.mark.parametrize("value", VALUES)
async def test_a_value_that_no_counter_has_teaches_nothing(value: float) -> None:
    past = [(LABELS, tuple((BEGAN - 30 * i, value) for i in range(40)))]
    async with gathering(Server(past=past)) as (gatherer, woken):
        own = watch(counted(SUCCESS, key=WELL), key=WELL)
        gatherer.follow(own, {"request-success-rate": SERVER})
        async with asyncio.timeout(600):
            await woken.wait()
        weighing = gatherer.follow(own, {})
        assert weighing is not None
        assert isinstance(weighing.verdict, Refuse)
