"""The contract of a MetricProvider, for each service that is asked over plain HTTP.

The other side is a local server that answers in each service's documented form, and as none would.
"""

import asyncio
import json
import math
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from aiohttp import web
from aiohttp.test_utils import unused_port

from analyzer.adapters import vendors
from analyzer.addresses import EVERYWHERE, Guard
from analyzer.fetching import LONGEST, MOST_VALUES, Fetcher
from analyzer.ports import ProviderError
from canary.queries.provider import ProviderSpec
from tests.adapters.metric_providers.prometheus_api import (
    MINUTE,
    Reply,
    drip,
    endless,
    replies,
    stay_silent,
)
from tests.adapters.metric_providers.vendor_apis import (
    NOW,
    STAMP,
    VENDORS,
    Service,
    datadog,
    datadog_series,
    graphite,
    influx,
    rfc3339,
    serve,
    text,
)
from tests.fakes.listening import TestServer

ROOT = Path(__file__).parents[3]


class World:
    """A provider and the service that it asks."""

    def __init__(self, there: Service, fetcher: Fetcher | None = None) -> None:
        self.there = there
        self.now = NOW
        self.fetcher = fetcher or Fetcher(EVERYWHERE, clock=lambda: self.now)
        self.provider = there.vendor.provider(self.fetcher)

    async def ask(
        self, query: str | None = None, spec: ProviderSpec | None = None
    ) -> tuple[float, ...]:
        return await self.provider.query(
            spec or self.there.spec, query or self.there.vendor.query, MINUTE
        )

    async def complaint(self, query: str | None = None, spec: ProviderSpec | None = None) -> str:
        with pytest.raises(ProviderError) as caught:
            await self.ask(query, spec)
        said = str(caught.value)
        assert "s3cret" not in said
        return said


@pytest.fixture(params=VENDORS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with serve(request.param) as there:
        yield World(there)


# --- the contract -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 98.75, -1.0, 1e-9, 7])
async def test_gives_the_value(world: World, value: float) -> None:
    world.there.has([value])

    assert await world.ask() == (value,)


async def test_gives_nothing_where_there_is_no_series(world: World) -> None:
    world.there.has()

    assert await world.ask() == ()


@pytest.mark.parametrize("value", [None, math.nan])
async def test_gives_nothing_where_there_is_no_number(world: World, value: float | None) -> None:
    world.there.has([value])

    assert await world.ask() == ()


async def test_gives_the_value_of_every_series(world: World) -> None:
    world.there.has([3.0], [1.0], [2.0])

    assert sorted(await world.ask()) == [1, 2, 3]


async def test_sends_what_the_service_asks_for(world: World) -> None:
    await world.ask()

    assert len(world.there.requests) == 1
    assert world.there.vendor.sees(world.there.requests[0])


async def test_sends_the_templates_headers_but_none_in_place_of_its_own(world: World) -> None:
    headers = {"X-Tenant": ("a", "b"), "authorization": ("mine",), "dd-api-key": ("mine",)}
    await world.ask(spec=replace(world.there.spec, headers=headers))

    assert world.there.requests[0].headers["X-Tenant"] == "a, b"
    own = {"datadog": "DD-API-KEY", "newrelic": "X-Query-Key"}
    kind = world.there.spec.type
    assert "mine" not in world.there.requests[0].headers[own.get(kind, "Authorization")]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"X-A": ("a\r\nb: c",)}, "have characters that HTTP cannot carry"),
        ({"X A": ("a",)}, "have characters that HTTP cannot carry"),
        ({"Accept-encoding": ("gzip",)}, "Accept-encoding for"),
    ],
)
async def test_says_that_a_header_cannot_be_sent(
    world: World, header: dict[str, tuple[str, ...]], message: str
) -> None:
    assert message in await world.complaint(spec=replace(world.there.spec, headers=header))
    assert not world.there.requests


async def test_says_which_keys_a_secret_must_have(world: World) -> None:
    if world.there.spec.type in {"graphite", "influxdb"}:
        assert await world.ask(spec=replace(world.there.spec, secret={})) == ()
        assert "Authorization" not in world.there.requests[0].headers
    for name in world.there.vendor.secret:
        secret = {**world.there.vendor.secret, name: " \n"}
        said = await world.complaint(spec=replace(world.there.spec, secret=secret))
        assert f"needs {name}, which the provider's Secret has not" in said


@pytest.mark.parametrize(
    "address", ["x:9090", "ftp://x", "http://", "http://[::1", "http://x/?q=1"]
)
async def test_says_that_an_address_is_none(world: World, address: str) -> None:
    said = await world.complaint(spec=replace(world.there.spec, address=address))

    assert "the provider's address is no URL of" in said
    assert "write it as http" in said


def test_every_provider_can_be_named_and_is_documented() -> None:
    crd = yaml.safe_load((ROOT / "manifests/crds/metrictemplate.yaml").read_text())
    (version,) = crd["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    named = spec["provider"]["properties"]["type"]["enum"]
    table = (ROOT / "docs/flagger.md").read_text().partition("## Metric providers")[2]
    found = vendors(Fetcher(EVERYWHERE))
    assert set(VENDORS) <= set(found) <= set(named)
    for name in found:
        assert f"| `{name}` |" in table.partition("\n## ")[0]
        for key in VENDORS[name].secret if name in VENDORS else ():
            assert f"`{key}`" in table.partition("\n## ")[0]


# --- what a service refuses -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "mend the query"),
        (401, "see whether the Secret has the right keys"),
        (403, "see whether the Secret's keys may query it"),
        (404, "see whether the address is right"),
        (429, "ask it less often"),
        (500, "see its logs"),
    ],
)
async def test_says_what_the_service_says(world: World, status: int, advice: str) -> None:
    world.there.reply = world.there.vendor.refusal(status, "unknown\n function 'p99'")

    said = await world.complaint()

    assert f"answers {status}" in said
    assert advice in said
    if world.there.spec.type != "graphite":
        assert ": unknown function 'p99';" in said


async def test_quotes_nothing_with_a_secret_in_it_and_nothing_without_the_services_form(
    world: World,
) -> None:
    key = [*world.there.vendor.secret.values()][-1]
    world.there.reply = world.there.vendor.refusal(403, f"no: {key}")
    assert "no:" not in await world.complaint()

    world.there.reply = text("<html>intranet</html>", 502, "text/html")
    said = await world.complaint()
    assert "answers 502: Bad Gateway" in said
    assert "intranet" not in said


async def test_is_not_asked_while_it_wants_to_be_left_alone(world: World) -> None:
    async def busy(_request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=429, headers={"Retry-After": "30"})

    world.there.reply = busy
    assert "asked again in 30s" in await world.complaint()
    world.there.has([1.0])
    world.now += timedelta(seconds=20)
    assert "is not asked for 10s more" in await world.complaint()
    assert len(world.there.requests) == 1
    other = replace(world.there.spec, headers={"X-Tenant": ("other",)})
    await world.ask(spec=other)

    world.now = NOW + timedelta(seconds=31)
    assert len(await world.ask()) == 1


async def test_rests_no_longer_than_a_few_minutes(world: World) -> None:
    async def busy(_request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=503, headers={"Retry-After": "1e300"})

    world.there.reply = busy
    assert "asked again in 5m" in await world.complaint()


# --- what is no answer ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", ["", "{", '{"status": "ok"', "[" * 5000, "1" * 5000, "<html>intranet</html>"]
)
async def test_says_that_it_is_none_and_quotes_nothing_of_it(world: World, body: str) -> None:
    world.there.reply = text(body)
    if world.there.spec.type == "influxdb" and body == "":
        assert await world.ask() == ()
        return

    said = await world.complaint()

    assert "intranet" not in said
    assert "see whether the address leads to" in said


@pytest.mark.parametrize(
    "body",
    [
        *("null", "[]", "{}", '"x"', "17", '{"series": 1}', '{"series": [1]}', '[{"target": "x"}]'),
        *('{"result": [1]}', '{"result": [{"data": [{"values": ["x"]}]}]}', '{"results": [1]}'),
        *(
            '{"series": [{"pointlist": [[1]]}]}',
            '[{"datapoints": [[[], 1]]}]',
            '[{"datapoints": 1}]',
        ),
        *('{"results": [{"average": "x"}]}', '{"facets": [1]}', '{"result": [{"data": [{}]}]}'),
    ],
)
async def test_what_has_another_form_is_an_error_or_nothing(world: World, body: str) -> None:
    world.there.reply = text(body)

    with suppress(ProviderError):
        assert await world.ask() == ()


async def test_does_not_read_an_answer_that_is_too_long(world: World) -> None:
    world.there.reply = endless

    assert f"answers more than {LONGEST // 1024} KiB" in await world.complaint()


async def test_does_not_parse_more_values_than_it_may(world: World) -> None:
    world.there.reply = (
        text("\n".join([",result,table,_value", *(",_result,0,1",) * 20_000]))
        if world.there.spec.type == "influxdb"
        else text(json.dumps([0] * (MOST_VALUES + 1)))
    )

    assert "answers more than" in await world.complaint()


async def test_does_not_unpack(world: World) -> None:
    async def packed(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})

    world.there.reply = packed

    assert "packs its answers" in await world.complaint()


@pytest.mark.parametrize("reply", [drip, stay_silent])
async def test_ends_with_its_time(world: World, reply: Reply) -> None:
    fetcher = Fetcher(EVERYWHERE, answer=timedelta(milliseconds=200))
    world.there.reply = reply

    assert "has not answered within" in await World(world.there, fetcher).complaint()


async def test_cancellation_passes_through(world: World) -> None:
    world.there.reply = stay_silent

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await world.ask()


async def test_a_redirect_is_followed_within_its_origin_and_nowhere_else(world: World) -> None:
    world.there.has([4.0])
    answer = world.there.reply

    async def moved(request: web.Request) -> web.StreamResponse:
        if request.path == "/elsewhere":
            return await answer(request)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    world.there.reply = moved
    assert await world.ask() == (4.0,)

    async def away(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("http://login.example/?state=s3cret")

    world.there.reply = away
    said = await world.complaint()
    assert "a redirect to http://login.example/, which is not followed" in said


async def test_says_that_nobody_listens_and_that_an_address_is_denied(world: World) -> None:
    spec = replace(world.there.spec, address=f"http://127.0.0.1:{unused_port()}")
    assert "no connection: Connection refused" in await world.complaint(spec=spec)

    guarded = World(world.there, Fetcher(Guard()))
    assert "HEADGATE_ALLOWED_ADDRESSES" in await guarded.complaint()
    assert not world.there.requests


async def test_trusts_a_certificate_only_where_told_to(world: World) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    world.there.has([1.0])
    app = web.Application()
    app.router.add_route("*", world.there.vendor.path, world.there.answer)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=context)
    spec = replace(world.there.spec, address=str(server.make_url("/")))
    try:
        assert "insecureSkipVerify" in await world.complaint(spec=spec)
        assert await world.ask(spec=replace(spec, verify_tls=False)) == (1.0,)
    finally:
        await server.close()


# --- points -----------------------------------------------------------------------------------


@pytest.fixture(params=[name for name, vendor in VENDORS.items() if vendor.points])
async def pointed(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with serve(request.param) as there:
        yield World(there)


async def test_gives_the_newest_point_with_a_number(pointed: World) -> None:
    pointed.there.has([1.0, 2.0, 3.0, None, math.nan])

    assert await pointed.ask() == (3.0,)


POINTS = [(STAMP - 90, 5.0), (STAMP - 30, 1.0)]
"""Minutes of which the last one has not ended."""


@pytest.fixture
async def dog() -> AsyncIterator[World]:
    async with serve("datadog") as there:
        yield World(there)


@pytest.fixture
async def graph() -> AsyncIterator[World]:
    async with serve("graphite") as there:
        yield World(there)


@pytest.fixture
async def flux() -> AsyncIterator[World]:
    async with serve("influxdb") as there:
        yield World(there)


@pytest.fixture
async def relic() -> AsyncIterator[World]:
    async with serve("newrelic") as there:
        yield World(there)


async def test_a_bucket_that_has_not_ended_is_left_out(dog: World, graph: World) -> None:
    dog.there.reply = datadog([datadog_series(POINTS)])
    graph.there.reply = graphite([POINTS])

    assert await dog.ask() == (5.0,)
    assert await graph.ask() == (5.0,)


async def test_says_that_no_bucket_is_complete(dog: World, graph: World) -> None:
    halves = [(STAMP - 700, 5.0), (STAMP - 100, 1.0)]
    dog.there.reply = datadog([datadog_series(halves, interval=600)])
    graph.there.reply = graphite([halves])

    for world in (dog, graph):
        said = await world.complaint()
        assert "of 600s each, and none of them is complete" in said
        assert "a longer interval" in said


async def test_an_old_point_is_no_data(dog: World, graph: World) -> None:
    old = [(STAMP - 720, 5.0), (STAMP - 660, None)]
    dog.there.reply = datadog([datadog_series(old, interval=20)])
    graph.there.reply = graphite([[(STAMP - 780, 5.0), (STAMP - 760, 5.0)]])

    assert await dog.ask() == ()
    assert await graph.ask() == ()


async def test_graphite_goes_back_as_far_as_the_query_says(graph: World) -> None:
    graph.there.reply = graphite([[(STAMP - 7200, 5.0), (STAMP - 3600, "6"), (STAMP, 1.0)]])

    assert await graph.ask("target=x&from=-1d&until=now&format=csv&maxDataPoints=9") == (6.0,)
    asked = graph.there.requests[0].query
    assert asked == {
        "target": "x",
        "from": "-1d",
        "until": "now",
        "format": "json",
        "maxDataPoints": "9",
    }


async def test_graphite_needs_a_target(graph: World) -> None:
    assert "write it as target=" in await graph.complaint("sumSeries(x)")


async def test_graphites_infinite_numbers_are_such(graph: World) -> None:
    graph.there.reply = text(f'[{{"target": "x", "datapoints": [[1e9999, {STAMP - 10:.0f}]]}}]')

    assert await graph.ask() == (math.inf,)


async def test_datadog_says_in_a_success_that_a_query_is_refused(dog: World) -> None:
    dog.there.reply = replies({"status": "error", "error": "Rule 'x' unexpected", "series": []})

    assert "refuses the query: Rule 'x' unexpected; mend it" in await dog.complaint()


async def test_datadog_says_when_its_limit_ends(dog: World) -> None:
    async def busy(_request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=429, headers={"X-RateLimit-Reset": "12"})

    dog.there.reply = busy

    assert "asked again in 12s" in await dog.complaint()


async def test_a_service_with_an_address_of_its_own_needs_none() -> None:
    async with serve("datadog") as there:
        fetcher = Fetcher(Guard(), answer=timedelta(milliseconds=1))
        said = await World(there, fetcher).complaint(spec=replace(there.spec, address=""))
    assert "Datadog at https://api.datadoghq.com" in said


# --- InfluxDB ---------------------------------------------------------------------------------


async def test_flux_is_sent_as_it_is(flux: World) -> None:
    sent: list[bytes] = []

    async def keep(request: web.Request) -> web.StreamResponse:
        sent.append(await request.read())
        return await influx(())(request)

    flux.there.reply = keep
    await flux.ask('from(bucket: "ü")')

    assert sent == ['from(bucket: "ü")'.encode()]


async def test_a_last_window_that_is_cut_short_is_left_out(flux: World) -> None:
    whole = [(STAMP - 30 - 60 * n, float(n)) for n in range(5, -1, -1)]
    flux.there.reply = influx([[*whole, (STAMP, 9.0)]])
    assert await flux.ask() == (0.0,)

    flux.there.reply = influx([whole])
    assert await flux.ask() == (0.0,)


ANNOTATED = (
    "#datatype,string,long,double\r\n#group,false,false,false\r\n#default,_result,,\r\n"
    ",result,table,_value\r\n,,0,4\r\n\r\n#datatype,string,long,double\r\n"
    ",result,table,_value,host\r\n,_result,1,5,a\r\n,_result,2,6,b\r\n\r\n"
)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (ANNOTATED, (4, 5, 6)),
        (",result,table,_value\r\n,_result,0,\r\n,_result,0,NaN\r\n", ()),
        (",result,table,_value\r\n,_result,0,+Inf\r\n", (math.inf,)),
        (",result,table,_value\r\n", ()),
    ],
)
async def test_tables_are_read(flux: World, body: str, values: tuple[float, ...]) -> None:
    flux.there.reply = text(body, kind="text/csv")

    assert await flux.ask() == values


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (",result,table,_value\r\n,_result,0,up\r\n", "gives the text 'up'"),
        (",result,table,count\r\n,_result,0,3\r\n", "without the column _value"),
        (",error,reference\r\n,runtime error: no bucket,897\r\n", "gives up the query: runtime"),
        (
            f",result,table,_time,_value\r\n,_result,0,{rfc3339(STAMP)},1\r\n,_result,0,soon,1\r\n",
            "is not the API of InfluxDB",
        ),
        ('{"results": []}', "is not the API of InfluxDB"),
    ],
)
async def test_what_of_a_table_is_no_number_is_said(flux: World, body: str, message: str) -> None:
    flux.there.reply = text(body, kind="text/csv")

    assert message in await flux.complaint()


# --- New Relic --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "values"),
    [
        ([{"count": 7}], (7,)),
        ([{"average": 1.5}, {"max": 2}], (1.5, 2)),
        ([{"percentiles": {"95": 3.5, "99": None}}], (3.5,)),
        ([{"average": None}], ()),
    ],
)
async def test_the_numbers_of_functions_are_read(
    relic: World, results: list[Any], values: tuple[float, ...]
) -> None:
    relic.there.reply = replies({"results": results})

    assert await relic.ask() == values


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"results": [{"events": [{"a": 1}]}]}, "wrap attributes in average()"),
        ({"timeSeries": [], "total": {}}, "leave TIMESERIES out"),
        ({"results": [{"latest": "v1"}]}, "something else than a number"),
        ({"results": [{"members": ["a"]}]}, "something else than a number"),
    ],
)
async def test_what_is_no_number_is_said(relic: World, body: Any, message: str) -> None:
    relic.there.reply = replies(body)

    assert message in await relic.complaint()


async def test_a_time_of_the_querys_own_is_kept(relic: World) -> None:
    await relic.ask("SELECT count(*) FROM A since 5 minutes ago UNTIL 1 minute ago")

    assert relic.there.requests[0].query["nrql"].endswith("UNTIL 1 minute ago")


async def test_an_account_is_a_number(relic: World) -> None:
    secret = {**relic.there.vendor.secret, "newrelic_account_id": "../1"}

    said = await relic.complaint(spec=replace(relic.there.spec, secret=secret))

    assert "newrelic_account_id in the provider's Secret is no number" in said
