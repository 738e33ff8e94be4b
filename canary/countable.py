"""What of a strategy's metrics can be counted, and from where.

A metric is countable if its PromQL is a ratio of counters or a quantile of a histogram. The same
counters are found in more than one place: on the pods' own metrics pages, which can be read at any
time, and in the metrics server, which has what it scraped last. The first place that has them for
the stable is where they are read during the whole run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from canary.contract import CANARY_SUFFIX
from canary.counting.derive import Derived, NotCounts, Quantile, Ratio, Slower, derive
from canary.counting.per_pod import per_pod
from canary.counting.series import TARGET_LABELS, Selector, Series, named_in
from canary.evidence.counters import Arm, Reading
from canary.evidence.latency import bounds_around
from canary.evidence.plan import CountPlan, ScalarPlan
from canary.model import HookType, Metric, Strategy
from canary.queries import GATEWAY, SourceQuery

PASSING: Final = ":promotion"
"""Ends the name of the plan that counts a latency against the bucket below its limit."""
_WINDOWS_APART: Final = 2.0
"""Two values whose windows overlap say the same thing twice (statistics: rate[1m] every 120 s)."""
_NOTHING_GIVEN: Final[frozenset[str]] = frozenset()

Counted = Ratio | Slower
"""Counters whose part in the counts is settled."""


class Place(StrEnum):
    """Where counters are read."""

    PODS = "pods"
    SERVER = "metrics server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to read a metric's counters. `name` is the source's, as in the queries."""

    place: Place
    name: str
    canary: Derived
    stable: Derived

    def __str__(self) -> str:
        """Say where the numbers come from."""
        return f"{self.place} ({self.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Countable:
    """A metric that can be counted: its plans, and the ways to it in the order of preference."""

    metric: Metric
    plans: tuple[CountPlan, ...]
    ways: tuple[Way, ...]

    @property
    def alone(self) -> bool:
        """Whether the canary's counts are held against the bound only."""
        return not any(plan.baseline for plan in self.plans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparable:
    """A metric that is a number of every pod: its plan, and the queries that give one per pod.

    `window` is the time in seconds that a value looks back.
    """

    metric: Metric
    plan: ScalarPlan
    canary: str
    stable: str
    window: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncountable:
    """A metric that only layer 1 judges, and why."""

    metric: str
    why: str


def is_load_tested(strategy: Strategy) -> bool:
    """Tell whether a hook sends requests to the canary alone.

    Such requests say something about the canary's bound and nothing in comparison with the stable,
    which gets none of them.
    """
    address = f"{strategy.service_name}{CANARY_SUFFIX}"
    return any(
        hook.type is HookType.ROLLOUT and any(address in text for text in hook.metadata.values())
        for hook in strategy.hooks
    )


def countable(
    metric: Metric,
    canary: Iterable[SourceQuery],
    stable: Iterable[SourceQuery],
    *,
    alone: bool,
    gate: bool,
) -> Countable | Comparable | Uncountable:
    """Derive what a metric counts, or else how its values are compared pod by pod.

    Args:
        metric: with its bounds.
        canary: its queries for the canary, in the order in which they are tried.
        stable: the same for the stable.
        alone: whether the canary also gets requests that the stable does not.
        gate: whether a promotion asks for non-inferiority.

    """
    ways: list[Way] = []
    pairs = list(zip(canary, stable, strict=True))
    try:
        for ours, theirs in pairs:
            ways += _ways(ours.source, _derive(ours, metric), _derive(theirs, metric))
    except NotCounts as reason:
        return _comparable(metric, pairs[0], str(reason), alone=alone)
    ways.sort(key=lambda way: way.place is not Place.PODS)
    return _planned(metric, tuple(ways), alone=alone, gate=gate)


def _comparable(
    metric: Metric, queries: tuple[SourceQuery, SourceQuery], no_counts: str, *, alone: bool
) -> Comparable | Uncountable:
    """Compare the pods' own values, where one bound at least says which side is worse."""
    if metric.minimum is None and metric.maximum is None:
        return Uncountable(metric=metric.name, why=f"{no_counts}; and it has no bound")
    try:
        canary, stable = (per_pod(query.query) for query in queries)
    except NotCounts as reason:
        return Uncountable(metric=metric.name, why=f"{no_counts}; and {reason}")
    window = canary.window.total_seconds()
    plan = ScalarPlan(
        name=metric.name,
        minimum=metric.minimum,
        maximum=metric.maximum,
        baseline=not alone,
        higher_is_worse=metric.maximum is not None,
        spacing=_WINDOWS_APART * window or None,
    )
    return Comparable(
        metric=metric, plan=plan, canary=canary.query, stable=stable.query, window=window
    )


def _planned(
    metric: Metric, ways: tuple[Way, ...], *, alone: bool, gate: bool
) -> Countable | Uncountable:
    first = ways[0].canary
    latency = isinstance(first, Quantile)
    if isinstance(first, Quantile) and first.limit is None:
        return Uncountable(metric=metric.name, why="a quantile needs a maximum to be counted")
    if alone and (first.maximum is None or metric.leeway is not None):
        why = "the canary's own load test leaves only a fixed bound to compare with; it has none"
        return Uncountable(metric=metric.name, why=why)
    plan = CountPlan(
        name=metric.name,
        maximum=first.maximum,
        baseline=not alone,
        promotes=gate and not latency,
    )
    if not (latency and gate):
        return Countable(metric=metric, plans=(plan,), ways=ways)
    passing = CountPlan(
        name=f"{metric.name}{PASSING}", maximum=first.maximum, baseline=not alone, refuses=False
    )
    return Countable(metric=metric, plans=(plan, passing), ways=ways)


def _ways(name: str, canary: Derived, stable: Derived) -> list[Way]:
    server = Way(place=Place.SERVER, name=name, canary=canary, stable=stable)
    if name == GATEWAY:
        return [server]
    return [Way(place=Place.PODS, name=name, canary=canary, stable=stable), server]


def _derive(query: SourceQuery, metric: Metric) -> Derived:
    return _derived(query.query, metric.minimum, metric.maximum)


@lru_cache(maxsize=4096)
def _derived(query: str, minimum: float | None, maximum: float | None) -> Derived:
    """Derive once per text: every look at a run asks for the same ones."""
    return derive(query, minimum=minimum, maximum=maximum)


# --- what is read, as readings ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A way whose series were found, with each plan's counters on both sides."""

    way: Way
    canary: tuple[Counted, ...]
    stable: tuple[Counted, ...]

    def __str__(self) -> str:
        """Say where the numbers come from, and what counts as bad if it is slowness."""
        match self.canary[0]:
            case Slower(bound=bound):
                return f"{self.way}, slower than {bound:g}"
            case Ratio():
                return str(self.way)


def settle(found: Countable, way: Way, series: Iterable[Series]) -> Settled | Uncountable:
    """Settle what each plan counts, from the series that are there.

    Args:
        found: the metric.
        way: where its series were found.
        series: what was found; a histogram's buckets are among them.

    """
    match way.canary, way.stable:
        case Ratio() as ours, Ratio() as theirs:
            return Settled(way=way, canary=(ours,), stable=(theirs,))
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
    given = TARGET_LABELS if way.place is Place.PODS else _NOTHING_GIVEN
    around = bounds_around(limit, [b for side in sides for b in side.bounds(labels, given=given)])
    passing = [plan.name.endswith(PASSING) for plan in found.plans]
    wanted = [around.promote if passes else around.refuse for passes in passing]
    if any(bound is None for bound in wanted):
        why = f"the histogram has no bucket on the far side of {limit:g}"
        return Uncountable(metric=found.metric.name, why=why)
    bounds = [bound for bound in wanted if bound is not None]
    return Settled(
        way=way,
        canary=tuple(sides[0].at(bound) for bound in bounds),
        stable=tuple(sides[1].at(bound) for bound in bounds),
    )


def server_selectors(ways: Iterable[Way]) -> list[Selector]:
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
    given = TARGET_LABELS if on_page else _NOTHING_GIVEN
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
    where = one.labels.get("instance", "")
    if any(ours) and not any(theirs):
        return side_name(Arm.CANARY, where), ours
    if any(theirs) and not any(ours):
        return side_name(Arm.STABLE, where), theirs
    return "", (0, 0)


def side_name(arm: Arm, where: str) -> str:
    """Name what counts for a whole side: a gateway, by where it was scraped."""
    return f"{arm}@{where}"


def identity(labels: Mapping[str, str]) -> str:
    """Name a series of a pod, whatever the order of its labels."""
    return ",".join(f"{name}={labels[name]}" for name in sorted(labels))
