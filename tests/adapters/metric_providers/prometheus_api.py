"""A local server that answers as Prometheus' API does, and also as it never would."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from aiohttp import web

from tests.fakes.listening import TestServer

MINUTE: Final = timedelta(minutes=1)
"""The interval of a metric, unless it says another."""

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


def replies(body: Any, status: int = 200, **headers: str) -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return reply


def result(kind: str, value: Any) -> Reply:
    return replies({"status": "success", "data": {"resultType": kind, "result": value}})


def vector(*values: str) -> Reply:
    series = [{"metric": {"n": str(n)}, "value": [17.5, it]} for n, it in enumerate(values)]
    return result("vector", series)


def refusal(status: int, text: str) -> Reply:
    return replies({"status": "error", "errorType": "bad_data", "error": text}, status)


@dataclass
class Prometheus:
    """The other side: gives each query its reply, and remembers what it was asked with."""

    replies: dict[str, Reply] = field(default_factory=dict)
    requests: list[web.Request] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        asked = dict(await request.post() if request.method == "POST" else request.query)
        self.asked.append({name: str(value) for name, value in asked.items()})
        self.connections.add(request.transport and request.transport.get_extra_info("peername"))
        return await self.replies.get(self.asked[-1]["query"], vector())(request)

    @asynccontextmanager
    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        app = web.Application()
        for path in ("/api/v1/query", "/api/v1/query_range"):
            app.router.add_get(path, self.answer)
            app.router.add_post(path, self.answer)
        server = TestServer(app, scheme="https" if tls else "http")
        await server.start_server(ssl=tls)
        try:
            yield str(server.make_url("")).rstrip("/")
        finally:
            await server.close()


async def drip(request: web.Request) -> web.StreamResponse:
    """Send an answer that does not end, fast enough that no single read waits long."""
    response = web.StreamResponse()
    await response.prepare(request)
    while request.transport is not None:
        await response.write(b" ")
        await asyncio.sleep(0.02)
    return response


async def stay_silent(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while request.transport is not None:
        try:
            await response.write(b" " * 65536)
        except ConnectionError:
            break
    return response
