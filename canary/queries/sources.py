"""Who counts requests, and what each calls them: the series behind the built-in metrics.

"gateway" is what Envoy counts of each backend where Contour has configured it: it sees every
answer, also those of a pod that has died, and asks nothing of the application. "app" is what the
application exposes: `http_requests_total{status}` and `http_request_duration_seconds`. "histogram"
is the latter alone, with the labels that Flagger's own queries for its providers `kubernetes` and
`gatewayapi` have. "nginx" is what ingress-nginx counts of the requests to a Service, and which
backend has answered in its place. "traefik" and "gloo" are what these gateways count of a Service.
"istio", "linkerd" and "osm" are what these meshes count of a Deployment's pods, "kuma" of those of
a Service, and "appmesh" of single pods, whatever splits the traffic.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from canary.counting.series import quoted
from canary.model.names import canary_name

GATEWAY: Final = "gateway"
APP: Final = "app"
HISTOGRAM: Final = "histogram"
ISTIO: Final = "istio"
LINKERD: Final = "linkerd"
NGINX: Final = "nginx"
TRAEFIK: Final = "traefik"
GLOO: Final = "gloo"
KUMA: Final = "kuma"
OSM: Final = "osm"
APPMESH: Final = "appmesh"
_NOT_5XX: Final = '!~"5.."'


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesNames:
    """What one source calls things; `scale` turns the histogram's unit into milliseconds.

    `good` matches what was answered well.
    """

    matchers: str
    requests: str
    good: str
    latency: str
    scale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The version that is measured: names of its Service and its Deployment.

    `split` is the Service whose traffic is split, the stable's own.
    """

    namespace: str
    service: str
    workload: str
    split: str


def pod_pattern(workload: str) -> str:
    """Return the regular expression that the names of a Deployment's pods match as a whole."""
    return f"{quoted(workload)}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?"


def cluster_pattern(namespace: str, service: str) -> str:
    """Return the regular expression of the names that Contour gives a backend in statistics.

    Contour sets Envoy's `alt_stat_name` to namespace, name and port, joined by underscores.
    """
    return f"{quoted(f'{namespace}_{service}')}_[0-9]+"


def _gateway(side: Side) -> SeriesNames:
    names = cluster_pattern(side.namespace, side.service)
    return _of_envoy(f"envoy_cluster_name=~{_string(names)}")


def _app(side: Side) -> SeriesNames:
    return SeriesNames(
        matchers=f"namespace={_string(side.namespace)},{_pods(side.workload)}",
        requests="http_requests_total",
        good=f"status{_NOT_5XX}",
        latency="http_request_duration_seconds_bucket",
        scale=1000,
    )


def _histogram(side: Side) -> SeriesNames:
    return SeriesNames(
        matchers=f"kubernetes_namespace={_string(side.namespace)},{_pods(side.workload)}",
        requests="http_request_duration_seconds_count",
        good=f"status{_NOT_5XX}",
        latency="http_request_duration_seconds_bucket",
        scale=1000,
    )


def _pods(workload: str) -> str:
    # Kubernetes cuts the names of pods at 63 characters, so that `web-canary-<rest>` can end up
    # with as many parts as a pod of `web` has.
    canary = _string(f"{quoted(canary_name(workload))}-.+")
    return f"kubernetes_pod_name=~{_string(pod_pattern(workload))},kubernetes_pod_name!~{canary}"


def _istio(side: Side) -> SeriesNames:
    return SeriesNames(
        # Each request is counted by its client's proxy and by its server's.
        matchers=(
            f'reporter="destination",destination_workload_namespace={_string(side.namespace)},'
            f"destination_workload={_string(side.workload)}"
        ),
        requests="istio_requests_total",
        good=f"response_code{_NOT_5XX}",
        latency="istio_request_duration_milliseconds_bucket",
        scale=1,
    )


def _linkerd(side: Side) -> SeriesNames:
    return SeriesNames(
        matchers=(
            f"namespace={_string(side.namespace)},deployment={_string(side.workload)},"
            'direction="inbound"'
        ),
        requests="response_total",
        good='classification!="failure"',
        latency="response_latency_ms_bucket",
        scale=1,
    )


def _nginx(side: Side) -> SeriesNames:
    return SeriesNames(
        matchers=f"namespace={_string(side.namespace)},{_answered_by(side)}",
        requests="nginx_ingress_controller_requests",
        good=f"status{_NOT_5XX}",
        latency="nginx_ingress_controller_response_duration_seconds_bucket",
        scale=1000,
    )


def _answered_by(side: Side) -> str:
    """Return the condition on who answered, whichever Ingress the request came by.

    `service` is the Service of the rule in either case. `canary` is empty where its own backend
    answered, and else names the one that did so in its place: namespace, Service and port.
    """
    if side.service == side.split:
        return f'service={_string(side.service)},canary=""'
    backend = f"{quoted(f'{side.namespace}-{side.service}')}-[0-9a-z-]+"
    return f"service={_string(side.split)},canary=~{_string(backend)}"


def _traefik(side: Side) -> SeriesNames:
    # Traefik has joined all names by dashes, none beside another, so that of the port it may be no
    # more than one word; with `safeNaming` they stand behind what leads there, by underscores.
    of = f"{side.namespace}-{side.service}"
    plain = "-".join(filter(None, of.split("-")))
    safe = f"[^@]+_{quoted(side.namespace)}_{quoted(side.service)}_[0-9a-z-]+@kubernetescrd"
    route = f"(http|grpc)route-{quoted(side.namespace)}-.+-svc-"
    by_gateway = f"({route})?{quoted(of)}-((http|grpc)-)?[0-9]+@kubernetesgateway"
    names = f"{quoted(plain)}-[0-9a-zA-Z]+@kubernetes(crd)?|{safe}|{by_gateway}"
    return SeriesNames(
        matchers=f"service=~{_string(names)}",
        requests="traefik_service_requests_total",
        good=f"code{_NOT_5XX}",
        latency="traefik_service_request_duration_seconds_bucket",
        scale=1000,
    )


def _gloo(side: Side) -> SeriesNames:
    of_gateway = f"kube_{quoted(f'{side.namespace}_{side.service}')}_[0-9]+"
    of_upstream = f"{quoted(f'{side.namespace}-{side.service}')}-[0-9]+_[0-9a-z-]+"
    return _of_envoy(f"envoy_cluster_name=~{_string(f'{of_gateway}|{of_upstream}')}")


def _kuma(side: Side) -> SeriesNames:
    # A sidecar counts what its own app asks of others as well, by the name of whom it asks.
    service = f"{quoted(f'{side.service}_{side.namespace}')}_svc_[0-9]+"
    return _of_envoy(f'service=~{_string(service)},envoy_cluster_name!~".+_svc_.+"')


def _appmesh(side: Side) -> SeriesNames:
    namespace = f"kubernetes_namespace={_string(side.namespace)}"
    asked = 'envoy_cluster_name!~"cds_egress_.+"'
    return _of_envoy(f"{namespace},{_pods(side.workload)},{asked}")


def _of_envoy(matchers: str) -> SeriesNames:
    return SeriesNames(
        matchers=matchers,
        requests="envoy_cluster_upstream_rq",
        good=f"envoy_response_code{_NOT_5XX}",
        latency="envoy_cluster_upstream_rq_time_bucket",
        scale=1,
    )


def _osm(side: Side) -> SeriesNames:
    return SeriesNames(
        matchers=(
            f"destination_namespace={_string(side.namespace)},"
            f'destination_kind="Deployment",destination_name={_string(side.workload)}'
        ),
        requests="osm_request_total",
        good=f"response_code{_NOT_5XX}",
        latency="osm_request_duration_ms_bucket",
        scale=1,
    )


def _string(text: str) -> str:
    """Write a PromQL string: its escapes are Go's."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


NAMES: Final[Mapping[str, Callable[[Side], SeriesNames]]] = {
    GATEWAY: _gateway,
    APP: _app,
    HISTOGRAM: _histogram,
    ISTIO: _istio,
    LINKERD: _linkerd,
    NGINX: _nginx,
    TRAEFIK: _traefik,
    GLOO: _gloo,
    KUMA: _kuma,
    OSM: _osm,
    APPMESH: _appmesh,
}
"""What each source calls the series of a version."""
BESIDE_PODS: Final = NAMES.keys() - {APP, HISTOGRAM}
"""Sources whose series are not on the pages of the application's own containers."""


def parse_sources(text: str) -> tuple[str, ...]:
    """Read names of sources with commas between them, in order; "" for none.

    Raises:
        ValueError: one is not known, or comes twice.

    """
    found = tuple(name for part in text.split(",") if (name := part.strip()))
    if strange := sorted(set(found) - NAMES.keys()):
        raise ValueError(f"{', '.join(strange)}: not known; there are {', '.join(NAMES)}")
    if len(set(found)) < len(found):
        raise ValueError(f"{text!r}: write each once, as in traefik,app")
    return found
