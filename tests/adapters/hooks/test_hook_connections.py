"""A hook's connections: its own, closed when it is given up, with nothing left behind."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import trustme
from aiohttp import web

from analyzer.addresses import EVERYWHERE
from analyzer.hooks.http import HttpHookCaller
from canary.model.strategy import Hook, HookType
from tests.fakes.listening import TestServer
from tests.fakes.receiver import silent

PAYLOAD = {"name": "web", "namespace": "prod", "phase": "Progressing", "checksum": "abc"}
HOUR = timedelta(hours=1)


def hook(url: str, *, timeout: timedelta = HOUR, retries: int = 0) -> Hook:
    return Hook(
        name="gate",
        type=HookType.ROLLOUT,
        url=url,
        timeout=timeout,
        retries=retries,
        verify_tls=False,
    )


@dataclass
class Receiver:
    """Answers with a cookie, and keeps who asked, from where, and with what."""

    statuses: list[int] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    peers: list[object] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        # By name: cookies of an address are not kept by any client.
        return f"http://localhost:{self.port}/"

    async def receive(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.headers.append(dict(request.headers))
        self.peers.append(request.transport.get_extra_info("peername"))
        status = self.statuses.pop(0) if self.statuses else 200
        response = web.Response(status=status)
        response.set_cookie("session", "of another team")
        return response


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/", receiver.receive)
    server = TestServer(app, host="localhost")
    await server.start_server()
    receiver.port = server.port or 0
    try:
        yield receiver
    finally:
        await server.close()


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest) -> ssl.SSLContext | None:
    if request.param == "http":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_call_that_is_cancelled_closes_its_connection(tls: ssl.SSLContext | None) -> None:
    async with silent(tls) as server, asyncio.TaskGroup() as group:
        call = group.create_task(HttpHookCaller(EVERYWHERE).call(hook(server.url), PAYLOAD))
        await server.until(lambda it: it.open == 1)

        call.cancel()

        await server.until(lambda it: it.ended == 1)


async def test_a_try_that_is_over_closes_its_connection(tls: ssl.SSLContext | None) -> None:
    async with silent(tls) as server:
        tried = hook(server.url, timeout=timedelta(milliseconds=300), retries=1)

        result = await HttpHookCaller(EVERYWHERE, first_delay=0.0).call(tried, PAYLOAD)

        await server.until(lambda it: it.ended == 2)
    assert result.message.endswith(" (after 2 tries)")


async def test_no_cookie_comes_back_whoever_set_it(receiver: Receiver) -> None:
    receiver.statuses = [503, 200, 200]
    caller = HttpHookCaller(EVERYWHERE, first_delay=0.0)

    for _ in range(2):
        assert (await caller.call(hook(receiver.url, retries=1), PAYLOAD)).ok

    assert len(receiver.headers) == 3
    assert not [headers for headers in receiver.headers if "Cookie" in headers]


async def test_every_try_has_a_connection_of_its_own(receiver: Receiver) -> None:
    receiver.statuses = [503, 200, 200]
    caller = HttpHookCaller(EVERYWHERE, first_delay=0.0)

    for _ in range(2):
        await caller.call(hook(receiver.url, retries=1), PAYLOAD)

    assert len(set(receiver.peers)) == 3
    assert {headers["Connection"].lower() for headers in receiver.headers} == {"close"}


async def test_a_proxy_of_the_environment_is_not_asked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    assert (await HttpHookCaller(EVERYWHERE).call(hook(receiver.url), PAYLOAD)).ok


async def test_a_success_is_one_before_its_text_ends() -> None:
    async def begin(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        return response

    app = web.Application()
    app.router.add_post("/", begin)
    server = TestServer(app)
    await server.start_server()
    try:
        result = await HttpHookCaller(EVERYWHERE).call(hook(str(server.make_url("/"))), PAYLOAD)
    finally:
        await server.close()

    assert result.ok


async def test_an_answer_that_never_ends_is_read_no_further_than_it_is_quoted() -> None:
    async def talk(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        while True:
            await response.write(b"no " * 1000)

    app = web.Application()
    app.router.add_post("/", talk)
    server = TestServer(app)
    await server.start_server()
    try:
        result = await HttpHookCaller(EVERYWHERE).call(hook(str(server.make_url("/"))), PAYLOAD)
    finally:
        await server.close()

    assert result.message.endswith(": answered 500: " + ("no " * 86)[:256] + "...")


# --- names ------------------------------------------------------------------------------------


@dataclass
class Names:
    """The system's resolver, with names that it never gets to the end of."""

    answered: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    look_up: Any = socket.getaddrinfo

    def getaddrinfo(self, host: str, *args: Any, **kwargs: Any) -> Any:
        self.asked.append(host)
        if host.endswith(".hangs"):
            self.answered.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "no")
        return self.look_up(host, *args, **kwargs)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    try:
        yield names
    finally:
        names.answered.set()


@pytest.mark.usefixtures("names")
async def test_a_name_that_is_looked_up_for_ever_is_given_up() -> None:
    caller = HttpHookCaller(EVERYWHERE, connect=timedelta(milliseconds=100))

    result = await caller.call(hook("http://nowhere.hangs/"), PAYLOAD)

    assert ": no connection within " in result.message


async def test_a_name_that_hangs_is_asked_for_once_however_often_it_is_tried(names: Names) -> None:
    caller = HttpHookCaller(EVERYWHERE, connect=timedelta(milliseconds=50), first_delay=0.0)

    result = await caller.call(hook("http://nowhere.hangs/", retries=3), PAYLOAD)

    assert result.message.endswith(" (after 4 tries)")
    assert names.asked == ["nowhere.hangs"]


async def test_names_that_hang_take_no_thread_that_others_need(
    receiver: Receiver, names: Names
) -> None:
    caller = HttpHookCaller(EVERYWHERE)
    async with asyncio.TaskGroup() as group:
        hanging = [
            group.create_task(caller.call(hook(f"http://nowhere-{n}.hangs/"), PAYLOAD))
            for n in range(100)
        ]
        async with asyncio.timeout(10):
            while len(names.asked) < 100:
                await asyncio.to_thread(lambda: None)  # the loop's own threads are free

            result = await caller.call(hook(receiver.url), PAYLOAD)

        for call in hanging:
            call.cancel()
    assert result.ok
