"""Series and the selectors that pick them, as PromQL has them."""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, NamedTuple, TypeVar

from canary.counting.patterns import PatternError, can_be_joined, matched, size

_T = TypeVar("_T")

NAME: Final = "__name__"
"""The label that holds a metric's name."""
LE: Final = "le"
"""The label that holds the upper bound of a histogram's bucket."""

_ADDED: Final = """
namespace kubernetes_namespace k8s_namespace_name pod pod_name kubernetes_pod_name
k8s_pod_name pod_ip pod_template_hash container container_name
kubernetes_container_name node nodename node_name kubernetes_node
kubernetes_node_name host hostname job instance endpoint service service_name
kubernetes_name kubernetes_service_name deployment workload workload_name controller
controller_name replicaset app k8s_app component release chart helm_sh_chart version
tier team app_kubernetes_io_name app_kubernetes_io_instance
app_kubernetes_io_version app_kubernetes_io_component app_kubernetes_io_part_of
app_kubernetes_io_managed_by cluster cluster_name region zone env environment
prometheus prometheus_replica
"""
TARGET_LABELS: Final = frozenset(_ADDED.split())
"""Labels that scrape configurations usually add to what a pod exposes: from service discovery, the
labels of the pod or its Service, and the external labels of the Prometheus. None of them tells a
good answer from a bad one."""

POD_LABELS: Final = ("pod", "kubernetes_pod_name", "pod_name", "k8s_pod_name")
"""Labels that name a pod; the first is what most scrape configurations write."""

_NAMESPACE_LABELS: Final = (
    "namespace",
    "kubernetes_namespace",
    "exported_namespace",
    "k8s_namespace_name",
)

_EQUAL: Final = frozenset({"=", "=~"})
_SPECIAL: Final = frozenset(r"\.+*?()|[]{}^$")
"""What RE2 reads as more than itself (its QuoteMeta)."""
_MOST_JOINED: Final = 8192
"""Characters, and instructions of RE2, of the alternatives that one condition is made of. A metrics
server has limits of its own, and what it refuses is lost to all whose conditions are joined."""
_MOST_OF_A_QUERY: Final = 65_536
"""Characters of the queries that are made of many selectors."""
_MOST_COMPARED: Final = 20_000
"""Pairs of selectors that are held against each other, to leave out what others fetch anyway."""
_IDENTIFIER: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class Series(NamedTuple):
    """One series at one moment. `labels` include its name, as `__name__`."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Matcher:
    """A condition on one label. `op` is "=", "!=", "=~" or "!~"; expressions match as a whole."""

    label: str
    op: str
    value: str

    def accepts(self, value: str) -> bool:
        """Say whether a label's value satisfies the condition; an absent label's is "".

        Neither an expression nor its contrary is satisfied by a value that is too long to be tried.

        Raises:
            PatternError: the regular expression cannot be read.

        """
        if self.op in ("=~", "!~"):
            return matched(self.value, value) is (self.op == "=~")
        return self._same(value) == (self.op == "=")

    def plainly_accepts(self, value: str) -> bool:
        """Say whether the condition can be read, and a value satisfies it."""
        try:
            return self.accepts(value)
        except PatternError:
            return False

    def _same(self, value: str) -> bool:
        if self.label != LE or value == self.value:
            return value == self.value
        # Prometheus 3 stores 1.0 where a pod exposes le="1", and queries are written for either.
        mine, other = bound(self.value), bound(value)
        return mine is not None and mine == other

    def __str__(self) -> str:
        label = self.label if _IDENTIFIER.fullmatch(self.label) else _string(self.label)
        return f"{label}{self.op}{_string(self.value)}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SeriesSelector:
    """The conditions that pick series of one metric, with the one on its name."""

    matchers: tuple[Matcher, ...]

    @property
    def name(self) -> str:
        """The metric's name."""
        return next(one.value for one in self.matchers if one.label == NAME and one.op == "=")

    def accepts(self, labels: Mapping[str, str], *, given: frozenset[str] = frozenset()) -> bool:
        """Say whether a series is picked.

        Args:
            labels: of the series, with its name.
            given: labels that the place which the series comes from adds later: a condition on one
                of them that the series does not carry counts as satisfied.

        """
        return all(
            one.accepts(labels.get(one.label, ""))
            for one in self.matchers
            if one.label in labels or one.label not in given
        )

    def covers(self, other: "SeriesSelector") -> bool:
        """Say whether each series of another selector is one of this one's, as far as is plain.

        It is plain where the other has the same condition, or asks for one value that satisfies
        this one's.
        """
        return all(
            mine in other.matchers
            or any(
                its.label == mine.label and its.op == "=" and mine.plainly_accepts(its.value)
                for its in other.matchers
            )
            for mine in self.matchers
        )

    def __str__(self) -> str:
        plain = _METRIC.fullmatch(self.name) is not None
        rest = [str(one) for one in self.matchers if not (plain and one.label == NAME)]
        return f"{self.name if plain else ''}{{{','.join(rest)}}}" if rest else self.name


def pod_of(labels: Mapping[str, str]) -> str:
    """Return the pod that a series is of by its labels, "" where none names one."""
    return next((labels[name] for name in POD_LABELS if labels.get(name)), "")


def may_be_in(labels: Mapping[str, str], namespace: str) -> bool:
    """Tell whether a pod's series may be of a namespace: some labels name others beside its own."""
    named = {labels[name] for name in _NAMESPACE_LABELS if labels.get(name)}
    return not named or namespace in named


def named_in(labels: Mapping[str, str], names: Container[str]) -> str:
    """Return the value of a label that is one of some names, "" where none is."""
    return next((text for text in labels.values() if text in names), "")


def bound(text: str) -> float | None:
    """Return a bucket's bound as a number; None where it is none."""
    try:
        return float(text)
    except ValueError:
        return None


def merged(selectors: Iterable[SeriesSelector]) -> tuple[str, ...]:
    """Return queries that together fetch at least the series of all selectors, one per metric.

    Selectors that differ in the values they ask for only become one with alternatives, which may
    fetch more than they did: what comes is to be filtered by `SeriesSelector.accepts`. A metric
    with very many of them has several queries.
    """
    ordered = sorted(set(selectors), key=lambda one: (one.name, one))
    return tuple(
        " or ".join(part)
        for _, group in groupby(ordered, key=lambda one: one.name)
        for part in _parts([str(one) for one in _joined(list(group))], len, _MOST_OF_A_QUERY)
    )


def _parts(whole: list[_T], weight: Callable[[_T], int], most: int) -> list[list[_T]]:
    """Part a list where the next would weigh more than there is room for."""
    parts: list[list[_T]] = []
    left = 0
    for one in whole:
        if not parts or weight(one) > left:
            parts.append([])
            left = most
        parts[-1].append(one)
        left -= weight(one)
    return parts


def _joined(selectors: list[SeriesSelector]) -> list[SeriesSelector]:
    """Merge the selectors of one metric as far as may be."""
    shapes: dict[tuple[Matcher, ...], list[SeriesSelector]] = {}
    for one in _widest(selectors):
        shapes.setdefault(shape(one), []).append(one)
    parts = [part for alike in shapes.values() for part in _parts(alike, weight_of, _MOST_JOINED)]
    return _widest(sorted(map(alternatives, parts)))


def weight_of(selector: SeriesSelector) -> int:
    """Return what the conditions of a selector add to those that they are joined with.

    In characters or instructions of RE2, whichever are more.
    """
    return max(max(len(one.value), _size(one)) for one in selector.matchers)


def _size(one: Matcher) -> int:
    try:
        return size(one.value) if one.op == "=~" else 0
    except PatternError:
        return _MOST_JOINED


def _widest(selectors: list[SeriesSelector]) -> list[SeriesSelector]:
    """Leave out the selectors that another one covers, the later of two that cover each other.

    What more pairs than there is time for would show stays in: it is fetched twice then.
    """
    rivals = _rivals(selectors)
    found, left = [], _MOST_COMPARED
    for at, one in enumerate(selectors):
        others = sorted(rivals(one) - {at})[:left]
        left -= len(others)
        if not any(
            selectors[other].covers(one) and (other < at or not one.covers(selectors[other]))
            for other in others
        ):
            found.append(one)
    return found


def _rivals(selectors: list[SeriesSelector]) -> Callable[[SeriesSelector], set[int]]:
    """Return what tells which selectors, by position, might cover one.

    Hundreds of runs have thousands of selectors, and few pairs of them have anything in common.
    Each is found by the rarest of its conditions alone: what it covers has the same, or, where it
    is no plain value, a plain value of the same label.
    """
    often = Counter(matcher for one in selectors for matcher in one.matchers)
    rarest: dict[Matcher | str, set[int]] = {}
    for at, one in enumerate(selectors):
        condition = min(one.matchers, key=often.__getitem__)
        rarest.setdefault(condition, set()).add(at)
        if condition.op != "=" or condition.label == LE:
            rarest.setdefault(condition.label, set()).add(at)

    def found(one: SeriesSelector) -> set[int]:
        keys: set[Matcher | str] = set(one.matchers)
        keys |= {matcher.label for matcher in one.matchers if matcher.op == "="}
        return set().union(*(rarest[key] for key in keys & rarest.keys()))

    return found


def shape(selector: SeriesSelector) -> tuple[Matcher, ...]:
    """Return what merging must not change: everything but the values that are asked for."""
    return tuple(
        Matcher(label=one.label, op="=~", value="") if _can_be_joined(one) else one
        for one in _in_order(selector)
    )


def _can_be_joined(one: Matcher) -> bool:
    return one.op == "=" or (one.op == "=~" and can_be_joined(one.value))


def _in_order(selector: SeriesSelector) -> list[Matcher]:
    """Sort by label, and conditions of a kind together, so that shapes can be compared."""
    return sorted(
        selector.matchers, key=lambda one: (one.label != NAME, one.label, one.op not in _EQUAL, one)
    )


def alternatives(alike: Sequence[SeriesSelector]) -> SeriesSelector:
    """Return a selector that picks at least what all of some do; they have the same shape."""
    columns = zip(*(_in_order(one) for one in alike), strict=True)
    return SeriesSelector(matchers=tuple(_alternative(sorted(set(column))) for column in columns))


def _alternative(column: list[Matcher]) -> Matcher:
    if len(column) == 1:
        return column[0]
    values = "|".join(quoted(one.value) if one.op == "=" else f"(?:{one.value})" for one in column)
    return Matcher(label=column[0].label, op="=~", value=values)


def quoted(value: str) -> str:
    """Write a regular expression that a value alone matches."""
    return "".join(f"\\{character}" if character in _SPECIAL else character for character in value)


def _string(text: str) -> str:
    """Write a PromQL string: its escapes are Go's."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
