"""The runs that evidence is gathered for, and what servers and pods are asked for all of them."""

import asyncio
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analyzer.ports import ProviderSpec
from canary.counting.series import Selector, Series, named_in
from canary.evidence.counters import Arm
from canary.measuring.countable import Place
from canary.measuring.pods import ArmPod
from canary.measuring.run import Run
from canary.measuring.settling import server_selectors


@dataclass(slots=True)
class Followed:
    """A run with what of it is being read, and the times at which it is looked at next.

    `task` reads it while the gatherer runs, `listing` is the last list of its pods, `sampling` the
    last sample of a plan, `looked` whether its pods have been looked for. `listed_at` and `tried`
    (by pod) are on the loop's own clock, `sampled_next` (by plan) is on the clock of the evidence.
    `asked` is the beat at which a metric was asked for last. `troubles` is by what it keeps from
    being read.
    """

    run: Run
    specs: Mapping[str, ProviderSpec]
    task: asyncio.Task[None] | None = None
    listing: asyncio.Task[None] | None = None
    looked: bool = False
    listed_at: float = float("-inf")
    tried: dict[str, float] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    sampling: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    sampled_next: dict[str, float] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    reported: set[str] = field(default_factory=set)

    @property
    def canary_runs(self) -> bool:
        """Whether a pod of the canary has been seen to run."""
        return any(pod.arm is Arm.CANARY and pod.runs for pod in self.run.pods)

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
            (pod for pod in self.run.pods if pod.url),
            key=lambda pod: (pod.arm is not Arm.CANARY, self.tried.get(pod.name, float("-inf"))),
        )


@dataclass(slots=True, eq=False)
class Asked:
    """What one server is asked together: for which runs, and for which metrics of each.

    `families` are the metrics it reads there, each with the server.
    """

    spec: ProviderSpec
    selectors: list[Selector] = field(default_factory=list)
    families: set[Hashable] = field(default_factory=set)
    runs: list[tuple[Followed, frozenset[str]]] = field(default_factory=list)

    @property
    def owned(self) -> ProviderSpec:
        """The server, asked on behalf of the one namespace whose question it is, or of nobody."""
        namespaces = {one.run.watch.key.namespace for one, _ in self.runs}
        return replace(self.spec, asker=namespaces.pop() if len(namespaces) == 1 else "")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One metric of one run that is due at a server."""

    one: Followed
    metric: str
    spec: ProviderSpec
    selectors: tuple[Selector, ...]
    families: frozenset[Hashable]


def by_server(followed: Iterable[Followed], types: frozenset[str], beat: int) -> list[Asked]:
    """Return what each server is asked for all runs together.

    Metrics that are read from the same counters are asked for together, others apart: an answer
    that is late, or none, then costs only those whose counters it has.

    Args:
        followed: the runs.
        types: of the servers that can be asked.
        beat: the present one. A metric that was asked for in it is not asked for again.

    """
    asked: list[Asked] = []
    metrics: dict[tuple[int, int], set[str]] = {}
    wanted = [want for one in followed for want in _due(one, types, beat)]
    for group in _apart(wanted):
        together = Asked(group[0].spec)
        for want in group:
            together.selectors += want.selectors
            together.families |= want.families
            metrics.setdefault((len(asked), id(want.one)), set()).add(want.metric)
        users = {id(want.one): want.one for want in group}
        together.runs = [
            (one, frozenset(metrics[len(asked), position])) for position, one in users.items()
        ]
        asked.append(together)
    return asked


def _due(one: Followed, types: frozenset[str], beat: int) -> Iterable[_Wanted]:
    for metric in one.run.metrics:
        name = metric.metric.name
        if one.asked.get(name) == beat:
            continue
        selectors = tuple(server_selectors(one.run.ways(metric)))
        spec = one.specs.get(name)
        if not selectors or spec is None or spec.type not in types:
            one.asked[name] = beat
            continue
        server = _identity(spec)
        families = frozenset((server, selector.name) for selector in selectors)
        yield _Wanted(one, name, spec, selectors, families)


def _identity(spec: ProviderSpec) -> Hashable:
    """Return what makes two specs the same server, asked in the same way."""
    headers, secret = frozenset(spec.headers.items()), frozenset(spec.secret.items())
    return spec.type, spec.address, headers, secret, spec.verify_tls


def _apart(wanted: Iterable[_Wanted]) -> list[list[_Wanted]]:
    """Part what has no counters in common, directly or by way of others."""
    groups: list[tuple[set[Hashable], list[_Wanted]]] = []
    for want in wanted:
        families, members = set(want.families), [want]
        others = []
        for group in groups:
            if families.isdisjoint(group[0]):
                others.append(group)
            else:
                families |= group[0]
                members = [*group[1], *members]
        groups = [*others, (families, members)]
    return [members for _, members in groups]


def shares(
    asked: Asked, answer: Sequence[Series]
) -> Iterable[tuple[Followed, frozenset[str], Sequence[Series]]]:
    """Give every run its own series of an answer that has those of all of them."""
    pods = {pod.name for one, _ in asked.runs for pod in one.run.pods}
    by_pod: dict[str, list[Series]] = {}
    others: list[Series] = []
    for series in answer:
        name = named_in(series.labels, pods)
        (by_pod.setdefault(name, []) if name else others).append(series)
    for one, names in asked.runs:
        own = [series for pod in one.run.pods for series in by_pod.get(pod.name, ())]
        yield one, names, [*own, *others]


def page_names(run: Run) -> frozenset[str]:
    """Return the names of the series that a run looks for on its pods' pages."""
    return frozenset(
        selector.name
        for metric in run.metrics
        for way in run.ways(metric)
        if way.place is Place.PODS
        for selector in way.canary.selectors
    )
