"""Metrics that Keptn keeps: the value in the status of a KeptnMetric.

Form: https://keptn.sh/stable/docs/reference/crd-reference/metric/
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from analyzer.ports import Cluster, ProviderError
from canary.durations import format_duration
from canary.queries.points import window_of
from canary.queries.provider import ProviderSpec
from runtime.errors import ApiError, Forbidden, NotFound
from runtime.resources import Resource

_VERSIONS: Final = ("v1", "v1beta1")
"""Newest first; Keptn serves both for a while, and Flagger asks for the older one."""
_METRIC: Final = frozenset({"keptnmetric", "keptnmetrics"})
_ANALYSIS: Final = frozenset({"analysis", "analyses"})
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_SHOWN: Final = 256


class Keptn:
    """Reads KeptnMetrics from the API server.

    Args:
        cluster: the API server.
        cross_namespace: whether those of another namespace than the Canary's may be read.
        clock: the time.

    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        cross_namespace: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cluster = cluster
        self._cross_namespace = cross_namespace
        self._now = clock

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return the value of a KeptnMetric.

        Args:
            spec: nothing of it but whose question it is.
            query: `keptnmetric/<namespace>/<name>`, in letters of any size.
            interval: the metric's; a value that Keptn has not renewed for ten of them is none.

        Raises:
            ProviderError: there is no value to be had.

        """
        namespace, name = _named(query)
        if namespace != spec.asker and not self._cross_namespace:
            raise ProviderError(
                f"the KeptnMetric {namespace}/{name} is in another namespace, which the admin does "
                f"not allow; make one in {spec.asker}, or ask the admin for "
                "HEADGATE_CROSS_NAMESPACE_REFS"
            )
        found = await self._read(namespace, name)
        return (_value(found, f"the KeptnMetric {namespace}/{name}", self._now(), interval),)

    async def _read(self, namespace: str, name: str) -> Mapping[str, Any]:
        for version in _VERSIONS:
            resource = Resource("metrics.keptn.sh", version, "keptnmetrics", "KeptnMetric")
            try:
                return await self._cluster.get(resource, namespace, name)
            except NotFound:
                continue
            except Forbidden as error:
                raise ProviderError(
                    f"the KeptnMetric {namespace}/{name} may not be read; the admin gives the "
                    "analyzer that right with manifests/metric-rights"
                ) from error
            except ApiError as error:
                raise ProviderError(
                    f"the KeptnMetric {namespace}/{name} cannot be read now: {error}"
                ) from error
        raise ProviderError(
            f"there is no KeptnMetric {namespace}/{name}; create it, or see whether Keptn is "
            "installed"
        )


def _named(query: str) -> tuple[str, str]:
    """Return the namespace and the name that a query names.

    Raises:
        ProviderError: it names no KeptnMetric.

    """
    kind, *parts = query.strip().lower().split("/")
    if kind in _ANALYSIS:
        raise ProviderError(
            "an Analysis of Keptn is not started for a metric, since each is an object that "
            "somebody has to delete; name a KeptnMetric instead, as keptnmetric/<namespace>/<name>"
        )
    if kind not in _METRIC or len(parts) != 2 or not all(map(_NAME.fullmatch, parts)):  # noqa: PLR2004
        raise ProviderError(
            "the query names no KeptnMetric; write it as keptnmetric/<namespace>/<name>"
        )
    return parts[0], parts[1]


def _value(found: Mapping[str, Any], what: str, now: datetime, interval: timedelta) -> float:
    """Return the value of a metric that is not too old.

    Raises:
        ProviderError: it has none.

    """
    status = found.get("status") or {}
    if wrong := status.get("errMsg"):
        raise ProviderError(f"{what} has no value: {str(wrong)[:_SHOWN]}")
    try:
        value = float(status.get("value") or "nan")
        updated = datetime.fromisoformat(str(status.get("lastUpdated") or ""))
        age = now - updated
    except (TypeError, ValueError):
        raise ProviderError(f"{what} has no value yet that is a number, with its time") from None
    if math.isnan(value):
        raise ProviderError(f"{what} has no value yet that is a number, with its time")
    if age > window_of(interval):
        raise ProviderError(
            f"{what} has not been renewed for {format_duration(age)}; let it be fetched at least "
            "as often as the metric's interval, by fetchIntervalSeconds"
        )
    return value
