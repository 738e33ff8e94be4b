"""Local servers that answer as clouds' metrics services do, and what is to be asked of each."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from analyzer.fetching import Fetcher
from analyzer.metric_providers.cloudwatch.credentials import OfThePod
from analyzer.metric_providers.cloudwatch.provider import CloudWatch
from analyzer.metric_providers.externalmetrics import ExternalMetrics
from analyzer.metric_providers.splunk.provider import Splunk
from analyzer.metric_providers.stackdriver.identity import Identity
from analyzer.metric_providers.stackdriver.provider import Stackdriver
from analyzer.ports import MetricProvider
from canary.queries.provider import ProviderSpec
from tests.adapters.metric_providers.prometheus_api import Reply
from tests.fakes.cluster import Untouched
from tests.fakes.listening import TestServer

NOW: Final = datetime(2026, 11, 26, 9, 0, 30, tzinfo=UTC)
SECRET: Final = "s3cr3t-of-the-team"  # noqa: S105 - of these tests
Points = Sequence[tuple[int, float | None]]
"""Seconds before 9:00, and the value."""


@dataclass
class Service:
    """The other side: answers each request alike, and remembers what it was asked."""

    reply: Reply | None = None
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.bodies.append(await request.read())
        assert self.reply is not None
        return await self.reply(request)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")


def text(body: str, status: int = 200, **headers: str) -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=status, headers=headers)

    return reply


def said(body: Any, status: int = 200, **headers: str) -> Reply:
    return text(json.dumps(body), status, **headers)


def at(before: int) -> datetime:
    return datetime.fromtimestamp(NOW.replace(second=0).timestamp() - before, UTC)


def zulu(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Case:
    """One type of provider, and how what it is asked is answered there."""

    type: str
    make: Callable[[Fetcher], MetricProvider]
    query: str
    secret: Callable[[], dict[str, str]]
    series: Callable[[Sequence[Points]], Reply]
    refusal: Callable[[int, str], Reply]
    region: str = ""

    def spec(self, address: str) -> ProviderSpec:
        return ProviderSpec(
            type=self.type,
            address=address,
            secret=self.secret(),
            region=self.region,
            asker="prod",
        )


# --- CloudWatch -------------------------------------------------------------------------------


def cloudwatch_series(series: Sequence[Points]) -> Reply:
    results = [
        {
            "Id": "e1",
            "Label": f"web {number}",
            "Timestamps": [at(before).timestamp() for before, _ in points],
            "Values": [value for _, value in points],
            "StatusCode": "Complete",
        }
        for number, points in enumerate(series)
    ]
    return said({"MetricDataResults": results, "Messages": []})


def cloudwatch_refusal(status: int, why: str) -> Reply:
    kind = "com.amazonaws.cloudwatch.v2010_08_01#AccessDeniedException"
    return said({"__type": kind, "message": why}, status)


# --- Google -----------------------------------------------------------------------------------


def stackdriver_series(series: Sequence[Points]) -> Reply:
    return said(
        {
            "timeSeriesDescriptor": {
                "pointDescriptors": [{"key": "v", "valueType": "DOUBLE", "metricKind": "GAUGE"}]
            },
            "timeSeriesData": [
                {
                    "labelValues": [{"stringValue": str(number)}],
                    "pointData": [
                        {
                            "values": [{} if value is None else {"doubleValue": value}],
                            "timeInterval": {
                                "startTime": zulu(at(before + 60)),
                                "endTime": zulu(at(before)),
                            },
                        }
                        for before, value in points
                    ],
                }
                for number, points in enumerate(series)
            ],
        }
    )


def stackdriver_refusal(status: int, why: str) -> Reply:
    error = {"code": status, "message": why, "status": "PERMISSION_DENIED"}
    return said({"error": error}, status)


@cache
def account_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def account_file() -> str:
    pem = account_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "shop",
            "private_key_id": "k1",
            "private_key": pem.decode(),
            "client_email": "headgate@shop.iam.gserviceaccount.com",
            "token_uri": "http://127.0.0.1:1/never-asked",
        }
    )


# --- Splunk -----------------------------------------------------------------------------------


def stream(*messages: tuple[str, Any], end: bool = True) -> str:
    """Write messages as SignalFlow does: one of them is several lines of data."""
    last = (("control-message", {"event": "END_OF_CHANNEL", "timestampMs": 1}),) if end else ()
    start = ("control-message", {"event": "STREAM_START", "timestampMs": 1})
    return "".join(
        f"event: {kind}\n" + "".join(f"data: {it}\n" for it in lines_of(body)) + "\n"
        for kind, body in (start, *messages, *last)
    )


def lines_of(body: Any) -> list[str]:
    return json.dumps(body, indent=1).splitlines()


def splunk_series(series: Sequence[Points]) -> Reply:
    known = [
        ("metadata", {"tsId": f"t{number}", "properties": {"sf_streamLabel": "errors"}})
        for number in range(len(series))
    ]
    data = [
        (
            "data",
            {
                "logicalTimestampMs": at(before).timestamp() * 1000,
                "data": [{"tsId": f"t{number}", "value": value}],
            },
        )
        for number, points in enumerate(series)
        for before, value in points
    ]
    return text(stream(*known, *data))


def splunk_refusal(status: int, why: str) -> Reply:
    return said({"code": status, "message": why, "errorType": "ANALYTICS_PROGRAM_ERROR"}, status)


# --- external metrics -------------------------------------------------------------------------


def external_list(series: Sequence[Points]) -> dict[str, Any]:
    return {
        "kind": "ExternalMetricValueList",
        "apiVersion": "external.metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [
            {
                "metricName": "errors",
                "metricLabels": {"n": str(number)},
                "timestamp": zulu(at(before)),
                "value": f"{round(value * 1000)}m",
            }
            for number, points in enumerate(series)
            for before, value in points
            if value is not None
        ],
    }


def external_refusal(status: int, why: str) -> Reply:
    body = {"kind": "Status", "status": "Failure", "message": why, "code": status}
    return said(body, status)


METRIC_STAT: Final = {
    "Metric": {"Namespace": "App", "MetricName": "errors"},
    "Period": 60,
    "Stat": "Sum",
}
QUERIES: Final = [
    {"Id": "e1", "Expression": "m1 / 2", "Label": "rate"},
    {"Id": "m1", "MetricStat": METRIC_STAT, "ReturnData": False},
]
CLOUDWATCH: Final = Case(
    type="cloudwatch",
    make=lambda fetcher: CloudWatch(fetcher, OfThePod()),
    query=json.dumps(QUERIES),
    secret=lambda: {"aws_access_key_id": "AKIDTEAM", "aws_secret_access_key": SECRET},
    series=cloudwatch_series,
    refusal=cloudwatch_refusal,
    region="eu-central-1",
)
STACKDRIVER: Final = Case(
    type="stackdriver",
    make=lambda fetcher: Stackdriver(fetcher, Identity(fetcher)),
    query="fetch k8s_container | metric 'x' | align delta(1m) | group_by [], [mean(val())]",
    secret=lambda: {"project": "shop\n", "serviceAccountKey": account_file()},
    series=stackdriver_series,
    refusal=stackdriver_refusal,
)
SPLUNK: Final = Case(
    type="splunk",
    make=Splunk,
    query="data('errors', filter=filter('app', 'web-canary')).sum().publish('errors')",
    secret=lambda: {"sf_token_key": f"{SECRET}\n"},
    series=splunk_series,
    refusal=splunk_refusal,
)
EXTERNAL: Final = Case(
    type="externalmetrics",
    make=lambda fetcher: ExternalMetrics(fetcher, Untouched()),
    query="prod/errors?labelSelector=app%3Dweb-canary",
    secret=lambda: {"token": SECRET},
    series=lambda series: said(external_list(series)),
    refusal=external_refusal,
)
CASES: Final = (CLOUDWATCH, STACKDRIVER, SPLUNK, EXTERNAL)
