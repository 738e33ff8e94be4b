"""Room for answers: how much of them is in memory at a time, whoever asks and whoever answers.

```text
read up to SMALL --> a place for the rest, process-wide --> counted --> parsed, one after the other
```

An answer of so many bytes takes up to twenty times as much as Python objects, and which one it is
going to be is the other side's choice.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import Final

import requests

from analyzer.places import Places

SMALL: Final = 256 * 1024
"""Bytes that every answer may have; nearly all have fewer."""
LARGE_AT_ONCE: Final = 2
"""Answers of more than that, of all servers that teams name; one for each namespace. The admin's
server has one place for itself: what a team's server does not end cannot take it."""
MAX_VALUES: Final = 300_000
"""Values of one answer, counted before it is parsed: some 16 000 series. Each costs up to 90 bytes
as a Python object."""


class Rooms:
    """The room that all answers share. For one event loop and the threads that it starts."""

    def __init__(self) -> None:
        self._places = {
            trusted: Places[str](per_owner=1, total=total, strict=True)
            for trusted, total in ((False, LARGE_AT_ONCE), (True, 1))
        }
        self._parsing = {large: threading.Lock() for large in (False, True)}
        self._here = threading.local()

    @contextmanager
    def of(
        self, owner: str, loop: asyncio.AbstractEventLoop, seconds: float, *, trusted: bool
    ) -> Iterator["Room"]:
        """Have room for what this thread asks next, until the block is left.

        Args:
            owner: whose question it is.
            loop: the event loop, which runs elsewhere.
            seconds: that anything is waited for.
            trusted: whether the admin's server is asked.

        """
        room = Room(self._places[trusted], self._parsing, owner, loop, time.monotonic() + seconds)
        self._here.room = room
        try:
            yield room
        finally:
            del self._here.room
            room.close()

    def here(self) -> "Room | None":
        """Return the room of this thread."""
        return getattr(self._here, "room", None)


class Room:
    """The room of one answer.

    Args:
        places: for large ones.
        parsing: for who parses a small one, and for who parses a large one.
        owner: whose question it is.
        loop: the event loop, which runs elsewhere.
        ends: when waiting ends, on the monotonic clock.

    """

    def __init__(
        self,
        places: Places[str],
        parsing: dict[bool, threading.Lock],
        owner: str,
        loop: asyncio.AbstractEventLoop,
        ends: float,
    ) -> None:
        self._places = places
        self._parsing = parsing
        self._owner = owner
        self._loop = loop
        self._ends = ends
        self._large = False
        self._given_up = False
        self._deciding = threading.Lock()
        self._turn: threading.Lock | None = None

    def grow(self, size: int) -> None:
        """Have room for so many bytes; it may have to be waited for.

        Raises:
            requests.Timeout: there is none in time.

        """
        if size <= SMALL or self._large:
            return
        entering = asyncio.run_coroutine_threadsafe(self._enter(), self._loop)
        try:
            entering.result(self._left())
        except (TimeoutError, CancelledError) as error:
            with self._deciding:
                self._given_up = True
            entering.cancel()
            raise requests.Timeout from error

    def parse(self) -> None:
        """Have a turn at parsing, kept until the room is closed.

        Raises:
            requests.Timeout: there is none in time.

        """
        if self._turn is not None:
            return
        turn = self._parsing[self._large]
        if not turn.acquire(timeout=self._left()):
            raise requests.Timeout
        self._turn = turn

    def close(self) -> None:
        """Let others have it."""
        if self._turn is not None:
            self._turn.release()
        with self._deciding:
            self._given_up = True
        if self._large:
            with suppress(RuntimeError):  # the loop has ended, and with it all waiting
                self._loop.call_soon_threadsafe(self._places.leave, self._owner)

    def _left(self) -> float:
        return max(0.0, self._ends - time.monotonic())

    async def _enter(self) -> None:
        """Enter in the event loop, unless nobody waits for it any more."""
        await self._places.enter(self._owner)
        with self._deciding:
            self._large = not self._given_up
        if not self._large:
            self._places.leave(self._owner)
