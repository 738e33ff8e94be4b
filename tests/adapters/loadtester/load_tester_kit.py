"""A load tester that runs, and a hook's way to talk to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from loadtester.runner import CommandRunner
from loadtester.server import create_app
from loadtester.settings import Settings
from runtime.probes import serve


class LoadTester:
    """A running load tester, and a hook's way to talk to it."""

    def __init__(self, url: str, runner: CommandRunner, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.runner = runner
        self.session = session

    async def hook(
        self, name: str = "web", namespace: str = "prod", url: str = "", **metadata: Any
    ) -> tuple[int, str]:
        payload = {
            "name": name,
            "namespace": namespace,
            "phase": "Progressing",
            "metadata": metadata,
        }
        async with self.session.post(url or self.url, json=payload) as answer:
            return answer.status, await answer.text()

    async def post(self, body: bytes) -> tuple[int, str]:
        async with self.session.post(self.url, data=body) as answer:
            return answer.status, await answer.text()

    async def get(self, path: str = "") -> tuple[int, str]:
        async with self.session.get(self.url + path) as answer:
            return answer.status, await answer.text()

    async def overview(self) -> dict[str, Any]:
        async with self.session.get(self.url) as answer:
            overview = await answer.json()
            assert isinstance(overview, dict)
            return overview

    async def idle(self) -> dict[str, Any]:
        """Wait until nothing runs, within the test's time."""
        while True:
            overview = await self.overview()
            if not overview["running"]:
                return overview
            await asyncio.sleep(0.01)


@asynccontextmanager
async def load_tester(settings: Settings) -> AsyncIterator[LoadTester]:
    registry = CollectorRegistry()
    runner = CommandRunner(settings, registry)
    app = create_app(runner, settings, registry)
    async with (
        asyncio.TaskGroup() as group,
        serve(app, port=0, host="127.0.0.1") as port,
        aiohttp.ClientSession() as session,
    ):
        task = group.create_task(runner.run())
        await asyncio.sleep(0)
        tester = LoadTester(f"http://127.0.0.1:{port}/", runner, session)
        assert (await tester.get("readyz"))[0] == 200
        yield tester
        task.cancel()
        await asyncio.wait({task})
