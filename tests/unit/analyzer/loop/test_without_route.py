"""Provider kubernetes: a route is split where there is one, and none is waited for where not."""

from datetime import timedelta

from canary.contract import HOLD
from runtime.resources import CANARIES, DEPLOYMENTS
from tests.fakes.bench import KEY, Bench, held, ready, status


def on_kubernetes(**analysis: object) -> Bench:
    bench = held(Bench(), **{"metrics": [], "interval": "10s", **analysis})
    canary = bench.canary(KEY)
    assert canary is not None
    spec = {**canary["spec"], "provider": "kubernetes"}
    bench.cluster.put(CANARIES, {**canary, "spec": spec})
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
