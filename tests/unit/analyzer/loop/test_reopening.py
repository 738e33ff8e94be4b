"""A new version is not reported with the verdict of the one before, whatever else takes time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry

from analyzer.loop.controller import Controller, Metrics
from analyzer.loop.index import ClusterIndex
from analyzer.loop.reconciler import Result
from canary.contract import HOLD, NAMESPACE_ENABLED, NAMESPACE_LABEL, Command
from canary.model.values import Json, Key
from canary.objects.conditions import carries_verdict
from runtime.errors import Unavailable
from runtime.informer import Informer
from runtime.resources import CANARIES, DEPLOYMENTS, NAMESPACES
from tests.fakes.bench import KEY, Bench, hash_of, held, ready, status
from tests.fakes.watched import Watched, seen


@dataclass
class Looks:
    """A reconciler that reopens as ours does; its looks are counted, and never end if stuck."""

    bench: Bench
    stuck: bool = False
    keys: list[Key] = field(default_factory=list)

    async def reconcile(self, key: Key) -> Result:
        self.keys.append(key)
        if self.stuck:
            await asyncio.Event().wait()
        return Result()

    async def reopen(self, target: Json) -> None:
        await self.bench.reconciler().reopen(target)


@asynccontextmanager
async def analyzer(cluster: Watched, looks: Looks, workers: int) -> AsyncIterator[None]:
    """Run the informers and the controller; as many targets as workers have been looked at."""
    index = ClusterIndex(
        namespaces=Informer(cluster, NAMESPACES),
        targets=Informer(cluster, DEPLOYMENTS),
        canaries=Informer(cluster, CANARIES),
    )
    metrics = Metrics.create(CollectorRegistry())
    controller = Controller(index, looks, metrics, workers=workers)
    async with asyncio.TaskGroup() as group:
        running = (index.namespaces, index.targets, index.canaries, controller)
        tasks = [group.create_task(it.run()) for it in running]
        await seen("a look by each worker", lambda: len(looks.keys) >= workers)
        yield
        for task in tasks:
            task.cancel()


async def refused_run() -> tuple[Bench, Watched]:
    cluster = Watched()
    enabled = {"name": "prod", "labels": {NAMESPACE_LABEL: NAMESPACE_ENABLED}}
    cluster.put(NAMESPACES, {"metadata": enabled})
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


async def test_the_verdict_on_the_one_before_goes_while_every_worker_is_busy() -> None:
    bench, cluster = await refused_run()
    looks = Looks(bench, stuck=True)
    async with analyzer(cluster, looks, 1):
        assert looks.keys == [KEY]  # with the very target, too
        cluster.calls.clear()
        change(bench, marks={}, image="web:3")
        await seen("no verdict", lambda: not carries_verdict(the_target(bench)))
        await seen("no verdict of its Canary", lambda: "merge_patch status" in cluster.calls)
    assert cluster.calls == ["json_patch status", "merge_patch status"]


async def test_a_controller_that_observes_the_new_version_meanwhile_is_no_hindrance() -> None:
    bench, cluster = await refused_run()

    def observe() -> None:
        target = the_target(bench)
        target["status"]["observedGeneration"] = target["metadata"]["generation"]
        cluster.put(DEPLOYMENTS, target)

    looks = Looks(bench)
    async with analyzer(cluster, looks, 1):
        cluster.calls.clear()
        change(bench, marks={}, image="web:3")
        cluster.meanwhile = observe
        await seen("no verdict", lambda: not carries_verdict(the_target(bench)))
        await seen("no verdict of its Canary", lambda: "merge_patch status" in cluster.calls)
    assert cluster.calls == ["json_patch status", "merge_patch status"]


@pytest.mark.parametrize("answers", [True, False])
async def test_a_target_is_looked_at_after_it_was_reopened_or_could_not_be(
    *, answers: bool
) -> None:
    bench, cluster = await refused_run()
    if not answers:
        silence = Unavailable(0, "Timeout", "no answer")
        cluster.denials["json_patch status", "deployments"] = silence
    looks = Looks(bench)
    async with analyzer(cluster, looks, 1):
        looks.keys.clear()
        change(bench, marks={}, image="web:3")
        await seen("a look", lambda: KEY in looks.keys)
        assert carries_verdict(the_target(bench)) is not answers


async def test_a_look_takes_off_what_was_not_heard_of() -> None:
    bench, _ = await refused_run()
    change(bench, marks={}, image="web:3")
    await bench.reconcile()
    assert not carries_verdict(the_target(bench))


async def test_a_verdict_that_another_analyzer_has_given_meanwhile_stands() -> None:
    bench, cluster = await refused_run()
    change(bench, marks={}, image="web:3")
    heard = the_target(bench)
    for _ in range(4):
        await bench.reconcile()
        ready(bench)
    change(bench, marks={Command.ABORT: "now"})
    for _ in range(4):
        await bench.reconcile()
    assert carries_verdict(the_target(bench))
    verdict = the_target(bench)["status"]
    await bench.reconciler().reopen(heard)
    assert the_target(bench)["status"] == verdict
    assert cluster.calls[-2:] == ["json_patch status", "get"]


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
