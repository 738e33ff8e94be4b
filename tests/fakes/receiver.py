"""The other side of a connection, which takes it and never answers."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.fakes.listening import listening

CHUNK = 65536
DEADLINE = 10.0


@dataclass
class Silent:
    """A server that accepts, reads, and says nothing.

    With `tls` it agrees to begin an encrypted connection, and never to end one.
    """

    tls: ssl.SSLContext | None = None
    port: int = 0
    open: int = 0
    ended: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/"

    async def until(self, so: Callable[["Silent"], bool]) -> None:
        """Wait until something is so; it is an error if that takes long."""
        async with asyncio.timeout(DEADLINE), self._changed:
            await self._changed.wait_for(lambda: so(self))

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one connection until the other side ends it."""
        try:
            if self.tls is not None:
                await _shake_hands(self.tls, reader, writer)
            if await reader.read(CHUNK):
                await self._count(opened=1)
                while await reader.read(CHUNK):
                    pass
                await self._count(ended=1)
        except ConnectionError:
            await self._count(ended=1)
        finally:
            writer.close()

    async def _count(self, opened: int = 0, ended: int = 0) -> None:
        async with self._changed:
            self.open += opened - ended
            self.ended += ended
            self._changed.notify_all()


async def _shake_hands(
    context: ssl.SSLContext, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Begin TLS by hand, so that nothing answers its end but the end of the connection."""
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(coming, going, server_side=True)
    shaken = False
    while not shaken:
        try:
            tls.do_handshake()
            shaken = True
        except ssl.SSLWantReadError:
            pass
        writer.write(going.read())
        if not shaken:
            coming.write(await reader.read(CHUNK))


@asynccontextmanager
async def silent(tls: ssl.SSLContext | None = None) -> AsyncIterator[Silent]:
    """Run a server that never answers."""
    server = Silent(tls)
    async with listening(server.meet, backlog=512) as server.port:
        yield server
