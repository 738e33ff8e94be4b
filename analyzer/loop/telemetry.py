"""What Prometheus can learn of runs: weights, failed checks and verdicts, by target."""

from dataclasses import dataclass
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Gauge

from canary.contract import Reason
from canary.model.state import Phase, State
from canary.model.values import Key
from canary.rules.actions import Decision, Emit
from canary.rules.context import IDLE_PHASES

VERDICTS = frozenset({Phase.SUCCEEDED, Phase.FAILED})


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """Metrics of runs; a target's own series end with its run."""

    weight: Gauge
    failed_checks: Gauge
    verdicts: Counter
    events: Counter

    @classmethod
    def create(cls, registry: CollectorRegistry) -> Self:
        """Register the metrics."""
        target = ["namespace", "name"]
        events = Counter(
            "headgate_events",
            "Events that were written on targets, by their reason.",
            ["reason", "type"],
            registry=registry,
        )
        # A series that begins with its first event shows no increase.
        events.labels(Reason.UNGATED, "Warning")
        return cls(
            events=events,
            weight=Gauge(
                "headgate_canary_weight",
                "The canary's share of the traffic, percent.",
                target,
                registry=registry,
            ),
            failed_checks=Gauge(
                "headgate_canary_failed_checks",
                "Failed checks that count toward the threshold.",
                target,
                registry=registry,
            ),
            verdicts=Counter(
                "headgate_canary_verdicts",
                "Runs that ended, by the reason of their verdict.",
                [*target, "reason"],
                registry=registry,
            ),
        )

    def record(self, key: Key, before: State, decision: Decision) -> None:
        """Take in one decision.

        Args:
            key: the target.
            before: the state that was decided on.
            decision: what was decided and carried out.

        """
        labels, state = (key.namespace, key.name), decision.state
        for action in decision.actions:
            if isinstance(action, Emit):
                self.say(action)
        if state.phase in VERDICTS and before.phase is not state.phase:
            self.verdicts.labels(*labels, decision.reason).inc()
        if state.phase in IDLE_PHASES:
            self.forget(key)
            return
        self.weight.labels(*labels).set(state.weight)
        self.failed_checks.labels(*labels).set(state.failed_checks)

    def say(self, event: Emit) -> None:
        """Count an event."""
        kind = "Warning" if event.warning else "Normal"
        self.events.labels(event.reason, kind).inc()

    def forget(self, key: Key) -> None:
        """End the series of a target."""
        for gauge in (self.weight, self.failed_checks):
            gauge.remove_by_labels({"namespace": key.namespace, "name": key.name})
