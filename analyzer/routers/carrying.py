"""For how long the gateways have had what a target's split gives its canary, as far as they tell.

A share that is written is none yet: a gateway that is behind has it seconds before the check that
judges it, and the few requests by then say nothing. What was there before this process is not
known, and counts from its first look.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from analyzer.routers.standing import Place, place_of, recent
from canary.model.traffic import Traffic
from canary.model.values import Json, Key
from canary.routes.dialect import Dialect


@dataclass(frozen=True, slots=True)
class _Carried:
    """What a route gives, and since when its gateways have it: None until all have told so."""

    traffic: frozenset[Traffic]
    since: float | None
    seen: float


class Carrying:
    """Tells it.

    Args:
        clock: a monotonic one, in seconds.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[Place, _Carried] = {}

    def lasted(
        self, key: Key, routes: Iterable[tuple[Dialect, Json, frozenset[Traffic]]]
    ) -> timedelta | None:
        """Return for how long all gateways that tell have had a split; None where none tells.

        Args:
            key: the target.
            routes: with what each of them gives the canary.

        """
        now = self._clock()
        times = [self._since(key, now, *one) for one in routes]
        known = [it for it in times if it is not None]
        return timedelta(seconds=now - max(known)) if known else None

    def _since(
        self, key: Key, now: float, dialect: Dialect, route: Json, traffic: frozenset[Traffic]
    ) -> float | None:
        place = place_of(key, dialect, route)
        before = self._known.get(place)
        since = None if before is None or before.traffic != traffic else before.since
        if since is None and _is_served(dialect, route):
            since = now
        if before is None:
            self._known = recent(self._known, now)
        self._known[place] = _Carried(traffic, since, now)
        return since


def _is_served(dialect: Dialect, route: Json) -> bool:
    """Tell whether all gateways have a route as it is stored, and have heard of its Services."""
    unheard = any(it.passing for it in dialect.word(route).troubles)
    return dialect.accepted(route) and not unheard
