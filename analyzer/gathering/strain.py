"""How much slower evidence is gathered while the analyzer has more to do than a processor can.

What cannot be done in time is done late whatever is wanted: then a loop that is late with
everything would be late with refusals too. So pages are read more rarely as soon as the loop is
late, and it is said.
"""

import asyncio
from typing import Final, Never, Self

from prometheus_client import CollectorRegistry, Gauge

LOOK: Final = 0.5
"""Seconds between two looks at how late the loop is."""
LATE: Final = 0.1
"""Seconds that it may be late: a refusal that waits for its turn a few times has 2 s in all."""
_MORE: Final = 1.25
_LESS: Final = 0.05
MOST: Final = 8.0
"""What is read every 2 s is read every 16 s at least."""
_SAID: Final = 1.5


class Strain:
    """Measures how late the event loop is, and answers by how much pauses are longer.

    They grow by a quarter at each look that finds it late, and shrink more slowly, so that it is
    not all begun again at once.
    """

    def __init__(self) -> None:
        self.factor = 1.0
        """Times as long as set."""

    def registered(self, registry: CollectorRegistry) -> Self:
        """Tell of it from now on, and return itself."""
        Gauge(
            "headgate_evidence_stretch",
            "By how much pods' pages are read more rarely than set, as the analyzer is busy; 1 is "
            "as set.",
            registry=registry,
        ).set_function(lambda: self.factor)
        return self

    def found(self, late: float) -> None:
        """Take in one look.

        Args:
            late: seconds by which the loop came later than it was to.

        """
        factor = self.factor * _MORE if late > LATE else self.factor - _LESS
        self.factor = min(MOST, max(1.0, factor))

    async def measure(self) -> Never:
        """Look again and again."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(LOOK)
            self.found(loop.time() - began - LOOK)

    def words(self, pace: float) -> str:
        """Say that pages are read more rarely; "" while they are read about as often as set.

        Args:
            pace: seconds between two readings, as set.

        """
        if self.factor < _SAID:
            return ""
        return (
            f"the analyzer is busy: pods are read every {self.factor * pace:.0f} s instead of "
            f"every {pace:g} s"
        )
