"""Whether pods that were lost are one run's bad luck or an incident of the cluster.

Each run can tell what happened to its own pods. What hits many runs at once is told by counting
them: it is the cluster's, whatever it looks like in each.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from canary.model.fates import Broken, Calm, Fate, Fates, Incident, Loss, Serving, Weather

WINDOW: Final = timedelta(minutes=1)
"""Losses within this time of each other are of one incident, and how long it is remembered."""
MANY: Final = 3
"""So many runs that lose pods are an incident, however many there are."""
_FEWEST: Final = 2


def lost_pods(before: Fates, after: Fates) -> frozenset[str]:
    """Return the pods that served and do not any more, and did not break by themselves.

    Args:
        before: a canary's pods at the last look.
        after: the same canary's pods now; one that is not among them is gone.

    """
    now: dict[str, Fate] = {fate.pod: fate for fate in after}
    return frozenset(
        fate.pod
        for fate in before
        if isinstance(fate, Serving) and not isinstance(now.get(fate.pod), Serving | Broken)
    )


def weather(losses: Iterable[Loss], running: int, now: datetime) -> Weather:
    """Tell whether the runs under way see an incident of the cluster.

    At least three runs lost pods within a minute, or at least two that are more than half of all.

    Args:
        losses: what was lost, in any order, however long ago.
        running: runs under way.
        now: the time of this look.

    """
    recent = [loss for loss in losses if now - WINDOW < loss.at <= now]
    lost = len({loss.key for loss in recent})
    if lost >= MANY or (lost >= _FEWEST and 2 * lost > running):
        latest = max(loss.at for loss in recent)
        return Incident(lost=lost, running=max(running, lost), latest=latest)
    return Calm()


def still_counting(losses: Iterable[Loss], now: datetime) -> tuple[Loss, ...]:
    """Leave out what no later look needs.

    Args:
        losses: what was lost.
        now: the time of this look.

    """
    return tuple(loss for loss in losses if now - WINDOW < loss.at)
