"""How often evidence is gathered."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

_PART: Final = 0.1
"""A verdict comes later by a tenth of its time at most, for having waited to be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Times between two readings.

    `pods` is for the pods' own pages, `server` is the scrape interval of the metrics server,
    `listing` is for the list of a run's pods. After the canary's share has risen the pages are read
    more often: after a tenth of the time since then, and `hurried` at least.
    """

    pods: timedelta = timedelta(seconds=2)
    server: timedelta = timedelta(seconds=15)
    listing: timedelta = timedelta(seconds=6)
    hurried: timedelta = timedelta(seconds=0.25)

    def after(self, seconds: float) -> float:
        """Return the seconds to the next reading of the pages, so long after a share has risen."""
        most = self.pods.total_seconds()
        return min(most, max(self.hurried.total_seconds(), _PART * seconds))
