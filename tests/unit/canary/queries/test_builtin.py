"""Built-in metrics: which series each query reads, and which it must leave alone."""

import re
from datetime import timedelta

import pytest

from canary.model.strategy import Builtin
from canary.queries.builtin import builtin_queries
from canary.queries.sources import APP, GATEWAY, cluster_pattern, pod_pattern


def queries(metric: Builtin, workload: str = "web-canary") -> dict[str, str]:
    answer = builtin_queries(
        metric,
        namespace="prod",
        service=workload,
        workload=workload,
        interval=timedelta(seconds=90),
    )
    assert [query.source for query in answer] == [GATEWAY, APP]
    return {query.source: query.query for query in answer}


def test_success_rate() -> None:
    cluster = r'envoy_cluster_name=~"prod_web-canary_[0-9]+"'
    pods = (
        'namespace="prod",kubernetes_pod_name=~"web-canary-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?",'
        'kubernetes_pod_name!~"web-canary-canary-.+"'
    )

    assert queries(Builtin.SUCCESS_RATE) == {
        GATEWAY: (
            "100 * (sum(rate("
            f'envoy_cluster_upstream_rq{{{cluster},envoy_response_code!~"5.."}}[90s]))'
            " or vector(0))"
            f" / (sum(rate(envoy_cluster_upstream_rq{{{cluster}}}[90s])) > 0)"
        ),
        APP: (
            f'100 * (sum(rate(http_requests_total{{{pods},status!~"5.."}}[90s])) or vector(0))'
            f" / (sum(rate(http_requests_total{{{pods}}}[90s])) > 0)"
        ),
    }


def test_duration_is_in_milliseconds_from_both_sources() -> None:
    duration = queries(Builtin.DURATION)

    assert duration[GATEWAY].startswith(
        "histogram_quantile(0.99, sum by (le) (rate(envoy_cluster_upstream_rq_time_bucket{"
    )
    assert duration[GATEWAY].endswith("[90s])))")
    assert duration[APP].startswith(
        "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{"
    )
    assert duration[APP].endswith("[90s]))) * 1000")


def pods_read(workload: str, pods: list[str]) -> list[str]:
    """Return the pods whose series the query reads, with the query's own matchers."""
    query = queries(Builtin.SUCCESS_RATE, workload)[APP]
    pattern, excluded = re.findall(r'kubernetes_pod_name[=!]~"([^"]*)"', query)[:2]
    wanted, unwanted = (text.replace("\\\\", "\\") for text in (pattern, excluded))
    return [pod for pod in pods if re.fullmatch(wanted, pod) and not re.fullmatch(unwanted, pod)]


PODS = [
    "web-7d9c5b8f6d-x2x8z",
    "web-canary-7d9c5b8f6d-x2x8z",
    "web-canary-canary-7d9c5b8f6d-x2x8z",
    "web-api-7d9c5b8f6d-x2x8z",
    "webx-7d9c5b8f6d-x2x8z",
    "my-web-7d9c5b8f6d-x2x8z",
    "web",
    "web-",
]


@pytest.mark.parametrize(
    ("workload", "pods"),
    [
        ("web", ["web-7d9c5b8f6d-x2x8z"]),
        ("web-canary", ["web-canary-7d9c5b8f6d-x2x8z"]),
        ("web-canary-canary", ["web-canary-canary-7d9c5b8f6d-x2x8z"]),
    ],
)
def test_reads_the_pods_of_one_workload(workload: str, pods: list[str]) -> None:
    assert pods_read(workload, PODS) == pods


def test_stable_leaves_canary_pods_whose_names_were_cut() -> None:
    cut = "web-canary-7d9c5bx2x8z"

    assert re.fullmatch(pod_pattern("web"), cut), "the reason for the second matcher"
    assert pods_read("web", [cut]) == []
    assert pods_read("web-canary", [cut]) == [cut]


def test_reads_the_backend_of_one_service_on_any_port() -> None:
    clusters = [
        "prod_web_80",
        "prod_web_8080",
        "prod_web-canary_80",
        "prod_web_http",
        "preprod_web_80",
        "prod_web_80_1",
    ]
    read = [name for name in clusters if re.fullmatch(cluster_pattern("prod", "web"), name)]

    assert read == ["prod_web_80", "prod_web_8080"]


def test_names_are_no_expressions() -> None:
    assert pod_pattern("web.v2") == r"web\.v2-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?"
    assert r'=~"web\\.v2-[0-9a-zA-Z]+' in queries(Builtin.SUCCESS_RATE, "web.v2")[APP]
    assert r'=~"prod_web\\.v2_[0-9]+"' in queries(Builtin.DURATION, "web.v2")[GATEWAY]
    assert pods_read("web.v2", ["webxv2-a-b", "web.v2-a-b"]) == ["web.v2-a-b"]


def test_names_cannot_end_the_string_they_stand_in() -> None:
    query = queries(Builtin.SUCCESS_RATE, 'a"} or vector(100) #\n')[APP]

    assert r"a\"\\} or vector\\(100\\) #\n-[0-9a-zA-Z]+" in query
    assert "\n" not in query
