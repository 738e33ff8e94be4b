"""What a write rests on, at a real API server: every 409 and 422 that `runtime.writes` counts on.

Objects are Secrets and paused Deployments without pods, so that only the tests write them; where a
controller is to write in between, a Deployment is let run.
"""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from canary.contract import HOLD, REFUSED
from canary.objects.conditions import (
    carries_verdict,
    refused,
    reopening,
    verdict_in,
    with_condition,
)
from runtime import errors
from runtime.kube import Cluster
from runtime.resources import DEPLOYMENTS, REPLICASETS, SECRETS, SERVICES
from runtime.writes import (
    Gone,
    Overtaken,
    Still,
    always,
    applied,
    deleted,
    never,
    patched,
    stored,
    swapped,
)
from tests.cluster.runtime_kit import own_namespace

pytestmark = pytest.mark.cluster

Json = dict[str, Any]


def secret(namespace: str, **data: str) -> Json:
    return {
        "metadata": {"name": "s", "namespace": namespace},
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in data.items()},
    }


def deployment(namespace: str, *, paused: bool, **container: Any) -> Json:
    labels = {"app": "web"}
    pod = {"containers": [{"name": "c", "image": "headgate.invalid/none", **container}]}
    return {
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "paused": paused,
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


async def again(cluster: Cluster, obj: Json) -> Json:
    """Write to a Secret as somebody else does."""
    namespace = obj["metadata"]["namespace"]
    return await cluster.merge_patch(SECRETS, namespace, "s", {"stringData": {"theirs": "x"}})


async def made_anew(cluster: Cluster, obj: Json) -> Json:
    namespace = obj["metadata"]["namespace"]
    await cluster.delete(SECRETS, namespace, "s")
    return await cluster.create(SECRETS, secret(namespace, k="new"))


def resting_on(obj: Json, *fields: str) -> Json:
    namespace = obj["metadata"]["namespace"]
    wanted = secret(namespace, k="b")
    wanted["metadata"] |= {field: obj["metadata"][field] for field in fields}
    return wanted


async def test_an_apply_of_an_old_version_is_a_conflict(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        old = await cluster.apply(SECRETS, secret(namespace, k="a"))
        newer = await again(cluster, old)
        for fields in (("resourceVersion",), ("resourceVersion", "uid")):
            with pytest.raises(errors.Conflict):
                await cluster.apply(SECRETS, resting_on(old, *fields))
        assert await cluster.get(SECRETS, namespace, "s") == newer
        after = await cluster.apply(SECRETS, resting_on(newer, "resourceVersion", "uid"))
        assert base64.b64decode(after["data"]["k"]) == b"b"


async def test_an_apply_to_what_has_gone_makes_nothing(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        old = await cluster.apply(SECRETS, secret(namespace, k="a"))
        await cluster.delete(SECRETS, namespace, "s")
        with pytest.raises(errors.Conflict):
            await cluster.apply(SECRETS, resting_on(old, "resourceVersion", "uid"))
        assert await stored(cluster, SECRETS, namespace, "s") is None
        with pytest.raises(Gone):
            await applied(cluster, SECRETS, secret(namespace, k="b"), old)


async def test_a_delete_of_an_old_version_is_a_conflict(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        old = await cluster.create(SECRETS, secret(namespace, k="a"))
        newer = await again(cluster, old)
        uid, version = old["metadata"]["uid"], old["metadata"]["resourceVersion"]
        with pytest.raises(errors.Conflict):
            await cluster.delete(SECRETS, namespace, "s", uid=uid, resource_version=version)
        assert await cluster.get(SECRETS, namespace, "s") == newer
        with pytest.raises(Overtaken):
            await deleted(cluster, SECRETS, old)
        await deleted(cluster, SECRETS, newer)
        await deleted(cluster, SECRETS, newer)
        assert await stored(cluster, SECRETS, namespace, "s") is None


async def test_another_object_of_the_name_is_left_alone(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        old = await cluster.create(SECRETS, secret(namespace, k="a"))
        theirs = await made_anew(cluster, old)
        wanted = secret(namespace, k="b")
        with pytest.raises(Overtaken):
            await patched(cluster, SECRETS, old, lambda _: {"data": wanted["data"]})
        with pytest.raises(Overtaken):
            await applied(cluster, SECRETS, wanted, old)
        with pytest.raises(Overtaken):
            await deleted(cluster, SECRETS, old)
        with pytest.raises(Overtaken):
            await applied(cluster, SECRETS, wanted, None)
        assert await cluster.get(SECRETS, namespace, "s") == theirs


async def test_a_patch_is_computed_anew_or_given_up(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        old = await cluster.create(SECRETS, secret(namespace, k="a"))
        await again(cluster, old)

        def count(current: Json) -> Json:
            return {"stringData": {"count": str(len(current["data"]))}}

        with pytest.raises(Overtaken):
            await patched(cluster, SECRETS, old, count, still=never)
        after = await patched(cluster, SECRETS, old, count)
        assert base64.b64decode(after["data"]["count"]) == b"2"


async def test_many_writers_of_one_object_lose_nothing(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        begin = await cluster.create(SECRETS, secret(namespace, n="0"))

        def count_up(current: Json) -> Json:
            number = int(base64.b64decode(current["data"]["n"]))
            return {"stringData": {"n": str(number + 1)}}

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(patched(cluster, SECRETS, begin, count_up))
        found = await cluster.get(SECRETS, namespace, "s")
        assert base64.b64decode(found["data"]["n"]) == b"4"


async def test_a_status_of_an_old_version_is_a_conflict(cluster_kubeconfig: Path) -> None:
    condition = {"type": "Test", "status": "True", "reason": "Test", "message": "m"}
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        old = await cluster.create(DEPLOYMENTS, deployment(namespace, paused=True))
        note = {"metadata": {"annotations": {"example.com/note": "x"}}}
        await cluster.merge_patch(DEPLOYMENTS, namespace, "web", note)
        status = {"status": {"conditions": [condition]}}
        with pytest.raises(Overtaken):
            await patched(
                cluster, DEPLOYMENTS, old, lambda _: status, subresource="status", still=never
            )
        after = await patched(cluster, DEPLOYMENTS, old, lambda _: status, subresource="status")
        assert "Test" in {found["type"] for found in after["status"]["conditions"]}


# --- operations that test what they rest on -----------------------------------------------------


async def reopened(cluster: Cluster, heard: Json, still: Still = never) -> Json:
    """Take the verdict that was heard of off a Deployment, by the first write unless `still`."""
    verdict = verdict_in(heard)
    assert verdict is not None
    return await swapped(
        cluster,
        DEPLOYMENTS,
        heard,
        lambda newer: reopening(newer, verdict, cluster.now()),
        subresource="status",
        still=still,
    )


async def observed(cluster: Cluster, namespace: str) -> Json:
    """Wait until the Deployment controller has written its status; return what is stored."""
    async with asyncio.timeout(30):
        while True:
            found = await cluster.get(DEPLOYMENTS, namespace, "web")
            status = found.get("status") or {}
            if status.get("observedGeneration") == found["metadata"]["generation"]:
                return found
            await asyncio.sleep(0.05)


async def with_verdict(cluster: Cluster, namespace: str, second: int = 0) -> Json:
    """Write a verdict as the analyzer does, in words that JSON can be written of in two ways."""
    found = await cluster.get(DEPLOYMENTS, namespace, "web")
    at = datetime(2026, 1, 1, second=second, tzinfo=UTC)
    patch = with_condition(found, refused("error-rate 20 % > 1 % & p99 < 1 s … é", at))
    return await cluster.merge_patch(DEPLOYMENTS, namespace, "web", patch, subresource="status")


async def held_with_a_verdict(cluster: Cluster, namespace: str) -> Json:
    wanted = deployment(namespace, paused=True)
    wanted["metadata"]["annotations"] = {HOLD: "b", REFUSED: "a"}
    await cluster.create(DEPLOYMENTS, wanted)
    await observed(cluster, namespace)
    return await with_verdict(cluster, namespace)


async def test_a_verdict_goes_whatever_its_controller_has_written_since(
    cluster_kubeconfig: Path,
) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        heard = await held_with_a_verdict(cluster, namespace)
        spec = {"spec": {"revisionHistoryLimit": 3}}
        await cluster.merge_patch(DEPLOYMENTS, namespace, "web", spec)
        newer = await observed(cluster, namespace)
        assert newer["metadata"]["resourceVersion"] != heard["metadata"]["resourceVersion"]
        assert verdict_in(newer) == verdict_in(heard)
        after = await reopened(cluster, heard)
        assert not carries_verdict(after)
        assert after["status"]["observedGeneration"] == newer["metadata"]["generation"]
        assert after["spec"] == newer["spec"]
        assert after["metadata"]["annotations"] == newer["metadata"]["annotations"]


@pytest.mark.parametrize("mark", [HOLD, REFUSED])
async def test_a_verdict_stays_where_another_candidate_is_held_or_was_refused(
    cluster_kubeconfig: Path, mark: str
) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        heard = await held_with_a_verdict(cluster, namespace)
        marks = {"metadata": {"annotations": {mark: "c"}}}
        await cluster.merge_patch(DEPLOYMENTS, namespace, "web", marks)
        with pytest.raises(Overtaken):
            await reopened(cluster, heard)
        assert carries_verdict(await cluster.get(DEPLOYMENTS, namespace, "web"))


async def test_another_verdict_and_that_of_another_deployment_stay(
    cluster_kubeconfig: Path,
) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        heard = await held_with_a_verdict(cluster, namespace)
        await with_verdict(cluster, namespace, second=1)
        with pytest.raises(Overtaken):
            await reopened(cluster, heard)
        assert carries_verdict(await cluster.get(DEPLOYMENTS, namespace, "web"))

        await cluster.delete(DEPLOYMENTS, namespace, "web")
        theirs = await held_with_a_verdict(cluster, namespace)
        assert verdict_in(theirs) == verdict_in(heard)
        with pytest.raises(Overtaken):
            await reopened(cluster, heard)
        assert carries_verdict(await cluster.get(DEPLOYMENTS, namespace, "web"))


async def test_a_verdict_is_found_where_the_conditions_are_in_another_order(
    cluster_kubeconfig: Path,
) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        heard = await held_with_a_verdict(cluster, namespace)
        conditions = heard["status"]["conditions"]
        more = {"type": "Test", "status": "True", "reason": "Test", "message": "m"}
        other = {"status": {"conditions": [more, *conditions]}}
        await cluster.merge_patch(DEPLOYMENTS, namespace, "web", other, subresource="status")
        with pytest.raises(Overtaken):
            await reopened(cluster, heard)
        after = await reopened(cluster, heard, still=always)
        assert not carries_verdict(after)
        assert "Test" in {found["type"] for found in after["status"]["conditions"]}


async def test_a_scale_of_an_old_version_is_a_conflict(cluster_kubeconfig: Path) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        await cluster.create(DEPLOYMENTS, deployment(namespace, paused=False))
        async with asyncio.timeout(30):
            while not (found := (await cluster.list(REPLICASETS, namespace)).items):  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.1)
        old = found[0]
        name = old["metadata"]["name"]
        note = {"metadata": {"annotations": {"example.com/note": "x"}}}
        await cluster.merge_patch(REPLICASETS, namespace, name, note)
        down = {"spec": {"replicas": 0}}
        with pytest.raises(Overtaken):
            await patched(
                cluster, REPLICASETS, old, lambda _: down, subresource="scale", still=never
            )
        scale = await patched(cluster, REPLICASETS, old, lambda _: down, subresource="scale")
        assert (scale["kind"], scale["spec"]) in [("Scale", {}), ("Scale", {"replicas": 0})]


async def test_what_was_made_and_is_wanted_no_more_goes_with_the_first_apply(
    cluster_kubeconfig: Path,
) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        variables = {"env": [{"name": "OLD", "value": "x"}], "args": ["--old"]}
        wanted = deployment(namespace, paused=True, **variables)
        made = await applied(cluster, DEPLOYMENTS, wanted, None)
        theirs = {"metadata": {"annotations": {"example.com/note": "x"}}}
        await cluster.merge_patch(
            DEPLOYMENTS, namespace, "web", theirs, field_manager="somebody-else"
        )
        plain = deployment(namespace, paused=True)
        after = await applied(cluster, DEPLOYMENTS, plain, made)
        container = after["spec"]["template"]["spec"]["containers"][0]
        assert {"env", "args"} & container.keys() == set()
        assert after["metadata"]["annotations"]["example.com/note"] == "x"
        same = await applied(cluster, DEPLOYMENTS, plain, after)
        # Not the resourceVersion: the Deployment controller writes the status meanwhile.
        assert same["metadata"]["generation"] == after["metadata"]["generation"]
        owners = {
            (entry["manager"], entry["operation"]) for entry in same["metadata"]["managedFields"]
        }
        assert ("headgate", "Apply") in owners
        assert not {name for name, _ in owners if name == "headgate-create"}


async def test_a_service_that_was_made_can_be_applied_over(cluster_kubeconfig: Path) -> None:
    def service(namespace: str, port: int) -> Json:
        ports = [{"name": "http", "port": port}]
        return {
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {"selector": {"app": "web"}, "ports": ports},
        }

    async with own_namespace(cluster_kubeconfig) as (cluster, namespace):
        made = await applied(cluster, SERVICES, service(namespace, 80), None)
        after = await applied(cluster, SERVICES, service(namespace, 81), made)
        assert [port["port"] for port in after["spec"]["ports"]] == [81]
        assert after["spec"]["clusterIP"] == made["spec"]["clusterIP"]
        assert after["metadata"]["uid"] == made["metadata"]["uid"]


async def test_the_server_s_time_and_two_connections_agree(cluster_kubeconfig: Path) -> None:
    async with (
        own_namespace(cluster_kubeconfig) as (one, namespace),
        Cluster.connect(cluster_kubeconfig) as other,
    ):
        for _ in range(5):
            await other.version()
        early = one.now()
        made = await one.create(SECRETS, secret(namespace, k="a"))
        late = one.now()
        stamp = datetime.fromisoformat(made["metadata"]["creationTimestamp"]).astimezone(UTC)
        assert early - timedelta(seconds=3) < stamp < late + timedelta(seconds=3)
        assert abs(one.now() - other.now()) < timedelta(seconds=1.5)
