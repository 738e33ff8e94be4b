"""What is taken in of a review before it is parsed: no more than fits, and nothing for ever.

The webhook authenticates nobody by itself, and a body of 7 MiB can become 200 MiB of objects. So
its size, the time that it takes to come, how many come at once and how much it would become are all
bounded before a byte of it is parsed.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from runtime import values

MAX_BODY: Final = 7 * 1024 * 1024
"""Two objects of at most 3 MiB each (etcd's limit, in JSON) and the rest, as controller-runtime."""
SMALL: Final = 256 * 1024
"""Nearly all reviews are smaller: two Deployments of 5 to 60 kB."""
BODY_SECONDS: Final = 3.0
"""As long as the API server waits for the whole answer (`timeoutSeconds`)."""
SMALL_AT_ONCE: Final = 64
LARGE_AT_ONCE: Final = 1
"""With `MAX_VALUES` in it, one takes up to half of what the pod's limit leaves."""
WAITING: Final = 12
"""Each that waits for its place has some MiB in buffers of its connection."""
MAX_VALUES: Final = 400_000
"""Values of a review, counted before it is parsed; the largest real objects have a tenth.

Each costs up to 90 bytes as a Python object, and what is judged is copied once.
"""
_HEAD: Final = 512
_CLOSE: Final = {"Connection": "close"}
_UID: Final = re.compile(rb'"uid"\s*:\s*"([0-9a-fA-F-]{1,64})"')


class Intake:
    """Reads the bodies of requests: small ones side by side, large ones one after the other.

    A large body that is slow holds up large ones alone.

    Args:
        seconds: that a body may take, with the wait for its place.

    """

    def __init__(self, seconds: float = BODY_SECONDS) -> None:
        self._seconds = seconds
        self._small = _Places(SMALL_AT_ONCE, SMALL)
        self._large = _Places(LARGE_AT_ONCE, MAX_BODY)

    @asynccontextmanager
    async def body(self, request: web.Request) -> AsyncIterator[bytes]:
        """Read a body and keep its place while the context lasts.

        Raises:
            HTTPRequestEntityTooLarge: it is longer than it may be, or than it said.
            HTTPRequestTimeout: it did not come in time.
            HTTPServiceUnavailable: too many others wait.

        """
        length = request.content_length
        small = length is not None and length <= SMALL
        places = self._small if small else self._large
        try:
            async with asyncio.timeout(self._seconds) as deadline, places.one():
                body = await _read(request, places.limit)
                deadline.reschedule(None)
                yield body
        except TimeoutError as error:
            text = f"the review did not arrive within {self._seconds:g} s"
            raise web.HTTPRequestTimeout(text=text, headers=_CLOSE) from error


class _Places:
    """Places for bodies of up to `limit` bytes, and a short queue before them."""

    def __init__(self, at_once: int, limit: int) -> None:
        self.limit = limit
        self._free = asyncio.Semaphore(at_once)
        self._waiting = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        if self._waiting >= WAITING:
            text = f"{WAITING} reviews of this size wait already; send it again"
            raise web.HTTPServiceUnavailable(text=text, headers={**_CLOSE, "Retry-After": "1"})
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()


async def _read(request: web.Request, limit: int) -> bytes:
    """Read at most `limit` bytes, as they are after a transfer's or content's encoding."""
    if (request.content_length or 0) > limit:
        raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=request.content_length or 0)
    parts, size = list[bytes](), 0
    while part := await request.content.readany():
        size += len(part)
        if size > limit:
            raise web.HTTPRequestEntityTooLarge(max_size=limit, actual_size=size)
        parts.append(part)
    return b"".join(parts)


def too_many_values(body: bytes, limit: int = MAX_VALUES) -> bool:
    """Tell whether a review holds more values than are read, without parsing it."""
    return values.too_many_values(body, limit)


def uid_of(body: bytes) -> str:
    """Return the review's UID where it stands at the beginning, as the API server writes it."""
    found = _UID.search(body, 0, _HEAD)
    return found[1].decode() if found else ""
