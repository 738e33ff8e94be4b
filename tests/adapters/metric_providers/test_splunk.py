"""Splunk Observability: where SignalFlow is asked for, and how a computation may end."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from analyzer.addresses import EVERYWHERE
from analyzer.fetching import Fetcher
from analyzer.metric_providers.splunk.provider import Splunk
from analyzer.metric_providers.splunk.request import execution
from analyzer.ports import ProviderError
from canary.queries.provider import ProviderSpec
from tests.adapters.metric_providers.clouds_api import (
    NOW,
    SECRET,
    SPLUNK,
    Service,
    at,
    splunk_series,
    stream,
    text,
)
from tests.adapters.metric_providers.prometheus_api import MINUTE


@dataclass
class World:
    there: Service
    spec: ProviderSpec

    async def ask(self) -> tuple[float, ...]:
        fetcher = Fetcher(EVERYWHERE, clock=lambda: NOW)
        return await Splunk(fetcher).query(self.spec, SPLUNK.query, MINUTE)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    there = Service(reply=splunk_series([[(60, 1.0)]]))
    async with there.serve() as address:
        yield World(there, SPLUNK.spec(address))


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("https://api.us1.signalfx.com", "https://stream.us1.signalfx.com"),
        ("wss://stream.eu0.signalfx.com/", "https://stream.eu0.signalfx.com"),
        ("ws://splunk.proxy:8080/api", "http://splunk.proxy:8080/api"),
        (
            "https://api.us1.observability.splunkcloud.com",
            "https://stream.us1.observability.splunkcloud.com",
        ),
    ],
)
def test_the_address_of_the_api_leads_to_signalflow(address: str, asked: str) -> None:
    found = execution(SPLUNK.spec(address), SPLUNK.query, MINUTE, NOW)

    assert str(found.url.with_query(None)) == f"{asked}/v2/signalflow/execute"


async def test_executes_the_program_over_ten_intervals(world: World) -> None:
    assert await world.ask() == (1.0,)

    (asked,) = world.there.requests
    now = round(NOW.timestamp() * 1000)
    assert dict(asked.query) == {
        "start": str(now - 600_000),
        "stop": str(now),
        "immediate": "true",
    }
    assert asked.headers["X-SF-Token"] == SECRET
    assert asked.headers["Content-Type"] == "text/plain"
    assert world.there.bodies == [SPLUNK.query.encode()]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (stream(("error", {"errors": [{"code": "ANALYTICS_PROGRAM_NAME_ERROR"}]})), "NAME_ERROR"),
        (stream(("error", {"message": "no such function"})), "no such function; mend it"),
        (
            stream(
                (
                    "control-message",
                    {"event": "CHANNEL_ABORT", "abortInfo": {"sf_job_abortReason": "too much"}},
                )
            ),
            "gave the computation up: too much",
        ),
        (stream(("control-message", {"event": "CHANNEL_ABORT"})), "it does not say why"),
        (stream(end=False), "before the computation was at its end"),
        (
            stream(
                ("metadata", {"tsId": "a", "properties": {"sf_streamLabel": "errors"}}),
                ("metadata", {"tsId": "b", "properties": {"sf_streamLabel": "total"}}),
            ),
            "publishes 2 streams (errors, total); let it publish() one",
        ),
        (stream(("data", {"data": [{"value": 1}]})), "is not the API of Splunk Observability"),
        (stream(("data", [1])), "is not the API of Splunk Observability"),
        ("event: data\ndata: {\n\n", "is not the API of Splunk Observability"),
    ],
)
async def test_says_how_a_computation_ended(world: World, body: str, message: str) -> None:
    world.there.reply = text(body)

    with pytest.raises(ProviderError) as caught:
        await world.ask()

    assert message in str(caught.value)


async def test_what_it_does_not_know_is_passed_over(world: World) -> None:
    data = {"logicalTimestampMs": at(60).timestamp() * 1000, "data": [{"tsId": "a", "value": 3}]}
    body = stream(
        ("message", {"message": {"messageCode": "JOB_RUNNING_RESOLUTION"}}),
        ("expired-tsid", {"tsId": "z"}),
        ("data", data),
        ("event", {"tsId": "e"}),
    )
    world.there.reply = text(f": a comment\nretry: 5\n\n{body}".replace("\n", "\r\n"))

    assert await world.ask() == (3.0,)


async def test_says_that_the_secret_has_no_token(world: World) -> None:
    world.spec = replace(world.spec, secret={"token": "x"})

    with pytest.raises(ProviderError, match="needs sf_token_key"):
        await world.ask()
