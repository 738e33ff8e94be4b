"""No connection is made to an address that no team may name, however it is written."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from analyzer.addresses import Guard, parse_networks
from analyzer.hooks.http import HttpHookCaller
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from analyzer.ports import ProviderError
from canary.model.strategy import Hook, HookType
from canary.queries.provider import ProviderSpec
from tests.adapters.metric_providers.prometheus_api import MINUTE
from tests.fakes.listening import listening

LITERALS = (
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"),
    "0.0.0.0",  # noqa: S104 - asked for, not listened at
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
)
ANSWER = b'{"status":"success","data":{"resultType":"scalar","result":[0,"7"]}}'
Ask = Callable[[Guard, str], Awaitable[str]]


class Receiver:
    """Answers every request with the same; `calls` is how many connections it has had."""

    def __init__(self, answer: bytes) -> None:
        self.calls = 0
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self._answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def receiver(host: str, port: int = 0, **headers: str) -> AsyncIterator[tuple[Receiver, int]]:
    status = "307 There" if headers else "200 OK"
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines, f"Content-Length: {len(ANSWER)}", "", ""])
    it = Receiver(head.encode() + ANSWER)
    async with listening(it.serve, host, port) as at:
        yield it, at


async def call_hook(guard: Guard, url: str) -> str:
    """Return what is wrong with a call, "" where it was answered."""
    hook = Hook(name="gate", type=HookType.ROLLOUT, url=url, timeout=timedelta(seconds=5))
    result = await HttpHookCaller(guard).call(hook, {})
    return result.message


async def ask_prometheus(guard: Guard, url: str, trusted: str = "") -> str:
    """Return what is wrong with a query, "" where it was answered."""
    provider = PrometheusProvider(guard, trusted=trusted)
    try:
        spec = ProviderSpec(type="prometheus", address=url)
        assert await provider.query(spec, "up", MINUTE) == (7.0,)
    except ProviderError as error:
        return str(error)
    finally:
        await provider.aclose()
    return ""


clients = pytest.mark.parametrize("ask", [call_hook, ask_prometheus])


@clients
@pytest.mark.parametrize("host", LITERALS)
async def test_loopback_is_not_asked_however_it_is_written(ask: Ask, host: str) -> None:
    async with receiver("127.0.0.1") as (it, port):
        said = await ask(Guard(), f"http://{host}:{port}/")

    # aiohttp takes no address that is written in an old form.
    assert "by HEADGATE_ALLOWED_ADDRESSES" in said or "not a URL that can be called" in said
    assert it.calls == 0


@clients
async def test_what_the_admin_allows_is_asked(ask: Ask) -> None:
    async with receiver("127.0.0.1") as (it, port):
        said = await ask(Guard(parse_networks("127.0.0.1/32")), f"http://localhost:{port}/")

    assert (said, it.calls) == ("", 1)


@clients
async def test_metadata_of_a_cloud_are_not_asked(ask: Ask) -> None:
    said = await ask(Guard(), "http://169.254.169.254/latest/meta-data/")

    assert "169.254.169.254 is link-local; an admin can allow it" in said


@clients
async def test_headgate_s_own_are_not_asked(ask: Ask) -> None:
    guard = Guard(parse_networks("127.0.0.1/32"))
    async with receiver("127.0.0.2") as (it, port):
        guard.own = frozenset({("127.0.0.2", port)})
        assert await ask(guard, f"http://127.0.0.2:{port}")

    assert it.calls == 0


async def test_the_admin_s_own_metrics_server_is_asked_wherever_it_is() -> None:
    async with receiver("127.0.0.1") as (it, port):
        url = f"http://127.0.0.1:{port}"
        assert await ask_prometheus(Guard(), url, trusted=f"{url}/") == ""
        assert await ask_prometheus(Guard(), f"{url}/elsewhere", trusted=f"{url}/") != ""

    assert it.calls == 1


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: tuple[str, ...]) -> None:
    """Let every name resolve to these, one after the other; the last one stays."""
    left = list(answers)

    def look_up(name: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if name[0].isdigit():
            addresses: tuple[str, ...] = (name,)
        else:
            addresses = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (it, port)) for it in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


async def test_a_name_that_leads_elsewhere_at_the_redirect_is_not_followed_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guard = Guard(parse_networks("127.0.0.2/32"))
    async with (
        receiver("127.0.0.2", Location="/again") as (first, port),
        receiver("127.0.0.1", port) as (second, _),
    ):
        resolving(monkeypatch, ("127.0.0.2",), ("127.0.0.1",))
        said = await call_hook(guard, f"http://x.test:{port}/")

    assert "127.0.0.1 is the analyzer's own" in said
    assert (first.calls, second.calls) == (1, 0)


@clients
async def test_of_a_name_s_addresses_those_are_asked_that_may_be(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = Guard(parse_networks("127.0.0.2/32"))
    async with (
        receiver("127.0.0.2") as (there, port),
        receiver("127.0.0.1", port) as (denied, _),
    ):
        resolving(monkeypatch, ("127.0.0.1", "127.0.0.2"))
        said = await ask(guard, f"http://x.test:{port}/")

    assert (said, there.calls, denied.calls) == ("", 1, 0)


@clients
async def test_several_addresses_that_are_denied_are_said(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, ("127.0.0.1", "169.254.1.1"))

    assert "an admin can allow it by" in await ask(Guard(), "http://x.test/")


async def test_a_proxy_of_the_environment_does_not_reach_for_a_team_what_is_denied_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with receiver("127.0.0.1") as (proxy, port):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        said = await ask_prometheus(Guard(), "http://169.254.169.254/")

    assert "is link-local" in said
    assert proxy.calls == 0
