"""Gateways that have not seen a route as it is stored, and for how long they are waited for.

A gateway's controller that has lost its watches, as when the API server was away, comes back to
them late: its client waits longer and longer between two attempts, up to a minute. Until then the
shares and the pods of before are served. Each kind of object has a watch of its own, so that one
who has a route again may not have the endpoints yet.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from analyzer.routers.standing import Place, called, place_of, recent
from canary.model.values import Json, Key
from canary.routes.dialect import Dialect

MOST: Final = 180.0
"""Seconds for which one is waited for: two attempts; who says nothing for longer may be gone."""
SHORT: Final = 5.0
"""Seconds of a lag that say nothing of other watches."""
_OF_IT: Final = 0.25
SETTLES: Final = 15.0
"""Seconds at most, a quarter of the lag, in which the endpoints come after the route.

Contour took 8 and 12 s after 52 and 91 s (1.33, on the sandbox), and none after 19 and 56.
"""


@dataclass(frozen=True, slots=True)
class _Lag:
    """One lag, in seconds of the clock.

    `since` is its first sight, None once it is over; `seen` the last look at it, and `felt` is
    until when what has ended is waited for all the same.
    """

    since: float | None
    seen: float
    felt: float = 0.0


class Lags:
    """Tells them.

    Args:
        clock: a monotonic one, in seconds.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[Place, _Lag] = {}

    def said(self, key: Key, routes: Iterable[tuple[Dialect, Json]]) -> str:
        """Say whose gateways are waited for and which have just caught up, "" for none."""
        return "; ".join(
            f"{called(route, key)}: {why}"
            for dialect, route in routes
            if (why := self._said(key, dialect, route))
        )

    def _said(self, key: Key, dialect: Dialect, route: Json) -> str:
        now, why, place = self._clock(), dialect.lag(route), place_of(key, dialect, route)
        lag = self._known.get(place)
        if why:
            since = now if lag is None or lag.since is None else lag.since
            felt = 0.0 if lag is None else lag.felt
            self._known = {**recent(self._known, now), place: _Lag(since, now, felt)}
            return why if now - since < MOST else ""
        if lag is None:
            return ""
        # What is known of how long it was: a look that sees it gone may come long after its end.
        felt = lag.felt if lag.since is None else max(lag.felt, now + _felt(lag.seen - lag.since))
        if now < felt:
            self._known[place] = _Lag(None, now, felt)
            return "its gateway has just caught up, and may not have all endpoints yet"
        del self._known[place]
        return ""


def _felt(lasted: float) -> float:
    return min(_OF_IT * lasted, SETTLES) if lasted >= SHORT else 0.0
