"""CloudWatch: what is asked, as whom, and what moto's server, which imitates AWS, answers."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer
from yarl import URL

from analyzer.addresses import EVERYWHERE
from analyzer.fetching import Fetcher, Question
from analyzer.metric_providers.cloudwatch.credentials import OfThePod
from analyzer.metric_providers.cloudwatch.provider import CloudWatch
from analyzer.ports import ProviderError
from canary.queries.provider import ProviderSpec
from tests.adapters.metric_providers.clouds_api import (
    CLOUDWATCH,
    METRIC_STAT,
    NOW,
    SECRET,
    Service,
    at,
    said,
)
from tests.adapters.metric_providers.prometheus_api import MINUTE, Reply

KEYS = {"aws_access_key_id": "AKIDTEAM\n", "aws_secret_access_key": SECRET}
POD = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN",
       "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
       "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_PROFILE")  # fmt: skip


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in POD:
        monkeypatch.delenv(name, raising=False)


def cloudwatch(now: datetime = NOW) -> CloudWatch:
    return CloudWatch(Fetcher(EVERYWHERE, clock=lambda: now), OfThePod())


def spec(address: str = "", **secret: str) -> ProviderSpec:
    return ProviderSpec(
        type="cloudwatch", address=address, secret=secret, region="eu-central-1", asker="prod"
    )


async def complaint(where: ProviderSpec, query: str, interval: timedelta = MINUTE) -> str:
    with pytest.raises(ProviderError) as caught:
        await cloudwatch().query(where, query, interval)
    return str(caught.value)


# --- a server that imitates AWS ---------------------------------------------------------------


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def put(address: str, *values: tuple[datetime, float], pod: str = "web-canary") -> None:
    """Store points as an application does, by the same protocol."""
    data = [
        {
            "MetricName": "errors",
            "Dimensions": [{"Name": "app", "Value": pod}],
            "Timestamp": time.timestamp(),
            "Value": value,
        }
        for time, value in values
    ]
    fetcher = Fetcher(EVERYWHERE)
    question = _question(address, {"Namespace": "App", "MetricData": data}, "PutMetricData")
    await fetcher.text(question)


def _question(address: str, body: dict[str, Any], action: str) -> Question:
    request = AWSRequest(
        method="POST",
        url=f"{address}/",
        data=json.dumps(body).encode(),
        headers={
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"GraniteServiceVersion20100801.{action}",
        },
    )
    SigV4Auth(Credentials("AKIDTEAM", SECRET), "monitoring", "eu-central-1").add_auth(request)
    return Question(
        service="moto",
        spec=spec(address),
        url=URL(f"{address}/"),
        headers=dict(request.headers.items()),
        body=request.data,
    )


def errors_of(pod: str) -> str:
    metric = {**METRIC_STAT["Metric"], "Dimensions": [{"Name": "app", "Value": pod}]}  # type: ignore[dict-item]
    return json.dumps([{"Id": "m1", "MetricStat": {**METRIC_STAT, "Metric": metric}}])


async def test_reads_the_newest_whole_minute_of_a_metric(aws: str) -> None:
    now = datetime.now(UTC)
    begun = now.replace(second=0, microsecond=0)
    minute = timedelta(minutes=1)
    await put(aws, (begun - 3 * minute, 5), (begun - minute, 2), (begun - minute, 1), (begun, 70))

    values = await cloudwatch(now).query(spec(aws, **KEYS), errors_of("web-canary"), MINUTE)

    assert values == (3.0,)


async def test_a_metric_that_nobody_has_stored_has_no_value(aws: str) -> None:
    assert (
        await cloudwatch(datetime.now(UTC)).query(spec(aws, **KEYS), errors_of("nobody"), MINUTE)
        == ()
    )


# --- what is asked ----------------------------------------------------------------------------


@pytest.fixture
async def there() -> AsyncIterator[tuple[Service, ProviderSpec]]:
    service = Service(reply=said({"MetricDataResults": []}))
    async with service.serve() as address:
        yield service, spec(address, **KEYS)


async def test_the_request_is_signed_as_it_is_sent(there: tuple[Service, ProviderSpec]) -> None:
    service, where = there
    where = replace(where, secret={**KEYS, "aws_session_token": "temporary"})

    await cloudwatch().query(where, CLOUDWATCH.query, MINUTE)

    sent, body = service.requests[0], service.bodies[0]
    stated = sent.headers["Authorization"]
    signed = stated.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    again = AWSRequest(
        method=sent.method,
        url=str(sent.url),
        data=body,
        headers={name: sent.headers[name] for name in signed},
    )
    again.context["timestamp"] = sent.headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials("AKIDTEAM", SECRET), "monitoring", "eu-central-1")
    text = signer.string_to_sign(again, signer.canonical_request(again))
    assert stated.endswith(f"Signature={signer.signature(text, again)}")
    assert {"host", "x-amz-date", "x-amz-security-token", "x-amz-target"} <= set(signed)
    assert sent.headers["X-Amz-Security-Token"] == "temporary"
    assert SECRET not in str(sent.headers)


async def test_asks_for_whole_periods_within_ten_intervals(
    there: tuple[Service, ProviderSpec],
) -> None:
    service, where = there

    await cloudwatch().query(where, CLOUDWATCH.query, MINUTE)

    asked = json.loads(service.bodies[0])
    assert asked["MetricDataQueries"] == json.loads(CLOUDWATCH.query)
    assert asked["EndTime"] == at(0).timestamp()
    assert asked["StartTime"] == at(9 * 60).timestamp()
    assert asked["ScanBy"] == "TimestampDescending"


@pytest.mark.parametrize(
    ("query", "interval", "message"),
    [
        ("SELECT 1", 60, "is no JSON"),
        ("{}", 60, "is no list of objects"),
        ("[]", 60, "is no list of objects"),
        ("[1]", 60, "is no list of objects"),
        (json.dumps([{"Id": "a", "Period": 0}]), 60, "between 1 and 86400 seconds"),
        (json.dumps([{"Id": "a", "Period": "60"}]), 60, "between 1 and 86400 seconds"),
        (json.dumps([{"Id": "a", "Period": 300}]), 59, "interval of the metric, which looks back"),
        (json.dumps([{"Id": "a"}] * 501), 60, "more than 500 objects"),
    ],
)
async def test_says_how_a_query_is_mended(query: str, interval: int, message: str) -> None:
    said = await complaint(spec(**KEYS), query, timedelta(seconds=interval))

    assert message in said


@pytest.mark.parametrize("region", ["", "eu", "evil.example/eu-west-1", "EU-WEST-1", "xx-north-9"])
async def test_says_that_a_region_is_none(region: str) -> None:
    said = await complaint(replace(spec(**KEYS), region=region), CLOUDWATCH.query)

    assert "region" in said


# --- what is answered -------------------------------------------------------------------------


def results(*some: dict[str, Any]) -> Reply:
    return said({"MetricDataResults": [{"Timestamps": [], "Values": [], **it} for it in some]})


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (results({"Id": "e1"}, {"Id": "m1"}), "has 2 results (e1, m1); set ReturnData to false"),
        (
            results(
                {
                    "Id": "e1",
                    "StatusCode": "InternalError",
                    "Messages": [{"Code": "x", "Value": "try again"}],
                }
            ),
            "no result for e1 (InternalError): try again",
        ),
        (results({"Id": "e1", "StatusCode": "Forbidden"}), "no result for e1 (Forbidden)"),
        (results({"Id": "e1", "StatusCode": "PartialData"}), "no result for e1 (PartialData)"),
        (results({"Id": "e1", "Timestamps": [1]}), "is not the API of CloudWatch"),
        (results({"Id": "e1", "Timestamps": ["x"], "Values": [1]}), "is not the API of CloudWatch"),
        (
            said({"__type": "a#ThrottlingException", "Message": "Rate exceeded"}, 400),
            "ThrottlingException: Rate exceeded",
        ),
    ],
)
async def test_says_what_is_wrong_with_an_answer(
    there: tuple[Service, ProviderSpec], reply: Reply, message: str
) -> None:
    service, where = there
    service.reply = reply

    assert message in await complaint(where, CLOUDWATCH.query)


async def test_a_part_of_the_points_has_the_newest(there: tuple[Service, ProviderSpec]) -> None:
    service, where = there
    part = {"Id": "e1", "Timestamps": [at(60).timestamp()], "Values": [4]}
    service.reply = results({**part, "StatusCode": "PartialData"})

    assert await cloudwatch().query(where, CLOUDWATCH.query, MINUTE) == (4,)


# --- as whom ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "way", [{}, {"address": "", "headers": {"Host": ("x",)}}, {"address": "", "verify_tls": False}]
)
async def test_the_analyzers_own_credentials_go_to_no_address_of_a_teams(
    monkeypatch: pytest.MonkeyPatch, there: tuple[Service, ProviderSpec], way: dict[str, Any]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDPOD")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "pods")
    service, where = there

    said = await complaint(replace(where, secret={}, **way), CLOUDWATCH.query)

    assert "need credentials of their own" in said
    assert not service.requests


async def test_finds_the_credentials_that_a_pod_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDPOD")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "pods")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "temporary")

    found = await OfThePod().get()

    assert (found.access_key, found.secret_key, found.token) == ("AKIDPOD", "pods", "temporary")


async def test_asks_where_a_pod_gets_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "AccessKeyId": "AKIDPOD",
        "SecretAccessKey": "pods",
        "Token": "temporary",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    service = Service(reply=said(given))
    async with service.serve() as address:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{address}/v1/credentials")
        pod = OfThePod()

        found = [await pod.get() for _ in range(2)]

    assert [it.access_key for it in found] == ["AKIDPOD", "AKIDPOD"]
    assert len(service.requests) == 1


async def test_a_pod_that_is_given_none_is_not_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(reply=said("role"))
    async with service.serve() as address:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", address)

        said_then = await complaint(spec(), CLOUDWATCH.query)

    assert "there is nobody to ask CloudWatch as; name a Secret" in said_then
    assert not service.requests


async def test_says_that_credentials_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(reply=said({"code": "no", "message": SECRET}, 403))
    async with service.serve() as address:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{address}/v1/credentials")

        said_then = await complaint(spec(), CLOUDWATCH.query)

    assert "the analyzer's credentials for AWS cannot be had" in said_then
    assert SECRET not in said_then


@pytest.mark.parametrize("secret", [{"token": "x"}, {"aws_access_key_id": "x"}])
async def test_says_what_a_secret_must_have(secret: dict[str, str]) -> None:
    said_then = await complaint(spec(**secret), CLOUDWATCH.query)

    assert "needs the keys aws_access_key_id and aws_secret_access_key" in said_then
