"""Who may stay connected: so many at a time, and nobody who does not ask.

aiohttp waits for a first request without an end. An API server keeps a few connections open and
asks on them; whoever opens many and is silent is closed first.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from aiohttp import web

CONNECTIONS: Final = 128
"""An API server has one per review that is under way, of 200 writes at most, on two replicas.

TLS and HTTP buffer up to 1 MiB of each, which the pod's limit of memory counts with.
"""
FIRST_SECONDS: Final = 5.0
"""Within which a new connection must have sent the head of its first request."""


class _Life(Enum):
    """How far a connection is."""

    NEW = auto()
    ASKING = auto()
    RESTING = auto()


@dataclass(eq=False, slots=True)
class Doors:
    """The connections of a listener.

    Args:
        limit: how many are open at most.
        first: seconds until the first request.

    """

    limit: int = CONNECTIONS
    first: float = FIRST_SECONDS
    _open: dict[asyncio.BaseTransport, _Life] = field(init=False, default_factory=dict)

    def guarding(self, factory: Callable[[], asyncio.Protocol]) -> Callable[[], asyncio.Protocol]:
        """Return the same factory of protocols, with these doors before each connection."""
        return lambda: _Guarded(factory(), self)

    @property
    def open(self) -> int:
        """How many are connected."""
        return len(self._open)

    def asks(self, request: web.Request) -> None:
        """Note that a request has come on a connection, which is in use now."""
        self._note(request, _Life.ASKING)

    def answered(self, request: web.Request) -> None:
        """Note that it was answered: of those that rest this connection is the youngest now."""
        self._note(request, _Life.RESTING)

    def enter(self, transport: asyncio.BaseTransport) -> None:
        """Let a connection in, in place of the one that has rested longest where there is no room.

        Where none rests the new one goes: whoever has sent a request is waiting for its answer.
        """
        self._open[transport] = _Life.NEW
        if len(self._open) > self.limit:
            self._end(next(one for one, life in self._open.items() if life is not _Life.ASKING))
        asyncio.get_running_loop().call_later(self.first, self._end_if_new, transport)

    def leave(self, transport: asyncio.BaseTransport) -> None:
        """Forget a connection."""
        self._open.pop(transport, None)

    def _note(self, request: web.Request, life: _Life) -> None:
        transport = request.transport
        if transport is not None and self._open.pop(transport, None) is not None:
            self._open[transport] = life

    def _end_if_new(self, transport: asyncio.BaseTransport) -> None:
        if self._open.get(transport) is _Life.NEW:
            self._end(transport)

    def _end(self, transport: asyncio.BaseTransport) -> None:
        self.leave(transport)
        # Closing would wait for a goodbye, which a silent one does not say.
        if isinstance(transport, asyncio.Transport):
            transport.abort()
        else:
            transport.close()


class _Guarded(asyncio.Protocol):
    """A protocol that tells the doors of its connection, and is the one it wraps otherwise."""

    def __init__(self, inner: asyncio.Protocol, doors: Doors) -> None:
        self._inner = inner
        self._doors = doors
        self._transport: asyncio.BaseTransport | None = None
        # Called for every segment: no detour.
        self.data_received = inner.data_received  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._inner.connection_made(transport)
        self._doors.enter(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._doors.leave(self._transport)
        self._inner.connection_lost(error)
