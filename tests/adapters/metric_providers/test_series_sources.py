"""The contract of a SeriesSource, for Prometheus and the fake; then Prometheus' own, and history.

The other side is a local server that answers as Prometheus' API does.
"""

import asyncio
import gc
import json
import math
import time
import timeit
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from analyzer.addresses import EVERYWHERE
from analyzer.metric_providers.prometheus.faults import RejectedError
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from analyzer.ports import ProviderError, SeriesSource, TooLargeError
from canary.counting.series import Series
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
from tests.fakes.series_source import FakeSeriesSource

QUERY = 'http_requests_total{namespace="prod"}'
OK = Series({"__name__": "http_requests_total", "status": "200"}, 17.0)
BROKEN = Series({"__name__": "http_requests_total", "status": "500"}, 3.0)
START = datetime(2026, 1, 1, 12, 0, 0, 250_000, UTC)


def listed(*series: Series) -> Reply:
    items = [{"metric": it.labels, "value": [17.5, str(it.value)]} for it in series]
    return result("vector", items)


class World:
    """A source, and what it can be asked for."""

    def __init__(self, source: SeriesSource, spec: ProviderSpec, there: Prometheus) -> None:
        self.source = source
        self.spec = spec
        self.there = there

    def has(self, query: str, *series: Series) -> None:
        if isinstance(self.source, FakeSeriesSource):
            self.source.answer(query, series)
        self.there.replies[query] = listed(*series)

    def refuses(self, query: str) -> None:
        if isinstance(self.source, FakeSeriesSource):
            self.source.answer(query, ProviderError("parse error"))
        self.there.replies[query] = refusal(400, "parse error")

    async def ask(self, query: str = QUERY) -> tuple[Series, ...]:
        return await self.source.series(self.spec, query)


class Real(World):
    """Prometheus' adapter, which knows more than the port."""

    def __init__(self, source: PrometheusProvider, spec: ProviderSpec, there: Prometheus) -> None:
        super().__init__(source, spec, there)
        self.provider = source

    async def history(self, step: timedelta = timedelta(seconds=5)) -> Any:
        end = START + timedelta(minutes=1)
        return await self.provider.history(self.spec, QUERY, start=START, end=end, step=step)


@pytest.fixture
async def real() -> AsyncIterator[Real]:
    there = Prometheus()
    provider = PrometheusProvider(EVERYWHERE)
    async with there.serve() as address:
        yield Real(provider, ProviderSpec(type="prometheus", address=address), there)
        await provider.aclose()


@pytest.fixture(params=["real", "fake"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "real":
        real = request.getfixturevalue("real")
        assert isinstance(real, Real)
        return real
    spec = ProviderSpec(type="prometheus", address="http://prometheus.monitoring:9090")
    return World(FakeSeriesSource(), spec, Prometheus())


async def complaint(world: World, query: str = QUERY) -> str:
    with pytest.raises(ProviderError) as caught:
        await world.ask(query)
    return str(caught.value)


# --- the contract -----------------------------------------------------------------------------


@pytest.mark.parametrize("series", [(), (OK,), (OK, BROKEN)])
async def test_gives_every_series(world: World, series: tuple[Series, ...]) -> None:
    world.has(QUERY, *series)

    assert await world.ask() == series


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf")])
async def test_gives_values_as_they_are(world: World, value: float) -> None:
    world.has(QUERY, OK._replace(value=value))

    assert [it.value for it in await world.ask()] == [value]


async def test_gives_series_that_are_no_number_too(world: World) -> None:
    world.has(QUERY, OK._replace(value=math.nan), BROKEN)

    first, second = await world.ask()

    assert math.isnan(first.value)
    assert second == BROKEN


async def test_gives_nothing_for_what_nobody_has_heard_of(world: World) -> None:
    world.has("up", OK)

    assert await world.ask("nothing") == ()


async def test_raises_where_there_is_no_answer(world: World) -> None:
    world.refuses(QUERY)

    assert "parse error" in await complaint(world)


# --- what Prometheus answers ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (result("scalar", [17.5, "42"]), "gives a single value for the query"),
        (result("string", [17.5, "hello"]), "gives a single value for the query"),
        (result("matrix", [{"metric": {}, "values": [[1, "1"]]}]), "leave the range, such as [1m]"),
        (result("vector", [{"metric": {}, "histogram": [1, {}]}]), "gives a native histogram"),
        (result("vector", [{"metric": {}, "value": [1, "hello"]}]), "is not the API of"),
        (result("vector", [{"metric": {}, "value": [1, 5]}]), "is not the API of a Prometheus"),
        (result("vector", [{"value": [1, "5"]}]), "is not the API of a Prometheus"),
        (result("vector", {"x": 1}), "is not the API of a Prometheus"),
        (replies({"status": "success"}), "is not the API of a Prometheus"),
        (refusal(400, "unexpected end of input"), "answers 400: unexpected end of input; mend the"),
        (refusal(503, "query timed out"), "503: query timed out; see its logs, or make the query"),
        (replies("secret", 404), "answers 404; see whether the address leads to Prometheus"),
    ],
)
async def test_says_what_is_wrong_with_the_answer(real: Real, reply: Reply, message: str) -> None:
    real.there.replies[QUERY] = reply

    said = await complaint(real)

    assert message in said
    assert real.spec.address in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "text",
    [
        "<html>intranet</html>",
        "[" * 100_000,
        '{"data": {"result": ' + "9" * 5000 + "}}",
        '{"data": {"result": [{"metric": {}, "value": [1, "\xff"]}]}}',
    ],
    ids=["html", "deep", "long number", "no UTF-8"],
)
@pytest.mark.parametrize("kind", ["query", "series", "history"])
async def test_says_that_what_is_no_json_is_not_prometheus(
    real: Real, text: str, kind: str
) -> None:
    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=text.encode("latin-1"), content_type="application/json")

    real.there.replies[QUERY] = reply

    asking: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "query": lambda: real.provider.query(real.spec, QUERY, MINUTE),
        "series": real.ask,
        "history": real.history,
    }
    with pytest.raises(ProviderError, match=r"is not the API of a Prometheus|gives the text"):
        await asking[kind]()


# --- how it is asked --------------------------------------------------------------------------


async def test_a_long_query_arrives_whole(real: Real) -> None:
    query = (
        'http_requests_total{pod=~"' + "|".join(f"web-{n:08}-é&+%" for n in range(11_500)) + '"}'
    )
    assert len(query) > 200_000
    real.there.replies[query] = listed(OK)

    assert await real.ask(query) == (OK,)

    request = real.there.requests[0]
    assert (request.method, request.rel_url.raw_path_qs) == ("POST", "/api/v1/query")
    assert request.content_type == "application/x-www-form-urlencoded"


async def test_sends_credentials_and_headers(real: Real) -> None:
    real.spec = replace(real.spec, secret={"token": "abc"}, headers={"X-Scope-OrgID": ("a", "b")})

    await real.ask()

    headers = real.there.requests[0].headers
    assert (headers["Authorization"], headers["X-Scope-OrgID"]) == ("Bearer abc", "a, b")


async def test_follows_no_redirect(real: Real) -> None:
    real.there.replies[QUERY] = replies("", 307, Location="/api/v1/query?from=secret")

    said = await complaint(real)

    assert f"answers 307, a redirect to {real.spec.address}/api/v1/query; make that" in said
    assert len(real.there.requests) == 1


# --- what a network does ----------------------------------------------------------------------


async def test_says_that_nobody_listens(real: Real) -> None:
    real.spec = replace(real.spec, address=f"http://127.0.0.1:{unused_port()}")

    assert f"{real.spec.address} cannot be reached (Connection refused)" in await complaint(real)


@pytest.mark.parametrize("reply", [drip, stay_silent])
async def test_ends_with_its_time_and_frees_its_thread(real: Real, reply: Reply) -> None:
    provider = PrometheusProvider(EVERYWHERE, timeout=timedelta(milliseconds=300), threads=1)
    real.there.replies[QUERY] = reply

    assert "has not answered within" in await complaint(World(provider, real.spec, real.there))

    await provider.aclose()


async def test_reads_long_lists_but_not_without_end(real: Real) -> None:
    long = tuple(OK._replace(labels={**OK.labels, "pod": f"{n:0900}"}) for n in range(6000))
    real.there.replies["long"] = listed(*long)
    real.there.replies["vector(1)"] = vector("1", *["9" * 1000] * 5000)
    real.there.replies[QUERY] = endless

    assert len(await real.ask("long")) == 6000
    assert "answers more than 12 MiB; let the query select fewer series" in await complaint(real)
    with pytest.raises(ProviderError, match="answers more than 4 MiB; let the query make one"):
        await real.provider.query(real.spec, "vector(1)", MINUTE)


async def longest_wait(work: Coroutine[Any, Any, object]) -> float:
    """Return the longest turn of the loop while the work is done, in seconds."""
    waits = []
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        while not task.done():
            before = time.perf_counter()
            await asyncio.sleep(0)
            waits.append(time.perf_counter() - before)
    return max(waits)


async def test_the_loop_goes_on_while_a_long_list_is_parsed(real: Real) -> None:
    # Made before, as what the other side does is done in this loop, too.
    item = {"metric": {f"label{n}": "x" * 10 for n in range(10)}, "value": [17.5, "1"]}
    text = json.dumps({"data": {"result": [item] * 12_000}}).encode()

    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=text, content_type="application/json")

    real.there.replies[QUERY] = reply
    gc.disable()  # it stops all threads, and is not what this is about
    try:
        # The least of some, as the machine may be busy with other things.
        parsing = min(timeit.repeat(lambda: json.loads(text), number=1, repeat=5))
        wait = min([await longest_wait(real.ask()) for _ in range(5)])
    finally:
        gc.enable()

    assert wait < parsing / 2


# --- history ----------------------------------------------------------------------------------


async def test_history_gives_labels_and_points(real: Real) -> None:
    points = [[1767268800.25, "1"], [1767268805.25, "NaN"], [1767268810, "+Inf"]]
    real.there.replies[QUERY] = result(
        "matrix",
        [{"metric": OK.labels, "values": points}, {"metric": BROKEN.labels, "values": []}],
    )

    (labels, values), empty = await real.history()

    assert labels == OK.labels
    assert [time for time, _ in values] == [1767268800.25, 1767268805.25, 1767268810]
    assert [repr(value) for _, value in values] == ["1.0", "nan", "inf"]
    assert empty == (BROKEN.labels, ())


async def test_samples_are_asked_for_at_once_and_keep_their_times(real: Real) -> None:
    points = [[1767268800.25, "1"], [1767268805.125, "3"]]
    real.there.replies[f"{QUERY}[1m]"] = result("matrix", [{"metric": OK.labels, "values": points}])

    found = await real.provider.samples(real.spec, f"{QUERY}[1m]")

    assert found == ((OK.labels, ((1767268800.25, 1.0), (1767268805.125, 3.0))),)
    request = real.there.requests[0]
    assert (request.method, request.rel_url.raw_path_qs) == ("POST", "/api/v1/query")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (listed(OK), ProviderError),
        (refusal(422, "too many samples"), RejectedError),
        (refusal(401, "who is there?"), ProviderError),
        (endless, TooLargeError),
    ],
)
async def test_samples_that_cannot_be_had_are_an_error(
    real: Real, reply: Reply, kind: type[ProviderError]
) -> None:
    real.there.replies[f"{QUERY}[1m]"] = reply
    with pytest.raises(ProviderError) as caught:
        await real.provider.samples(real.spec, f"{QUERY}[1m]")
    assert type(caught.value) is kind


async def test_history_asks_for_the_exact_times_by_post(real: Real) -> None:
    real.there.replies[QUERY] = result("matrix", [])

    assert await real.history(timedelta(milliseconds=2500)) == ()

    request = real.there.requests[0]
    assert (request.method, request.rel_url.raw_path_qs) == ("POST", "/api/v1/query_range")
    asked = {name: float(it) for name, it in real.there.asked[0].items() if name != "query"}
    assert asked == {"start": 1767268800.25, "end": 1767268860.25, "step": 2.5}


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (result("matrix", [{"metric": {}, "histograms": [[1, {}]]}]), "gives a native histogram"),
        (result("matrix", [{"metric": {}, "values": [[1, "x"]]}]), "is not the API of a Prom"),
        (result("matrix", [{"metric": {}, "values": [1]}]), "is not the API of a Prometheus"),
        (result("matrix", [{"metric": {}, "values": [[10**400, "1"]]}]), "is not the API of a"),
        (result("matrix", {}), "is not the API of a Prometheus"),
        (refusal(400, "exceeded maximum resolution"), "400: exceeded maximum resolution; mend"),
        (endless, "answers more than 12 MiB; let the query select fewer series, or take a longer"),
    ],
)
async def test_history_says_what_is_wrong(real: Real, reply: Reply, message: str) -> None:
    real.there.replies[QUERY] = reply

    with pytest.raises(ProviderError) as caught:
        await real.history()

    assert message in str(caught.value)
