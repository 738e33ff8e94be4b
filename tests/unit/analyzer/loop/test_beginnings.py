"""What a rate does not see yet is a part of a check's value."""

import pytest

from analyzer.loop.emptiness import look_into
from analyzer.loop.sampling import Sampler
from analyzer.ports import ProviderError, TooLargeError
from canary.counting.zeros import completed
from canary.measuring.births import sampled
from canary.measuring.history import Past
from canary.model.strategy import Metric
from canary.queries.sources import GATEWAY
from canary.rules.checks import check_sample
from tests.fakes.metric_provider import FakeMetricProvider
from tests.fakes.series_source import FakeSeriesSource
from tests.unit.analyzer.loop.test_sampling import KEY, SUCCESS, Objects, strategy

PODS = 'pod=~"web-canary-.+"'
SHARE = f'sum(rate(a{{{PODS},code="500"}}[1m])) / sum(rate(a{{{PODS}}}[1m]))'
BAD = f'sum(rate(a{{{PODS},code="500"}}[1m]))'


def past(code: str, *values: float, first: int = 0) -> Past:
    labels = {
        "__name__": "envoy_cluster_upstream_rq",
        "envoy_cluster_name": "prod_web-canary_80",
        "envoy_response_code": code,
        "instance": "envoy-1",
    }
    return labels, tuple((1000.0 + 5 * (first + at), value) for at, value in enumerate(values))


@pytest.fixture
def provider() -> FakeMetricProvider:
    return FakeMetricProvider()


@pytest.fixture
def source() -> FakeSeriesSource:
    return FakeSeriesSource()


@pytest.fixture
def sampler(provider: FakeMetricProvider, source: FakeSeriesSource) -> Sampler:
    return Sampler(
        Objects(), {"prometheus": provider}, "http://metrics", samples={"prometheus": source}
    )


async def asked(sampler: Sampler, metric: Metric = SUCCESS) -> tuple[str, str]:
    """Return the name of the gateway's samples, and of the app's."""
    queries, problems = await sampler.prepare(KEY, strategy(metric))
    assert not problems
    found = [sampled(text.query) for text in queries[0].texts]
    gateway, app = (one.queries[0] for one in found if one is not None)
    return gateway, app


async def test_a_check_fails_for_errors_that_were_scraped_once(
    sampler: Sampler, provider: FakeMetricProvider, source: FakeSeriesSource
) -> None:
    gateway, _ = await asked(sampler)
    provider.script("envoy_cluster_upstream_rq", 100.0)
    source.pasts[gateway] = (past("200", 6, 60), past("500", 6, first=1))
    queries, _ = await sampler.prepare(KEY, strategy(SUCCESS))
    (sample,) = await sampler.ask(queries)
    assert sample.value == pytest.approx(90)
    assert sample.source == GATEWAY
    assert "counted from 0" in check_sample(sample).message


async def test_where_nothing_began_the_value_is_the_querys_own(
    sampler: Sampler, provider: FakeMetricProvider, source: FakeSeriesSource
) -> None:
    gateway, _ = await asked(sampler)
    provider.script("envoy_cluster_upstream_rq", 99.5)
    source.pasts[gateway] = (past("200", 6, 60), past("500", 6, 6))
    queries, _ = await sampler.prepare(KEY, strategy(SUCCESS))
    (sample,) = await sampler.ask(queries)
    assert (sample.value, sample.note) == (99.5, "")


async def test_of_a_built_in_metric_without_a_request_no_samples_are_asked_for(
    sampler: Sampler, source: FakeSeriesSource
) -> None:
    queries, _ = await sampler.prepare(KEY, strategy(SUCCESS))
    (sample,) = await sampler.ask(queries)
    assert (sample.value, source.asked) == (None, [])


async def test_samples_that_cannot_be_had_leave_the_check_without_a_value(
    sampler: Sampler, provider: FakeMetricProvider, source: FakeSeriesSource
) -> None:
    gateway, _ = await asked(sampler)
    provider.script("envoy_cluster_upstream_rq", 100.0)
    source.pasts[gateway] = ProviderError("it has gone away")
    queries, _ = await sampler.prepare(KEY, strategy(SUCCESS))
    (sample,) = await sampler.ask(queries)
    assert (sample.value, sample.problem) == (None, "it has gone away")


async def test_samples_that_are_too_many_are_not_counted_and_that_is_said(
    sampler: Sampler, provider: FakeMetricProvider, source: FakeSeriesSource
) -> None:
    gateway, _ = await asked(sampler)
    provider.script("envoy_cluster_upstream_rq", 100.0)
    source.pasts[gateway] = TooLargeError("more than 12 MiB")
    queries, _ = await sampler.prepare(KEY, strategy(SUCCESS))
    (sample,) = await sampler.ask(queries)
    assert sample.value == 100
    assert "more than 12 MiB" in check_sample(sample).message


async def test_a_team_s_empty_share_has_the_errors_that_were_scraped_once(
    sampler: Sampler, provider: FakeMetricProvider, source: FakeSeriesSource
) -> None:
    metric = Metric(name="errors", source=SHARE, maximum=0.01)
    found = sampled(SHARE)
    assert found is not None

    def one(code: str, *points: tuple[float, float]) -> Past:
        return {"__name__": "a", "pod": "web-canary-x", "code": code}, points

    provider.script("0 * (", 0.0)
    source.pasts[found.queries[0]] = (one("200", (0, 6), (5, 60)), one("500", (5, 6)))
    queries, problems = await sampler.prepare(KEY, strategy(metric))
    (sample,) = await sampler.ask(queries)
    assert not problems
    assert sample.value == pytest.approx(0.1)
    assert sample.source == "query"


async def test_a_sum_of_errors_that_were_scraped_once_is_not_0_and_that_is_said() -> None:
    found = completed(BAD, ("web-canary", "web"))
    assert found is not None
    answers = {one.seen: (1.0,) for one in found.sums}

    async def ask(text: str) -> tuple[float, ...]:
        return answers.get(text, ())

    empty = await look_into(found, ask)
    assert (empty.values, empty.note) == ((), "")
    assert empty.problem.startswith('what is {code="500"} of a was scraped once only so far')
