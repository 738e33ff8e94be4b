"""Whatever is left unanswered, by hooks, metrics, pods or gateways, what is known acts at once.

A whole analyzer around objects in memory: its real adapters against a server that hangs when it is
told to, in each phase of a run.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Never

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from analyzer.addresses import EVERYWHERE
from analyzer.gathering.calibrator import Calibrator
from analyzer.gathering.gatherer import Gatherer
from analyzer.gathering.pace import Pace
from analyzer.hooks.http import HttpHookCaller
from analyzer.http import open_session
from analyzer.inquiring.inquirer import Inquirer
from analyzer.loop.act import Actor
from analyzer.loop.observe import Observer
from analyzer.loop.reconciler import Reconciler
from analyzer.loop.records import Records
from analyzer.loop.sampling import Sampler
from analyzer.loop.telemetry import RunMetrics
from analyzer.loop.workqueue import WorkQueue
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from analyzer.pod_pages.scraper import PodScraper
from analyzer.ports import Weigher
from analyzer.routers.adopted import AdoptedRoutes
from canary.contract import HOLD, MANAGED_BY, MANAGED_BY_LABEL, STABLE, TARGET_LABEL, Command
from canary.evidence.report import Weighing
from canary.evidence.verdict import Finding, Refuse
from canary.measuring.watch import Watch
from canary.measuring.windowed import WindowCount
from canary.model.hashing import template_hash
from canary.model.values import Json, Key
from canary.model.world import Timing
from canary.queries.provider import ProviderSpec
from canary.spec.canary import Defaults
from runtime.resources import (
    CANARIES,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    HTTPROUTES,
    PODS,
    REPLICASETS,
    SERVICES,
    Resource,
)
from tests.fakes import objects
from tests.fakes.known import OneTarget
from tests.fakes.listening import TestServer
from tests.fakes.stored import Stored

KEY = Key(namespace="prod", name="web")
DEADLINE = 20.0
FIRST = 20
AT_ONCE = 3.0
"""Seconds from when something is known until the canary has no traffic. One is what is promised,
the others are for a machine that does much else; a metrics server is waited for longer, a hook for
an hour."""
TICK = timedelta(milliseconds=200)
ERRORS = (
    'sum(rate(http_requests_total{{pod=~"{{{{ target }}}}-.*",code=~"5.."}}[1m]))'
    ' / sum(rate(http_requests_total{{pod=~"{{{{ target }}}}-.*"}}[1m])) * 100'
).format()


class Phase(Enum):
    """Where a run is."""

    STEP = "at a step"
    PROMOTION = "while it rolls"


class Port(Enum):
    """What can hang."""

    HOOKS = "hooks"
    METRICS = "metrics"
    PODS = "pods"
    ROUTE = "route"


async def announce(moved: asyncio.Condition) -> None:
    """Have those look again who wait for something to be so."""
    async with moved:
        moved.notify_all()


@dataclass
class Outside:
    """Hooks' receiver, metrics server and pods in one; each hangs from when it is told to."""

    hanging: set[Port] = field(default_factory=set)
    stuck: set[Port] = field(default_factory=set)
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    port: int = 0

    async def hook(self, _request: web.Request) -> web.Response:
        await self._wait(Port.HOOKS)
        return web.Response()

    async def metrics(self, _request: web.Request) -> web.Response:
        await self._wait(Port.METRICS)
        value = [{"metric": {}, "value": [1, "0"]}]
        data = {"resultType": "vector", "result": value}
        return web.json_response({"status": "success", "data": data})

    async def page(self, _request: web.Request) -> web.Response:
        await self._wait(Port.PODS)
        return web.Response(text="", content_type="text/plain")

    async def _wait(self, port: Port) -> None:
        if port in self.hanging:
            self.stuck.add(port)
            await announce(self.moved)
            await self.over.wait()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/hook", self.hook)
        app.router.add_get("/metrics", self.page)
        for verb in ("GET", "POST"):
            app.router.add_route(verb, "/api/v1/{query:.*}", self.metrics)
        server = TestServer(app)
        await server.start_server()
        self.url, self.port = str(server.make_url("")).rstrip("/"), server.port or 0
        try:
            yield
        finally:
            self.over.set()
            await server.close()


@dataclass
class Evidence:
    """Gathers evidence, and has enough of it when it is told to."""

    gatherer: Weigher
    refuses: bool = False
    begun: bool = False

    def follow(self, watch: Watch, specs: Mapping[str, ProviderSpec]) -> Weighing | None:
        found = self.gatherer.follow(watch, specs)
        self.begun = found is not None
        if found is None or not self.refuses:
            return found
        finding = Finding(
            metric="errors", test="bound", bound=0.01, effect=20.0, error_probability=1e-6
        )
        return replace(found, verdict=Refuse(finding=finding))

    def counts(self, key: Key) -> tuple[WindowCount, ...]:
        del key
        return ()

    def forget(self, key: Key) -> None:
        self.gatherer.forget(key)


@dataclass
class Analyzer(OneTarget):
    """The cluster, and an analyzer that works on it."""

    outside: Outside
    cluster: Stored = field(default_factory=Stored)
    evidence: Evidence | None = None
    queue: WorkQueue[Key] = field(default_factory=WorkQueue)

    # --- what the informers know ---------------------------------------------------------------

    def target(self, key: Key) -> Json | None:
        return self.cluster.now(DEPLOYMENTS, key.namespace, key.name)

    def canary(self, key: Key) -> Json | None:
        return self.cluster.now(CANARIES, key.namespace, key.name)

    def enabled(self, namespace: str) -> bool:
        return namespace == KEY.namespace

    # --- what a test does ----------------------------------------------------------------------

    async def until(self, so: Callable[[], bool], within: float = DEADLINE) -> None:
        """Wait until something is so; it is an error if that takes long."""
        async with asyncio.timeout(within), self.outside.moved:
            await self.outside.moved.wait_for(so)

    def changed(self) -> None:
        """Have the analyzer hear of a change."""
        self.queue.add(KEY)

    def write(self, resource: Resource, name: str, **parts: Json) -> None:
        """Merge into an object as somebody else does."""
        obj = self.cluster.now(resource, KEY.namespace, name)
        assert obj is not None
        for part, change in parts.items():
            obj[part] = {**obj.get(part, {}), **change}
        self.cluster.put(resource, obj)

    def command(self, command: Command) -> None:
        target = self.target(KEY)
        assert target is not None
        notes = {**target["metadata"]["annotations"], command: "now"}
        self.write(DEPLOYMENTS, "web", metadata={"annotations": notes})

    @property
    def status(self) -> Json:
        found: Json = (self.canary(KEY) or {}).get("status", {})
        return found

    @property
    def weight(self) -> int:
        """Return the canary's share of the route, percent."""
        route = self.cluster.now(HTTPROUTES, KEY.namespace, "web")
        assert route is not None
        refs = route["spec"]["rules"][0]["backendRefs"]
        shares = {ref["name"]: ref.get("weight", 1) for ref in refs}
        share: float = shares.get("web-canary", 0) / sum(shares.values())
        return round(100 * share)

    @property
    def gathers(self) -> bool:
        """Whether there is evidence of the run."""
        return self.evidence is not None and self.evidence.begun

    # --- what runs ------------------------------------------------------------------------------

    async def work(self, reconciler: Reconciler) -> Never:
        """Reconcile as the controller does, with the Deployment controller's part before."""
        while True:
            key = await self.queue.get()
            self.roll_out()
            result = await reconciler.reconcile(key)
            self.queue.done(key)
            if result.requeue_after is not None:
                self.queue.add_after(key, result.requeue_after)
            await announce(self.outside.moved)

    def roll_out(self) -> None:
        """Have all pods of the canary be ready, and one of them listed."""
        found = self.cluster.now(DEPLOYMENTS, KEY.namespace, "web-canary")
        if found is None or found.get("status"):
            return
        counts = dict.fromkeys(
            ("replicas", "updatedReplicas", "readyReplicas"), found["spec"]["replicas"]
        )
        self.write(DEPLOYMENTS, "web-canary", status=counts)
        self.cluster.put(PODS, pod(self.outside.port, template_hash(found["spec"]["template"])))
        self.cluster.put(ENDPOINTSLICES, objects.endpoints("web-canary"))


def pod(port: int, revision: str) -> Json:
    notes = {"prometheus.io/scrape": "true", "prometheus.io/port": str(port)}
    labels = {TARGET_LABEL: "web", MANAGED_BY_LABEL: MANAGED_BY, "pod-template-hash": revision}
    return {
        "metadata": {
            "name": "web-canary-1",
            "namespace": "prod",
            "annotations": notes,
            "labels": labels,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "status": {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "conditions": [
                {"type": kind, "status": "True"} for kind in ("ContainersReady", "Ready")
            ],
            "containerStatuses": [{"name": "app", "restartCount": 0, "state": {"running": {}}}],
        },
    }


def now() -> datetime:
    return datetime.now(UTC)


def seconds() -> float:
    return now().timestamp()


@asynccontextmanager
async def analyzer(hook: str) -> AsyncIterator[Analyzer]:
    """Run an analyzer that has just heard of an update, with a hook of this type."""
    outside = Outside()
    it = Analyzer(outside)
    async with AsyncExitStack() as stack:
        provider = PrometheusProvider(EVERYWHERE)
        stack.push_async_callback(provider.aclose)
        await stack.enter_async_context(outside.serve())
        session = await stack.enter_async_context(open_session(connections=0))
        registry = CollectorRegistry()
        gatherer = Gatherer(
            it.cluster,
            PodScraper(session),
            {"prometheus": provider},
            Calibrator({"prometheus": provider}, seconds),
            pace=Pace(pods=timedelta(milliseconds=200)),
            clock=seconds,
            registry=registry,
        )
        sampler = Sampler(it.cluster, {"prometheus": provider}, outside.url)
        inquirer = Inquirer(HttpHookCaller(EVERYWHERE), sampler, registry=registry)
        it.evidence = Evidence(gatherer)
        defaults = Defaults(min_interval=TICK)
        records, router = Records(it.cluster), AdoptedRoutes(it.cluster)
        reconciler = Reconciler(
            cluster=it.cluster,
            index=it,
            router=router,
            records=records,
            observer=Observer(it.cluster, router, sampler, it.evidence, defaults),
            inquirer=inquirer,
            actor=Actor(it.cluster, router, records),
            timing=Timing(drain=timedelta(0), poll=timedelta(milliseconds=50)),
            clock=now,
            metrics=RunMetrics.create(registry),
        )
        store(it, hook)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(it.work(reconciler)),
                group.create_task(gatherer.run(it.queue.add)),
                group.create_task(inquirer.run(it.queue.add)),
            ]
            it.changed()
            yield it
            for task in tasks:
                task.cancel()
        it.queue.close()


def store(it: Analyzer, hook: str) -> None:
    """Store a target that is held, with its route, Service, Canary and stable ReplicaSet."""
    stable, candidate = objects.deployment(image="web:1"), objects.deployment(image="web:2")
    hashes = {HOLD: hash_of(candidate), STABLE: hash_of(stable)}
    candidate["metadata"]["annotations"] = hashes
    candidate["spec"]["paused"] = True
    owner = it.cluster.put(DEPLOYMENTS, candidate)["metadata"]["uid"]
    it.cluster.put(REPLICASETS, revision("web-1", stable, owner, 4))
    it.cluster.put(
        SERVICES,
        {
            "metadata": {"name": "web", "namespace": "prod"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        },
    )
    it.cluster.put(
        HTTPROUTES,
        {
            "metadata": {"name": "web", "namespace": "prod", "generation": 1},
            "spec": {"rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
        },
    )
    called = {"name": "gate", "type": hook, "url": f"{it.outside.url}/hook", "timeout": "1h"}
    errors = {"name": "errors", "query": ERRORS, "thresholdRange": {"max": 1}}
    asked = objects.canary(
        interval="200ms", stepWeights=[FIRST, 50], webhooks=[called], metrics=[errors]
    )
    it.cluster.put(CANARIES, asked)


def revision(name: str, deployment: Json, owner: str, ready: int) -> Json:
    return {
        "metadata": {
            "name": name,
            "namespace": "prod",
            "labels": deployment["spec"]["selector"]["matchLabels"],
            "ownerReferences": [{"uid": owner, "controller": True}],
        },
        "spec": {"replicas": ready, "template": deployment["spec"]["template"]},
        "status": {"readyReplicas": ready},
    }


def hash_of(deployment: Json) -> str:
    return template_hash(deployment["spec"]["template"])


# --- phases -----------------------------------------------------------------------------------


async def at_a_step(it: Analyzer) -> None:
    """Wait until the first weight is on the route and evidence is gathered."""
    await it.until(lambda: it.weight == FIRST and it.gathers)


async def while_it_rolls(it: Analyzer) -> None:
    """Wait until the candidate has been promoted and half of its pods are new."""
    await it.until(lambda: it.status.get("phase") == "Promoting" and it.gathers)
    new = objects.deployment(image="web:2")
    target = it.target(KEY)
    assert target is not None
    it.cluster.put(REPLICASETS, revision("web-2", new, target["metadata"]["uid"], 2))


PHASES = {Phase.STEP: at_a_step, Phase.PROMOTION: while_it_rolls}


async def hang(it: Analyzer, port: Port) -> None:
    """Have something hang, and wait until the analyzer has come upon it."""
    if port is Port.ROUTE:
        accepted = {"type": "Accepted", "observedGeneration": 0}
        it.write(HTTPROUTES, "web", status={"parents": [{"conditions": [accepted]}]})
        return
    it.outside.hanging.add(port)
    await it.until(lambda: port in it.outside.stuck)


# --- what acts --------------------------------------------------------------------------------


def abort(it: Analyzer) -> None:
    it.command(Command.ABORT)
    it.changed()


def crash(it: Analyzer) -> None:
    words = {"exitCode": 1, "reason": "Error", "message": "no such table"}
    entry = {"name": "app", "restartCount": 1, "lastState": {"terminated": words}}
    it.write(PODS, "web-canary-1", status={"containerStatuses": [entry]})
    it.changed()


def evidence(it: Analyzer) -> None:
    assert it.evidence is not None
    it.evidence.refuses = True
    it.changed()


def another_template(it: Analyzer) -> None:
    candidate = objects.deployment(image="web:3")
    notes = {**(it.target(KEY) or {})["metadata"]["annotations"], HOLD: hash_of(candidate)}
    it.write(DEPLOYMENTS, "web", metadata={"annotations": notes}, spec=candidate["spec"])
    it.changed()


@pytest.mark.parametrize(
    ("phase", "port", "cause"),
    [
        *((Phase.STEP, port, cause) for port in Port for cause in (abort, crash, evidence)),
        # While it rolls no hook is called, and a crash is a failed check among others.
        *(
            (Phase.PROMOTION, port, cause)
            for port in Port
            if port is not Port.HOOKS
            for cause in (abort, evidence)
        ),
    ],
)
async def test_the_canary_loses_its_traffic_at_once(
    phase: Phase, port: Port, cause: Callable[[Analyzer], None]
) -> None:
    async with analyzer("rollout") as it:
        await PHASES[phase](it)
        await hang(it, port)

        cause(it)

        await it.until(lambda: it.weight == 0, within=AT_ONCE)
        await it.until(lambda: it.status["phase"] == "Failed", within=AT_ONCE)
        assert (it.target(KEY) or {})["spec"]["paused"] is True


async def test_another_template_takes_the_traffic_away_at_once() -> None:
    async with analyzer("rollout") as it:
        await at_a_step(it)
        await hang(it, Port.HOOKS)

        another_template(it)

        await it.until(lambda: it.weight == 0, within=AT_ONCE)


@pytest.mark.parametrize(
    ("command", "phase"), [(Command.ABORT, "Failed"), (Command.PROMOTE, "Promoting")]
)
async def test_a_command_acts_at_once_while_a_gate_is_shut(command: Command, phase: str) -> None:
    async with analyzer("pre-rollout") as it:
        it.outside.hanging.add(Port.HOOKS)
        await it.until(lambda: Port.HOOKS in it.outside.stuck)

        it.command(command)
        it.changed()

        await it.until(lambda: it.status["phase"] == phase, within=AT_ONCE)
