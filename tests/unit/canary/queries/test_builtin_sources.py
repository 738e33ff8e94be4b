"""Built-in metrics by provider: whose series are read, in which order, and of which version."""

from datetime import timedelta
from itertools import product

import pytest

from canary.counting.derive import Derived, Quantile, Ratio, derive
from canary.counting.series import TARGET_LABELS
from canary.measuring.countable import Countable, Place, countable
from canary.model.names import canary_name
from canary.model.strategy import Builtin, Metric, Strategy
from canary.queries.builtin import SourceQuery, builtin_queries, sources_of
from canary.queries.sources import (
    APP,
    APPMESH,
    BESIDE_PODS,
    GATEWAY,
    GLOO,
    HISTOGRAM,
    ISTIO,
    KUMA,
    LINKERD,
    NAMES,
    NGINX,
    OSM,
    TRAEFIK,
    parse_sources,
)
from canary.spec.canary import PROVIDERS, parse_strategy
from canary.spec.defaults import Defaults

SOURCES = {
    "": (GATEWAY, APP),
    "contour": (GATEWAY, APP),
    "kubernetes": (GATEWAY, APP, HISTOGRAM),
    "nginx": (NGINX, APP),
    "istio": (ISTIO, GATEWAY, APP),
    "traefik": (TRAEFIK, APP),
    "linkerd": (LINKERD, GATEWAY, APP),
    "gatewayapi:v1": (GATEWAY, APP, HISTOGRAM, ISTIO, LINKERD),
    "gatewayapi:v1beta1": (GATEWAY, APP, HISTOGRAM, ISTIO, LINKERD),
}
ALL = SOURCES["gatewayapi:v1"]
EVERY = tuple(NAMES)
Labels = dict[str, str]


def queries(
    metric: Builtin,
    name: str = "web-canary",
    provider: str = "gatewayapi:v1",
    first: tuple[str, ...] = (),
) -> dict[str, SourceQuery]:
    found = builtin_queries(
        metric,
        namespace="prod",
        service=name,
        workload=name,
        interval=timedelta(minutes=1),
        split="web",
        sources=sources_of(provider, first),
    )
    return {one.source: one for one in found}


def test_each_provider_that_is_taken_has_its_row() -> None:
    assert SOURCES.keys() == PROVIDERS.keys()


@pytest.mark.parametrize(("provider", "metric"), [*product(SOURCES, Builtin)])
def test_sources_are_tried_in_the_order_of_the_provider(provider: str, metric: Builtin) -> None:
    assert tuple(queries(metric, provider=provider)) == SOURCES[provider]


def test_what_the_admin_names_is_asked_first_and_nothing_twice() -> None:
    first = parse_sources(" traefik, app ,")
    assert first == (TRAEFIK, APP)
    assert tuple(queries(Builtin.DURATION, first=first)) == (
        TRAEFIK,
        *(APP, GATEWAY, HISTOGRAM, ISTIO, LINKERD),
    )
    assert sources_of("kubernetes") == SOURCES["kubernetes"]
    assert parse_sources("") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("apisix", "apisix: not known; there are gateway, app"),
        ("Traefik,kuma", "Traefik: not known"),
        ("kuma,app,kuma", "write each once"),
    ],
)
def test_a_source_that_is_not_known_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_sources(text)


@pytest.mark.parametrize("provider", SOURCES)
def test_a_strategy_says_its_provider(provider: str) -> None:
    spec = {
        "provider": provider,
        **({"ingressRef": {"name": "shop"}} if provider == "nginx" else {}),
        "targetRef": {"kind": "Deployment", "name": "web"},
        "analysis": {"stepWeights": [10], "metrics": []},
    }
    found = parse_strategy({"metadata": {"name": "web"}, "spec": spec}, Defaults())
    assert isinstance(found, Strategy)
    assert found.provider == provider


# --- whose series -------------------------------------------------------------------------------


def pod(name: str) -> str:
    return f"{name}-7d9c5b8f6d-x2x8z"


def labels(source: str, name: str, namespace: str = "prod") -> Labels:
    """Return what a series of a source says of whose it is, as its documents have it."""
    return {
        GATEWAY: {"envoy_cluster_name": f"{namespace}_{name}_80"},
        APP: {"namespace": namespace, "kubernetes_pod_name": pod(name)},
        HISTOGRAM: {"kubernetes_namespace": namespace, "kubernetes_pod_name": pod(name)},
        ISTIO: {
            "reporter": "destination",
            "destination_workload_namespace": namespace,
            "destination_workload": name,
        },
        LINKERD: {"namespace": namespace, "deployment": name, "direction": "inbound"},
        NGINX: {"namespace": namespace, "ingress": "shop", **by_nginx(name, namespace)},
        TRAEFIK: {"service": f"{namespace}-{name}-http-80@kubernetesgateway"},
        GLOO: {"envoy_cluster_name": f"kube_{namespace}_{name}_80"},
        KUMA: {
            "service": f"{name}_{namespace}_svc_80",
            "envoy_cluster_name": "localhost_8080",
        },
        OSM: {
            "destination_kind": "Deployment",
            "destination_namespace": namespace,
            "destination_name": name,
        },
        APPMESH: {
            "kubernetes_namespace": namespace,
            "kubernetes_pod_name": pod(name),
            "envoy_cluster_name": f"cds_ingress_mesh_{name}_http_8080",
        },
    }[source]


def by_nginx(name: str, namespace: str) -> Labels:
    """Return what it says of a request to a Service, or that another has answered in its place."""
    if not name.endswith("-canary"):
        return {"service": name, "canary": ""}
    return {"service": name.removesuffix("-canary"), "canary": f"{namespace}-{name}-http-alt"}


ANSWERS: dict[str, tuple[str, Labels, Labels]] = {
    GATEWAY: (
        "envoy_cluster_upstream_rq",
        {"envoy_response_code": "200"},
        {"envoy_response_code": "503"},
    ),
    APP: ("http_requests_total", {"status": "404"}, {"status": "500"}),
    HISTOGRAM: ("http_request_duration_seconds_count", {"status": "200"}, {"status": "502"}),
    ISTIO: ("istio_requests_total", {"response_code": "404"}, {"response_code": "503"}),
    LINKERD: ("response_total", {"classification": "success"}, {"classification": "failure"}),
    NGINX: ("nginx_ingress_controller_requests", {"status": "404"}, {"status": "502"}),
    TRAEFIK: ("traefik_service_requests_total", {"code": "200"}, {"code": "502"}),
    OSM: ("osm_request_total", {"response_code": "200"}, {"response_code": "500"}),
    **dict.fromkeys(
        (GLOO, KUMA, APPMESH),
        (
            "envoy_cluster_upstream_rq",
            {"envoy_response_code": "404"},
            {"envoy_response_code": "503"},
        ),
    ),
}
LATENCIES = {
    GATEWAY: ("envoy_cluster_upstream_rq_time_bucket", "500"),
    APP: ("http_request_duration_seconds_bucket", "0.5"),
    HISTOGRAM: ("http_request_duration_seconds_bucket", "0.5"),
    ISTIO: ("istio_request_duration_milliseconds_bucket", "500"),
    LINKERD: ("response_latency_ms_bucket", "500"),
    NGINX: ("nginx_ingress_controller_response_duration_seconds_bucket", "0.5"),
    TRAEFIK: ("traefik_service_request_duration_seconds_bucket", "0.5"),
    OSM: ("osm_request_duration_ms_bucket", "500"),
    **dict.fromkeys((GLOO, KUMA, APPMESH), ("envoy_cluster_upstream_rq_time_bucket", "500")),
}
OTHERS = ("web-canary-canary", "web-api", "webx", "my-web", "web.canary")
"""Names that are neither version's."""
OUTSIDE: dict[str, Labels] = {
    ISTIO: {"reporter": "source"},
    LINKERD: {"direction": "outbound"},
    KUMA: {"envoy_cluster_name": "payments_prod_svc_80"},
    OSM: {"destination_kind": "StatefulSet"},
    APPMESH: {"envoy_cluster_name": "cds_egress_mesh_payments_http_80"},
}
"""The same requests, counted once more elsewhere, or what an app asks of others."""


def derived(source: str, metric: Builtin, name: str) -> Derived:
    bounds: dict[str, float | None] = {"minimum": None, "maximum": 500}
    if metric is Builtin.SUCCESS_RATE:
        bounds = {"minimum": 99, "maximum": None}
    return derive(query_of(source, metric, name), **bounds)


def query_of(source: str, metric: Builtin, name: str = "web-canary") -> str:
    return queries(metric, name, first=(source,))[source].query


@pytest.mark.parametrize(("source", "name"), [*product(EVERY, ["web", "web-canary"])])
def test_answers_of_one_version_are_counted_as_good_or_bad(source: str, name: str) -> None:
    found = derived(source, Builtin.SUCCESS_RATE, name)
    assert isinstance(found, Ratio)
    assert found.maximum == 0.01
    series, good, bad = ANSWERS[source]
    for whose in ("web", "web-canary", *OTHERS):
        one = {"__name__": series, **labels(source, whose)}
        counts = whose == name
        assert found.role({**one, **good}) == (0, int(counts)), whose
        assert found.role({**one, **bad}) == (int(counts), int(counts)), whose
    elsewhere = {"__name__": series, **labels(source, name, "preprod"), **bad}
    assert found.role(elsewhere) == (0, 0)
    if source in OUTSIDE:
        twice = {"__name__": series, **labels(source, name), **bad, **OUTSIDE[source]}
        assert found.role(twice) == (0, 0)


@pytest.mark.parametrize(("source", "name"), [*product(EVERY, ["web", "web-canary"])])
def test_slow_answers_of_one_version_are_counted_at_the_limit(source: str, name: str) -> None:
    found = derived(source, Builtin.DURATION, name)
    assert isinstance(found, Quantile)
    series, le = LATENCIES[source]
    at = found.at(float(le))
    for whose in ("web", "web-canary", *OTHERS):
        one = {"__name__": series, **labels(source, whose), "le": le}
        assert at.role(one) == ((-1, 0) if whose == name else (0, 0)), whose
    assert found.limit == float(le), "a limit of 500 ms in the source's own unit"


@pytest.mark.parametrize("source", EVERY)
def test_where_nothing_was_sent_there_is_no_value(source: str) -> None:
    rate = query_of(source, Builtin.SUCCESS_RATE)
    assert rate.endswith("[1m])) > 0)"), "nothing to divide by"
    duration = query_of(source, Builtin.DURATION)
    assert duration.startswith("histogram_quantile(0.99, sum by (le) (rate("), "NaN of nothing"


SHAPES = [
    (TRAEFIK, "service", "{of}-80@kubernetescrd"),
    (TRAEFIK, "service", "{of}-http@kubernetescrd"),
    (TRAEFIK, "service", "{of}-http@kubernetes"),
    (TRAEFIK, "service", "{of}-80@kubernetesgateway"),
    (TRAEFIK, "service", "{of}-grpc-80@kubernetesgateway"),
    (
        TRAEFIK,
        "service",
        "httproute-prod-shop-gw-infra-public-ep-web-0-1c0cf64bde37-svc-{of}-80@kubernetesgateway",
    ),
    (GLOO, "envoy_cluster_name", "{of}-80_gloo-system"),
]
"""More ways in which gateways call a Service, whose names they join by dashes."""


@pytest.mark.parametrize(("source", "label", "shape"), SHAPES)
@pytest.mark.parametrize("name", ["web", "web-canary"])
def test_every_shape_of_a_name_is_one_version_s(
    source: str, label: str, shape: str, name: str
) -> None:
    found = derived(source, Builtin.SUCCESS_RATE, name)
    assert isinstance(found, Ratio)
    series, _, bad = ANSWERS[source]
    for whose in ("web", "web-canary", *OTHERS):
        one = {"__name__": series, label: shape.format(of=f"prod-{whose}"), **bad}
        assert found.role(one) == ((1, 1) if whose == name else (0, 0)), whose
    elsewhere = {"__name__": series, label: shape.format(of=f"preprod-{name}"), **bad}
    assert found.role(elsewhere) == (0, 0)


@pytest.mark.parametrize(
    ("namespace", "service", "counts"),
    [
        ("prod", "prod-web-canary-http@kubernetescrd", True),
        ("prod", "prod_shop_0_wrr_1_prod_web-canary_http-alt@kubernetescrd", True),
        ("prod", "prod_shop_0_wrr_1_prod_web_80@kubernetescrd", False),
        ("prod", "prod-web-80@kubernetescrd", False),
        ("prod", "prod-web-canary-80@file", False),
        ("prod", "prod-shop-6653beff4c2ba8f2b1b9@kubernetescrd", False),
        ("prod--eu", "prod-eu-web-canary-80@kubernetescrd", True),
    ],
)
def test_traefik_s_names_of_a_service_are_known(
    namespace: str, service: str, *, counts: bool
) -> None:
    [query] = builtin_queries(
        Builtin.SUCCESS_RATE,
        namespace=namespace,
        service="web-canary",
        workload="web-canary",
        interval=timedelta(minutes=1),
        split="web",
        sources=(TRAEFIK,),
    )
    found = derive(query.query, minimum=99, maximum=None)
    assert isinstance(found, Ratio)
    series = {"__name__": "traefik_service_requests_total", "service": service, "code": "502"}
    assert found.role(series) == (int(counts), int(counts))


# --- where they are read ------------------------------------------------------------------------


@pytest.mark.parametrize("metric", Builtin)
def test_what_a_proxy_counts_is_read_at_the_metrics_server_alone(metric: Builtin) -> None:
    bounds = {"minimum": 99.0} if metric is Builtin.SUCCESS_RATE else {"maximum": 500.0}
    entry = Metric(name=metric, source=metric, **bounds)  # type: ignore[arg-type]
    texts = queries(metric, canary_name("web")), queries(metric, "web")
    canary, stable = (tuple(one.values()) for one in texts)
    found = countable(entry, canary, stable, alone=False, gate=False)
    assert isinstance(found, Countable)
    places = [(way.place, way.name) for way in found.ways]
    assert places == [
        *((Place.PODS, source) for source in ALL if source not in BESIDE_PODS),
        *((Place.SERVER, source) for source in ALL),
    ]


def test_on_the_pods_own_pages_the_labels_of_a_scrape_are_missing() -> None:
    for source in (APP, HISTOGRAM):
        found = derived(source, Builtin.SUCCESS_RATE, "web-canary")
        series, _, bad = ANSWERS[source]
        assert isinstance(found, Ratio)
        assert found.role({"__name__": series, **bad}, given=TARGET_LABELS) == (1, 1)
