"""A whole analyzer around objects in memory, for two runs beside each other; each port can be ill.

Its controller, gatherer, inquirer, sweeper and neighbours are the real ones; what they reach of the
outside answers at once. Time is the loop's: `ImpatientLoop` lets an hour pass in a moment.
"""

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from prometheus_client import CollectorRegistry

from analyzer import ports
from analyzer.addresses import EVERYWHERE
from analyzer.announcing.herald import Herald
from analyzer.announcing.telling import Teller
from analyzer.gathering.calibrator import Calibrator
from analyzer.gathering.gatherer import Gatherer
from analyzer.gathering.pace import Pace
from analyzer.inquiring.inquirer import Inquirer
from analyzer.loop.act import Actor
from analyzer.loop.controller import Controller, Metrics
from analyzer.loop.index import ClusterIndex
from analyzer.loop.neighbours import Neighbours
from analyzer.loop.observe import Observer
from analyzer.loop.questions import Questions
from analyzer.loop.reconciler import Reconciler
from analyzer.loop.records import Records
from analyzer.loop.sampling import Sampler
from analyzer.loop.sweeper import Sweeper
from analyzer.loop.telemetry import RunMetrics
from canary.contract import HOLD, NAMESPACE_ENABLED, NAMESPACE_LABEL, STABLE
from canary.counting.series import Series
from canary.measuring.history import Past
from canary.model.announcement import Announcement, Room
from canary.model.hashing import template_hash
from canary.model.strategy import Hook, Strategy
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Json, Key
from canary.model.world import HookResult, Split, Timing
from canary.queries.provider import ProviderSpec
from canary.spec.canary import Defaults
from runtime.informer import Informer
from runtime.resources import (
    ALERTPROVIDERS,
    CANARIES,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    HTTPROUTES,
    NAMESPACES,
    PODS,
    REPLICASETS,
    SERVICES,
)
from tests.fakes import objects
from tests.fakes.evidence import page, pod
from tests.fakes.watched import Watched

WELL: Final = Key(namespace="prod", name="web")
SICK: Final = Key(namespace="blue", name="web")
_ADDRESSES: Final = {WELL: "10.0.0", SICK: "10.66.0"}
_OF_THE_SICK: Final = ("blue", "10.66.0")
START: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
_RATIO: Final = (
    'sum(rate(http_requests_total{pod=~"{{ target }}-.+",status=~"5.."}[1m]))'
    ' / sum(rate(http_requests_total{pod=~"{{ target }}-.+"}[1m]))'
)
METRICS: Final = [
    {"name": "errors", "query": _RATIO, "thresholdRange": {"max": 0.5}},
    # A gateway's counters are asked for at the server before the pods' own.
    {"name": "request-success-rate", "thresholdRange": {"min": 0}},
    {
        "name": "queue",
        "query": 'avg(queue_length{pod=~"{{ target }}-.+"})',
        "thresholdRange": {"max": 100},
    },
]
HOOK: Final = {"name": "load", "type": "rollout", "url": "http://load", "timeout": "5s"}


ALERT: Final = {"name": "chat", "providerRef": {"name": "chat"}}


def all_ports() -> dict[str, tuple[str, ...]]:
    """Return the methods of every port there is, as `analyzer.ports` has them now."""
    found = {}
    for name, one in vars(ports).items():
        is_port = inspect.isclass(one) and one.__module__ == ports.__name__
        if is_port and getattr(one, "_is_protocol", False) and one is not Protocol:
            methods = inspect.getmembers(one, inspect.isfunction)
            found[name] = tuple(it for it, _ in methods if not it.startswith("_"))
    return found


@dataclass
class Illness:
    """What ails one method of one port: `error` is raised, for one run or for everybody."""

    port: str = ""
    method: str = ""
    error: BaseException | None = None
    everybody: bool = False
    times: int = 0

    def strikes(self, port: str, method: str, given: object) -> bool:
        """Tell whether a call fails."""
        if self.error is None or (port, method) != (self.port, self.method):
            return False
        written = repr(given)
        if not (self.everybody or any(it in written for it in _OF_THE_SICK)):
            return False
        self.times += 1
        return True


class Port:
    """Stands before an adapter, and fails as the illness says."""

    def __init__(self, name: str, inner: Any, illness: Illness) -> None:
        self._name = name
        self._inner = inner
        self._illness = illness

    def __getattr__(self, method: str) -> Any:
        inner, illness, name = getattr(self._inner, method), self._illness, self._name

        def call(*given: Any, **named: Any) -> Any:
            if illness.error is not None and illness.strikes(name, method, (given, named)):
                raise illness.error
            return inner(*given, **named)

        async def call_later(*given: Any, **named: Any) -> Any:
            await asyncio.sleep(0)
            return await call(*given, **named)

        return call_later if inspect.iscoroutinefunction(inner) else call


@dataclass
class Outside:
    """Pods, metrics servers and hooks: both versions serve well."""

    calls: Counter[str] = field(default_factory=Counter)
    said: list[tuple[str, str, str]] = field(default_factory=list)

    async def scrape(self, url: str, names: frozenset[str], owner: str = "") -> tuple[Series, ...]:
        del owner
        del url
        good = 1000 + 50 * asyncio.get_running_loop().time()
        return tuple(one for one in page(good, 0) if one.labels["__name__"] in names)

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        self.calls[spec.asker] += 1
        del query, interval
        return (0.0,)

    async def series(self, spec: ProviderSpec, query: str) -> tuple[Series, ...]:
        del spec, query
        return ()

    async def history(
        self, spec: ProviderSpec, query: str, *, start: datetime, end: datetime, step: timedelta
    ) -> Sequence[Past]:
        del spec, query, start, end, step
        return ()

    async def samples(self, spec: ProviderSpec, query: str) -> Sequence[Past]:
        del spec, query
        return ()

    async def call(self, hook: Hook, payload: Mapping[str, Any]) -> HookResult:
        del payload
        return HookResult(hook=hook, ok=True)

    async def say(self, room: Room, said: Announcement) -> None:
        self.said.append((room.channel, said.subject, said.reason))


@dataclass
class Routes:
    """One route to each target."""

    traffic: dict[Key, Traffic] = field(default_factory=dict)

    @property
    def weights(self) -> dict[Key, int]:
        """The canaries' shares, in percent."""
        return {key: traffic.weight for key, traffic in self.traffic.items()}

    async def read_split(self, key: Key, strategy: Strategy) -> Split:
        del strategy
        return Split(traffic=self.traffic.get(key, NOTHING), routes=1)

    async def write_split(self, key: Key, strategy: Strategy, traffic: Traffic) -> None:
        del strategy
        self.traffic[key] = traffic

    async def clean(self, key: Key) -> bool:
        return not self.traffic.pop(key, NOTHING).is_nothing

    async def ensure(self, key: Key, strategy: Strategy, owner: Json) -> None:
        del key, strategy, owner


@dataclass
class Analyzer:
    """The cluster, what is around it, and what ails it."""

    illness: Illness = field(default_factory=Illness)
    cluster: Watched = field(default_factory=Watched)
    outside: Outside = field(default_factory=Outside)
    routes: Routes = field(default_factory=Routes)
    deriver: ports.AtOnce = field(default_factory=ports.AtOnce)
    running: tuple[asyncio.Task[Any], ...] = ()

    def clock(self) -> datetime:
        """Return the time."""
        return START + timedelta(seconds=asyncio.get_running_loop().time())

    def port(self, name: str, inner: Any) -> Any:
        """Return an adapter behind its port."""
        return Port(name, inner, self.illness)

    def status(self, key: Key) -> Json:
        """Return the status of a run's Canary."""
        found = self.cluster.now(CANARIES, key.namespace, key.name) or {}
        status: Json = found.get("status") or {}
        return status

    # --- what the cluster does ------------------------------------------------------------------

    def hold(self, key: Key, image: str = "web:2") -> None:
        """Hold a new version of a target whose Canary has these metrics."""
        stable = self._put(DEPLOYMENTS, objects.deployment(image="web:1"), key)
        service = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
        self._put(SERVICES, {"metadata": {"name": "web"}, "spec": service}, key)
        owner = [{"kind": "Deployment", "uid": stable["metadata"]["uid"], "controller": True}]
        metadata = {"name": "web-1", "labels": {"app": "web"}, "ownerReferences": owner}
        spec = {"replicas": 1, "template": stable["spec"]["template"]}
        ready = {"replicas": 1, "readyReplicas": 1}
        self._put(REPLICASETS, {"metadata": metadata, "spec": spec, "status": ready}, key)
        self._pod(key, "web-1", "stable", {"app": "web"}, -3600)
        canary = objects.canary(
            metrics=METRICS, webhooks=[HOOK], alerts=[ALERT], interval="10s", threshold=99
        )
        room = {"type": "slack", "address": f"http://chat/{key.namespace}"}
        self._put(ALERTPROVIDERS, {"metadata": {"name": "chat"}, "spec": room}, key)
        self._put(CANARIES, canary, key)
        new = objects.deployment(image=image, paused=True)
        marks = {HOLD: template_hash(new["spec"]["template"])}
        marks[STABLE] = template_hash(stable["spec"]["template"])
        new["metadata"] |= {"annotations": marks, "generation": 2}
        self._put(DEPLOYMENTS, new, key)

    def write(self, key: Key, metadata: Json) -> None:
        """Write metadata of a target as a client does."""
        found = self.cluster.now(DEPLOYMENTS, key.namespace, key.name) or {}
        notes = {**found["metadata"].get("annotations", {}), **metadata.get("annotations", {})}
        changed = {**found["metadata"], **metadata, "annotations": notes}
        self.cluster.put(DEPLOYMENTS, {**found, "metadata": changed})

    def _put(self, resource: Any, obj: Json, key: Key) -> Json:
        uid = {"namespace": key.namespace, "uid": f"{key.namespace}-{obj['metadata']['name']}"}
        return self.cluster.put(resource, {**obj, "metadata": {**obj["metadata"], **uid}})

    def _pod(self, key: Key, owner: str, name: str, labels: Json, born: float) -> None:
        number = len(self.cluster.objects)
        made = pod(f"{owner}-{name}", owner, START.timestamp() + born,
                   address=f"{_ADDRESSES[key]}.{number}")  # fmt: skip
        made["metadata"]["labels"] = dict(labels)
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        self._put(PODS, {**made, "status": {**made["status"], **ready}}, key)

    async def work(self) -> None:
        """Make the pods of every canary, and have them ready."""
        while True:
            for key in (WELL, SICK):
                self._ready(key)
            await asyncio.sleep(1)

    def _ready(self, key: Key) -> None:
        found = self.cluster.now(DEPLOYMENTS, key.namespace, "web-canary")
        if found is None:
            return
        wanted = found["spec"]["replicas"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), wanted)
        generation = found["metadata"].get("generation", 0)
        status = {**counts, "observedGeneration": generation}
        if found.get("status") == status:
            return
        self.cluster.put(DEPLOYMENTS, {**found, "status": status})
        self._put(ENDPOINTSLICES, objects.endpoints("web-canary"), key)
        labels = found["spec"]["template"]["metadata"]["labels"]
        now = asyncio.get_running_loop().time()
        if self.cluster.now(PODS, key.namespace, "web-canary-b-1") is None:
            self._pod(key, "web-canary-b", "1", labels, now)


def parts_of_analyzer(
    world: Analyzer, hears: Callable[[Key], None] = lambda _: None
) -> tuple[ClusterIndex, list[Callable[[], Any]]]:
    """Wire the analyzer's parts, each behind its ports, and return what is to be run.

    Args:
        world: what is around them.
        hears: told of each verdict that has changed.

    """
    registry, outside = CollectorRegistry(), world.outside
    cluster, router = world.port("Cluster", world.cluster), world.port("Router", world.routes)

    def seconds() -> float:
        return world.clock().timestamp()

    series = {"prometheus": world.port("SeriesSource", outside)}
    calibrator = Calibrator({"prometheus": world.port("HistorySource", outside)}, seconds)
    gatherer = Gatherer(
        cluster,
        world.port("Scraper", outside),
        series,
        calibrator,
        pace=Pace(server=timedelta(seconds=4)),
        clock=seconds,
        registry=registry,
    )
    providers = {"prometheus": world.port("MetricProvider", outside)}
    deriver = world.port("Deriver", world.deriver)
    samples = {"prometheus": world.port("SampleSource", outside)}
    sampler = Sampler(cluster, providers, "http://prometheus", deriver=deriver, samples=samples)
    inquirer = Inquirer(
        world.port("HookCaller", outside), world.port("Asker", sampler), registry=registry
    )
    services = {"slack": world.port("AlertService", outside)}
    herald = Herald(cluster, services, registry=registry, clock=world.clock)
    hooks = world.port("HookCaller", outside)
    teller = Teller(cluster, hooks, hooks, registry=registry, clock=world.clock)
    index = ClusterIndex(
        namespaces=Informer(world.cluster, NAMESPACES),
        targets=Informer(world.cluster, DEPLOYMENTS),
        canaries=Informer(world.cluster, CANARIES),
        routes=(Informer(world.cluster, HTTPROUTES),),
    )
    records = Records(cluster)
    reconciler = Reconciler(
        cluster=cluster,
        index=index,
        router=router,
        records=records,
        observer=Observer(cluster, router, sampler, world.port("Weigher", gatherer), Defaults()),
        inquirer=world.port("Inquirer", inquirer),
        actor=Actor(cluster, router, records),
        timing=Timing(),
        clock=world.clock,
        metrics=RunMetrics.create(registry),
        questions=Questions(deriver=deriver),
        announcer=world.port("Announcer", herald),
        reporter=world.port("Reporter", teller),
    )
    controller = Controller(index, reconciler, Metrics.create(registry))

    def hasten(key: Key) -> None:
        hears(key)
        controller.hasten(key)

    return index, [
        controller.run,
        lambda: gatherer.run(hasten),
        lambda: inquirer.run(controller.enqueue),
        herald.run,
        teller.run,
        Sweeper(cluster, index, controller.enqueue, timedelta(seconds=30)).run,
        Neighbours(cluster, EVERYWHERE, "headgate-system").run,
        world.work,
    ]


@asynccontextmanager
async def analyzing(world: Analyzer) -> AsyncIterator[None]:
    """Run the analyzer; whatever ends one of its parts fails the block."""
    for namespace in (WELL.namespace, SICK.namespace, "default"):
        labels = {NAMESPACE_LABEL: NAMESPACE_ENABLED}
        world.cluster.put(NAMESPACES, {"metadata": {"name": namespace, "labels": labels}})
    own = {"metadata": {"name": "kubernetes", "namespace": "default"},
           "spec": {"clusterIPs": ["10.96.0.1"]}}  # fmt: skip
    world.cluster.put(SERVICES, own)
    index, parts = parts_of_analyzer(world)
    async with asyncio.TaskGroup() as group:
        watches = [group.create_task(it.run()) for it in index.informers]
        await index.synced()
        tasks = [group.create_task(part()) for part in parts]
        world.running = (*watches, *tasks)
        await asyncio.sleep(0)
        yield
        for task in world.running:
            assert not task.done(), task
            task.cancel()
