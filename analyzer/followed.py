"""The runs that evidence is gathered for, and what servers and pods are asked for all of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from analyzer.evidence_run import Run
from analyzer.ports import ProviderSpec
from canary.countable import Place
from canary.counting.series import Selector, Series, named_in
from canary.readings import server_selectors


@dataclass(slots=True)
class Followed:
    """A run with the times at which it is looked at next, on the loop's own clock."""

    run: Run
    specs: Mapping[str, ProviderSpec]
    reported: set[str] = field(default_factory=set)
    listed_at: float = float("-inf")
    asked_at: float = float("-inf")
    sampled_next: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Asked:
    """What one server is asked: for which runs, and for which metrics of each."""

    spec: ProviderSpec
    selectors: list[Selector] = field(default_factory=list)
    runs: list[tuple[Followed, frozenset[str]]] = field(default_factory=list)


def by_server(due: Iterable[Followed], types: frozenset[str]) -> list[Asked]:
    """Return what each server is asked for all runs together.

    Args:
        due: the runs.
        types: of the servers that can be asked.

    """
    asked: list[Asked] = []
    for one in due:
        wanted: dict[int, set[str]] = {}
        for metric in one.run.metrics:
            selectors = server_selectors(one.run.ways(metric))
            spec = one.specs.get(metric.metric.name)
            if not selectors or spec is None or spec.type not in types:
                continue
            at = next((i for i, other in enumerate(asked) if other.spec == spec), len(asked))
            if at == len(asked):
                asked.append(Asked(spec))
            asked[at].selectors += selectors
            wanted.setdefault(at, set()).add(metric.metric.name)
        for at, names in wanted.items():
            asked[at].runs.append((one, frozenset(names)))
    return asked


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
