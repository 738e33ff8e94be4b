"""What is asked of a metrics server, and of nobody, after a canary of before: at stored objects."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from analyzer.ports import MetricsInquiry
from canary.contract import TARGET_LABEL
from canary.counting.derive import derive
from canary.measuring.countable import Place, Way
from canary.measuring.watch import Watch
from canary.measuring.windowed import WindowCount
from canary.model.asking import MetricsAnswer, Sample
from canary.model.values import Json, Key
from canary.queries.provider import ProviderSpec
from runtime.resources import CANARIES, PODS
from tests.fakes.bench import KEY, Bench, NoWeigher, held, ready, status
from tests.fakes.inquirer import FakeInquirer

QUERY = 'sum(rate(bad{pod=~"{{ target }}-.*"}[1m])) / sum(rate(all{pod=~"{{ target }}-.*"}[1m]))'
METRIC = {"name": "errors", "query": QUERY, "thresholdRange": {"max": 0.1}}
WAY = derive("sum(rate(bad[1m])) / sum(rate(every[1m]))", minimum=None, maximum=0.1)
OWN = "web-canary-b-1"


class Counting(NoWeigher):
    """Has counted what its script says."""

    value: float | None = None

    def follow(self, watch: Watch, specs: Mapping[str, ProviderSpec]) -> None:
        del watch, specs

    def counts(self, key: Key) -> tuple[WindowCount, ...]:
        del key
        if self.value is None:
            return ()
        way = Way(place=Place.PODS, name="query", canary=WAY, stable=WAY)
        return (WindowCount(metric="errors", value=self.value, baseline=0.0, way=way, since=0.0),)


def pod(bench: Bench, name: str, template: str, created: str) -> None:
    labels = {TARGET_LABEL: "web", "pod-template-hash": template}
    metadata = {"name": name, "namespace": "prod", "labels": labels, "creationTimestamp": created}
    ok = [{"type": "Ready", "status": "True"}]
    bench.cluster.put(PODS, {"metadata": metadata, "status": {"conditions": ok}})


async def under_way(bench: Bench, *, former: str | None) -> Bench:
    held(bench, interval="10s", metrics=[METRIC])
    if former is not None:
        canary = bench.canary(KEY)
        assert canary is not None
        canary["status"] = {"phase": "Failed", "run": {"formerUntil": former}}
        bench.cluster.put(CANARIES, canary)
    for _ in range(5):
        bench.now += timedelta(seconds=1)
        await bench.reconcile()
        ready(bench)
        pod(bench, OWN, "b", bench.now.isoformat(timespec="seconds"))
    assert bench.router.weight == 10
    bench.now += timedelta(seconds=10)
    await bench.reconcile()
    return bench


def asked(bench: Bench) -> list[str]:
    assert isinstance(bench.inquirer, FakeInquirer)
    return [
        text.query
        for _, inquiry in bench.inquirer.carried_out
        if isinstance(inquiry, MetricsInquiry)
        for query in inquiry.queries
        for text in query.texts
    ]


def answer(bench: Bench, value: float) -> None:
    assert isinstance(bench.inquirer, FakeInquirer)
    _, inquiry = bench.inquirer.carried_out[-1]
    assert isinstance(inquiry, MetricsInquiry)
    samples = tuple(
        Sample(metric=query.metric, value=value, query=query.texts[0].query)
        for query in inquiry.queries
    )
    bench.inquirer.answer(KEY, MetricsAnswer(ask=inquiry.ask, samples=samples))


@pytest.mark.parametrize(
    ("former", "named"),
    [
        (None, "web-canary-.*"),
        ("2025-12-31T23:50:00+00:00", "web-canary-.*"),
        ("2026-01-01T00:00:00+00:00", OWN),
    ],
    ids=["a first run", "one long ago", "one just before"],
)
async def test_the_runs_pods_are_named_where_a_canary_of_before_is_within_reach(
    former: str | None, named: str
) -> None:
    bench = await under_way(Bench(), former=former)
    assert asked(bench) == [QUERY.replace("{{ target }}-.*", named)]
    answer(bench, 0.0)
    await bench.reconcile()
    (health, check) = status(bench)["run"]["checks"]
    assert (health["name"], check["outcome"]) == ("canary-health", "passed")
    assert check["query"] == asked(bench)[0]


@pytest.mark.parametrize(("value", "outcome"), [(0.0, "passed"), (0.5, "failed")])
async def test_what_is_counted_is_asked_of_nobody(value: float, outcome: str) -> None:
    weigher = Counting()
    weigher.value = value
    bench = await under_way(Bench(weigher=weigher), former=None)
    assert asked(bench) == []
    (_, check) = status(bench)["run"]["checks"]
    assert (check["outcome"], check["source"]) == (
        outcome,
        "pods (query), counted since 00:00:00 UTC",
    )
    assert "query" not in check


async def test_when_the_canary_of_before_went_is_stored_before_it_goes() -> None:
    bench = await under_way(Bench(), former=None)
    answer(bench, 1.0)
    written: list[Json] = []
    for _ in range(40):
        bench.now += timedelta(seconds=10)
        await bench.reconcile()
        if asked(bench) and bench.router.weight:
            answer(bench, 1.0)
        written.append(status(bench)["run"])
    assert status(bench)["phase"] == "Failed"
    gone = written[-1]["formerUntil"]
    assert gone is not None
    assert gone > status(bench)["lastTransitionTime"][:-1]
