"""What is kept of what teams write, and that what is not kept is still seen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from analyzer.loop.controller import Controller, Metrics
from analyzer.loop.following import (
    essence_of_canary,
    essence_of_route,
    follow,
    least_of_canary,
)
from analyzer.loop.index import ClusterIndex
from analyzer.loop.reconciler import Result
from analyzer.loop.records import target_of
from canary.contract import HOLD, NAMESPACE_ENABLED, NAMESPACE_LABEL
from canary.model.values import Json, Key
from canary.spec.made import Whose, whose
from runtime.resources import CANARIES, DEPLOYMENTS, NAMESPACES
from tests.fakes import made, objects
from tests.fakes.bench import KEY, Bench, held
from tests.fakes.watched import Watched, seen

OTHER = Key(namespace="prod", name="api")


class Looks:
    """Keeps which targets are looked at."""

    def __init__(self) -> None:
        self.keys: list[Key] = []

    async def reconcile(self, key: Key) -> Result:
        self.keys.append(key)
        return Result()

    async def reopen(self, target: Json) -> None:
        raise AssertionError(target)


def label(cluster: Watched, *, enabled: bool) -> None:
    labels = {NAMESPACE_LABEL: NAMESPACE_ENABLED} if enabled else {}
    cluster.put(NAMESPACES, {"metadata": {"name": "prod", "labels": labels}})


@asynccontextmanager
async def following(cluster: Watched) -> AsyncIterator[tuple[ClusterIndex, Looks]]:
    index, looks = follow(cluster, ()), Looks()
    controller = Controller(index, looks, Metrics.create(CollectorRegistry()))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(it.run()) for it in index.informers]
        tasks.append(group.create_task(controller.run()))
        await index.synced()
        yield index, looks
        for task in tasks:
            task.cancel()


def two_targets() -> Watched:
    cluster = Watched()
    for key in (KEY, OTHER):
        cluster.put(DEPLOYMENTS, objects.deployment(name=key.name))
    return cluster


async def test_of_a_namespace_without_the_label_names_are_kept_and_nobody_is_looked_at() -> None:
    cluster = two_targets()
    label(cluster, enabled=False)
    async with following(cluster) as (index, looks):
        assert (index.target(KEY), index.has_target(KEY)) == (None, True)
        cluster.put(DEPLOYMENTS, objects.deployment(image="web:2"))
        await asyncio.sleep(0.01)
        assert (index.target(KEY), looks.keys) == (None, [])


async def test_a_namespace_that_gains_the_label_has_all_its_targets_looked_at() -> None:
    cluster = two_targets()
    label(cluster, enabled=False)
    async with following(cluster) as (index, looks):
        label(cluster, enabled=True)
        await seen("both targets", lambda: set(looks.keys) == {KEY, OTHER})
        assert index.target(KEY) is None  # until it is heard of the next time
        cluster.put(DEPLOYMENTS, objects.deployment(image="web:2"))
        await seen("the target", lambda: index.target(KEY) is not None)
        looks.keys.clear()
        label(cluster, enabled=False)
        await seen("both targets", lambda: set(looks.keys) == {KEY, OTHER})
        looks.keys.clear()
        cluster.put(DEPLOYMENTS, objects.deployment(image="web:3"))
        await seen("the target's name alone", lambda: index.target(KEY) is None)


async def test_a_namespace_that_changes_otherwise_has_nobody_looked_at() -> None:
    cluster = two_targets()
    label(cluster, enabled=True)
    async with following(cluster) as (_, looks):
        await seen("the start", lambda: set(looks.keys) == {KEY, OTHER})
        looks.keys.clear()
        label(cluster, enabled=True)
        await asyncio.sleep(0.01)
        assert looks.keys == []


async def test_marks_and_canaries_make_a_target_one_to_be_kept() -> None:
    cluster = two_targets()
    label(cluster, enabled=False)
    cluster.put(DEPLOYMENTS, objects.deployment(annotations={HOLD: "x"}))
    cluster.put(CANARIES, objects.canary())
    async with following(cluster) as (index, looks):
        assert index.target(KEY) is not None
        await seen("the target", lambda: looks.keys == [KEY])


class Forgetful(Bench):
    """A bench whose informer keeps names alone."""

    def target(self, key: Key) -> Json | None:
        del key
        return None

    def has_target(self, key: Key) -> bool:
        return self.cluster.now(DEPLOYMENTS, key.namespace, key.name) is not None


async def test_a_target_that_is_too_large_to_be_kept_is_read_and_its_run_begins() -> None:
    bench = held(Forgetful())
    for _ in range(3):
        await bench.reconcile()
    assert bench.has_target(Key(namespace=KEY.namespace, name=f"{KEY.name}-canary"))
    assert bench.canary(KEY) is not None


def test_of_a_canary_that_is_too_large_it_is_kept_whose_it_is() -> None:
    ours = made.made()
    assert whose(essence_of_canary(ours)) is Whose.MADE
    ours["metadata"]["annotations"] = {"note": "x" * 100_000}
    assert whose(essence_of_canary(ours)) is Whose.MADE
    assert (
        whose(essence_of_canary(made.server_side(made.made(), {"interval": "1m"}))) is Whose.TAKEN
    )
    team = objects.canary()
    assert whose(essence_of_canary(team)) is Whose.OWN
    assert len(str(essence_of_canary(ours))) < 1000


def nested(depth: int) -> Json:
    deep: Json = {}
    for _ in range(depth):
        deep = {"f:x": deep}
    return deep


def test_the_least_of_a_canary_is_small_and_says_whose_it_is_and_of_what() -> None:
    ours = made.made()
    ours["status"] = {"run": nested(900)}
    ours["metadata"]["managedFields"][0]["fieldsV1"]["f:status"] = nested(900)
    least = least_of_canary(ours)
    assert (whose(least), target_of(least)) == (Whose.MADE, KEY)
    taken = made.server_side(made.made(), {"interval": "1m"})
    assert whose(least_of_canary(taken)) is Whose.TAKEN
    team = objects.canary(metrics=[nested(900)])
    team["metadata"]["annotations"] = {"note": "x" * 100_000}
    team["spec"]["targetRef"]["name"] = "y" * 100_000
    assert whose(least_of_canary(team)) is Whose.OWN
    assert len(str(least_of_canary(team))) < 1000


async def test_a_canary_that_is_too_deep_is_followed_and_so_are_all_others() -> None:
    cluster = two_targets()
    label(cluster, enabled=False)
    deep = objects.canary()
    deep["status"] = {"run": nested(300)}
    cluster.put(CANARIES, deep)
    async with following(cluster) as (index, looks):
        await seen("the target", lambda: looks.keys == [KEY])
        found = index.canary(KEY)
        assert found is not None
        assert target_of(found) == KEY


def test_of_a_route_that_is_too_deep_every_version_is_news() -> None:
    def route(version: str) -> Json:
        metadata = {"namespace": "prod", "name": "web", "resourceVersion": version}
        return {"kind": "HTTPRoute", "metadata": metadata, "spec": nested(300)}

    one, two = (essence_of_route(route(version))["spec"] for version in ("1", "2"))
    assert one != two
