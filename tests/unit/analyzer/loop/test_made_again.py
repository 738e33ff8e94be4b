"""What belongs to a run and was deleted, at an API server in memory: it is there again."""

from datetime import timedelta

import pytest

from analyzer.routers.adopted import AdoptedRoutes
from runtime.resources import CANARIES, ENDPOINTSLICES, HTTPROUTES, SERVICES
from tests.fakes import objects
from tests.fakes.bench import KEY, Bench, held, ready, service, status
from tests.fakes.stored import Stored


async def at_the_first_weight(bench: Bench) -> Bench:
    held(bench)
    for _ in range(5):
        bench.now += timedelta(seconds=2)
        await bench.reconcile()
        ready(bench)
    assert bench.router.weight == 10
    return bench


async def look(bench: Bench) -> None:
    bench.now += timedelta(seconds=1)
    await bench.reconcile()


def deleted(bench: Bench, name: str) -> None:
    """Delete a Service as a person does; its slices go with it."""
    bench.cluster.remove(SERVICES, "prod", name)
    for plural, _, slice_of in [*bench.cluster.objects]:
        if plural == ENDPOINTSLICES.plural and slice_of.startswith(name):
            bench.cluster.remove(ENDPOINTSLICES, "prod", slice_of)


async def test_the_canarys_service_comes_back_and_its_share_after_it() -> None:
    bench = await at_the_first_weight(Bench())
    deleted(bench, "web-canary")
    await look(bench)
    assert bench.router.weight == 0
    assert bench.cluster.now(SERVICES, "prod", "web-canary") is not None
    assert any("Service web-canary of web.prod was deleted" in text for text in bench.events())
    assert status(bench)["conditions"][0]["reason"] == "NoReadyEndpoint"
    await look(bench)
    assert bench.router.weight == 0
    bench.cluster.put(ENDPOINTSLICES, objects.endpoints("web-canary"))
    await look(bench)
    assert (bench.router.weight, status(bench)["run"]["step"]) == (10, 0)


async def test_somebody_elses_service_is_never_made() -> None:
    bench = await at_the_first_weight(Bench())
    deleted(bench, "web")
    await look(bench)
    assert bench.cluster.now(SERVICES, "prod", "web") is None


async def test_an_own_route_comes_back_with_the_share() -> None:
    cluster = Stored()
    bench = held(Bench(cluster=cluster, adopted=AdoptedRoutes(cluster)))
    canary = bench.canary(KEY)
    assert canary is not None
    gateway = {"name": "contour", "namespace": "projectcontour"}
    canary["spec"]["service"] = {"port": 80, "gatewayRefs": [gateway], "hosts": ["web.example"]}
    cluster.put(CANARIES, canary)

    def weight() -> int:
        route = cluster.now(HTTPROUTES, "prod", "web")
        refs = [] if route is None else route["spec"]["rules"][0]["backendRefs"]
        return next((ref["weight"] for ref in refs if ref["name"] == "web-canary"), 0)

    for _ in range(6):
        await look(bench)
        ready(bench)
    assert weight() == 10
    cluster.remove(HTTPROUTES, "prod", "web")
    await look(bench)
    assert cluster.now(HTTPROUTES, "prod", "web") is not None
    assert weight() == 0
    for _ in range(2):
        await look(bench)
    assert (weight(), status(bench)["run"]["step"]) == (10, 0)
    assert any("HTTPRoute web of web.prod was deleted" in text for text in bench.events())


@pytest.mark.parametrize("named", ["web", "shop"])
async def test_nothing_is_made_while_no_run_is_under_way(named: str) -> None:
    bench = Bench()
    bench.write("web:1")
    service(bench)
    bench.cluster.put(SERVICES, {"metadata": {"name": named, "namespace": "prod"}, "spec": {}})
    await look(bench)
    assert bench.cluster.now(SERVICES, "prod", f"{named}-canary") is None
