"""The series of a window one by one, as far as it matters when they began and first grew."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from canary.counting.series import Series, pod_of
from canary.evidence.counters import Arm
from canary.measuring.settling import identity
from kubectl_headgate.history import Answer

_USUAL_INTERVAL: Final = 15.0
_LONGEST_INTERVAL: Final = 60.0
"""Scrape intervals in seconds: of one that shows nowhere, and of a server that is in its senses."""
_ENOUGH: Final = 3
"""Times between two changes of a series that make a median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One series with its side, None for one of neither; `points` are oldest first."""

    labels: Mapping[str, str]
    arm: Arm | None
    points: tuple[tuple[float, float], ...]

    @property
    def pod(self) -> str:
        """The pod that it is of, "" where it names none."""
        return pod_of(self.labels)

    @property
    def first(self) -> float:
        """When it was first seen, in seconds since the epoch."""
        return self.points[0][0]

    def first_growth(self, begins: float) -> float | None:
        """Return when it was first seen to have counted something in the window.

        Args:
            begins: when the window does. What is there then may have counted before.

        """
        before = self.points[0][1] if self.first == begins else 0.0
        for time, value in self.points:
            if value > before:
                return time
            before = value
        return None


def traced(answers: Sequence[Answer], arm: Callable[[Series], Arm | None]) -> tuple[Trace, ...]:
    """Take scrapes apart into series.

    Args:
        answers: the scrapes.
        arm: tells the side of a series; asked once for each.

    """
    points: dict[str, list[tuple[float, float]]] = {}
    one_of: dict[str, Series] = {}
    names: dict[int, str] = {}
    for answer in answers:
        for time in sorted(answer.scrapes):
            for series in answer.scrapes[time]:
                # A server names the labels of a series once, for all of its points.
                known = names.get(id(series.labels))
                name = names[id(series.labels)] = known or identity(series.labels)
                one_of.setdefault(name, series)
                points.setdefault(name, []).append((time, series.value))
    return tuple(
        Trace(labels=series.labels, arm=arm(series), points=tuple(points[name]))
        for name, series in one_of.items()
    )


def scrape_interval(traces: Iterable[Trace], step: float) -> float:
    """Return how many seconds lie between two scrapes, as the busiest series shows it.

    A server that is asked more often than it scrapes answers with the value before.

    Args:
        traces: all series of the window.
        step: seconds between two looks, below which nothing shows.

    """
    times = (
        [at for (_, before), (at, now) in pairwise(one.points) if now != before] for one in traces
    )
    gaps = ([later - sooner for sooner, later in pairwise(changes)] for changes in times)
    medians = [median(found) for found in gaps if len(found) >= _ENOUGH]
    return max(step, min(_LONGEST_INTERVAL, min(medians, default=_USUAL_INTERVAL)))
