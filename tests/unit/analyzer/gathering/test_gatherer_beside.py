"""What hangs or breaks for one run costs no other run's verdict a moment."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
import structlog
from prometheus_client import CollectorRegistry

from analyzer.gathering.calibrator import Calibrator
from analyzer.gathering.gatherer import Gatherer
from analyzer.gathering.pace import Pace
from analyzer.ports import ProviderError
from canary.counting.series import Series, merged
from canary.evidence.verdict import Refuse
from canary.measuring.countable import Comparable, countable
from canary.measuring.history import Past
from canary.model.strategy import Metric
from canary.model.values import Json, Key
from canary.queries.builtin import SourceQuery
from canary.queries.provider import ProviderSpec
from runtime.resources import ListResult, Resource
from tests.fakes.cluster import Untouched
from tests.fakes.evidence import BEGAN, SUCCESS, counted, page, pod, watch
from tests.fakes.loop import ImpatientLoop

LOOP = ImpatientLoop
WELL = Key(namespace="prod", name="web")
SICK = Key(namespace="blue", name="api")
PORTS = ("list", "pages", "series", "scalars", "history")
FAULTS = ("hangs", "raises")
QUEUE = Metric(name="queue", source="avg(queue_length)", maximum=100)


@pytest.fixture(autouse=True)
def _quietly() -> Iterator[None]:
    """Keep tracebacks from being drawn: that takes longer than all else here."""
    with structlog.testing.capture_logs():
        yield


def scalar() -> Comparable:
    texts = tuple((SourceQuery(source="query", query="avg(queue_length)"),) for _ in range(2))
    found = countable(QUEUE, *texts, alone=False, gate=False)
    assert isinstance(found, Comparable)
    return found


def server(key: Key) -> ProviderSpec:
    return ProviderSpec(type="prometheus", address=f"http://prometheus.{key.namespace}:9090")


@dataclass
class World(Untouched):
    """Every port of the gatherer: both versions of each run serve, unless its namespace is ill.

    `faults` says what ails a port for a namespace, `out` how many calls of it are not back yet,
    `most` how many there have been at once.
    """

    canaries: int = 1
    stables: int = 2
    scraped: bool = True
    seconds: float = 0.01
    faults: dict[tuple[str, str], str] = field(default_factory=dict)
    out: Counter[tuple[str, str]] = field(default_factory=Counter)
    most: Counter[tuple[str, str]] = field(default_factory=Counter)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    pods: dict[str, tuple[Key, str, bool]] = field(default_factory=dict)
    _numbers: dict[tuple[Key, str], int] = field(default_factory=dict)
    healed: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, port: str, namespace: str) -> None:
        """Take a while, or be as ill as the port is."""
        where = (port, namespace)
        self.calls[where] += 1
        self.out[where] += 1
        self.most[where] = max(self.most[where], self.out[where])
        try:
            match self.faults.get(where):
                case "hangs":
                    await self.healed.wait()
                case "raises":
                    raise ZeroDivisionError(f"{port} of {namespace}")
                case "times out":
                    await asyncio.sleep(1)
                    raise ProviderError("it has not answered within 1s")
                case _:
                    await asyncio.sleep(self.seconds)
        finally:
            self.out[where] -= 1

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        assert resource.plural == "pods"
        await self.answer("list", namespace or "")
        name = label_selector.partition("=")[2].partition(",")[0]
        is_canary = label_selector.startswith("headgate.dev/target")
        key = Key(namespace=namespace or "", name=name)
        owner = f"{name}-canary-b" if is_canary else f"{name}-a"
        number = self.canaries if is_canary else self.stables
        items = [self._pod(key, f"{owner}-{i}", owner, is_canary) for i in range(number)]
        return ListResult(items=items, resource_version="1")

    def _pod(self, key: Key, name: str, owner: str, is_canary: bool) -> Json:  # noqa: FBT001
        number = self._numbers.setdefault((key, name), len(self._numbers))
        address = f"10.0.{number // 256}.{number % 256}"
        self.pods[f"http://{address}:8080/metrics"] = (key, name, is_canary)
        born = BEGAN + 1 if is_canary else BEGAN - 3600
        return pod(name, owner, born, scraped=self.scraped, address=address)

    async def scrape(self, url: str, names: frozenset[str], owner: str = "") -> tuple[Series, ...]:
        key, _, is_canary = self.pods[url]
        assert owner == key.namespace
        await self.answer("pages", key.namespace)
        return tuple(s for s in self.served(is_canary=is_canary) if s.labels["__name__"] in names)

    def served(self, *, is_canary: bool, **labels: str) -> tuple[Series, ...]:
        time = asyncio.get_running_loop().time()
        if not is_canary:
            return page(5000 + 45 * time, 0, **labels)
        sent = max(0.0, time - 5)  # There is time to learn from the past before.
        return page(4 * sent, sent, **labels)

    async def series(self, spec: ProviderSpec, query: str) -> tuple[Series, ...]:
        namespace = spec.address.split(".")[1].partition(":")[0]
        if "queue" in query:
            await self.answer("scalars", namespace)
            return ()
        await self.answer("series", namespace)
        if not query.startswith("http_requests_total"):
            return ()
        return tuple(
            series
            for key, name, is_canary in self.pods.values()
            if namespace in ("shared", key.namespace)
            for series in self.served(
                is_canary=is_canary, namespace=key.namespace, kubernetes_pod_name=name
            )
        )

    async def history(
        self, spec: ProviderSpec, query: str, *, start: datetime, end: datetime, step: timedelta
    ) -> Sequence[Past]:
        del query, start, end, step
        await self.answer("history", spec.address.split(".")[1].partition(":")[0])
        return ()


@dataclass
class Stage:
    """A gatherer at work, and when it has woken whom."""

    world: World
    gatherer: Gatherer
    woken: dict[Key, float] = field(default_factory=dict)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self, key: Key) -> None:
        self.woken.setdefault(key, asyncio.get_running_loop().time())
        self.heard.set()

    def follow(self, key: Key, *, spec: ProviderSpec | None = None, candidate: str = "v2") -> None:
        run = watch(counted(SUCCESS, key=key), scalars=(scalar(),), key=key)
        at = spec or server(key)
        specs = {"request-success-rate": at, "queue": at}
        self.gatherer.follow(replace(run, candidate=candidate), specs)

    async def woken_at(self, key: Key, within: float = 600) -> float:
        """Wait until a run is woken, and return when."""
        async with asyncio.timeout(within):
            while key not in self.woken:
                self.heard.clear()
                await self.heard.wait()
        return self.woken[key]


@asynccontextmanager
async def gathering(world: World) -> AsyncIterator[Stage]:
    loop = asyncio.get_running_loop()
    clock: Callable[[], float] = lambda: BEGAN + 10 + loop.time()  # noqa: E731
    sources = {"prometheus": world}
    gatherer = Gatherer(
        world,
        world,
        sources,
        Calibrator(sources, clock),
        pace=Pace(server=timedelta(seconds=4)),
        clock=clock,
        registry=CollectorRegistry(),
    )
    stage = Stage(world, gatherer)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(gatherer.run(stage.wake))
        yield stage
        running.cancel()


def undisturbed(world: World) -> float:
    """Return when a run is woken that is alone."""

    async def alone() -> float:
        async with gathering(world) as stage:
            stage.follow(WELL)
            return await stage.woken_at(WELL)

    with asyncio.Runner(loop_factory=ImpatientLoop) as runner:
        return runner.run(alone())


PAGES_ALONE = undisturbed(World())
SERVER_ALONE = undisturbed(World(scraped=False))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(
    ("scraped", "alone"), [(True, PAGES_ALONE), (False, SERVER_ALONE)], ids=["pages", "server"]
)
async def test_no_other_run_is_woken_later(
    port: str, fault: str, *, scraped: bool, alone: float
) -> None:
    world = World(scraped=scraped, faults={(port, "blue"): fault})
    async with gathering(world) as stage:
        stage.follow(SICK)
        stage.follow(WELL)
        assert await stage.woken_at(WELL) == pytest.approx(alone, abs=0.1)
        assert world.calls[port, "blue"] or (scraped, port) in {(True, "series"), (False, "pages")}
        weighing = stage.gatherer.follow(watch(key=WELL), {})
        assert weighing is not None
        assert isinstance(weighing.verdict, Refuse)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("scraped", [True, False], ids=["pages", "server"])
async def test_what_hung_or_broke_goes_on_when_it_can(
    port: str, fault: str, *, scraped: bool
) -> None:
    world = World(scraped=scraped, faults={(port, "blue"): fault})
    async with gathering(world) as stage:
        stage.follow(SICK)
        await asyncio.sleep(60)
        world.faults.clear()
        world.healed.set()
        await stage.woken_at(SICK, within=60)


@pytest.mark.parametrize("port", ["series", "scalars", "history"])
async def test_a_server_that_hangs_keeps_no_verdict_from_the_pods_own_pages(port: str) -> None:
    async with gathering(World(faults={(port, "prod"): "hangs"})) as stage:
        stage.follow(WELL)
        assert await stage.woken_at(WELL) == pytest.approx(PAGES_ALONE, abs=0.1)


async def test_a_list_that_hangs_costs_the_pods_that_are_known_no_reading() -> None:
    world = World()
    async with gathering(world) as stage:
        stage.follow(WELL)
        await asyncio.sleep(1)
        world.faults["list", "prod"] = "hangs"
        assert await stage.woken_at(WELL) <= PAGES_ALONE + 1


async def test_hundreds_of_pods_that_hang_cost_no_other_run_its_places() -> None:
    world = World(canaries=56, stables=200)
    async with gathering(world) as stage:
        for name in ("one", "two", "three", "four", "five", "six"):
            world.faults["pages", name] = "times out"
            stage.follow(Key(namespace=name, name="api"))
        await asyncio.sleep(1)
        world.canaries, world.stables = 2, 20
        began = asyncio.get_running_loop().time()
        stage.follow(WELL)
        assert await stage.woken_at(WELL) - began <= PAGES_ALONE + 1
        assert sum(most for (port, _), most in world.most.items() if port == "pages") <= 6 * 16 + 16


async def test_pods_that_hang_cost_the_pods_beside_them_seconds_and_not_their_turn() -> None:
    world = World(canaries=1, stables=400, faults={("pages", "prod"): "times out"})
    async with gathering(world) as stage:
        stage.follow(WELL, spec=ProviderSpec(type="none", address=""))
        await asyncio.sleep(60)
        assert world.calls["pages", "prod"] > 400
        weighing = stage.gatherer.follow(watch(key=WELL), {})
        assert weighing is not None
        assert "pods are waited for too long" in weighing.trouble


@pytest.mark.parametrize(("port", "most"), [("list", 1), ("pages", 3), ("scalars", 2)])
async def test_what_is_still_out_is_not_put_again(port: str, most: int) -> None:
    world = World(faults={(port, "blue"): "hangs"})
    async with gathering(world) as stage:
        stage.follow(SICK)
        await asyncio.sleep(600)
        assert 1 <= world.most[port, "blue"] <= most


async def test_a_server_that_hangs_is_asked_one_query_per_family_however_many_runs() -> None:
    families = len(merged([s for way in counted(SUCCESS).ways for s in way.canary.selectors]))
    world = World(scraped=False, faults={("series", "shared"): "hangs"})
    async with gathering(world) as stage:
        for number in range(20):
            spec = ProviderSpec(type="prometheus", address="http://prometheus.shared:9090")
            stage.follow(Key(namespace="blue", name=f"api-{number}"), spec=spec)
            await asyncio.sleep(3)
        assert world.most["series", "shared"] == families


@pytest.mark.parametrize("port", PORTS)
async def test_nothing_is_waited_for_once_its_run_is_forgotten(port: str) -> None:
    world = World(scraped=port in {"pages", "history"}, faults={(port, "blue"): "hangs"})
    async with gathering(world) as stage:
        stage.follow(SICK)
        await asyncio.sleep(5)
        assert world.out[port, "blue"]
        stage.gatherer.forget(SICK)
        await asyncio.sleep(0.001)
        assert not world.out[port, "blue"]


async def test_a_reading_for_two_runs_is_waited_for_until_both_are_forgotten() -> None:
    world = World(scraped=False, seconds=0, faults={("series", "shared"): "hangs"})
    spec = ProviderSpec(type="prometheus", address="http://prometheus.shared:9090")
    async with gathering(world) as stage:
        stage.follow(SICK, spec=spec)
        stage.follow(WELL, spec=spec)
        await asyncio.sleep(5)
        both = world.out["series", "shared"]
        stage.gatherer.forget(SICK)
        await asyncio.sleep(0.001)
        assert world.out["series", "shared"] == both
        stage.gatherer.forget(WELL)
        await asyncio.sleep(0.001)
        assert not world.out["series", "shared"]


async def test_another_candidate_takes_the_place_of_what_was_read_for_the_last() -> None:
    world = World(faults={("pages", "blue"): "hangs"})
    async with gathering(world) as stage:
        stage.follow(SICK)
        await asyncio.sleep(1)
        assert world.out["pages", "blue"] == 3
        stage.follow(SICK, candidate="v3")
        await asyncio.sleep(1)
        assert world.out["pages", "blue"] == world.most["pages", "blue"] == 3
        assert world.calls["pages", "blue"] == 6


async def test_a_family_of_metrics_that_hangs_delays_no_other_of_the_same_server() -> None:
    """Two teams share a Prometheus; one of them counts something else, which takes forever."""

    class Choosy(World):
        async def series(self, spec: ProviderSpec, query: str) -> tuple[Series, ...]:
            if query.startswith("slow_total"):
                await self.answer("slow", "shared")
            return await super().series(spec, query)

    good, every = (
        'sum(rate(slow_total{{pod=~"{0}-.*"' + more + "}}[1m]))" for more in (',ok="1"', "")
    )
    query = f"100 * {good} / {every}"
    sides = [(SourceQuery(source="query", query=query.format(n)),) for n in ("api-canary", "api")]
    slow = countable(
        Metric(name="slow", source="slow", minimum=99), *sides, alone=False, gate=False
    )
    world = Choosy(scraped=False, faults={("slow", "shared"): "hangs"})
    spec = ProviderSpec(type="prometheus", address="http://prometheus.shared:9090")
    async with gathering(world) as stage:
        run = watch(slow, key=SICK)  # type: ignore[arg-type]
        stage.gatherer.follow(run, {"slow": spec})
        stage.follow(WELL, spec=spec)
        assert await stage.woken_at(WELL) == pytest.approx(SERVER_ALONE, abs=0.1)
        assert world.most["slow", "shared"] == 1


async def test_a_leader_that_leads_again_goes_on() -> None:
    world = World()
    async with gathering(world) as stage:
        stage.follow(WELL)
        await asyncio.sleep(3)
    assert not any(world.out.values())
    async with asyncio.TaskGroup() as group:
        again = group.create_task(stage.gatherer.run(stage.wake))
        await stage.woken_at(WELL, within=60)
        again.cancel()
