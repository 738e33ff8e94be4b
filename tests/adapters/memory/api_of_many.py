"""A local server that lists any number of Deployments, page by page, and tells of changes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL
from tests.fakes import objects
from tests.fakes.listening import TestServer

_NUMBER = b"#####"


def deployment(number: int, namespace: str) -> bytes:
    """Return a usual Deployment: 18 KiB as Python objects, with who owns its fields."""
    return _usual(namespace).replace(_NUMBER, f"{number:05}".encode())


@cache
def _usual(namespace: str) -> bytes:
    number = _NUMBER.decode()
    obj = objects.deployment(name=f"target-{number}", image="registry.example/shop/web:1.2.3")
    notes = obj["metadata"].get("annotations") or {}
    obj["metadata"] |= {
        "namespace": namespace,
        "resourceVersion": f"10{number}",
        "annotations": {**notes, "kubectl.kubernetes.io/last-applied": "x" * 1500},
        "managedFields": [
            {
                "manager": f"manager-{one}",
                "operation": "Update",
                "fieldsV1": {f"f:{field}": {"f:x": {}, "f:y": {}} for field in range(20)},
            }
            for one in range(3)
        ],
    }
    [container] = obj["spec"]["template"]["spec"]["containers"]
    container["env"] = [
        {"name": f"SETTING_{one}", "value": f"value-{one}-{number}"} for one in range(20)
    ]
    return json.dumps(obj).encode()


class Api:
    """Namespaces as they are given, and so many Deployments as a function makes."""

    def __init__(self, make: Callable[[int], bytes], count: int, *namespaces: str) -> None:
        self._make = make
        self._count = count
        self._namespaces = namespaces
        self.events: list[bytes] = []

    @asynccontextmanager
    async def serve(self, directory: Path) -> AsyncIterator[str]:
        """Serve, and return the path of a kubeconfig."""
        app = web.Application()
        app.router.add_get("/apis/apps/v1/deployments", self._deployments)
        app.router.add_get("/api/v1/namespaces", self._all_namespaces)
        app.router.add_get("/apis/flagger.app/v1beta1/canaries", self._nothing)
        async with TestServer(app) as server:
            path = directory / "kubeconfig"
            url = str(server.make_url("")).rstrip("/")
            path.write_text(yaml.safe_dump(kubeconfig(url)))
            yield str(path)

    async def _deployments(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request, self.events)
        limit = int(request.query.get("limit", self._count))
        begin = int(request.query.get("continue", "0"))
        end = min(self._count, begin + limit)
        going_on = str(end) if end < self._count else ""
        metadata = json.dumps({"resourceVersion": "7", "continue": going_on}).encode()
        response = web.StreamResponse()
        with suppress(ConnectionError):  # who has had enough of a page hangs up
            await response.prepare(request)
            await response.write(b'{"metadata":' + metadata + b',"items":[')
            for number in range(begin, end):
                await response.write((b"," if number > begin else b"") + self._make(number))
            await response.write(b"]}")
        return response

    async def _all_namespaces(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request, [])
        labels = {NAMESPACE_LABEL: NAMESPACE_ENABLED}
        items = [{"metadata": {"name": name, "labels": labels}} for name in self._namespaces]
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": items})

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request, [])
        return web.json_response({"metadata": {"resourceVersion": "7"}, "items": []})

    @staticmethod
    async def _watch(request: web.Request, events: list[bytes]) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for event in events:
            await response.write(event + b"\n")
        await asyncio.Event().wait()
        return response


def kubeconfig(url: str) -> dict[str, Any]:
    """Return the way to a server without TLS."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t0"}}],
    }
