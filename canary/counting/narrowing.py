"""Has a query read the pods of one run alone: what matches pods by a pattern names them instead.

The rest of its text stays as it was written. What was done is read again afterwards, and thrown
away where it is not what was meant.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from canary.counting.errors import NotCounts
from canary.counting.reads import Read, reads_of
from canary.counting.series import NAME, Matcher

_POD_LABEL: Final = re.compile(r"(?:.*_)?pod(?:_name)?")
"""Labels that name a pod: pod, kubernetes_pod_name, exported_pod, container_label_..._pod_name."""
_STRING: Final = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`[^`]*`"""
TOKEN: Final = re.compile(rf"#[^\n]*|{_STRING}|[{{}}\[\]]|=~|!~|!=|=|[a-zA-Z_]\w*", re.DOTALL)
"""What of a query has to be told apart: comments, strings, brackets, operators, names."""
_OPERATORS: Final = frozenset({"=", "!=", "=~", "!~"})
_POSITIVE: Final = frozenset({"=", "=~"})
_QUOTES: Final = frozenset("'\"`")


class Scope(Enum):
    """Whose samples a selector finds, as far as its conditions on pods say.

    OWN: a pattern of the canary's pods that can name those of one run instead. OTHERS: nothing of
    any canary. OPEN: those of any candidate.
    """

    OWN = "own"
    OTHERS = "others"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPods:
    """The pods of one run, by name; of the stable and of an earlier canary one as they are named.

    Every pod that the run's canary has had is among `names`.
    """

    names: tuple[str, ...]
    stable: str
    former: str


class _Condition(NamedTuple):
    """One condition as it stands in the text."""

    start: int
    end: int
    label: str
    op: str


def scope(read: Read, pods: RunPods) -> Scope:
    """Tell whose samples a selector finds."""
    by_label = _on_pods(read.matchers)
    if not pods.names:
        return Scope.OPEN
    for conditions in by_label.values():
        if not _accepted(conditions, (*pods.names, pods.former)):
            return Scope.OTHERS
    found = [label for label, conditions in by_label.items() if _can_name(conditions, pods)]
    return Scope.OWN if found else Scope.OPEN


def narrowed(query: str, pods: RunPods) -> str:
    """Return a query whose patterns of the canary's pods name those of the run.

    Args:
        query: PromQL, rendered.
        pods: the run's; without any the query stays as it is.

    Raises:
        NotCounts: it cannot be read, or not be changed safely.

    """
    reads = reads_of(query)
    meant = [_narrowed(read.matchers, pods) for read in reads]
    parts, at = [], 0
    for written, before, after in _paired(query, reads, meant):
        if before != after:
            parts += [query[at : written.start], str(after)]
            at = written.end
    text = "".join([*parts, query[at:]])
    if [read.matchers for read in reads_of(text)] != meant:
        raise NotCounts("its conditions on pods cannot be changed without changing others")
    return text


def _narrowed(matchers: tuple[Matcher, ...], pods: RunPods) -> tuple[Matcher, ...]:
    by_label = _on_pods(matchers)
    named = {label for label, found in by_label.items() if _can_name(found, pods)}
    return tuple(
        _naming(one.label, _accepted(by_label[one.label], pods.names))
        if one.op == "=~" and one.label in named
        else one
        for one in matchers
    )


def _on_pods(matchers: Iterable[Matcher]) -> dict[str, list[Matcher]]:
    """Return the conditions on labels that name a pod, where one of them asks for some."""
    found: dict[str, list[Matcher]] = defaultdict(list)
    for one in matchers:
        if _POD_LABEL.fullmatch(one.label):
            found[one.label].append(one)
    return {label: all_ for label, all_ in found.items() if any(m.op in _POSITIVE for m in all_)}


def _accepted(conditions: Sequence[Matcher], names: Iterable[str]) -> list[str]:
    return [name for name in names if all(one.accepts(name) for one in conditions)]


def _can_name(conditions: Sequence[Matcher], pods: RunPods) -> bool:
    """What also fits the stable's pods is not about the canary alone, and would lose them."""
    return bool(_accepted(conditions, pods.names)) and not _accepted(conditions, (pods.stable,))


def _naming(label: str, names: Iterable[str]) -> Matcher:
    """Return the condition that takes these pods; those of a ReplicaSet have most letters alike."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        head, dash, tail = name.rpartition("-")
        groups[_quoted(head + dash)].append(_quoted(tail))
    value = "|".join(_together(head, tails) for head, tails in groups.items())
    return Matcher(label=label, op="=~", value=value)


def _together(head: str, tails: list[str]) -> str:
    return f"{head}{tails[0]}" if len(tails) == 1 else f"{head}(?:{'|'.join(tails)})"


def _quoted(name: str) -> str:
    """A pod's name has letters, digits, dashes and dots (RFC 1123)."""
    return name.replace(".", r"\.")


def _paired(
    query: str, reads: Iterable[Read], meant: Iterable[tuple[Matcher, ...]]
) -> Iterator[tuple[_Condition, Matcher, Matcher]]:
    """Pair each condition in the text with what it was read as, and what it is to be."""
    written = list(_conditions(query))
    pairs = [
        (before, after)
        for read, wanted in zip(reads, meant, strict=True)
        for before, after in zip(read.matchers, wanted, strict=True)
        if before.label != NAME
    ]
    written = [one for one in written if one.label != NAME]
    if [(one.label, one.op) for one in written] != [(b.label, b.op) for b, _ in pairs]:
        raise NotCounts("its conditions cannot be told apart in its text")
    for one, (before, after) in zip(written, pairs, strict=True):
        yield one, before, after


def _conditions(query: str) -> Iterator[_Condition]:
    """Find `label op "value"` inside of braces, in the order of the text."""
    inside, held = False, list[re.Match[str]]()
    for token in TOKEN.finditer(query):
        text = token.group()
        if text in ("{", "}"):
            inside, held = text == "{", []
        elif inside and not text.startswith("#"):
            held.append(token)
            label, op, value = ([None] * 3 + held)[-3:]
            if label and op and op.group() in _OPERATORS and text[0] in _QUOTES and value:
                name = label.group()
                name = name[1:-1] if name[0] in _QUOTES else name
                yield _Condition(label.start(), value.end(), name, op.group())
                held = []
