"""How many series are held until all that they are judged with are in."""

import weakref
from collections.abc import Sequence
from typing import Final

from canary.counting.series import Series

HELD_AT_ONCE: Final = 400_000
"""Labels of all series that are held, some 80 bytes each."""
SMALL: Final = 5_000
"""Labels that every answer or page may have, whatever is held: some 500 series."""
NO_ROOM: Final = "counters have too many series to be read beside all others'; let them have fewer"


class _Counted(list[Series]):
    """A list that tells of its end; tuples cannot."""


class Held:
    """Series that came from one kind of place, of all runs together.

    Who waits for one thing holds all others: where pods or servers of some runs hang, what came of
    those runs would fill the memory. So large answers are refused while there is no room for them,
    and small ones never.

    Args:
        most: labels that are held at a time.

    """

    def __init__(self, most: int = HELD_AT_ONCE) -> None:
        self._most = most
        self.labels = 0
        """Labels that are held now."""

    def hold(self, series: Sequence[Series]) -> Sequence[Series] | None:
        """Return the series, counted for as long as anybody has them; None where they are too many.

        Args:
            series: of one answer or page.

        """
        labels = sum(2 + len(one.labels) for one in series)
        if labels > SMALL and self.labels + labels > self._most:
            return None
        counted = _Counted(series)
        self.labels += labels
        weakref.finalize(counted, self._release, labels).atexit = False
        return counted

    def _release(self, labels: int) -> None:
        self.labels -= labels
