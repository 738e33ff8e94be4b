"""Two processes of the webhook behind one address, as two pods are behind a Service."""

import asyncio
import base64
import os
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.request import urlopen

import trustme
import uvloop
import yaml

from tests.bench import machine
from tests.cluster.kit import MANIFESTS, Kubectl, wait_for
from tests.cluster.own_api_server import free_port, running

if TYPE_CHECKING:
    import subprocess

Json = dict[str, Any]
CONFIGURATION: Final = MANIFESTS / "webhook-configuration.yaml"
REPLICAS: Final = 2
_CHUNK: Final = 2**16


@dataclass(frozen=True, slots=True)
class Replica:
    """One process, and where it listens."""

    process: "subprocess.Popen[bytes]"
    port: int
    probes: int
    folder: Path


@dataclass(slots=True)
class Splitter:
    """Hands each new connection to the next replica that takes it, as a Service does.

    `gone` are ports that get none any more: what kube-proxy knows once an endpoint has left.
    `open` are connections by port: HTTP/1.1 has one call at a time on each.
    """

    ports: list[int]
    gone: set[int] = field(default_factory=set)
    open: Counter[int] = field(default_factory=Counter)
    port: int = 0
    refused: int = 0
    _turn: int = 0

    async def serve(self, stop: threading.Event, started: threading.Event) -> None:
        """Serve until told to stop."""
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []
            server = await asyncio.start_server(
                lambda *streams: tasks.append(group.create_task(self._one(*streams))),
                "127.0.0.1",
                0,
            )
            self.port = int(server.sockets[0].getsockname()[1])
            started.set()
            await asyncio.to_thread(stop.wait)
            server.close()
            for task in tasks:
                task.cancel()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to a replica until either side ends it."""
        port = self._next()
        try:
            theirs = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            self.refused += 1
            writer.transport.abort()
            return
        try:
            self.open[port] += 1
            await _either(_pipe(reader, theirs[1]), _pipe(theirs[0], writer))
        finally:
            self.open[port] -= 1
            # Not aborted: an answer that a replica gave before it closed is still to be handed on.
            theirs[1].close()
            writer.close()

    def _next(self) -> int:
        usable = [port for port in self.ports if port not in self.gone] or self.ports
        self._turn += 1
        return usable[self._turn % len(usable)]


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    # Whoever is cut off here is the API server or a replica: that is what is measured.
    with suppress(OSError):
        while chunk := await source.read(_CHUNK):
            if sink.is_closing():
                break
            sink.write(chunk)
            await sink.drain()


async def _either(*pipes: Coroutine[None, None, None]) -> None:
    """Run both until one has ended."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pipe) for pipe in pipes]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


@dataclass(slots=True)
class Webhooks:
    """The replicas, the address before them, and the authority that signed for it."""

    kubectl: Kubectl
    folder: Path
    authority: trustme.CA
    splitter: Splitter
    replicas: list[Replica] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    @classmethod
    @contextmanager
    def serving(cls, folder: Path, kubectl: Kubectl) -> Iterator[Self]:
        """Run them, and have the API server call them for what the manifests say."""
        folder.mkdir(parents=True)
        stop, started = threading.Event(), threading.Event()
        with ExitStack() as stack:
            webhooks = cls(kubectl, folder, trustme.CA(), Splitter([]), _stack=stack)
            for _ in range(REPLICAS):
                webhooks.add()
            thread = threading.Thread(
                target=lambda: _run(webhooks.splitter, stop, started), daemon=True
            )
            thread.start()
            started.wait(10)
            try:
                webhooks.configure()
                yield webhooks
            finally:
                stop.set()
                thread.join(10)

    def add(self) -> Replica:
        """Start one more, and have connections go there once it is ready."""
        number = len(self.replicas)
        folder = self.folder / str(number)
        folder.mkdir()
        self.write_certificate(folder)
        port, probes = free_port(), free_port()
        settings = {
            "HEADGATE_PORT": str(port),
            "HEADGATE_PROBES_PORT": str(probes),
            "HEADGATE_TLS_CERT": str(folder / "tls.crt"),
            "HEADGATE_TLS_KEY": str(folder / "tls.key"),
            "HEADGATE_LOG_LEVEL": "warning",
        }
        process = self._stack.enter_context(
            running(
                folder / "log",
                [sys.executable, "-m", "webhook"],
                {**os.environ, **settings},
                machine.ROOT,
            )
        )
        replica = Replica(process, port, probes, folder)
        wait_for("a webhook", lambda: _ready(probes), 30)
        self.replicas.append(replica)
        self.splitter.ports.append(port)
        return replica

    def write_certificate(self, folder: Path) -> None:
        """Give a replica a new pair, as a rotation of the Secret does: each file at once."""
        pair = self.authority.issue_cert("127.0.0.1", "localhost")
        key, chain = folder / "tls.key.new", folder / "tls.crt.new"
        pair.private_key_pem.write_to_path(str(key))
        for number, pem in enumerate(pair.cert_chain_pems):
            pem.write_to_path(str(chain), append=number > 0)
        key.rename(folder / "tls.key")
        chain.rename(folder / "tls.crt")

    def rotate(self) -> None:
        """Give every living replica a new certificate."""
        for replica in self.replicas:
            if replica.process.poll() is None:
                self.write_certificate(replica.folder)

    def drain(self, replica: Replica) -> None:
        """Delete one as the cluster does: no new connections, then SIGTERM."""
        self.splitter.gone.add(replica.port)
        replica.process.send_signal(signal.SIGTERM)

    def kill(self, replica: Replica, *, noticed_after: float = 0.0) -> int:
        """End one in the middle of its work, and return how many connections it had.

        Args:
            replica: which one.
            noticed_after: seconds for which it is still given connections.

        """
        connections = self.splitter.open[replica.port]
        replica.process.kill()
        if noticed_after:
            timer = threading.Timer(noticed_after, self.splitter.gone.add, (replica.port,))
            timer.daemon = True
            timer.start()
        else:
            self.splitter.gone.add(replica.port)
        return connections

    @property
    def living(self) -> list[Replica]:
        """Those that run and are given connections."""
        return [
            it
            for it in self.replicas
            if it.process.poll() is None and it.port not in self.splitter.gone
        ]

    def configure(
        self, url: str = "", name: str = "headgate", labels: Mapping[str, str] | None = None
    ) -> None:
        """Have the API server call an address for what the manifests' configuration says.

        Args:
            url: the address, "" for that of the replicas.
            name: of the configuration.
            labels: of the namespaces, None for those that the manifests name.

        """
        found = yaml.safe_load(CONFIGURATION.read_text())
        found["metadata"]["name"] = name
        url = url or f"https://127.0.0.1:{self.splitter.port}"
        for hook in found["webhooks"]:
            path = hook["clientConfig"].pop("service")["path"]
            hook["clientConfig"] = {
                "url": f"{url}{path}",
                "caBundle": _base64(self.authority.cert_pem.bytes()),
            }
            if labels is not None:
                hook["namespaceSelector"] = {"matchLabels": dict(labels)}
                hook["name"] = hook["name"].replace("headgate.dev", "peer.example")
        self.kubectl.apply(found)


def _run(splitter: Splitter, stop: threading.Event, started: threading.Event) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(splitter.serve(stop, started))


def _ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


def listens(port: int) -> bool:
    """Tell whether anybody takes connections at a port of the loopback."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _base64(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
