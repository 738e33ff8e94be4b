"""What an admin is to be told of the analyzer itself, in every replica, whether or not it leads.

A replica that does not lead watches all the same: so it can tell of holds that nobody looks after.
"""

import time
from collections.abc import Callable, Iterable
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
    holds.set_function(lambda: sum(1 for _ in without_run(index)))


def _silence(informer: Informer, clock: Callable[[], float]) -> float:
    return max(0.0, clock() - informer.heard)


def without_run(index: ClusterIndex) -> Iterable[Key]:
    """Return the held targets whose candidate neither runs nor has been refused."""
    for key, hold in index.holds().items():
        if index.enabled(key.namespace) and not _is_looked_after(index.canary(key), hold):
            yield key


def _is_looked_after(canary: Json | None, hold: str) -> bool:
    if canary is None:
        return False
    state = state_of(canary)
    return state.phase in _LOOKED_AFTER and state.candidate == hold
