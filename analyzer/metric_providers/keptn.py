"""What Keptn knows: the value in the status of a KeptnMetric, and whether an Analysis passes.

Forms: https://keptn.sh/stable/docs/reference/crd-reference/metric/ and `analysis/` beside it.
"""

import asyncio
import math
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from analyzer.ports import Cluster, ProviderError
from canary.contract import MANAGED_BY, MANAGED_BY_LABEL
from canary.durations import format_duration, parse_duration
from canary.queries.points import window_of
from canary.queries.provider import ProviderSpec
from runtime.errors import ApiError, Forbidden, NotFound
from runtime.resources import Resource

_VERSIONS: Final = ("v1", "v1beta1")
"""Newest first; Keptn serves both for a while, and Flagger asks for the older one."""
_METRIC: Final = frozenset({"keptnmetric", "keptnmetrics"})
_ANALYSIS: Final = frozenset({"analysis", "analyses"})
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_ARGUMENT: Final = re.compile(r"([a-z0-9_.-]{1,253})=([^;=]{0,1024})")
_SHOWN: Final = 256
_MOST_IN_A_NAME: Final = 240
_USUAL_TIMEFRAME: Final = "1m"
_ENDS_WITHIN: Final = 8.0
"""Seconds in which Keptn is to come to a result; a question has ten."""
_LEFT_AFTER: Final = timedelta(minutes=1)
"""How old an Analysis is that nobody waits for any more: whoever made it has ended before."""


@dataclass(frozen=True, slots=True)
class _Analysis:
    """What a query asks of an AnalysisDefinition."""

    namespace: str
    definition: str
    timeframe: str
    arguments: Mapping[str, str]

    def __str__(self) -> str:
        return f"the Analysis of {self.namespace}/{self.definition}"

    def manifest(self) -> dict[str, Any]:
        """Return the object that has Keptn analyse."""
        name = f"{self.definition[:_MOST_IN_A_NAME].rstrip('.-')}-{secrets.token_hex(4)}"
        return {
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {MANAGED_BY_LABEL: MANAGED_BY},
            },
            "spec": {
                "analysisDefinition": {"name": self.definition},
                "timeframe": {"recent": self.timeframe},
                "args": dict(self.arguments),
            },
        }


class Keptn:
    """Reads KeptnMetrics from the API server, and has Keptn make an Analysis.

    Args:
        cluster: the API server.
        cross_namespace: whether those of another namespace than the Canary's may be read.
        clock: the time.
        every: seconds between two looks at an Analysis.

    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        cross_namespace: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        every: float = 1.0,
    ) -> None:
        self._every = every
        self._cluster = cluster
        self._cross_namespace = cross_namespace
        self._now = clock

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return the value of a KeptnMetric; of an Analysis 1 where it passes, else 0.

        Args:
            spec: nothing of it but whose question it is.
            query: `keptnmetric/<namespace>/<name>`, or
                `analysis/<namespace>/<definition>[/<timeframe>[/<name>=<value>;...]]`. It is taken
                in small letters.
            interval: the metric's; a value that Keptn has not renewed for ten of them is none.

        Raises:
            ProviderError: there is no value to be had.

        """
        kind, *parts = query.strip().lower().split("/")
        if kind in _ANALYSIS:
            analysis = _asked(parts)
            self._allows(spec, analysis.namespace, str(analysis))
            return (await self._analysed(analysis),)
        namespace, name = _named(kind, parts)
        self._allows(spec, namespace, f"the KeptnMetric {namespace}/{name}")
        found = await self._read(namespace, name)
        return (_value(found, f"the KeptnMetric {namespace}/{name}", self._now(), interval),)

    def _allows(self, spec: ProviderSpec, namespace: str, what: str) -> None:
        if namespace != spec.asker and not self._cross_namespace:
            raise ProviderError(
                f"{what} is in another namespace, which the admin does not allow; make one in "
                f"{spec.asker}, or ask the admin for HEADGATE_CROSS_NAMESPACE_REFS"
            )

    async def _analysed(self, analysis: _Analysis) -> float:
        """Have an Analysis made, wait for its result, and delete it whatever comes."""
        try:
            resource, made = await self._made(analysis)
            place = analysis.namespace, str(made["metadata"]["name"])
            try:
                async with asyncio.timeout(_ENDS_WITHIN):
                    return await self._result(resource, place, analysis)
            finally:
                with suppress(ApiError):
                    await self._cluster.delete(resource, *place)
        except TimeoutError:
            raise ProviderError(
                f"{analysis} has no result after {_ENDS_WITHIN:g} s; see whether there is such an "
                "AnalysisDefinition, and whether Keptn runs"
            ) from None
        except Forbidden as error:
            raise ProviderError(
                f"{analysis} may not be made; the admin gives the analyzer that right with "
                "manifests/metric-rights"
            ) from error
        except ApiError as error:
            raise ProviderError(f"{analysis} cannot be made now: {error}") from error

    async def _made(self, analysis: _Analysis) -> tuple[Resource, Mapping[str, Any]]:
        """Make the object, once those are gone that nobody waits for any more."""
        for version in _VERSIONS:
            resource = Resource("metrics.keptn.sh", version, "analyses", "Analysis")
            with suppress(NotFound):
                await self._sweep(resource, analysis.namespace)
                return resource, await self._cluster.create(resource, analysis.manifest())
        raise ProviderError(f"{analysis} cannot be made: this cluster's Keptn has no Analysis")

    async def _sweep(self, resource: Resource, namespace: str) -> None:
        """Delete what processes have left that ended while they waited."""
        ours = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
        found = await self._cluster.list(resource, namespace, label_selector=ours)
        for one in found.items:
            made = datetime.fromisoformat(one["metadata"]["creationTimestamp"])
            if self._now() - made > _LEFT_AFTER:
                with suppress(NotFound):
                    await self._cluster.delete(resource, namespace, one["metadata"]["name"])

    async def _result(
        self, resource: Resource, place: tuple[str, str], analysis: _Analysis
    ) -> float:
        while True:
            await asyncio.sleep(self._every)
            status = (await self._cluster.get(resource, *place)).get("status") or {}
            if status.get("state") != "Completed":
                continue
            if not isinstance(status.get("pass"), bool):
                raise ProviderError(f"{analysis} is completed and says neither pass nor fail")
            return float(status["pass"])

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


def _asked(parts: list[str]) -> _Analysis:
    """Return what a query asks to be analysed.

    Raises:
        ProviderError: it cannot be read.

    """
    namespace, definition, timeframe, text = (*parts, "", "", "", "")[:4]
    arguments = [one for one in text.split(";") if one]
    found = [_ARGUMENT.fullmatch(one) for one in arguments]
    named = all(map(_NAME.fullmatch, (namespace, definition)))
    if not named or len(parts) > 4 or not all(found):  # noqa: PLR2004 - the parts of its form
        raise ProviderError(
            "the query names no Analysis; write it as "
            "analysis/<namespace>/<definition>[/<timeframe>[/<name>=<value>;...]]"
        )
    timeframe = timeframe or _USUAL_TIMEFRAME
    try:
        parse_duration(timeframe)
    except ValueError as error:
        raise ProviderError(f"the timeframe of an Analysis: {error}") from None
    return _Analysis(
        namespace, definition, timeframe, {one[1]: one[2] for one in found if one is not None}
    )


def _named(kind: str, parts: list[str]) -> tuple[str, str]:
    """Return the namespace and the name that a query names.

    Raises:
        ProviderError: it names no KeptnMetric.

    """
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
