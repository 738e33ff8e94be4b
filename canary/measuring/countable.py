"""What of a strategy's metrics can be counted, and from where.

A metric is countable if its PromQL is a ratio of counters or a quantile of a histogram. The same
counters are found in more than one place: on the pods' own metrics pages, which can be read at any
time, and in the metrics server, which has what it scraped last. The first place that has them for
the stable is where they are read during the whole run.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final

from canary.counting.derive import Derived, NotCounts, Quantile, Ratio, Slower, derive
from canary.counting.per_pod import per_pod
from canary.evidence.latency import QUANTILES, slow_share
from canary.evidence.plan import PART, CountPlan, ScalarPlan
from canary.model.names import canary_name
from canary.model.strategy import Builtin, HookType, Metric, Strategy
from canary.queries.builtin import SourceQuery
from canary.queries.metric import Query
from canary.queries.own import window_of
from canary.queries.sources import BESIDE_PODS

PASSING: Final = f"{PART}promotion"
"""Ends the name of the plan that counts a latency against the bucket below its limit."""
FROZEN: Final = {f"{PART}p{100 * quantile:g}": quantile for quantile in QUANTILES}
"""End the names of the plans of a latency without a limit: the stable's own is held fast."""
_WINDOWS_APART: Final = 2.0
"""Two values whose windows overlap say the same thing twice (statistics: rate[1m] every 120 s)."""

MOST_COUNTED: Final = 30
"""Metrics of one run."""
MOST_READ: Final = 65_536
"""Characters of all that is read for one run."""

Counted = Ratio | Slower
"""Counters whose part in the counts is settled."""


class Place(StrEnum):
    """Where counters are read."""

    PODS = "pods"
    SERVER = "metrics server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to read a metric's counters. `name` is the source's, as in the queries.

    `window` is how many seconds the query looks back, infinite where it reads counters as such.
    """

    place: Place
    name: str
    canary: Derived
    stable: Derived
    window: float = math.inf

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

    `selectors` are what both read, with all labels; `window` is the time in seconds that a value
    looks back.
    """

    metric: Metric
    plan: ScalarPlan
    canary: str
    stable: str
    selectors: tuple[str, ...]
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
    address = canary_name(strategy.service_name)
    return any(
        hook.type is HookType.ROLLOUT and any(address in text for text in hook.metadata.values())
        for hook in strategy.hooks
    )


def is_alone(strategy: Strategy) -> bool:
    """Tell whether what the canary answers is compared with nothing of the stable's.

    A load test is its own, what matches is another population than the rest, and beside a canary
    with all of the traffic or with none nothing like it is served.
    """
    return is_load_tested(strategy) or not strategy.is_compared


def asked_of(strategy: Strategy) -> str:
    """Return what tells what a judge is asked for from what it was before an edit.

    Args:
        strategy: of the run.

    """
    asked = repr((strategy.policy, strategy.metrics, strategy.gate, is_alone(strategy)))
    return sha256(asked.encode(errors="surrogatepass")).hexdigest()


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
        alone: whether the stable gets no requests like the canary's; see `is_alone`.
        gate: whether a promotion asks for non-inferiority.

    """
    ways: list[Way] = []
    pairs = list(zip(canary, stable, strict=True))
    try:
        for ours, theirs in pairs:
            ways += _ways(ours, _derive(ours, metric), _derive(theirs, metric))
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
        metric=metric,
        plan=plan,
        canary=canary.query,
        stable=stable.query,
        selectors=tuple(dict.fromkeys((*canary.selectors, *stable.selectors))),
        window=window,
    )


def _planned(
    metric: Metric, ways: tuple[Way, ...], *, alone: bool, gate: bool
) -> Countable | Uncountable:
    first = ways[0].canary
    latency = isinstance(first, Quantile)
    limited = not isinstance(first, Quantile) or first.limit is not None
    if not limited and not alone:
        return Countable(metric=metric, plans=_held_fast(metric.name, gate=gate), ways=ways)
    unbounded = metric.minimum is None and metric.maximum is None
    if isinstance(first, Ratio) and unbounded and metric.source is not Builtin.SUCCESS_RATE:
        why = "it has no bound, which would say whether more of it is worse or less"
        return Uncountable(metric=metric.name, why=why)
    if alone and (first.maximum is None or metric.leeway is not None or not limited):
        why = "the stable serves nothing like it, which leaves a fixed bound alone; it has none"
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


def _held_fast(name: str, *, gate: bool) -> tuple[CountPlan, ...]:
    """Plan the comparison at each of the stable's own quantiles, which share one metric's weight.

    A canary's p99 is not above the stable's as long as 1 % of its requests at most are slower.
    """
    return tuple(
        CountPlan(
            name=f"{name}{ending}",
            floor=slow_share(quantile),
            weight=1 / len(FROZEN),
            promotes=gate,
        )
        for ending, quantile in FROZEN.items()
    )


def _ways(query: SourceQuery, canary: Derived, stable: Derived) -> list[Way]:
    server = Way(
        place=Place.SERVER,
        name=query.source,
        canary=canary,
        stable=stable,
        window=_window(query.query),
    )
    return [server] if query.source in BESIDE_PODS else [replace(server, place=Place.PODS), server]


def _derive(query: SourceQuery, metric: Metric) -> Derived:
    minimum = metric.minimum
    if metric.source is Builtin.SUCCESS_RATE and metric.maximum is None and minimum is None:
        minimum = 0.0  # No bound that anything misses, but it says that less is worse.
    return _derived(query.query, minimum, metric.maximum)


@lru_cache(maxsize=256)
def _derived(query: str, minimum: float | None, maximum: float | None) -> Derived:
    """Derive once per text: every look at a run asks for the same ones."""
    return derive(query, minimum=minimum, maximum=maximum)


@lru_cache(maxsize=256)
def _window(query: str) -> float:
    return window_of(query)


def counted(query: Query, strategy: Strategy) -> Countable | Comparable | Uncountable:
    """Return how the evidence layer reads a metric of a strategy."""
    if not query.spec.speaks_promql:
        return unread(query)
    alone, gate = is_alone(strategy), strategy.gate
    return count_of(query.metric, query.texts, query.stable, alone, gate)


def unread(query: Query) -> Uncountable:
    """Say of a metric that is no PromQL that its values alone are judged."""
    why = f"{query.spec.type} has no counters that are read; its values are judged at each check"
    return Uncountable(metric=query.metric.name, why=why)


def count_of(
    metric: Metric,
    canary: tuple[SourceQuery, ...],
    stable: tuple[SourceQuery, ...],
    alone: bool,  # noqa: FBT001 - a task is given by position
    gate: bool,  # noqa: FBT001
) -> Countable | Comparable | Uncountable:
    """Return `countable` of these."""
    return countable(metric, canary, stable, alone=alone, gate=gate)


def within_bounds(
    found: Iterable[Countable | Comparable | Uncountable],
) -> tuple[Countable | Comparable | Uncountable, ...]:
    """Return how metrics of one run are read, so that they leave room for other runs'.

    What all runs read of a metrics server is asked for together, several times a minute.
    """
    kept: list[Countable | Comparable | Uncountable] = []
    metrics, left = 0, MOST_READ
    for one in found:
        size = _size(one)
        metrics += size > 0
        left -= size
        if size and (metrics > MOST_COUNTED or left < 0):
            why = f"the metrics before it are all that is counted of one run, {MOST_COUNTED} or so"
            kept.append(Uncountable(metric=_name(one), why=why))
        else:
            kept.append(one)
    return tuple(kept)


def _name(one: Countable | Comparable | Uncountable) -> str:
    return one.metric if isinstance(one, Uncountable) else one.metric.name


def _size(one: Countable | Comparable | Uncountable) -> int:
    """Return how many characters what is read of a metric takes to be asked for."""
    match one:
        case Countable():
            sides = [side for way in one.ways for side in (way.canary, way.stable)]
            return sum(len(str(it)) for side in sides for it in side.selectors)
        case Comparable():
            return len(one.canary) + len(one.stable)
        case Uncountable():
            return 0
