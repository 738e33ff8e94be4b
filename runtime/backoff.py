"""How long to wait before trying again, and waiting so that it can be interrupted.

Delays are exponential, capped, and drawn with full jitter: uniformly between nothing and the
current ceiling. Of the usual schemes it spreads a herd of retries best for the least total work
(Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
"""

import asyncio
import math
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass
class Backoff:
    """The delays of one series of failures.

    Args:
        first: ceiling of the first delay, seconds.
        cap: ceiling that no delay passes, seconds.
        factor: growth of the ceiling per failure.
        rng: source of the jitter.

    """

    first: float
    cap: float
    factor: float = 2.0
    rng: random.Random = field(default_factory=random.Random)
    _ceiling: float = field(init=False)

    def __post_init__(self) -> None:
        self._ceiling = min(self.first, self.cap)

    @property
    def ceiling(self) -> float:
        """The longest that the next delay can be, seconds."""
        return self._ceiling

    def next(self) -> float:
        """Return the delay after one more failure, seconds."""
        delay = self.rng.uniform(0.0, self._ceiling)
        self._ceiling = min(self.cap, self._ceiling * self.factor)
        return delay

    def reset(self) -> None:
        """Forget the failures: something worked."""
        self._ceiling = min(self.first, self.cap)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header asks for, None where it asks for none.

    Args:
        value: the header, in either form of RFC 9110 section 10.2.3: seconds or an HTTP date.
        now: the time against which a date counts.

    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value, now)
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(http_date: str, now: datetime) -> float | None:
    try:
        when = parsedate_to_datetime(http_date)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())


async def sleep_or(event: asyncio.Event, delay: float) -> bool:
    """Wait until the event is set, but no longer than `delay` seconds.

    Returns:
        True if the event is set, False if the time is over.

    """
    try:
        async with asyncio.timeout(max(0.0, delay)):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True
