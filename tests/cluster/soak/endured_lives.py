"""What the installation's processes have, again and again: memory, files, sockets, tasks."""

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from runtime.errors import ApiError
from runtime.kube import Cluster
from runtime.resources import PODS
from sandbox import processes
from tests.cluster.kit import Json
from tests.cluster.soak.endured import Life, Sample
from tests.cluster.soak.endured_deaths import SYSTEM, descendants, process_of

EVERY: Final = 10.0
_MIB: Final = 2**20
_COMPONENT: Final = "app.kubernetes.io/component"
_MEASURED: Final = {"analyzer", "webhook"}
_PAGE: Final = {
    "memory": "process_resident_memory_bytes",
    "descriptors": "process_open_fds",
    "tasks": "headgate_tasks",
}


@dataclass
class Lives:
    """Samples of every life of the analyzer and of the webhook, in seconds since `begin`."""

    cluster: Cluster
    begin: float = field(default_factory=time.monotonic)
    samples: dict[Life, list[Sample]] = field(default_factory=dict)
    _pods: list[Json] = field(default_factory=list)

    async def run(self) -> None:
        """Measure until cancelled."""
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                due = time.monotonic() + EVERY
                # The pods that are known are measured on while the API server is away.
                with contextlib.suppress(ApiError, TimeoutError):
                    async with asyncio.timeout(EVERY / 2):
                        self._pods = (await self.cluster.list(PODS, SYSTEM)).items
                for pod in self._pods:
                    if pod["metadata"]["labels"].get(_COMPONENT) in _MEASURED:
                        await self._measure(session, pod)
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _measure(self, session: aiohttp.ClientSession, pod: Json) -> None:
        name, address = pod["metadata"]["name"], pod["status"].get("podIP", "")
        first = await asyncio.to_thread(process_of, name)
        if first is None or not address:
            return
        # Of a process that ends meanwhile nothing is kept.
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with session.get(f"http://{address}:8080/metrics") as page:
                told = _values(await page.text())
            values = {ours: told[theirs] for ours, theirs in _PAGE.items() if theirs in told}
            values["memory"] /= _MIB
            values["children"] = sum(map(_resident, descendants(first))) / _MIB
            values["sockets"] = float(_sockets(first))
            part = pod["metadata"]["labels"][_COMPONENT]
            if part == "analyzer":
                part += ", leads" if told.get("headgate_analyzer_leader") else ", waits"
            life = f"{name}/{processes.start_time(first)}"
            self._keep(life, part, values)

    def _keep(self, name: str, part: str, values: dict[str, float]) -> None:
        at = time.monotonic() - self.begin
        life = next(
            (one for one in self.samples if (one.name, one.part) == (name, part)),
            Life(name, part, at),
        )
        self.samples.setdefault(life, []).append(Sample(at, values))


def _values(page: str) -> dict[str, float]:
    """Return the values of a page that have no labels."""
    lines = (line.split() for line in page.splitlines() if not line.startswith("#"))
    return {line[0]: float(line[1]) for line in lines if len(line) == 2 and "{" not in line[0]}


def _resident(pid: int) -> float:
    """Return the bytes of a process that are in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def _sockets(pid: int) -> int:
    found = 0
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found += str(path.readlink()).startswith("socket:")
    return found
