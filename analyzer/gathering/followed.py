"""The runs that evidence is gathered for, and what of them is due to be asked."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from analyzer.gathering.rhythm import Rhythm
from canary.evidence.counters import Arm
from canary.measuring.demand import Wanted
from canary.measuring.pods import ArmPod, arms_of
from canary.measuring.run import Run
from canary.measuring.settling import server_selectors
from canary.model.values import Json
from canary.objects.ownership import told_apart
from canary.queries.provider import ProviderSpec


@dataclass(slots=True)
class Followed:
    """A run with what of it is being read, and the times at which it is looked at next.

    `rhythm` says when, `task` reads it while the gatherer runs, `listing` is the last list of its
    pods, `sampling` the last sample of a plan, `looked` whether its pods have been looked for,
    `to_learn` is set while something may be learned from the stable's past.
    `listed_at`, `lists_after` (when the API server may be asked again) and `tried` (by pod) are on
    the loop's own clock, `sampled_next` (by plan) is on the clock of the evidence. `asked` is the
    beat at which a metric was asked for last. `troubles` is by what it keeps from being read.
    """

    run: Run
    specs: Mapping[str, ProviderSpec]
    rhythm: Rhythm
    task: asyncio.Task[None] | None = None
    listing: asyncio.Task[None] | None = None
    to_learn: asyncio.Event = field(default_factory=asyncio.Event)
    looked: bool = False
    listed_at: float = float("-inf")
    lists_after: float = float("-inf")
    tried: dict[str, float] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    sampling: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    sampled_next: dict[str, float] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    reported: set[str] = field(default_factory=set)

    @property
    def canary_runs(self) -> bool:
        """Whether a pod of this run's canary has been seen to run."""
        return any(pod.arm is Arm.CANARY and pod.runs and not pod.former for pod in self.run.pods)

    def wants_list(self, now: float) -> bool:
        """Tell whether to list the pods: those of a canary that does not run at every reading."""
        if now < self.lists_after or (self.listing is not None and not self.listing.done()):
            return False
        return not self.canary_runs or now - self.listed_at >= self.rhythm.listing

    def found(self, canary: Sequence[Json], target: Sequence[Json]) -> None:
        """Take in the pods that were listed.

        Args:
            canary: those that carry the canary's label.
            target: those that the target's selector fits.

        """
        watch = self.run.watch
        own, _ = told_apart(watch.key.name, canary)
        self.run.pods = arms_of(
            own,
            target,
            watch.revisions,
            candidate=watch.candidate,
            stable=watch.stable,
            began=watch.began,
            newest=watch.newest,
        )

    def samples_now(self, plan: str, time: float) -> bool:
        """Tell whether a sample is due, and the last one is no longer waited for."""
        last = self.sampling.get(plan)
        due = time >= self.sampled_next.get(plan, float("-inf"))
        return due and (last is None or last.done())

    def pods_in_turn(self) -> list[ArmPod]:
        """Return the pods whose pages are to be read, those that cannot wait first.

        The canary's are few and decide; of the others, whoever has waited longest.
        """
        return sorted(
            (pod for pod in self.run.pods if pod.url and not pod.former),
            key=lambda pod: (pod.arm is not Arm.CANARY, self.tried.get(pod.name, float("-inf"))),
        )


def due(one: Followed, types: frozenset[str], beat: int) -> Iterable[Wanted[Followed]]:
    """Return what of a run metrics servers are to be asked now.

    Args:
        one: the run.
        types: of the servers that can be asked.
        beat: the present one. A metric that was asked for in it is not asked for again.

    """
    for metric in one.run.metrics:
        name = metric.metric.name
        if one.asked.get(name) == beat:
            continue
        selectors = tuple(server_selectors(one.run.ways(metric)))
        spec = one.specs.get(name)
        if not selectors or spec is None or spec.type not in types:
            one.asked[name] = beat
            continue
        yield Wanted(one, name, spec, selectors)
