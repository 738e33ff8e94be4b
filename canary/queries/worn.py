"""Queries that ask for the canary by a label that its pods do not wear so.

The canary's pods wear the target's labels but for as few as tell them apart
(`canary.model.canary_labels`). A scrape that copies labels of pods gives `app="web"` for both
versions where `app` is none of those, and `app="web-canary"` is found nowhere.
"""

import re
from collections.abc import Iterable, Iterator

from canary.counting.errors import NotCounts
from canary.counting.expressions import parsed
from canary.counting.rewriting import conditions_of
from canary.counting.series import Matcher
from canary.counting.versions import Reads, Versions, reads_of, selectors_in
from canary.model.canary_labels import CanaryLabels
from canary.queries.metric import Query

Worn = tuple[tuple[str, tuple[str, str]], ...]
"""What Prometheus calls a label, with its name and value on the canary's pods."""


def unworn(queries: Iterable[Query], labels: CanaryLabels) -> tuple[str, ...]:
    """Return what is wrong with queries of teams, in words.

    Args:
        queries: of a run.
        labels: what the canary's pods wear.

    """
    worn = worn_of(labels)
    return tuple(
        problem
        for query in queries
        for name, text, versions in texts_of(query)
        for problem in unworn_text(name, text, versions, worn)
    )


def worn_of(labels: CanaryLabels) -> Worn:
    """Return what the canary's pods wear while they have traffic, by what Prometheus calls it."""
    worn = {**labels.pods, **labels.joins}
    return tuple((as_label(name), (name, value)) for name, value in worn.items())


def texts_of(query: Query) -> Iterator[tuple[str, str, Versions]]:
    """Return a metric's name, each of its texts and what both versions are called, if a team's."""
    if query.versions is not None:
        for text in query.texts:
            yield query.metric.name, text.query, query.versions


def unworn_text(name: str, text: str, versions: Versions, worn: Worn) -> tuple[str, ...]:
    """Return what is wrong with one query of a team, in words.

    Args:
        name: the metric's.
        text: the query.
        versions: what both are called.
        worn: what the canary's pods wear.

    """
    return tuple(f"metric {name}: {problem}" for problem in _problems(text, versions, dict(worn)))


def as_label(name: str) -> str:
    """Return what Prometheus calls a label of a pod, which may have other characters."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def _problems(query: str, versions: Versions, worn: dict[str, tuple[str, str]]) -> Iterator[str]:
    try:
        conditions = [one for it in selectors_in(parsed(query)) for one in conditions_of(it)]
    except NotCounts:
        return
    for one in dict.fromkeys(conditions):
        name, value = worn.get(one.label, ("", ""))
        if name and reads_of(one, versions) is Reads.CANARY and not one.accepts(value):
            yield _problem(one, name, value)


def _problem(one: Matcher, name: str, value: str) -> str:
    return (
        f"its query asks for {one}, and the canary's pods have the label {name}={value}: write "
        'pod=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?" in its place, or the label by which your '
        "metrics name pods"
    )
