"""The teams' objects: as many Deployments as are asked for, each with what leads traffic to it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL
from runtime.errors import Unavailable
from runtime.kube import Cluster
from runtime.resources import CANARIES, DEPLOYMENTS, HTTPROUTES, NAMESPACES, SERVICES, Resource
from tests.bench.review_sample import deployment
from tests.bench.scale.cluster import NODE

Json = dict[str, Any]
T = TypeVar("T")
AT_ONCE: Final = 48
"""Requests of the teams that are out at a time."""
BEFORE, AFTER = "registry.example/shop/web:1.0", "registry.example/shop/web:1.1"
EXTRA: Final = (
    'sum(rate(envoy_cluster_upstream_rq{{envoy_cluster_name="{backend}",'
    'envoy_response_code="50{digit}"}}[1m])) or vector(0)'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a row has: targets, how they lie in namespaces, and how each release is judged.

    `metrics` are checks of each run, the two built-in ones first; `interval` is in seconds.
    """

    targets: int
    namespaces: int
    metrics: int = 2
    interval: int = 5
    steps: tuple[int, ...] = tuple(range(1, 100))
    enabled: bool = True
    replicas: int = 1
    routed: bool = True

    def names(self) -> list[tuple[str, str]]:
        """Return namespace and name of each target."""
        return [(f"scale-{it % self.namespaces}", f"app-{it}") for it in range(self.targets)]


async def each(things: Iterable[T], do: Callable[[T], Awaitable[object]]) -> None:
    """Do something with each, a bounded number at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(thing: T) -> None:
        async with places:
            await do(thing)

    async with asyncio.TaskGroup() as group:
        for thing in things:
            group.create_task(one(thing))


async def set_up(cluster: Cluster, plan: Plan) -> None:
    """Create everything, and return when every Deployment is as large as it should be."""
    label = {NAMESPACE_LABEL: NAMESPACE_ENABLED} if plan.enabled else {}
    spaces = sorted({namespace for namespace, _ in plan.names()})

    async def space(name: str) -> None:
        await cluster.create(NAMESPACES, {"metadata": {"name": name, "labels": label}})

    await each(spaces, space)

    async def target(place: tuple[str, str]) -> None:
        namespace, name = place
        for resource, obj in _objects(plan, namespace, name):
            obj["metadata"]["namespace"] = namespace
            obj |= {"apiVersion": resource.api_version, "kind": resource.kind}
            await cluster.create(resource, obj)

    await each(plan.names(), target)
    await _settled(cluster, plan)


def _objects(plan: Plan, namespace: str, name: str) -> Iterable[tuple[Resource, Json]]:
    team = deployment(BEFORE, name=name)
    team["spec"]["replicas"] = plan.replicas
    pod = team["spec"]["template"]
    pod["metadata"].pop("annotations")  # nobody serves the pages of played pods
    pod["spec"] |= {"nodeName": NODE, "automountServiceAccountToken": False}
    yield DEPLOYMENTS, team
    if not plan.routed:
        return
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    yield (
        SERVICES,
        {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": ports}},
    )
    yield (
        HTTPROUTES,
        {
            "metadata": {"name": name},
            "spec": {
                "parentRefs": [{"name": "gateway", "namespace": "default"}],
                "hostnames": [f"{name}.{namespace}.example"],
                "rules": [{"backendRefs": [{"name": name, "port": 80}]}],
            },
        },
    )
    yield CANARIES, _canary(plan, namespace, name)


def _canary(plan: Plan, namespace: str, name: str) -> Json:
    backend = f"{namespace}_{name}-canary_80"
    metrics: list[Json] = [
        {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"},
        {"name": "request-duration", "thresholdRange": {"max": 500}, "interval": "1m"},
        *(
            {
                "name": f"extra-{digit}",
                "query": EXTRA.format(backend=backend, digit=digit),
                "thresholdRange": {"max": 1},
                "interval": "1m",
            }
            for digit in range(1, 9)
        ),
    ]
    return {
        "metadata": {"name": name},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "service": {"port": 80, "targetPort": 8080},
            "analysis": {
                "interval": f"{plan.interval}s",
                # Out of the judge's way: who refuses is the evidence, at once.
                "threshold": 100,
                "stepWeights": list(plan.steps),
                "metrics": metrics[: plan.metrics],
            },
        },
    }


async def _settled(cluster: Cluster, plan: Plan) -> None:
    end = time.monotonic() + 300 + plan.targets / 5
    found = 0
    while time.monotonic() < end:
        found = 0
        async for page in cluster.pages(DEPLOYMENTS):
            found += sum(
                (it.get("status") or {}).get("readyReplicas", 0) == plan.replicas
                and (it.get("status") or {}).get("observedGeneration", 0)
                >= it["metadata"]["generation"]
                for it in page.items
            )
        if found >= plan.targets:
            return
        await asyncio.sleep(1)
    raise AssertionError(f"{found} of {plan.targets} Deployments are as they should be")


async def push(cluster: Cluster, plan: Plan) -> dict[tuple[str, str], float]:
    """Give every target a new image at once; return when each write was taken, since 1970."""
    taken: dict[tuple[str, str], float] = {}

    async def one(place: tuple[str, str]) -> None:
        namespace, name = place
        change = [
            {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": AFTER}
        ]
        while place not in taken:
            # Where the machine is late the API server gives the webhook's call up: sent again.
            with suppress(Unavailable):
                await cluster.json_patch(DEPLOYMENTS, namespace, name, change)
                taken[place] = time.time()

    await each(plan.names(), one)
    return taken
