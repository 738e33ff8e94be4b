"""Reads by what was heard: no call where it is known, and nothing older than the last own write."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from runtime import writes
from runtime.errors import AlreadyExists, Conflict, NotFound, Unavailable
from runtime.heard import Heard, Reading, not_before
from runtime.informer import BEHIND, SILENCE, Informer
from runtime.kept import Packed
from runtime.kept_lists import KeptLists
from runtime.noting import Noting
from runtime.resources import DEPLOYMENTS, PODS, REPLICASETS, ListResult, Resource, WatchEvent
from runtime.tail import Tail
from tests.fakes.loop import ImpatientLoop
from tests.fakes.watched import seen
from tests.harness.api import ApiServer
from tests.harness.client import ANALYZER, TEAM, Client, Write

LOOP = ImpatientLoop
Json = dict[str, Any]
T = TypeVar("T")
SPACE = "shop"


@dataclass
class Counted(Client):
    """Counts what is asked for; `silent` watches tell of nothing."""

    calls: Counter[str] = field(default_factory=Counter)
    silent: bool = False
    told: asyncio.Event = field(default_factory=asyncio.Event)

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        self.calls[f"get {resource.plural}"] += 1
        return await super().get(resource, namespace, name)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        if namespace is not None:
            self.calls[f"list {resource.plural}"] += 1
        return await super().list(resource, namespace, label_selector=label_selector)

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
    ) -> AsyncGenerator[WatchEvent, None]:
        stream = super().watch(
            resource,
            resource_version=resource_version,
            namespace=namespace,
            label_selector=label_selector,
        )
        async for event in stream:
            while self.silent:
                await self.told.wait()
            yield event

    def speak(self) -> None:
        self.silent = False
        self.told.set()


@dataclass
class Parts:
    """A cluster with one Deployment and one pod, heard of by watches."""

    api: ApiServer
    cluster: Counted
    heard: Heard
    noting: Noting
    reads: Reading

    def read(self) -> int:
        """Return how many calls there were since this was asked for last."""
        found = self.cluster.calls.total()
        self.cluster.calls.clear()
        return found

    async def pods(self, selector: str = "app=web") -> list[str]:
        found = await self.reads.list(PODS, SPACE, label_selector=selector)
        return sorted(it["metadata"]["name"] for it in found.items)


def deployment(name: str = "web") -> Json:
    spec: Json = {
        "replicas": 1,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": []}},
    }
    return {"metadata": {"name": name, "namespace": SPACE}, "spec": spec}


def pod(name: str, app: str = "web") -> Json:
    return {"metadata": {"name": name, "namespace": SPACE, "labels": {"app": app}}, "spec": {}}


@asynccontextmanager
async def parts() -> AsyncIterator[Parts]:
    api = ApiServer(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    api.create(DEPLOYMENTS, deployment(), TEAM)
    api.create(PODS, pod("web-1"), TEAM)
    cluster = Counted(api, ANALYZER)
    targets = Informer(cluster, DEPLOYMENTS, kept=Packed(100_000))
    tails = tuple(Tail(cluster, it, KeptLists(100_000)) for it in (PODS, REPLICASETS))
    heard = Heard(stores={DEPLOYMENTS: targets}, lists={it.resource: it for it in tails})
    noting = Noting(cluster, heard)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(it.run()) for it in heard.informers]
        for informer in heard.informers:
            await informer.synced.wait()
        yield Parts(api, cluster, heard, noting, Reading(noting, heard))
        for task in tasks:
            task.cancel()


async def test_what_is_watched_is_asked_for_once() -> None:
    async with parts() as it:
        assert await it.pods() == ["web-1"]
        assert it.read() == 1
        it.api.create(PODS, pod("web-2"), TEAM)
        it.api.create(PODS, pod("api-1", "api"), TEAM)
        await seen("a pod", lambda: it.heard.lists[PODS].lists.at == it.api.version)  # type: ignore[union-attr]
        assert await it.pods() == ["web-1", "web-2"]
        it.api.delete(PODS, (SPACE, "web-1"), TEAM)
        await seen("it go", lambda: it.heard.lists[PODS].lists.at == it.api.version)  # type: ignore[union-attr]
        assert await it.pods() == ["web-2"]
        found = await it.reads.get(DEPLOYMENTS, SPACE, "web")
        assert (found["kind"], found["spec"]["replicas"]) == ("Deployment", 1)
        with pytest.raises(NotFound):
            await it.reads.get(DEPLOYMENTS, SPACE, "other")
        assert it.read() == 0


async def test_an_own_write_is_known_before_the_watch_tells() -> None:
    async with parts() as it:
        await it.pods()
        it.cluster.silent = True
        await it.noting.create(PODS, pod("web-2"))
        await it.noting.create(DEPLOYMENTS, deployment("other"))
        await it.noting.merge_patch(DEPLOYMENTS, SPACE, "web", {"spec": {"replicas": 3}})
        it.read()
        assert await it.pods() == ["web-1", "web-2"]
        assert (await it.reads.get(DEPLOYMENTS, SPACE, "web"))["spec"]["replicas"] == 3
        assert (await it.reads.get(DEPLOYMENTS, SPACE, "other"))["spec"]["replicas"] == 1
        assert it.read() == 0
        await it.noting.merge_patch(PODS, SPACE, "web-2", {"metadata": {"labels": None}})
        assert await it.pods() == ["web-1"]
        it.cluster.speak()
        await seen("all of it", lambda: it.heard.lists[PODS].lists.at == it.api.version)  # type: ignore[union-attr]
        assert await it.pods() == ["web-1"]
        assert it.read() == 0


async def test_an_answer_that_comes_after_its_object_s_end_was_heard_brings_nothing_back() -> None:
    async with parts() as it:
        await it.pods()
        late = [
            (PODS, await it.noting.create(PODS, pod("web-2"))),
            (DEPLOYMENTS, await it.noting.create(DEPLOYMENTS, deployment("other"))),
        ]
        for resource, obj in late:
            it.api.delete(resource, (SPACE, obj["metadata"]["name"]), TEAM)
        store = it.heard.stores[DEPLOYMENTS]
        await seen("the end", lambda: store.get(SPACE, "other") is None)
        await it.pods()
        it.read()
        for resource, obj in late:
            it.heard.saw(resource, obj)
        assert await it.pods() == ["web-1"]
        with pytest.raises(NotFound):
            await it.reads.get(DEPLOYMENTS, SPACE, "other")
        assert store.is_current
        assert it.read() == 0


async def test_what_is_not_known_after_a_write_is_asked_for() -> None:
    async with parts() as it:
        await it.pods()
        it.cluster.silent = True
        await it.noting.delete(PODS, SPACE, "web-1")
        await it.noting.delete(DEPLOYMENTS, SPACE, "web")
        it.read()
        assert await it.pods() == []
        with pytest.raises(NotFound):
            await it.reads.get(DEPLOYMENTS, SPACE, "web")
        assert it.read() == 2
        assert await it.pods() == []
        assert it.read() == 0
        it.cluster.speak()
        await seen("that it has gone", lambda: not it.heard.stores[DEPLOYMENTS].store)
        with pytest.raises(NotFound):
            await it.reads.get(DEPLOYMENTS, SPACE, "web")
        assert it.read() == 0


class Lost:
    """Has every write arrive, and its answer lost."""

    async def passes(self, write: Write, arrive: Callable[[], T]) -> T:
        del write
        arrive()
        raise Unavailable(0, "ConnectionLost", "the connection was lost")


async def test_a_write_without_an_answer_may_have_arrived() -> None:
    async with parts() as it:
        await it.pods()
        it.cluster.silent, it.cluster.gate = True, Lost()
        calls: tuple[Callable[[], Awaitable[Json]], ...] = (
            lambda: it.noting.create(PODS, pod("web-2")),
            lambda: it.noting.create(DEPLOYMENTS, deployment("other")),
            lambda: it.noting.merge_patch(DEPLOYMENTS, SPACE, "web", {"spec": {"replicas": 3}}),
        )
        for write in calls:
            with pytest.raises(Unavailable):
                await write()
        assert await it.pods() == ["web-1", "web-2"]
        assert (await it.reads.get(DEPLOYMENTS, SPACE, "web"))["spec"]["replicas"] == 3
        assert (await it.reads.get(DEPLOYMENTS, SPACE, "other"))["spec"]["replicas"] == 1


async def test_somebody_who_was_faster_is_known_from_then_on() -> None:
    async with parts() as it:
        await it.pods()
        known = await it.reads.get(DEPLOYMENTS, SPACE, "web")
        it.cluster.silent = True
        it.api.merge_patch(DEPLOYMENTS, (SPACE, "web"), {"spec": {"replicas": 2}}, TEAM)
        it.api.create(DEPLOYMENTS, deployment("other"), TEAM)
        with pytest.raises(Conflict):
            await it.noting.merge_patch(DEPLOYMENTS, SPACE, "web", _resting_on(known))
        assert (await it.reads.get(DEPLOYMENTS, SPACE, "web"))["spec"]["replicas"] == 2
        with pytest.raises(AlreadyExists):
            await it.noting.create(DEPLOYMENTS, deployment("other"))
        assert (await it.reads.get(DEPLOYMENTS, SPACE, "other"))["spec"]["replicas"] == 1
        patched = await writes.patched(
            it.noting, DEPLOYMENTS, known, lambda _: {"metadata": {"annotations": {"a": "b"}}}
        )
        it.read()
        assert await it.reads.get(DEPLOYMENTS, SPACE, "web") == {
            **patched,
            "metadata": {k: v for k, v in patched["metadata"].items() if k != "managedFields"},
        }
        assert it.read() == 0


def _resting_on(known: Json) -> Json:
    version = known["metadata"]["resourceVersion"]
    return {"metadata": {"resourceVersion": version, "annotations": {"a": "b"}}}


async def test_no_list_is_older_than_the_object_that_tells_of_it() -> None:
    async with parts() as it:
        await it.reads.list(REPLICASETS, SPACE)
        it.read()
        target = it.api.merge_patch(DEPLOYMENTS, (SPACE, "web"), {"spec": {"replicas": 2}}, TEAM)
        reads = not_before(target, it.reads)
        await reads.list(REPLICASETS, SPACE)
        assert it.read() == 1
        await reads.list(REPLICASETS, SPACE)
        assert it.read() == 0
        await not_before({"metadata": {"resourceVersion": "x"}}, it.reads).list(REPLICASETS, SPACE)
        assert it.read() == 1


@pytest.mark.parametrize("trouble", ["silence", "fault", "behind"])
async def test_a_watch_that_is_not_believed_has_everything_asked_for(trouble: str) -> None:
    async with parts() as it:
        await it.pods()
        it.cluster.silent = True
        match trouble:
            case "silence":
                for informer in it.heard.informers:
                    informer.heard -= SILENCE
            case "fault":
                for informer in it.heard.informers:
                    informer.trouble = "ConnectionLost"
            case _:
                await it.noting.merge_patch(DEPLOYMENTS, SPACE, "web", {"spec": {"replicas": 3}})
                await asyncio.sleep(BEHIND + 1)
        it.api.merge_patch(DEPLOYMENTS, (SPACE, "web"), {"spec": {"replicas": 5}}, TEAM)
        it.read()
        assert (await it.reads.get(DEPLOYMENTS, SPACE, "web"))["spec"]["replicas"] == 5
        assert it.read() == 1
        it.cluster.speak()
        it.api.merge_patch(DEPLOYMENTS, (SPACE, "web"), {"spec": {"replicas": 6}}, TEAM)
        await asyncio.sleep(1)
        it.read()
        assert (await it.reads.get(DEPLOYMENTS, SPACE, "web"))["spec"]["replicas"] == 6
        assert it.read() == 0


async def test_what_is_read_afresh_is_known_from_then_on() -> None:
    async with parts() as it:
        await it.pods()
        it.cluster.silent = True
        it.api.create(PODS, pod("web-2"), TEAM)
        assert await it.pods() == ["web-1"]
        afresh = Reading(it.noting, it.heard, afresh=True)
        found = await afresh.list(PODS, SPACE, label_selector="app=web")
        assert len(found.items) == 2
        it.read()
        assert await it.pods() == ["web-1", "web-2"]
        assert it.read() == 0


async def test_what_nobody_keeps_is_told_as_it_is_now() -> None:
    api = ApiServer(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    api.create(PODS, pod("web-1"), TEAM)
    told: list[tuple[str, Json | None, bool]] = []
    tail = Tail(Counted(api, ANALYZER), PODS, KeptLists(100_000))
    tail.add_handler(lambda _, name, old, new: told.append((name, old, new is not None)))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(tail.run())
        await tail.synced.wait()
        api.create(PODS, pod("web-2"), TEAM)
        api.delete(PODS, (SPACE, "web-1"), TEAM)
        await seen("both", lambda: len(told) == 2)
        task.cancel()
    assert told == [("web-2", None, True), ("web-1", None, False)], "none of what was there before"
    assert not tail.store
