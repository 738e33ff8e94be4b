"""Which samples of a metrics server are known to be of after a moment.

An answer of now may be of long before: as old as the scrape interval, and up to five minutes where
the server was away and has not scraped again. What a gateway counted meanwhile comes with its next
sample, and is for the canary of before. A value that has changed since an answer of after the
moment was scraped after it, whatever the interval.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from canary.counting.series import Series
from canary.measuring.settling import identity, source

DELIVERED: Final = 5.0
"""Seconds after its scrape by which a sample is there to be asked for."""
LOOKBACK: Final = 300.0
"""Seconds that a sample is answered with, unless a newer one is there: Prometheus' own."""


@dataclass(slots=True)
class Scraped:
    """What is known of each source.

    `after` is the moment, in seconds since the epoch; `sure` are the sources that were scraped
    after it, and `stood` is what the others' series stood at in their first answer of after it.
    """

    after: float = 0.0
    sure: set[str] = field(default_factory=set)
    stood: dict[str, dict[str, float]] = field(default_factory=dict)

    def doubted(self, series: Iterable[Series], after: float, time: float) -> frozenset[str]:
        """Return the sources of an answer from whose samples on nothing may be counted yet.

        The answer that shows a source to have been scraped is the last one to be doubted: what
        changed in it may have been counted before the moment, what comes after it was not.

        Args:
            series: the answer, or what is to be looked at of it.
            after: the moment, in seconds since the epoch; another than last time is looked for
                anew.
            time: of the answer.

        """
        if time >= after + LOOKBACK + DELIVERED:
            return frozenset()
        if after != self.after:
            self.after, self.sure, self.stood = after, set(), {}
        found: dict[str, dict[str, float]] = {}
        for one in series:
            if (where := source(one.labels)) not in self.sure:
                found.setdefault(where, {})[identity(one.labels)] = one.value
        if time >= after + DELIVERED:
            for where, values in found.items():
                self._look(where, values)
        return frozenset(found)

    def _look(self, where: str, values: Mapping[str, float]) -> None:
        # A series that is new may only have been left out of the question before.
        stood = self.stood.setdefault(where, {})
        if any(stood.get(name, value) != value for name, value in values.items()):
            self.sure.add(where)
            del self.stood[where]
        else:
            stood.update(values)
