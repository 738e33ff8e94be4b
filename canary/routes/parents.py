"""What a route of the Gateway API belongs to, and what its parents have said of it.

A parent is a Gateway, or a Service: then the proxies of a mesh follow the route, for all requests
that their clients send to that Service. A Service that is a parent and a backend of one route is no
loop: as a backend it stands for its own endpoints.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.conditions import is_of_now, late, seen_before, who_of, why_of
from canary.routes.dialect import Trouble, Word
from canary.routes.http_parts import refs_of, rules_of, seen_from, space_of
from canary.routes.mark import Mark, TargetSplit

LINKERD: Final = "linkerd.io/policy-controller"
"""How Linkerd signs what it says of a route: `controllerName`."""
TRAEFIK: Final = "traefik.io/gateway-controller"
"""How Traefik does. It says that it accepts a route with a mirror (3.7, tried): `_NO_COPIES`."""
_NO_COPIES: Final = {
    LINKERD: "Linkerd copies no requests, and passes over a route that asks for it",
    TRAEFIK: "Traefik copies no requests of such a route: it answers all of them with 500, and "
    "says that it accepts the route",
}
"""What those do who do not copy requests, and never say so in a route's status."""
_CORE: Final = frozenset({"", "core"})
_SERVICE: Final = "Service"
_ACCEPTED: Final = "Accepted"
_TOLD: Final = frozenset({_ACCEPTED, "ResolvedRefs"})
_BAD: Final = {_ACCEPTED: "False", "ResolvedRefs": "False", "PartiallyInvalid": "True"}
"""Conditions by which a parent says that it does not follow a route, or not all of it."""
_OF_THE_PARENT: Final = frozenset(
    {"NoMatchingParent", "NotAllowedByListeners", "NoMatchingListenerHostname", "Pending"}
)
"""Reasons that no rule of a route gives: they are about the parent and its listeners."""
_NOT_HEARD_OF: Final = "BackendNotFound"
_MIRROR: Final = "RequestMirror"
_ANSWERS: Final = frozenset({"RequestRedirect", "ExtensionRef"})
"""Filters by which a rule needs no backend."""


@dataclass(frozen=True, slots=True)
class ServiceParent:
    """A Service as a parent; `port` is None for all of its ports."""

    namespace: str
    name: str
    port: int | None


def is_service_parent(parent: Json) -> bool:
    """Tell whether a parent is a Service. Without a group it would be one of the Gateway API."""
    return parent.get("kind") == _SERVICE and parent.get("group") in _CORE


def parents_of(route: Json) -> tuple[ServiceParent, ...]:
    """Return the Services that are parents of a route."""
    parents = route["spec"].get("parentRefs") or ()
    return tuple(_read(parent, space_of(route)) for parent in parents if is_service_parent(parent))


def is_parent(route: Json, service: str) -> bool:
    """Tell whether a Service, as it is seen from the route's namespace, is among its parents."""
    return bool(_own(route, service))


def is_for_a_mesh(route: Json) -> bool:
    """Tell whether all parents of a route are Services, so that no gateway follows it."""
    parents = route["spec"].get("parentRefs") or ()
    return bool(parents) and all(map(is_service_parent, parents))


def contends(route: Json, other: Json) -> bool:
    """Tell whether two routes that lead to one Service want the same requests.

    A gateway's and a mesh's are apart, but for VirtualServices, of which each can be either.
    """
    kinds = {route.get("kind"), other.get("kind")}
    return "VirtualService" in kinds or is_for_a_mesh(route) == is_for_a_mesh(other)


def other_ports(route: Json, service: str, port: int | None) -> tuple[int, ...]:
    """Return for which ports of a Service alone a route is, where the asked one is not among them.

    Args:
        route: one that leads to it.
        service: its name.
        port: the one whose requests are to be split, None where nobody has said which.

    """
    ports = {parent.port for parent in _own(route, service)}
    if port is None or not is_for_a_mesh(route) or not ports or ports & {None, port}:
        return ()
    return tuple(sorted(one for one in ports if one is not None))


def unsplit_rules(route: Json, split: TargetSplit) -> str:
    """Say that a mesh has requests for the stable by rules that do not name it, "" for none.

    What a rule without backends means is each mesh's own: with Linkerd the requests go to the
    parent itself, with Istio they are answered with 500.
    """
    if not is_parent(route, split.stable) or not _without_backends(route):
        return ""
    return (
        f"its parent is Service {split.stable} and a rule of it has no backendRefs, so that what "
        f"the mesh does with its requests cannot be split; write {split.stable} and its port there"
    )


def unled(route: Json, service: str) -> bool:
    """Tell whether a route has a Service as its parent and names no backend at all for a rule."""
    return is_parent(route, service) and _without_backends(route)


def never_copied(traffic: Traffic, who: str = LINKERD) -> str:
    """Say that somebody copies no requests, "" where none are to be copied, or he may do it.

    Args:
        traffic: what is asked for.
        who: how he signs what he says of a route.

    """
    if not traffic.mirror or who not in _NO_COPIES:
        return ""
    return f"analysis.mirror: {_NO_COPIES[who]}; remove it"


def unheeded_by(route: Json, mark: Mark) -> dict[str, str]:
    """Say by target why its canary is to have nothing by a route: who follows it would not do so.

    By what is said in its status: who follows a route does not stand in its spec.

    Args:
        route: as it is stored.
        mark: what is asked for.

    """
    asked = {name: it for name, it in mark.staying.items() if not it.traffic.is_nothing}
    return {name: why for name, it in asked.items() if (why := _unheeded(route, it))}


def _unheeded(route: Json, split: TargetSplit) -> str:
    told = list(_told(route))
    if why := next(filter(None, (never_copied(split.traffic, who) for who, _, _ in told)), ""):
        return why
    mesh = [conditions for _, parent, conditions in told if _is_named(parent, route, split.stable)]
    if not is_for_a_mesh(route) or not mesh or any(map(_is_taken, mesh)):
        return ""
    told_why = next(it for conditions in mesh for it in conditions if it.get("type") == _ACCEPTED)
    return f"the mesh does not follow it ({why_of(told_why)})"


def is_seen(route: Json) -> bool:
    """Tell whether every parent of a route has seen the stored generation.

    A Gateway that has said nothing is nobody's. A Service as a parent has to have been told of: as
    long as nobody has, nothing says what its clients' proxies do. Linkerd never says which
    generation it has seen.
    """
    told = list(_told(route))
    seen = all(
        is_of_now(condition, route)
        for _, parent, conditions in told
        for condition in conditions
        if condition.get("type") in (_TOLD if parent else {_ACCEPTED})
    )
    return seen and set(parents_of(route)) <= {parent for _, parent, _ in told}


def lag_of(route: Json) -> str:
    """Say which parents have seen an older generation of a route, and not the stored one, else "".

    Who names no generation says nothing here, nor what one has left behind that is no parent any
    more.
    """
    asked = {_named(ref, route) for ref in route["spec"].get("parentRefs") or ()}
    seen = {
        name: number
        for entry in (route.get("status") or {}).get("parents") or ()
        for condition in entry.get("conditions") or ()
        if (name := _named(entry.get("parentRef") or {}, route)) in asked
        and condition.get("type") == _ACCEPTED
        and (number := seen_before(condition, route))
    }
    said = (f"{kind} {name} {late(route, it)}" for (kind, _, name), it in sorted(seen.items()))
    return "; ".join(said)


def word_of(route: Json) -> Word:
    """Return what the parents say of the stored generation: of one before they may say anything.

    Who never says of which generation he speaks, as Linkerd, says nothing here. That Traefik
    accepts a route with a mirror is no good word: see `TRAEFIK`.
    """
    entries = (route.get("status") or {}).get("parents") or ()
    told = [
        (entry, condition, is_of_now(condition, route))
        for entry in entries
        for condition in entry.get("conditions") or ()
        if condition.get("type") in _BAD
    ]
    return Word(
        troubles=tuple(
            _trouble(entry, condition)
            for entry, condition, now in told
            if now and (_is_bad(condition) or _is_hollow(condition, entry, route))
        ),
        whole=bool(told) and all(now for _, _, now in told),
    )


# --- reading ------------------------------------------------------------------------------------


def _read(parent: Json, space: str) -> ServiceParent:
    namespace = str(parent.get("namespace") or space)
    return ServiceParent(namespace, str(parent.get("name")), parent.get("port"))


def _named(ref: Json, route: Json) -> tuple[str, str, str]:
    """Return kind, namespace and name of a parent."""
    space = str(ref.get("namespace") or space_of(route))
    return str(ref.get("kind") or "Gateway"), space, str(ref.get("name", ""))


def _own(route: Json, service: str) -> list[ServiceParent]:
    return [it for it in parents_of(route) if _is_own(it, route, service)]


def _is_own(parent: ServiceParent, route: Json, service: str) -> bool:
    return seen_from(space_of(route), parent.namespace, parent.name) == service


def _without_backends(route: Json) -> bool:
    return any(
        not refs_of(rule)
        and not any(it.get("type") in _ANSWERS for it in rule.get("filters") or ())
        for rule in rules_of(route) or [{}]
    )


def _told(route: Json) -> Iterator[tuple[str, ServiceParent | None, list[Json]]]:
    """Return who has said what, and of which Service; None stands for any other parent."""
    for entry in (route.get("status") or {}).get("parents") or ():
        ref = entry.get("parentRef") or {}
        parent = _read(ref, space_of(route)) if is_service_parent(ref) else None
        yield str(entry.get("controllerName", "")), parent, list(entry.get("conditions") or ())


def _is_bad(condition: Json) -> bool:
    bad = condition.get("status") == _BAD[str(condition["type"])]
    return bad and condition.get("reason") not in _OF_THE_PARENT


def _is_hollow(condition: Json, entry: Json, route: Json) -> bool:
    """Tell whether a parent says that it accepts a route, and answers errors by it."""
    return (
        condition["type"] == _ACCEPTED
        and entry.get("controllerName") == TRAEFIK
        and any(it.get("type") == _MIRROR for rule in rules_of(route) for it in _filters(rule))
    )


def _filters(rule: Json) -> list[Json]:
    backends = rule.get("backendRefs") or ()
    return [it for part in (rule, *backends) for it in part.get("filters") or ()]


def _trouble(entry: Json, condition: Json) -> Trouble:
    parent, about = entry.get("parentRef") or {}, condition["type"]
    name = f"{parent.get('kind') or 'Gateway'} {parent.get('name', '')}"
    said = f"{name} says {about}: {condition['status']} ({why_of(condition)})"
    if not _is_bad(condition):
        said = f"{name}: {_NO_COPIES[TRAEFIK]}"
    return Trouble(
        who=who_of(entry.get("controllerName"), parent, about),
        said=said,
        passing=about == "ResolvedRefs" and condition.get("reason") == _NOT_HEARD_OF,
    )


def _is_named(parent: ServiceParent | None, route: Json, service: str) -> bool:
    """Tell whether a parent is the Service, or another one by which its requests come."""
    return parent is not None and (
        not is_parent(route, service)
        or (parent.namespace, parent.name) == (space_of(route), service)
    )


def _is_taken(conditions: list[Json]) -> bool:
    """Tell whether a parent takes a route; one that has not said so yet may."""
    found = [it.get("status") for it in conditions if it.get("type") == _ACCEPTED]
    return not found or "False" not in found
