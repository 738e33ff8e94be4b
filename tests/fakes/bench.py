"""One analyzer around a cluster in memory: its reconciles, without informers, lease and clock."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry

from analyzer.loop.act import Actor
from analyzer.loop.losses import Losses
from analyzer.loop.observe import Observer
from analyzer.loop.questions import Questions
from analyzer.loop.reconciler import Reconciler, Result
from analyzer.loop.records import Records
from analyzer.loop.references import Find, References
from analyzer.loop.sampling import Sampler
from analyzer.loop.telemetry import RunMetrics
from analyzer.ports import Announcer, Inquirer, MetricProvider, Reporter, Router, Silence, Weigher
from canary.contract import HOLD, SEEN, STABLE
from canary.evidence.report import Weighing
from canary.measuring.watch import Watch
from canary.measuring.windowed import WindowCount
from canary.model.hashing import template_hash
from canary.model.strategy import Strategy
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Json, Key
from canary.model.world import Split, Timing
from canary.objects.flaggers import at_work, sign_of
from canary.queries.provider import ProviderSpec
from canary.spec.canary import Defaults
from canary.spec.made import outdone, preferred, rivals
from runtime.resources import CANARIES, DEPLOYMENTS, ENDPOINTSLICES, REPLICASETS, SERVICES
from tests.fakes import objects
from tests.fakes.inquirer import FakeInquirer
from tests.fakes.stored import Stored

KEY = Key(namespace="prod", name="web")
START = datetime(2026, 1, 1, tzinfo=UTC)
GATE = {"name": "gate", "type": "pre-rollout", "url": "http://gate", "timeout": "1h"}


def hash_of(obj: Json) -> str:
    """Return the identity of a Deployment's template."""
    return template_hash(obj["spec"]["template"])


class OneRoute:
    """A route to the stable Service, while `routes` is 1."""

    def __init__(self) -> None:
        self.traffic = NOTHING
        self.routes = 1

    @property
    def weight(self) -> int:
        """The canary's share, in percent."""
        return self.traffic.weight

    @weight.setter
    def weight(self, weight: int) -> None:
        self.traffic = Traffic(weight)

    async def read_split(self, key: Key, strategy: Strategy) -> Split:
        del key, strategy
        return Split(traffic=self.traffic, routes=self.routes)

    async def write_split(self, key: Key, strategy: Strategy, traffic: Traffic) -> None:
        del key, strategy
        self.traffic = traffic

    async def clean(self, key: Key) -> bool:
        del key
        had, self.traffic = not self.traffic.is_nothing, NOTHING
        return had

    async def ensure(self, key: Key, strategy: Strategy, owner: Json) -> None:
        del key, strategy, owner

    async def in_the_way(self, key: Key, strategy: Strategy, canary: Json) -> tuple[str, ...]:
        del key, strategy, canary
        return ()


class NoWeigher:
    """Gathers nothing."""

    def follow(self, watch: Watch, specs: Mapping[str, ProviderSpec]) -> Weighing | None:
        del watch, specs
        return None

    def counts(self, key: Key) -> tuple[WindowCount, ...]:
        del key
        return ()

    def forget(self, key: Key) -> None:
        del key


@dataclass
class Bench:
    """One analyzer around one stored cluster; another one around the same is its successor.

    Its route is `router`, unless routes of that cluster are `adopted`.
    """

    cluster: Stored = field(default_factory=Stored)
    inquirer: Inquirer = field(default_factory=FakeInquirer)
    announcer: Announcer = field(default_factory=Silence)
    reporter: Reporter = field(default_factory=Silence)
    router: OneRoute = field(default_factory=OneRoute)
    providers: Mapping[str, MetricProvider] = field(default_factory=dict)
    labelled: bool = True
    defaults: Defaults = Defaults()
    is_ending: bool = False
    is_unmanaged: bool = False
    now: datetime = START
    weigher: Weigher = field(default_factory=NoWeigher)
    losses: Losses = field(default_factory=Losses)
    adopted: Router | None = None
    find: Find | None = None
    questions: Questions = Questions()
    doubts: frozenset[Key] = frozenset()
    draining: dict[Key, datetime] = field(default_factory=dict)
    made_after: timedelta = timedelta(0)
    missed_after: timedelta = timedelta(0)

    # --- what the informers know ---------------------------------------------------------------

    def target(self, key: Key) -> Json | None:
        return self.cluster.now(DEPLOYMENTS, key.namespace, key.name)

    def has_target(self, key: Key) -> bool:
        return self.target(key) is not None

    def canary(self, key: Key) -> Json | None:
        return preferred(self.canaries(key))

    def outdone(self, key: Key) -> Json | None:
        return outdone(self.canaries(key))

    def rivals(self, key: Key) -> tuple[Json, ...]:
        return rivals(self.canaries(key))

    def doubt(self, key: Key) -> None:
        self.doubts |= {key}

    def doubted(self, key: Key) -> bool:
        found, self.doubts = key in self.doubts, self.doubts - {key}
        return found

    def made_in(self, key: Key) -> timedelta:
        del key
        return self.made_after

    def missed_in(self, key: Key) -> timedelta:
        del key
        return self.missed_after

    def canaries(self, key: Key) -> list[Json]:
        found = (obj for (kind, _, _), obj in self.cluster.objects.items() if kind == "canaries")
        return [copy.deepcopy(obj) for obj in found if obj["spec"]["targetRef"]["name"] == key.name]

    def flagger(self, namespace: str) -> str:
        found = (obj for (kind, _, _), obj in self.cluster.objects.items() if kind == "deployments")
        return at_work([sign for obj in found if (sign := sign_of(obj)) is not None], namespace)

    def split(self, key: Key) -> bool:
        del key
        return not self.router.traffic.is_nothing

    def ending(self, namespace: str) -> bool:
        del namespace
        return self.is_ending

    def unmanaged(self, namespace: str) -> bool:
        del namespace
        return self.is_unmanaged

    def enabled(self, namespace: str) -> bool:
        del namespace
        return self.labelled

    # --- what a test does ----------------------------------------------------------------------

    def sampler(self) -> Sampler:
        """Return what prepares and asks the queries of metrics."""
        return Sampler(self.cluster, self.providers, "http://metrics")

    async def reconcile(self, key: Key = KEY) -> Result:
        """Look at one target and do what it needs."""
        return await self.reconciler().reconcile(key)

    def reconciler(self) -> Reconciler:
        """Return the analyzer's reconciler as it is after a start: it remembers nothing."""
        records = Records(self.cluster)
        sampler = self.sampler()
        return Reconciler(
            cluster=self.cluster,
            index=self,
            router=self.adopted or self.router,
            records=records,
            observer=Observer(
                self.cluster,
                self.adopted or self.router,
                sampler,
                self.weigher,
                self.defaults,
                References(self.find),
            ),
            inquirer=self.inquirer,
            actor=Actor(self.cluster, self.adopted or self.router, records),
            timing=Timing(),
            clock=lambda: self.now,
            metrics=RunMetrics.create(CollectorRegistry()),
            losses=self.losses,
            draining=self.draining,
            questions=self.questions,
            announcer=self.announcer,
            reporter=self.reporter,
        )

    def write(self, image: str, marks: Mapping[str, str | None] = {}, **spec: Any) -> Json:
        """Write the target as a client does."""
        before = self.target(KEY) or {"metadata": {}}
        notes = {**(before["metadata"].get("annotations") or {}), **marks}
        obj = objects.deployment(image=image)
        obj["metadata"]["annotations"] = {k: v for k, v in notes.items() if v is not None}
        obj["metadata"]["generation"] = before["metadata"].get("generation", 0) + 1
        obj["spec"] |= spec
        return self.cluster.put(DEPLOYMENTS, obj)

    def mark(self) -> str | None:
        target = self.target(KEY)
        assert target is not None
        found: str | None = target["metadata"].get("annotations", {}).get(SEEN)
        return found

    def events(self) -> list[str]:
        return [
            obj["message"]
            for (plural, _, _), obj in self.cluster.objects.items()
            if plural == "events" and obj["involvedObject"]["kind"] == "Deployment"
        ]


def service(bench: Bench) -> None:
    """Make the stable Service."""
    bench.cluster.put(
        SERVICES,
        {
            "metadata": {"name": "web", "namespace": "prod"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        },
    )


def held(bench: Bench, **analysis: Any) -> Bench:
    """Hold a new version of a target whose Canary has this analysis."""
    stable = bench.write("web:1")
    service(bench)
    bench.cluster.put(
        REPLICASETS,
        {
            "metadata": {
                "name": "web-1",
                "namespace": "prod",
                "labels": {"app": "web"},
                "ownerReferences": [{"uid": stable["metadata"]["uid"], "controller": True}],
            },
            "spec": {"replicas": 4, "template": stable["spec"]["template"]},
            "status": {"readyReplicas": 4},
        },
    )
    bench.cluster.put(CANARIES, objects.canary(**analysis))
    obj = objects.deployment(image="web:2")
    marks = {HOLD: hash_of(obj), STABLE: hash_of(stable)}
    bench.write("web:2", marks, paused=True)
    return bench


def ready(bench: Bench) -> None:
    """Let the canary's pods be ready, if it has any."""
    found = bench.cluster.now(DEPLOYMENTS, "prod", "web-canary")
    if found is not None:
        wanted = found["spec"]["replicas"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas"), wanted)
        generation = found["metadata"].get("generation", 0)
        found["status"] = {**counts, "observedGeneration": generation}
        bench.cluster.put(DEPLOYMENTS, found)
        bench.cluster.put(ENDPOINTSLICES, objects.endpoints("web-canary"))


def status(bench: Bench) -> Json:
    """Return the status of the Canary."""
    canary = bench.canary(KEY)
    assert canary is not None
    found: Json = canary["status"]
    return found
