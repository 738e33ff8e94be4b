"""What a process says of itself: /healthz, /readyz and /metrics, and how it listens."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

Check = Callable[[], bool]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Seconds that open requests get when a listener closes; below the pod's grace period of 30.
CLOSING_SECONDS: Final = 5.0
# For the rest of a body that was answered before its end, so that the answer is read at all.
LINGERING_SECONDS: Final = 1.0
HANDSHAKE_SECONDS: Final = 5.0
BACKLOG: Final = 128
# Of the loop, from a connection that is accepted to a handler that waits for its first request.
_TURNS_TO_MEET: Final = 4
Guard = Callable[[Callable[[], asyncio.Protocol]], Callable[[], asyncio.Protocol]]


class _Socket(Protocol):
    def fileno(self) -> int: ...


class Checks:
    """Named conditions that must all hold.

    Args:
        checks: name and condition; each must answer at once and not raise.

    """

    def __init__(self, **checks: Check) -> None:
        self._checks = dict(checks)

    def add(self, name: str, check: Check) -> None:
        """Add a condition, or replace the one of that name."""
        self._checks[name] = check

    def results(self) -> dict[str, bool]:
        """Return whether each condition holds, in the order in which they were added."""
        return {name: check() for name, check in self._checks.items()}

    def failing(self) -> list[str]:
        """Return the names of the conditions that do not hold."""
        return [name for name, holds in self.results().items() if not holds]


def application(
    *, ready: Checks, registry: CollectorRegistry, alive: Checks | None = None
) -> web.Application:
    """Return the application that the kubelet and Prometheus ask.

    Args:
        ready: /readyz is 200 while all of these hold, else 503, and names each either way.
        registry: metrics of /metrics.
        alive: the same for /healthz; without any it says no more than that the loop turns.

    """
    app = web.Application()
    app.router.add_get("/healthz", _answering(alive or Checks()))
    app.router.add_get("/readyz", _answering(ready))
    app.router.add_get("/metrics", _exposing(registry))
    return app


def _answering(checks: Checks) -> _Handler:
    async def answer(_request: web.Request) -> web.Response:
        results = checks.results()
        lines = [f"[{'+' if holds else '-'}] {name}" for name, holds in results.items()]
        return web.Response(
            text="\n".join([*lines, "ok" if all(results.values()) else "failing", ""]),
            status=200 if all(results.values()) else 503,
        )

    return answer


def _exposing(registry: CollectorRegistry) -> _Handler:
    async def expose(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    return expose


@asynccontextmanager
async def serve(
    app: web.Application,
    *,
    port: int,
    host: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    guard: Guard | None = None,
) -> AsyncIterator[int]:
    """Listen while the context lasts; then accept no more, and let open requests end.

    Args:
        app: answers the requests.
        port: 0 for any free one.
        host: None for all addresses, of both families.
        ssl_context: None for plain HTTP.
        guard: wraps what makes the protocol of a connection, None for no guard.

    Yields:
        The port.

    """
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=CLOSING_SECONDS, lingering_time=LINGERING_SECONDS
    )
    await runner.setup()
    if runner.server is None:
        raise RuntimeError("the runner has no server after its setup")
    factory = guard(runner.server) if guard else runner.server
    # aiohttp's own site leaves a handshake the minute that asyncio gives it.
    listener = await asyncio.get_running_loop().create_server(
        factory,
        host,
        port,
        ssl=ssl_context,
        ssl_handshake_timeout=HANDSHAKE_SECONDS if ssl_context else None,
        backlog=BACKLOG,
    )
    try:
        yield int(listener.sockets[0].getsockname()[1])
    finally:
        try:
            await accept_no_more(listener.sockets)
        finally:
            listener.close()
            await runner.cleanup()


async def accept_no_more(sockets: Iterable[_Socket]) -> None:
    """Stop to accept, and let what has been accepted become known: its server may close then.

    Where a server has closed before a connection that was accepted has its transport, `asyncio`
    (3.11) gives up on it and leaves it open; and what a protocol has not been told of, it cannot
    close.

    Args:
        sockets: those that listen.

    """
    loop = asyncio.get_running_loop()
    for listening in sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(_TURNS_TO_MEET):
        await asyncio.sleep(0)
