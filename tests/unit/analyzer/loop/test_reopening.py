"""A new version is not reported with the verdict of the one before, whatever else takes time."""

import pytest

from canary.contract import HOLD, Command
from canary.model.values import Json
from canary.objects.conditions import carries_verdict
from runtime.errors import Unavailable
from runtime.resources import DEPLOYMENTS, Resource
from tests.fakes.bench import KEY, Bench, hash_of, held, ready, status
from tests.fakes.stored import Stored


class Unreadable(Stored):
    """An API server that answers no read by itself once it is told to; writes arrive."""

    silent = False

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        if self.silent:
            raise Unavailable(0, "Timeout", "no answer")
        return await super().get(resource, namespace, name)


async def refused_run() -> tuple[Bench, Unreadable]:
    cluster = Unreadable()
    bench = held(Bench(cluster=cluster))
    for _ in range(4):
        await bench.reconcile()
        ready(bench)
    change(bench, marks={Command.ABORT: "now"})
    for _ in range(4):
        await bench.reconcile()
    assert status(bench)["phase"] == "Failed"
    assert carries_verdict(the_target(bench))
    return bench, cluster


def the_target(bench: Bench) -> Json:
    target = bench.target(KEY)
    assert target is not None
    return target


def change(bench: Bench, *, marks: dict[str, str], image: str = "") -> None:
    """Write the target as the webhook lets it through, its status as it is."""
    target = the_target(bench)
    if image:
        target["spec"]["template"]["spec"]["containers"][0]["image"] = image
        marks = {**marks, HOLD: hash_of(target)}
    target["metadata"]["annotations"] |= marks
    target["metadata"]["generation"] += 1
    bench.cluster.put(DEPLOYMENTS, target)


async def test_the_verdict_on_the_one_before_goes_before_anything_is_read() -> None:
    bench, cluster = await refused_run()
    change(bench, marks={}, image="web:3")
    cluster.silent = True
    with pytest.raises(Unavailable):
        await bench.reconcile()
    assert not carries_verdict(the_target(bench))


async def test_a_verdict_stays_while_its_own_candidate_is_there() -> None:
    bench, _ = await refused_run()
    change(bench, marks={"team": "payments"})
    await bench.reconcile()
    assert carries_verdict(the_target(bench))


async def test_the_refused_candidate_that_comes_again_is_reported_as_refused() -> None:
    bench, _ = await refused_run()
    change(bench, marks={}, image="web:3")
    await bench.reconcile()
    change(bench, marks={}, image="web:2")
    for _ in range(4):
        await bench.reconcile()
    assert status(bench)["phase"] == "Failed"
    assert carries_verdict(the_target(bench))
