"""Which version a query reads, as far as the names in it tell.

A query that reads the stable alone passes every candidate, and one that reads both or neither may.
What a condition on a label that names things says is found out by trying it on the names that
pods, workloads, Services and backends of either version have.

| a condition on such a label | the selector reads |
| --- | --- |
| fits names of the canary and none of the stable: `pod=~"web-canary-.+"` | the canary |
| fits names of the stable and none of the canary: `app="web"` | the stable |
| leaves the canary out: `pod!~"web-canary-.+"` | the stable |
| names the app and fits both: `pod=~"web-.*"` | both |
| names the canary and then something else: `service="web-canary-canary"` | neither |
| names the canary's pods or workload as none is called: `pod="web-canary"` | neither |
| names neither version, or something else of theirs: `pod=~".+"`, `service="web-db"` | unknown |

All conditions of a selector hold together, so that one on the canary is enough, unless another fits
nothing at all. Of a whole query:

| its selectors read | the query reads |
| --- | --- |
| one of them neither | neither |
| one of them both | both |
| the stable on one side of an `or` | the stable |
| the stable where its value is from: left of `and`, `unless` or a comparison | the stable |
| one of them the canary, others whatever else | the canary: it may compare the two |
| one of them the stable, others unknown | the stable |
| all unknown | unknown |

Labels that say nothing of versions are not looked at: namespaces, clusters and nodes; nor is any
other that does not name things (hosts, paths, what an application writes of its requests), unless
the canary's name is in it. A query that cannot be read is unknown too, unless it names the stable
alone where it names anything.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from typing import Final

import promql_parser as promql

from canary.counting.errors import NotCounts
from canary.counting.expressions import parsed
from canary.counting.rewriting import conditions_of
from canary.counting.series import POD_LABELS, Matcher
from canary.model.names import pod_names


class Reads(StrEnum):
    """Which version a query is about."""

    CANARY = "canary"
    STABLE = "stable"
    BOTH = "both"
    NEITHER = "neither"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What one version is called: its Deployment, and the Service in front of it."""

    workload: str
    service: str

    @property
    def names(self) -> tuple[str, ...]:
        """Both, the longer first: one may begin with the other."""
        return tuple(sorted({self.workload, self.service}, key=lambda name: (-len(name), name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """What both versions are called, and their namespace."""

    namespace: str
    canary: Version
    stable: Version

    @property
    def names(self) -> tuple[str, ...]:
        """All names of both."""
        return (*self.canary.names, *self.stable.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Which version a query reads, and the condition that says so; "" where none does."""

    reads: Reads
    condition: str = ""


_NAMING: Final = frozenset(
    (
        *("pod", "podname", "deployment", "workload", "replicaset", "container"),
        *("service", "svc", "backend", "upstream", "cluster", "ingress"),
        *("app", "application", "release", "job"),
    )
)
"""Words in the names of labels that name what belongs to one version. Not among them is what
applications call their own things by: controllers, routes, queues."""
_PLAINLY: Final = frozenset({"deployment", "workload", "replicaset", "app", "application"})
_NAMING_ALONE: Final = frozenset({"name", "owner_name", "controller_name", "created_by_name"})
_NOT_NAMING: Final = frozenset(
    ("__name__", "cluster", "cluster_name", "cluster_id", "node_name", "host_name")
)
_ANSWERED_BY: Final = "canary"
_ELSEWHERE: Final = "namespace"
"""In the names of labels, whatever else is in them."""
_MOST_MENTIONS: Final = 12
"""Of a version in one condition; behind what stands before each all endings are tried."""
_MOST_PAIRS: Final = 100
"""Of what looks like a label with its value, in what is no PromQL."""
_PREFIXES: Final = ("", "{ns}_", "{ns}-", "{ns}/", "{ns}.", "{ns}:", "outbound|80||")
_ENDINGS: Final = (
    *("", "_80", "-80", ":80", ".80", "/80", "_http", "-5d9f7c8b9d", ".{ns}", "_{ns}", "-{ns}"),
    *(".{ns}.svc.cluster.local", "_{ns}_svc_80", "-80@kubernetescrd", "@kubernetes"),
)
"""What the names of backends, clusters, upstreams and hosts have around a workload's or Service's:
Contour, Envoy, Istio, Kuma, Gloo, Traefik, Linkerd."""
_SUFFIXED: Final = re.compile(r"-(canary|primary)(?![0-9A-Za-z])")
_PLAIN: Final = re.compile(r"[\w/:@|.-]*")
_PAIRS: Final = re.compile(
    r"(?<![\w.])([A-Za-z_][\w.]*+)[\"'`]?\s*+(=~|=|:)\s*+[\"'`]?([^\"'`,;{}()\s]+)"
)
"""What looks like a label with its value in any language; in time linear in the text."""
_LITERAL: Final = re.compile(r"[\w/:@.-]*")
"""Regular expressions that say no more than the text itself."""
_FILTERS: Final = frozenset({"and", "unless", "==", "!=", ">", "<", ">=", "<="})
"""Operators whose value is that of their left side, where it is not dropped."""


@lru_cache(maxsize=256)
def read_by(query: str, versions: Versions) -> Attribution:
    """Return which version a query reads.

    Args:
        query: rendered; PromQL, or the language of another provider.
        versions: what both are called.

    """
    try:
        expression = parsed(query)
        found = [_selector(conditions_of(one), versions) for one in selectors_in(expression)]
        found_in = _fallback(expression, versions) or _source(expression, versions)
        return found_in or _together(found)
    except NotCounts:
        return _scanned(query, versions)


@lru_cache(maxsize=1024)
def reads_of(condition: Matcher, versions: Versions) -> Reads:
    """Return which version a condition picks.

    Raises:
        NotCounts: it names the versions more often than can be tried.

    """
    value = condition.value.replace("\\", "")
    named = _is_named(value, versions.canary, versions.namespace)
    if not (names_things(condition.label) or (named and not _is_elsewhere(condition.label))):
        return Reads.UNKNOWN
    if condition.op not in {"=", "=~"}:
        return Reads.STABLE if named and _leaves_out(condition, versions.canary) else Reads.UNKNOWN
    canary = _fits(condition, versions.canary, versions)
    stable = _fits(condition, versions.stable, versions)
    if canary and stable:
        mentioned = named or _is_named(value, versions.stable, versions.namespace)
        return Reads.BOTH if mentioned else Reads.UNKNOWN
    if canary or stable:
        return Reads.CANARY if canary else Reads.STABLE
    return _named_only(condition.label, value, versions) if named else Reads.UNKNOWN


def _named_only(label: str, value: str, versions: Versions) -> Reads:
    """Return what a condition picks that names the canary, and fits nothing as it is called."""
    rests = (rest for _, rest in _named(value, versions.canary, versions.namespace))
    nothing = is_called_plainly(label) or any(map(_SUFFIXED.match, rests))
    return Reads.NEITHER if nothing else Reads.CANARY


def _leaves_out(condition: Matcher, version: Version) -> bool:
    """Tell whether what a condition excludes is a version, by its plain names."""
    of_pods = is_of_pods(condition.label)
    plain = pod_names(version.workload) if of_pods else version.names
    return not any(condition.accepts(text) for text in plain)


def names_things(label: str) -> bool:
    """Tell whether a label names pods, workloads, Services or the like."""
    named = label in _NAMING_ALONE or not _NAMING.isdisjoint(words_of(label))
    return named and not _is_elsewhere(label)


def words_of(label: str) -> list[str]:
    """Return the words in a label's name: `destination_service`, `k8s.deployment.name`."""
    return label.lower().replace(".", "_").split("_")


def _is_elsewhere(label: str) -> bool:
    """Tell whether a label says where something is, which is the same for both versions."""
    return label in _NOT_NAMING or _ELSEWHERE in label


def is_of_pods(label: str) -> bool:
    """Tell whether a label's values are names of pods."""
    return label in POD_LABELS or label in {"exported_pod", "podname"}


def is_called_plainly(label: str) -> bool:
    """Tell whether a label's values are names as Kubernetes has them, with nothing around them."""
    return is_of_pods(label) or not _PLAINLY.isdisjoint(words_of(label))


def _selector(conditions: Iterable[Matcher], versions: Versions) -> Attribution:
    """Return what all conditions of a selector together read."""
    given = tuple(conditions)
    found = [
        (_in_place(one, given) or _with_exclusions(one, given, versions), one) for one in given
    ]
    order = (Reads.NEITHER, Reads.CANARY, Reads.STABLE, Reads.BOTH)
    return next(
        (Attribution(reads=reads, condition=str(one)) for wanted in order for reads, one in found
         if reads is wanted),
        Attribution(reads=Reads.UNKNOWN),
    )  # fmt: skip


def _in_place(one: Matcher, given: tuple[Matcher, ...]) -> Reads | None:
    """Return what a condition picks on who answered in place of an Ingress's own backend.

    ingress-nginx counts the requests to both on the name of the one Ingress that a team has, as
    Flagger's queries do: `ingress="shop",canary!=""`.
    """
    if one.label != _ANSWERED_BY or one.value or all(it.label != "ingress" for it in given):
        return None
    return {"!=": Reads.CANARY, "=": Reads.STABLE}.get(one.op)


def _with_exclusions(one: Matcher, given: tuple[Matcher, ...], versions: Versions) -> Reads:
    """Return what a condition picks of what the others on its label leave."""
    reads = reads_of(one, versions)
    others = [it for it in given if it.label == one.label and it.op in {"!=", "!~"}]
    if reads is not Reads.BOTH or not others:
        return reads
    left = {
        arm: any(
            one.accepts(text) and all(it.accepts(text) for it in others)
            for text in _texts(one, version, versions)
        )
        for arm, version in ((Reads.CANARY, versions.canary), (Reads.STABLE, versions.stable))
    }
    if all(left.values()):
        return Reads.BOTH
    return next((arm for arm, is_left in left.items() if is_left), Reads.NEITHER)


def _together(found: list[Attribution]) -> Attribution:
    order = (Reads.NEITHER, Reads.BOTH, Reads.CANARY, Reads.STABLE)
    return next(
        (one for wanted in order for one in found if one.reads is wanted),
        Attribution(reads=Reads.UNKNOWN),
    )


def _fallback(expression: promql.Expr, versions: Versions) -> Attribution | None:
    """Find a side of an `or` that is the stable's: its value would be taken for the canary's."""
    found: list[Attribution] = []

    def look(one: promql.Expr) -> None:
        if isinstance(one, promql.BinaryExpr) and str(one.op) == "or":
            for side in (one.lhs, one.rhs):
                read = [_selector(conditions_of(it), versions) for it in selectors_in(side)]
                found.append(_together(read))

    promql.walk(expression, pre_visit=look)
    return next((one for one in found if one.reads is Reads.STABLE), None)


def _source(expression: promql.Expr, versions: Versions) -> Attribution | None:
    """Find the stable where the value of a query is from, whatever it is filtered by."""
    parts = [part for part in _parts(expression) if any(True for _ in selectors_in(part))]
    if len(parts) != 1:
        return None
    found = [_selector(conditions_of(it), versions) for it in selectors_in(parts[0])]
    read = _together(found)
    return read if read.reads is Reads.STABLE else _source(parts[0], versions)


def _is_filter(expression: promql.BinaryExpr) -> bool:
    """Tell whether an operator only drops values; with `bool` it makes others of them."""
    makes = expression.modifier is not None and bool(expression.modifier.return_bool)
    return str(expression.op) in _FILTERS and not makes


def _parts(expression: promql.Expr) -> list[promql.Expr]:
    """Return what an expression makes its value of."""
    match expression:
        case promql.ParenExpr() | promql.AggregateExpr() | promql.UnaryExpr():
            return [expression.expr]
        case promql.Call():
            return list(expression.args)
        case promql.BinaryExpr() if _is_filter(expression):
            return [expression.lhs]
        case promql.BinaryExpr():
            return [expression.lhs, expression.rhs]
        case _:
            return []


def selectors_in(expression: promql.Expr) -> Iterator[promql.VectorSelector]:
    """Return everything that a query selects, wherever it stands."""
    found: list[promql.VectorSelector] = []

    def look(one: promql.Expr) -> None:
        if isinstance(one, promql.VectorSelector):
            found.append(one)

    promql.walk(expression, pre_visit=look)
    yield from found


def _fits(condition: Matcher, version: Version, versions: Versions) -> bool:
    return any(condition.accepts(text) for text in _texts(condition, version, versions))


def _texts(condition: Matcher, version: Version, versions: Versions) -> Iterator[str]:
    """Return what the label of a condition may say of a version."""
    if is_of_pods(condition.label):
        yield from pod_names(version.workload)
        return
    namespace = versions.namespace
    value = condition.value.replace("\\", "")
    literal = condition.op == "=" or bool(_LITERAL.fullmatch(value))
    around = [("", "")] if condition.op == "=~" else []
    mentions = (
        (before, rest if literal else "")
        for before, rest in _named(value, version, namespace)
        if _PLAIN.fullmatch(before) and not (literal and _is_more(rest))
    )
    # Each holds the text anew, of which there may be 64 KiB.
    around += islice(mentions, _MOST_MENTIONS + 1)
    if len(around) > _MOST_MENTIONS:
        raise NotCounts("it names the versions more often than can be tried")
    for name in version.names:
        for before, rest in around:
            for prefix in {before, *(it.format(ns=namespace) for it in _PREFIXES)}:
                for ending in (rest, *(it.format(ns=namespace) for it in _ENDINGS)):
                    yield f"{prefix}{name}{ending}"
        yield from pod_names(name)


def _is_more(rest: str) -> bool:
    """Tell whether what follows a name makes it another name."""
    return rest.startswith("-") and not re.fullmatch(r"-[0-9]+\S*", rest)


def _is_named(text: str, version: Version, namespace: str) -> bool:
    return next(_named(text, version, namespace), None) is not None


def _named(text: str, version: Version, namespace: str) -> Iterator[tuple[str, str]]:
    """Return what stands before and after each mention of a version."""
    for name in version.names:
        whole = (
            rf"(?:(?<![0-9A-Za-z-])|(?<={re.escape(namespace)}-)){re.escape(name)}(?![0-9A-Za-z])"
        )
        yield from ((text[: at.start()], text[at.end() :]) for at in re.finditer(whole, text))


def _scanned(query: str, versions: Versions) -> Attribution:
    """Look through what is no PromQL for what plainly names the stable alone."""
    found = []
    pairs = dict.fromkeys(one.groups() for one in _PAIRS.finditer(query))
    if len(pairs) > _MOST_PAIRS:
        return Attribution(reads=Reads.UNKNOWN)
    for label, op, value in pairs:
        condition = Matcher(label=label.replace(".", "_"), op="=", value=value)
        try:
            reads = reads_of(condition, versions)
        except NotCounts:
            continue
        found.append((reads, f"{label}{op}{value}"))
    if any(reads is not Reads.STABLE and reads is not Reads.UNKNOWN for reads, _ in found):
        return Attribution(reads=Reads.UNKNOWN)
    if any(name in query for name in versions.canary.names):
        return Attribution(reads=Reads.UNKNOWN)
    stable = next((text for reads, text in found if reads is Reads.STABLE), "")
    return Attribution(reads=Reads.STABLE if stable else Reads.UNKNOWN, condition=stable)
