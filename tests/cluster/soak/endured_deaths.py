"""Ends processes of the sandbox and of the installation, and has them come back."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from runtime.errors import ApiError
from runtime.kube import Cluster
from runtime.resources import LEASES, PODS
from sandbox import control_plane, paths, processes
from tests.cluster.kit import Json
from tests.cluster.soak.endured import Death, Span, Victim, Way

SYSTEM: Final = "headgate-system"
API_SERVER: Final = paths.PIDS / "kube-apiserver.json"
CONTROLLERS: Final = paths.PIDS / "kube-controller-manager.json"
_PATIENCE: Final = 90.0
_LABELS: Final = {
    Victim.ANALYZER: (SYSTEM, "app.kubernetes.io/component=analyzer"),
    Victim.STANDBY: (SYSTEM, "app.kubernetes.io/component=analyzer"),
    Victim.WEBHOOK: (SYSTEM, "app.kubernetes.io/component=webhook"),
    Victim.PROMETHEUS: ("monitoring", "app=prometheus"),
}


def is_ours() -> bool:
    """Tell whether the API server is one of this machine's sandbox."""
    found = processes.load(API_SERVER)
    return found is not None and found.alive()


# --- processes of pods, which are this machine's too --------------------------------------------


def process_of(pod: str) -> int | None:
    """Return the process that a pod's container starts first, None where none runs.

    Args:
        pod: its name, which every container has as its host's.

    """
    return next((pid for pid in _pids() if _host_of(pid) == pod and _inner(pid) == 1), None)


def descendants(pid: int) -> Iterator[int]:
    """Yield what a process has started, as far as it runs."""
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, path.read_text().split()):
                yield child
                yield from descendants(child)


def _pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _host_of(pid: int) -> str:
    """Return the name of the host in a process's environment, "" where it cannot be read."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if line.startswith(b"HOSTNAME="):
                return line.removeprefix(b"HOSTNAME=").decode(errors="replace")
    return ""


def _inner(pid: int) -> int:
    """Return the number that a process has in its container, 0 where it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return 0


# --- deaths -------------------------------------------------------------------------------------


@dataclass
class Deaths:
    """Carries out deaths one after the other, and keeps when the API server was away.

    `outages` and what is said are in seconds of `time.monotonic`.
    """

    cluster: Cluster
    chance: random.Random
    outages: list[Span] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    async def run(self, plan: Sequence[Death]) -> None:
        """Carry a plan out."""
        begin = time.monotonic()
        for death in plan:
            await asyncio.sleep(begin + death.at - time.monotonic())
            whom = await self._carry_out(death)
            at = time.monotonic() - begin
            self.said.append(f"{at:7.1f} s  {death.victim}, {death.way} {whom}".rstrip())

    async def _carry_out(self, death: Death) -> str:
        if death.victim is Victim.API_SERVER:
            return await self._api_server(death)
        async with asyncio.timeout(_PATIENCE):
            while True:
                try:
                    return await self._pod(death)
                except ApiError:
                    await asyncio.sleep(1)

    async def _api_server(self, death: Death) -> str:
        begin = time.monotonic()
        await end_api_server(death.way, death.away)
        end = time.monotonic()
        self.outages.append((begin, end))
        return f"and away for {end - begin:.1f} s"

    async def _pod(self, death: Death) -> str:
        """End one of the pods that run, or its process."""
        namespace, labels = _LABELS[death.victim]
        pods = (await self.cluster.list(PODS, namespace, label_selector=labels)).items
        names = [str(one["metadata"]["name"]) for one in pods if _runs(one)]
        if death.victim in {Victim.ANALYZER, Victim.STANDBY}:
            leader = await self.leader()
            names = [one for one in names if (one == leader) is (death.victim is Victim.ANALYZER)]
        if not names:
            return "(none runs)"
        name = self.chance.choice(sorted(names))
        if death.way is Way.DELETED:
            await self.cluster.delete(PODS, namespace, name)
            return name
        pid = await asyncio.to_thread(process_of, name)
        if pid is None:
            return f"{name} (has ended)"
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL if death.way is Way.KILLED else signal.SIGTERM)
        return name

    async def leader(self) -> str:
        """Return the name of the pod that leads."""
        lease = await self.cluster.get(LEASES, SYSTEM, "headgate-analyzer")
        return str(lease["spec"].get("holderIdentity") or "").partition("_")[0]


async def end_api_server(way: Way, away: float) -> None:
    """End the API server, and begin it again once it was away for so many seconds."""
    await asyncio.to_thread(_end, API_SERVER, way)
    try:
        await asyncio.sleep(away)
    finally:
        control_plane.begin()
    async with asyncio.timeout(_PATIENCE):
        while not await asyncio.to_thread(control_plane.ready):
            # The threads of one that was killed may hold its port a little longer than it.
            await asyncio.sleep(0.2)
            control_plane.begin()


@contextlib.contextmanager
def stopped(record: Path) -> Iterator[None]:
    """Have a recorded process of the sandbox do nothing for as long as the block runs."""
    process = processes.load(record)
    if process is None or not process.alive():
        raise AssertionError(f"{record.stem} does not run")
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def _runs(pod: Json) -> bool:
    runs: bool = pod["status"].get("phase") == "Running"
    return runs and "deletionTimestamp" not in pod["metadata"]


def _end(record: Path, way: Way) -> None:
    """End a recorded process of the sandbox, by force or kindly, and wait until it is gone."""
    process = processes.load(record)
    if process is None:
        return
    if way is Way.KILLED and process.alive():
        os.kill(process.pid, signal.SIGKILL)
    # A server that serves watches takes its time; by force in the end.
    processes.end(process, 10.0)
