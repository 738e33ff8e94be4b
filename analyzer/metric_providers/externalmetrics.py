"""Metrics from the external metrics API, which autoscalers read too (KEDA, adapters of vendors).

Form: k8s.io/metrics, external.metrics.k8s.io/v1beta1. Asked is the API server, with the analyzer's
rights; or, where a template names an address, what is there, with the template's token.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote

from yarl import URL

from analyzer.fetching import Fetcher, Question, base_url, unexpected
from analyzer.ports import Cluster, ProviderError
from canary.queries.points import Points, at_newest, window_of
from canary.queries.provider import ProviderSpec
from runtime.errors import ApiError, Forbidden, Invalid, NotFound
from runtime.resources import Resource

_GROUP: Final = "external.metrics.k8s.io"
_VERSION: Final = "v1beta1"
_SERVICE: Final = "the external metrics API"
_EXAMPLE: Final = "https://keda-metrics-apiserver.keda"
_DEFAULT_NAMESPACE: Final = "default"
"""As in Flagger, for a query that names none."""
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LONGEST: Final = 253
_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?P<suffix>[KMGTPE]i|[numkMGTPE]?|[eE][+-]?\d{1,3})"
)
"""https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/"""
_POWERS: Final = {
    **{suffix: 1000.0 ** (power - 3) for power, suffix in enumerate(("n", "u", "m", "", "k"))},
    **{suffix: 1000.0**power for power, suffix in enumerate("MGTPE", 2)},
    **{f"{suffix}i": 1024.0**power for power, suffix in enumerate("KMGTPE", 1)},
}


@dataclass(frozen=True, slots=True)
class _Metric:
    """What a query names; `name` is as it is written in a path."""

    namespace: str
    name: str
    selector: str

    @property
    def resource(self) -> Resource:
        """The kind under which the API server has the metric."""
        return Resource(_GROUP, _VERSION, self.name, "ExternalMetricValueList")


class ExternalMetrics:
    """Asks the external metrics API.

    Args:
        fetcher: asks the address of a template; its clock is the time.
        cluster: the API server, for those without.
        cross_namespace: whether metrics of another namespace than the Canary's may be read there.

    """

    def __init__(
        self, fetcher: Fetcher, cluster: Cluster, *, cross_namespace: bool = False
    ) -> None:
        self._fetcher = fetcher
        self._cluster = cluster
        self._cross_namespace = cross_namespace

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return the newest values of a metric.

        Args:
            spec: an `address` is asked in place of the API server, with the Secret's `token`.
            query: `<namespace>/<metric>?labelSelector=<as in a URL>`.
            interval: the metric's; older values count as none.

        Raises:
            ProviderError: there is no answer to be had.

        """
        metric, now = _metric(query), self._fetcher.now()
        token = spec.secret.get("token", "").strip()
        if token and not spec.address:
            raise ProviderError(
                "the token of the Secret is for an address, which the provider has not; the API "
                "server is asked with the analyzer's own rights: leave secretRef out"
            )
        if spec.address:
            points = await self._fetched(_question(spec, metric, token))
        else:
            points = await self._listed(spec, metric)
        return at_newest(points, now=now, window=window_of(interval))

    async def _fetched(self, question: Question) -> Points:
        answer = await self._fetcher.json(question)
        try:
            return list(_points(answer["items"]))
        except (AttributeError, LookupError, TypeError, ValueError):
            raise unexpected(question) from None

    async def _listed(self, spec: ProviderSpec, metric: _Metric) -> Points:
        what = f"external metric {metric.namespace}/{unquote(metric.name)}"
        if metric.namespace != spec.asker and not self._cross_namespace:
            raise ProviderError(
                f"the {what} is of another namespace, which the admin does not allow; name one as "
                f"{spec.asker}/<metric>, or ask the admin for HEADGATE_CROSS_NAMESPACE_REFS"
            )
        try:
            found = await self._cluster.list(
                metric.resource, metric.namespace, label_selector=metric.selector
            )
            return list(_points(found.items))
        except (NotFound, Invalid) as error:
            raise ProviderError(
                f"there is no {what} ({_line(error)}); see whether the query is right, and whether "
                "something serves the external metrics API"
            ) from error
        except Forbidden as error:
            raise ProviderError(
                f"the {what} may not be read; the admin gives the analyzer that right with "
                "manifests/metric-rights"
            ) from error
        except ApiError as error:
            raise ProviderError(f"the {what} cannot be read now: {_line(error)}") from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ProviderError(f"the {what} has a value that is no number") from error


def _question(spec: ProviderSpec, metric: _Metric, token: str) -> Question:
    base = base_url(_SERVICE, spec, example=_EXAMPLE)
    url = URL(f"{base}{metric.resource.path(metric.namespace)}", encoded=True)
    return Question(
        service=_SERVICE,
        spec=spec,
        url=url.with_query({"labelSelector": metric.selector} if metric.selector else {}),
        headers={"Authorization": f"Bearer {token}"} if token else {},
        complaint=_complaint,
    )


def _metric(query: str) -> _Metric:
    """Read a query.

    Raises:
        ProviderError: it names no metric.

    """
    path, _, options = query.strip().partition("?")
    namespace, _, name = path.rpartition("/")
    namespace, name = unquote(namespace) or _DEFAULT_NAMESPACE, unquote(name)
    # A name is put into a path, which none of these could leave as it is.
    usable = 0 < len(name) <= _LONGEST and name not in {".", ".."} and "/" not in name
    if not usable or not _NAMESPACE.fullmatch(namespace):
        raise ProviderError(
            "the query names no external metric; write it as "
            "<namespace>/<metric>?labelSelector=<as in a URL>"
        )
    try:
        given = parse_qs(options, keep_blank_values=True, max_num_fields=8)
    except ValueError:
        given = {"": []}
    if unknown := [option for option in given if option != "labelSelector"]:
        raise ProviderError(
            f"the query has {unknown[0][:32] or 'too much'} behind the question mark, where "
            "labelSelector alone is known; write a selector's & and = as in a URL, %26 and %3D"
        )
    return _Metric(namespace, quote(name, safe=""), ",".join(given.get("labelSelector", ())))


def _points(items: Any) -> Iterator[tuple[float, float | None]]:
    for one in items:
        yield datetime.fromisoformat(one["timestamp"]).timestamp(), quantity(str(one["value"]))


def quantity(text: str) -> float:
    """Read a number as Kubernetes writes it: `1500m`, `2k`, `3Mi`, `1e3`.

    Raises:
        ValueError: it is none.

    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:32]!r} is no number as Kubernetes writes it")
    suffix = found["suffix"]
    if suffix not in _POWERS:
        return float(text)
    return float(found["number"]) * _POWERS[suffix]


def _line(error: ApiError) -> str:
    """Return what the API server said as one line."""
    return " ".join(str(error).split())


def _complaint(said: Mapping[str, Any]) -> str:
    """Return the API's own words (metav1.Status)."""
    return str(said["message"]) if said["kind"] == "Status" else ""
