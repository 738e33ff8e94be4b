"""Reads by what was heard on a real API server: they are what it would answer."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from runtime.errors import NotFound
from runtime.heard import Heard, Reading, not_before
from runtime.informer import Informer
from runtime.kept import Packed
from runtime.kept_lists import KeptLists
from runtime.kube import Cluster
from runtime.noting import Noting
from runtime.resources import DEPLOYMENTS, REPLICASETS, SERVICES, Resource
from runtime.tail import Tail
from tests.cluster.runtime_kit import own_namespace

pytestmark = pytest.mark.cluster
Json = dict[str, Any]
SELECTORS: Final = ("", "app=web", "app in (api,web),tier", "!app")
LABELS: Final[tuple[dict[str, str], ...]] = (
    {},
    {"app": "web"},
    {"app": "web", "tier": "front"},
    {"app": "api"},
)
ROUNDS: Final = 60


def made(resource: Resource, namespace: str, name: str, labels: dict[str, str]) -> Json:
    """Return an object for which no controller does anything."""
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    if resource == SERVICES:
        return {"metadata": metadata, "spec": {"ports": [{"port": 80}]}}
    pod = {"containers": [{"name": "app", "image": "none"}]}
    spec = {
        "replicas": 0,
        "selector": {"matchLabels": {"of": name}},
        "template": {"metadata": {"labels": {"of": name}}, "spec": pod},
    }
    paused = {"paused": True} if resource == DEPLOYMENTS else {}
    return {"metadata": metadata, "spec": {**spec, **paused}}


@asynccontextmanager
async def hearing(cluster: Cluster) -> AsyncIterator[Heard]:
    tails = [Tail(cluster, it, KeptLists(2**20)) for it in (SERVICES, REPLICASETS)]
    targets = Informer(cluster, DEPLOYMENTS, kept=Packed(2**20))
    heard = Heard(stores={DEPLOYMENTS: targets}, lists={it.resource: it for it in tails})
    async with asyncio.timeout(90), asyncio.TaskGroup() as group:
        tasks = [group.create_task(it.run()) for it in heard.informers]
        for informer in heard.informers:
            await informer.synced.wait()
        yield heard
        for task in tasks:
            task.cancel()


def versions(objects: list[Json]) -> dict[str, str]:
    return {it["metadata"]["name"]: it["metadata"]["resourceVersion"] for it in objects}


def bare(objects: list[Json]) -> dict[str, Json]:
    """Return objects by name, without what nobody reads."""
    found = {}
    for it in objects:
        metadata = {name: one for name, one in it["metadata"].items() if name != "managedFields"}
        found[metadata["name"]] = {**it, "metadata": metadata}
    return found


async def changed(
    hand: Cluster | Noting, resource: Resource, obj: Json, *, delete: bool
) -> int | None:
    """Write an object, or delete it; return the version it has then."""
    namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
    try:
        await hand.get(resource, namespace, name)
    except NotFound:
        return version_of(await hand.create(resource, obj))
    if delete:
        await hand.delete(resource, namespace, name)
        return None
    labels = {**dict.fromkeys(("app", "tier")), **obj["metadata"]["labels"]}
    patch = {"metadata": {"labels": labels}}
    return version_of(await hand.merge_patch(resource, namespace, name, patch))


def version_of(obj: Json) -> int:
    return int(obj["metadata"]["resourceVersion"])


def listed_since(objects: list[Json], name: str, written: int | None) -> bool:
    """Tell whether a list is not older than a write of ours.

    What a controller writes after us, as a ReplicaSet's status, may be in it or not yet.
    """
    found = [version_of(it) for it in objects if it["metadata"]["name"] == name]
    return not found if written is None else all(it >= written for it in found)


@pytest.mark.parametrize("resource", [SERVICES, REPLICASETS], ids=lambda it: it.plural)
async def test_lists_are_what_would_be_listed(resource: Resource, cluster_kubeconfig: Path) -> None:
    rng = random.Random(resource.plural)  # noqa: S311 - no secret
    async with (
        own_namespace(cluster_kubeconfig) as (cluster, namespace),
        hearing(cluster) as heard,
    ):
        noting = Noting(cluster, heard)
        reads = Reading(noting, heard)

        async def read(selector: str) -> tuple[list[Json], list[Json]]:
            found = await reads.list(resource, namespace, label_selector=selector)
            wanted = await cluster.list(resource, namespace, label_selector=selector)
            known.append(not found.resource_version)
            return found.items, wanted.items

        known: list[bool] = []
        for _ in range(ROUNDS):
            obj = made(resource, namespace, rng.choice("abcd"), rng.choice(LABELS))
            ours = rng.random() < 0.5
            hand = noting if ours else cluster
            written = await changed(hand, resource, obj, delete=rng.random() < 0.3)
            found, wanted = await read(rng.choice(SELECTORS))
            if ours:
                name = obj["metadata"]["name"]
                assert listed_since(found, name, written)
                assert versions(found).keys() & {name} == versions(wanted).keys() & {name}
        for selector in SELECTORS:
            found, wanted = await read(selector)
            while versions(found) != versions(wanted):
                await asyncio.sleep(0.02)
                found, wanted = await read(selector)
            assert bare(found) == bare(wanted)
        assert any(known)


async def test_targets_are_known_as_they_were_written(cluster_kubeconfig: Path) -> None:
    async with (
        own_namespace(cluster_kubeconfig) as (cluster, namespace),
        hearing(cluster) as heard,
    ):
        noting = Noting(cluster, heard)
        reads = Reading(noting, heard)
        with pytest.raises(NotFound):
            await reads.get(DEPLOYMENTS, namespace, "web")
        written = await noting.create(DEPLOYMENTS, made(DEPLOYMENTS, namespace, "web", {}))
        for number in range(20):
            patch = {"metadata": {"annotations": {"number": str(number)}}}
            written = await noting.merge_patch(DEPLOYMENTS, namespace, "web", patch)
            known = heard.get(DEPLOYMENTS, namespace, "web")
            assert known is not None
            # Its controller may have written meanwhile.
            assert int(versions([known])["web"]) >= int(versions([written])["web"])
            assert known["metadata"]["annotations"]["number"] == str(number)
        revisions = await not_before(written, reads).list(REPLICASETS, namespace)
        assert not revisions.items
        await noting.delete(DEPLOYMENTS, namespace, "web")
        with pytest.raises(NotFound):
            await reads.get(DEPLOYMENTS, namespace, "web")
