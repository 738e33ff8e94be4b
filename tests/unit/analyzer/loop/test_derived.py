"""What cannot be worked out of a query costs its metric the evidence, and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple, Unpack

import pytest

from analyzer.loop.derived import as_asked, counted, unworn
from analyzer.loop.sampling import Sampler
from analyzer.ports import UnderivableError
from canary.counting.narrowing import RunPods
from canary.measuring.countable import (
    MOST_COUNTED,
    Comparable,
    Countable,
    Uncountable,
    count_of,
    within_bounds,
)
from canary.measuring.countable import counted as pure_counted
from canary.model.canary_labels import CanaryLabels
from canary.model.strategy import Metric, Strategy
from canary.model.values import Key
from canary.queries.metric import Query, template_query
from canary.queries.own import Past
from canary.queries.provider import ProviderSpec
from canary.queries.sides import sides
from canary.spec.steps import linear
from tests.fakes.stored import Stored

_T = TypeVar("_T")
_Given = TypeVarTuple("_Given")
KEY = Key(namespace="prod", name="web")
SPEC = ProviderSpec(type="prometheus", address="http://prometheus:9090")
RATIO = (
    'sum(rate(http_total{app="{{ target }}",status=~"5.."}[1m]))'
    ' / sum(rate(http_total{app="{{ target }}"}[1m]))'
)
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def strategy(*metrics: Metric) -> Strategy:
    return Strategy(
        interval=timedelta(minutes=1),
        threshold=3,
        steps=linear((10, 20)),
        metrics=metrics,
        service_name="web",
    )


def query(name: str = "errors", text: str = RATIO) -> Query:
    metric = Metric(name=name, source=text, maximum=0.1)
    return template_query(KEY, strategy(metric), metric, text, SPEC)


def vendors(text: str) -> Query:
    metric = Metric(name="errors", source=text, maximum=0.1)
    spec = ProviderSpec(type="newrelic", address="")
    return template_query(KEY, strategy(metric), metric, text, spec)


@dataclass
class Unable:
    """Works nothing out but what it is told to."""

    but: tuple[Callable[..., Any], ...] = ()

    async def derive(self, asker: str, work: Callable[[Unpack[_Given]], _T], *given: *_Given) -> _T:
        assert asker == "prod"
        if work in self.but:
            return work(*given)
        raise UnderivableError("it takes too long to be read")


async def test_a_metric_is_judged_by_its_values_alone() -> None:
    found = await counted(Unable(), "prod", query(), strategy())
    assert found == Uncountable(metric="errors", why="it takes too long to be read")


async def test_that_labels_cannot_be_told_is_said() -> None:
    labels = CanaryLabels(pods={"app": "web"}, selector={}, template={}, service={})
    assert await unworn(Unable(), "prod", [query()], labels) == (
        "metric errors: it takes too long to be read",
    )
    assert await unworn(Unable(), "prod", [query()], None) == ()


async def test_a_query_waits_for_all_that_it_may_reach() -> None:
    past = Past(
        former_until=NOW - timedelta(seconds=10),
        traffic_since=NOW,
        pods=RunPods(names=("web-canary-b-1",), stable="web-a-1", former="web-canary-a-1"),
        scrape=timedelta(seconds=15),
        recorded=timedelta(0),
    )
    (found,) = (await as_asked(Unable(), "prod", query(), past, NOW)).texts
    assert found.waits_until is not None
    assert found.waits_until > NOW + timedelta(minutes=1)


async def test_a_run_is_not_begun_with_a_query_that_nobody_can_read() -> None:
    metric = Metric(name="errors", source=RATIO, maximum=0.1)
    sampler = Sampler(Stored(), {}, "http://prometheus", deriver=Unable())
    queries, problems = await sampler.prepare(KEY, strategy(metric))
    assert queries == ()
    assert problems == ("metric errors: it takes too long to be read",)


class _Silent:
    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        del spec, query, interval
        return ()


async def test_an_empty_result_says_nothing_then() -> None:
    sampler = Sampler(
        Stored(), {"prometheus": _Silent()}, "http://prometheus", deriver=Unable((sides,))
    )
    metric = Metric(name="errors", source=RATIO, maximum=0.1)
    queries, _ = await sampler.prepare(KEY, strategy(metric))
    (sample,) = await sampler.ask(queries)
    assert (sample.value, sample.problem) == (None, "")


def found(number: int, text: str) -> Countable | Comparable | Uncountable:
    one = query(f"m{number}", text)
    return count_of(one.metric, one.texts, one.stable, False, False)  # noqa: FBT003


@pytest.mark.parametrize(
    ("text", "most"),
    [(RATIO, MOST_COUNTED), (RATIO.replace("5..", "5.." + "x" * 900), 20)],
    ids=["many", "long"],
)
def test_no_run_has_more_read_for_it_than_leaves_room_for_others(text: str, most: int) -> None:
    asked = [found(number, text) for number in range(300)]
    kept = within_bounds(asked)
    assert [one for one in kept if not isinstance(one, Uncountable)] == asked[
        : len([one for one in kept if not isinstance(one, Uncountable)])
    ]
    assert 1 <= sum(not isinstance(one, Uncountable) for one in kept) <= most
    assert len(kept) == len(asked)


async def test_what_is_no_promql_is_not_derived_from_and_waits_for_what_was_before() -> None:
    # It could be read as PromQL, and would mean something else.
    found = vendors(RATIO)
    assert found.versions is None
    reading = await counted(Unable(), "prod", found, strategy())
    assert reading == Uncountable(
        metric="errors",
        why="newrelic has no counters that are read; its values are judged at each check",
    )
    assert pure_counted(found, strategy()) == reading
    past = Past(
        former_until=NOW - timedelta(seconds=10),
        traffic_since=None,
        pods=RunPods(names=(), stable="web-1", former="web-canary-1"),
        scrape=timedelta(seconds=15),
        recorded=timedelta(0),
    )
    (text,) = (await as_asked(Unable(), "prod", found, past, NOW)).texts
    assert text.waits_until is not None
    assert text.waits_until > NOW + timedelta(minutes=9)
