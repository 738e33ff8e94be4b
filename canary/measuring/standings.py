"""Where the sums of one metric stood at each reading, over a window that moves on."""

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

from canary.evidence.counters import Arm
from canary.measuring.parts import Parts

MOST_READINGS: Final = 400

Column = tuple[Arm, float]
"""A side and a part of it."""


def _doubles() -> "array[float]":
    return array("d")


@dataclass(slots=True)
class Standings:
    """Sums by reading, of both sides.

    Attributes:
        times: of the readings, in seconds since the epoch, oldest first.
        columns: the sides and parts that were met so far.
        sums: what was counted of each column until each of these times, one reading after the
            other. They are in one array of doubles, for what is around a value costs more than it.

    """

    times: "array[float]" = field(default_factory=_doubles)
    columns: list[Column] = field(default_factory=list)
    sums: "array[float]" = field(default_factory=_doubles)

    def add(self, time: float, sums: dict[Arm, Parts], *, window: float) -> None:
        """Note a reading.

        Args:
            time: of the reading, in seconds since the epoch, after all others.
            sums: what was counted until then; a part that was met once is never left out.
            window: seconds before it of which something is looked at again.

        """
        met = [(arm, part) for arm, parts in sums.items() for part in parts]
        if len(met) > len(self.columns):
            self._widen([column for column in met if column not in self.columns])
        self.times.append(time)
        self.sums.extend(sums[arm][part] for arm, part in self.columns)
        self._forget(time - window)

    def since(self, begin: float) -> int | None:
        """Return which reading was the first one not before a time, None where there is none."""
        at = bisect_left(self.times, begin)
        return at if at < len(self.times) else None

    def increase(self, arm: Arm, since: int) -> Parts:
        """Return what a side's parts have counted from one reading to the last one."""
        before, after = self._at(since), self._at(len(self.times) - 1)
        return {
            part: to - begun
            for (side, part), begun, to in zip(self.columns, before, after, strict=True)
            if side is arm
        }

    def _at(self, reading: int) -> "array[float]":
        width = len(self.columns)
        return self.sums[reading * width : (reading + 1) * width]

    def _widen(self, columns: list[Column]) -> None:
        """Add columns: what was not met had counted nothing."""
        rows, none = [self._at(at) for at in range(len(self.times))], (0.0,) * len(columns)
        self.columns.extend(columns)
        self.sums = array("d", (value for row in rows for value in (*row, *none)))

    def _forget(self, begin: float) -> None:
        """Let go what is older than the window but the last of it, and of too many every other."""
        old = max(0, bisect_left(self.times, begin) - 1)
        del self.times[:old], self.sums[: old * len(self.columns)]
        if len(self.times) > MOST_READINGS:
            last = len(self.times) - 1
            kept = (0, *range(1, last, 2), last)
            self.sums = array("d", (value for at in kept for value in self._at(at)))
            self.times = array("d", (self.times[at] for at in kept))
