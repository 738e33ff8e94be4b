"""What servers and pods are asked for all runs together, and which answer is whose.

A server is asked once for every counter that any run needs of it, however many runs there are.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from canary.counting.dealing import Dealer
from canary.counting.series import Series, SeriesSelector, named_in
from canary.measuring.countable import Place
from canary.measuring.run import Run
from canary.measuring.settling import server_selectors
from canary.queries.provider import ProviderSpec


class Runs(Protocol):
    """Whoever follows a run."""

    run: Run


FollowerT = TypeVar("FollowerT", bound=Runs)


@dataclass(slots=True, eq=False)
class Demand(Generic[FollowerT]):
    """What one server is asked together: for which runs, and for which metrics of each.

    `families` are the metrics it reads there, each with the server.
    """

    spec: ProviderSpec
    selectors: list[SeriesSelector] = field(default_factory=list)
    families: set[Hashable] = field(default_factory=set)
    runs: list[tuple[FollowerT, frozenset[str]]] = field(default_factory=list)

    @property
    def owned(self) -> ProviderSpec:
        """The server, asked on behalf of the one namespace whose question it is, or of nobody."""
        namespaces = {one.run.watch.key.namespace for one, _ in self.runs}
        return replace(self.spec, asker=namespaces.pop() if len(namespaces) == 1 else "")


@dataclass(frozen=True, slots=True)
class Wanted(Generic[FollowerT]):
    """One metric of one run that is due at a server."""

    one: FollowerT
    metric: str
    spec: ProviderSpec
    selectors: tuple[SeriesSelector, ...]

    @property
    def families(self) -> frozenset[Hashable]:
        """The metrics that it reads there, each with the server."""
        server = _identity(self.spec)
        return frozenset((server, selector.name) for selector in self.selectors)


def together(wanted: Iterable[Wanted[FollowerT]]) -> list[Demand[FollowerT]]:
    """Return what each server is asked for all runs together.

    Metrics that are read from the same counters are asked for together, others apart: an answer
    that is late, or none, then costs only those whose counters it has.
    """
    asked: list[Demand[FollowerT]] = []
    metrics: dict[tuple[int, int], set[str]] = {}
    for group in _apart(wanted):
        one_server = Demand[FollowerT](group[0].spec)
        for want in group:
            one_server.selectors += want.selectors
            one_server.families |= want.families
            metrics.setdefault((len(asked), id(want.one)), set()).add(want.metric)
        users = {id(want.one): want.one for want in group}
        one_server.runs = [
            (one, frozenset(metrics[len(asked), position])) for position, one in users.items()
        ]
        asked.append(one_server)
    return asked


def _identity(spec: ProviderSpec) -> Hashable:
    """Return what makes two specs the same server, asked in the same way."""
    headers, secret = frozenset(spec.headers.items()), frozenset(spec.secret.items())
    return spec.type, spec.address, headers, secret, spec.verify_tls


def _apart(wanted: Iterable[Wanted[FollowerT]]) -> list[list[Wanted[FollowerT]]]:
    """Part what has no counters in common, directly or by way of others."""
    groups: list[tuple[set[Hashable], list[Wanted[FollowerT]]]] = []
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
    asked: Demand[FollowerT], answer: Sequence[Series]
) -> Iterable[tuple[FollowerT, frozenset[str], Sequence[Series]]]:
    """Give every run its own series of an answer that has those of all of them.

    Those are the series of its pods, and of what names no pod those that its selectors pick: as
    many as if it alone had been asked for. Each series is looked at once, however many runs.
    """
    pods = {pod.name for one, _ in asked.runs for pod in one.run.pods}
    users, selectors = _users(asked)
    dealer = Dealer(selectors, exact=False)
    by_pod: dict[str, list[Series]] = {}
    others: list[list[Series]] = [[] for _ in asked.runs]
    for series in answer:
        name = named_in(series.labels, pods)
        if name:
            by_pod.setdefault(name, []).append(series)
            continue
        for user in {users[at] for at in dealer.whose(series.labels)}:
            others[user].append(series)
    for (one, names), beside in zip(asked.runs, others, strict=True):
        own = [series for pod in one.run.pods for series in by_pod.get(pod.name, ())]
        yield one, names, [*own, *beside]


def _users(asked: Demand[FollowerT]) -> tuple[list[int], list[SeriesSelector]]:
    """Return all selectors of all runs, and whose each is."""
    users: list[int] = []
    selectors: list[SeriesSelector] = []
    for at, (one, names) in enumerate(asked.runs):
        for metric in one.run.metrics:
            if metric.metric.name in names:
                own = server_selectors(one.run.ways(metric))
                selectors += own
                users += [at] * len(own)
    return users, selectors


def page_names(run: Run) -> frozenset[str]:
    """Return the names of the series that a run looks for on its pods' pages."""
    return frozenset(
        selector.name
        for metric in run.metrics
        for way in run.ways(metric)
        if way.place is Place.PODS
        for selector in way.canary.selectors
    )
