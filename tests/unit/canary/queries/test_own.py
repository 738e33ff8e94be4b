"""While a canary of before lies within its reach a query is asked for the run's own samples."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.counting.narrowing import RunPods, Scope, scope
from canary.counting.reads import reads_of
from canary.model.strategy import Metric
from canary.queries.builtin import SourceQuery
from canary.queries.metric import Query
from canary.queries.own import NEVER, Past, late_texts, own_texts, unread_texts, window_of
from canary.queries.provider import ProviderSpec

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NAME = "web-canary-6b5c9d7f4-abcde"
PODS = RunPods(names=(NAME,), stable="web-5d9f7c8b9d-x2x4z", former="web-canary-5d9f7c8b9d-x2x4z")
GATEWAY = 'envoy{envoy_cluster_name="prod_web-canary_80"}'
WAITS = "waits"


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def past(
    *,
    former: float | None = 40,
    traffic: float | None = 35,
    pods: RunPods = PODS,
    scrape: float = 5,
) -> Past:
    """Return a run whose pods have had traffic for so long, and the one before so long ago."""
    return Past(
        former_until=None if former is None else NOW - seconds(former),
        traffic_since=None if traffic is None else NOW - seconds(traffic),
        pods=pods,
        scrape=seconds(scrape),
        recorded=timedelta(minutes=5),
    )


def asked(text: str, before: Past) -> str | datetime:
    """Return what is asked, or until when it waits."""
    query = Query(
        Metric(name="errors", source=text, maximum=1),
        ProviderSpec(type="prometheus", address="http://prometheus"),
        (SourceQuery(source="query", query=text),),
        (),
    )
    (found,) = own_texts(query.texts, before, NOW)
    return found.waits_until or found.query


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # (2) by the names of its pods.
        ('sum(rate(a{pod=~"web-canary-.*"}[1m]))', f'sum(rate(a{{pod=~"{NAME}"}}[1m]))'),
        ('avg(queue{pod=~"web-canary-.+"})', f'avg(queue{{pod=~"{NAME}"}})'),
        ('job:errors:rate1m{pod=~"web-canary-.+"}', f'job:errors:rate1m{{pod=~"{NAME}"}}'),
        (
            'max_over_time(sum(rate(a{pod=~"web-canary-.*"}[1m]))[10m:1m] offset 1m)',
            f'max_over_time(sum(rate(a{{pod=~"{NAME}"}}[1m]))[10m:1m] offset 1m)',
        ),
        # (3) by shorter windows: 35 s of traffic.
        (f"sum(rate({GATEWAY}[1m]))", f"sum(rate({GATEWAY}[35s]))"),
        (
            f"sum(increase({GATEWAY}[1m])) / sum(increase({GATEWAY}[1m]))",
            f"sum(increase({GATEWAY}[35s])) / sum(increase({GATEWAY}[35s]))",
        ),
        (
            f'sum(rate(a{{pod=~"web-canary-.*"}}[1m])) / sum(rate({GATEWAY}[1m]))',
            f'sum(rate(a{{pod=~"{NAME}"}}[35s])) / sum(rate({GATEWAY}[35s]))',
        ),
        # What does not reach so far stays as it is.
        (f"sum(rate({GATEWAY}[30s]))", f"sum(rate({GATEWAY}[30s]))"),
        ('sum(rate(a{pod=~"web-canary-.*"}[30s]))', 'sum(rate(a{pod=~"web-canary-.*"}[30s]))'),
        (f"sum(increase({GATEWAY}[30s]))", f"sum(increase({GATEWAY}[30s]))"),
        # What is of no canary at all.
        ('sum(rate(a{pod=~"redis-.*"}[1m]))', 'sum(rate(a{pod=~"redis-.*"}[1m]))'),
        ("vector(1)", "vector(1)"),
        # (4) the rest waits.
        (f"sum(increase({GATEWAY}[1m]))", seconds(20)),
        (f"avg(avg_over_time({GATEWAY}[2m]))", seconds(80)),
        (f"avg(avg_over_time({GATEWAY}[30s] offset 1m))", seconds(50)),
        (f"max_over_time(sum(rate({GATEWAY}[1m]))[5m:1m])", seconds(320)),
        (GATEWAY, seconds(260)),
        ('sum(rate(a{pod=~"web-.*"}[1m])) + queue', seconds(260)),
        ("job:errors:rate1m", seconds(260)),
        ("rate(job:requests:sum[1m])", seconds(320)),
        ("this is no PromQL[1h30m]", seconds(5400 + 600 - 40)),
    ],
)
def test_what_is_asked_while_the_canary_before_is_within_reach(
    text: str, wanted: str | timedelta
) -> None:
    expected = wanted if isinstance(wanted, str) else NOW + wanted
    assert asked(text, past()) == expected


def test_a_query_of_a_fixed_time_of_before_waits_for_ever_and_one_after_it_does_not() -> None:
    assert asked(f"sum(rate({GATEWAY}[1m] @ 1234))", past()) == NEVER


@pytest.mark.parametrize(
    "text", [GATEWAY, f"sum(increase({GATEWAY}[1h]))", 'a{pod=~"web-canary-.*"}', "no["]
)
def test_a_first_run_is_asked_as_it_is_written(text: str) -> None:
    assert asked(text, past(former=None)) == text


@pytest.mark.parametrize("text", [GATEWAY, "job:a:b", 'a{pod=~"web-canary-.*"}', "no["])
def test_what_lies_further_back_changes_nothing(text: str) -> None:
    assert asked(text, past(former=1000)) == text


@pytest.mark.parametrize(
    ("former", "traffic", "wanted"),
    [
        (12, 10.5, f"rate({GATEWAY}[10s])"),
        (12, 4, seconds(6)),
        (3, 0, seconds(10)),
        (50, 20.9, f"rate({GATEWAY}[20s])"),
        (5, 50, seconds(5)),
    ],
)
def test_no_window_is_shorter_than_two_scrapes(
    former: float, traffic: float, wanted: str | timedelta
) -> None:
    expected = wanted if isinstance(wanted, str) else NOW + wanted
    assert asked(f"rate({GATEWAY}[1m])", past(former=former, traffic=traffic)) == expected


@pytest.mark.parametrize(
    ("text", "traffic", "wanted"),
    [
        (f"rate({GATEWAY}[1m])", 20, f"rate({GATEWAY}[20s])"),
        (f"rate({GATEWAY}[1m])", 4, seconds(6)),
        (f"rate({GATEWAY}[1m])", 61, f"rate({GATEWAY}[1m])"),
        (f"rate({GATEWAY}[1m])", None, f"rate({GATEWAY}[1m])"),
        # Of pods, each has counted from 0; what is no rate is not extrapolated.
        ('rate(a{pod=~"web-canary-.*"}[1m])', 20, 'rate(a{pod=~"web-canary-.*"}[1m])'),
        (f"avg_over_time({GATEWAY}[1m])", 20, f"avg_over_time({GATEWAY}[1m])"),
        (f"sum(increase({GATEWAY}[1m]))", 20, f"sum(increase({GATEWAY}[1m]))"),
        (f"rate({GATEWAY}[1m] offset 5s)", 20, f"rate({GATEWAY}[1m] offset 5s)"),
    ],
)
def test_however_long_ago_the_canary_before_was_rates_look_back_on_own_traffic(
    text: str, traffic: float | None, wanted: str | timedelta
) -> None:
    """Prometheus told 930 ms of 27 requests of 5 ms, as 102 slow ones were in the buckets."""
    expected = wanted if isinstance(wanted, str) else NOW + wanted
    assert asked(text, past(former=3600, traffic=traffic)) == expected
    assert asked(text, past(former=None, traffic=traffic)) == text


def test_without_names_of_its_own_a_pattern_is_no_help() -> None:
    pods = RunPods(names=(), stable=PODS.stable, former=PODS.former)
    text = 'sum(rate(a{pod=~"web-canary-.*"}[1m]))'
    assert asked(text, past(pods=pods)) == text.replace("1m", "35s")
    assert asked('avg(queue{pod=~"web-canary-.*"})', past(pods=pods)) == NOW + seconds(260)


@pytest.mark.parametrize(
    ("text", "window"),
    [("rate(a[1m]) / rate(b[5m])", 300), ("a_total", float("inf")), ("vector(1)", float("inf"))],
)
def test_how_long_a_window_is(text: str, window: float) -> None:
    assert window_of(text) == window


_READS = st.sampled_from(
    [
        "sum(rate(%s[%ds]))",
        "sum(irate(%s[%ds]))",
        "sum(increase(%s[%ds]))",
        "sum(avg_over_time(%s[%ds]))",
        "sum(rate(%s[%ds] offset 30s))",
        "max_over_time(sum(rate(%s[%ds]))[2m:10s])",
    ]
)
_SELECTORS = st.sampled_from(
    [GATEWAY, 'a{pod=~"web-canary-.*"}', 'a{pod=~"web-.*"}', "job:a:sum", 'a{pod=~"redis-.*"}']
)
_TERMS = st.tuples(_READS, _SELECTORS, st.integers(min_value=10, max_value=300))
_OPERATORS = st.sampled_from([" + ", " / ", " or "])


@given(
    st.lists(_TERMS, min_size=1, max_size=3),
    _OPERATORS,
    st.floats(min_value=0, max_value=900),
    st.floats(min_value=0, max_value=900),
    st.sampled_from([5.0, 15.0]),
)
def test_nothing_that_is_asked_finds_a_canary_of_before(
    terms: list[tuple[str, str, int]], operator: str, former: float, traffic: float, scrape: float
) -> None:
    text = operator.join(read % (selector, window) for read, selector, window in terms)
    before = past(former=former, traffic=traffic, scrape=scrape)
    found = asked(text, before)
    if isinstance(found, datetime):
        assert NOW < found <= NOW + timedelta(minutes=20)
        return
    pods = replace(PODS, names=(NAME,))
    for one, written in zip(reads_of(found), reads_of(text), strict=True):
        reach = one.reach(before.recorded)
        assert reach is not None
        names = {m.value for m in one.matchers if m.label == "pod"}
        own = names == {NAME} or scope(one, pods) is Scope.OTHERS
        assert own or reach <= seconds(former) + timedelta(microseconds=1)
        assert one.window is not None
        assert written.window is not None
        assert one.window <= written.window
        assert one.window == written.window or one.window >= seconds(2 * scrape)
        assert one.function == written.function


@given(st.lists(_TERMS, min_size=1, max_size=3), _OPERATORS, st.floats(min_value=0, max_value=900))
def test_a_wait_is_over_when_it_is_said_to_be(
    terms: list[tuple[str, str, int]], operator: str, former: float
) -> None:
    text = operator.join(read % (selector, window) for read, selector, window in terms)
    found = asked(text, past(former=former, traffic=former))
    if isinstance(found, datetime):
        later = (found - NOW).total_seconds() + former + 0.001
        assert isinstance(asked(text, past(former=later, traffic=later)), str)


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        ("no PromQL [5m] or 1h30m of it", timedelta(minutes=100)),
        ("no PromQL 250ms", timedelta(minutes=5, milliseconds=250)),
        ("no PromQL [99999y]", timedelta(days=365_000, minutes=5)),
        ("9" * 5_000 + "d", timedelta(days=365_000, minutes=5)),
        ("9" * 65_000 + "s and more", timedelta(days=365_000, minutes=5)),
        ("9" * 65_000, timedelta(minutes=5)),
    ],
)
def test_what_cannot_be_read_waits_for_all_durations_in_it(text: str, reach: timedelta) -> None:
    before = replace(past(), recorded=timedelta(0))
    assert before.former_until is not None
    (found,) = late_texts((SourceQuery(source="query", query=text),), before, NOW)
    assert found.waits_until == before.former_until + reach


@pytest.mark.parametrize("window", ["99999y", "9000y", "2000y"])
def test_a_window_from_before_the_calendar_is_waited_for(window: str) -> None:
    until = asked(f"max_over_time({GATEWAY}[{window}])", past())
    assert isinstance(until, datetime)
    assert until > NOW


@pytest.mark.parametrize(
    ("text", "reach"),
    [
        ("avg:x{app:web-canary}", 600),
        ("target=x&from=-30min", 600 + 1800),
        ("range(start: -2h) |> mean()", 600 + 7200),
    ],
)
def test_what_is_no_promql_waits_for_its_window_too(text: str, reach: float) -> None:
    query = Query(
        Metric(name="errors", source=text, maximum=1, interval=seconds(60)),
        ProviderSpec(type="datadog", address=""),
        (SourceQuery(source="query", query=text),),
        (),
    )
    before = past(former=40)
    (found,) = unread_texts(query, before, NOW)
    assert found.waits_until == NOW + seconds(reach - 40)
    (found,) = unread_texts(query, before, NOW + seconds(reach - 40))
    assert found.waits_until is None
    (found,) = unread_texts(query, past(former=None), NOW)
    assert found.waits_until is None
