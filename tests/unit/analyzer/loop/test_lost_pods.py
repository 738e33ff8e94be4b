"""Reconciles of a run whose pods go, at an API server in memory: what is read and written."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.contract import REFUSED, TARGET_LABEL
from canary.measuring.watch import Watch
from canary.model.fates import Serving
from canary.model.state import Phase, State
from canary.model.values import Json, Key
from canary.model.world import CanaryPresent
from canary.queries.provider import ProviderSpec
from canary.rules.pods import PATIENCE
from runtime.resources import DEPLOYMENTS, PODS
from tests.fakes.bench import KEY, Bench, NoWeigher, held, ready, status

EVICTED: Json = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}


def pod(bench: Bench, name: str, *more: Json, up: bool = True, **wrote: Any) -> None:
    """Store a pod of the canary; `more` are conditions, `wrote` the rest of its status."""
    state = {"running": {"startedAt": "2026-01-01T00:00:02Z"}}
    at = "2026-01-01T00:00:03Z" if up else "2026-01-01T00:00:01Z"
    ok = {"status": "True" if up else "False", "lastTransitionTime": at}
    bench.cluster.put(
        PODS,
        {
            "metadata": {
                "name": name,
                "namespace": "prod",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {TARGET_LABEL: "web", "pod-template-hash": "6946c5667c"},
            },
            "status": {
                "conditions": [{"type": "Ready", **ok}, {"type": "ContainersReady", **ok}, *more],
                "containerStatuses": [{"name": "app", "restartCount": 0, "state": state}],
                **wrote,
            },
        },
    )


async def under_way(bench: Bench) -> Bench:
    """Bring a run with two canary pods to its first weight."""
    held(bench)
    for _ in range(5):
        bench.now += timedelta(seconds=2)
        await bench.reconcile()
        ready(bench)
        pod(bench, "web-canary-a")
        pod(bench, "web-canary-b")
    assert bench.router.weight == 10
    return bench


class Following(NoWeigher):
    """Knows whether evidence is gathered, and nothing else."""

    _keys: frozenset[Key] = frozenset()

    def follows(self) -> bool:
        return KEY in self._keys

    def follow(self, watch: Watch, specs: Mapping[str, ProviderSpec]) -> None:
        del specs
        self._keys |= {watch.key}

    def forget(self, key: Key) -> None:
        self._keys -= {key}


def evict_all(bench: Bench) -> None:
    for name in ("web-canary-a", "web-canary-b"):
        pod(bench, name, EVICTED)
    unready(bench)


def unready(bench: Bench) -> None:
    found = bench.cluster.now(DEPLOYMENTS, "prod", "web-canary")
    assert found is not None
    found["status"]["readyReplicas"] = 0
    bench.cluster.put(DEPLOYMENTS, found)


async def look(bench: Bench, seconds: float = 5) -> None:
    bench.now += timedelta(seconds=seconds)
    await bench.reconcile()


def condition(bench: Bench) -> tuple[str, str]:
    found = status(bench)["conditions"][0]
    return found["reason"], found["message"]


async def test_evicted_pods_cost_the_share_and_bring_it_back() -> None:
    bench = await under_way(Bench())
    evict_all(bench)
    await look(bench)
    reason, text = condition(bench)
    assert (bench.router.weight, status(bench)["phase"], reason) == (0, "Progressing", "PodsLost")
    assert "pod web-canary-a was evicted (Eviction API: evicting)" in text
    assert status(bench)["run"]["withheld"] == 10
    successor = Bench(cluster=bench.cluster, router=bench.router, now=bench.now)
    await look(successor)
    assert successor.router.weight == 0
    pod(successor, "web-canary-a")
    pod(successor, "web-canary-b")
    ready(successor)
    await look(successor)
    assert (successor.router.weight, status(successor)["canaryWeight"]) == (10, 10)
    assert len([text for text in successor.events() if "was evicted" in text]) == 1


async def test_no_evidence_is_gathered_while_the_pods_are_gone() -> None:
    weigher = Following()
    bench = await under_way(Bench(weigher=weigher))
    await look(bench)
    assert weigher.follows()
    evict_all(bench)
    await look(bench)
    await look(bench)
    assert not weigher.follows()
    pod(bench, "web-canary-a")
    pod(bench, "web-canary-b")
    ready(bench)
    await look(bench)
    await look(bench)
    assert (bench.router.weight, weigher.follows()) == (10, True)


async def test_pods_that_stay_away_end_the_run_and_kubectl_s_wait_without_a_mark() -> None:
    bench = await under_way(Bench())
    evict_all(bench)
    await look(bench)
    await look(bench, 601)
    target = bench.target(KEY)
    assert target is not None
    assert (status(bench)["phase"], condition(bench)[0]) == ("Failed", "ProgressDeadlineExceeded")
    (progressing,) = target["status"]["conditions"]
    assert progressing["reason"] == "ProgressDeadlineExceeded"
    assert "nothing speaks against it" in progressing["message"]
    for _ in range(5):
        await look(bench)
    target = bench.target(KEY)
    assert target is not None
    assert REFUSED not in target["metadata"]["annotations"]
    assert bench.cluster.now(DEPLOYMENTS, "prod", "web-canary") is None


async def test_an_eviction_for_a_limit_of_its_own_is_refused_and_remembered() -> None:
    bench = await under_way(Bench())
    pod(
        bench,
        "web-canary-a",
        up=False,
        phase="Failed",
        reason="Evicted",
        message='Usage of EmptyDir volume "cache" exceeds the limit "1Mi".',
    )
    await look(bench)
    target = bench.target(KEY)
    assert target is not None
    assert status(bench)["phase"] == "Failed"
    assert "evicted for a limit of its own: Usage of EmptyDir" in condition(bench)[1]
    assert REFUSED in target["metadata"]["annotations"]


async def test_a_canary_that_was_deleted_by_hand_is_made_again() -> None:
    bench = await under_way(Bench())
    bench.cluster.remove(DEPLOYMENTS, "prod", "web-canary")
    await look(bench)
    assert bench.router.weight == 0
    assert bench.cluster.now(DEPLOYMENTS, "prod", "web-canary") is not None
    assert "the canary's Deployment was deleted" in condition(bench)[1]
    ready(bench)
    await look(bench)
    assert bench.router.weight == 10


@pytest.mark.parametrize(("others", "phase"), [(3, "Progressing"), (0, "Failed")])
async def test_each_run_hears_of_what_the_others_lose(others: int, phase: str) -> None:
    bench = await under_way(Bench())
    running = State(phase=Phase.PROGRESSING, step=0, candidate="v2", started_at=bench.now)
    served = CanaryPresent(template_hash="v2", replicas=1, ready=1, fates=(Serving(pod="a"),))
    for number in range(others):
        key = Key(namespace="prod", name=f"app-{number}")
        bench.losses.look(key, running, served, bench.now)
        bench.losses.look(key, running, replace(served, fates=()), bench.now)
    for name in ("web-canary-a", "web-canary-b"):
        failing = {"status": "False", "lastTransitionTime": "2026-01-01T00:00:09Z"}
        conditions = [{"type": kind, **failing} for kind in ("Ready", "ContainersReady")]
        pod(bench, name, conditions=conditions)
    unready(bench)
    await look(bench)
    assert (status(bench)["phase"], bench.router.weight) == ("Progressing", 0)
    await look(bench, PATIENCE.seconds)
    assert (status(bench)["phase"], bench.router.weight) == (phase, 0)
