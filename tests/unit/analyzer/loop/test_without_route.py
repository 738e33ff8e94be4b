"""Provider kubernetes: a route is split where there is one, and none is waited for where not."""

from datetime import timedelta

from analyzer.routers.chosen import Chosen
from canary.contract import HOLD, JOINS, SHARE_BY_PODS
from canary.model.hashing import template_hash
from canary.model.values import Json
from runtime.errors import Forbidden
from runtime.resources import CANARIES, DEPLOYMENTS, PODS, REPLICASETS
from tests.fakes.bench import KEY, Bench, held, ready, status

_CREATED = "2026-01-01T00:00:00Z"


def on_kubernetes(**analysis: object) -> Bench:
    bench = held(Bench(), **{"metrics": [], "interval": "10s", **analysis})
    canary = bench.canary(KEY)
    assert canary is not None
    spec = {**canary["spec"], "provider": "kubernetes"}
    bench.cluster.put(CANARIES, {**canary, "spec": spec})
    return bench


def by_pods(bench: Bench, *, tier: bool) -> Bench:
    """Have a Canary ask for shares by pods, of a target whose selector may say more."""
    canary, target = bench.canary(KEY), bench.target(KEY)
    assert canary is not None
    assert target is not None
    notes = {**(canary["metadata"].get("annotations") or {}), SHARE_BY_PODS: "on"}
    bench.cluster.put(
        CANARIES, {**canary, "metadata": {**canary["metadata"], "annotations": notes}}
    )
    if tier:
        target["spec"]["selector"]["matchLabels"]["tier"] = "front"
        target["spec"]["template"]["metadata"]["labels"]["tier"] = "front"
        hold = {HOLD: template_hash(target["spec"]["template"])}
        target["metadata"]["annotations"] |= hold
        bench.cluster.put(DEPLOYMENTS, target)
        serving = bench.cluster.now(REPLICASETS, "prod", "web-1")
        assert serving is not None
        serving["metadata"]["labels"]["tier"] = "front"
        bench.cluster.put(REPLICASETS, serving)
    bench.adopted = Chosen(bench.cluster)
    return bench


async def looks(bench: Bench, number: int) -> None:
    for _ in range(number):
        bench.now += timedelta(seconds=10)
        await bench.reconcile()
        ready(bench)


def is_held(bench: Bench) -> bool:
    target = bench.target(KEY)
    assert target is not None
    return HOLD in target["metadata"]["annotations"]


async def test_without_a_route_it_is_checked_ten_times_without_live_traffic() -> None:
    bench = on_kubernetes(stepWeights=[20, 50])
    bench.router.routes = 0
    await looks(bench, 6)
    found = status(bench)
    assert (found["phase"], found["canaryWeight"]) == ("Progressing", 0)
    assert 0 < found["iterations"] < 10
    canary = bench.cluster.now(DEPLOYMENTS, "prod", "web-canary")
    target = bench.target(KEY)
    assert canary is not None
    assert target is not None
    assert canary["spec"]["replicas"] == target["spec"]["replicas"]
    assert any("10 checks without live traffic take its place" in it for it in bench.events())
    await looks(bench, 12)
    assert status(bench)["phase"] == "Promoting"
    assert not is_held(bench)


async def test_a_route_that_is_there_is_split_as_it_says() -> None:
    bench = on_kubernetes(stepWeights=[20, 50])
    await looks(bench, 4)
    assert bench.router.weight in {20, 50}
    assert not any("without live traffic" in it for it in bench.events())


async def test_a_run_that_has_begun_on_a_route_waits_for_it() -> None:
    bench = on_kubernetes(stepWeights=[20, 50])
    while not bench.router.weight:
        await looks(bench, 1)
    bench.router.routes = 0
    await looks(bench, 30)
    assert status(bench)["phase"] == "Progressing"
    assert is_held(bench)
    assert status(bench)["conditions"][0]["reason"] == "NoRoute"


async def test_a_share_by_pods_that_no_label_allows_is_refused_in_status() -> None:
    bench = by_pods(on_kubernetes(stepWeights=[20, 50]), tier=False)
    await looks(bench, 6)
    found = status(bench)["conditions"][0]
    assert (found["reason"], found["status"]) == ("InvalidConfiguration", "False")
    for word in ("cannot join Service web", "selects by app=web", "one label more", "off on the"):
        assert word in found["message"]
    assert is_held(bench)
    assert bench.cluster.now(DEPLOYMENTS, "prod", "web-canary") is None


async def test_where_labels_allow_it_the_canary_s_pods_are_made_to_join() -> None:
    bench = by_pods(on_kubernetes(stepWeights=[20, 50]), tier=True)
    await looks(bench, 3)
    canary = bench.cluster.now(DEPLOYMENTS, "prod", "web-canary")
    assert canary is not None
    assert canary["spec"]["replicas"] == 4
    made = canary["spec"]["template"]["metadata"]
    assert (made["labels"]["app"], made["labels"]["tier"]) == ("web-canary", "front-canary")
    assert JOINS in made["annotations"]
    assert status(bench)["run"]["inForce"]["strategy"] == "by pods"


async def test_pods_that_may_not_be_written_are_said_and_the_step_waits() -> None:
    bench = by_pods(on_kubernetes(stepWeights=[20, 50]), tier=True)
    bench.cluster.denials["merge_patch", "pods"] = Forbidden(403, "Forbidden", "may not patch")
    for _ in range(12):
        await looks(bench, 1)
        canary = bench.cluster.now(DEPLOYMENTS, "prod", "web-canary")
        if canary is not None:
            made = canary["spec"]["template"]["metadata"]
            bench.cluster.put(PODS, pod("web-canary-0", made))
    found = status(bench)
    assert (found["phase"], found["canaryWeight"]) == ("Progressing", 20)
    assert found["conditions"][0]["reason"] == "WriteDenied"
    assert is_held(bench)


def pod(name: str, made: Json) -> Json:
    ready = {"type": "Ready", "status": "True"}
    metadata = {**made, "name": name, "namespace": "prod", "creationTimestamp": _CREATED}
    return {"metadata": metadata, "status": {"phase": "Running", "conditions": [ready]}}
