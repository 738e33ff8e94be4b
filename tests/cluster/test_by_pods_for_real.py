"""Without mesh and gateway: the canary's pods share a real Service's requests, and none is lost.

The analyzer is this process's own, as in `test_scaling.py`. Deployments, pods, endpoints and the
node's proxy are the cluster's. Each request has a connection of its own, to whichever pod.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from analyzer.ports import Router
from analyzer.routers.chosen import Chosen
from canary.contract import EVIDENCE, JOINED, SHARE_BY_PODS, Command
from canary.model.state import Phase
from canary.model.values import Json
from runtime.resources import CANARIES, DEPLOYMENTS, PODS, SERVICES
from tests.cluster.runtime_kit import own_namespace
from tests.cluster.scaling_kit import IMAGE, Scaled
from tests.cluster.scaling_steps import in_phase, until
from tests.fakes import objects

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.usefixtures("undisturbed"),
]
LABELS = {"app": "web", "tier": "front"}
STABLE, CANARY = "headgate demo 1.0", "headgate demo 1.1"
ENOUGH = 300
"""Requests by which a share of one half is told: 0.35 to 0.65 is five standard deviations."""
PAUSE = 0.02


@dataclass
class Shared(Scaled):
    """A target that selects by more than its Service does, and what its users see.

    `answers` are by version, or the error; `ended` are pods that were deleted while they were in
    the Service.
    """

    answers: Counter[str] = field(default_factory=Counter)
    ended: list[str] = field(default_factory=list)

    def splitter(self) -> Router:
        return Chosen(self.cluster)

    def judge_every(self, interval: str) -> None:
        """Write the Canary: shares of 20 and of 50 %, by the number of pods."""
        canary = objects.canary(
            interval=interval, stepWeight=None, stepWeights=[20, 50], metrics=[], webhooks=[]
        )
        del canary["spec"]["analysis"]["stepWeight"]
        canary["spec"]["provider"] = "kubernetes"
        notes = {EVIDENCE: "off", SHARE_BY_PODS: "on"}
        canary["metadata"] |= {"namespace": self.namespace, "annotations": notes}
        before = self.canary(self.key) or {}
        self.beside.canaries.put(CANARIES, {**before, **canary})

    async def serve(self, replicas: int) -> None:
        """Roll out the stable version, with pods that end at once when they are told to."""
        containers = [
            {
                "name": "app",
                "image": f"{IMAGE}:1.0",
                "imagePullPolicy": "IfNotPresent",
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
            }
        ]
        spec = {"containers": containers, "terminationGracePeriodSeconds": 0}
        template = {"metadata": {"labels": LABELS}, "spec": spec}
        await self.deploy(
            "1.0", replicas=replicas, selector={"matchLabels": LABELS}, template=template
        )

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """Send requests, and watch the canary's pods, while the block runs."""
        service = await self.cluster.get(SERVICES, self.namespace, "web")
        address = f"http://{service['spec']['clusterIP']}/"
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(address)), group.create_task(self._watch())]
            yield
            for task in tasks:
                task.cancel()

    async def _ask(self, address: str) -> None:
        timeout = aiohttp.ClientTimeout(total=10)
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            while True:
                try:
                    async with session.get(address) as response:
                        self.answers[(await response.text()).strip()] += 1
                except (aiohttp.ClientError, TimeoutError) as error:
                    self.answers[repr(error)] += 1
                await asyncio.sleep(PAUSE)

    async def _watch(self) -> None:
        found = await self.cluster.list(PODS, self.namespace)
        watch = self.cluster.watch(
            PODS, resource_version=found.resource_version, namespace=self.namespace
        )
        async with aclosing(watch) as events:
            async for event in events:
                metadata = event.object["metadata"]
                goes = event.type == "DELETED" or "deletionTimestamp" in metadata
                if goes and JOINED in metadata["labels"]:
                    self.ended.append(metadata["name"])

    async def asked(self, number: int) -> Counter[str]:
        """Return how many of so many requests from now on each version has answered."""
        before = self.answers.copy()
        async with asyncio.timeout(120):
            while self.answers.total() - before.total() < number:  # noqa: ASYNC110 - they come
                await asyncio.sleep(PAUSE)
        return self.answers - before

    async def inside(self) -> list[Json]:
        """Return the pods of the canary that are in the Service."""
        return (await self.cluster.list(PODS, self.namespace, label_selector=JOINED)).items


def reached(target: Shared, share: float, pods: int) -> Callable[[], Awaitable[bool]]:
    """Return what tells whether so many pods are in, as the status says before they are."""

    async def look() -> bool:
        return target.state().share == share and len(await target.inside()) == pods

    return look


@pytest.fixture
async def target(cluster_kubeconfig: Path) -> AsyncIterator[Shared]:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        found = Shared(cluster, namespace)
        await found.serve(replicas=4)
        yield found


async def test_pods_join_and_leave_and_no_request_is_lost(target: Shared) -> None:
    target.judge_every("10s")
    before: dict[str, Any] = await target.cluster.get(SERVICES, target.namespace, "web")
    async with target.analyzed(), target.used():
        assert set(await target.asked(20)) == {STABLE}
        await target.push("1.1")
        await until("a share of one fifth", reached(target, 20.0, 1))
        await until("a share of one half", reached(target, 50.0, 4))
        target.judge_every("1h")
        await target.restart(after=0.5)
        seen = await target.asked(ENOUGH)
        assert 0.35 < seen[CANARY] / seen.total() < 0.65
        await target.annotate(Command.ABORT)
        await in_phase(target, Phase.FAILED)
        assert await target.inside() == []

        async def gone() -> bool:
            found = await target.cluster.list(DEPLOYMENTS, target.namespace)
            return [it["metadata"]["name"] for it in found.items] == ["web"]

        await until("no canary", gone)
        assert set(await target.asked(20)) == {STABLE}
    assert set(target.answers) == {STABLE, CANARY}
    assert target.ended == []
    after: dict[str, Any] = await target.cluster.get(SERVICES, target.namespace, "web")
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_a_good_version_is_promoted_and_its_canary_goes(target: Shared) -> None:
    target.judge_every("10s")
    async with target.analyzed(), target.used():
        await target.push("1.1")
        await until("a share of one half", reached(target, 50.0, 4))
        await in_phase(target, Phase.SUCCEEDED)
        await target.rolled_out("1.1")
        assert await target.inside() == []
        assert set(await target.asked(20)) == {CANARY}
    assert target.ended == []
