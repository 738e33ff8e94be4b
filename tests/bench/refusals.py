"""From the sample that refuses a version to weight 0, while many runs are under way.

The analyzer's own parts around objects in memory (`tests/fakes/analyzer.py`), on a loop in real
time; measured in processor time of this process. What the API server takes is not in it, and what
the objects in memory take is.
"""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, TypeVarTuple

from analyzer.ports import AtOnce
from canary.contract import HOLD, NAMESPACE_ENABLED, NAMESPACE_LABEL, STABLE
from canary.counting.series import Series
from canary.model.hashing import template_hash
from canary.model.strategy import Strategy
from canary.model.traffic import Traffic
from canary.model.values import Json, Key
from canary.queries.provider import ProviderSpec
from runtime.resources import (
    CANARIES,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    REPLICASETS,
    SERVICES,
    ListResult,
    Resource,
)
from tests.bench.figures import Figure, quantile
from tests.bench.load import LoadError
from tests.fakes import objects
from tests.fakes.analyzer import START, Analyzer, Outside, Routes, parts_of_analyzer
from tests.fakes.evidence import pod
from tests.fakes.watched import Watched

_T = TypeVar("_T")
_Given = TypeVarTuple("_Given")

RUNS: Final = (30, 300)
SICK: Final = 20
"""Versions that go bad, one after the other."""
PATIENCE: Final = 240.0
MILLI: Final = 1e3
_METRICS: Final = [{"name": "request-success-rate", "thresholdRange": {"min": 99}}]
_CLUSTERS: Final = re.compile(r"(team-\d+)_(web(?:-canary)?)_\[0-9\]")
_CODES: Final = ("200", "500")


@dataclass
class Crowd(Watched):
    """Objects by kind and namespace, so that a list takes as long as it is."""

    _placed: defaultdict[tuple[str, str], dict[str, Json]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def put(self, resource: Resource, obj: Json) -> Json:
        stored = super().put(resource, obj)
        place = stored["metadata"].get("namespace", "")
        self._placed[resource.plural, place][stored["metadata"]["name"]] = stored
        return stored

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        super().remove(resource, namespace, name)
        self._placed[resource.plural, namespace].pop(name, None)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        if namespace is None:
            return await super().list(resource, namespace, label_selector=label_selector)
        everything, self.objects = (
            self.objects,
            {
                (resource.plural, namespace, name): obj
                for name, obj in self._placed[resource.plural, namespace].items()
            },
        )
        try:
            return await super().list(resource, namespace, label_selector=label_selector)
        finally:
            self.objects = everything


@dataclass
class Gateway(Outside):
    """Counts the requests of all backends; of the sick canaries half are bad."""

    sick: set[str] = field(default_factory=set)
    answered: list[float] = field(default_factory=list)
    """When, by the processor time of this process: on a busy machine others' is in all else."""

    async def series(self, spec: ProviderSpec, query: str) -> tuple[Series, ...]:
        del spec
        now = asyncio.get_running_loop().time()
        found = tuple(
            Series(
                {
                    "__name__": "envoy_cluster_upstream_rq",
                    "envoy_cluster_name": f"{namespace}_{service}_80",
                    "envoy_response_code": code,
                },
                self._count(namespace, service, code, now),
            )
            for namespace, service in dict.fromkeys(_CLUSTERS.findall(query))
            for code in _CODES
        )
        self.answered.append(time.process_time())
        return found

    def _count(self, namespace: str, service: str, code: str, now: float) -> float:
        bad = code == "500"
        if service == "web-canary" and namespace in self.sick:
            return 300 * now
        return now if bad else 500 * now


@dataclass
class Ended(Routes):
    """Notes when a canary's traffic ended."""

    ended: dict[Key, float] = field(default_factory=dict)

    async def write_split(self, key: Key, strategy: Strategy, traffic: Traffic) -> None:
        await super().write_split(key, strategy, traffic)
        if traffic.is_nothing:
            self.ended.setdefault(key, time.process_time())


class Remembering(AtOnce):
    """Works out each thing once, as the process that does it for the analyzer does."""

    def __init__(self) -> None:
        self._remembered: dict[str, Any] = {}

    async def derive(self, asker: str, work: Callable[[*_Given], _T], *given: *_Given) -> _T:
        key = repr((work.__qualname__, given))
        if key not in self._remembered:
            self._remembered[key] = await super().derive(asker, work, *given)
        found: _T = self._remembered[key]
        return found


@dataclass
class Busy(Analyzer):
    """Many runs, each in a namespace of its own."""

    keys: list[Key] = field(default_factory=list)
    cluster: Crowd = field(default_factory=Crowd)
    outside: Gateway = field(default_factory=Gateway)
    routes: Ended = field(default_factory=Ended)
    hastened: dict[Key, float] = field(default_factory=dict)
    deriver: AtOnce = field(default_factory=Remembering)

    def hold(self, key: Key, image: str = "web:2") -> None:
        stable = self._put(DEPLOYMENTS, objects.deployment(image="web:1"), key)
        service = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
        self._put(SERVICES, {"metadata": {"name": "web"}, "spec": service}, key)
        owner = [{"kind": "Deployment", "uid": stable["metadata"]["uid"], "controller": True}]
        metadata = {"name": "web-1", "labels": {"app": "web"}, "ownerReferences": owner}
        spec = {"replicas": 1, "template": stable["spec"]["template"]}
        ready = {"replicas": 1, "readyReplicas": 1}
        self._put(REPLICASETS, {"metadata": metadata, "spec": spec, "status": ready}, key)
        self._pod(key, "web-1", "stable", {"app": "web"}, -3600)
        asked = {"interval": "5s", "maxWeight": 50, "stepWeight": 1}
        self._put(CANARIES, objects.canary(metrics=_METRICS, threshold=99, **asked), key)
        new = objects.deployment(image=image, paused=True)
        marks = {HOLD: template_hash(new["spec"]["template"])}
        marks[STABLE] = template_hash(stable["spec"]["template"])
        new["metadata"] |= {"annotations": marks, "generation": 2}
        self._put(DEPLOYMENTS, new, key)

    def _pod(self, key: Key, owner: str, name: str, labels: Json, born: float) -> None:
        made = pod(f"{owner}-{name}", owner, START.timestamp() + born, scraped=False)
        made["metadata"]["labels"] = dict(labels)
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        self._put(PODS, {**made, "status": {**made["status"], **ready}}, key)

    async def work(self) -> None:
        while True:
            for key in self.keys:
                self._ready(key)
            await asyncio.sleep(1)


def figures(sizes: Iterable[int] = RUNS) -> list[Figure]:
    """Measure each size."""
    return [figure for runs in sizes for figure in asyncio.run(_measured(runs))]


async def _measured(runs: int) -> list[Figure]:
    world = Busy(keys=[Key(namespace=f"team-{at}", name="web") for at in range(runs)])
    for key in world.keys:
        labels = {NAMESPACE_LABEL: NAMESPACE_ENABLED}
        world.cluster.put(NAMESPACES, {"metadata": {"name": key.namespace, "labels": labels}})
    index, parts = parts_of_analyzer(world, lambda key: world.hastened.update(_now(key)))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(it.run()) for it in index.informers]
        await index.synced()
        tasks += [group.create_task(part()) for part in parts]
        await asyncio.sleep(1)
        found = [await _started(world), *await _refused(world)]
        for task in tasks:
            task.cancel()
    return found


def _now(key: Key) -> dict[Key, float]:
    return {key: time.process_time()}


async def _started(world: Busy) -> Figure:
    """Push all at once; return how long the slowest takes to its first weight."""
    began = asyncio.get_running_loop().time()
    processor = time.process_time()
    for key in world.keys:
        world.hold(key)
    await _until(lambda: len(_serving(world)) == len(world.keys))
    took = asyncio.get_running_loop().time() - began
    each = (time.process_time() - processor) / len(world.keys) * MILLI
    return Figure(
        name=f"{len(world.keys)} versions pushed at once, to the slowest's first weight",
        value=took,
        unit="s",
        note=f"{each:.0f} ms of a processor each",
    )


def _serving(world: Busy) -> list[Key]:
    return [key for key, weight in world.routes.weights.items() if weight]


async def _refused(world: Busy) -> list[Figure]:
    """Have versions go bad, one after the other; return how long each serves on then."""
    await asyncio.sleep(15)
    sick = world.keys[:: max(1, len(world.keys) // SICK)][:SICK]
    world.routes.ended.clear()
    for key in sick:
        world.outside.sick.add(key.namespace)
        await asyncio.sleep(0.7)
    await _until(lambda: world.routes.ended.keys() >= set(sick))
    waits = [_wait(world, key) for key in sick]
    runs = len(world.keys)
    return [
        Figure(
            name=f"refusing sample to weight 0, {name}, at {runs} runs",
            value=quantile(waits, share),
            unit="s",
            aim=aim,
        )
        for name, share, aim in (("median", 0.5, 0.5), ("slowest", 1.0, 2.0))
    ]


def _wait(world: Busy, key: Key) -> float:
    known = world.hastened[key]
    sample = max(time for time in world.outside.answered if time <= known)
    return world.routes.ended[key] - sample


async def _until(done: Callable[[], bool]) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while not done():  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise LoadError("the runs do not come as far as they should") from error
