"""Turns at one server: so many in a second, whoever asks, and nobody is turned away."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_MOST_SERVERS: Final = 1024


class Turns(Generic[K]):
    """Has those who ask one server wait for each other, so that it is asked evenly.

    A server that nobody has asked for a while is asked at once, `burst` times. Who waits is late by
    as much as there is before it, and by a random part of a turn more, so that those who ask at the
    same beat do not meet again at the next.

    Args:
        per_second: turns of one server, above 0.
        burst: turns that may be taken at once.
        jitter: returns a number from 0 to 1.

    """

    def __init__(self, *, per_second: float, burst: int, jitter: Callable[[], float]) -> None:
        self._turn = 1 / per_second
        self._burst = burst
        self._jitter = jitter
        # When the last turn that was given is over, as if each took its whole time.
        self._taken: OrderedDict[K, float] = OrderedDict()

    async def take(self, server: K) -> None:
        """Wait for a turn at a server."""
        late = self.late(server, asyncio.get_running_loop().time())
        if late > 0:
            await asyncio.sleep(late)

    def late(self, server: K, now: float) -> float:
        """Take a turn and return the seconds until it comes."""
        until = max(now, self._taken.pop(server, now)) + self._turn
        self._taken[server] = until
        while len(self._taken) > _MOST_SERVERS:
            self._taken.popitem(last=False)
        late = until - now - self._burst * self._turn
        return late + self._jitter() * self._turn if late > 0 else 0.0
