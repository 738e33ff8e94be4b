"""The split on a Gateway API route, as arithmetic on its rules.

A split multiplies every weight of a rule by 100 and shares the stable backend's part with the
canary, so that taking it out again divides exactly: what the team wrote needs no copy of its own.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from canary.model.values import Json

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
