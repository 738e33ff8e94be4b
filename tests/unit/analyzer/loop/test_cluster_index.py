"""What the informers' stores say of a target: its Canary, and whether a Flagger is near."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from prometheus_client import CollectorRegistry

from analyzer.loop.absences import REPLACED_WITHIN
from analyzer.loop.controller import Controller, Metrics
from analyzer.loop.index import ClusterIndex, with_owners_of_made
from analyzer.loop.reconciler import Result
from canary.contract import (
    MANAGED_BY,
    MANAGED_BY_LABEL,
    NAMESPACE_ENABLED,
    NAMESPACE_LABEL,
    TARGET_LABEL,
)
from canary.model.values import Json, Key
from runtime.informer import Informer
from runtime.resources import CANARIES, DEPLOYMENTS, NAMESPACES, ListResult, Resource, WatchEvent
from tests.fakes import made, objects

KEY = Key(namespace="prod", name="web")
FLAGGER = Key(namespace="flagger-system", name="flagger")


class Changing:
    """An API server whose objects change as a test says."""

    def __init__(self) -> None:
        self.changes: dict[str, asyncio.Queue[WatchEvent]] = {
            resource.plural: asyncio.Queue() for resource in (NAMESPACES, DEPLOYMENTS, CANARIES)
        }
        self.version = 0
        self.taken_in = asyncio.Event()

    async def pages(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> AsyncGenerator[ListResult, None]:
        del resource, namespace, label_selector
        yield ListResult([], "1")

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
    ) -> AsyncGenerator[WatchEvent, None]:
        del resource_version, namespace, label_selector
        while True:
            yield await self.changes[resource.plural].get()
            self.taken_in.set()  # whoever asks for the next one has done with this one

    async def tell(self, resource: Resource, kind: str, obj: Json) -> None:
        """Tell of a change, and wait until it is taken in."""
        self.version += 1
        metadata = {**obj["metadata"], "resourceVersion": str(self.version)}
        self.taken_in.clear()
        self.changes[resource.plural].put_nowait(WatchEvent(kind, {**obj, "metadata": metadata}))
        await self.taken_in.wait()


class Listening(Controller):
    """Hears of changes and has nobody look."""

    def __init__(self, index: ClusterIndex) -> None:
        super().__init__(index, Nobody(), Metrics.create(CollectorRegistry()))
        self.heard: list[Key] = []

    def enqueue(self, key: Key) -> None:
        self.heard.append(key)


class Nobody:
    async def reconcile(self, key: Key) -> Result:
        raise AssertionError(f"{key} is looked at")

    async def reopen(self, target: Json) -> None:
        raise AssertionError(f"{target} is written")


class Following:
    """An index that follows a changing API server."""

    def __init__(self) -> None:
        self.api = Changing()
        self.index = ClusterIndex(
            namespaces=Informer(self.api, NAMESPACES),
            targets=Informer(self.api, DEPLOYMENTS),
            canaries=Informer(self.api, CANARIES, trim=with_owners_of_made),
        )
        self.controller = Listening(self.index)

    async def hear(self, resource: Resource, kind: str, obj: Json) -> list[Key]:
        """Tell of a change and return who is to be looked at."""
        self.controller.heard.clear()
        await self.api.tell(resource, kind, obj)
        return list(self.controller.heard)

    def followed(self) -> str | None:
        found = self.index.canary(KEY)
        return None if found is None else str(found["metadata"]["name"])


@asynccontextmanager
async def following() -> AsyncIterator[Following]:
    it = Following()
    informers = (it.index.namespaces, it.index.targets, it.index.canaries)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(informer.run()) for informer in informers]
        await it.index.synced()
        yield it
        for task in tasks:
            task.cancel()


def a_team_s(name: str) -> Json:
    obj = objects.canary()
    obj["metadata"] |= {"name": name, "managedFields": [{"manager": "kubectl"}]}
    return obj


async def test_a_team_s_canary_is_followed_whatever_its_name_and_whoever_came_first() -> None:
    async with following() as it:
        await it.hear(CANARIES, "ADDED", a_team_s("z"))
        await it.hear(CANARIES, "ADDED", made.made())
        assert it.followed() == "z"
        ours = it.index.outdone(KEY)
        assert ours is not None
        assert ours["metadata"]["name"] == "web"
        await it.hear(CANARIES, "DELETED", a_team_s("z"))
        assert (it.followed(), it.index.outdone(KEY)) == ("web", None)
        await it.hear(CANARIES, "DELETED", made.made())
        assert it.followed() is None


async def test_of_two_of_a_team_s_the_elder_is_followed_and_the_other_is_known() -> None:
    async with following() as it:
        elder, younger = a_team_s("z"), a_team_s("a")
        elder["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        younger["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
        await it.hear(CANARIES, "ADDED", elder)
        assert it.index.rivals(KEY) == ()
        assert await it.hear(CANARIES, "ADDED", younger) == [KEY]
        assert it.followed() == "z"
        assert [one["metadata"]["name"] for one in it.index.rivals(KEY)] == ["a"]
        await it.hear(CANARIES, "DELETED", elder)
        assert (it.followed(), it.index.rivals(KEY)) == ("a", ())


async def test_a_copy_of_a_canary_under_another_name_is_a_target_of_its_own() -> None:
    canary = objects.deployment(name="web-canary")
    canary["metadata"] |= {
        "labels": {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: "web"},
        "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": "uid-web"}],
    }
    copied = {**canary, "metadata": {**canary["metadata"], "name": "copied"}}
    labels = {NAMESPACE_LABEL: NAMESPACE_ENABLED}
    async with following() as it:
        await it.hear(NAMESPACES, "ADDED", {"metadata": {"name": "prod", "labels": labels}})
        assert await it.hear(DEPLOYMENTS, "ADDED", canary) == [KEY]
        assert await it.hear(DEPLOYMENTS, "ADDED", copied) == [Key(namespace="prod", name="copied")]


async def test_a_doubt_is_told_once() -> None:
    async with following() as it:
        assert not it.index.doubted(KEY)
        it.index.doubt(KEY)
        assert [it.index.doubted(KEY), it.index.doubted(KEY)] == [True, False]


async def test_one_that_was_deleted_a_moment_ago_is_given_time_to_be_replaced() -> None:
    async with following() as it:
        assert it.index.made_in(KEY) == timedelta(0)
        await it.hear(CANARIES, "ADDED", a_team_s("web"))
        await it.hear(CANARIES, "DELETED", a_team_s("web"))
        assert timedelta(seconds=8) < it.index.made_in(KEY) <= REPLACED_WITHIN
        await it.hear(CANARIES, "ADDED", a_team_s("web"))
        assert it.index.made_in(KEY) == timedelta(0)


async def test_one_of_two_that_is_deleted_leaves_nobody_without() -> None:
    async with following() as it:
        await it.hear(CANARIES, "ADDED", a_team_s("z"))
        await it.hear(CANARIES, "ADDED", made.made())
        await it.hear(CANARIES, "DELETED", a_team_s("z"))
        assert it.index.made_in(KEY) == timedelta(0)


async def test_one_that_turns_to_another_target_is_not_followed_any_more() -> None:
    async with following() as it:
        await it.hear(CANARIES, "ADDED", a_team_s("z"))
        other = a_team_s("z")
        other["spec"]["targetRef"] = {**other["spec"]["targetRef"], "name": "api"}
        looked_at = await it.hear(CANARIES, "MODIFIED", other)
        assert set(looked_at) == {KEY, Key(namespace="prod", name="api")}
        assert it.followed() is None


async def test_an_apply_of_the_very_same_fields_is_a_change_that_is_looked_at() -> None:
    async with following() as it:
        await it.hear(CANARIES, "ADDED", made.made())
        assert await it.hear(CANARIES, "MODIFIED", made.made()) == []
        applied = made.server_side(made.made(), {})
        assert await it.hear(CANARIES, "MODIFIED", applied) == [KEY]


async def test_who_owns_the_fields_is_kept_of_ours_alone() -> None:
    async with following() as it:
        await it.hear(CANARIES, "ADDED", made.made())
        await it.hear(CANARIES, "ADDED", a_team_s("z"))
        stored = it.index.canaries.store
        assert "managedFields" in stored["prod", "web"]["metadata"]
        assert "managedFields" not in stored["prod", "z"]["metadata"]


async def test_a_flagger_is_known_from_its_start_to_its_end() -> None:
    flagger = objects.deployment(name="flagger", image="ghcr.io/fluxcd/flagger:1.44.0")
    flagger["metadata"]["namespace"] = FLAGGER.namespace
    async with following() as it:
        assert it.index.flagger("prod") == ""
        await it.hear(DEPLOYMENTS, "ADDED", flagger)
        assert it.index.flagger("prod") == "Deployment flagger-system/flagger runs Flagger"
        await it.hear(DEPLOYMENTS, "MODIFIED", objects.changed(flagger, replicas=0))
        assert it.index.flagger("prod") == ""
        await it.hear(DEPLOYMENTS, "MODIFIED", flagger)
        assert it.index.flagger("prod")
        await it.hear(DEPLOYMENTS, "DELETED", flagger)
        assert it.index.flagger("prod") == ""
