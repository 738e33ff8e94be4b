"""Which points of several series count: those of the newest time at which any has one."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

Points = list[tuple[float, float | None]]
"""When each begins, in seconds since the epoch, and its value."""
_SLACK: Final = 2.0
"""Seconds by which our clock and a service's may differ."""


def at_newest(
    points: Iterable[tuple[float, float | None]],
    *,
    now: datetime,
    window: timedelta,
    lasts: float = 0.0,
) -> tuple[float, ...]:
    """Return the values at the newest time at which any series has a complete point.

    A series that has ended before then, as that of a pod that is gone, counts no more.

    Args:
        points: of all series, in any order; the value is None or NaN where there was none.
        now: the time.
        window: how long ago a point may begin.
        lasts: seconds from the beginning of a point to its end, 0 where each is of one moment.

    """
    end = now.timestamp() + _SLACK
    begin = now.timestamp() - window.total_seconds() - _SLACK
    found = [
        (time, value)
        for time, value in points
        if value is not None and not math.isnan(value) and begin <= time and time + lasts <= end
    ]
    last = max((time for time, _ in found), default=None)
    return tuple(value for time, value in found if time == last)
