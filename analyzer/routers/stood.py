"""For how long a target's split has stood as it does, as far as this process knows.

Most gateways say when they have a route; an Ingress controller or a mesh does not. What they had
before this process looked is not known, and counts from its first look.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from analyzer.routers.standing import recent
from canary.model.traffic import Traffic
from canary.model.values import Key


@dataclass(frozen=True, slots=True)
class _Stood:
    traffic: Traffic
    since: float
    seen: float


class Stood:
    """Tells it.

    Args:
        clock: a monotonic one, in seconds.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[Key, _Stood] = {}

    def lasted(self, key: Key, traffic: Traffic) -> timedelta:
        """Return for how long the canary has had this traffic, and remember that it has it now.

        Args:
            key: the target.
            traffic: what the canary gets by the routes as they are stored.

        """
        now, before = self._clock(), self._known.get(key)
        if before is None:
            self._known = recent(self._known, now)
        since = before.since if before is not None and before.traffic == traffic else now
        self._known[key] = _Stood(traffic, since, now)
        return timedelta(seconds=now - since)
