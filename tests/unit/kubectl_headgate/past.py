"""A small past: pods that served, the Prometheus that scraped them, the API server beside it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import promql_parser as promql
from aiohttp import web

from canary.counting.selectors import rated
from canary.counting.series import SeriesSelector
from canary.model.values import Json
from tests.adapters.metric_providers.prometheus_api import Prometheus, result
from tests.unit.runtime.scripted_api import ScriptedApi, ok, status

SCRAPED = 15.0
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BEGINS = NOW - timedelta(minutes=30)
CANARIES = "/apis/flagger.app/v1beta1/namespaces/prod/canaries"
SETTINGS = "/api/v1/namespaces/headgate-system/configmaps/headgate"


@dataclass(frozen=True, kw_only=True)
class Life:
    """A pod that served `rate` requests per second, a share of them `bad`, for some minutes.

    Minutes count from the beginning of the window, `served` are requests from before it. At the
    minute `restarts` its container began anew, and its counters with it. From the minute `cured` on
    it fails nothing more.
    """

    name: str
    rate: float = 10.0
    bad: float = 0.0
    begins: float = -60.0
    ends: float = 60.0
    restarts: float = math.inf
    cured: float = math.inf

    def labels(self, code: str) -> dict[str, str]:
        """Return what its scrape configuration and its code call a counter of this status."""
        return {
            "__name__": "http_requests_total",
            "namespace": "prod",
            "kubernetes_pod_name": self.name,
            "status": code,
        }

    def at(self, minute: float) -> dict[str, float]:
        """Return the counters by status; a series of errors is born with its first error."""
        since = self.restarts if minute >= self.restarts else self.begins
        served = math.floor((minute - since) * 60 * self.rate)
        failing = math.floor((min(minute, self.cured) - since) * 60 * self.rate)
        bad = math.floor(failing * self.bad)
        return {"200": served - bad, **({"503": bad} if bad else {})}


@dataclass(frozen=True, kw_only=True)
class Backend(Life):
    """A Service as the gateway counts it: the pod of the series is the gateway's own."""

    def labels(self, code: str) -> dict[str, str]:
        return {
            "__name__": "envoy_cluster_upstream_rq",
            "envoy_cluster_name": f"prod_{self.name}_80",
            "envoy_response_code": code,
            "instance": "10.0.0.9:8002",
            "pod": "envoy-f2x9c",
        }


@dataclass(frozen=True, kw_only=True)
class Timed(Life):
    """A pod whose requests are timed: the bad ones take longer than half a second."""

    def at(self, minute: float) -> dict[str, float]:
        served = sum(super().at(minute).values())
        fast = served - math.floor(served * self.bad)
        return {"0.25": fast, "0.5": fast, "1.0": served, "+Inf": served}

    def labels(self, code: str) -> dict[str, str]:
        name = "http_request_duration_seconds_bucket"
        labels = {**super().labels("200"), "__name__": name, "le": code}
        del labels["status"]
        return labels


@dataclass(frozen=True, kw_only=True)
class Gauge(Life):
    """A pod whose queue has a length, as the server answers the query that keeps pods apart."""

    value: float
    namespace: str = "prod"

    def at(self, minute: float) -> dict[str, float]:
        del minute
        return {"": self.value}

    def labels(self, code: str) -> dict[str, str]:
        del code
        return {"pod": self.name}

    def read(self) -> dict[str, str]:
        """Return the labels of the series itself, before it is aggregated."""
        return {"__name__": "queue_length", "namespace": self.namespace, "pod": self.name}


@dataclass
class Past(Prometheus):
    """A Prometheus that answers range queries about the pods of a past.

    `scraped` is its scrape interval in seconds; in between it answers with what it scraped last.
    """

    lives: list[Life] = field(default_factory=list)
    scraped: float = SCRAPED

    async def answer(self, request: web.Request) -> web.StreamResponse:
        asked = dict(await request.post())
        self.asked.append({name: str(value) for name, value in asked.items()})
        start, end, step = (float(str(asked[name])) for name in ("start", "end", "step"))
        times = list(_times(start, end, step))
        query = str(asked["query"])
        per_pod = "queue_length" in query
        selectors = [] if per_pod else _selectors(query)
        found: dict[tuple[str, str], Json] = {}
        for life in self.lives:
            if isinstance(life, Gauge) != per_pod:
                continue
            for time in times:
                scrape = time - time % self.scraped
                minute = (scrape - BEGINS.timestamp()) / 60
                if not life.begins <= minute <= life.ends:
                    continue
                for code, value in life.at(minute).items():
                    series = found.setdefault(
                        (life.name, code), {"metric": labels(life, code, query), "values": []}
                    )
                    series["values"].append([time, str(value)])
        kept = [
            it
            for it in found.values()
            if per_pod or any(one.accepts(it["metric"]) for one in selectors)
        ]
        return await result("matrix", kept)(request)


def labels(life: Life, code: str, query: str) -> dict[str, str]:
    if isinstance(life, Gauge) and " by " not in query:
        return life.read()
    return life.labels(code)


def _selectors(query: str) -> list[SeriesSelector]:
    parts = [promql.parse(f"{part}[1m]") for part in query.split(" or ")]
    return [selector for part in parts for selector in rated("rate", part).terms]


def _times(start: float, end: float, step: float) -> Iterator[float]:
    for number in range(int((end - start) / step) + 1):
        yield start + number * step


@dataclass
class Objects(ScriptedApi):
    """An API server that answers by path, 404 for what is not there."""

    objects: dict[str, Json] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if request.path in self.forbidden:
            return await status(403, "Forbidden")(request)
        found = self.objects.get(request.path)
        return await (ok(**found) if found else status(404, "NotFound"))(request)


def listed(*canaries: Json) -> Json:
    return {"kind": "CanaryList", "metadata": {"resourceVersion": "1"}, "items": list(canaries)}
