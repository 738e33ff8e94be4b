"""What the Deployment controller does, as far as Headgate rests on it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from canary.contract import HOLD, POD_TEMPLATE_HASH
from canary.model.values import Json
from canary.objects.conditions import carries_verdict, refused, with_condition
from canary.objects.parking import parking, putting_back
from runtime.errors import NotFound
from runtime.resources import DEPLOYMENTS, ENDPOINTSLICES, PODS, REPLICASETS, SERVICES
from runtime.writes import stored
from tests.contract.place import (
    NEVER_READY,
    Place,
    change,
    complete,
    deployment,
    number_of,
    observed,
    pods,
    progress_of,
    sets,
    sized,
    sizes,
    target,
    template,
)


async def _rolled_out(place: Place, version: str = "1", replicas: int = 2, **spec: Any) -> Json:
    found = deployment(place, version, replicas=replicas, **spec)
    await place.server.create(DEPLOYMENTS, found)
    await complete(place, version)
    return await target(place)


async def _held(place: Place, version: str) -> Json:
    """Write another template together with a pause, as the webhook has it stored."""
    await change(place, {"paused": True, "template": template(version)}, {HOLD: version})
    await observed(place)
    await place.rest()
    return await target(place)


async def a_template_gets_a_replica_set(place: Place) -> None:
    note = {"example.com/note": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    wanted = deployment(place)
    wanted["metadata"]["annotations"] = note
    await place.server.create(DEPLOYMENTS, wanted)
    await complete(place, "1")
    found = (await sets(place))["1"]
    tail = found["metadata"]["labels"][POD_TEMPLATE_HASH]
    assert found["metadata"]["name"] == f"web-{tail}"
    assert found["spec"]["selector"]["matchLabels"] == {"app": "web", POD_TEMPLATE_HASH: tail}
    assert number_of(found) == "1"
    assert found["metadata"]["annotations"]["example.com/note"] == "x"
    assert not {key for key in found["metadata"]["annotations"] if "last-applied" in key}
    [owner] = found["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["controller"]) == ("Deployment", True)
    assert progress_of(await target(place)) == "NewReplicaSetAvailable"


async def a_paused_template_gets_none(place: Place) -> None:
    await _rolled_out(place)
    before = await pods(place)
    found = await _held(place, "2")
    assert await sizes(place) == {"1": 2}
    assert not found["status"].get("updatedReplicas")
    assert found["status"]["availableReplicas"] == 2
    assert progress_of(found) == "DeploymentPaused"
    assert await pods(place) == before
    assert (await sets(place))["1"]["metadata"]["annotations"].get(HOLD) is None


async def a_held_deployment_is_scaled_by_what_serves(place: Place) -> None:
    await _rolled_out(place)
    await _held(place, "2")
    for size in (3, 1):
        await change(place, {"replicas": size})
        await sized(place, v1=size)
    assert await sizes(place) == {"1": 1}


async def a_verdict_stays_while_it_is_paused(place: Place) -> None:
    await _rolled_out(place, replicas=1)
    found = await _held(place, "2")
    said = with_condition(found, refused("errors", datetime(2026, 1, 1, tzinfo=UTC)))
    await place.server.merge_patch(DEPLOYMENTS, place.namespace, "web", said, subresource="status")
    await change(place, {"replicas": 2})
    await sized(place, v1=2)
    await observed(place)
    await place.rest()
    assert carries_verdict(await target(place))
    await change(place, {"paused": False})
    await complete(place, "2")
    assert not carries_verdict(await target(place))


async def back_to_what_serves_touches_no_pod(place: Place) -> None:
    await _rolled_out(place)
    before = await pods(place)
    await _held(place, "2")
    await change(place, {"paused": None, "template": template("1")}, {HOLD: None})
    await complete(place, "1")
    await place.rest()
    assert await pods(place) == before
    assert await sizes(place) == {"1": 2}


async def a_rollout_ends_with_the_new_pods(place: Place) -> None:
    await _rolled_out(place)
    await change(place, {"template": template("2")})
    await complete(place, "2")
    assert await sizes(place) == {"1": 0, "2": 2}
    numbers = {version: number_of(one) for version, one in (await sets(place)).items()}
    assert numbers == {"1": "1", "2": "2"}
    await change(place, {"template": template("1")})
    await complete(place, "1")
    assert number_of((await sets(place))["1"]) == "3"
    assert await sizes(place) == {"1": 2, "2": 0}


async def _is_counted(place: Place, *, updated: int, available: int) -> bool:
    """Tell whether the controller has seen the Deployment as it is, and these pods of it."""
    found = await target(place)
    status = found.get("status") or {}
    counts = [status.get(key, 0) for key in ("updatedReplicas", "availableReplicas")]
    seen = status.get("observedGeneration") == found["metadata"]["generation"]
    return bool(seen and counts == [updated, available])


async def a_rollout_that_does_not_get_ready_stops(place: Place) -> None:
    await _rolled_out(place, replicas=4)
    await change(place, {"template": template("2", NEVER_READY)})
    await sized(place, v1=3, v2=2)
    await place.until("its status says so", lambda: _is_counted(place, updated=2, available=3))
    await place.rest()
    assert await sizes(place) == {"1": 3, "2": 2}
    found = await target(place)
    assert found["status"]["updatedReplicas"] == 2
    assert found["status"]["availableReplicas"] == 3
    assert progress_of(found) == "ReplicaSetUpdated"


async def a_half_way_rollout_is_undone_by_a_pause_and_a_scale(place: Place) -> None:
    await a_rollout_that_does_not_get_ready_stops(place)
    await change(place, {"paused": True})
    await observed(place)
    name = (await sets(place))["2"]["metadata"]["name"]
    await place.server.merge_patch(
        REPLICASETS, place.namespace, name, {"spec": {"replicas": 0}}, subresource="scale"
    )
    await sized(place, v1=4, v2=0)
    await place.rest()
    assert await sizes(place) == {"1": 4, "2": 0}


async def a_half_way_rollout_is_scaled_to_nothing(place: Place) -> None:
    await a_rollout_that_does_not_get_ready_stops(place)
    await change(place, {"replicas": 0})
    await sized(place, v1=0, v2=0)


async def what_serves_after_nothing_is_the_templates_own_or_the_newest(place: Place) -> None:
    await _rolled_out(place, "1", replicas=1)
    await change(place, {"template": template("2")})
    await complete(place, "2")
    for held, serves in (("3", "2"), ("1", "1")):
        await change(place, {"paused": True, "template": template(held), "replicas": 0})
        await sized(place, v1=0, v2=0)
        await change(place, {"replicas": 1})
        await sized(place, **{f"v{serves}": 1})
        await change(place, {"replicas": 0})
        await sized(place, v1=0, v2=0)


async def what_is_parked_is_let_go_and_taken_back(place: Place) -> None:
    found = await _rolled_out(place, "1", replicas=1)
    await change(place, {"template": template("2")})
    await complete(place, "2")
    old = (await sets(place))["1"]
    name, patch = old["metadata"]["name"], parking(old, found)
    assert patch is not None
    await place.server.merge_patch(REPLICASETS, place.namespace, name, patch)

    async def owners(wanted: int) -> bool:
        now = await place.server.get(REPLICASETS, place.namespace, name)
        return len(now["metadata"].get("ownerReferences") or ()) == wanted

    await place.until("let go", lambda: owners(0))
    parked = await place.server.get(REPLICASETS, place.namespace, name)
    back = putting_back(parked)
    assert back is not None
    await place.server.merge_patch(REPLICASETS, place.namespace, name, back)
    await place.until("taken back", lambda: owners(1))
    again = await place.server.get(REPLICASETS, place.namespace, name)
    assert again["metadata"]["labels"] == old["metadata"]["labels"]
    assert number_of(again) == number_of(old)


async def the_history_has_a_limit(place: Place) -> None:
    await _rolled_out(place, "1", replicas=1, revisionHistoryLimit=1)
    for version in ("2", "3"):
        await change(place, {"template": template(version)})
        await complete(place, version)

    async def look() -> bool:
        return (await sizes(place)).keys() == {"2", "3"}

    await place.until("the oldest is gone", look)


async def a_pod_that_is_deleted_is_replaced(place: Place) -> None:
    await _rolled_out(place, replicas=1)
    [name] = await pods(place)
    await place.server.delete(PODS, place.namespace, name)

    async def look() -> bool:
        found = await target(place)
        return name not in await pods(place) and found["status"].get("availableReplicas") == 1

    await place.until("another one", look)


async def everything_goes_with_its_deployment(place: Place) -> None:
    await _rolled_out(place, replicas=1)
    await place.server.delete(DEPLOYMENTS, place.namespace, "web")

    async def look() -> bool:
        return not await sets(place) and not await pods(place)

    await place.until("nothing is left", look)
    with pytest.raises(NotFound):
        await target(place)


async def a_service_has_the_ready_pods(place: Place) -> None:
    wanted: Json = {
        "metadata": {"name": "web", "namespace": place.namespace},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    }
    await place.server.create(SERVICES, wanted)
    await _rolled_out(place, replicas=1)
    selector = "kubernetes.io/service-name=web"

    async def ready(wanted: int) -> bool:
        found = (
            await place.server.list(ENDPOINTSLICES, place.namespace, label_selector=selector)
        ).items
        ends = [one for it in found for one in it.get("endpoints") or ()]
        return sum(bool((one.get("conditions") or {}).get("ready")) for one in ends) == wanted

    await place.until("one is ready", lambda: ready(1))
    await change(place, {"replicas": 0})
    await place.until("none is ready", lambda: ready(0))
    assert await stored(place.server, SERVICES, place.namespace, "web") is not None


DEPLOYED = (
    a_template_gets_a_replica_set,
    a_paused_template_gets_none,
    a_held_deployment_is_scaled_by_what_serves,
    a_verdict_stays_while_it_is_paused,
    back_to_what_serves_touches_no_pod,
    a_rollout_ends_with_the_new_pods,
    a_rollout_that_does_not_get_ready_stops,
    a_half_way_rollout_is_undone_by_a_pause_and_a_scale,
    a_half_way_rollout_is_scaled_to_nothing,
    what_serves_after_nothing_is_the_templates_own_or_the_newest,
    what_is_parked_is_let_go_and_taken_back,
    the_history_has_a_limit,
    a_pod_that_is_deleted_is_replaced,
    everything_goes_with_its_deployment,
    a_service_has_the_ready_pods,
)
