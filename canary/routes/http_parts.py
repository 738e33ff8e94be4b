"""Parts of an HTTPRoute, and the arithmetic of its weights."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

from canary.model.values import FULL, Json

MOST: Final = 1_000_000
"""The largest weight that the API takes."""
SCALE: Final = 100
"""Largest scale: whole percents are exact with it. It was the only one of the elder marks."""
COUNTS: Final = "="
"""A backend's field in a rule that is read from a kind whose weights mean another thing, while it
is worked on: its weight in this arithmetic. No kind has a field of this name."""
SUBSET: Final = "subset"
"""A backend's field that names some of the stable's own pods: a canary's backend has none."""
PARTS: Final = 100
"""Least units of a backend that is shared: with fewer no percent could be told from the next."""


def rules_of(route: Json) -> list[Json]:
    """Return the rules of a route."""
    return list(route["spec"].get("rules") or ())


def refs_of(rule: Json) -> list[Json]:
    """Return the backends of a rule."""
    return list(rule.get("backendRefs") or ())


def with_rules(spec: Json, rules: list[Json]) -> Json:
    """Return a spec with other rules; one that has none stays without."""
    return {**spec, "rules": rules} if spec.get("rules") else spec


def space_of(route: Json) -> str:
    """Return the namespace of a route, "" where it is not given."""
    return str(route["metadata"].get("namespace", ""))


def weight_of(ref: Json) -> int:
    """Return the weight of a backend, as its kind means it."""
    return int(ref[COUNTS]) if COUNTS in ref else or_one(ref.get("weight"))


def or_one(weight: int | None) -> int:
    """Return a weight, or the API's default for an absent one."""
    return 1 if weight is None else int(weight)


def with_weight(ref: Json, weight: int | None) -> Json:
    """Return a backend with another weight, or without one for None."""
    left = {"weight", COUNTS}
    rest: dict[str, Any] = {key: value for key, value in ref.items() if key not in left}
    return rest if weight is None else {**rest, "weight": weight}


def of_canary(ref: Json) -> Json:
    """Return a backend without what a canary's beside it does not say."""
    return {key: it for key, it in ref.items() if key != SUBSET}


def seen_from(space: str, namespace: str, name: str) -> str:
    """Return what an object of a namespace is called in another: by its name alone in its own.

    No name of the API has a slash.
    """
    return name if namespace == space else f"{namespace}/{name}"


def with_names(rule: Json, space: str) -> Json:
    """Return a rule in which a backend of another namespace is called by that, too.

    So it is told from one of its name, and its canary is of the same namespace.
    """
    if not any(ref.get("namespace") not in {None, space} for ref in refs_of(rule)):
        return rule
    return {**rule, "backendRefs": [_with_name(ref, space) for ref in refs_of(rule)]}


def _with_name(ref: Json, space: str) -> Json:
    if ref.get("namespace") in {None, space}:
        return ref
    rest = {key: it for key, it in ref.items() if key != "namespace"}
    return {**rest, "name": f"{ref['namespace']}/{ref.get('name')}"}


def without_names(rule: Json) -> Json:
    """Return a rule as its kind writes it: a backend's name, and its namespace where it is said."""
    if not any("/" in str(ref.get("name")) for ref in refs_of(rule)):
        return rule
    return {**rule, "backendRefs": [without_name(ref) for ref in refs_of(rule)]}


def without_name(ref: Json) -> Json:
    """Return a backend as its kind writes it."""
    namespace, slash, name = str(ref.get("name")).rpartition("/")
    return {**ref, "namespace": namespace, "name": name} if slash else ref


def is_service(ref: Json, service: str, space: str) -> bool:
    """Tell whether a backend is this Service of the route's own namespace."""
    return (
        ref.get("name") == service
        and ref.get("kind", "Service") == "Service"
        and (ref.get("group") or "") in {"", "core"}
        and (ref.get("namespace") or None) in {None, space}
    )


def has_service(rule: Json, service: str, space: str) -> bool:
    """Tell whether a rule leads to this Service of the route's own namespace."""
    return any(is_service(ref, service, space) for ref in refs_of(rule))


def name_of(ref: Json) -> str:
    """Return what tells a backend from others: short for a Service of the same namespace."""
    ref = without_name(ref)
    fields = (ref.get("group") or "", ref.get("kind", "Service"), ref.get("namespace") or "")
    where = "" if fields == ("", "Service", "") else "/".join((*fields, ""))
    some = f"/{ref[SUBSET]}" if SUBSET in ref else ""
    return f"{where}{ref.get('name')}:{ref.get('port', '')}{some}"


def service_in(name: str, space: str) -> str:
    """Return the Service of a backend's name as it is kept, as it is seen from a namespace."""
    where, _, service = name.partition(":")[0].rpartition("/")
    return seen_from(space, where.rpartition("/")[2] or space, service)


def digest(value: Any, length: int) -> str:
    """Return a short digest of a value, the same for whoever wrote it in whatever order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def rest_of(rule: Json) -> str:
    """Return a short digest of all that a rule says beside its backends."""
    return digest({key: value for key, value in rule.items() if key != "backendRefs"}, 8)


def scale_of(rule: Json) -> int:
    """Return the scale that a rule is split with."""
    return scale(weight_of(ref) for ref in refs_of(rule))


def scale(weights: Iterable[int]) -> int:
    """Return the scale of a rule: as fine as the API's largest weight allows."""
    return max(1, min(SCALE, MOST // max(1, max(weights, default=0))))


def part(weight: int, scale: int, *, shared: bool) -> int:
    """Return the units of a backend, its canary's among them.

    Where PARTS are more than its share of the rule, they are less than one in a thousand of it.
    """
    units = weight * scale
    return max(units, PARTS) if shared and weight else units


def shared_out(units: int, share: int) -> tuple[int, int]:
    """Return a backend's units for the stable and for the canary, whose share is in percent."""
    canary_s = (units * share + FULL // 2) // FULL
    return units - canary_s, canary_s
