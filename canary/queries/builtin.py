"""The built-in metrics as PromQL, per source of their series.

Which sources are asked, and in which order, is the admin's and the Canary's `provider`'s to say: a
row of `_SOURCES`. What they count is in `canary.queries.sources`.

No query has a value where there was no traffic: an empty result, or NaN, is not a pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from canary.durations import format_duration
from canary.model.strategy import Builtin
from canary.queries.sources import (
    APP,
    GATEWAY,
    HISTOGRAM,
    ISTIO,
    LINKERD,
    NAMES,
    NGINX,
    TRAEFIK,
    SeriesNames,
    Side,
)

_USUAL: Final = (GATEWAY, APP)
_OF_ANY_GATEWAY: Final = (*_USUAL, HISTOGRAM, ISTIO, LINKERD)
_SOURCES: Final[Mapping[str, Sequence[str]]] = {
    "kubernetes": (*_USUAL, HISTOGRAM),
    "nginx": (NGINX, APP),
    "istio": (ISTIO, *_USUAL),
    "traefik": (TRAEFIK, APP),
    "linkerd": (LINKERD, *_USUAL),
    "gatewayapi:v1": _OF_ANY_GATEWAY,
    "gatewayapi:v1beta1": _OF_ANY_GATEWAY,
}
"""By the Canary's provider; else the usual ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceQuery:
    """One way to learn a metric: where its series come from, and the PromQL that reads them.

    Until `waits_until` it would find what is not the run's own, and is not to be asked.
    """

    source: str
    query: str
    waits_until: datetime | None = None


def builtin_queries(
    metric: Builtin,
    *,
    namespace: str,
    service: str,
    workload: str,
    interval: timedelta,
    split: str = "",
    sources: Sequence[str] = _USUAL,
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
        split: the Service whose traffic is split, the stable's; "" stands for `service`.
        sources: whose series there may be; see `sources_of`.

    """
    side = Side(namespace=namespace, service=service, workload=workload, split=split or service)
    write = _success_rate if metric is Builtin.SUCCESS_RATE else _duration
    window = format_duration(interval)
    return tuple(
        SourceQuery(source=name, query=write(NAMES[name](side), window)) for name in sources
    )


def sources_of(provider: str, first: Sequence[str] = ()) -> tuple[str, ...]:
    """Return whose series are asked for, in order.

    Args:
        provider: `spec.provider` of the Canary.
        first: what the admin wants to be asked before those that there may be by the provider.

    """
    return tuple(dict.fromkeys((*first, *_SOURCES.get(provider, _USUAL))))


def _success_rate(series: SeriesNames, window: str) -> str:
    good = f"{series.requests}{{{series.matchers},{series.good}}}[{window}]"
    every = f"{series.requests}{{{series.matchers}}}[{window}]"
    # Without a single good answer there is no good series, which must count as 0 and not as no
    # value; without any request there is nothing to divide by, and the result is empty.
    return f"100 * (sum(rate({good})) or vector(0)) / (sum(rate({every})) > 0)"


def _duration(series: SeriesNames, window: str) -> str:
    buckets = f"{series.latency}{{{series.matchers}}}[{window}]"
    quantile = f"histogram_quantile(0.99, sum by (le) (rate({buckets})))"
    return quantile if series.scale == 1 else f"{quantile} * {series.scale}"
