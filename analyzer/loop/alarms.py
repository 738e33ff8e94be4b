"""What an admin is to be told of the analyzer itself, in every replica, whether or not it leads.

A replica that does not lead watches all the same: so it can tell of holds that nobody looks after.
"""

import time
from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Gauge

from analyzer.loop.index import ClusterIndex
from analyzer.loop.records import state_of
from canary.model.state import RUNNING_PHASES, Phase
from canary.model.values import Json, Key
from runtime.informer import Informer

_LOOKED_AFTER = RUNNING_PHASES | {Phase.FAILED}
"""Phases of a candidate that runs, or has been refused."""


def register(
    index: ClusterIndex, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
) -> None:
    """Tell of watches and holds.

    Args:
        index: what the informers know.
        registry: where the metrics go.
        clock: a monotonic one, in seconds, which is that of the informers.

    """
    silence = Gauge(
        "headgate_watch_silence_seconds",
        "Time since the API server last said anything on a watch; bookmarks come every minute.",
        ["resource"],
        registry=registry,
    )
    for informer in index.informers:
        silence.labels(informer.resource.plural).set_function(partial(_silence, informer, clock))
    holds = Gauge(
        "headgate_holds_without_run",
        "Held updates, of targets with replicas, that no run has begun for.",
        registry=registry,
    )
    holds.set_function(WithoutRun(index).count)


def _silence(informer: Informer, clock: Callable[[], float]) -> float:
    return max(0.0, clock() - informer.heard)


class WithoutRun:
    """Counts the held targets whose candidate neither runs nor has been refused.

    A record is read once for each of its versions: a scrape holds up everything else.

    Args:
        index: what the informers know.

    """

    def __init__(self, index: ClusterIndex) -> None:
        self._index = index
        self._known: dict[Key, tuple[object, str]] = {}

    def count(self) -> int:
        """Return how many there are."""
        index, before = self._index, self._known
        self._known = {}
        found = 0
        for key, hold in index.holds().items():
            if not index.enabled(key.namespace):
                continue
            versions = index.canary_versions(key)
            known = before.get(key)
            if known is None or known[0] != versions:
                known = (versions, _looked_after(index.canary(key)))
            self._known[key] = known
            found += known[1] != hold
        return found


def _looked_after(canary: Json | None) -> str:
    """Return the candidate that runs, or has been refused; "" for none."""
    if canary is None:
        return ""
    state = state_of(canary)
    return state.candidate if state.phase in _LOOKED_AFTER else ""
