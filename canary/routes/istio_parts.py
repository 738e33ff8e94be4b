"""A VirtualService's routes in the words of the arithmetic, and back to the letter.

A destination names a host: a Service of the route's namespace by its short name, any one by
`name.namespace` or in full, or something outside of the cluster. Its weights mean what those of no
other kind do: of several destinations one without a weight has no traffic, and one that is alone
has all of it, whatever its weight.
"""

from typing import Any, Final

from canary.model.values import Json
from canary.routes.http_parts import COUNTS, SUBSET, refs_of

HTTP: Final = "http"
LISTS: Final = (HTTP, "tls", "tcp")
"""Fields of a VirtualService that have routes; those of `http` come first."""
_LIST: Final = "=list"
"""Says of a rule in which of them it stands, while it is worked on; none for `http`."""
_OUTSIDE: Final = "host"
"""Stands in place of a backend's group where its host is no Service: nobody's here."""
_SVC: Final = "svc"


def rules_in(spec: Json) -> list[Json]:
    """Return all routes of a VirtualService as rules."""
    return [_as_rule(it, field) for field in LISTS for it in spec.get(field) or ()]


def with_rules(spec: Json, rules: list[Json]) -> Json:
    """Return a spec with these rules as its routes; a list that it has not stays away."""
    lists = {field: [as_route(it) for it in rules if list_of(it) == field] for field in LISTS}
    return {**spec, **{field: found for field, found in lists.items() if spec.get(field)}}


def list_of(rule: Json) -> str:
    """Return the list that a rule stands in."""
    return str(rule.get(_LIST, HTTP))


def counted(rule: Json) -> Json:
    """Return a rule with what its weights count for."""
    return _as_rule(as_route(rule), list_of(rule))


def _as_rule(route: Json, field: str) -> Json:
    rest = {key: it for key, it in route.items() if key not in {"route", "match"}}
    if field != HTTP:
        rest[_LIST] = field
    if "match" in route:
        rest["matches"] = route["match"]
    if "route" not in route:
        return rest
    found = list(route["route"] or ())
    alone = len(found) == 1
    return {**rest, "backendRefs": [_as_ref(it, alone=alone) for it in found]}


def as_route(rule: Json) -> Json:
    """Return a rule in a VirtualService's words."""
    rest = {key: it for key, it in rule.items() if key not in {"backendRefs", "matches", _LIST}}
    if "matches" in rule:
        rest["match"] = rule["matches"]
    if "backendRefs" in rule:
        rest["route"] = [_as_entry(ref) for ref in refs_of(rule)]
    return rest


def _as_ref(entry: Json, *, alone: bool) -> Json:
    """Return an entry of a route as a backend."""
    weight = int(entry.get("weight") or 0)
    counts = {COUNTS: weight or int(alone)}
    rest = {key: it for key, it in entry.items() if key != "destination"}
    return {**rest, **place_of(entry.get("destination") or {}), **counts}


def place_of(destination: Json) -> Json:
    """Return the fields of a backend that say where a destination is."""
    left = dict(destination)
    found = _named(str(left.pop("host", "")))
    if SUBSET in left:
        found[SUBSET] = left.pop(SUBSET)
    port = left.get("port") or {}
    if set(port) == {"number"}:
        found["port"] = left.pop("port")["number"]
    return {**found, "destination": left} if left else found


def destination_of(ref: Json) -> Json:
    """Return the destination of a backend."""
    named, where = ref["name"], ref.get("namespace")
    host = named if where is None else f"{named}.{where}{ref.get('domain', '')}"
    port = {"port": {"number": ref["port"]}} if "port" in ref else {}
    subset = {SUBSET: ref[SUBSET]} if SUBSET in ref else {}
    return {"host": host, **ref.get("destination", {}), **subset, **port}


_PLACE: Final = frozenset({"name", "namespace", "domain", "group", "port", "destination", SUBSET})


def _as_entry(ref: Json) -> Json:
    rest = {key: it for key, it in ref.items() if key not in _PLACE and key != COUNTS}
    return {"destination": destination_of(ref), **rest}


def _named(host: str) -> dict[str, Any]:
    """Return name and namespace of the Service that a host means, the namespace if it says one."""
    name, *rest = host.split(".")
    if not rest:
        return {"name": name}
    namespace, *domain = rest
    if domain and domain[0] != _SVC:
        return {"group": _OUTSIDE, "name": host}
    said = {"domain": "." + ".".join(domain)} if domain else {}
    return {"name": name, "namespace": namespace, **said}
