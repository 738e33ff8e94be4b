"""Whatever one namespace has to be looked at, another's target is, and a verdict before all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from analyzer.loop.controller import Controller, Metrics
from analyzer.loop.index import ClusterIndex
from analyzer.loop.reconciler import Result
from canary.model.values import Json, Key
from runtime.informer import Informer
from runtime.resources import CANARIES, DEPLOYMENTS, NAMESPACES
from tests.fakes.watched import Watched, seen

BURST = [Key(namespace="burst", name=f"web-{number}") for number in range(300)]
OTHER = Key(namespace="other", name="web")


@dataclass
class Looks:
    """Looks at targets, in order; of some no look ever ends."""

    hangs: Callable[[Key], bool]
    begun: list[Key] = field(default_factory=list)

    async def reconcile(self, key: Key) -> Result:
        self.begun.append(key)
        if self.hangs(key):
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return Result()

    async def reopen(self, target: Json) -> None:
        raise AssertionError(target)


@asynccontextmanager
async def controller(looks: Looks) -> AsyncIterator[Controller]:
    cluster = Watched()
    index = ClusterIndex(
        namespaces=Informer(cluster, NAMESPACES),
        targets=Informer(cluster, DEPLOYMENTS),
        canaries=Informer(cluster, CANARIES),
    )
    running = Controller(index, looks, Metrics.create(CollectorRegistry()))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(it.run()) for it in index.informers]
        tasks.append(group.create_task(running.run()))
        await index.synced()
        for _ in range(5):
            await asyncio.sleep(0)  # until its queue is there
        yield running
        for task in tasks:
            task.cancel()


def burst(running: Controller) -> None:
    for key in BURST:
        running.enqueue(key)


async def test_a_namespace_whose_looks_hang_leaves_workers_for_another() -> None:
    looks = Looks(hangs=lambda key: key.namespace == "burst")
    async with controller(looks) as running:
        burst(running)
        await seen("the burst", lambda: len(looks.begun) >= 12)
        running.enqueue(OTHER)
        await seen("the other", lambda: OTHER in looks.begun)
    assert len(looks.begun) == 13


async def test_a_verdict_waits_for_no_worker_be_it_of_the_namespace_that_hangs() -> None:
    looks = Looks(hangs=lambda key: key in BURST[:250] or key.namespace == "also")
    async with controller(looks) as running:
        burst(running)
        for number in range(20):
            running.enqueue(Key(namespace="also", name=f"web-{number}"))
        await seen("all workers at work", lambda: len(looks.begun) == 16)
        running.hasten(BURST[299])
        await seen("its look", lambda: BURST[299] in looks.begun)
    assert len(looks.begun) == 17


async def test_a_verdict_is_before_a_burst_and_each_is_looked_at_once() -> None:
    looks = Looks(hangs=lambda _: False)
    async with controller(looks) as running:
        burst(running)
        running.hasten(OTHER)
        running.hasten(BURST[299])
        await seen("all", lambda: len(looks.begun) == 301)
    assert {OTHER, BURST[299]} < set(looks.begun[:20])
    assert set(looks.begun) == {*BURST, OTHER}
