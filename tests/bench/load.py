"""Sends reviews over TLS: as fast as they are answered, or at a steady rate."""

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import uvloop

from tests.bench.figures import quantile

SCRIPT = Path(__file__).with_name("review.lua")
T = TypeVar("T")


class LoadError(Exception):
    """The load could not be sent, or was not answered as it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What came back; latencies are the client's."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where reviews go, and the one that is sent."""

    url: str
    ca: Path
    review: Path

    def post_once(self) -> bytes:
        """Send one review and return what came back."""
        return _run(self._post_once)

    def flood(self, *, connections: int, seconds: float) -> Answers:
        """Keep every connection busy for some seconds."""
        if program := shutil.which("wrk"):
            return self._wrk(program, connections, seconds)
        return _run(lambda: self._flood(connections, seconds))

    def steady(self, *, rate: float, seconds: float) -> Answers:
        """Send at a rate that does not wait for answers, so that a slow one hides no other."""
        return _run(lambda: self._steady(rate, seconds))

    def _wrk(self, program: str, connections: int, seconds: float) -> Answers:
        done = subprocess.run(  # noqa: S603 - wrk, with our own words
            [
                program,
                "--threads=1",
                f"--connections={connections}",
                f"--duration={seconds:.0f}s",
                f"--script={SCRIPT}",
                self.url,
            ],
            env={**os.environ, "REVIEW": str(self.review)},
            capture_output=True,
            text=True,
            timeout=seconds + 30,
            check=False,
        )
        if done.returncode:
            raise LoadError(f"wrk: {done.stderr or done.stdout}")
        said = json.loads(done.stdout.splitlines()[-1])
        if said.pop("failed") or not said["requests"]:
            raise LoadError(f"wrk was not answered: {done.stdout}")
        return Answers(**said)

    def _session(self, connections: int) -> aiohttp.ClientSession:
        trust = ssl.create_default_context(cafile=str(self.ca))
        connector = aiohttp.TCPConnector(limit=connections, ssl=trust)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=10),
            headers={"Content-Type": "application/json"},
        )

    async def _post_once(self) -> bytes:
        async with self._session(1) as session:
            return await self._post(session, self.review.read_bytes())

    async def _post(self, session: aiohttp.ClientSession, body: bytes) -> bytes:
        async with session.post(self.url, data=body) as response:
            if not response.ok:
                raise LoadError(f"{self.url} answered {response.status}")
            return await response.read()

    async def _flood(self, connections: int, seconds: float) -> Answers:
        body, taken = self.review.read_bytes(), list[float]()
        started = time.perf_counter()

        async def keep_busy(session: aiohttp.ClientSession) -> None:
            while (before := time.perf_counter()) < started + seconds:
                await self._post(session, body)
                taken.append(time.perf_counter() - before)

        async with self._session(connections) as session, asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(keep_busy(session))
        return _answers(taken, time.perf_counter() - started)

    async def _steady(self, rate: float, seconds: float) -> Answers:
        body, taken = self.review.read_bytes(), list[float]()

        async def one(session: aiohttp.ClientSession, due: float) -> None:
            await self._post(session, body)
            taken.append(time.perf_counter() - due)

        async with self._session(16) as session:
            await self._post(session, body)
            started = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for number in range(round(rate * seconds)):
                    due = started + number / rate
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                    # From when it was sent: the client's own timer is no part of the figure.
                    group.create_task(one(session, time.perf_counter()))
        return _answers(taken, time.perf_counter() - started)


def _run(coroutine: Callable[[], Coroutine[Any, Any, T]]) -> T:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(coroutine())
    except* (aiohttp.ClientError, TimeoutError, LoadError) as group:
        raise LoadError(f"{group.exceptions[0]!r}") from group


def _answers(taken: list[float], seconds: float) -> Answers:
    return Answers(
        requests=len(taken),
        seconds=seconds,
        p50_ms=1000 * quantile(taken, 0.5),
        p99_ms=1000 * quantile(taken, 0.99),
    )
