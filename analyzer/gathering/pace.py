"""How often evidence is gathered."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Times between two readings.

    `pods` is for the pods' own pages, `server` is the scrape interval of the metrics server,
    `listing` is for the list of a run's pods. For as long as `hurry` after the canary's share has
    risen the pages are read as often as `hurried` says.
    """

    pods: timedelta = timedelta(seconds=2)
    server: timedelta = timedelta(seconds=15)
    listing: timedelta = timedelta(seconds=6)
    hurried: timedelta = timedelta(seconds=0.5)
    hurry: timedelta = timedelta(seconds=10)
