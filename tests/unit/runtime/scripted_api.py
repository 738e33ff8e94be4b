"""A local HTTP server that answers as an API server in trouble does."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from runtime.kube import Cluster
from tests.fakes.listening import TestServer

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def status(code: int, reason: str = "", **headers: str) -> Answer:
    """Answer with a Kubernetes `Status`."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "code": code, "reason": reason, "message": f"said {code}"}
        return web.json_response(
            body, status=code, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return answer


def ok(**obj: Any) -> Answer:
    """Answer 200 with a JSON object."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(obj)

    return answer


def hang_up() -> Answer:
    """Close the connection without an answer."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return answer


def events(*values: dict[str, Any], cut: bool = False) -> Answer:
    """Stream the events of a watch; `cut` aborts the connection after the last."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for value in values:
            await response.write(json.dumps(value).encode() + b"\n")
        if cut:
            assert request.transport is not None
            request.transport.close()
        return response

    return answer


def raw(body: bytes) -> Answer:
    """Stream bytes as they are."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(body)
        return response

    return answer


class ScriptedApi:
    """Gives its answers one after the other, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[web.Request] = []
        self.bodies: list[Any] = []
        self._dir = Path()
        self._url = ""
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        text = await request.text()
        self.bodies.append(json.loads(text) if text else None)
        return await self.answers.pop(0)(request)

    @asynccontextmanager
    async def cluster(self, *, deadline: float = 5.0, token: str = "t0") -> AsyncIterator[Cluster]:  # noqa: S107
        async with Cluster.connect(self.kubeconfig(token), deadline=deadline) as cluster:
            yield cluster

    def kubeconfig(self, token: str) -> Path:
        path = self._dir / "kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                    "clusters": [{"name": "c", "cluster": {"server": self._url}}],
                    "users": [{"name": "u", "user": {"token": token}}],
                }
            )
        )
        return path

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator["ScriptedApi"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        self._dir = directory
        async with TestServer(app) as server:
            self._url = str(server.make_url("")).rstrip("/")
            self.port = server.port or 0
            yield self
