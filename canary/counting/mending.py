"""A query as it was meant, where its names cannot mean anything else.

- **Pods with long names.** A pattern that fits the usual form of a version's pods, but not all as
  they are really called, fits those too: names of pods are cut at 63 characters.
- **The stable, meant alone.** A pattern for the stable, in its own query or by `{{ baseline }}`,
  that fits the canary too (`web-.*`) leaves the canary's out.
- **Containers.** `container="web-canary"` becomes `container="web"`: a container is called alike in
  both versions.
- **Services of another name than the workload.** A label of Services, backends or clusters that
  names the workload means its Service, and a label of Deployments that names the Service means
  its workload: nothing else is called so there.
- **Names that are written out.** Where a query names the canary without an action, the stable's
  query names the stable; else both would be the same.

What cannot be read stays as it is. Each is found out once per text, as every look at a run asks
for the same ones.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from typing import Final

from canary.counting.errors import NotCounts
from canary.counting.expressions import parsed
from canary.counting.rewriting import Change, as_text, rewritten
from canary.counting.series import Matcher, quoted
from canary.counting.versions import (
    Reads,
    Version,
    Versions,
    is_of_pods,
    names_things,
    read_by,
    reads_of,
    words_of,
)
from canary.model.names import MOST_BEFORE_RANDOM, pod_names, usual_pod_name

_NOT: Final = frozenset({"!=", "!~"})
_OF_SERVICES: Final = frozenset({"service", "svc", "backend", "upstream", "cluster"})
_OF_WORKLOADS: Final = frozenset({"deployment", "workload"})

MARK: Final = "headgate-baseline"
"""Stands for the stable's workload where a query names it on purpose."""


@lru_cache(maxsize=256)
def for_canary(query: str, versions: Versions) -> str:
    """Return the canary's query as it was meant.

    Args:
        query: rendered; `MARK` may stand in it for the stable's workload.
        versions: what both are called.

    """
    found = _changed(query, partial(_of_canary, versions))
    return found.replace(MARK, versions.stable.workload)


@lru_cache(maxsize=256)
def for_stable(query: str, versions: Versions) -> str:
    """Return the stable's query as it was meant."""
    if read_by(query, versions).reads is Reads.CANARY:
        query = _changed(query, partial(_renamed, versions))
    return _changed(query, partial(_of_stable, versions))


def _changed(query: str, change: Change) -> str:
    try:
        expression = parsed(query)
        changed = rewritten(expression, change)
    except NotCounts:
        return query
    return query if changed is expression else as_text(changed)


def _of_canary(versions: Versions, conditions: tuple[Matcher, ...]) -> Iterator[Matcher]:
    namespace = versions.namespace
    for one in conditions:
        if _is_of_containers(one.label) and one.value == versions.canary.workload:
            yield Matcher(label=one.label, op=one.op, value=versions.stable.workload)
        elif MARK in one.value and versions.canary.workload not in one.value:
            value = one.value.replace(MARK, versions.stable.workload)
            meant = Matcher(label=one.label, op=one.op, value=value)
            yield from _without_canary(meant, conditions, versions)
        else:
            yield _widened(_as_called(one, versions.canary, namespace), versions.canary)


def _of_stable(versions: Versions, conditions: tuple[Matcher, ...]) -> Iterator[Matcher]:
    for one in conditions:
        called = _as_called(one, versions.stable, versions.namespace)
        yield from _without_canary(called, conditions, versions)


def _as_called(one: Matcher, version: Version, namespace: str) -> Matcher:
    """Let a condition name a Service by its own name, and so a workload."""
    words = set(words_of(one.label))
    if words & _OF_SERVICES and not words & _OF_WORKLOADS:
        found, name = version.workload, version.service
    elif words & _OF_WORKLOADS and not words & _OF_SERVICES:
        found, name = version.service, version.workload
    else:
        return one
    if found == name or not names_things(one.label) or name in one.value.replace("\\", ""):
        return one
    before = rf"(?:(?<![0-9A-Za-z-])|(?<={re.escape(namespace)}-))"
    value = re.sub(rf"{before}{re.escape(found)}(?![0-9A-Za-z]|-[A-Za-z])", name, one.value)
    return Matcher(label=one.label, op=one.op, value=value)


def _without_canary(
    one: Matcher, conditions: tuple[Matcher, ...], versions: Versions
) -> Iterator[Matcher]:
    wide = _widened(one, versions.stable)
    yield wide
    if one.op != "=~" or any(it.label == one.label and it.op in _NOT for it in conditions):
        return
    if is_of_pods(one.label) and _takes_the_canarys_pods(wide, versions):
        value = f"{quoted(versions.canary.workload)}-.+"
        yield Matcher(label=one.label, op="!~", value=value)
    elif not is_of_pods(one.label) and reads_of(one, versions) is Reads.BOTH:
        named = "|".join(map(quoted, versions.canary.names))
        yield Matcher(label=one.label, op="!~", value=f".*({named}).*")


def _renamed(versions: Versions, conditions: tuple[Matcher, ...]) -> Iterator[Matcher]:
    for one in conditions:
        plain = names_things(one.label) and reads_of(one, versions) is Reads.CANARY
        value = one.value
        if plain and not _is_of_containers(one.label):
            for canary, stable in _pairs(versions):
                value = value.replace(canary, stable)
                value = value.replace(quoted(canary), quoted(stable))
        yield Matcher(label=one.label, op=one.op, value=value)


def _pairs(versions: Versions) -> Iterable[tuple[str, str]]:
    pairs = {
        (versions.canary.workload, versions.stable.workload),
        (versions.canary.service, versions.stable.service),
    }
    return sorted(pairs, key=lambda pair: (-len(pair[0]), pair))


def _widened(one: Matcher, version: Version) -> Matcher:
    """Let a pattern fit names as the pods of a version really have them."""
    name = version.workload
    meant = one.op == "=~" and is_of_pods(one.label) and one.accepts(usual_pod_name(name))
    if not meant or all(one.accepts(pod) for pod in pod_names(name)):
        return one
    return Matcher(label=one.label, op="=~", value=f"(?:{one.value})|{_any_pod(name)}")


def _any_pod(name: str) -> str:
    """Return the regular expression of the names that a Deployment's pods have."""
    if len(name) >= MOST_BEFORE_RANDOM:
        return f"{quoted(name[:MOST_BEFORE_RANDOM])}[0-9a-z]{{5}}"
    return f"{quoted(name)}-[0-9a-z]+(-[0-9a-z]+)?"


def _takes_the_canarys_pods(one: Matcher, versions: Versions) -> bool:
    return reads_of(one, versions) is Reads.BOTH and any(
        one.accepts(pod) for pod in pod_names(versions.canary.workload)
    )


def _is_of_containers(label: str) -> bool:
    return "container" in label.split("_")
