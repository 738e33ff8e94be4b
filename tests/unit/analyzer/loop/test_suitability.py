"""What stands beside a target, at an API server in memory: what is read of it, said and done."""

from datetime import timedelta
from typing import Any

import pytest

from canary.contract import CANDIDATE, HOLD, MANAGED_BY, MANAGED_BY_LABEL, STABLE, TARGET_LABEL
from canary.model.values import Json
from canary.model.world import OnUnsuitable
from canary.spec.canary import Defaults
from runtime.errors import Forbidden
from runtime.resources import (
    CLAIMS,
    DEPLOYMENTS,
    DISRUPTIONBUDGETS,
    ENDPOINTSLICES,
    GRPCROUTES,
    NETWORKPOLICIES,
    PODS,
    SERVICES,
    ListResult,
    Resource,
)
from tests.fakes.bench import KEY, Bench, held, ready, status
from tests.fakes.objects import deployment, endpoints
from tests.fakes.stored import Stored

LOOK = timedelta(seconds=6)


def named(kind: str, name: str, **spec: Any) -> Json:
    return {"kind": kind, "metadata": {"name": name, "namespace": "prod"}, "spec": spec}


def selecting(name: str, labels: dict[str, str]) -> Json:
    return named("Service", name, selector=labels, ports=[{"port": 80}])


def run(bench: Bench | None = None) -> Bench:
    return held(bench or Bench(), webhooks=[], metrics=[])


async def looks(bench: Bench, times: int, *, served: bool | None = True) -> None:
    """Look so many times, with the canary's pods ready and its endpoint as it is said to be."""
    for _ in range(times):
        ready(bench)
        bench.cluster.put(ENDPOINTSLICES, endpoints("web-canary", ready=served))
        await bench.reconcile()
        bench.now += LOOK


def condition(bench: Bench) -> Json:
    found: Json = status(bench)["conditions"][0]
    return found


def beside(bench: Bench, resource: Resource = DEPLOYMENTS) -> Json:
    """Return what has the canary's name; nothing of it where there is nothing."""
    return bench.cluster.now(resource, "prod", "web-canary") or {}


def worn(bench: Bench) -> Json:
    """Return the labels that the canary's pods are made with."""
    return dict(beside(bench)["spec"]["template"]["metadata"]["labels"])


async def test_the_canary_is_told_from_its_target_by_its_own_label() -> None:
    bench = run()
    await looks(bench, 4)
    assert worn(bench) == {"app": "web-canary", TARGET_LABEL: "web"}
    assert beside(bench)["spec"]["selector"] == {"matchLabels": {TARGET_LABEL: "web"}}
    assert beside(bench, SERVICES)["spec"]["selector"] == {TARGET_LABEL: "web"}
    assert bench.router.weight == 10


async def test_a_service_that_comes_in_mid_run_ends_it_and_another_canary_begins_anew() -> None:
    bench = run()
    await looks(bench, 4)
    bench.cluster.put(SERVICES, selecting("all", {"app": "web-canary"}))
    await looks(bench, 1)
    assert bench.router.weight == 0
    assert condition(bench)["reason"] == "CanaryNotApart"
    assert "Service all" in condition(bench)["message"]
    await looks(bench, 1)
    assert beside(bench) == {}
    await looks(bench, 4)
    assert worn(bench) == {"app": "web-canary-2", TARGET_LABEL: "web"}
    assert bench.router.weight == 10


async def test_a_label_that_pods_are_given_while_they_run_counts_too() -> None:
    bench = run()
    await looks(bench, 4)
    metadata = {"name": "p", "namespace": "prod", "labels": {**worn(bench), "role": "leader"}}
    bench.cluster.put(PODS, {"metadata": metadata, "spec": {}, "status": {"phase": "Running"}})
    bench.cluster.put(SERVICES, selecting("lead", {"role": "leader"}))
    await looks(bench, 1)
    assert bench.router.weight == 0
    assert "Service lead" in condition(bench)["message"]


async def test_a_service_that_no_label_keeps_away_holds_the_run_and_is_named() -> None:
    bench = run()
    bench.cluster.put(SERVICES, selecting("ours", {TARGET_LABEL: "web"}))
    await looks(bench, 2)
    assert beside(bench) == {}
    assert condition(bench)["reason"] == "InvalidConfiguration"
    assert "Service ours" in condition(bench)["message"]
    assert any("Service ours" in event for event in bench.events())
    bench.cluster.remove(SERVICES, "prod", "ours")
    await looks(bench, 4)
    assert bench.router.weight == 10


async def test_or_the_hold_is_released_where_the_admin_wants_that() -> None:
    bench = run(Bench(defaults=Defaults(on_unsuitable=OnUnsuitable.RELEASE)))
    bench.cluster.put(SERVICES, selecting("ours", {TARGET_LABEL: "web"}))
    await bench.reconcile()
    target = bench.target(KEY)
    assert target is not None
    assert HOLD not in target["metadata"]["annotations"]
    assert "paused" not in target["spec"]
    assert "rolls out without analysis" in bench.events()[-1]
    assert "Service ours" in bench.events()[-1]


@pytest.mark.parametrize("resource", [SERVICES, DEPLOYMENTS], ids=["Service", "Deployment"])
async def test_what_has_the_canary_s_name_and_is_not_ours_is_named_and_left_alone(
    resource: Resource,
) -> None:
    bench = run()
    theirs = selecting("web-canary", {}) if resource == SERVICES else deployment(name="web-canary")
    theirs["metadata"]["labels"] = {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: "other"}
    stored = bench.cluster.put(resource, theirs)
    for _ in range(3):
        await bench.reconcile()
    assert beside(bench, resource) == stored
    said = f"{resource.kind} web-canary exists and is not the canary of deployment web"
    assert said in condition(bench)["message"]
    bench.write("web:1", {HOLD: None, STABLE: None})
    for _ in range(4):
        await bench.reconcile()
        bench.now += LOOK
    assert beside(bench, resource) == stored


async def test_a_canary_whose_selector_does_not_tell_it_is_made_anew_at_weight_0() -> None:
    bench = run()
    await looks(bench, 4)
    old = beside(bench)
    old["spec"]["selector"] = {"matchLabels": {"tier": "front"}}
    bench.cluster.put(DEPLOYMENTS, old)
    await looks(bench, 1)
    assert bench.router.weight == 0
    await looks(bench, 6)
    assert beside(bench)["metadata"]["uid"] != old["metadata"]["uid"]
    assert beside(bench)["spec"]["selector"] == {"matchLabels": {TARGET_LABEL: "web"}}
    assert bench.router.weight == 10


async def test_a_canary_of_another_candidate_with_such_a_selector_is_deleted_first() -> None:
    bench = run()
    target = bench.target(KEY)
    assert target is not None
    old, labels = deployment(name="web-canary"), {"app": "web-canary", "tier": "front"}
    old["metadata"] |= {
        "labels": {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: "web"},
        "annotations": {CANDIDATE: "x"},
        "ownerReferences": [
            {"kind": "Deployment", "name": "web", "uid": target["metadata"]["uid"]}
        ],
    }
    old["spec"]["selector"] = {"matchLabels": labels}
    old["spec"]["template"]["metadata"]["labels"] = labels
    stored = bench.cluster.put(DEPLOYMENTS, old)
    await looks(bench, 5)
    assert beside(bench)["metadata"]["uid"] != stored["metadata"]["uid"]
    assert beside(bench)["spec"]["selector"] == {"matchLabels": {TARGET_LABEL: "web"}}
    assert bench.router.weight == 10


# --- what can be reached --------------------------------------------------------------------------


async def test_no_weight_without_a_ready_endpoint_and_the_status_says_so() -> None:
    bench = run()
    await looks(bench, 6, served=False)
    assert bench.router.weight == 0
    assert "its Service web-canary has no ready endpoint" in condition(bench)["message"]
    await looks(bench, 1)
    assert bench.router.weight == 10
    await looks(bench, 1, served=False)
    assert bench.router.weight == 0
    assert condition(bench)["reason"] == "NoReadyEndpoint"
    await looks(bench, 1)
    assert bench.router.weight == 10


async def test_an_endpoint_of_which_nothing_is_said_is_ready() -> None:
    bench = run()
    await looks(bench, 4, served=None)
    assert bench.router.weight == 10


async def test_a_service_without_a_route_is_held_and_what_leads_to_it_is_named() -> None:
    bench = run()
    bench.router.routes = 0
    rules = [{"backendRefs": [{"name": "web", "port": 80}]}]
    bench.cluster.put(GRPCROUTES, named("GRPCRoute", "api", rules=rules))
    await looks(bench, 3)
    assert condition(bench)["reason"] == "NoRoute"
    assert "found was GRPCRoute api" in condition(bench)["message"]
    assert beside(bench) == {}
    bench.router.routes = 1
    await looks(bench, 4)
    assert bench.router.weight == 10


# --- what is said when a run begins ---------------------------------------------------------------


async def test_policies_that_the_canary_falls_out_of_are_an_event() -> None:
    bench = run()
    own = {"matchLabels": {"app": "web"}}
    bench.cluster.put(NETWORKPOLICIES, named("NetworkPolicy", "db", podSelector=own))
    bench.cluster.put(DISRUPTIONBUDGETS, named("PodDisruptionBudget", "two", selector=own))
    await bench.reconcile()
    [said] = [it for it in bench.events() if "NetworkPolicy db" in it]
    assert "PodDisruptionBudget two" in said
    await looks(bench, 4)
    assert bench.router.weight == 10


class NoRights(Stored):
    """Refuses to list what a run can do without, as if the right had been left out."""

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        if resource in {NETWORKPOLICIES, DISRUPTIONBUDGETS, GRPCROUTES}:
            raise Forbidden(403, "Forbidden", resource.plural)
        return await super().list(resource, namespace, label_selector=label_selector)


async def test_without_a_right_to_them_a_run_goes_on_and_says_less() -> None:
    bench = run(Bench(cluster=NoRights()))
    await looks(bench, 4)
    assert bench.router.weight == 10
    bench.router.routes = 0
    await looks(bench, 1)
    assert condition(bench)["reason"] == "NoRoute"


async def test_what_one_pod_has_at_a_time_is_said_when_a_run_begins() -> None:
    bench = run()
    candidate = deployment(image="web:2")
    volume = {"name": "a", "persistentVolumeClaim": {"claimName": "data"}}
    candidate["spec"]["template"]["spec"]["volumes"] = [volume]
    bench.write("web:2", template=candidate["spec"]["template"], paused=True)
    modes = ["ReadWriteOncePod"]
    bench.cluster.put(CLAIMS, named("PersistentVolumeClaim", "data", accessModes=modes))
    await bench.reconcile()
    said = "volume claim data (ReadWriteOncePod): one pod has it at a time"
    assert any(it.startswith(said) for it in bench.events())
    assert said in condition(bench)["message"]
