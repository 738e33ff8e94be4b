"""A target is not looked at once more for what its own look has written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from analyzer.loop.controller import Controller, Metrics
from analyzer.loop.echoes import Echoes
from analyzer.loop.following import follow
from analyzer.loop.index import ClusterIndex
from analyzer.loop.reconciler import Result
from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL, SPLIT
from canary.model.traffic import Traffic
from canary.model.values import Json, Key
from canary.routes.mark import Mark, TargetSplit
from runtime.resources import HTTPROUTES, NAMESPACES
from tests.fakes.watched import Watched, seen

WEB = Key(namespace="prod", name="web")


def route(weight: int, version: str = "") -> Json:
    split = TargetSplit(stable="web", canary="web-canary", traffic=Traffic(weight))
    metadata = {"namespace": "prod", "name": "web"}
    notes = {SPLIT: Mark(splits={"web": split}).dump()}
    refs = [{"name": "web", "weight": 100 - weight}, {"name": "web-canary", "weight": weight}]
    return {
        "kind": "HTTPRoute",
        "metadata": {
            **metadata,
            "annotations": notes,
            **({"resourceVersion": version} if version else {}),
        },
        "spec": {"rules": [{"backendRefs": refs}]},
    }


class Writes:
    """Looks at a target: it may write its route, and find what is stored right or not."""

    def __init__(self, cluster: Watched, index: ClusterIndex) -> None:
        self.cluster, self.index = cluster, index
        self.looks = 0
        self.steps: list[int] = []
        self.is_right = True
        self.late = False

    async def reconcile(self, key: Key) -> Result:
        assert key == WEB
        self.looks += 1
        if self.steps:
            stored = self.cluster.put(HTTPROUTES, route(self.steps.pop(0)))
            for _ in range(0 if self.late else 20):
                await asyncio.sleep(0)  # until the watch has told of it
            if self.is_right:
                self.index.echoes.note({"kind": "HTTPRoute", **stored})
        return Result()

    async def reopen(self, target: Json) -> None:
        raise AssertionError(target)


@asynccontextmanager
async def at_work() -> AsyncIterator[tuple[Watched, Writes, Controller]]:
    cluster = Watched()
    labels = {NAMESPACE_LABEL: NAMESPACE_ENABLED}
    cluster.put(NAMESPACES, {"metadata": {"name": "prod", "labels": labels}})
    cluster.put(HTTPROUTES, route(1))
    index = follow(cluster, [HTTPROUTES])
    writes = Writes(cluster, index)
    controller = Controller(index, writes, Metrics.create(CollectorRegistry()))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(it.run()) for it in index.informers]
        for it in index.informers:
            await it.synced.wait()
        tasks.append(group.create_task(controller.run()))
        await seen("the first look", lambda: writes.looks == 1)
        yield cluster, writes, controller
        for task in tasks:
            task.cancel()


async def settled() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.mark.parametrize("late", [False, True], ids=["during the look", "after it"])
async def test_its_own_write_has_a_target_not_looked_at_again(*, late: bool) -> None:
    async with at_work() as (_, writes, controller):
        writes.late, writes.steps = late, [2]
        controller.enqueue(WEB)
        await settled()
        assert writes.looks == 2


async def test_a_write_that_was_not_as_it_was_wanted_is_looked_at() -> None:
    async with at_work() as (_, writes, controller):
        writes.is_right, writes.steps = False, [2]
        controller.enqueue(WEB)
        await seen("its echo", lambda: writes.looks == 3)


@pytest.mark.parametrize("weight", [2, 40], ids=["as it was written", "another weight"])
async def test_what_others_write_is_looked_at_be_it_the_same(weight: int) -> None:
    async with at_work() as (cluster, writes, controller):
        writes.steps = [2]
        controller.enqueue(WEB)
        await settled()
        cluster.put(HTTPROUTES, {**route(weight), "spec": {"rules": []}})
        await seen("theirs", lambda: writes.looks == 3)
        cluster.put(HTTPROUTES, route(weight))
        await seen("theirs again", lambda: writes.looks == 4)


def test_the_last_versions_are_known_and_none_without_a_version() -> None:
    echoes = Echoes(most=2)
    for version in ("5", "6", "7", "6"):
        echoes.note(route(2, version))
    assert [echoes.is_one(route(2, it)) for it in ("5", "6", "7", "8")] == [0, 1, 1, 0]
    echoes.note(route(2))
    assert not echoes.is_one(route(2))
    other = route(2, "6")
    other["metadata"]["name"] = "api"
    assert not echoes.is_one(other)
    assert not echoes.is_one({**route(2, "6"), "kind": "GRPCRoute"})
