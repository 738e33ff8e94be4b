"""What was read, as readings: the way that was found for a metric, and what each series counts."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from canary.counting.derive import Derived, Quantile, Ratio, Slower
from canary.counting.series import TARGET_LABELS, Series, SeriesSelector, named_in
from canary.evidence.counters import Arm, Reading
from canary.evidence.latency import bounds_around, usual_bound
from canary.measuring.countable import FROZEN, PASSING, Countable, Counted, Place, Uncountable, Way

_NOTHING_GIVEN: Final[frozenset[str]] = frozenset()
_NOTHING_FROZEN: Final[Mapping[str, float]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A way whose series were found, with each plan's counters on both sides."""

    way: Way
    canary: tuple[Counted, ...]
    stable: tuple[Counted, ...]

    def __str__(self) -> str:
        """Say where the numbers come from, and what counts as bad if it is slowness."""
        bounds = sorted({one.bound for one in self.canary if isinstance(one, Slower)})
        if not bounds:
            return str(self.way)
        return f"{self.way}, slower than {', '.join(f'{bound:g}' for bound in bounds)}"


def settle(
    found: Countable,
    way: Way,
    series: Iterable[Series],
    frozen: Mapping[str, float] = _NOTHING_FROZEN,
) -> Settled | Uncountable:
    """Settle what each plan counts, from the series that are there.

    Args:
        found: the metric.
        way: where its series were found.
        series: what was found; a histogram's buckets are among them.
        frozen: by plan: the bucket bounds of a latency without a limit of its own.

    """
    match way.canary, way.stable:
        case Ratio() as ours, Ratio() as theirs:
            return Settled(way=way, canary=(ours,), stable=(theirs,))
        case Quantile(limit=None) as ours, Quantile() as theirs:
            bounds = [frozen[plan.name] for plan in found.plans]
            return _slower(way, (ours, theirs), bounds)
        case Quantile() as ours, Quantile() as theirs:
            return _settle_latency(found, way, (ours, theirs), series)
        case _:
            why = "its queries for canary and stable are of different kinds"
            return Uncountable(metric=found.metric.name, why=why)


def _settle_latency(
    found: Countable, way: Way, sides: tuple[Quantile, Quantile], series: Iterable[Series]
) -> Settled | Uncountable:
    labels = [one.labels for one in series]
    limit = sides[0].limit or 0.0
    given = _given(on_page=way.place is Place.PODS)
    around = bounds_around(limit, [b for side in sides for b in side.bounds(labels, given=given)])
    passing = [plan.name.endswith(PASSING) for plan in found.plans]
    wanted = [around.promote if passes else around.refuse for passes in passing]
    if any(bound is None for bound in wanted):
        why = f"the histogram has no bucket on the far side of {limit:g}"
        return Uncountable(metric=found.metric.name, why=why)
    return _slower(way, sides, [bound for bound in wanted if bound is not None])


def _given(*, on_page: bool) -> frozenset[str]:
    """Return the labels that a scrape adds later to what is read."""
    return TARGET_LABELS if on_page else _NOTHING_GIVEN


def _slower(way: Way, sides: tuple[Quantile, Quantile], bounds: Sequence[float]) -> Settled:
    return Settled(
        way=way,
        canary=tuple(sides[0].at(bound) for bound in bounds),
        stable=tuple(sides[1].at(bound) for bound in bounds),
    )


def frozen_bounds(found: Countable, way: Way, past: Iterable[Series]) -> Mapping[str, float] | None:
    """Return by plan the bucket bounds at which the stable's own latency is held fast.

    Args:
        found: the metric.
        way: where its series were found.
        past: the stable's series, which have counted since its pods began.

    Returns:
        None while the stable has served too little to tell; nothing where a limit is given.

    """
    side = way.stable
    if not isinstance(side, Quantile) or side.limit is not None:
        return {}
    cumulative = side.cumulative(past, given=_given(on_page=way.place is Place.PODS))
    bounds = {
        f"{found.metric.name}{ending}": usual_bound(cumulative, quantile)
        for ending, quantile in FROZEN.items()
    }
    told = {name: bound for name, bound in bounds.items() if bound is not None}
    return told if len(told) == len(bounds) else None


def without_bucket(counted: Counted, readings: Iterable[Reading]) -> set[str]:
    """Return the pods whose histogram lacks the bucket that requests are counted by.

    A version may bring other buckets. Nothing of it is counted then: without the bucket all of its
    requests would be slower.
    """
    if not isinstance(counted, Slower):
        return set()
    lacking: dict[str, int] = {}
    for one in readings:
        lacking[one.pod] = lacking.get(one.pod, 0) + (1 if one.requests else one.bad)
    return {pod for pod, count in lacking.items() if count > 0}


def server_selectors(ways: Iterable[Way]) -> list[SeriesSelector]:
    """Return what a metrics server is asked for, of both sides."""
    sides = [side for way in ways if way.place is Place.SERVER for side in (way.canary, way.stable)]
    return [selector for side in sides for selector in side.selectors]


def plays_a_part(derived: Derived, labels: Mapping[str, str], *, on_page: bool) -> bool:
    """Tell whether a series is one of a metric's counters.

    Args:
        derived: the metric.
        labels: the series'.
        on_page: whether it is from a pod's own page, which lacks the labels that a scrape adds.

    """
    given = _given(on_page=on_page)
    return any(selector.accepts(labels, given=given) for selector in derived.selectors)


def page_readings(counted: Counted, pod: str, page: Iterable[Series]) -> list[Reading]:
    """Read a pod's own metrics page.

    A page without any of the series is a reading as well: they were 0 then.
    """
    found = [Reading(pod, "", 0.0, 0, 0)]
    for one in page:
        bad, requests = counted.role(one.labels, given=TARGET_LABELS)
        if bad or requests:
            found.append(Reading(pod, identity(one.labels), one.value, bad, requests))
    return found


def server_readings(
    settled: Settled, plan: int, series: Iterable[Series], pods: Mapping[str, Arm]
) -> list[Reading]:
    """Read what a metrics server answered for many runs.

    A series belongs to the pod that one of its labels names. One that names none, as a gateway's,
    belongs to the side whose query selects it, unless both do.

    Args:
        settled: the metric.
        plan: which of its plans.
        series: the answer.
        pods: the pods of both versions by name.

    """
    ours, theirs = settled.canary[plan], settled.stable[plan]
    found = []
    for one in series:
        name = named_in(one.labels, pods)
        of_canary, of_stable = ours.role(one.labels), theirs.role(one.labels)
        if name:
            # A pod that was promoted has the name of one side and the version of the other.
            bad, requests = of_canary if any(of_canary) else of_stable
        else:
            name, (bad, requests) = _side(one, of_canary, of_stable)
        if bad or requests:
            found.append(Reading(name, identity(one.labels), one.value, bad, requests))
    return found


def _side(
    one: Series, ours: tuple[int, int], theirs: tuple[int, int]
) -> tuple[str, tuple[int, int]]:
    where = source(one.labels)
    if any(ours) and not any(theirs):
        return side_name(Arm.CANARY, where), ours
    if any(theirs) and not any(ours):
        return side_name(Arm.STABLE, where), theirs
    return "", (0, 0)


def source(labels: Mapping[str, str]) -> str:
    """Name where a series is scraped: all that one page says is of one time."""
    return labels.get("instance", "")


def side_name(arm: Arm, where: str) -> str:
    """Name what counts for a whole side: a gateway, by where it was scraped."""
    return sys.intern(f"{arm}@{where}")


def identity(labels: Mapping[str, str]) -> str:
    """Name a series of a pod, whatever the order of its labels.

    What is told of one is kept by each metric that it plays a part in, with one name for all.
    """
    return sys.intern(",".join(f"{name}={labels[name]}" for name in sorted(labels)))


def is_there(metric: Countable, way: Way, series: Sequence[Series]) -> bool:
    """Tell by the side that has traffic: a new pod has no series before its first request."""
    side = way.canary if metric.alone else way.stable
    on_page = way.place is Place.PODS
    return any(plays_a_part(side, one.labels, on_page=on_page) for one in series)
