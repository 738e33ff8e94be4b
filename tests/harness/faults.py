"""What can happen to one write: the process ends, or the API server answers something else."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeVar

from runtime.errors import ApiError, Conflict, Throttled, Unavailable
from tests.harness.client import Write

T = TypeVar("T")
PATIENCE: Final = 2.0
"""Seconds that a 429 asks for."""
DEADLINE: Final = 10.0
"""Seconds after which a call without an answer is given up."""


class Fault(Enum):
    """What happens instead of a write, or after it."""

    DIES_BEFORE = "the process ends before it"
    DIES_AFTER = "the process ends after it"
    CONFLICT = "409, somebody was faster"
    THROTTLED = "429 with Retry-After"
    BROKEN = "500"
    TIMED_OUT = "no answer, and it never arrived"
    LOST = "no answer, although it took place"
    REPEATED = "the answer was lost, and it is sent again"


_ARRIVES: Final = frozenset({Fault.DIES_AFTER, Fault.LOST, Fault.REPEATED})
_ANSWERS: Final[Mapping[Fault, Callable[[], ApiError]]] = {
    Fault.CONFLICT: lambda: Conflict(409, "Conflict", "the object has been modified"),
    Fault.THROTTLED: lambda: Throttled(429, "TooManyRequests", "too many requests", PATIENCE),
    Fault.BROKEN: lambda: Unavailable(500, "InternalError", "etcdserver: leader changed"),
    Fault.TIMED_OUT: lambda: Unavailable(0, "Timeout", "no answer in time"),
    Fault.LOST: lambda: Unavailable(0, "ConnectionLost", "the connection was lost"),
}
DEATHS: Final = (Fault.DIES_BEFORE, Fault.DIES_AFTER)


@dataclass
class Recorder:
    """Lets every write pass, and keeps it."""

    writes: list[Write] = field(default_factory=list)

    async def passes(self, write: Write, arrive: Callable[[], T]) -> T:
        """Let it arrive."""
        self.writes.append(write)
        return arrive()


@dataclass
class Trap:
    """Does something to one write, the how-manyth it is, or to all from it to another.

    Args:
        number: of the write, from 0.
        fault: what happens.
        kill: ends the process.
        times: how many writes it happens to, one after the other.
        hangs: whether a write waits for its answer now.

    """

    number: int
    fault: Fault
    kill: Callable[[], None]
    times: int = 1
    writes: list[Write] = field(default_factory=list)
    hangs: bool = False

    async def passes(self, write: Write, arrive: Callable[[], T]) -> T:
        """Let it arrive, or not."""
        at = len(self.writes)
        self.writes.append(write)
        if not self.number <= at < self.number + self.times:
            return arrive()
        if self.fault in _ARRIVES:
            arrive()
        if self.fault is Fault.REPEATED:
            return arrive()
        if self.fault in DEATHS:
            self.kill()
            await asyncio.Event().wait()  # in the middle of its call, which never returns
        if self.fault is Fault.TIMED_OUT:
            self.hangs = True
            try:
                await asyncio.sleep(DEADLINE)
            finally:
                self.hangs = False
        answer = _ANSWERS[self.fault]
        raise answer()
