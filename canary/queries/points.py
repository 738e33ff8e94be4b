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
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

INTERVALS: Final = 10
"""A query looks back as many of the metric's intervals, where it does not say so itself. As in
Flagger (`pkg/metrics/providers`): services of metrics have a point late, or one in minutes only."""


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


def newest(
    points: Iterable[tuple[float, float | None]],
    *,
    now: datetime,
    window: timedelta,
    lasts: float = 0.0,
) -> float | None:
    """Return the value of the newest point that is complete, has a number and lies in the window.

    Args:
        points: in any order; when each begins in seconds since the epoch, and its value, None or
            NaN where there was nothing to measure.
        now: the time.
        window: how old a point may be.
        lasts: seconds from the beginning of a point to its end, 0 where each is of one moment.

    """
    end = now.timestamp()
    begin = end - window.total_seconds()
    found = [
        (time, value)
        for time, value in points
        if value is not None and not math.isnan(value) and begin <= time and time + lasts <= end
    ]
    return max(found)[1] if found else None
