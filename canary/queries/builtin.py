"""The built-in metrics as PromQL, per source of their series.

Two sources are known, tried in this order. "gateway" is what Envoy counts of each backend: it
sees every answer, also those of a pod that has died, and asks nothing of the application. "app" is
what the application exposes under the names that Flagger's users have:
`http_requests_total{status}` and `http_request_duration_seconds`.

No query has a value where there was no traffic: an empty result, or NaN, is not a pass.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from canary.counting.series import quoted
from canary.durations import format_duration
from canary.model.names import canary_name
from canary.model.strategy import Builtin

GATEWAY: Final = "gateway"
APP: Final = "app"


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
    """How one source names things; `scale` turns the histogram's unit into milliseconds."""

    source: str
    matchers: str
    requests: str
    status: str
    latency: str
    scale: int


def builtin_queries(
    metric: Builtin, *, namespace: str, service: str, workload: str, interval: timedelta
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

    """
    sources = (_gateway(namespace, service), _app(namespace, workload))
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


def _gateway(namespace: str, service: str) -> _Series:
    return _Series(
        source=GATEWAY,
        matchers=f"envoy_cluster_name=~{_string(cluster_pattern(namespace, service))}",
        requests="envoy_cluster_upstream_rq",
        status="envoy_response_code",
        latency="envoy_cluster_upstream_rq_time_bucket",
        scale=1,
    )


def _app(namespace: str, workload: str) -> _Series:
    # Kubernetes cuts the names of pods at 63 characters, so that `web-canary-<rest>` can end up
    # with as many parts as a pod of `web` has.
    canary = _string(f"{quoted(canary_name(workload))}-.+")
    return _Series(
        source=APP,
        matchers=(
            f"namespace={_string(namespace)},"
            f"kubernetes_pod_name=~{_string(pod_pattern(workload))},"
            f"kubernetes_pod_name!~{canary}"
        ),
        requests="http_requests_total",
        status="status",
        latency="http_request_duration_seconds_bucket",
        scale=1000,
    )


def _success_rate(series: _Series, window: str) -> str:
    good = f'{series.requests}{{{series.matchers},{series.status}!~"5.."}}[{window}]'
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
