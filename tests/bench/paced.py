"""Sends GET requests at a steady rate and writes down what came of each, in a process of its own.

`python -m tests.bench.paced ADDRESS PORT HOST RATE SECONDS` sends until its standard input ends, or
for so many seconds at most, and then prints one JSON list of `Sent`. A request is sent when it is
due, whatever became of those before, and never twice: what a connection swallows is lost.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

import orjson
import uvloop

from tests.bench.load import LoadError
from tests.bench.machine import ROOT

PATIENCE: Final = 10.0
"""Seconds after which a request counts as not answered."""
CONNECTIONS: Final = 400
"""Most that are open at once; a request that finds none free waits, and its time runs."""
STOPPING: Final = PATIENCE + 20.0
UNANSWERED: Final = 0
_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


class Sent(NamedTuple):
    """One request: when it was due by the monotonic clock, in seconds until its answer, and that.

    `status` is `UNANSWERED` where there was none, and `text` then says why.
    """

    due: float
    took: float
    status: int
    text: str


class _Connection(asyncio.Protocol):
    """One connection that is kept, with one request on it at a time."""

    def __init__(self) -> None:
        self.is_open = False
        self._transport: asyncio.Transport | None = None
        self._read = b""
        self._answer: asyncio.Future[tuple[int, str]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none by its class.
        self._transport, self.is_open = cast("asyncio.Transport", transport), True

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"the connection ended: {exc!r}"))

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(_END)
        if not end or self._answer is None or self._answer.done():
            return
        try:
            status, length, stays = _told(head)
        except ValueError as error:
            self._answer.set_exception(ConnectionError(f"no answer of HTTP/1.1: {error}"))
            self.close()
            return
        if len(body) < length:
            return
        self._read = b""
        if not stays:
            self.close()
        self._answer.set_result((status, body.decode("utf-8", "replace").strip()))

    async def ask(self, request: bytes) -> tuple[int, str]:
        """Send a request and return status and text of its answer.

        Raises:
            ConnectionError: there is none.

        """
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """End it: nobody else is to have what comes on it."""
        self.is_open = False
        if self._transport is not None:
            self._transport.close()


def _told(head: bytes) -> tuple[int, int, bool]:
    """Return status, length of the body, and whether the connection is kept.

    Raises:
        ValueError: it is not said.

    """
    first, *lines = head.lower().split(b"\r\n")
    lengths = [int(line[len(_LENGTH) :]) for line in lines if line.startswith(_LENGTH)]
    if len(lengths) != 1:
        raise ValueError(f"{len(lengths)} lengths")
    return int(first.split(b" ", 2)[1]), lengths[0], b"connection: close" not in lines


@dataclass
class Paced:
    """Sends to one address.

    Args:
        address: of the gateway.
        port: likewise.
        host: whose requests they are.
        rate: requests per second.
        connections: most that are open at once.

    """

    address: str
    port: int
    host: str
    rate: float
    connections: int = CONNECTIONS
    sent: list[Sent] = field(default_factory=list)
    _free: list[_Connection] = field(default_factory=list)
    _places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.connections)

    async def run(self, stop: asyncio.Event, most: float) -> None:
        """Send until told to stop, or for `most` seconds; return when all are answered."""
        began, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while not stop.is_set() and number < most * self.rate:
                due = began + number / self.rate
                if (early := due - time.monotonic()) > 0:
                    await asyncio.sleep(early)
                group.create_task(self._one(due))
                number += 1
        for connection in self._free:
            connection.close()

    async def _one(self, due: float) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                status, text = await self._asked()
        except (OSError, TimeoutError) as error:
            status, text = UNANSWERED, repr(error)
        self.sent.append(Sent(due, time.monotonic() - due, status, text))

    async def _asked(self) -> tuple[int, str]:
        async with self._places:
            connection = await self._connected()
            try:
                found = await connection.ask(self._request)
            except BaseException:
                connection.close()
                raise
            if connection.is_open:
                self._free.append(connection)
            return found

    async def _connected(self) -> _Connection:
        while self._free:
            connection = self._free.pop()
            if connection.is_open:
                return connection
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(_Connection, self.address, self.port)
        return made

    @property
    def _request(self) -> bytes:
        return f"GET / HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode()


@dataclass
class Load:
    """What a process of its own sends; `sent` is there once it has ended."""

    sent: list[Sent] = field(default_factory=list)


@contextmanager
def load(address: str, port: int, host: str, *, rate: float, most: float) -> Iterator[Load]:
    """Send requests while the context lasts.

    Args:
        address: of the gateway.
        port: likewise.
        host: whose requests they are.
        rate: requests per second.
        most: seconds that it may last.

    Raises:
        LoadError: what sends has failed, or ended before the context did.

    """
    words = [address, str(port), host, str(rate), str(most)]
    with subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-m", "tests.bench.paced", *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        found = Load()
        try:
            yield found
            if process.poll() is not None:
                raise LoadError(f"what sends requests has ended: {process.returncode}")
            said, _ = process.communicate(timeout=STOPPING)
        except subprocess.TimeoutExpired as error:
            raise LoadError("what sends requests does not end") from error
        finally:
            process.kill()
        if process.returncode:
            raise LoadError(f"what sends requests has failed: {process.returncode}")
        found.sent = [Sent(*one) for one in orjson.loads(said)]


async def _main(address: str, port: str, host: str, rate: str, most: str) -> int:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), stop.set)
    paced = Paced(address, int(port), host, float(rate))
    await paced.run(stop, float(most))
    sys.stdout.buffer.write(orjson.dumps([tuple(one) for one in paced.sent]))
    return 0 if stop.is_set() else 1


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_main(*sys.argv[1:])))
