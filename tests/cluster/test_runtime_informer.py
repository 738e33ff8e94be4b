"""Informers on a real API server: the store follows what is written, by whomever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime.informer import Informer
from runtime.kube import Cluster
from runtime.resources import SECRETS
from tests.cluster.runtime_kit import own_namespace

pytestmark = pytest.mark.cluster

Change = tuple[str, str, str]


def secret(namespace: str, name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}}


@asynccontextmanager
async def informing(
    cluster: Cluster, namespace: str, selector: str = ""
) -> AsyncIterator[tuple[Informer, "asyncio.Queue[Change]"]]:
    """Run an informer, and queue what its handlers are told: how, and the name."""
    changes: asyncio.Queue[Change] = asyncio.Queue()

    def on_change(
        space: str, name: str, old: dict[str, Any] | None, new: dict[str, Any] | None
    ) -> None:
        how = "added" if old is None else "deleted" if new is None else "changed"
        changes.put_nowait((how, space, name))

    informer = Informer(cluster, SECRETS, namespace=namespace, label_selector=selector)
    informer.add_handler(on_change)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        task = group.create_task(informer.run())
        await informer.synced.wait()
        yield informer, changes
        task.cancel()


async def test_store_follows_the_cluster(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        await cluster.create(SECRETS, secret(namespace, "before"))
        async with informing(cluster, namespace) as (informer, changes):
            assert await changes.get() == ("added", namespace, "before")
            await cluster.create(SECRETS, secret(namespace, "s"))
            assert await changes.get() == ("added", namespace, "s")
            patch = {"metadata": {"labels": {"a": "b"}}}
            await cluster.merge_patch(SECRETS, namespace, "s", patch)
            assert await changes.get() == ("changed", namespace, "s")
            found = informer.get(namespace, "s")
            assert found is not None
            assert found["metadata"]["labels"] == {"a": "b"}
            assert "managedFields" not in found["metadata"]
            await cluster.delete(SECRETS, namespace, "s")
            assert await changes.get() == ("deleted", namespace, "s")
            assert set(informer.store) == {(namespace, "before")}


async def test_object_that_leaves_the_selector_leaves_the_store(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        await cluster.create(SECRETS, secret(namespace, "other", of="others"))
        await cluster.create(SECRETS, secret(namespace, "s", of="test"))
        async with informing(cluster, namespace, "of=test") as (informer, changes):
            assert await changes.get() == ("added", namespace, "s")
            patch = {"metadata": {"labels": {"of": "others"}}}
            await cluster.merge_patch(SECRETS, namespace, "s", patch)
            assert await changes.get() == ("deleted", namespace, "s")
            assert dict(informer.store) == {}
