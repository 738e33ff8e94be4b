"""`Cluster` on a real API server: every verb, and every error that the server can be made to give.

Objects are Secrets and paused Deployments: no controller changes them behind a test's back.
"""

import asyncio
import base64
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml

from runtime import errors
from runtime.kube import Cluster
from runtime.resources import DEPLOYMENTS, HTTPROUTES, SECRETS, Resource
from tests.cluster.runtime_kit import own_namespace

pytestmark = pytest.mark.cluster

NO_SUCH_KIND = Resource("headgate.invalid", "v1", "gates", "Gate")


def secret(namespace: str, name: str, text: str = "a", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "data": {"k": base64.b64encode(text.encode()).decode()},
    }


def deployment(namespace: str, replicas: int) -> dict[str, Any]:
    labels = {"app": "web"}
    pod = {"containers": [{"name": "c", "image": "headgate.invalid/none"}]}
    return {
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "paused": True,
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


async def test_what_was_created_is_read_listed_and_deleted(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        created = await cluster.create(SECRETS, secret(namespace, "s", labels={"of": "test"}))
        assert await cluster.get(SECRETS, namespace, "s") == created
        found = await cluster.list(SECRETS, namespace, label_selector="of in (test)")
        assert found.items == [created]
        assert int(found.resource_version) >= int(created["metadata"]["resourceVersion"])
        named = await cluster.list(SECRETS, namespace, field_selector="metadata.name=other")
        assert named.items == []
        await cluster.delete(SECRETS, namespace, "s")
        await cluster.delete(SECRETS, namespace, "s")
        with pytest.raises(errors.NotFound):
            await cluster.get(SECRETS, namespace, "s")


async def test_every_page_of_a_list_is_read(
    cluster_kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.paging.PAGE_SIZE", 2)
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        for number in range(5):
            await cluster.create(SECRETS, secret(namespace, f"s{number}", labels={"of": "test"}))
        found = await cluster.list(SECRETS, namespace, label_selector="of=test")
        assert [item["metadata"]["name"] for item in found.items] == [f"s{n}" for n in range(5)]


async def test_server_side_apply_owns_its_fields_and_meets_other_owners(
    cluster_kubeconfig: Path,
) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        mine, theirs = secret(namespace, "s", "mine"), secret(namespace, "s", "theirs")
        dry = await cluster.apply(SECRETS, mine, dry_run=True)
        assert dry["data"] == mine["data"]
        with pytest.raises(errors.NotFound):
            await cluster.get(SECRETS, namespace, "s")
        first = await cluster.apply(SECRETS, mine, field_manager="one")
        again = await cluster.apply(SECRETS, mine, field_manager="one")
        assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
        with pytest.raises(errors.Conflict):
            await cluster.apply(SECRETS, theirs, field_manager="two", force=False)
        taken = await cluster.apply(SECRETS, theirs, field_manager="two")
        assert taken["data"] == theirs["data"]


async def test_replace_of_a_version_that_is_gone_is_a_conflict(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        old = await cluster.create(SECRETS, secret(namespace, "s"))
        new = await cluster.replace(SECRETS, {**old, "data": {"k": "Yg=="}})
        assert new["data"] == {"k": "Yg=="}
        with pytest.raises(errors.Conflict):
            await cluster.replace(SECRETS, old)
        version = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}}
        with pytest.raises(errors.Conflict):
            await cluster.merge_patch(SECRETS, namespace, "s", version)


async def test_json_patch_runs_all_operations_or_none(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        await cluster.create(SECRETS, secret(namespace, "s"))
        add = {"op": "add", "path": "/data/more", "value": "Yg=="}
        wrong = {"op": "test", "path": "/metadata/name", "value": "other"}
        with pytest.raises(errors.Invalid):
            await cluster.json_patch(SECRETS, namespace, "s", [add, wrong])
        assert "more" not in (await cluster.get(SECRETS, namespace, "s"))["data"]
        patched = await cluster.json_patch(SECRETS, namespace, "s", [add])
        assert patched["data"]["more"] == "Yg=="


async def test_status_is_patched_apart_from_the_spec(cluster_kubeconfig: Path) -> None:
    condition = {"type": "Progressing", "status": "False", "reason": "Test", "message": "m"}
    patch = {"spec": {"replicas": 7}, "status": {"conditions": [condition]}}
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        await cluster.create(DEPLOYMENTS, deployment(namespace, replicas=0))
        patched = await cluster.merge_patch(
            DEPLOYMENTS, namespace, "web", patch, subresource="status"
        )
        assert patched["spec"]["replicas"] == 0
        assert "Test" in {found["reason"] for found in patched["status"]["conditions"]}


async def test_delete_spares_an_object_of_another_uid(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        created = await cluster.create(SECRETS, secret(namespace, "s"))
        with pytest.raises(errors.Conflict):
            await cluster.delete(SECRETS, namespace, "s", uid="another")
        await cluster.delete(SECRETS, namespace, "s", uid=created["metadata"]["uid"])
        with pytest.raises(errors.NotFound):
            await cluster.get(SECRETS, namespace, "s")


async def test_refusals_have_types(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        await cluster.create(SECRETS, secret(namespace, "s"))
        with pytest.raises(errors.AlreadyExists):
            await cluster.create(SECRETS, secret(namespace, "s"))
        with pytest.raises(errors.Invalid):
            await cluster.create(SECRETS, secret(namespace, "Not_A_Name"))
        with pytest.raises(errors.NotFound):
            await cluster.list(NO_SUCH_KIND, namespace)


@pytest.fixture
def unknown_caller(cluster_kubeconfig: Path, tmp_path: Path) -> Path:
    """Return a kubeconfig of the same server with a token that nobody gave out."""
    config = yaml.safe_load(cluster_kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": "unknown"}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


async def test_unknown_caller_is_forbidden(unknown_caller: Path) -> None:
    async with Cluster.connect(unknown_caller) as cluster:
        with pytest.raises(errors.Forbidden):
            await cluster.list(SECRETS, "kube-system")


async def test_watch_tells_changes_in_order_and_ends_in_time(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        begin = await cluster.list(SECRETS, namespace)
        await cluster.create(SECRETS, secret(namespace, "s"))
        await cluster.merge_patch(SECRETS, namespace, "s", {"data": {"k": "Yg=="}})
        await cluster.delete(SECRETS, namespace, "s")
        stream = cluster.watch(
            SECRETS, namespace=namespace, resource_version=begin.resource_version, seconds=2
        )
        async with asyncio.timeout(20), aclosing(stream):
            seen = [event async for event in stream]
    changes = [event.type for event in seen if event.type != "BOOKMARK"]
    assert changes == ["ADDED", "MODIFIED", "DELETED"]
    assert seen[0].object["kind"] == "Secret"


async def test_watch_from_a_version_of_long_ago_is_expired(cluster_kubeconfig: Path) -> None:
    # A kind that came with its CRD: the server's memory of it begins after version 1 even on a
    # cluster so young that nothing was compacted yet.
    async with Cluster.connect(cluster_kubeconfig) as cluster:
        stream = cluster.watch(HTTPROUTES, resource_version="1", seconds=2)
        with pytest.raises(errors.Expired):
            async with aclosing(stream):
                await anext(stream)


async def test_version(cluster_kubeconfig: Path) -> None:
    async with Cluster.connect(cluster_kubeconfig) as cluster:
        assert (await cluster.version())["gitVersion"].startswith("v1.")
