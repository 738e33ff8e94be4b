"""An API server that keeps chosen writes of one client back: as if they were still on their way."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

_HOP = {"connection", "transfer-encoding", "content-length", "host"}
Chosen = Callable[[str, str, str], bool]
"""Tells by method, path and body whether a write is kept back."""


@dataclass(frozen=True, slots=True)
class Write:
    """What a client has written, and what came of it; `chosen` is why it was kept back."""

    method: str
    path: str
    status: int
    chosen: str = ""


@dataclass
class HeldBack:
    """The way of one client to the API server.

    Args:
        server: address of the API server.
        trust: how it is known.

    """

    server: str
    trust: ssl.SSLContext
    writes: list[Write] = field(default_factory=list)
    chosen: dict[str, Chosen] = field(default_factory=dict)
    kept: dict[str, asyncio.Event] = field(default_factory=dict)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    def choose(self, name: str, chosen: Chosen) -> asyncio.Event:
        """Keep the first such write back until `go`; the event tells that it has come."""
        self.chosen[name] = chosen
        self.kept[name] = asyncio.Event()
        return self.kept[name]

    def of(self, name: str) -> Write | None:
        """Return what came of a write that was kept back, None while nothing has."""
        return next((write for write in self.writes if write.chosen == name), None)

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[None]:
        """Serve while the context lasts."""
        app = web.Application(client_max_size=2**24)
        connector = aiohttp.TCPConnector(ssl=self.trust, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        ) as session:

            async def handle(request: web.Request) -> web.StreamResponse:
                return await self._pass_on(session, request)

            app.router.add_route("*", "/{path:.*}", handle)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = runner.addresses[0][1]
            try:
                yield
            finally:
                self.go.set()
                await runner.cleanup()

    async def _pass_on(
        self, session: aiohttp.ClientSession, request: web.Request
    ) -> web.StreamResponse:
        body = await request.read()
        name = self._chosen(request, body)
        if name:
            del self.chosen[name]
            self.kept[name].set()
            await self.go.wait()
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        url = f"{self.server}{request.path_qs}"
        async with session.request(request.method, url, data=body, headers=headers) as answer:
            if request.method != "GET":
                self.writes.append(Write(request.method, request.path, answer.status, name))
            back = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
            response = web.StreamResponse(status=answer.status, headers=back)
            try:
                await response.prepare(request)
                async for part in answer.content.iter_any():
                    await response.write(part)
                await response.write_eof()
            except (ConnectionError, aiohttp.ClientError):
                pass  # the client has gone; what it wrote counts all the same
            return response

    def _chosen(self, request: web.Request, body: bytes) -> str:
        text = body.decode(errors="replace")
        found = (n for n, it in self.chosen.items() if it(request.method, request.path, text))
        return next(found, "")


def access_of(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    """Return the address of a kubeconfig's API server, and how it is known."""
    cluster: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    return cluster["server"], ssl.create_default_context(cadata=authority)


def kubeconfig_of(port: int, token: str) -> str:
    """Return a kubeconfig of an account that goes this way."""
    cluster = {"server": f"http://127.0.0.1:{port}"}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
        }
    )
