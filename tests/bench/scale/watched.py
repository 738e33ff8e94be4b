"""The analyzer's process, looked at from outside: its metrics, its processor time, its memory."""

import asyncio
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from tests.bench import machine
from tests.bench.scale.cluster import Analyzer

_SAMPLE: Final = re.compile(r"^(\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)
READY_SECONDS: Final = 300.0
QUIET_LOOKS: Final = 3
_LOOK_EVERY: Final = 1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What the process had used at a time: seconds since 1970, and of processor time."""

    at: float
    processor: float
    reconciles: float
    mib: float


@dataclass(slots=True)
class Watched:
    """One analyzer."""

    analyzer: Analyzer
    session: aiohttp.ClientSession
    depths: list[tuple[float, float]] = field(default_factory=list)

    async def metrics(self) -> dict[str, float]:
        """Return what it tells of itself, each name summed over its labels."""
        found: dict[str, float] = {}
        async with self.session.get(f"http://127.0.0.1:{self.analyzer.port}/metrics") as answer:
            for name, value in _SAMPLE.findall(await answer.text()):
                found[name] = found.get(name, 0.0) + float(value)
        return found

    async def ready(self) -> None:
        """Wait until it has read everything and acts, and looks at nothing any more."""
        end = time.monotonic() + READY_SECONDS
        while not await self._leads():
            assert self.analyzer.process.poll() is None, self.analyzer.log.read_text()[-3000:]
            assert time.monotonic() < end, "the analyzer has not become the one that acts"
            await asyncio.sleep(0.5)
        quiet, done = 0, -1.0
        while quiet < QUIET_LOOKS and time.monotonic() < end:
            await asyncio.sleep(2)
            found, before = await self.metrics(), done
            done = found.get("headgate_reconciles_total", 0.0)
            waiting = found.get("headgate_workqueue_depth", 0.0)
            quiet = quiet + 1 if done == before and not waiting else 0

    async def _leads(self) -> bool:
        try:
            found = await self.metrics()
        except aiohttp.ClientError:
            return False
        return found.get("headgate_analyzer_leader") == 1

    def processor(self) -> float:
        """Return the processor time of the process and of those that it has started."""
        return sum(machine.cpu_seconds(pid) for pid in family(self.analyzer.process.pid))

    def mib(self) -> float:
        """Return the resident memory of the process itself."""
        return machine.resident_mib(self.analyzer.process.pid)

    async def moment(self) -> Moment:
        """Return what it has used until now."""
        found = await self.metrics()
        reconciles = found.get("headgate_reconciles_total", 0.0)
        return Moment(time.time(), self.processor(), reconciles, self.mib())

    async def follow_queue(self) -> None:
        """Note how many targets wait, until cancelled."""
        while True:
            started = time.time()
            found = await self.metrics()
            self.depths.append((started, found.get("headgate_workqueue_depth", 0.0)))
            await asyncio.sleep(_LOOK_EVERY)


async def pause(seconds: float) -> None:
    """Let time pass: what is measured is what comes meanwhile."""
    await asyncio.sleep(seconds)


def family(pid: int) -> list[int]:
    """Return a process and its children, and theirs."""
    found = [pid]
    for parent in found:
        path = Path(f"/proc/{parent}/task/{parent}/children")
        if path.exists():
            found += [int(child) for child in path.read_text().split()]
    return found
