"""What is counted as it is written; what runs come to is told in `analyzer.loop.exported`."""

from dataclasses import dataclass
from typing import Self

from prometheus_client import CollectorRegistry, Counter

from canary.contract import Reason
from canary.rules.actions import Decision, Emit


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """Counts events."""

    events: Counter

    @classmethod
    def create(cls, registry: CollectorRegistry) -> Self:
        """Register the metrics."""
        events = Counter(
            "headgate_events",
            "Events that were written on targets, by their reason.",
            ["reason", "type"],
            registry=registry,
        )
        # A series that begins with its first event shows no increase.
        events.labels(Reason.UNGATED, "Warning")
        return cls(events=events)

    def record(self, decision: Decision) -> None:
        """Count the events of a decision that was carried out."""
        for action in decision.actions:
            if isinstance(action, Emit):
                self.say(action)

    def say(self, event: Emit) -> None:
        """Count an event."""
        kind = "Warning" if event.warning else "Normal"
        self.events.labels(event.reason, kind).inc()
