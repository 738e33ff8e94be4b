"""The stable's own past, from counters that a metrics server has kept."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from canary.counting.series import pod_of
from canary.evidence.counters import gained, is_count
from canary.evidence.dispersion import PodHistory
from canary.measuring.countable import Counted

Past = tuple[Mapping[str, str], Sequence[tuple[float, float]]]
"""A series of the past: its labels, and pairs of a time in seconds since the epoch and a value."""


MOST_PODS: Final = 1000
"""Of a stable, in one past; each takes as many numbers as it has steps."""


def misdated(series: Iterable[Past], *, start: float, step: float, steps: int) -> int:
    """Return how many points of a past are of no time in it.

    Args:
        series: raw counters of the past.
        start: of the first step, in seconds since the epoch.
        step: seconds of each.
        steps: how many.

    """
    return sum(
        not _is_within(time, start, step, steps) for _, points in series for time, _ in points
    )


def histories(
    counted: Counted, series: Iterable[Past], *, start: float, step: float, steps: int
) -> list[PodHistory]:
    """Return what each pod counted in every step.

    A step whose beginning or end is missing counts nothing; a value that fell is a restart, which
    began at 0. Points of no time in the past that was asked for, values that no counter has, and
    pods beyond the first thousand are left out.

    Args:
        counted: what counts, for the stable.
        series: raw counters of the past.
        start: of the first step, in seconds since the epoch.
        step: seconds of each.
        steps: how many.

    """
    pods: dict[str, tuple[list[float], list[float]]] = {}
    for labels, points in series:
        bad, requests = counted.role(labels)
        if not (bad or requests):
            continue
        where = pod_of(labels) or labels.get("instance", "")
        if where not in pods and len(pods) >= MOST_PODS:
            continue
        sums = pods.setdefault(where, ([0.0] * steps, [0.0] * steps))
        for index, delta in _increments(points, start, step, steps):
            sums[0][index] += bad * delta
            sums[1][index] += requests * delta
    return [_kept(bad, requests) for bad, requests in pods.values()]


def _increments(
    points: Sequence[tuple[float, float]], start: float, step: float, steps: int
) -> Iterable[tuple[int, float]]:
    values = {
        round((time - start) / step): value
        for time, value in points
        if _is_within(time, start, step, steps) and is_count(value)
    }
    for index in range(steps):
        before, after = values.get(index), values.get(index + 1)
        if before is not None and after is not None:
            yield index, gained(before, after)


def _is_within(time: float, start: float, step: float, steps: int) -> bool:
    """Tell whether a time lies in the past that was asked for; one that is no number never does."""
    return start - step <= time <= start + (steps + 1) * step


def _kept(bad: list[float], requests: list[float]) -> PodHistory:
    """Counters of one pod are not read at one moment: bad ones may run ahead by a few."""
    return PodHistory(
        bad=tuple(min(max(0.0, k), n) for k, n in zip(bad, requests, strict=True)),
        requests=tuple(requests),
    )
