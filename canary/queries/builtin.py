"""The built-in metrics as PromQL, per source of their series.

"gateway" is what Envoy counts of each backend where Contour has configured it: it sees every
answer, also those of a pod that has died, and asks nothing of the application. "app" is what the
application exposes: `http_requests_total{status}` and `http_request_duration_seconds`. "histogram"
is the latter alone, with the labels that Flagger's own queries for its providers `kubernetes` and
`gatewayapi` have. "istio" and "linkerd" are what these meshes count of a Deployment's pods,
whatever splits the traffic. "nginx" is what ingress-nginx counts of the requests to a Service, and
which backend has answered in its place. Which are tried, and in which order, is the Canary's
`provider`'s to say: a row of `_SOURCES`.

No query has a value where there was no traffic: an empty result, or NaN, is not a pass.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from canary.counting.series import quoted
from canary.durations import format_duration
from canary.model.names import canary_name
from canary.model.strategy import Builtin

GATEWAY: Final = "gateway"
APP: Final = "app"
HISTOGRAM: Final = "histogram"
ISTIO: Final = "istio"
LINKERD: Final = "linkerd"
NGINX: Final = "nginx"
BESIDE_PODS: Final = frozenset({GATEWAY, ISTIO, LINKERD, NGINX})
"""Sources whose series are not on the pages of the application's own containers."""
_NOT_5XX: Final = '!~"5.."'


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceQuery:
    """One way to learn a metric: where its series come from, and the PromQL that reads them.

    Until `waits_until` it would find what is not the run's own, and is not to be asked.
    """

    source: str
    query: str
    waits_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """How one source names things; `scale` turns the histogram's unit into milliseconds.

    `good` matches what was answered well.
    """

    source: str
    matchers: str
    requests: str
    good: str
    latency: str
    scale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """The version that is measured; see `builtin_queries`."""

    namespace: str
    service: str
    workload: str
    split: str


def builtin_queries(
    metric: Builtin,
    *,
    namespace: str,
    service: str,
    workload: str,
    interval: timedelta,
    provider: str = "",
    split: str = "",
) -> tuple[SourceQuery, ...]:
    """Return the queries of a built-in metric, in the order in which they are to be tried.

    The success rate is in percent of requests that were not answered with 5xx: 0 where all were,
    100 where none was. The duration is the 99th percentile in milliseconds; beyond the last finite
    bucket it is that bucket's bound, as Prometheus has it.

    Args:
        metric: which one.
        namespace: of the Service and the pods.
        service: whose backend is measured: the canary's own Service, or the stable's.
        workload: the Deployment whose pods are measured: `web-canary`, or `web` for the stable.
        interval: the window; it must hold two scrapes for Prometheus to see a rate.
        provider: `spec.provider` of the Canary, which says whose series there may be.
        split: the Service whose traffic is split, the stable's; "" stands for `service`.

    """
    side = _Side(namespace=namespace, service=service, workload=workload, split=split or service)
    sources = [of(side) for of in _SOURCES.get(provider, _USUAL)]
    write = _success_rate if metric is Builtin.SUCCESS_RATE else _duration
    window = format_duration(interval)
    return tuple(SourceQuery(source=s.source, query=write(s, window)) for s in sources)


def pod_pattern(workload: str) -> str:
    """Return the regular expression that the names of a Deployment's pods match as a whole."""
    return f"{quoted(workload)}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?"


def cluster_pattern(namespace: str, service: str) -> str:
    """Return the regular expression of the names that Contour gives a backend in statistics.

    Contour sets Envoy's `alt_stat_name` to namespace, name and port, joined by underscores.
    """
    return f"{quoted(f'{namespace}_{service}')}_[0-9]+"


def _gateway(side: _Side) -> _Series:
    return _Series(
        source=GATEWAY,
        matchers=f"envoy_cluster_name=~{_string(cluster_pattern(side.namespace, side.service))}",
        requests="envoy_cluster_upstream_rq",
        good=f"envoy_response_code{_NOT_5XX}",
        latency="envoy_cluster_upstream_rq_time_bucket",
        scale=1,
    )


def _app(side: _Side) -> _Series:
    return _Series(
        source=APP,
        matchers=f"namespace={_string(side.namespace)},{_pods(side.workload)}",
        requests="http_requests_total",
        good=f"status{_NOT_5XX}",
        latency="http_request_duration_seconds_bucket",
        scale=1000,
    )


def _histogram(side: _Side) -> _Series:
    return _Series(
        source=HISTOGRAM,
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


def _istio(side: _Side) -> _Series:
    return _Series(
        source=ISTIO,
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


def _linkerd(side: _Side) -> _Series:
    return _Series(
        source=LINKERD,
        matchers=(
            f"namespace={_string(side.namespace)},deployment={_string(side.workload)},"
            'direction="inbound"'
        ),
        requests="response_total",
        good='classification!="failure"',
        latency="response_latency_ms_bucket",
        scale=1,
    )


def _nginx(side: _Side) -> _Series:
    return _Series(
        source=NGINX,
        matchers=f"namespace={_string(side.namespace)},{_answered_by(side)}",
        requests="nginx_ingress_controller_requests",
        good=f"status{_NOT_5XX}",
        latency="nginx_ingress_controller_response_duration_seconds_bucket",
        scale=1000,
    )


def _answered_by(side: _Side) -> str:
    """Return the condition on who answered, whichever Ingress the request came by.

    `service` is the Service of the rule in either case. `canary` is empty where its own backend
    answered, and else names the one that did so in its place: namespace, Service and port.
    """
    if side.service == side.split:
        return f'service={_string(side.service)},canary=""'
    backend = f"{quoted(f'{side.namespace}-{side.service}')}-[0-9a-z-]+"
    return f"service={_string(side.split)},canary=~{_string(backend)}"


_Source = Callable[[_Side], _Series]
_USUAL: Final[tuple[_Source, ...]] = (_gateway, _app)
_OF_ANY_GATEWAY: Final[tuple[_Source, ...]] = (*_USUAL, _histogram, _istio, _linkerd)
_SOURCES: Final[Mapping[str, tuple[_Source, ...]]] = {
    "kubernetes": (*_USUAL, _histogram),
    "nginx": (_nginx, _app),
    "istio": (_istio, *_USUAL),
    "gatewayapi:v1": _OF_ANY_GATEWAY,
    "gatewayapi:v1beta1": _OF_ANY_GATEWAY,
}
"""By the Canary's provider, from the namespace, the Service and the Deployment; else the usual."""


def _success_rate(series: _Series, window: str) -> str:
    good = f"{series.requests}{{{series.matchers},{series.good}}}[{window}]"
    every = f"{series.requests}{{{series.matchers}}}[{window}]"
    # Without a single good answer there is no good series, which must count as 0 and not as no
    # value; without any request there is nothing to divide by, and the result is empty.
    return f"100 * (sum(rate({good})) or vector(0)) / (sum(rate({every})) > 0)"


def _duration(series: _Series, window: str) -> str:
    buckets = f"{series.latency}{{{series.matchers}}}[{window}]"
    quantile = f"histogram_quantile(0.99, sum by (le) (rate({buckets})))"
    return quantile if series.scale == 1 else f"{quantile} * {series.scale}"


def _string(text: str) -> str:
    """Write a PromQL string: its escapes are Go's."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
