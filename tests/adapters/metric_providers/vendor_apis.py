"""A local server that answers as services of metrics do, each in its documented form."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from analyzer.fetching import Fetcher
from analyzer.metric_providers.datadog import DatadogProvider
from analyzer.metric_providers.dynatrace import DynatraceProvider
from analyzer.metric_providers.graphite import GraphiteProvider
from analyzer.metric_providers.influxdb import InfluxdbProvider
from analyzer.metric_providers.newrelic import NewRelicProvider
from analyzer.ports import MetricProvider
from canary.queries.provider import ProviderSpec
from tests.adapters.metric_providers.prometheus_api import Reply, replies
from tests.fakes.listening import TestServer

NOW: Final = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
STAMP: Final = NOW.timestamp()

Series = Sequence[float | None]
"""The values of a series at each complete minute before now, oldest first."""


def text(body: str, status: int = 200, kind: str = "text/plain", **headers: str) -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=status, content_type=kind, headers=headers)

    return reply


@dataclass(frozen=True)
class Vendor:
    """How one service is asked and answers.

    `answer` makes an answer of series, `refusal` one that says why there is none. `token` is what
    of the Secret must be nowhere, `sees` whether a request has come with all credentials.
    """

    provider: Callable[[Fetcher], MetricProvider]
    secret: Mapping[str, str]
    query: str
    path: str
    answer: Callable[[Sequence[Series]], Reply]
    refusal: Callable[[int, str], Reply]
    sees: Callable[[web.Request], bool]
    points: bool = True


# --- Datadog ----------------------------------------------------------------------------------


def minutes(values: Series) -> list[tuple[float, float | None]]:
    return [(STAMP - 60 * (len(values) - n), value) for n, value in enumerate(values)]


def datadog_series(points: Sequence[tuple[float, float | None]], interval: int = 60) -> Any:
    """As the documents' example has it."""
    return {
        "end": int(STAMP * 1000),
        "interval": interval,
        "expression": "avg:system.load.1{app:web-canary}",
        "scope": "app:web-canary",
        "display_name": "system.load.1",
        "length": len(points),
        "aggr": "avg",
        "unit": None,
        "pointlist": [[time * 1000, value] for time, value in points],
    }


def datadog(series: Sequence[Any]) -> Reply:
    return replies(
        {
            "status": "ok",
            "res_type": "time_series",
            "resp_version": 1,
            "query": "avg:system.load.1{app:web-canary}",
            "from_date": int(STAMP - 600) * 1000,
            "to_date": int(STAMP) * 1000,
            "series": series,
            "values": [],
            "times": [],
            "message": "",
            "group_by": [],
        }
    )


# --- Graphite ---------------------------------------------------------------------------------


def graphite(series: Sequence[Sequence[tuple[float, Any]]]) -> Reply:
    return replies(
        [
            {
                "target": f"stats.web.{number}",
                "tags": {"name": f"stats.web.{number}"},
                "datapoints": [[value, int(time)] for time, value in points],
            }
            for number, points in enumerate(series)
        ]
    )


# --- New Relic --------------------------------------------------------------------------------


def newrelic(series: Sequence[Series]) -> Reply:
    if len(series) == 1 or not series:
        values = [one[-1] for one in series if one]
        return replies({"results": [{"result": it} for it in values], "metadata": {"facet": None}})
    facets = [{"name": str(n), "results": [{"average": one[-1]}]} for n, one in enumerate(series)]
    return replies({"facets": facets, "totalResult": {"results": [{"average": 1.5}]}})


# --- InfluxDB ---------------------------------------------------------------------------------


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def influx(tables: Sequence[Sequence[tuple[float, float | str | None]]]) -> Reply:
    lines = [",result,table,_start,_stop,_time,_value,_field,_measurement"]
    for table, points in enumerate(tables):
        for time, value in points:
            cell = "" if value is None else value
            lines.append(
                f",_result,{table},{rfc3339(STAMP - 600)},{rfc3339(STAMP)},{rfc3339(time)},{cell},"
                '"a,b",http'
            )
    return text("\r\n".join((*lines, "", "")) if tables else "\r\n", kind="text/csv")


# --- Dynatrace --------------------------------------------------------------------------------


def dynatrace(series: Sequence[Series]) -> Reply:
    return replies(
        {
            "totalCount": len(series),
            "nextPageKey": None,
            "resolution": "Inf",
            "result": [
                {
                    "metricId": "builtin:service.response.time:percentile(95)",
                    "dataPointCountRatio": 5e-06,
                    "dimensionCountRatio": 1e-05,
                    "data": [
                        {
                            "dimensions": [f"SERVICE-{number}"],
                            "dimensionMap": {"dt.entity.service": f"SERVICE-{number}"},
                            "timestamps": [int(STAMP * 1000)],
                            "values": [one[-1]],
                        }
                        for number, one in enumerate(series)
                        if one
                    ],
                }
            ],
        }
    )


VENDORS: Final = {
    "datadog": Vendor(
        provider=DatadogProvider,
        secret={"datadog_api_key": "s3cret-api\n", "datadog_application_key": "s3cret-app"},
        query="avg:system.load.1{app:web-canary}",
        path="/api/v1/query",
        answer=lambda series: datadog([datadog_series(minutes(it)) for it in series]),
        refusal=lambda status, why: replies({"errors": [why]}, status),
        sees=lambda request: (
            request.headers["DD-API-KEY"] == "s3cret-api"
            and request.headers["DD-APPLICATION-KEY"] == "s3cret-app"
            and request.query["query"] == "avg:system.load.1{app:web-canary}"
            and request.query["from"] == str(int(STAMP) - 600)
            and request.query["to"] == str(int(STAMP))
        ),
    ),
    "newrelic": Vendor(
        provider=NewRelicProvider,
        secret={"newrelic_account_id": "12345", "newrelic_query_key": "s3cret"},
        query="SELECT average(x) FROM Metric WHERE a = 'Since then'",
        path="/v1/accounts/12345/query",
        answer=newrelic,
        refusal=lambda status, why: replies({"error": why}, status),
        sees=lambda request: (
            request.headers["X-Query-Key"] == "s3cret"
            and request.query["nrql"].endswith("'Since then' SINCE 60 seconds ago")
        ),
        points=False,
    ),
    "graphite": Vendor(
        provider=GraphiteProvider,
        secret={"username": "me", "password": "s3cret"},
        query="target=summarize(\n  stats.web.{a,b}.count,\n  '60s'\n)",
        path="/render",
        answer=lambda series: graphite([minutes(it) for it in series]),
        refusal=lambda status, why: text(why, status),
        sees=lambda request: (
            request.headers["Authorization"] == "Basic bWU6czNjcmV0"
            and request.query["target"] == "summarize( stats.web.{a,b}.count, '60s' )"
            and request.query["from"] == "-600s"
            and request.query["format"] == "json"
        ),
    ),
    "influxdb": Vendor(
        provider=InfluxdbProvider,
        secret={"token": "s3cret", "org": "acme"},
        query='from(bucket: "default") |> range(start: -5m) |> count()',
        path="/api/v2/query",
        answer=lambda series: influx([minutes(it) for it in series]),
        refusal=lambda status, why: replies({"code": "invalid", "message": why}, status),
        sees=lambda request: (
            request.headers["Authorization"] == "Token s3cret"
            and request.headers["Content-Type"] == "application/vnd.flux"
            and request.query["org"] == "acme"
            and request.method == "POST"
        ),
    ),
    "dynatrace": Vendor(
        provider=DynatraceProvider,
        secret={"dynatrace_token": "s3cret"},
        query="builtin:service.response.time:percentile(95)\n",
        path="/api/v2/metrics/query",
        answer=dynatrace,
        refusal=lambda status, why: replies({"error": {"code": status, "message": why}}, status),
        sees=lambda request: (
            request.headers["Authorization"] == "Api-Token s3cret"
            and request.query["metricSelector"] == "builtin:service.response.time:percentile(95)"
            and request.query["resolution"] == "Inf"
            and request.query["from"] == str(int(STAMP - 600) * 1000)
        ),
        points=False,
    ),
}


@dataclass
class Service:
    """The other side: gives its reply to every request, and remembers what it was asked with."""

    vendor: Vendor
    reply: Reply
    spec: ProviderSpec
    requests: list[web.Request] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.requests.append(request)
        return await self.reply(request)

    def has(self, *series: Series) -> None:
        self.reply = self.vendor.answer(series)


@asynccontextmanager
async def serve(kind: str) -> AsyncIterator[Service]:
    vendor = VENDORS[kind]
    spec = ProviderSpec(type=kind, address="", secret=vendor.secret, asker="prod")
    service = Service(vendor, vendor.answer(()), spec)
    app = web.Application()
    app.router.add_route("*", f"/base{vendor.path}", service.answer)
    app.router.add_route("*", "/elsewhere", service.answer)
    server = TestServer(app)
    await server.start_server()
    address = str(server.make_url("/base/"))
    service.spec = ProviderSpec(type=kind, address=address, secret=vendor.secret, asker="prod")
    try:
        yield service
    finally:
        await server.close()
