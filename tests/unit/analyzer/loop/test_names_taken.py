"""What has a name of the run's and was not made for it: named in status, and left as it is."""

from datetime import timedelta
from typing import Any

import pytest

from canary.contract import (
    AUTO_LABEL,
    CANDIDATE,
    HOLD,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    STABLE,
    TARGET_LABEL,
)
from canary.model.values import Json
from runtime.errors import Invalid
from runtime.resources import CANARIES, DEPLOYMENTS, ENDPOINTSLICES, PODS, SERVICES, Resource
from tests.fakes import objects
from tests.fakes.bench import KEY, Bench, held, ready, status
from tests.fakes.objects import deployment, endpoints

LOOK = timedelta(seconds=6)
MARKS = {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: "web"}
OWNER: Json = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}


def run(bench: Bench | None = None) -> Bench:
    return held(bench or Bench(), webhooks=[], metrics=[])


async def looks(bench: Bench, times: int, *, served_by: str = "web-canary") -> None:
    """Look so many times, with the canary's pods ready and an endpoint of its Service there."""
    for _ in range(times):
        ready(bench)
        bench.cluster.put(ENDPOINTSLICES, endpoints(served_by))
        await bench.reconcile()
        bench.now += LOOK


def said(bench: Bench) -> str:
    return str(status(bench)["conditions"][0]["message"])


def uid(bench: Bench) -> str:
    target = bench.target(KEY)
    assert target is not None
    return str(target["metadata"]["uid"])


def now(bench: Bench, resource: Resource, name: str = "web-canary") -> Json:
    found = bench.cluster.now(resource, "prod", name)
    assert found is not None
    return found


def named(resource: Resource, **metadata: Any) -> Json:
    """Return an object of the canary's name."""
    obj = deployment(name="web-canary")
    if resource is SERVICES:
        spec = {"selector": {"app": "else"}, "ports": [{"port": 80}]}
        obj = {"kind": "Service", "metadata": {"name": "web-canary", "namespace": "prod"}}
        obj["spec"] = spec
    obj["metadata"] = {"name": "web-canary", "namespace": "prod", **metadata}
    return obj


KINDS = pytest.mark.parametrize("resource", [SERVICES, DEPLOYMENTS], ids=["Service", "Deployment"])
STRANGERS: dict[str, dict[str, Any]] = {
    "the team's own": {},
    "with our labels, copied": {"labels": MARKS},
    "with our owner and not our labels": {"ownerReferences": [OWNER]},
    "of another target's canary": {
        "labels": {**MARKS, TARGET_LABEL: "api"},
        "ownerReferences": [{**OWNER, "name": "api", "uid": "uid-api"}],
    },
    "with our labels and another Deployment as its owner": {
        "labels": MARKS,
        "ownerReferences": [{**OWNER, "name": "api", "uid": "uid-api"}],
    },
    "that is being deleted": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]},
}


@KINDS
@pytest.mark.parametrize("what", STRANGERS)
async def test_a_strangers_object_is_named_with_the_target_and_left_as_it_is(
    resource: Resource, what: str
) -> None:
    bench = run()
    metadata = dict(STRANGERS[what])
    if metadata.get("ownerReferences") == [OWNER]:
        metadata["ownerReferences"] = [{**OWNER, "uid": uid(bench)}]
    stored = bench.cluster.put(resource, named(resource, **metadata))
    for _ in range(4):
        await bench.reconcile()
        bench.now += LOOK
    assert now(bench, resource) == stored
    assert f"{resource.kind} web-canary exists and is not the canary of deployment web" in said(
        bench
    )
    assert any(f"{resource.kind} web-canary" in event for event in bench.events())
    assert status(bench)["conditions"][0]["status"] == "False"
    assert bench.router.weight == 0
    bench.write("web:1", {HOLD: None, STABLE: None})
    for _ in range(4):
        await bench.reconcile()
        bench.now += LOOK
    assert now(bench, resource) == stored


@KINDS
async def test_one_that_comes_in_mid_run_gets_no_traffic_and_goes_as_it_came(
    resource: Resource,
) -> None:
    bench = run()
    await looks(bench, 4)
    assert bench.router.weight == 10
    ours = now(bench, resource)
    bench.cluster.remove(resource, "prod", "web-canary")
    stored = bench.cluster.put(resource, named(resource))
    await bench.reconcile()
    assert bench.router.weight == 0
    assert now(bench, resource) == stored
    assert "is not the canary of deployment web" in said(bench)
    bench.cluster.remove(resource, "prod", "web-canary")
    await looks(bench, 8)
    assert now(bench, resource)["spec"]["selector"] == ours["spec"]["selector"]
    assert bench.router.weight >= 10


async def test_while_the_canary_has_a_share_its_service_is_looked_at_before_long() -> None:
    bench = held(Bench(), webhooks=[], metrics=[], interval="10m")
    await looks(bench, 4)
    assert bench.router.weight == 10
    after = (await bench.reconcile()).requeue_after
    assert after is not None
    assert after <= timedelta(seconds=30)


@KINDS
async def test_what_a_target_of_before_has_left_is_replaced(resource: Resource) -> None:
    bench = run()
    metadata: Json = {
        "labels": MARKS,
        "ownerReferences": [{**OWNER, "uid": "uid-before"}],
        "annotations": {CANDIDATE: "x"},
    }
    old = bench.cluster.put(resource, named(resource, **metadata))
    await looks(bench, 8)
    made = now(bench, resource)["metadata"]
    assert made["uid"] != old["metadata"]["uid"]
    assert made["ownerReferences"][0]["uid"] == uid(bench)
    assert bench.router.weight == 10


async def test_a_canary_that_somebody_s_finalizer_keeps_is_waited_for_and_named() -> None:
    bench = run()
    await looks(bench, 4)
    going = now(bench, DEPLOYMENTS)
    going["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"]}
    bench.cluster.put(DEPLOYMENTS, going)
    await bench.reconcile()
    assert bench.router.weight == 0
    assert "is being deleted and waits for its finalizer x/y" in said(bench)


async def test_one_that_the_cluster_is_deleting_by_itself_is_no_fault() -> None:
    bench = run()
    await looks(bench, 4)
    going = now(bench, DEPLOYMENTS)
    finalizers = ["foregroundDeletion"]
    going["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": finalizers}
    bench.cluster.put(DEPLOYMENTS, going)
    await bench.reconcile()
    assert status(bench)["conditions"][0]["reason"] != "CanaryNotApart"


def strange_pod(bench: Bench) -> None:
    owners = [{"controller": True, "kind": "ReplicaSet", "name": "copy-5d9f7c8b9d", "uid": "u"}]
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    container = {"name": "app", "restartCount": 9, "ready": False, "state": {}, "lastState": ended}
    bench.cluster.put(
        PODS,
        {
            "metadata": {
                "name": "copy",
                "namespace": "prod",
                "labels": {TARGET_LABEL: "web"},
                "ownerReferences": owners,
            },
            "spec": {},
            "status": {"phase": "Running", "containerStatuses": [container]},
        },
    )


async def test_pods_of_a_copy_that_wear_the_canary_s_label_are_neither_judged_nor_served() -> None:
    bench = run()
    await looks(bench, 4)
    strange_pod(bench)
    await bench.reconcile()
    assert (status(bench)["phase"], bench.router.weight) == ("Progressing", 0)
    assert f"have its label {TARGET_LABEL}=web: copy" in said(bench)
    bench.cluster.remove(PODS, "prod", "copy")
    await looks(bench, 3)
    assert bench.router.weight >= 10


# --- the Service whose traffic is split -----------------------------------------------------------


def service(bench: Bench, name: str, **selector: str) -> None:
    spec = {"selector": selector, "ports": [{"port": 80}]}
    metadata = {"name": name, "namespace": "prod"}
    bench.cluster.put(SERVICES, {"kind": "Service", "metadata": metadata, "spec": spec})


def naming(bench: Bench, name: str) -> None:
    """Have the Canary name another Service."""
    obj = now(bench, CANARIES, "web")
    obj["spec"]["service"] = {"name": name, "port": 80}
    bench.cluster.put(CANARIES, obj)


@pytest.mark.parametrize("selector", [{"app": "api"}, {"tier": "back"}, {}])
async def test_the_service_of_another_app_is_never_split(selector: dict[str, str]) -> None:
    bench = run()
    service(bench, "api", **selector)
    naming(bench, "api")
    await looks(bench, 4)
    assert bench.router.weight == 0
    assert bench.cluster.now(SERVICES, "prod", "api-canary") is None
    assert "Service api sends no traffic to the pods of deployment web" in said(bench)
    service(bench, "api", app="web")
    await looks(bench, 4, served_by="api-canary")
    assert bench.router.weight == 10


async def test_a_service_by_a_label_that_pods_give_themselves_is_split() -> None:
    bench = run()
    service(bench, "lead", role="leader")
    naming(bench, "lead")
    labels = {"app": "web", "role": "leader"}
    metadata = {"name": "web-1-x", "namespace": "prod", "labels": labels}
    bench.cluster.put(PODS, {"metadata": metadata, "spec": {}, "status": {"phase": "Running"}})
    await looks(bench, 4, served_by="lead-canary")
    assert bench.router.weight == 10


async def test_a_service_that_is_turned_to_another_app_in_mid_run_loses_the_share() -> None:
    bench = run()
    await looks(bench, 4)
    service(bench, "web", app="api")
    await bench.reconcile()
    assert bench.router.weight == 0
    assert "Service web sends no traffic to the pods of deployment web" in said(bench)


async def test_a_target_without_a_canary_takes_the_service_in_front_of_it() -> None:
    bench = run()
    bench.cluster.remove(CANARIES, "prod", "web")
    service(bench, "web", app="other")
    service(bench, "shop", app="web")
    await looks(bench, 6)
    assert now(bench, SERVICES, "shop-canary")["spec"]["selector"] == {TARGET_LABEL: "web"}
    assert bench.cluster.now(SERVICES, "prod", "web-canary") is None


async def test_a_canary_s_service_under_the_name_before_an_edit_is_in_nobody_s_way() -> None:
    bench = run()
    await looks(bench, 4)
    service(bench, "shop", app="web")
    naming(bench, "shop")
    await looks(bench, 6, served_by="shop-canary")
    assert now(bench, SERVICES, "shop-canary")["spec"]["selector"] == {TARGET_LABEL: "web"}
    assert bench.router.weight >= 10
    assert "Service web-canary" not in said(bench)


# --- Canaries of that name ------------------------------------------------------------------------


def of_another(name: str) -> Json:
    obj = objects.canary()
    obj["metadata"] |= {"name": name, "uid": f"uid-{name}"}
    obj["spec"]["targetRef"]["name"] = "api"
    return obj


def the_others(bench: Bench, *names: str) -> list[Json]:
    return [bench.cluster.put(CANARIES, of_another(name)) for name in names]


async def test_a_canary_is_made_under_a_third_name_where_two_are_another_target_s() -> None:
    bench = run()
    bench.cluster.remove(CANARIES, "prod", "web")
    others = the_others(bench, "web", "web-canary")
    await looks(bench, 3)
    assert [now(bench, CANARIES, name) for name in ("web", "web-canary")] == others
    found = bench.canary(KEY)
    assert found is not None
    assert found["metadata"]["labels"] == {AUTO_LABEL: "defaults"}
    assert status(bench)["phase"] == "Progressing"


async def test_where_no_name_is_free_that_is_said_and_no_canary_is_written() -> None:
    bench = run()
    bench.cluster.remove(CANARIES, "prod", "web")
    third = f"web-{uid(bench)[:8]}"
    others = the_others(bench, "web", "web-canary", third)
    with pytest.raises(Invalid):
        await bench.reconcile()
    names = ("web", "web-canary", third)
    assert [now(bench, CANARIES, name) for name in names] == others
    (event,) = bench.events()
    assert "Canary web is for api, Canary web-canary is for api" in event


def second(bench: Bench, name: str, made_at: str, **spec: Any) -> Json:
    obj = objects.canary()
    obj["metadata"] |= {"name": name, "uid": f"uid-{name}", "creationTimestamp": made_at}
    obj["spec"] |= spec
    return bench.cluster.put(CANARIES, obj)


def dated(bench: Bench, made_at: str) -> None:
    obj = now(bench, CANARIES, "web")
    obj["metadata"]["creationTimestamp"] = made_at
    bench.cluster.put(CANARIES, obj)


@pytest.mark.parametrize("name", ["a-first-by-name", "z-last-by-name"])
async def test_of_two_canaries_the_elder_is_in_force_and_the_younger_is_told(name: str) -> None:
    bench = run()
    dated(bench, "2026-01-01T00:00:00Z")
    await looks(bench, 4)
    second(bench, name, "2026-01-02T00:00:00Z", suspend=True)
    await looks(bench, 3)
    assert bench.router.weight >= 10
    condition = now(bench, CANARIES, name)["status"]["conditions"][0]
    assert (condition["reason"], condition["status"]) == ("AnotherCanaryInForce", "False")
    assert f"Canary web and Canary {name} are both for deployment web" in condition["message"]
    events = [event for event in bench.events() if f"Canary {name}" in event]
    assert len(events) == 1
    writes = len([call for call in bench.cluster.calls if call.startswith("merge_patch")])
    told = now(bench, CANARIES, name)
    await bench.reconcile()
    assert now(bench, CANARIES, name) == told
    assert len([c for c in bench.cluster.calls if c.startswith("merge_patch")]) <= writes + 1


async def test_the_younger_takes_over_when_the_elder_goes_or_is_going() -> None:
    bench = run()
    dated(bench, "2026-01-01T00:00:00Z")
    second(bench, "a", "2026-01-02T00:00:00Z")
    await looks(bench, 2)
    going = now(bench, CANARIES, "web")
    going["metadata"] |= {"deletionTimestamp": "2026-01-03T00:00:00Z", "finalizers": ["x"]}
    bench.cluster.put(CANARIES, going)
    await looks(bench, 5)
    found = now(bench, CANARIES, "a")["status"]
    assert found["phase"] == "Progressing"
    assert found["conditions"][0]["reason"] != "AnotherCanaryInForce"


@pytest.mark.parametrize("how", ["no label", "Flagger"])
async def test_nobody_is_told_where_headgate_has_no_say(how: str) -> None:
    bench = run()
    dated(bench, "2026-01-01T00:00:00Z")
    second(bench, "a", "2026-01-02T00:00:00Z")
    if how == "no label":
        bench.labelled = False
    else:
        flagger = deployment(name="flagger", image="ghcr.io/fluxcd/flagger:1.44.0")
        flagger["metadata"]["namespace"] = "flagger-system"
        bench.cluster.put(DEPLOYMENTS, flagger)
    await bench.reconcile()
    assert "status" not in now(bench, CANARIES, "a")
