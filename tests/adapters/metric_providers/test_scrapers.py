"""The contract of a Scraper, for pods and the fake; then what pods do, on a local server."""

import asyncio
import math
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import aiohttp
import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import unused_port
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from analyzer.pod_pages.scraper import PodScraper, open_scraper
from analyzer.ports import ProviderError, Scraper
from canary.counting.series import Series
from tests.fakes.listening import TestServer
from tests.fakes.scraper import FakeScraper

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]
TEXT = "text/plain; version=0.0.4; charset=utf-8"
NAME = "http_requests_total"
NAMES = frozenset({NAME})
HISTOGRAM = frozenset({"seconds_bucket", "seconds_count", "seconds_sum"})


def serves(
    text: str | bytes, kind: str = TEXT, status: int = 200, *, to: str = "", encoding: str = ""
) -> Reply:
    body = text.encode() if isinstance(text, str) else text
    headers = {"Content-Type": kind, "Location": to, "Content-Encoding": encoding}

    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=body, status=status, headers={name: it for name, it in headers.items() if it}
        )

    return reply


def series(value: float, name: str = NAME, **labels: str) -> Series:
    return Series({"__name__": name, **labels}, value)


@dataclass
class Pod:
    """The other side: gives its one page, and remembers what it was asked with."""

    reply: Reply = field(default_factory=lambda: serves(""))
    requests: list[web.Request] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.reply(request)


class World:
    """A scraper, and a page that it can read."""

    def __init__(self, scraper: Scraper, url: str, pod: Pod) -> None:
        self.scraper = scraper
        self.url = url
        self.pod = pod

    def has(self, *page: Series) -> None:
        if isinstance(self.scraper, FakeScraper):
            self.scraper.page(self.url, page)
        lines = []
        for labels, value in page:
            pairs = ",".join(f'{k}="{v}"' for k, v in labels.items() if k != "__name__")
            lines.append(f"{labels['__name__']}{{{pairs}}} {value}\n")
        self.pod.reply = serves("".join(lines))

    def breaks(self) -> None:
        if isinstance(self.scraper, FakeScraper):
            self.scraper.page(self.url, ProviderError("answers 500"))
        self.pod.reply = serves("", status=500)

    async def ask(self, names: frozenset[str] = NAMES) -> tuple[Series, ...]:
        return await self.scraper.scrape(self.url, names)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def real(session: aiohttp.ClientSession) -> AsyncIterator[World]:
    pod = Pod()
    app = web.Application()
    app.router.add_get("/metrics", pod.answer)
    async with TestServer(app) as server:
        yield World(PodScraper(session), str(server.make_url("/metrics")), pod)


@pytest.fixture(params=["real", "fake"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "real":
        real = request.getfixturevalue("real")
        assert isinstance(real, World)
        return real
    return World(FakeScraper(), "http://10.0.0.7:8080/metrics", Pod())


async def complaint(world: World, names: frozenset[str] = NAMES) -> str:
    with pytest.raises(ProviderError) as caught:
        await world.ask(names)
    return str(caught.value)


# --- the contract -----------------------------------------------------------------------------


async def test_gives_the_series_with_the_names(world: World) -> None:
    wanted = (series(17, status="200"), series(3, status="500"), series(0.5, "seconds_sum"))
    world.has(*wanted, series(5, "up"), series(1, "http_requests_total_wrong"))

    assert await world.ask(NAMES | HISTOGRAM) == wanted


async def test_gives_nothing_where_the_page_has_none_of_them(world: World) -> None:
    world.has(series(1, "up"))

    assert await world.ask() == ()


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf])
async def test_gives_values_as_they_are(world: World, value: float) -> None:
    world.has(series(value))

    assert await world.ask() == (series(value),)


async def test_gives_series_that_are_no_number_too(world: World) -> None:
    world.has(series(math.nan))

    (found,) = await world.ask()

    assert math.isnan(found.value)


async def test_raises_where_there_is_no_page(world: World) -> None:
    world.breaks()

    assert "answers 500" in await complaint(world)


async def test_raises_where_nobody_answers(world: World) -> None:
    world.url = f"http://127.0.0.1:{unused_port()}/metrics"

    assert f"the pod at {world.url} cannot be reached" in await complaint(world)


# --- formats ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("http_requests_total 17", series(17)),
        ("http_requests_total{} 17", series(17)),
        ('  http_requests_total\t{ a = "b" , }  1.7e1  ', series(17, a="b")),
        ('http_requests_total{a="b"} 17 1395066363000', series(17, a="b")),
        ('http_requests_total{a="b"} 17 # {trace_id="x"} 0.5 1395066363', series(17, a="b")),
        (r'http_requests_total{a="x\"y\\z\n,}"} 17', series(17, a='x"y\\z\n,}')),
        ('http_requests_total{a="\u2028\u00e9\x0b{"} 17', series(17, a="\u2028\u00e9\x0b{")),
        ('{"http_requests_total",a="b"} 17', series(17, a="b")),
        ('http_requests_total{a=""} +Inf\r', series(math.inf, a="")),
    ],
)
async def test_reads_a_line_of_text(real: World, line: str, found: Series) -> None:
    real.pod.reply = serves(f'up 1\n{line}\n\n{{"other.metric",a="b"}} 1\n')

    assert await real.ask() == (found,)


@pytest.mark.parametrize("kind", ["text/plain", "TEXT/plain;version=1.0.0;escaping=underscores"])
@pytest.mark.parametrize("name", ["http_requests", "http_requests_total"])
async def test_a_counter_in_text_keeps_its_name(real: World, name: str, kind: str) -> None:
    real.pod.reply = serves(
        f"# HELP {name} All of\\nthem.\n# TYPE {name} counter\n# a comment\n"
        f'{name}{{code="200"}} 17\n{name}{{code="500"}} 3\n# TYPE up gauge\nup 1\n',
        kind,
    )

    assert await real.ask(frozenset({name})) == (
        series(17, name, code="200"),
        series(3, name, code="500"),
    )


@pytest.mark.parametrize("kind", [OPENMETRICS, "application/openmetrics-text"])
async def test_reads_openmetrics(real: World, kind: str) -> None:
    real.pod.reply = serves(
        "# HELP http_requests All of them.\n# TYPE http_requests counter\n"
        'http_requests_total{a="b"} 17 1395066363.5 # {trace_id="x y"} 0.5 1395066363\n'
        'http_requests_created{a="b"} 1395066300.5 1395066363.5\n'
        "# TYPE other gauge\n# UNIT other \nother 1\n"
        "# TYPE seconds histogram\n"
        'seconds_bucket{le="0.1"} 1 # {trace_id="x"} 0.05\nseconds_bucket{le="+Inf"} 2\n'
        "seconds_count 2\nseconds_sum 0.7\n"
        "# EOF\n",
        kind,
    )

    assert await real.ask(NAMES | {"seconds_count"}) == (
        series(17, a="b"),
        series(2, "seconds_count"),
    )


@pytest.mark.parametrize("name", ["http_requests", "odd_total", "odd_count", "odd"])
async def test_reads_openmetrics_without_a_type(real: World, name: str) -> None:
    real.pod.reply = serves(f'{name}{{a="b"}} 17\n# EOF\n', OPENMETRICS)

    assert await real.ask(frozenset({name})) == (series(17, name, a="b"),)


@pytest.mark.parametrize("kind", [TEXT, OPENMETRICS])
async def test_reads_what_the_official_library_writes(real: World, kind: str) -> None:
    registry = CollectorRegistry()
    requests = Counter("http_requests", "Requests.", ["code"], registry=registry)
    requests.labels("200").inc(17)
    requests.labels('5"0\\0\n').inc(3, {"trace_id": "x"} if kind == OPENMETRICS else None)
    seconds = Histogram("seconds", "Time.", ["code"], buckets=(0.1, 1), registry=registry)
    seconds.labels("200").observe(0.5)
    generate = generate_openmetrics if kind == OPENMETRICS else generate_latest
    real.pod.reply = serves(generate(registry), kind)

    assert set(map(repr, await real.ask(NAMES | HISTOGRAM))) == {
        repr(series(17.0, code="200")),
        repr(series(3.0, code='5"0\\0\n')),
        repr(series(0.0, "seconds_bucket", code="200", le="0.1")),
        repr(series(1.0, "seconds_bucket", code="200", le="1.0")),
        repr(series(1.0, "seconds_bucket", code="200", le="+Inf")),
        repr(series(1.0, "seconds_count", code="200")),
        repr(series(0.5, "seconds_sum", code="200")),
    }


async def test_leaves_native_histograms_out(real: World) -> None:
    real.pod.reply = serves(
        "# TYPE seconds histogram\n"
        "seconds {count:24,sum:100,schema:0,zero_threshold:0.001,zero_count:4,"
        "positive_spans:[0:2,1:2],positive_deltas:[2,1,-3,3]}\n# EOF\n",
        OPENMETRICS,
    )

    assert await real.ask(HISTOGRAM | {"seconds"}) == ()


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("hello, world", TEXT),
        ("\x00\x01\x02", TEXT),
        (b'http_requests_total{a="\xff"} 1\n', TEXT),
        ("http_requests_total\n", TEXT),
        ("http_requests_total one\n", TEXT),
        ('http_requests_total{a="b} 1\n', TEXT),
        ('http_requests_total{a="b",a="c"} 1\n', TEXT),
        ("http_requests_total " + "9" * 4000 + "\n", TEXT),
        ("http_requests_total 1 " + "9" * 4000 + "\n", TEXT),
        ('http_requests_total{a="' + "x" * 5000 + '"} 1\n', TEXT),
        ("http_requests_total 1\n", OPENMETRICS),
        ("http_requests_total 1\n# EOF\nhttp_requests_total 2\n", OPENMETRICS),
        ("# TYPE http_requests counter\nhttp_requests_total NaN\n# EOF\n", OPENMETRICS),
        ("# TYPE http_requests histogram\nhttp_requests_bucket 1\n# EOF\n", OPENMETRICS),
        ("", OPENMETRICS),
    ],
)
async def test_says_that_a_page_cannot_be_parsed(real: World, page: str | bytes, kind: str) -> None:
    real.pod.reply = serves(page, kind)

    said = await complaint(real)

    assert f"the pod at {real.url} gives a page that cannot be parsed; mend what promtool" in said


# --- what a pod answers -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (serves("secret", status=401), "answers 401; let its metrics be read without credentials"),
        (serves("secret", status=404), "answers 404; see whether the port and the path are those"),
        (serves("secret", status=500), "answers 500; see its logs"),
        (serves("up 1\n", status=206), "answers 206; see its logs"),
        (serves("<p>secret", "text/html"), "gives no metrics (Content-Type text/html); see"),
        (serves("secret", "application/vnd.google.protobuf; proto=x"), "gives no metrics (Content"),
        (serves("secret", "x/" + "y" * 5000), "(Content-Type x/yyy"),
        (serves("secret", encoding="gzip"), "compresses its metrics (gzip)"),
        (serves("secret", encoding="zstd"), "compressed in a way that nobody"),
    ],
)
async def test_says_what_is_wrong_with_the_answer(real: World, reply: Reply, message: str) -> None:
    real.pod.reply = reply

    said = await complaint(real)

    assert message in said
    assert real.url in said
    assert "secret" not in said
    assert len(said) < 400


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_follows_no_redirect(real: World, status: int) -> None:
    real.pod.reply = serves("", status=status, to=f"{real.url}?secret")

    said = await complaint(real)

    assert f"answers {status}, a redirect, which is not followed; see whether" in said
    assert "secret" not in said
    assert len(real.pod.requests) == 1


async def test_asks_for_metrics_and_for_no_compression(real: World) -> None:
    await real.ask()

    headers = real.pod.requests[0].headers
    accepted = [it.partition(";")[0].strip() for it in headers["Accept"].split(",")]
    assert accepted == ["text/plain", "application/openmetrics-text"]
    assert headers["Accept-Encoding"] == "identity"


async def test_unpacks_nothing(real: World) -> None:
    async def compress(_request: web.Request) -> web.StreamResponse:
        response = web.Response(body=b"up 1\n" * 100_000, headers={"Content-Type": TEXT})
        response.enable_compression(web.ContentCoding.gzip)
        return response

    real.pod.reply = compress

    assert "compresses its metrics (gzip) unasked; let it send them as they" in await complaint(
        real
    )


# --- what a network does ----------------------------------------------------------------------


async def test_shows_no_secrets_of_an_address(real: World) -> None:
    shown, real.url = real.url, real.url.replace("http://", "http://me:secret@") + "?key=secret#x"
    real.pod.reply = serves("", status=403)

    assert f"the pod at {shown} answers 403" in await complaint(real)


@pytest.mark.parametrize("url", ["", "10.0.0.7", "ftp://10.0.0.7/", "http://", "http://[::1"])
async def test_says_that_an_address_is_none(real: World, url: str) -> None:
    real.url = url

    assert "write it as http://10.0.0.7:8080/metrics" in await complaint(real)


async def test_says_that_a_name_does_not_resolve(real: World) -> None:
    real.url = "http://pod.invalid/metrics"

    assert "cannot be reached (the name does not resolve)" in await complaint(real)


async def test_says_that_nobody_listens(real: World) -> None:
    real.url = f"http://127.0.0.1:{unused_port()}/metrics"

    assert "cannot be reached (Connection refused); see whether it runs" in await complaint(real)


async def test_says_that_there_is_no_tls(real: World) -> None:
    real.url = real.url.replace("http://", "https://")

    assert "cannot be reached (it speaks no TLS" in await complaint(real)


async def test_says_that_a_certificate_is_not_trusted(real: World) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = TestServer(web.Application(), scheme="https")
    await server.start_server(ssl=context)
    real.url = str(server.make_url("/metrics"))

    assert "has a certificate that is not trusted" in await complaint(real)

    await server.close()


async def test_says_that_the_connection_broke(real: World) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": TEXT, "Content-Length": "99"})
        await response.prepare(request)
        await response.write(b"up 1\n")
        assert request.transport is not None
        request.transport.close()
        return response

    real.pod.reply = hang_up

    assert "cannot be reached (the connection broke" in await complaint(real)


async def drip(request: web.Request) -> web.StreamResponse:
    """Send a page that does not end, fast enough that no single read waits long."""
    response = web.StreamResponse(headers={"Content-Type": TEXT})
    await response.prepare(request)
    while request.transport is not None:
        await response.write(b"\n")
        await asyncio.sleep(0.02)
    return response


async def stay_silent(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


@pytest.mark.parametrize("reply", [drip, stay_silent])
async def test_ends_with_its_time(
    real: World, session: aiohttp.ClientSession, reply: Reply
) -> None:
    real.scraper = PodScraper(session, timeout=timedelta(milliseconds=200))
    real.pod.reply = reply

    assert "has not given its metrics within" in await complaint(real)


async def test_cancellation_passes_through(real: World) -> None:
    real.pod.reply = stay_silent

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await real.ask()


async def test_reads_a_page_of_its_size_and_none_that_is_longer(
    real: World, session: aiohttp.ClientSession
) -> None:
    page = "#" * 999 + "\n"
    real.scraper = PodScraper(session, size=1000)
    real.pod.reply = serves(page)
    assert await real.ask() == ()

    real.pod.reply = serves(page + "#")

    assert "MiB of metrics; let it expose fewer series" in await complaint(real)


async def test_does_not_read_a_page_without_end(real: World) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": TEXT})
        await response.prepare(request)
        while request.transport is not None:
            try:
                await response.write(b"\n" * 65536)
            except ConnectionError:
                break
        return response

    real.pod.reply = endless

    assert "has more than 4 MiB of metrics; let it expose fewer series" in await complaint(real)


async def test_reads_no_more_of_the_wanted_than_it_has_time_for(real: World) -> None:
    page = "".join(f'{NAME}{{path="{n:0100}"}} 1\n' for n in range(12_000))
    real.pod.reply = serves(page)

    assert "has more than 1 MiB of the metrics that are judged" in await complaint(real)
    assert await real.ask(frozenset({"up"})) == ()


async def test_the_loop_goes_on_while_a_page_is_parsed(real: World) -> None:
    # About as much as is read at all: half a second of the parser's time.
    real.pod.reply = serves("".join(f'{NAME}{{path="{n:080}"}} 1\n' for n in range(9_000)))
    # The least of some, as the machine may be busy with other things.
    shares = [await _longest_wait(real) for _ in range(3)]

    assert min(shares) < 0.5


async def _longest_wait(real: World) -> float:
    """Return the longest turn of the loop while a page of 9,000 series is read, as its share."""
    waits = []
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(real.ask())
        while not asked.done():
            before = time.perf_counter()
            await asyncio.sleep(0)
            waits.append(time.perf_counter() - before)
    assert len(asked.result()) == 9_000
    return max(waits) / (time.perf_counter() - began)


async def test_no_pods_cookie_is_kept_and_no_proxy_is_asked(
    real: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reply(_request: web.Request) -> web.StreamResponse:
        response = web.Response(text=f"{NAME} 1\n", headers={"Content-Type": TEXT})
        response.set_cookie("pod", "7")
        return response

    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
    real.pod.reply = reply
    # By name: a usual jar keeps no cookies of addresses.
    url = real.url.replace("127.0.0.1", "localhost")
    async with open_scraper() as scraper:
        for _ in range(2):
            assert await scraper.scrape(url, NAMES) == (series(1),)
    assert [dict(request.cookies) for request in real.pod.requests] == [{}, {}]


async def test_more_pods_that_are_silent_than_a_pool_has_leave_a_connection_to_the_next(
    real: World,
) -> None:
    all_are_silent = asyncio.Event()
    silent: list[web.Request] = []

    async def reply(request: web.Request) -> web.StreamResponse:
        if request.query_string:
            silent.append(request)
            if len(silent) == 110:
                all_are_silent.set()
            await asyncio.Event().wait()
        return web.Response(text=f"{NAME} 1\n", headers={"Content-Type": TEXT})

    real.pod.reply = reply
    async with open_scraper(timedelta(minutes=1)) as scraper, asyncio.TaskGroup() as group:
        urls = [f"{real.url}?{number}" for number in range(110)]
        waiting = [group.create_task(scraper.scrape(url, NAMES)) for url in urls]
        async with asyncio.timeout(20):
            await all_are_silent.wait()
            assert await scraper.scrape(real.url, NAMES) == (series(1),)
        for task in waiting:
            task.cancel()
