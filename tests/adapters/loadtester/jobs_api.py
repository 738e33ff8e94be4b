"""A local API server with Jobs of the namespace prod, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from runtime.kube import Cluster
from runtime.probes import serve

PATH = "/apis/batch/v1/namespaces/prod/jobs"
Trouble = Callable[[web.Request], web.Response]


def status(code: int, reason: str) -> web.Response:
    """Return a Kubernetes `Status`."""
    body = {"kind": "Status", "code": code, "reason": reason, "message": f"said {code}"}
    return web.json_response(body, status=code)


class JobsApi:
    """Keeps Jobs; `asked` are method and path of each request."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.creating: list[int] = []
        """How the next creations are answered in place of making anything."""
        self.reading: list[int] = []
        self.loses_answers = False
        """Whether a Job is made and its maker hears of a failure."""

    def end(self, kind: str, reason: str = "", message: str = "") -> None:
        """End every Job that runs, with a condition of this type."""
        condition = {"type": kind, "status": "True", "reason": reason, "message": message}
        for job in self.jobs.values():
            job.setdefault("status", {}).setdefault("conditions", []).append(condition)

    async def made(self, count: int = 1) -> dict[str, Any]:
        """Wait for so many Jobs, within the test's time, and return the last one."""
        while True:
            if len(self.jobs) >= count:
                return list(self.jobs.values())[-1]
            await asyncio.sleep(0.01)

    async def looked_at(self) -> None:
        """Wait until somebody has read a Job since."""
        before = self._reads()
        while True:
            if self._reads() > before:
                return
            await asyncio.sleep(0.01)

    def _reads(self) -> int:
        return sum(verb == "GET" for verb, _ in self.asked)

    async def create(self, request: web.Request) -> web.Response:
        self.asked.append(("POST", request.path))
        if self.creating:
            return status(self.creating.pop(0), "Scripted")
        job = await request.json()
        self.jobs[job["metadata"]["name"]] = job
        if self.loses_answers:
            return status(504, "Timeout")
        return web.json_response(job, status=201)

    async def read(self, request: web.Request) -> web.Response:
        self.asked.append(("GET", request.path))
        if self.reading:
            return status(self.reading.pop(0), "Scripted")
        job = self.jobs.get(request.match_info["name"])
        return web.json_response(job) if job else status(404, "NotFound")

    @asynccontextmanager
    async def cluster(self, folder: Path) -> AsyncIterator[Cluster]:
        """Serve, and yield the product's own client of it."""
        app = web.Application()
        app.router.add_post(PATH, self.create)
        app.router.add_get(PATH + "/{name}", self.read)
        async with serve(app, port=0, host="127.0.0.1") as port:
            kubeconfig = folder / "kubeconfig"
            kubeconfig.write_text(yaml.safe_dump(_kubeconfig(port)))
            async with Cluster.connect(kubeconfig, deadline=2) as cluster:
                yield cluster


def _kubeconfig(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t0"}}],
    }
