"""What the API server answers, read without trust in its length: as a whole, or line by line."""

from collections.abc import AsyncGenerator
from typing import Any, Final

import aiohttp
import orjson
from aiohttp.http_exceptions import LineTooLong

from runtime.errors import Expired, TooLarge, Unavailable, from_status
from runtime.resources import WatchEvent
from runtime.values import shallow

Json = dict[str, Any]

LARGEST: Final = 2**24
"""Bytes of one object, as an answer or as an event of a watch, which is one line.

etcd takes objects of 1.5 MiB, of which each character can be six in JSON (`<` is written as u003c
behind a backslash).
"""
MOST_VALUES: Final = 100_000
"""Values of one object that is asked for: the largest real ones have less than half of them.

Each costs up to 90 bytes as a Python object, and a dozen objects may be looked at at a time.
"""
DEEPEST: Final = 200
"""Levels of an answer that is deeper than can be parsed, of which the rest is not read.

Ours have some twenty. What can be parsed has 1,024; what can be written again, 254.
"""


async def read(response: aiohttp.ClientResponse, largest: int) -> bytearray:
    """Read a whole answer, before anything of it is parsed.

    Raises:
        TooLarge: it is longer than that; the connection is closed.

    """
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > largest:
            response.close()
            raise TooLarge(0, "TooLarge", f"an answer of more than {largest} bytes")
    return body


def decode(text: bytes | bytearray) -> Json:
    """Return the JSON object of an answer's body or of a line of a watch.

    What somebody has written too deep to be parsed is left out of it, or nobody could be told of
    the other objects.

    Raises:
        Unavailable: it is none, so that some proxy answered, or only a part arrived.

    """
    try:
        value = _parsed(text)
    except orjson.JSONDecodeError as error:
        raise Unavailable(0, "NotJson", str(error)) from error
    if not isinstance(value, dict):
        raise Unavailable(0, "NotJson", f"an object was expected, not {type(value).__name__}")
    return value


def _parsed(text: bytes | bytearray) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return orjson.loads(shallow(text, DEEPEST))


async def lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a streamed answer until it ends, then close it.

    Raises:
        Unavailable: the connection was lost.
        Expired: a line is longer than any object's; the stream cannot go on behind it.

    """
    try:
        while line := await response.content.readline(max_line_length=LARGEST):
            yield line
    except LineTooLong as error:
        raise Expired(0, "LineTooLong", f"an event of more than {LARGEST} bytes") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Unavailable(0, "ConnectionLost", str(error)) from error
    finally:
        response.close()


def watch_event(line: bytes) -> WatchEvent:
    """Return the event, or raise what an ERROR event says, or that it is none."""
    try:
        event = decode(line)
    except Unavailable as error:
        # It may come again, every time that the watch goes on from before it.
        raise Expired(0, error.reason, error.message) from error
    if event["type"] == "ERROR":
        raise from_status(event["object"])
    return WatchEvent(event["type"], event["object"])
