"""Durations as Flagger and Prometheus write them: `90s`, `1m`, `1m30s`, `2h`.

Minutes may be `min` too, as Graphite has them and Flagger's documents write for it.
"""

import re
from datetime import datetime, timedelta

_UNITS = {"h": 3600, "min": 60, "m": 60, "s": 1, "ms": 0.001}
_PART = re.compile(r"([0-9]+)(ms|min|h|m|s)")


def parse_duration(text: str) -> timedelta:
    """Read a duration.

    Raises:
        ValueError: it is not one; the message says what is.

    """
    if not re.fullmatch(rf"(?:{_PART.pattern})+", text):
        raise ValueError(f"{text!r} is not a duration; write it as 30s, 1m or 1m30s")
    return timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in _PART.findall(text)))


def format_duration(duration: timedelta) -> str:
    """Write whole seconds in the largest unit that divides them."""
    seconds = int(duration.total_seconds())
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def age(since: datetime | None, now: datetime) -> str:
    """Write how long ago something was, for messages."""
    return format_duration(now - since) if since else format_duration(timedelta(0))
