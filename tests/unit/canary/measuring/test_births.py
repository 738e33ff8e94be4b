"""What a series stood at when it was first scraped counts, where its target was read before."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.measuring.births import counted_from_0, sampled
from canary.measuring.history import Past

ENVOY = 'envoy_cluster_name=~"prod_web-canary_[0-9]+"'
RQ = "envoy_cluster_upstream_rq"
SUCCESS = (
    f'100 * (sum(rate({RQ}{{{ENVOY},envoy_response_code!~"5.."}}[1m])) or vector(0)) '
    f"/ (sum(rate({RQ}{{{ENVOY}}}[1m])) > 0)"
)
ERRORS = 'sum(rate(a{pod=~"c-.+",code="500"}[30s])) / sum(rate(a{pod=~"c-.+"}[30s]))'
P99 = 'histogram_quantile(0.99, sum by (le) (rate(a_bucket{pod=~"c-.+"}[90s])))'
AT_0 = 1_767_268_800.0


def series(code: str, *points: tuple[float, float], instance: str = "envoy-1") -> Past:
    labels = {
        "__name__": RQ,
        "envoy_cluster_name": "prod_web-canary_80",
        "envoy_response_code": code,
        "instance": instance,
        "job": "envoy",
    }
    return labels, tuple((AT_0 + time, value) for time, value in points)


def value(query: str, *past: Past) -> float | None:
    found = sampled(query)
    assert found is not None
    return counted_from_0(found.side, past)


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        (SUCCESS, (f"{RQ}{{{ENVOY}}}[60000ms]",)),
        (ERRORS, ('a{pod=~"c-.+"}[30000ms]',)),
        (P99, ('a_bucket{pod=~"c-.+"}[90000ms]',)),
        (
            "sum(rate(bad[1m])) / (sum(rate(bad[1m])) + sum(rate(good[1m])))",
            ("bad[60000ms]", "good[60000ms]"),
        ),
    ],
    ids=["success", "errors", "a quantile", "metrics of their own"],
)
def test_all_samples_are_asked_for_once(query: str, asked: tuple[str, ...]) -> None:
    found = sampled(query)
    assert found is not None
    assert found.queries == asked


@pytest.mark.parametrize(
    "query",
    [
        "sum(rate(",
        'sum(rate(a{code="500"}[1m]))',
        "avg(rate(a[1m]))",
        'sum(a{code="500"}) / sum(a)',
        'sum(rate(a{code="500"}[1m])) / sum(rate(a[2m]))',
    ],
    ids=["no PromQL", "no share", "a mean", "counters as they stand", "two windows"],
)
def test_what_is_no_share_of_one_window_has_none(query: str) -> None:
    assert sampled(query) is None


def test_errors_that_were_scraped_once_only_are_errors() -> None:
    good, bad = series("200", (0, 6), (5, 60)), series("500", (5, 6))
    assert value(SUCCESS, good, bad) == pytest.approx(90)


def test_good_answers_that_began_later_are_good_answers() -> None:
    bad, good = series("500", (0, 6), (5, 12)), series("200", (5, 54))
    assert value(SUCCESS, bad, good) == pytest.approx(90)


def test_what_is_there_at_a_targets_first_sample_was_counted_before() -> None:
    assert value(SUCCESS, series("200", (0, 6), (5, 60)), series("500", (0, 900), (5, 906))) is None


def test_a_target_that_is_new_brings_what_it_counted_before() -> None:
    known = series("200", (0, 6), (5, 60)), series("500", (0, 1), (5, 1))
    other = series("500", (5, 900), instance="envoy-2")
    assert value(SUCCESS, *known, other) is None


def test_a_restart_begins_at_0() -> None:
    good = series("200", (0, 900), (5, 10), (10, 54))
    assert value(SUCCESS, good, series("500", (10, 6))) == pytest.approx(90)


def test_a_series_that_plays_no_part_says_nothing_of_when_a_target_was_read() -> None:
    other = series("200", (0, 6), (5, 60))
    labels = {**other[0], "envoy_cluster_name": "prod_web_80"}
    assert (
        value(SUCCESS, (labels, other[1]), series("200", (5, 6)), series("500", (5, 900))) is None
    )


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -3.0])
def test_what_no_counter_has_is_passed_over(bad: float) -> None:
    good = series("200", (0, 6), (2, bad), (5, 60))
    assert value(SUCCESS, good, series("500", (5, 6))) == pytest.approx(90)
    assert value(SUCCESS, good, series("500", (5, bad)), series("503", (5, 6))) == pytest.approx(90)


def test_a_quantile_counts_buckets_that_began_later() -> None:
    def bucket(le: str, code: str, *points: tuple[float, float]) -> Past:
        labels = {"__name__": "a_bucket", "pod": "c-1", "le": le, "code": code}
        return labels, tuple((AT_0 + time, value) for time, value in points)

    quick = [bucket(le, "200", (0, 0), (5, 50)) for le in ("0.1", "1", "+Inf")]
    slow = [
        bucket("0.1", "500", (5, 0)),
        bucket("1", "500", (5, 50)),
        bucket("+Inf", "500", (5, 50)),
    ]
    assert value(P99, *quick) is None
    assert value(P99, *quick, *slow) == pytest.approx(0.1 + 0.9 * 49 / 50)


@dataclass(frozen=True)
class Answers:
    """What a target had answered at each of its scrapes, by code; a code it never had is unseen."""

    so_far: tuple[Mapping[str, int], ...]


@st.composite
def answers(draw: st.DrawFn) -> Answers:
    codes = ("200", "404", "500", "503")
    total: dict[str, int] = {}
    found = []
    for _ in range(draw(st.integers(1, 8))):
        for code in codes:
            if count := draw(st.integers(0, 9)):
                total[code] = total.get(code, 0) + count
        found.append(dict(total))
    return Answers(tuple(found))


@given(st.lists(answers(), min_size=1, max_size=3))
def test_it_is_the_share_of_all_that_was_answered_since_each_targets_first_scrape(
    targets: list[Answers],
) -> None:
    past, good, every, born = [], 0, 0, False
    for number, target in enumerate(targets):
        first = next((at for at, counted in enumerate(target.so_far) if counted), None)
        if first is None:
            continue
        for code, last in target.so_far[-1].items():
            points = [
                (at, so_far[code]) for at, so_far in enumerate(target.so_far) if code in so_far
            ]
            past.append(series(code, *points, instance=f"envoy-{number}"))
            since = last - target.so_far[first].get(code, 0)
            good, every = good + since * (code < "500"), every + since
            born |= points[0][0] > first
    found = value(SUCCESS, *past)
    assert found == (pytest.approx(100 * good / every) if born else None)
