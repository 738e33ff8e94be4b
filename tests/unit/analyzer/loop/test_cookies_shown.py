"""The status shows the cookies of a run under Flagger's names, while it has any."""

from datetime import timedelta

from canary.model.values import Json
from tests.fakes.bench import Bench, held, ready, status

AFFINITY = {"cookieName": "met", "primaryCookieName": "kept"}


async def looks(bench: Bench, number: int) -> Json:
    for _ in range(number):
        bench.now += timedelta(seconds=10)
        await bench.reconcile()
        ready(bench)
    return status(bench)


async def test_the_cookies_are_those_on_the_route_and_go_with_the_run() -> None:
    bench = held(Bench(), metrics=[], interval="10s", sessionAffinity=AFFINITY)
    assert (await looks(bench, 1)).get("sessionAffinityCookie") is None
    found = await looks(bench, 4)
    affinity = bench.router.traffic.affinity
    assert affinity is not None
    assert len(affinity.value) == 16
    assert found["sessionAffinityCookie"] == f"met={affinity.value}"
    assert found["primarySessionAffinityCookie"] == f"kept={affinity.value}"
    bench.labelled = False
    found = await looks(bench, 2)
    assert found.get("sessionAffinityCookie") is None
    assert found.get("primarySessionAffinityCookie") is None


async def test_without_affinity_there_are_none() -> None:
    bench = held(Bench(), metrics=[], interval="10s")
    found = await looks(bench, 5)
    assert bench.router.weight
    assert "sessionAffinityCookie" not in found
