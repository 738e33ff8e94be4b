"""Whose the canary's newest pods are is told to the judge: those of before speak for nobody."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from canary.contract import TARGET_LABEL
from canary.evidence.report import Weighing
from canary.measuring.pods import Newest
from canary.measuring.watch import Watch
from canary.queries.provider import ProviderSpec
from runtime.resources import PODS
from tests.fakes.bench import START, Bench, NoWeigher, held, ready


@dataclass
class Listening(NoWeigher):
    """Remembers what the judge is told of the canary's pods."""

    told: list[Newest] = field(default_factory=list)

    def follow(self, watch: Watch, specs: Mapping[str, ProviderSpec]) -> Weighing | None:
        self.told.append(watch.newest)
        return super().follow(watch, specs)


async def looks(bench: Bench, number: int) -> None:
    for _ in range(number):
        bench.now += timedelta(seconds=2)
        await bench.reconcile()


async def test_until_the_first_pod_is_made_they_are_those_of_before() -> None:
    weigher = Listening()
    bench = held(Bench(weigher=weigher))
    await looks(bench, 4)
    assert set(weigher.told) == {Newest.FORMER}
    ready(bench)
    await looks(bench, 2)
    assert weigher.told[-1] is Newest.OWN


async def test_pods_of_an_earlier_run_of_the_same_candidate_are_taken_over() -> None:
    weigher = Listening()
    bench = held(Bench(weigher=weigher))
    bench.cluster.put(
        PODS,
        {
            "metadata": {
                "name": "web-canary-a-1",
                "namespace": "prod",
                "creationTimestamp": (START - timedelta(hours=1)).isoformat(),
                "labels": {TARGET_LABEL: "web", "pod-template-hash": "a"},
            },
            "spec": {"containers": []},
            "status": {"phase": "Running"},
        },
    )
    await looks(bench, 4)
    ready(bench)
    await looks(bench, 2)
    assert weigher.told[-1] is Newest.TAKEN_OVER
