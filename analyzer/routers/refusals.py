"""Routes of which a gateway does not take a target's split, and for how long that may be passing.

A gateway that has not heard of the canary's Service yet says so, and a moment later it has. What
lasts is no such moment: the canary loses its share. Without one it is waited for, however long it
takes. That is known here alone: after a death it has to last again.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final

from analyzer.routers.standing import (
    FORGOTTEN,
    Place,
    called,
    is_quiet,
    kept_out,
    name_on,
    place_of,
    standing,
)
from canary.model.values import Json, Key
from canary.routes.declined import declines, is_passing
from canary.routes.dialect import Dialect

LASTS: Final = 10.0
"""Seconds after which a gateway that is not behind has heard of a Service."""


class Refusals:
    """Tells them.

    Args:
        clock: a monotonic one, in seconds.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[Place, float] = {}

    def said(self, key: Key, routes: Iterable[tuple[Dialect, Json]]) -> str:
        """Say which routes a target's split comes or stays out of and why, "" for none."""
        return "; ".join(
            f"{called(route, key)}: {why}"
            for dialect, route in routes
            if (why := self._declines(key, dialect, route) or kept_out(route, key))
        )

    def are_new(self, key: Key, routes: Iterable[tuple[Dialect, Json]]) -> bool:
        """Tell whether a target's split has to be taken out of a route in which it stands."""
        return any(self._declines(key, dialect, route) for dialect, route in routes)

    def has_lasted(self, key: Key, dialect: Dialect, route: Json) -> bool:
        """Tell whether what may be over by itself is not over after all."""
        since = self._since.get(place_of(key, dialect, route))
        lasts = since is not None and self._clock() - since >= LASTS
        return lasts and not is_quiet(route, key)

    def _declines(self, key: Key, dialect: Dialect, route: Json) -> str:
        mark, name, place = standing(route), name_on(route, key), place_of(key, dialect, route)
        if not is_passing(dialect, route, mark, name):
            self._since.pop(place, None)
        elif place not in self._since:
            now = self._clock()
            kept = {it: at for it, at in self._since.items() if now - at < FORGOTTEN}
            self._since = {**kept, place: now}
        return declines(dialect, route, mark, name, lasting=self.has_lasted(key, dialect, route))
