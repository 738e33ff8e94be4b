"""What Prometheus can learn of questions, by their kind; never by whose they are."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final, Self

from prometheus_client import CollectorRegistry, Gauge, Histogram

_BUCKETS: Final = (0.05, 0.2, 1, 5, 10, 30, 60, 300, 900, 3600)
"""Seconds: a check takes a fraction of one, a gate may take the hour that is its limit."""


class Kind(StrEnum):
    """What is asked; the two have their places apart."""

    METRICS = "metrics"
    HOOK = "hook"


@dataclass(frozen=True, slots=True)
class QuestionMetrics:
    """How many questions are out, how many wait for a place, and how long answers took."""

    in_flight: Gauge
    waiting: Gauge
    seconds: Histogram

    @classmethod
    def create(
        cls,
        registry: CollectorRegistry,
        *,
        in_flight: Callable[[Kind], float],
        waiting: Callable[[Kind], float],
    ) -> Self:
        """Register the metrics.

        Args:
            registry: where they go.
            in_flight: counts the questions of a kind that are out.
            waiting: counts those that wait for a place.

        """
        metrics = cls(
            in_flight=Gauge(
                "headgate_questions_in_flight",
                "Questions to hooks and metrics servers that are out.",
                ["kind"],
                registry=registry,
            ),
            waiting=Gauge(
                "headgate_questions_waiting",
                "Questions that wait for a place of their namespace.",
                ["kind"],
                registry=registry,
            ),
            seconds=Histogram(
                "headgate_question_duration_seconds",
                "Time from the sending of a question to its end, by outcome: success, failure "
                "(a hook that did not agree, a metric that could not be read), error, cancelled.",
                ["kind", "outcome"],
                buckets=_BUCKETS,
                registry=registry,
            ),
        )
        for kind in Kind:
            metrics.in_flight.labels(kind).set_function(partial(in_flight, kind))
            metrics.waiting.labels(kind).set_function(partial(waiting, kind))
        return metrics
