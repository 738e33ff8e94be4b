"""What a run makes of a query by the version that it reads: held, warned of, or neither."""

import pytest

from canary.contract import Reason
from canary.model.values import Json
from runtime.resources import DEPLOYMENTS
from tests.fakes.bench import Bench, held, status
from tests.fakes.metric_provider import FakeMetricProvider


def run(query: str) -> Bench:
    metric = {"name": "errors", "query": query, "thresholdRange": {"max": 1}}
    bench = Bench(providers={"prometheus": FakeMetricProvider()})
    return held(bench, metrics=[metric], webhooks=[])


def condition(bench: Bench) -> Json:
    found: Json = status(bench)["conditions"][0]
    return found


def canary(bench: Bench) -> Json | None:
    return bench.cluster.now(DEPLOYMENTS, "prod", "web-canary")


@pytest.mark.parametrize(
    "query",
    [
        'sum(errors{app="web"}) or vector(0)',
        'sum(errors{service="{{ target }}-canary-canary"}) or vector(0)',
        'sum(errors{pod=~"web-.*"})',
        'sum(errors{ingress="{{ ingress }}"})',
    ],
    ids=["the app itself", "neither", "both", "empty"],
)
async def test_no_canary_is_made_that_nothing_would_judge(query: str) -> None:
    bench = run(query)
    for _ in range(4):
        await bench.reconcile()
    assert condition(bench)["reason"] == Reason.INVALID
    assert "stays held: metric errors: " in condition(bench)["message"]
    assert "{{ target }}" in condition(bench)["message"]
    assert canary(bench) is None


async def test_a_query_of_which_nothing_can_be_told_holds_nothing_and_is_warned_of() -> None:
    bench = run("sum(errors)")
    for _ in range(4):
        await bench.reconcile()
    assert canary(bench) is not None
    warning = "metric errors: it is not known which version its query reads"
    assert any(warning in text for text in bench.events())


async def test_a_query_that_names_the_canary_is_said_nothing_of() -> None:
    bench = run('sum(errors{app="{{ target }}"})')
    for _ in range(4):
        await bench.reconcile()
    assert canary(bench) is not None
    assert not any("query" in text for text in bench.events())
