"""How clients treat the Services of a split: a canary's is to be treated as its stable's.

A team's DestinationRule is of one host, the stable's. What it says of connections, of pods that are
left out and of TLS would hold for one side only, and the comparison would be of that.
"""

from collections.abc import Iterable
from typing import Final

from canary.contract import MANAGED_BY, MANAGED_BY_LABEL
from canary.model.values import Json
from canary.routes.http_parts import SUBSET, is_service, refs_of, space_of
from canary.routes.istio_parts import destination_of, place_of, rules_in
from canary.routes.mark import TargetSplit

_POLICY: Final = "trafficPolicy"


def like_the_stable_s(
    rules: Iterable[Json], routes: Iterable[Json], split: TargetSplit, owner: Json
) -> Json | None:
    """Return the DestinationRule that a canary needs, None where it needs none.

    It says what the team's says of the stable's host, and what of the subset that is led to. Where
    the team has one for the canary's host, that one counts. Of several for the stable Istio takes
    the policy of the eldest.

    Args:
        rules: the DestinationRules of the namespace that are not made here.
        routes: the VirtualServices that are split.
        split: the target's.
        owner: what it goes with, as a reference.

    """
    found = sorted(rules, key=_age)
    if any(_is_of(rule, split.canary) for rule in found):
        return None
    theirs = [rule for rule in found if _is_of(rule, split.stable) and _general(rule)]
    for rule in theirs:
        if policy := _policy(rule, _subset(routes, split)):
            return _made(rule, policy, split, owner)
    return None


def _age(rule: Json) -> tuple[str, str]:
    metadata = rule["metadata"]
    return str(metadata.get("creationTimestamp") or ""), str(metadata["name"])


def _is_of(rule: Json, service: str) -> bool:
    host = str((rule.get("spec") or {}).get("host") or "")
    return is_service(place_of({"host": host}), service, space_of(rule))


def _general(rule: Json) -> bool:
    """Tell whether a rule is about all clients, and not those of a selector."""
    return not rule["spec"].get("workloadSelector")


def _subset(routes: Iterable[Json], split: TargetSplit) -> str:
    """Return the subset of the stable that is led to; "" for none, or for several."""
    found = {
        str(ref.get(SUBSET) or "")
        for route in routes
        for rule in rules_in(route["spec"])
        for ref in refs_of(rule)
        if is_service(ref, split.stable, space_of(route))
    }
    return found.pop() if len(found) == 1 else ""


def _policy(rule: Json, subset: str) -> Json:
    """Return what holds for a subset: field by field its own, or that of the whole host."""
    spec = rule["spec"]
    own = (it.get(_POLICY) or {} for it in spec.get("subsets") or () if it.get("name") == subset)
    return {**(spec.get(_POLICY) or {}), **next(own, {})}


def _made(rule: Json, policy: Json, split: TargetSplit, owner: Json) -> Json:
    spec = rule["spec"]
    host = destination_of({**place_of({"host": spec["host"]}), "name": split.canary})["host"]
    seen_by = {"exportTo": list(spec["exportTo"])} if spec.get("exportTo") else {}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {
            "name": split.canary,
            "namespace": rule["metadata"]["namespace"],
            "labels": {MANAGED_BY_LABEL: MANAGED_BY},
            "ownerReferences": [owner],
        },
        "spec": {"host": host, _POLICY: policy, **seen_by},
    }
