"""The contract of a MetricProvider, for the real one and the fake, and what only a network does.

The other side is a local server that answers as Prometheus' API does.
"""

import asyncio
import base64
import ssl
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import unused_port

from analyzer.addresses import EVERYWHERE
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from analyzer.ports import MetricProvider, ProviderError
from canary.queries.provider import ProviderSpec
from tests.adapters.metric_providers.prometheus_api import (
    MINUTE,
    Prometheus,
    Reply,
    drip,
    endless,
    refusal,
    replies,
    result,
    stay_silent,
    vector,
)
from tests.fakes.metric_provider import FakeMetricProvider

QUERY = 'sum(rate(http_requests_total{kubernetes_pod_name=~"web-canary-.+"}[1m]))'


class World:
    """A provider and the values that it can be asked for."""

    def __init__(self, provider: MetricProvider, spec: ProviderSpec, there: Prometheus) -> None:
        self.provider = provider
        self.spec = spec
        self.there = there

    def has(self, query: str, value: float | None) -> None:
        if isinstance(self.provider, FakeMetricProvider):
            self.provider.script(query, value)
        self.there.replies[query] = vector() if value is None else vector(str(value))

    def refuses(self, query: str) -> None:
        if isinstance(self.provider, FakeMetricProvider):
            self.provider.script(query, ProviderError("parse error"))
        self.there.replies[query] = refusal(400, "parse error")

    async def ask(self, query: str = QUERY) -> tuple[float, ...]:
        return await self.provider.query(self.spec, query, MINUTE)


@pytest.fixture
async def real() -> AsyncIterator[World]:
    there = Prometheus()
    provider = PrometheusProvider(EVERYWHERE)
    async with there.serve() as address:
        yield World(provider, ProviderSpec(type="prometheus", address=address), there)
        await provider.aclose()


@pytest.fixture(params=["real", "fake"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "real":
        real = request.getfixturevalue("real")
        assert isinstance(real, World)
        return real
    spec = ProviderSpec(type="prometheus", address="http://prometheus.monitoring:9090")
    return World(FakeMetricProvider(), spec, Prometheus())


async def complaint(world: World, spec: ProviderSpec | None = None, query: str = QUERY) -> str:
    with pytest.raises(ProviderError) as caught:
        await world.provider.query(spec or world.spec, query, MINUTE)
    return str(caught.value)


# --- the contract -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 98.75, -1.0, float("inf")])
async def test_gives_the_value(world: World, value: float) -> None:
    world.has(QUERY, value)

    assert await world.ask() == (value,)


@pytest.mark.parametrize("value", [None, float("nan")])
async def test_gives_nothing_where_there_is_no_value(world: World, value: float | None) -> None:
    world.has(QUERY, value)

    assert await world.ask() == ()


async def test_gives_nothing_for_series_that_nobody_has_heard_of(world: World) -> None:
    world.has("up", 1)

    assert await world.ask("nothing") == ()


async def test_answers_each_query_by_itself(world: World) -> None:
    world.has("canary", 1)
    world.has("stable", 2)

    assert [await world.ask(it) for it in ("stable", "canary", "stable")] == [(2,), (1,), (2,)]


async def test_raises_where_there_is_no_answer(world: World) -> None:
    world.refuses(QUERY)

    assert "parse error" in await complaint(world)


# --- what Prometheus answers ------------------------------------------------------------------


@pytest.mark.parametrize("order", [("1", "2", "NaN", "3"), ("3", "1", "2", "NaN")])
async def test_gives_all_values_in_whatever_order(real: World, order: tuple[str, ...]) -> None:
    real.there.replies[QUERY] = vector(*order)

    assert sorted(await real.ask()) == [1, 2, 3]


async def test_takes_a_scalar(real: World) -> None:
    real.there.replies[QUERY] = result("scalar", [17.5, "42"])

    assert await real.ask() == (42,)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (result("matrix", [{"metric": {}, "values": [[1, "1"]]}]), "wrap it in rate()"),
        (result("vector", [{"metric": {}, "histogram": [1, {}]}]), "wrap it in histogram_quantile"),
        (result("string", [1, "hello"]), "gives the text 'hello'"),
        (replies({"status": "success"}), "is not the API of a Prometheus"),
        (replies(["x"]), "is not the API of a Prometheus"),
        (replies({"data": {"result": {"x": 1}}}), "is not the API of a Prometheus"),
        (
            refusal(400, "1:5: parse error: unexpected end of input"),
            "answers 400: 1:5: parse error: unexpected end of input; mend the query",
        ),
        (refusal(422, "many-to-many matching"), "422: many-to-many matching; mend the query"),
        (refusal(503, "query timed out"), "503: query timed out; see its logs, or make the query"),
        (replies("secret", 401), "answers 401; see whether the Secret has the right token"),
        (replies("secret", 404), "answers 404; see whether the address leads to Prometheus"),
        (
            replies("", 302, Location="https://user:secret@login.example/?state=secret"),
            "answers 302, a redirect to https://login.example/; make that the provider's address",
        ),
    ],
)
async def test_says_what_is_wrong_with_the_answer(real: World, reply: Reply, message: str) -> None:
    real.there.replies[QUERY] = reply

    said = await complaint(real)

    assert message in said
    assert real.spec.address in said
    assert "secret" not in said


async def test_says_that_html_is_not_prometheus_and_quotes_none_of_it(real: World) -> None:
    async def page(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>intranet</html>")

    real.there.replies[QUERY] = page

    said = await complaint(real)

    assert "is not the API of a Prometheus" in said
    assert "intranet" not in said


async def test_says_so_little_of_an_error_page(real: World) -> None:
    async def page(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>intranet</html>", status=502)

    real.there.replies[QUERY] = page

    assert "answers 502 Bad Gateway; see its logs" in await complaint(real)


# --- how it is asked --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "header"),
    [
        ({}, None),
        ({"token": "abc\n"}, "Bearer abc"),
        (
            {"username": "me", "password": "pa:ss"},
            f"Basic {base64.b64encode(b'me:pa:ss').decode()}",
        ),
        ({"token": "abc", "username": "me", "password": "x"}, "Bearer abc"),
    ],
)
async def test_sends_the_secrets_credentials(
    real: World, secret: dict[str, str], header: str | None
) -> None:
    await real.provider.query(replace(real.spec, secret=secret), QUERY, MINUTE)

    assert real.there.requests[0].headers.get("Authorization") == header


async def test_takes_credentials_of_the_address_and_does_not_show_them(real: World) -> None:
    address = real.spec.address.replace("http://", "http://me:p%40ss@")
    real.there.replies[QUERY] = refusal(403, "no")

    said = await complaint(real, replace(real.spec, address=f"{address}/"))

    expected = f"Basic {base64.b64encode(b'me:p@ss').decode()}"
    assert real.there.requests[0].headers["Authorization"] == expected
    assert f"at {real.spec.address} answers 403" in said


@pytest.mark.parametrize("secret", [{"password": "x"}, {"username": "x"}, {"api-key": "x"}])
async def test_says_what_a_secret_must_have(real: World, secret: dict[str, str]) -> None:
    said = await complaint(real, replace(real.spec, secret=secret))

    assert "neither the key token nor the keys username and password" in said
    assert not real.there.requests


async def test_sends_the_headers(real: World) -> None:
    spec = replace(real.spec, headers={"X-Scope-OrgID": ("a", "b")})

    await real.provider.query(spec, QUERY, MINUTE)

    assert real.there.requests[0].headers["X-Scope-OrgID"] == "a, b"


@pytest.mark.parametrize("value", ["a\nb: c", "\u20ac"])
async def test_says_that_a_header_cannot_be_sent(real: World, value: str) -> None:
    spec = replace(real.spec, headers={"X-Scope-OrgID": (value,)})

    assert "headers" in await complaint(real, spec)


@pytest.mark.parametrize(
    "address",
    ["", "prometheus:9090", "ftp://x", "http://", "http://[::1", "http://x:0", "http://x:y",
     "http://x/?q=1", "http://x/#f"],
)  # fmt: skip
async def test_says_that_an_address_is_none(real: World, address: str) -> None:
    said = await complaint(real, replace(real.spec, address=address))

    assert "write it as http://prometheus.monitoring:9090" in said


async def test_one_connection_serves_many_queries_and_headers_have_their_own(real: World) -> None:
    other = replace(real.spec, headers={"X-Scope-OrgID": ("a",)})

    for _ in range(3):
        await real.ask()
        await real.provider.query(other, QUERY, MINUTE)

    assert len(real.there.connections) == 2


async def test_keeps_no_more_connections_than_it_may(real: World) -> None:
    provider = PrometheusProvider(EVERYWHERE, connections=1)
    other = replace(real.spec, headers={"X-Scope-OrgID": ("a",)})

    for spec in (real.spec, real.spec, other, real.spec):
        assert await provider.query(spec, QUERY, MINUTE) == ()
    await provider.aclose()

    assert len(real.there.connections) == 3


async def test_queries_outlive_the_eviction_of_their_connection(real: World) -> None:
    provider = PrometheusProvider(EVERYWHERE, connections=1, threads=1)
    go = asyncio.Event()

    async def late(request: web.Request) -> web.StreamResponse:
        await go.wait()
        return await vector("7")(request)

    real.there.replies[QUERY] = late
    async with asyncio.TaskGroup() as group:
        queries = [group.create_task(provider.query(real.spec, QUERY, MINUTE)) for _ in range(3)]
        await asyncio.sleep(0)
        await provider.query(replace(real.spec, headers={"X-Scope-OrgID": ("a",)}), "up", MINUTE)
        go.set()

    assert [query.result() for query in queries] == [(7,), (7,), (7,)]
    await provider.aclose()


# --- what a network does ----------------------------------------------------------------------


async def test_says_that_nobody_listens(real: World) -> None:
    spec = replace(real.spec, address=f"http://127.0.0.1:{unused_port()}")

    assert f"{spec.address} cannot be reached (Connection refused)" in await complaint(real, spec)


async def test_says_that_a_name_does_not_resolve(real: World) -> None:
    spec = replace(real.spec, address="http://prometheus.invalid:9090")

    assert "cannot be reached (the name does not resolve)" in await complaint(real, spec)


@pytest.mark.parametrize("reply", [drip, stay_silent])
async def test_ends_with_its_time_and_frees_its_thread(real: World, reply: Reply) -> None:
    provider = PrometheusProvider(EVERYWHERE, timeout=timedelta(milliseconds=300), threads=1)
    world = World(provider, real.spec, real.there)
    real.there.replies[QUERY] = reply

    assert "has not answered within" in await complaint(world)

    await provider.aclose()


async def test_one_that_is_silent_does_not_hold_up_another(real: World) -> None:
    provider = PrometheusProvider(EVERYWHERE, timeout=timedelta(seconds=1), threads=1)
    world = World(provider, real.spec, real.there)
    real.there.replies[QUERY] = stay_silent
    real.there.replies["up"] = vector("1")
    async with asyncio.TaskGroup() as group:
        silent = [group.create_task(complaint(world)) for _ in range(3)]
        await asyncio.sleep(0)
        other = replace(real.spec, headers={"X-Scope-OrgID": ("a",)})
        assert await provider.query(other, "up", MINUTE) == (1,)

    assert all("has not answered within" in task.result() for task in silent)
    await provider.aclose()


async def test_slow_queries_of_a_namespace_take_no_other_namespaces_place(real: World) -> None:
    provider = PrometheusProvider(EVERYWHERE, timeout=timedelta(seconds=2), threads=1)
    all_are_asked = asyncio.Event()

    async def count_and_stay_silent(request: web.Request) -> web.StreamResponse:
        if len(real.there.requests) == 6:
            all_are_asked.set()
        return await stay_silent(request)

    real.there.replies[QUERY] = count_and_stay_silent
    real.there.replies["up"] = vector("1")
    slow = World(provider, real.spec, real.there)
    askers = [f"team-{number % 6}" for number in range(18)]
    async with asyncio.TaskGroup() as group:
        silent = [
            group.create_task(complaint(slow, replace(real.spec, asker=asker))) for asker in askers
        ]
        await all_are_asked.wait()
        async with asyncio.timeout(1):
            assert await provider.query(replace(real.spec, asker="prod"), "up", MINUTE) == (1,)
        assert len(real.there.requests) == 6 + 1

    assert all("has not answered within" in task.result() for task in silent)
    await provider.aclose()


async def test_a_server_that_is_silent_gets_no_threads_anew_for_each_that_is_asked_between(
    real: World,
) -> None:
    provider = PrometheusProvider(
        EVERYWHERE, timeout=timedelta(seconds=1), threads=1, connections=1
    )
    real.there.replies[QUERY] = stay_silent
    real.there.replies["up"] = vector("1")
    slow = World(provider, real.spec, real.there)
    before = len(threads())
    async with asyncio.TaskGroup() as group:
        silent = []
        for number in range(5):
            silent.append(group.create_task(complaint(slow)))
            await asyncio.sleep(0)
            other = replace(real.spec, headers={"X-Scope-OrgID": (str(number),)})
            assert await provider.query(other, "up", MINUTE) == (1,)
        assert len(threads()) - before <= 1 + 5
        assert sum(asked["query"] == QUERY for asked in real.there.asked) == 1

    assert all("has not answered within" in task.result() for task in silent)
    await provider.aclose()


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith("prometheus")]


async def test_cancellation_passes_through(real: World) -> None:
    provider = PrometheusProvider(EVERYWHERE, timeout=timedelta(milliseconds=300))
    real.there.replies[QUERY] = stay_silent

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await provider.query(real.spec, QUERY, MINUTE)
    await provider.aclose()


async def test_does_not_read_an_answer_that_is_too_long(real: World) -> None:
    real.there.replies[QUERY] = endless

    assert "answers more than 4 MiB; let the query make one series" in await complaint(real)


async def test_says_that_the_connection_broke(real: World) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    real.there.replies[QUERY] = hang_up

    assert "cannot be reached (the connection broke)" in await complaint(real)


async def test_trusts_a_certificate_only_where_told_to(real: World) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    there = Prometheus(replies={QUERY: vector("1")})
    async with there.serve(context) as address:
        spec = replace(real.spec, address=address)
        said = await complaint(real, spec)
        value = await real.provider.query(replace(spec, verify_tls=False), QUERY, MINUTE)

    assert "insecureSkipVerify" in said
    assert value == (1,)
