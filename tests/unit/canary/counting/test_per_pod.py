"""A query for one value becomes one for every pod, or says why it cannot."""

from datetime import timedelta

import promql_parser
import pytest

from canary.counting.errors import NotCounts
from canary.counting.per_pod import per_pod

MEAN = "sum(rate(d_sum{pod=~'web-.*'}[1m])) / sum(rate(d_count{pod=~'web-.*'}[1m]))"


@pytest.mark.parametrize(
    ("query", "written"),
    [
        ("avg(queue)", "avg by (pod) (queue)"),
        ("max by (zone) (queue)", "max by (zone, pod) (queue)"),
        ("sum by (pod) (queue)", "sum by (pod) (queue)"),
        ("quantile(0.9, queue)", "quantile by (pod) (0.9, queue)"),
        ("queue", "queue"),
        ("-queue", "-(queue)"),
        ("(queue) * 2", "((queue)) * (2)"),
        ("queue > bool 3", "(queue) > bool (3)"),
        ("sum(a) or vector(0)", "(sum by (pod) (a)) or (vector(0))"),
        ("avg(queue{a='x'} offset 5m)", 'avg by (pod) (queue{a="x"} offset 5m)'),
        (
            "histogram_quantile(0.9, sum by (le) (rate(x_bucket[1m])))",
            "histogram_quantile(0.9, sum by (le, pod) (rate(x_bucket[1m])))",
        ),
    ],
)
def test_aggregations_are_kept_apart_by_pod(query: str, written: str) -> None:
    found = per_pod(query).query
    assert found == written
    promql_parser.parse(found)


def test_the_label_is_the_one_that_the_query_matches() -> None:
    found = per_pod('avg(queue{kubernetes_pod_name=~"web-.*"})')
    assert found.label == "kubernetes_pod_name"
    assert "by (kubernetes_pod_name)" in found.query


@pytest.mark.parametrize(
    ("query", "window"),
    [(MEAN, timedelta(minutes=1)), ("queue", timedelta(0)), ("rate(a[5s]) + rate(b[2m])", None)],
)
def test_the_longest_window_is_told(query: str, window: timedelta | None) -> None:
    assert per_pod(query).window == (timedelta(minutes=2) if window is None else window)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("topk(3, queue)", "topk"),
        ("sum without (pod) (queue)", "without labels"),
        ("a / on(zone) b", "on()"),
        ("scalar(queue)", "scalar"),
        ("avg(max_over_time(queue[5m:1m]))", "subquery"),
        ("1 + 1", "selects no series"),
        ("sum(", "no PromQL"),
    ],
)
def test_what_cannot_be_kept_apart_is_refused_with_the_reason(query: str, why: str) -> None:
    with pytest.raises(NotCounts, match=why.replace("(", r"\(").replace(")", r"\)")):
        per_pod(query)
