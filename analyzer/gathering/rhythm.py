"""When a run is looked at next: its pods' pages more often just after its weight has risen."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from analyzer.gathering.pace import Pace
from analyzer.gathering.strain import Strain

_SHORTEST_PAUSE: Final = 0.1


@dataclass(slots=True)
class Rhythm:
    """The times of one run's readings.

    `weight` is the canary's share of the traffic when it was last heard of. A rise of it ends the
    present pause, and the pauses are short then and grow: a version that fails does so at once. All
    pauses are longer under strain.
    """

    pace: Pace
    weight: int
    strain: Strain = field(default_factory=Strain)
    _rose: float = float("-inf")
    _risen: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def listing(self) -> float:
        """Seconds between two lists of the run's pods."""
        return self.pace.listing.total_seconds() * self.strain.factor

    @property
    def words(self) -> str:
        """Say that pages are read more rarely than set, where they are."""
        return self.strain.words(self.pace.pods.total_seconds())

    def shares(self, weight: int) -> None:
        """Hear of the canary's present share."""
        if weight > self.weight:
            self._rose = asyncio.get_running_loop().time()
            self._risen.set()
        self.weight = weight

    async def pause(self, started: float) -> None:
        """Wait until the next reading is due; `started` is when the last one began."""
        now = asyncio.get_running_loop().time()
        pace = self.pace.after(started - self._rose)
        with suppress(TimeoutError):
            async with asyncio.timeout(_rest(pace * self.strain.factor, started, now)):
                await self._risen.wait()
        self._risen.clear()


def _rest(pace: float, started: float, now: float) -> float:
    return max(_SHORTEST_PAUSE, pace - (now - started))
