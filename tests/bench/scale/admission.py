"""Admission at load: writes at a steady rate through both replicas, whatever happens to these.

The writes are dry runs of a new image: they go through admission as all writes do, and leave
nothing behind that would slow the next one down.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL
from runtime.connection import Connection, Request, load_configuration
from runtime.errors import ApiError
from runtime.resources import DEPLOYMENTS
from tests.bench import machine
from tests.bench.figures import Figure, quantile
from tests.bench.review_sample import BEFORE, deployment
from tests.bench.scale import peer as peers
from tests.bench.scale.cluster import Scale, scale_cluster
from tests.bench.scale.watched import pause
from tests.bench.scale.webhooks import Replica, Webhooks
from tests.cluster.kit import web

Json = dict[str, Any]
RATE: Final = 200.0
SECONDS: Final = 300.0
LATE_MS: Final = 5000.0
WARM_UP: Final = 50
NOTICED_AFTER: Final = 1.0
"""Seconds for which a process that was killed is still given connections, in the last part."""
NOTICED_LATE: Final = "noticed"
_OURS, _PEERS, _PLAIN = "ours", "peers", "plain"
_USUAL, _SMALL = "usual", "small"
_NEW_CERTIFICATE_SECONDS: Final = 30.0


@dataclass(slots=True)
class Writes:
    """What became of the writes of one part: milliseconds of those taken, words of the others."""

    name: str
    taken: list[float] = field(default_factory=list)
    failed: list[tuple[float, str]] = field(default_factory=list)
    not_held: int = 0
    connections: int | None = None
    """Those of a replica when it was killed: the most calls that can be in flight on it."""

    @property
    def slowest(self) -> float:
        """Milliseconds after which the last of them was answered, one way or the other."""
        return max((*self.taken, *(ms for ms, _ in self.failed)), default=0.0)


@dataclass(slots=True)
class Used:
    """What a replica had at a moment."""

    mib: float
    files: int

    @classmethod
    def of(cls, replica: Replica) -> "Used":
        """Look at one that runs."""
        pid = replica.process.pid
        return cls(machine.resident_mib(pid), len(list(Path(f"/proc/{pid}/fd").iterdir())))


def figures(folder: Path, *, rate: float = RATE, seconds: float = SECONDS) -> list[Figure]:
    """Measure, on a control plane of its own."""
    with scale_cluster(folder) as scale:
        for name, labels in (
            (_OURS, {NAMESPACE_LABEL: NAMESPACE_ENABLED}),
            (_PEERS, peers.LABEL),
            (_PLAIN, {}),
        ):
            _namespace(scale, name, labels)
        with peers.peer(folder / "peer", scale.webhooks):
            return asyncio.run(_measure(scale, rate, seconds))


def _namespace(scale: Scale, name: str, labels: dict[str, str]) -> None:
    scale.kubectl.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    )
    team = deployment(name=_USUAL)
    team["spec"]["replicas"] = 0
    # At a high rate the API server's own work is most of it: that of 15 kB would be two cores'.
    scale.kubectl.within(name).apply(team, web(BEFORE, replicas=0, name=_SMALL))


async def _measure(scale: Scale, rate: float, seconds: float) -> list[Figure]:
    configuration = await load_configuration(scale.admin, {})
    rng = random.Random(14)  # noqa: S311 - the order of writes is no secret
    connection = Connection(configuration, deadline=30, rng=rng)
    try:
        for number in range(WARM_UP):
            for name in (_OURS, _PEERS, _PLAIN):
                await _write(connection, name, number)
        beside = await _beside(connection, rng)
        return [*beside, *await _through(connection, scale.webhooks, rate, seconds)]
    finally:
        await connection.aclose()


async def _write(connection: Connection, namespace: str, number: int, target: str = _USUAL) -> Json:
    image = f"registry.example/shop/web:2.{number}"
    path = "/spec/template/spec/containers/0/image"
    request = Request(
        method="PATCH",
        path=DEPLOYMENTS.path(namespace, target),
        query=(("dryRun", "All"),),
        body=[{"op": "replace", "path": path, "value": image}],
        content_type="application/json-patch+json",
        idempotent=False,
    )
    return await connection.within_deadline(lambda: connection.fetch(request))


# --- beside the peer -----------------------------------------------------------------------------


async def _beside(connection: Connection, rng: random.Random, rounds: int = 400) -> list[Figure]:
    """Write through ours, through the peer and through neither, in an order drawn anew."""
    arms: dict[str, list[float]] = {_OURS: [], _PEERS: [], _PLAIN: []}
    for number in range(rounds):
        order = list(arms)
        rng.shuffle(order)
        for name in order:
            started = time.perf_counter()
            await _write(connection, name, number)
            arms[name].append(1000 * (time.perf_counter() - started))
    ours, theirs = (
        {share: quantile(arms[name], share) - quantile(arms[_PLAIN], share) for share in (0.5, 0.9)}
        for name in (_OURS, _PEERS)
    )
    plain = quantile(arms[_PLAIN], 0.5)
    return [
        Figure(
            name=f"added to a write beside the peer in Go, p{100 * share:.0f}",
            value=ours[share] / theirs[share],
            unit="times",
            note=f"{ours[share]:.2f} ms here, {theirs[share]:.2f} ms there, a write without either "
            f"{plain:.2f} ms at the median; {rounds} writes each, interleaved",
        )
        for share in (0.5, 0.9)
    ]


# --- through both replicas -----------------------------------------------------------------------


async def _through(
    connection: Connection, webhooks: Webhooks, rate: float, seconds: float
) -> list[Figure]:
    parts: list[tuple[str, Callable[[], object] | None]] = [
        ("undisturbed", None),
        ("certificates rotated", webhooks.rotate),
        ("one deleted", lambda: webhooks.drain(webhooks.living[0])),
        ("one killed", lambda: webhooks.kill(webhooks.living[0])),
        (
            f"one killed, {NOTICED_LATE} after {NOTICED_AFTER:g} s",
            lambda: webhooks.kill(webhooks.living[0], noticed_after=NOTICED_AFTER),
        ),
    ]
    found: list[Figure] = []
    oldest = webhooks.replicas[-1]
    used, latest = list[Used](), 0.0
    for name, event in parts:
        before = {_serial(it) for it in webhooks.living}
        writes = await _part(connection, name, rate, seconds / len(parts), event)
        found.append(_row(writes, rate))
        latest = max(latest, writes.slowest)
        if event == webhooks.rotate:
            found.append(await _rotated(webhooks, before))
        if len(webhooks.living) < 2:
            await asyncio.to_thread(webhooks.add)
        if oldest.process.poll() is None:
            used.append(Used.of(oldest))
    found.append(Figure(name="latest answer of all", value=latest, unit="ms", aim=LATE_MS))
    return [*found, *_growth(used, seconds / len(parts))]


async def _part(
    connection: Connection,
    name: str,
    rate: float,
    seconds: float,
    event: Callable[[], object] | None,
) -> Writes:
    """Write at a rate that waits for no answer; the event comes after a third of the time."""
    writes = Writes(name)
    count = round(rate * seconds)

    async def one(number: int) -> None:
        started = time.perf_counter()
        try:
            stored = await _write(connection, _OURS, number, _SMALL)
        except ApiError as error:
            writes.failed.append((1000 * (time.perf_counter() - started), str(error)[:200]))
            return
        writes.taken.append(1000 * (time.perf_counter() - started))
        writes.not_held += not stored["spec"].get("paused")

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            group.create_task(one(number))
            if event is not None and number == count // 3:
                connections = event()
                writes.connections = connections if isinstance(connections, int) else None
    return writes


def _row(writes: Writes, rate: float) -> Figure:
    every = len(writes.taken) + len(writes.failed)
    said = "; ".join(sorted({words for _, words in writes.failed})[:2])
    killed = "" if writes.connections is None else f", it had {writes.connections} connections"
    return Figure(
        name=f"failed of {every} writes at {rate:.0f}/s, {writes.name}",
        value=len(writes.failed),
        unit="writes",
        # A process that is gone and still given connections takes those with it too.
        aim=None if NOTICED_LATE in writes.name else writes.connections or 0,
        note=f"p50 {quantile(writes.taken, 0.5):.1f} ms, p99 {quantile(writes.taken, 0.99):.1f} ms,"
        f" last answer of any after {writes.slowest:.0f} ms,"
        f" {writes.not_held} not held{killed}" + (f"; {said}" if said else ""),
    )


async def _rotated(webhooks: Webhooks, before: set[int]) -> Figure:
    end = time.monotonic() + _NEW_CERTIFICATE_SECONDS
    living = webhooks.living
    while time.monotonic() < end and any(_serial(it) in before for it in living):
        await pause(0.5)
    old = sum(_serial(it) in before for it in living)
    return Figure(name="replicas that show the old certificate", value=old, unit="of 2", aim=0)


def _serial(replica: Replica) -> int:
    pem = ssl.get_server_certificate(("127.0.0.1", replica.port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def _growth(used: list[Used], seconds: float) -> list[Figure]:
    """Return what the replica that was there from the first to the last part has grown by."""
    first, last = used[0], used[-1]
    note = f"from the end of the first part to {(len(used) - 1) * seconds:.0f} s later"
    return [
        Figure(
            name="memory of a replica, grown",
            value=last.mib - first.mib,
            unit="MiB",
            aim=1,
            note=f"{note}: {first.mib:.1f} to {last.mib:.1f} MiB",
        ),
        Figure(
            name="open files of a replica, grown",
            value=last.files - first.files,
            unit="files",
            aim=8,
            note=f"{note}: {first.files} to {last.files}; connections come and go",
        ),
    ]
