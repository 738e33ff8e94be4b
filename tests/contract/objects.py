"""What an API server does with objects: versions, subresources, conditions of a write, deletion."""

from contextlib import aclosing

import pytest

from canary.model.values import Json
from runtime.errors import AlreadyExists, Conflict, Invalid, NotFound
from runtime.resources import DEPLOYMENTS, SECRETS, SERVICES
from tests.contract.place import Place, change, deployment, observed, target

NOTE = "example.com/note"


def _secret(place: Place, name: str = "s", **metadata: object) -> Json:
    return {
        "metadata": {"name": name, "namespace": place.namespace, **metadata},
        "data": {"k": "YQ=="},
    }


async def _paused(place: Place) -> Json:
    """Make a Deployment that its controller has come to rest with."""
    await place.server.create(DEPLOYMENTS, deployment(place, replicas=0, paused=True))
    await observed(place)
    await place.rest()
    return await target(place)


async def what_is_made_has_an_identity(place: Place) -> None:
    wanted = {**deployment(place, replicas=0, paused=True), "status": {"replicas": 7}}
    made = await place.server.create(DEPLOYMENTS, wanted)
    assert {"uid", "resourceVersion", "creationTimestamp"} <= made["metadata"].keys()
    assert made["metadata"]["generation"] == 1
    assert not (made.get("status") or {}).get("replicas")
    with pytest.raises(AlreadyExists):
        await place.server.create(DEPLOYMENTS, wanted)


async def defaults_are_filled_in(place: Place) -> None:
    found = await _paused(place)
    spec = found["spec"]
    assert (spec["revisionHistoryLimit"], spec["progressDeadlineSeconds"]) == (10, 600)
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}
    after = await change(place, {"paused": False})
    assert "paused" not in after["spec"]
    after = await change(place, {"replicas": None})
    assert after["spec"]["replicas"] == 1


async def a_write_that_changes_nothing_is_none(place: Place) -> None:
    before = await place.server.create(SECRETS, _secret(place))
    same = await place.server.merge_patch(SECRETS, place.namespace, "s", {"data": {"k": "YQ=="}})
    assert same["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def the_generation_moves_with_spec_and_annotations(place: Place) -> None:
    before = await _paused(place)
    number = before["metadata"]["generation"]
    label = {"metadata": {"labels": {"x": "1"}}}
    labelled = await place.server.merge_patch(DEPLOYMENTS, place.namespace, "web", label)
    assert labelled["metadata"]["generation"] == number
    assert labelled["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]
    noted = await change(place, {}, {NOTE: "x"})  # so it is with Deployments alone
    assert noted["metadata"]["generation"] == number + 1
    changed = await change(place, {"minReadySeconds": 1})
    assert changed["metadata"]["generation"] == number + 2


async def a_patch_of_an_old_version_is_a_conflict(place: Place) -> None:
    old = await place.server.create(SECRETS, _secret(place))
    await place.server.merge_patch(SECRETS, place.namespace, "s", {"data": {"k": "Yg=="}})
    late = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}}
    with pytest.raises(Conflict):
        await place.server.merge_patch(SECRETS, place.namespace, "s", {**late, "data": None})
    with pytest.raises(Conflict):
        await place.server.replace(SECRETS, old)
    found = await place.server.get(SECRETS, place.namespace, "s")
    assert found["data"] == {"k": "Yg=="}
    gone = await place.server.merge_patch(SECRETS, place.namespace, "s", {"data": {"k": None}})
    assert not gone.get("data")


async def nothing_is_written_where_a_test_fails(place: Place) -> None:
    made = await place.server.create(SECRETS, _secret(place))
    add = {"op": "add", "path": "/data/more", "value": "Yg=="}
    for wrong in (
        {"op": "test", "path": "/metadata/uid", "value": "another"},
        {"op": "test", "path": "/data/none", "value": "x"},
        {"op": "remove", "path": "/data/none"},
    ):
        with pytest.raises(Invalid):
            await place.server.json_patch(SECRETS, place.namespace, "s", [add, wrong])
    right = {"op": "test", "path": "/metadata/uid", "value": made["metadata"]["uid"]}
    after = await place.server.json_patch(SECRETS, place.namespace, "s", [right, add])
    assert after["data"] == {"k": "YQ==", "more": "Yg=="}


async def a_status_is_written_apart(place: Place) -> None:
    before = await _paused(place)
    condition = {"type": "Test", "status": "True", "reason": "Test", "message": "m"}
    patch = {
        "metadata": {"annotations": {NOTE: "x"}, "labels": {"new": "x"}},
        "spec": {"replicas": 7},
        "status": {"conditions": [condition]},
    }
    after = await place.server.merge_patch(
        DEPLOYMENTS, place.namespace, "web", patch, subresource="status"
    )
    assert after["spec"] == before["spec"]
    assert "new" not in (after["metadata"].get("labels") or {})
    assert after["metadata"]["annotations"][NOTE] == "x"  # the design's facts
    assert "Test" in {one["type"] for one in after["status"]["conditions"]}
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    main = await place.server.merge_patch(
        DEPLOYMENTS, place.namespace, "web", {"status": {"conditions": None}}
    )
    assert "Test" in {one["type"] for one in main["status"]["conditions"]}


async def a_scale_changes_the_size_alone(place: Place) -> None:
    before = await _paused(place)
    version = before["metadata"]["resourceVersion"]
    await change(place, {}, {NOTE: "x"})
    late = {"metadata": {"resourceVersion": version}, "spec": {"replicas": 0}}
    with pytest.raises(Conflict):
        await place.server.merge_patch(
            DEPLOYMENTS, place.namespace, "web", late, subresource="scale"
        )
    patch = {"metadata": {"annotations": {"example.com/other": "x"}}, "spec": {"replicas": 2}}
    await place.server.merge_patch(DEPLOYMENTS, place.namespace, "web", patch, subresource="scale")
    after = await target(place)
    assert after["spec"] == {**before["spec"], "replicas": 2}
    assert "example.com/other" not in after["metadata"]["annotations"]


async def a_selector_stays(place: Place) -> None:
    await _paused(place)
    other = {"matchLabels": {"app": "web", "more": "x"}}
    labels = {"metadata": {"labels": {"app": "web", "more": "x"}}}
    with pytest.raises(Invalid):
        await change(place, {"selector": other, "template": labels})


async def a_deletion_has_conditions(place: Place) -> None:
    old = await place.server.create(SECRETS, _secret(place))
    await place.server.merge_patch(SECRETS, place.namespace, "s", {"data": {"k": "Yg=="}})
    uid, version = old["metadata"]["uid"], old["metadata"]["resourceVersion"]
    for conditions in ({"uid": "another"}, {"uid": uid, "resource_version": version}):
        with pytest.raises(Conflict):
            await place.server.delete(SECRETS, place.namespace, "s", **conditions)
    await place.server.delete(SECRETS, place.namespace, "s", uid=uid)
    await place.server.delete(SECRETS, place.namespace, "s", uid=uid)
    with pytest.raises(NotFound):
        await place.server.get(SECRETS, place.namespace, "s")
    again = await place.server.create(SECRETS, _secret(place))
    assert again["metadata"]["uid"] != uid


async def what_is_owned_goes_with_its_last_owner(place: Place) -> None:
    first = await place.server.create(SECRETS, _secret(place, "first"))
    second = await place.server.create(SECRETS, _secret(place, "second"))
    owners = [_owner(first), _owner(second)]
    await place.server.create(SECRETS, _secret(place, "both", ownerReferences=owners))
    await place.server.create(SECRETS, _secret(place, "one", ownerReferences=owners[:1]))

    async def is_gone(name: str) -> bool:
        found = (await place.server.list(SECRETS, place.namespace)).items
        return name not in {one["metadata"]["name"] for one in found}

    await place.server.delete(SECRETS, place.namespace, "first")
    await place.until("one is gone", lambda: is_gone("one"))
    await place.rest()
    assert not await is_gone("both")
    await place.server.delete(SECRETS, place.namespace, "second")
    await place.until("both is gone", lambda: is_gone("both"))


def _owner(obj: Json) -> Json:
    metadata = obj["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


async def a_list_is_by_labels(place: Place) -> None:
    await place.server.create(SECRETS, _secret(place, "a", labels={"of": "a", "both": "x"}))
    await place.server.create(SECRETS, _secret(place, "b", labels={"of": "b", "both": "x"}))
    for selector, wanted in (("both=x", ["a", "b"]), ("of=a,both=x", ["a"]), ("of", ["a", "b"])):
        found = await place.server.list(SECRETS, place.namespace, label_selector=selector)
        assert sorted(one["metadata"]["name"] for one in found.items) == wanted


async def a_watch_goes_on_from_a_list(place: Place) -> None:
    begin = await place.server.list(SERVICES, place.namespace)
    ports = [{"port": 80}]
    wanted: Json = {
        "metadata": {"name": "s", "namespace": place.namespace},
        "spec": {"selector": {"app": "web"}, "ports": ports},
    }
    await place.server.create(SERVICES, wanted)
    note = {"metadata": {"annotations": {NOTE: "x"}}}
    await place.server.merge_patch(SERVICES, place.namespace, "s", note)
    await place.server.delete(SERVICES, place.namespace, "s")
    stream = place.server.watch(SERVICES, resource_version=begin.resource_version)
    seen, versions = [], []
    async with aclosing(stream) as events:
        async for event in events:
            if event.object["metadata"].get("namespace") != place.namespace:
                continue
            seen.append(event.type)
            versions.append(int(event.object["metadata"]["resourceVersion"]))
            if event.type == "DELETED":
                break
    assert seen == ["ADDED", "MODIFIED", "DELETED"]
    assert versions == sorted(versions)


OBJECTS = (
    what_is_made_has_an_identity,
    defaults_are_filled_in,
    a_write_that_changes_nothing_is_none,
    the_generation_moves_with_spec_and_annotations,
    a_patch_of_an_old_version_is_a_conflict,
    nothing_is_written_where_a_test_fails,
    a_status_is_written_apart,
    a_scale_changes_the_size_alone,
    a_selector_stays,
    a_deletion_has_conditions,
    what_is_owned_goes_with_its_last_owner,
    a_list_is_by_labels,
    a_watch_goes_on_from_a_list,
)
