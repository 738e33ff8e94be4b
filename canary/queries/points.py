"""Which of a series' points counts: the newest one that is complete.

Services of metrics give points in time where a metric needs one number. Flagger takes the first,
which is the oldest that was asked for; whoever judges a canary means how it is now.

```text
   window_of(interval)
 |<-------------------------->|
 |  [  ][  ][  ][  ][  ][ c ][| p      c is taken: p has not ended yet, and what is counted in it
 from                        now       is a part of what it is going to have
```
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

Points = list[tuple[float, float | None]]
"""When each begins, in seconds since the epoch, and its value."""
INTERVALS: Final = 10
"""A query looks back as many of the metric's intervals, where it does not say so itself. As in
Flagger (`pkg/metrics/providers`): services of metrics have a point late, or one in minutes only."""
_SLACK: Final = 2.0
"""Seconds by which our clock and a service's may differ."""


def window_of(interval: timedelta) -> timedelta:
    """Return how far back a query looks that does not say so itself."""
    return INTERVALS * interval


def number_of(value: Any) -> float | None:
    """Return a number of a JSON text as it is, NaN too; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


class IncompleteError(ValueError):
    """There are points, and none of them is complete; the message is for the reader of a status."""


def step_of(points: Sequence[tuple[float, float | None]]) -> float:
    """Return the seconds between one point and the next, 0 where there are not two of them.

    Args:
        points: at regular times, oldest first; when each begins, and its value.

    """
    return max(0.0, points[-1][0] - points[-2][0]) if len(points) > 1 else 0.0


def newest(
    points: Iterable[tuple[float, float | None]],
    *,
    now: datetime,
    window: timedelta | None,
    lasts: float = 0.0,
) -> float | None:
    """Return the value of the newest point that is complete, has a number and lies in the window.

    Args:
        points: in any order; when each begins in seconds since the epoch, and its value, None or
            NaN where there was nothing to measure.
        now: the time.
        window: how long ago a point may end, None for any time.
        lasts: seconds from the beginning of a point to its end, 0 where each is of one moment.

    Returns:
        None where there is nothing, or all of it is older.

    Raises:
        IncompleteError: what there is has begun before the window or has not ended yet.

    """
    end = now.timestamp()
    begin = -math.inf if window is None else end - window.total_seconds()
    # Clocks differ by a second or two, and vendors' own times are whole seconds.
    fresh = [(at, value) for at, value in _measured(points) if at + lasts >= begin - _SLACK]
    complete = [
        (time, value)
        for time, value in fresh
        if time >= begin - _SLACK and time + lasts <= end + _SLACK
    ]
    if fresh and not complete:
        raise IncompleteError(
            f"its points are of {lasts:g}s each, and none of them is complete in the time that is "
            "looked at; let the query make shorter ones, or give the metric a longer interval"
        )
    return max(complete)[1] if complete else None


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
    found = [(at, value) for at, value in _measured(points) if begin <= at and at + lasts <= end]
    last = max((at for at, _ in found), default=None)
    return tuple(value for at, value in found if at == last)


def _measured(points: Iterable[tuple[float, float | None]]) -> Iterator[tuple[float, float]]:
    """Yield the points that have a number."""
    for at, value in points:
        if value is not None and not math.isnan(value):
            yield at, value
