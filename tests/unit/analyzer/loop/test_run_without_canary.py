"""A Canary that is deleted when its run is nearly over: nothing of the run is left behind."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from canary.contract import HOLD, PROMOTING, Command
from canary.model.values import Json
from runtime.resources import CANARIES, DEPLOYMENTS, REPLICASETS
from tests.fakes import objects
from tests.fakes.bench import KEY, Bench, held, ready, status


async def until(bench: Bench, condition: Callable[[], bool]) -> None:
    """Look every two seconds; pods are ready at once."""
    for _ in range(40):
        if condition():
            return
        bench.now += timedelta(seconds=2)
        await bench.reconcile()
        ready(bench)
    raise AssertionError("it never came to that")


def rolled_out(bench: Bench) -> None:
    """Let the native rollout of the target be over."""
    target = bench.target(KEY)
    assert target is not None
    wanted = target["spec"]["replicas"]
    counts = dict.fromkeys(
        ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted
    )
    generation = target["metadata"].get("generation", 0)
    target["status"] = {**counts, "observedGeneration": generation}
    bench.cluster.put(DEPLOYMENTS, target)
    old = bench.cluster.now(REPLICASETS, "prod", "web-1")
    assert old is not None
    bench.cluster.put(REPLICASETS, {**old, "spec": {**old["spec"], "replicas": 0}})


def canary(bench: Bench) -> Json | None:
    return bench.cluster.now(DEPLOYMENTS, "prod", "web-canary")


def notes(bench: Bench) -> Json:
    target = bench.target(KEY)
    assert target is not None
    found: Json = target["metadata"].get("annotations") or {}
    return found


async def promoting() -> Bench:
    """Return a run that a person has promoted, with a canary that has a share."""
    bench = held(Bench())
    await until(bench, lambda: bench.router.weight == 10)
    target = bench.target(KEY)
    assert target is not None
    target["metadata"]["annotations"][str(Command.PROMOTE)] = "now"
    bench.cluster.put(DEPLOYMENTS, target)
    await until(bench, lambda: PROMOTING in notes(bench))
    return bench


@pytest.mark.parametrize("phase", ["Promoting", "Finalising"])
async def test_nothing_of_the_run_stays(phase: str) -> None:
    bench = await promoting()
    if phase == "Finalising":
        rolled_out(bench)
        await until(bench, lambda: status(bench)["phase"] == phase)
    assert canary(bench) is not None
    bench.cluster.remove(CANARIES, "prod", "web")
    for _ in range(12):
        await bench.reconcile()
        bench.now += timedelta(seconds=4)
        rolled_out(bench)
    assert canary(bench) is None
    assert bench.router.weight == 0
    assert not {HOLD, PROMOTING} & notes(bench).keys()
    assert objects.deployment(image="web:2")["spec"]["template"] == _template(bench)


def _template(bench: Bench) -> Json:
    target = bench.target(KEY)
    assert target is not None
    found: Json = target["spec"]["template"]
    return found
