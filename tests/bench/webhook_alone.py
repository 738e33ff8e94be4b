"""The webhook by itself: its real process on one core, reviews over TLS from the others."""

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.bench import machine
from tests.bench.figures import Figure
from tests.bench.load import Answers, Destination, LoadError
from tests.bench.review_sample import review

RATE = "reviews/s"
START_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Server:
    """The running process and how to reach it."""

    pid: int
    destination: Destination


def figures(*, seconds: float) -> list[Figure]:
    """Measure, for some seconds each: one connection, sixteen, and a steady hundred a second."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder, _serving(Path(folder)) as server:
        machine.pin(server.pid, {cores[-1]})
        machine.pin(0, set(cores[:-1]))
        try:
            return _measure(server, seconds)
        finally:
            machine.pin(0, set(cores))


def _measure(server: Server, seconds: float) -> list[Figure]:
    _holds(server.destination.post_once())
    server.destination.flood(connections=4, seconds=1)
    found = []
    for connections in (1, 16):
        used = machine.cpu_seconds(server.pid)
        answers = server.destination.flood(connections=connections, seconds=seconds)
        used = machine.cpu_seconds(server.pid) - used
        found += _flooded(answers, connections, used)
    steady = server.destination.steady(rate=100, seconds=max(seconds, 5))
    return [
        *found,
        Figure(
            name="p99 at a steady 100/s",
            value=steady.p99_ms,
            unit="ms",
            aim=10,
            note=f"p50 {steady.p50_ms:.2f} ms, {steady.requests} reviews",
        ),
        Figure(
            name="resident memory after that load",
            value=machine.resident_mib(server.pid),
            unit="MiB",
            aim=60,
        ),
    ]


def _flooded(answers: Answers, connections: int, used: float) -> list[Figure]:
    plural = "" if connections == 1 else "s"
    return [
        Figure(
            name=f"one core, {connections} connection{plural}",
            value=answers.rate,
            unit=RATE,
            aim=2000,
            more=True,
            note=f"p50 {answers.p50_ms:.2f} ms, p99 {answers.p99_ms:.2f} ms",
        ),
        Figure(
            name="    per second of its processor time",
            value=answers.requests / used,
            unit=RATE,
            aim=2000,
            more=True,
            note="what a core does that has nothing else to do",
        ),
    ]


def _holds(answer: bytes) -> None:
    """Make sure that what is timed is the whole work: a write that is held."""
    response = json.loads(answer)["response"]
    patch = json.loads(base64.b64decode(response.get("patch", "W10=")))
    if {"op": "add", "path": "/spec/paused", "value": True} not in patch:
        raise LoadError(f"the write was not held: {answer.decode()}")


@contextmanager
def _serving(folder: Path) -> Iterator[Server]:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    ca, crt, key, body, log = (folder / n for n in ("ca", "tls.crt", "tls.key", "review", "log"))
    authority.cert_pem.write_to_path(ca)
    certificate.private_key_pem.write_to_path(key)
    for number, pem in enumerate(certificate.cert_chain_pems):
        pem.write_to_path(crt, append=number > 0)
    body.write_bytes(review())
    port, probes_port = _free_port(), _free_port()
    settings = {
        "HEADGATE_PORT": str(port),
        "HEADGATE_PROBES_PORT": str(probes_port),
        "HEADGATE_TLS_CERT": str(crt),
        "HEADGATE_TLS_KEY": str(key),
    }
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "webhook"],
            cwd=machine.ROOT,
            env={**os.environ, **settings},
            stderr=stderr,
        ) as process,
    ):
        try:
            _wait_until_it_listens(process, port, log)
            url = f"https://localhost:{port}/targets"
            yield Server(process.pid, Destination(url=url, ca=ca, review=body))
        finally:
            process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("localhost", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise LoadError(f"the webhook did not start: {log.read_text()[-2000:]}")
