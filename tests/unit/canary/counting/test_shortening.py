"""A rate may look back less far, an increase only together with what it is divided by."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.counting.errors import NotCounts
from canary.counting.reads import LOOKBACK, reads_of
from canary.counting.shortening import shortened

HALF = timedelta(seconds=30)
MINUTE = timedelta(minutes=1)
FIVE = timedelta(minutes=5)


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("rate(a[1m])", "rate(a[30s])"),
        ("irate(a[5m])", "irate(a[30s])"),
        ("rate(a[20s])", "rate(a[20s])"),
        (
            "sum(rate(a [ 1m ])) # [1m]\n/ sum(rate(b[5m]))",
            "sum(rate(a [30s])) # [1m]\n/ sum(rate(b[30s]))",
        ),
        ("rate(s_sum[1m]) / rate(s_count[1m])", "rate(s_sum[30s]) / rate(s_count[30s])"),
        (
            "100 * sum(increase(a[1m])) / sum(increase(b[1m]))",
            "100 * sum(increase(a[30s])) / sum(increase(b[30s]))",
        ),
        (
            "1 - sum(increase(good[2m])) / sum(increase(every[2m]))",
            "1 - sum(increase(good[30s])) / sum(increase(every[30s]))",
        ),
        (
            "histogram_quantile(0.9, sum by (le) (increase(d_bucket[1m])))",
            "histogram_quantile(0.9, sum by (le) (increase(d_bucket[30s])))",
        ),
        ("avg_over_time(queue[1m])", "avg_over_time(queue[1m])"),
        ("rate(a[1m] offset 1m)", "rate(a[1m] offset 1m)"),
        ("rate(job:a:sum[1m])", "rate(job:a:sum[1m])"),
        ("max_over_time(rate(a[1m])[5m:10s])", "max_over_time(rate(a[1m])[5m:10s])"),
        ("queue", "queue"),
    ],
)
def test_what_a_query_asks_for_then(query: str, asked: str) -> None:
    assert shortened(query, HALF) == asked


@pytest.mark.parametrize(
    "query",
    [
        "sum(increase(a[1m]))",
        "sum(increase(a[1m])) > 10",
        "sum(increase(a[1m])) / sum(increase(b[2m]))",
        "sum(increase(a[1m])) / sum(increase(b[1m] offset 1m))",
        "sum(increase(a[1m])) / sum(increase(b[20s]))",
        "sum(increase(a[1m])) / 60",
        "sum(increase(a[1m])) / scalar(queue)",
        "rate(a[",
    ],
)
def test_an_increase_that_depends_on_its_window_is_not_shortened(query: str) -> None:
    with pytest.raises(NotCounts):
        shortened(query, HALF)


@pytest.mark.parametrize(
    ("query", "reach"),
    [
        ("rate(a[1m])", MINUTE),
        ("rate(a[1m] offset 1m)", 2 * MINUTE),
        ("rate(a[1m] offset -1m)", MINUTE),
        ("max_over_time(rate(a[1m])[5m:10s])", FIVE + MINUTE),
        ("max_over_time(rate(a[1m])[5m:10s] offset 1m)", FIVE + 2 * MINUTE),
        ("queue", LOOKBACK),
        ("queue @ end()", LOOKBACK),
        ("queue @ 1234", None),
        ("job:errors:rate1m", 3 * MINUTE),
        ("avg_over_time(job:errors:rate1m[1m])", 4 * MINUTE),
        ('{__name__="job:errors:rate1m"}', 3 * MINUTE),
    ],
)
def test_how_far_a_selector_reaches_back(query: str, reach: timedelta | None) -> None:
    (read,) = reads_of(query)
    assert read.reach(3 * MINUTE) == reach


_WINDOWS = st.integers(min_value=1, max_value=600)


@given(st.lists(st.tuples(_WINDOWS, st.sampled_from(["rate", "irate"])), min_size=1), _WINDOWS)
def test_no_rate_looks_back_further_then_and_none_less_than_it_may(
    rates: list[tuple[int, str]], longest: int
) -> None:
    query = " + ".join(f"sum({function}(a[{seconds}s]))" for seconds, function in rates)
    reads = reads_of(shortened(query, timedelta(seconds=longest)))
    wanted = [min(seconds, longest) for seconds, _ in rates]
    assert [one.window for one in reads] == [timedelta(seconds=one) for one in wanted]
