"""An analyzer in this process around a real target, and a watch on which versions its pods run.

What the webhook would write is written here, and the Canary and the route are kept in memory, so
that nothing of it depends on, or meets, an installation. What is real is what matters: the API
server and its Deployment controller, with pods.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from prometheus_client import CollectorRegistry

from analyzer.loop.act import Actor
from analyzer.loop.observe import Observer
from analyzer.loop.reconciler import Reconciler
from analyzer.loop.records import Records, state_of
from analyzer.loop.sampling import Sampler
from analyzer.loop.telemetry import RunMetrics
from analyzer.ports import Router
from canary.contract import EVIDENCE, FIELD_MANAGER, HOLD, INTERNAL_ANNOTATIONS, STABLE
from canary.model.hashing import template_hash
from canary.model.state import State
from canary.model.values import Json, Key
from canary.model.world import Place, Revision, Timing
from canary.objects.parking import number_of
from canary.objects.workloads import annotations, read_revisions
from canary.spec.canary import Defaults
from runtime.errors import Expired, HeadgateError
from runtime.kube import Cluster
from runtime.resources import (
    CANARIES,
    DEPLOYMENTS,
    PODS,
    REPLICASETS,
    SERVICES,
    ListResult,
    Resource,
)
from tests.fakes import objects
from tests.fakes.bench import NoWeigher, OneRoute
from tests.fakes.inquirer import FakeInquirer
from tests.fakes.known import OneTarget
from tests.fakes.stored import Stored

IMAGE = "headgate/demo"
DEADLINE = 60.0
LOOK = 0.05


@dataclass
class Beside:
    """A real cluster, but for Canaries: an installation would take part in those."""

    real: Cluster
    canaries: Stored = field(default_factory=Stored)

    def _of(self, resource: Resource) -> Any:
        return self.canaries if resource is CANARIES else self.real

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        found: Json = await self._of(resource).get(resource, namespace, name)
        return found

    async def groups(self) -> frozenset[str]:
        return await self.real.groups()

    def pages(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> AsyncGenerator[ListResult, None]:
        found: AsyncGenerator[ListResult, None] = self._of(resource).pages(
            resource, namespace, label_selector=label_selector
        )
        return found

    async def create(
        self, resource: Resource, obj: Json, *, field_manager: str = FIELD_MANAGER
    ) -> Json:
        made: Json = await self._of(resource).create(resource, obj, field_manager=field_manager)
        return made

    async def apply(self, resource: Resource, obj: Json) -> Json:
        return await self.real.apply(resource, obj)

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, patch: Json, *, subresource: str = ""
    ) -> Json:
        written: Json = await self._of(resource).merge_patch(
            resource, namespace, name, patch, subresource=subresource
        )
        return written

    async def json_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        ops: Sequence[Json],
        *,
        subresource: str = "",
    ) -> Json:
        written: Json = await self._of(resource).json_patch(
            resource, namespace, name, ops, subresource=subresource
        )
        return written

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        await self.real.delete(
            resource, namespace, name, uid=uid, resource_version=resource_version
        )

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        found: ListResult = await self._of(resource).list(
            resource, namespace, label_selector=label_selector
        )
        return found


@dataclass
class Scaled(OneTarget):
    """One target, and what people and autoscalers do to it."""

    cluster: Cluster
    namespace: str
    versions: set[str] = field(default_factory=set)
    beside: Beside = field(init=False)
    router: OneRoute = field(default_factory=OneRoute)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _ends: bool = False
    _analyzer: "asyncio.Task[None] | None" = None

    def __post_init__(self) -> None:
        """Keep the Canary apart."""
        self.beside = Beside(self.cluster)

    @property
    def key(self) -> Key:
        """The target's key."""
        return Key(namespace=self.namespace, name="web")

    # --- what the informers know ---------------------------------------------------------------

    def target(self, key: Key) -> Json | None:
        """Return something that is no reason to rest."""
        return objects.deployment(annotations={HOLD: "x"}) if key == self.key else None

    def canary(self, key: Key) -> Json | None:
        return self.beside.canaries.now(CANARIES, key.namespace, key.name)

    def enabled(self, namespace: str) -> bool:
        return namespace == self.namespace

    # --- the analyzer --------------------------------------------------------------------------

    def splitter(self) -> Router:
        """Return what splits the traffic."""
        return self.router

    async def analyze(self) -> None:
        """Be the analyzer until it ends: look at every change, and when it is time."""
        sampler, records = Sampler(self.beside, {}, ""), Records(self.beside)
        reconciler = Reconciler(
            cluster=self.beside,
            index=self,
            router=self.splitter(),
            records=records,
            observer=Observer(self.beside, self.splitter(), sampler, NoWeigher(), Defaults()),
            inquirer=FakeInquirer(),
            actor=Actor(self.beside, self.splitter(), records),
            timing=Timing(),
            clock=self.cluster.now,
            metrics=RunMetrics.create(CollectorRegistry()),
        )
        while not self._ends:
            self._news.clear()
            try:
                result = await reconciler.reconcile(self.key)
                after = result.requeue_after
                wait = 1.0 if after is None else min(1.0, after.total_seconds())
            except HeadgateError:  # as the controller: again, a little later
                wait = LOOK
            try:
                async with asyncio.timeout(max(wait, LOOK)):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def follow(self) -> None:
        """Tell the analyzer of the target's changes, as its informer does."""
        found = await self.cluster.list(DEPLOYMENTS, self.namespace)
        version = found.resource_version
        while True:
            watch = self.cluster.watch(
                DEPLOYMENTS, resource_version=version, namespace=self.namespace
            )
            async with aclosing(watch) as events:
                async for event in events:
                    version = event.object["metadata"]["resourceVersion"]
                    self._news.set()

    async def see_pods(self) -> None:
        """Note the version of every pod of the target that ever is, not of its canary."""
        label = "app=web"
        found = await self.cluster.list(PODS, self.namespace, label_selector=label)
        version = found.resource_version
        while True:
            watch = self.cluster.watch(
                PODS, resource_version=version, namespace=self.namespace, label_selector=label
            )
            try:
                async with aclosing(watch) as events:
                    async for event in events:
                        version = event.object["metadata"]["resourceVersion"]
                        if event.type == "ADDED":
                            self.versions.add(version_of(event.object["spec"]))
            except Expired as expired:
                raise AssertionError("pods were missed") from expired

    # --- what people do ------------------------------------------------------------------------

    async def deploy(self, *versions: str, replicas: int = 2, **spec: Any) -> None:
        """Roll versions out one after the other, before Headgate watches; the last one serves."""
        obj = objects.deployment(image=f"{IMAGE}:{versions[0]}", replicas=replicas)
        obj["metadata"] = {"name": "web", "namespace": self.namespace}
        pod = obj["spec"]["template"]["spec"]
        pod["terminationGracePeriodSeconds"] = 0
        pod["containers"][0]["imagePullPolicy"] = "IfNotPresent"
        obj["spec"] |= spec
        await self.cluster.create(DEPLOYMENTS, obj)
        service = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
        metadata = {"name": "web", "namespace": self.namespace}
        await self.cluster.create(SERVICES, {"metadata": metadata, "spec": service})
        await self.rolled_out(versions[0])
        for version in versions[1:]:
            await self._patch({"spec": {"template": _with_image(version)}})
            await self.rolled_out(version)
        self.judge_every("1h")

    def judge_every(self, interval: str) -> None:
        """Write the Canary: one step, without metrics."""
        canary = objects.canary(interval=interval, stepWeight=50, metrics=[], webhooks=[])
        canary["metadata"] |= {"namespace": self.namespace, "annotations": {EVIDENCE: "off"}}
        before = self.canary(self.key) or {}
        self.beside.canaries.put(CANARIES, {**before, **canary})

    async def push(self, version: str) -> None:
        """Write a template as the webhook lets it through."""
        target = await self.read()
        marks = annotations(target)
        template = target["spec"]["template"]
        before = template_hash(template)
        template["spec"]["containers"][0]["image"] = f"{IMAGE}:{version}"
        wanted, stable = template_hash(template), marks.get(STABLE, before)
        if wanted == stable:
            notes: Json = dict.fromkeys(INTERNAL_ANNOTATIONS)
            patch: Json = {"paused": None}
        else:
            notes, patch = {HOLD: wanted, STABLE: stable}, {"paused": True}
        await self._patch(
            {
                "metadata": {"annotations": notes},
                "spec": {**patch, "template": _with_image(version)},
            }
        )

    async def annotate(self, command: str) -> None:
        """Give a command."""
        await self._patch({"metadata": {"annotations": {command: "now"}}})

    async def scale(self, replicas: int, *, by_autoscaler: bool) -> None:
        """Scale through the scale subresource, as autoscalers and kubectl do, or in the object."""
        await self._patch(
            {"spec": {"replicas": replicas}}, subresource="scale" if by_autoscaler else ""
        )

    # --- what is there -------------------------------------------------------------------------

    async def read(self) -> Json:
        """Return the target."""
        return await self.cluster.get(DEPLOYMENTS, self.namespace, "web")

    def state(self) -> State:
        """Return the run's state."""
        canary = self.canary(self.key)
        assert canary is not None
        return state_of(canary)

    async def revisions(self) -> tuple[Revision, ...]:
        """Return all ReplicaSets of the target."""
        found = (await self.cluster.list(REPLICASETS, self.namespace)).items
        return read_revisions(found, await self.read())

    async def history(self) -> dict[int, str]:
        """Return what `kubectl rollout history` shows: versions by number."""
        target = await self.read()
        found = (await self.cluster.list(REPLICASETS, self.namespace)).items
        owned = {r.name for r in read_revisions(found, target) if r.place is Place.OWNED}
        return {
            number_of(obj): version_of(obj["spec"]["template"]["spec"])
            for obj in found
            if obj["metadata"]["name"] in owned
        }

    async def rolled_out(self, version: str) -> None:
        """Wait until a version has all pods, ready."""
        async with asyncio.timeout(DEADLINE):
            while not await self.is_rolled_out(version):  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(LOOK)

    async def ready(self) -> int:
        """Return how many pods of the target serve."""
        pods = (await self.cluster.list(PODS, self.namespace, label_selector="app=web")).items
        conditions = [one for pod in pods for one in pod["status"].get("conditions") or ()]
        return len([c for c in conditions if (c["type"], c["status"]) == ("Ready", "True")])

    async def is_rolled_out(self, version: str) -> bool:
        """Tell whether a version has all pods, ready."""
        target = await self.read()
        replicas = target["spec"]["replicas"]
        pods = (await self.cluster.list(PODS, self.namespace, label_selector="app=web")).items
        alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        ready = (target.get("status") or {}).get("readyReplicas", 0)
        return len(alive) == replicas == ready and {version_of(pod["spec"]) for pod in alive} <= {
            version
        }

    async def _patch(self, patch: Json, *, subresource: str = "") -> None:
        await self.cluster.merge_patch(
            DEPLOYMENTS, self.namespace, "web", patch, subresource=subresource
        )

    @asynccontextmanager
    async def analyzed(self) -> AsyncIterator[Self]:
        """Analyze, follow and see while the block runs."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.follow()), group.create_task(self.see_pods())]
            self._ends = False
            self._analyzer = group.create_task(self.analyze())
            self._group = group
            yield self
            # Not in the middle of a request: a handshake that is broken off outlives the loop.
            self._ends = True
            self._news.set()
            await self._analyzer
            for task in tasks:
                task.cancel()

    async def restart(self, *, after: float) -> None:
        """Kill the analyzer, and start another one a while later."""
        assert self._analyzer is not None
        self._analyzer.cancel()
        await asyncio.sleep(after)
        self._analyzer = self._group.create_task(self.analyze())


def version_of(pod: Json) -> str:
    """Return the version that a pod's spec runs."""
    return str(pod["containers"][0]["image"]).rpartition(":")[2]


def _with_image(version: str) -> Json:
    return {"spec": {"containers": [{"name": "app", "image": f"{IMAGE}:{version}"}]}}
