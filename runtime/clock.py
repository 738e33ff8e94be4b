"""The API server's clock, told by the `Date` of its answers.

All analyzers of a cluster ask the same server, so that a time that one of them has stored means the
same to its successor, whatever the clocks of their nodes say; and a clock of a node that is set
in the middle of a run moves nothing, because what is added to the offset is the monotonic clock.

An answer that was sent for at `sent`, came at `received` (monotonic) and says `Date: d` was
written when the server's clock showed between d and d + 1 s, for the header is cut to whole
seconds. So the offset of the two clocks is between `d - received` and `d + 1 s - sent`. What
several answers say is the intersection of their intervals, which shrinks to about the time that the
fastest answers take, because they come at all fractions of a second.

Error bound: half a second and half the round trip of the first answer, and never more than that
while the server's clock runs evenly; `error` tells what it is now. Two processes agree within
the sum of their errors. Servers behind one address have to agree among themselves: where answers
contradict each other, the last one is believed, and the time told moves no further than that asks
for.

After a step of the server's clock, by an hour say, the time told does not jump after it: what has
been waited for would be over at once, or begin anew. It goes a tenth faster or slower until the two
agree again. A successor, who may have come after the step, goes on with the time of its predecessor
(`agree`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

CUT: Final = 1.0
"""Seconds that the server may have been past what the header says."""
DRIFT: Final = 0.0005
"""Seconds per second by which two clocks can part: the most that NTP slews by."""

FOLLOWED: Final = 5.0
"""Seconds by which the time told may jump: less than any interval that an admin would allow."""
SLEW: Final = 0.1
"""Seconds per second by which it makes up for more."""


def machine_time() -> float:
    """Return what the machine's clock says, seconds since the epoch."""
    return datetime.now(UTC).timestamp()


@dataclass(frozen=True, slots=True)
class _Offset:
    """Server's clock minus monotonic clock, seconds: between two bounds, and what is told."""

    low: float
    high: float
    told: float
    at: float

    @property
    def error(self) -> float:
        return max(self.high - self.told, self.told - self.low)

    def aged(self, now: float) -> "_Offset":
        """Return it as it is known now: the clocks may have parted since."""
        parted = DRIFT * max(0.0, now - self.at)
        return _Offset(self.low - parted, self.high + parted, self.told, now)


class ServerClock:
    """Tells the API server's time.

    Args:
        monotonic: seconds on a clock that never steps.
        machine: seconds since the epoch, told until the first answer.

    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        machine: Callable[[], float] = machine_time,
    ) -> None:
        self.monotonic = monotonic
        self._machine = machine
        self._offset: _Offset | None = None

    @property
    def error(self) -> float | None:
        """Seconds by which `now` can be wrong at most; None before the first answer."""
        if self._offset is None:
            return None
        return self._offset.aged(self.monotonic()).error

    def now(self) -> datetime:
        """Return the API server's time, aware; the machine's before the first answer."""
        if self._offset is None:
            return datetime.fromtimestamp(self._machine(), UTC)
        return datetime.fromtimestamp(self._offset.told + self.monotonic(), UTC)

    def shown(self) -> datetime:
        """Return what the API server's own clock shows, right after a step too.

        For what the API server compares with it, such as the beginning of a certificate.
        """
        if self._offset is None:
            return self.now()
        offset = self._offset.aged(self.monotonic())
        seconds = min(max(offset.told, offset.low), offset.high) + self.monotonic()
        return datetime.fromtimestamp(seconds, UTC)

    def hear(self, date: str | None, *, sent: float, received: float) -> None:
        """Take in one answer.

        Args:
            date: its `Date` header, None if it has none.
            sent: monotonic seconds before the request left.
            received: monotonic seconds after the answer's headers were there.

        """
        said = _seconds(date)
        if said is None:
            return
        low, high = said - received, said + CUT - sent
        if self._offset is None:
            self._offset = _Offset(low, high, (low + high) / 2, received)
            return
        passed = max(0.0, received - self._offset.at)
        before = self._offset.aged(received)
        # Empty where the server's clock has stepped, or another server answers.
        if max(low, before.low) <= min(high, before.high):
            low, high = max(low, before.low), min(high, before.high)
        wanted = min(max(before.told, low), high)
        if abs(wanted - before.told) > FOLLOWED:
            most = SLEW * passed
            wanted = before.told + min(max(wanted - before.told, -most), most)
        self._offset = _Offset(low, high, wanted, received)

    def agree(self, when: datetime) -> None:
        """Tell another's time from now on, where it is far from one's own.

        Args:
            when: what the other has told just now.

        """
        told = when.timestamp() - self.monotonic()
        if self._offset is not None and abs(told - self._offset.told) > FOLLOWED:
            self._offset = replace(self._offset, told=told)


def _seconds(date: str | None) -> float | None:
    """Return an HTTP date as seconds since the epoch, None where it is none."""
    if date is None:
        return None
    try:
        when = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return when.replace(tzinfo=when.tzinfo or UTC).timestamp()
