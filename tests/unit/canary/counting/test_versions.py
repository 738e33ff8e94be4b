"""Which version a query reads: each row of the tables, and what must not be taken for one."""

import pytest

from canary.counting.versions import Reads, Version, Versions, read_by

WEB = Versions(
    namespace="prod",
    canary=Version(workload="web-canary", service="web-canary"),
    stable=Version(workload="web", service="web"),
)
FRONT = Versions(
    namespace="prod",
    canary=Version(workload="web-canary", service="front-canary"),
    stable=Version(workload="web", service="front"),
)

CONDITIONS = [
    # The canary.
    ('pod=~"web-canary-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"', "canary"),
    ('kubernetes_pod_name=~"web-canary-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?"', "canary"),
    ('pod=~"web-canary.*"', "canary"),
    ('pod=~"^web-canary-.*$"', "canary"),
    ('pod=~"(web-canary)-.+"', "canary"),
    ('pod=~".*-canary-.*"', "canary"),
    ('app="web-canary"', "canary"),
    ('deployment=~"web-canary"', "canary"),
    ('destination_workload=~"web-canary",destination_workload_namespace="prod"', "canary"),
    ('destination_service="web-canary.prod.svc.cluster.local"', "canary"),
    ('envoy_cluster_name=~"prod_web-canary_[0-9a-zA-Z-]+"', "canary"),
    ('envoy_cluster_name="prod_web-canary_8443"', "canary"),
    ('envoy_cluster_name="outbound|8080||web-canary.prod.svc.cluster.local"', "canary"),
    ('service=~"web-canary_prod_svc_[0-9a-zA-Z-]+"', "canary"),
    ('service=~"prod-web-canary-[0-9a-zA-Z-]+@kubernetescrd"', "canary"),
    ('replicaset=~"web-canary-.+"', "canary"),
    ('pod=~"web-canary-.+",app="web"', "canary"),
    ('pod=~"web-canary-.+",path=~"/web/.*"', "canary"),
    ('pod=~"web.*",pod!~"web-[^-]+-[^-]+"', "canary"),
    ('pod=~"web-canary-.*|web-canary-primary-.*"', "canary"),
    ('whatever="web-canary"', "canary"),
    ('service="prod-web-canary-http@kubernetescrd"', "canary"),
    ('service="web-canary-metrics"', "canary"),
    # The stable.
    ('app="web"', "stable"),
    ('app_kubernetes_io_name="web",namespace="prod"', "stable"),
    ('job="web"', "stable"),
    ('container="web"', "stable"),
    ('deployment=~"web|api"', "stable"),
    ('service="web"', "stable"),
    ('pod=~"web-[0-9a-z]+-[0-9a-z]+"', "stable"),
    ('envoy_cluster_name=~"prod_web_[0-9]+"', "stable"),
    ('pod=~"web.*",pod!~"web-canary.*"', "stable"),
    ('pod!~"web-canary-.*",namespace="prod"', "stable"),
    ('deployment!="web-canary"', "stable"),
    # Both.
    ('pod=~"web-.*"', "both"),
    ('pod=~"web.*"', "both"),
    ('pod=~".*web.*"', "both"),
    ('app=~"web|web-canary"', "both"),
    ('app=~"web(-canary)?"', "both"),
    ('envoy_cluster_name=~"prod_web.*"', "both"),
    ('pod=~"web-.*",pod!~"web-primary.*"', "both"),
    # Neither.
    ('envoy_cluster_name=~"prod_web-canary-canary_[0-9a-zA-Z-]+"', "neither"),
    ('service="web-canary-canary"', "neither"),
    ('service="web-canary-primary"', "neither"),
    ('pod=~"web-canary-primary-.*"', "neither"),
    ('pod="web-canary"', "neither"),
    ('pod=~"web-canary-[0-9]+"', "neither"),
    ('deployment="web-canary-v2"', "neither"),
    ('app="web-canary-metrics"', "neither"),
    ('pod=~"web-canary-.+",service="web-canary-canary"', "neither"),
    # Unknown.
    ('namespace="web"', "unknown"),
    ('namespace="web-canary"', "unknown"),
    ('whatever="web"', "unknown"),
    ('kubernetes_namespace="web",status="500"', "unknown"),
    ('path=~"/web/.*"', "unknown"),
    ('handler="web"', "unknown"),
    ('host="web.example"', "unknown"),
    ('cluster="web"', "unknown"),
    ('controller="web",action="index"', "unknown"),
    ('queue_name="web"', "unknown"),
    ('route=~"/web.*"', "unknown"),
    ('pod!~"web-db-.*"', "unknown"),
    ('pod=~".+"', "unknown"),
    ('service="web-db"', "unknown"),
    ('pod=~"web-db-.*"', "unknown"),
    ('app="webshop"', "unknown"),
    ('app="my-web"', "unknown"),
    ("", "unknown"),
]


@pytest.mark.parametrize(("conditions", "reads"), CONDITIONS)
def test_what_a_selector_reads(conditions: str, reads: str) -> None:
    assert read_by(f"up{{{conditions}}}", WEB).reads == reads


@pytest.mark.parametrize(
    ("conditions", "reads"),
    [
        ('service="front-canary"', "canary"),
        ('service="front"', "stable"),
        ('service=~"front.*"', "both"),
        ('pod=~"web-canary-.+"', "canary"),
        ('envoy_cluster_name=~"prod_front-canary_.+"', "canary"),
        ('envoy_cluster_name=~"prod_front-canary-canary_.+"', "neither"),
    ],
)
def test_a_service_of_another_name_is_one_of_the_versions(conditions: str, reads: str) -> None:
    assert read_by(f"up{{{conditions}}}", FRONT).reads == reads


def test_a_name_with_a_dot_is_read_with_and_without_its_escape() -> None:
    versions = Versions(
        namespace="prod",
        canary=Version(workload="web.v2-canary", service="web-canary"),
        stable=Version(workload="web.v2", service="web"),
    )
    assert read_by(r'up{pod=~"web\\.v2-canary-.+"}', versions).reads is Reads.CANARY
    assert read_by('up{pod=~"web.v2-canary-.+"}', versions).reads is Reads.CANARY
    assert read_by(r'up{pod=~"web\\.v2-[^-]+-[^-]+"}', versions).reads is Reads.STABLE


C, S, B, N, U = (
    'x{pod=~"web-canary-.+"}',
    'x{app="web"}',
    'x{pod=~"web-.*"}',
    'x{service="web-canary-canary"}',
    "x",
)


@pytest.mark.parametrize(
    ("query", "reads"),
    [
        (f"sum({C}) / sum({C})", "canary"),
        (f"sum({C}) / sum({S})", "canary"),
        (f"sum({C}) / sum({U})", "canary"),
        (f"sum({S}) / sum({U})", "stable"),
        (f"sum({C}) / sum({B})", "both"),
        (f"(sum({N}) or vector(0)) / sum({C})", "neither"),
        (f"sum({C}) or sum({S})", "stable"),
        (f"sum({C}) or vector(0)", "canary"),
        (f"sum({U}) / sum({U})", "unknown"),
        (f"max_over_time(sum(rate({C}[1m]))[5m:10s])", "canary"),
        (f"sum(rate({C}[1m])) / on () group_left () sum(rate({C}[1m]))", "canary"),
        ("vector(1)", "unknown"),
    ],
)
def test_what_a_query_reads(query: str, reads: str) -> None:
    assert read_by(query, WEB).reads == reads


@pytest.mark.parametrize(
    ("query", "reads"),
    [
        ("avg:http.errors{service:web,env:prod}", "stable"),
        ("avg:http.errors{service:web-canary,env:prod}", "unknown"),
        ("avg:http.errors{env:prod}", "unknown"),
        ("avg:http.errors{namespace:web}", "unknown"),
        ('up{app="web"} default 0 keep_metric_names', "stable"),
        ('up{app="web-canary"} default 0 keep_metric_names', "unknown"),
        ("SELECT count(*) FROM Transaction WHERE appName = 'other'", "unknown"),
        ("sum(", "unknown"),
        ('up{pod=~"("}', "unknown"),
    ],
)
def test_what_cannot_be_read_is_unknown_unless_it_plainly_names_the_stable(
    query: str, reads: str
) -> None:
    assert read_by(query, WEB).reads == reads


def test_the_condition_that_says_so_is_told() -> None:
    assert read_by('sum(up{namespace="prod",app="web"})', WEB).condition == 'app="web"'
    assert not read_by("sum(up)", WEB).condition
