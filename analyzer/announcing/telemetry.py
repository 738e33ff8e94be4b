"""What Prometheus can learn of alerts and of event hooks; never by whose they are."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Gauge


class Fate(StrEnum):
    """What became of something that was to be sent: it arrived, did not, or too many waited."""

    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class AlertMetrics:
    """How many alerts were sent, and how many wait."""

    alerts: Counter

    @classmethod
    def create(cls, registry: CollectorRegistry, waiting: Callable[[], float]) -> Self:
        """Register the metrics.

        Args:
            registry: where they go.
            waiting: counts what is yet to be sent.

        """
        gauge = Gauge(
            "headgate_alerts_waiting", "Alerts that are yet to be sent.", registry=registry
        )
        gauge.set_function(waiting)
        return cls(alerts=_by_outcome("headgate_alerts", "Alerts", registry))


@dataclass(frozen=True, slots=True)
class EventMetrics:
    """How many events hooks were told of, and how many wait."""

    events: Counter

    @classmethod
    def create(cls, registry: CollectorRegistry, waiting: Callable[[], float]) -> Self:
        """Register the metrics.

        Args:
            registry: where they go.
            waiting: counts what is yet to be told.

        """
        gauge = Gauge(
            "headgate_event_hooks_waiting",
            "Events that event hooks are yet to be told of.",
            registry=registry,
        )
        gauge.set_function(waiting)
        return cls(events=_by_outcome("headgate_event_hooks", "Events to event hooks", registry))


def _by_outcome(name: str, what: str, registry: CollectorRegistry) -> Counter:
    """Register a counter by fate, with a series for each from the start."""
    counter = Counter(
        name,
        f"{what} by outcome: sent, failed (after all tries), dropped (too many waited).",
        ["outcome"],
        registry=registry,
    )
    for fate in Fate:
        counter.labels(fate)
    return counter
