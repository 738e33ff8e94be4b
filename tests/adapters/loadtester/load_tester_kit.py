"""A load tester that runs, and a hook's way to talk to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from loadtester.gates import Gates
from loadtester.jobs import Api, JobRunner
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
        self,
        name: str = "web",
        namespace: str = "prod",
        url: str = "",
        checksum: str = "",
        **metadata: Any,
    ) -> tuple[int, str]:
        payload = {
            **({"checksum": checksum} if checksum else {}),
            "name": name,
            "namespace": namespace,
            "phase": "Progressing",
            "metadata": metadata,
        }
        async with self.session.post(url or self.url, json=payload) as answer:
            return answer.status, await answer.text()

    async def post(self, body: bytes, path: str = "") -> tuple[int, str]:
        async with self.session.post(self.url + path, data=body) as answer:
            return answer.status, await answer.text()

    async def gate(self, path: str, name: str = "web", namespace: str = "prod") -> tuple[int, str]:
        """Send what people send by curl."""
        payload = {"name": name, "namespace": namespace}
        async with self.session.post(self.url + path, json=payload) as answer:
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
async def load_tester(settings: Settings, api: Api | None = None) -> AsyncIterator[LoadTester]:
    registry = CollectorRegistry()
    runner = CommandRunner(settings, registry)
    jobs = JobRunner(settings, registry, api)
    gates = Gates(settings.state, registry)
    await asyncio.to_thread(gates.load)
    app = create_app(runner, settings, registry, gates=gates, jobs=jobs)
    async with (
        asyncio.TaskGroup() as group,
        serve(app, port=0, host="127.0.0.1") as port,
        aiohttp.ClientSession() as session,
    ):
        tasks = {group.create_task(runner.run()), group.create_task(jobs.run())}
        await asyncio.sleep(0)
        tester = LoadTester(f"http://127.0.0.1:{port}/", runner, session)
        assert (await tester.get("readyz"))[0] == 200
        yield tester
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
