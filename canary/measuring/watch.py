"""What a run is to be judged by, and what is kept of each plan while it is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from canary.counting.derive import Quantile
from canary.evidence.counters import Counters, Stratum
from canary.evidence.policy import Policy
from canary.measuring.countable import Comparable, Countable, Counted, Uncountable
from canary.measuring.pods import Newest
from canary.model.values import Key
from canary.model.world import Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What a run is to be judged by: everything that is settled when it starts.

    `began` is in seconds since the epoch, and so are `traffic_since`, when the canary had its first
    traffic, and `former_until`, when pods of a canary of before were there last; these two move.
    `newest` is whose the canary's newest pods are.
    `selector` is what the target's pods are listed by, as `labelSelector` takes it. `record` is
    what an earlier process has stored. `asked` tells what the Canary asks of a judge from what it
    asked before it was edited. `weight` is the canary's share of the traffic in percent, which
    changes while the run lasts.
    """

    key: Key
    candidate: str
    stable: str
    began: float
    policy: Policy
    metrics: tuple[Countable, ...]
    scalars: tuple[Comparable, ...]
    uncounted: tuple[Uncountable, ...]
    selector: str
    revisions: tuple[Revision, ...]
    record: Mapping[str, Any]
    asked: str = ""
    traffic_since: float | None = None
    former_until: float | None = None
    weight: int = 100
    newest: Newest = Newest.OWN

    @property
    def begun(self) -> Self:
        """The same without what was stored: that is read when a run begins, and then no more.

        It is the larger part of a run's status, and its judge has all of it by then.
        """
        return replace(self, record={})

    @property
    def identity(self) -> tuple[str, float, str]:
        """What makes it another run: its candidate, a new start with the same one, or an edit."""
        return self.candidate, self.began, self.asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A plan whose stable has a past to learn from, and what counts in it."""

    metric: str
    plan: str
    counted: Counted


@dataclass(slots=True)
class Tally:
    """The counters of one plan."""

    plan: str
    position: int
    metric: Countable
    counters: Counters
    pending: Stratum | None = None


def tallies_of(watch: Watch, began: float, *, past: bool) -> Iterable[Tally]:
    """Make what is counted of each metric of a run.

    Args:
        watch: the run.
        began: since when it is counted, in seconds since the epoch.
        past: whether what the stable had counted before is still to be told.

    """
    for metric in watch.metrics:
        latency = any(isinstance(way.canary, Quantile) for way in metric.ways)
        for position, plan in enumerate(metric.plans):
            counters = Counters(
                began=began,
                warmup=watch.policy.warmup if latency else watch.policy.error_warmup,
                alone=metric.alone,
                start=0.0 if latency else watch.policy.start,
                past=past,
            )
            yield Tally(plan=plan.name, position=position, metric=metric, counters=counters)
