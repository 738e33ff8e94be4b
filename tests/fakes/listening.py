"""Servers of tests, which close without leaving a connection that came at that moment."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp.test_utils
from aiohttp import web

from runtime.probes import accept_no_more

LOCAL = "127.0.0.1"
Meet = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class TestServer(aiohttp.test_utils.TestServer):
    """An application that listens on a port of this machine."""

    def __init__(self, app: web.Application, **kwargs: Any) -> None:
        super().__init__(app, socket_factory=self._listening_at, **kwargs)
        self._listening: list[socket.socket] = []

    def _listening_at(self, host: str, port: int, family: socket.AddressFamily) -> socket.socket:
        made = aiohttp.test_utils.get_port_socket(host, port, family)
        self._listening.append(made)
        return made

    async def close(self) -> None:
        """Close; see the base."""
        if self.started and not self.closed:
            await accept_no_more(self._listening)
        await super().close()


@asynccontextmanager
async def listening(
    meet: Meet, host: str = LOCAL, port: int = 0, *, backlog: int = 100
) -> AsyncIterator[int]:
    """Listen while the context lasts.

    Args:
        meet: takes one connection.
        host: its address.
        port: 0 for any free one.
        backlog: how many connections may wait to be accepted.

    Yields:
        The port.

    """
    server = await asyncio.start_server(meet, host, port, backlog=backlog)
    async with server:
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            await accept_no_more(server.sockets)
