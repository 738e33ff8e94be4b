"""The version before marks by target, as it was: an upgrade meets it for one rolling update.

The arithmetic, the admission and the writes of its analyzer, unchanged; not to be mended here.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from analyzer.ports import Cluster
from canary.admission.routes import RouteWrite
from canary.contract import SPLIT
from canary.model.values import Json
from canary.routes.mark import marked
from runtime.resources import HTTPROUTES

SCALE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The split that a route carries: target, Services, the canary's share in percent."""

    namespace: str
    target: str
    stable: str
    canary: str
    weight: int

    def dump(self) -> str:
        """Write the mark as the value of the route's annotation."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))


def load_mark(text: str) -> Mark | None:
    """Read a mark; None for a text that is none."""
    try:
        value = json.loads(text)
        return Mark(
            namespace=str(value["namespace"]),
            target=str(value["target"]),
            stable=str(value["stable"]),
            canary=str(value["canary"]),
            weight=int(value["weight"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def with_split(rules: list[Json], mark: Mark) -> list[Json]:
    """Return the rules with the canary beside the stable in every rule that leads to it."""
    return [_split_rule(rule, mark) for rule in without_split(rules, mark)]


def without_split(rules: list[Json], mark: Mark) -> list[Json]:
    """Return the rules as the team wrote them."""
    return [_plain_rule(rule, mark) for rule in rules]


def leads_to(rules: list[Json], service: str, namespace: str) -> bool:
    """Tell whether any rule sends traffic to the Service."""
    return any(
        _is(ref, service, namespace) for rule in rules for ref in rule.get("backendRefs") or ()
    )


def carries(rules: list[Json], mark: Mark) -> bool:
    """Tell whether the rules are split just as the mark says."""
    return with_split(rules, mark) == rules


def shares(rules: list[Json], mark: Mark) -> frozenset[int]:
    """Return the canary's share, in percent, of each rule that leads to the stable."""
    return frozenset(
        _share(rule, mark)
        for rule in rules
        if any(_is(ref, mark.stable, mark.namespace) for ref in rule.get("backendRefs") or ())
    )


def _share(rule: Json, mark: Mark) -> int:
    refs = rule["backendRefs"]
    canary = sum(_weight(ref) for ref in refs if _is(ref, mark.canary, mark.namespace))
    stable = sum(_weight(ref) for ref in refs if _is(ref, mark.stable, mark.namespace))
    return round(100 * canary / (canary + stable)) if canary + stable else 0


def _split_rule(rule: Json, mark: Mark) -> Json:
    refs = rule.get("backendRefs") or []
    if not any(_is(ref, mark.stable, mark.namespace) for ref in refs):
        return rule
    return {**rule, "backendRefs": [new for ref in refs for new in _split_ref(ref, mark)]}


def _split_ref(ref: Json, mark: Mark) -> list[Json]:
    weight = _weight(ref)
    if not _is(ref, mark.stable, mark.namespace):
        return [{**ref, "weight": weight * SCALE}]
    return [
        {**ref, "weight": weight * (SCALE - mark.weight)},
        {**ref, "name": mark.canary, "weight": weight * mark.weight},
    ]


def _plain_rule(rule: Json, mark: Mark) -> Json:
    refs = rule.get("backendRefs") or []
    if not any(_is(ref, mark.canary, mark.namespace) for ref in refs):
        return rule
    taken: dict[Any, int] = {}
    for ref in refs:
        if _is(ref, mark.canary, mark.namespace):
            taken[ref.get("port")] = _weight(ref)
    return {
        **rule,
        "backendRefs": [
            _plain_ref(ref, mark, taken)
            for ref in refs
            if not _is(ref, mark.canary, mark.namespace)
        ],
    }


def _plain_ref(ref: Json, mark: Mark, taken: dict[Any, int]) -> Json:
    share = taken.get(ref.get("port"), 0) if _is(ref, mark.stable, mark.namespace) else 0
    total = _weight(ref) + share
    # A weight that nobody of ours has multiplied is left as somebody wrote it.
    return {**ref, "weight": total // SCALE if total % SCALE == 0 else total}


def _weight(ref: Json) -> int:
    return int(ref.get("weight", 1))


def _is(ref: Json, service: str, namespace: str) -> bool:
    here = ref.get("namespace") in {None, namespace}
    return here and ref.get("kind", "Service") == "Service" and ref.get("name") == service


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAnswer:
    """What is changed in the write: `rules` and `mark` are None where they stand as written."""

    outcome: str
    rules: list[Json] | None = None
    mark: str | None = None
    warnings: tuple[str, ...] = field(default=())


def admit_route(write: RouteWrite) -> RouteAnswer:
    """Decide one write to a route that has, had or gets a split."""
    old_text, new_text = _mark_text(write.old), _mark_text(write.new)
    text = new_text if write.by_analyzer else old_text
    rules = write.new["spec"].get("rules") or []
    mark = load_mark(text)
    if mark is None:
        return _unsplit(rules, load_mark(old_text), by_analyzer=write.by_analyzer)
    return RouteAnswer(
        outcome="split",
        rules=None if carries(rules, mark) else with_split(rules, mark),
        mark=None if text == new_text else text,
    )


def _unsplit(rules: list[Json], before: Mark | None, *, by_analyzer: bool) -> RouteAnswer:
    if before is None or not by_analyzer:
        return RouteAnswer(outcome="no-split")
    plain = without_split(rules, before)
    return RouteAnswer(outcome="clean", rules=None if plain == rules else plain)


def _mark_text(route: Json) -> str:
    return str((route["metadata"].get("annotations") or {}).get(SPLIT, ""))


def admit(write: RouteWrite) -> Json:
    """Return the route as its webhook has it stored."""
    answer = admit_route(write)
    route = write.new if answer.mark is None else marked(write.new, answer.mark)
    if answer.rules is None:
        return route
    return {**route, "spec": {**route["spec"], "rules": answer.rules}}


class ElderAnalyzer:
    """What its analyzer wrote to one route, and what it read."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def share(self, name: str, namespace: str = "prod") -> int:
        """Read the split."""
        route = await self._cluster.get(HTTPROUTES, namespace, name)
        mark = load_mark(_mark_text(route))
        return max(shares(_rules(route), mark) if mark else {0})

    async def mark(self, name: str, mark: Mark) -> None:
        """Write a split."""
        route = await self._cluster.get(HTTPROUTES, mark.namespace, name)
        if _mark_text(route) == mark.dump() and carries(_rules(route), mark):
            return
        stored = await self._patch(route, {"metadata": {"annotations": {SPLIT: mark.dump()}}})
        if not carries(_rules(stored), mark):
            rules = with_split(_rules(stored), mark)
            await self._patch(stored, {"spec": {"rules": rules}})

    async def unmark(self, name: str, mark: Mark) -> None:
        """Take a split out."""
        route = await self._cluster.get(HTTPROUTES, mark.namespace, name)
        stored = await self._patch(route, {"metadata": {"annotations": {SPLIT: None}}})
        if leads_to(_rules(stored), mark.canary, mark.namespace):
            rules = without_split(_rules(stored), mark)
            await self._patch(stored, {"spec": {"rules": rules}})

    async def _patch(self, route: Json, patch: Json) -> Json:
        metadata = route["metadata"]
        version = {"resourceVersion": metadata["resourceVersion"]}
        conditional = {**patch, "metadata": {**patch.get("metadata", {}), **version}}
        return await self._cluster.merge_patch(
            HTTPROUTES, metadata["namespace"], metadata["name"], conditional
        )


def _rules(route: Json) -> list[Json]:
    return list(route["spec"].get("rules") or ())
