"""The probes say which condition fails; metrics come from the registry that was passed in."""

import asyncio
import gc
import socket
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry, Counter

from runtime.probes import Checks, application, serve
from tests.fakes.listening import LOCAL, TestServer, listening


async def test_ready_only_while_all_conditions_hold_and_says_which_fails() -> None:
    synced = False
    ready = Checks(serving=lambda: True)
    ready.add("synced", lambda: synced)
    app = application(ready=ready, registry=CollectorRegistry())
    async with serve(app, host="127.0.0.1", port=0) as port, ClientSession() as client:
        url = f"http://127.0.0.1:{port}/readyz"
        async with client.get(url) as answer:
            assert (answer.status, await answer.text()) == (
                503,
                "[+] serving\n[-] synced\nfailing\n",
            )
        assert ready.failing() == ["synced"]
        synced = True
        async with client.get(url) as answer:
            assert (answer.status, await answer.text()) == (200, "[+] serving\n[+] synced\nok\n")


async def test_alive_without_being_ready() -> None:
    app = application(ready=Checks(never=lambda: False), registry=CollectorRegistry())
    async with (
        serve(app, host="127.0.0.1", port=0) as port,
        ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/healthz") as answer,
    ):
        assert answer.status == 200


async def test_not_alive_when_a_liveness_condition_fails() -> None:
    app = application(
        ready=Checks(), alive=Checks(stuck=lambda: False), registry=CollectorRegistry()
    )
    async with (
        serve(app, host="127.0.0.1", port=0) as port,
        ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/healthz") as answer,
    ):
        assert (answer.status, await answer.text()) == (503, "[-] stuck\nfailing\n")


async def test_metrics_of_the_registry() -> None:
    registry = CollectorRegistry()
    Counter("reviews", "Reviews.", registry=registry).inc(3)
    app = application(ready=Checks(), registry=registry)
    async with (
        serve(app, host="127.0.0.1", port=0) as port,
        ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        assert "reviews_total 3.0" in await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain")


def of_the_product() -> AbstractAsyncContextManager[int]:
    return serve(web.Application(), host=LOCAL, port=0)


def of_streams() -> AbstractAsyncContextManager[int]:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            writer.close()

    return listening(meet)


@asynccontextmanager
async def of_a_test() -> AsyncIterator[int]:
    async with TestServer(web.Application()) as server:
        assert server.port is not None
        yield server.port


@pytest.mark.parametrize("listener", [of_the_product, of_streams, of_a_test])
@pytest.mark.parametrize("turns", range(5))
def test_a_connection_that_comes_as_its_server_closes_is_not_left_open(
    listener: Callable[[], AbstractAsyncContextManager[int]], turns: int
) -> None:
    async def connected_at_the_end() -> None:
        async with listener() as port:
            client = socket.create_connection((LOCAL, port))
            for _ in range(turns):
                await asyncio.sleep(0)
        client.close()

    with warnings.catch_warnings(record=True) as left:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(connected_at_the_end())
        gc.collect()
    assert [str(one.message) for one in left] == []
