"""What leads to a Service where no route does that is split: named, so that a run can say it."""

from collections.abc import Iterable, Iterator
from typing import Final

from canary.model.values import Json

Place = tuple[str, str]
"""Namespace and name of a Service."""
MOST_ABROAD: Final = 256
"""Services of other namespaces on one route: one of the Gateway API has 16 rules of 16 backends."""
_LONGEST: Final = 63
"""Characters of a label of DNS, which the names of Services and namespaces are."""


def found_elsewhere(routes: Iterable[Json], service: str, namespace: str) -> tuple[str, ...]:
    """Return which of the objects send traffic to a Service, as messages name them.

    Args:
        routes: objects of any kind that routes traffic, each with its `kind`.
        service: name of the Service.
        namespace: the Service's.

    """
    found = {_told(route, namespace) for route in routes if _names(route, service, namespace)}
    return tuple(sorted(found))


def _told(route: Json, namespace: str) -> str:
    metadata = route["metadata"]
    where = metadata.get("namespace", namespace)
    name = metadata["name"] if where == namespace else f"{where}/{metadata['name']}"
    return f"{route['kind']} {name}"


def led_abroad(route: Json) -> tuple[Place, ...] | None:
    """Return the Services of other namespaces that a route names, each once, in their order.

    None where there are more of them than `MOST_ABROAD`.

    Args:
        route: as the API server gives it, with its namespace.

    """
    own = str(route["metadata"].get("namespace", ""))
    found = {one for one in _led_to(route, own) if one[0] != own}
    return None if len(found) > MOST_ABROAD else tuple(sorted(found))


def _names(route: Json, service: str, namespace: str) -> bool:
    """Tell whether a reference somewhere in its spec names the Service."""
    own = str(route["metadata"].get("namespace", namespace))
    return (namespace, service) in _led_to(route, own)


def _led_to(route: Json, own: str) -> Iterator[Place]:
    """Return every Service that a reference somewhere in a spec names."""
    for one in _objects(route.get("spec")):
        yield from _meant(one, own)


def _objects(part: object) -> Iterator[Json]:
    """Return all objects in a part of a spec, however deep they are."""
    waiting = [part]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _meant(reference: Json, own: str) -> Iterator[Place]:
    """Return the Services that an object in a spec means, if it is a reference to one.

    `backendRefs` (Gateway API), `service` (Ingress) and `services` (Contour) give name and port, a
    `destination` (Istio) a host name: of the Service alone, or with its namespace after it. What
    is no name of an object is none of a Service.
    """
    name, host = reference.get("name"), reference.get("host")
    if "port" in reference and reference.get("kind", "Service") == "Service":
        yield from _named(reference.get("namespace", own), name)
    if isinstance(host, str) and host:
        service, _, rest = host.partition(".")
        yield from _named(rest.partition(".")[0] if rest else own, service)


def _named(namespace: object, service: object) -> Iterator[Place]:
    if not isinstance(namespace, str) or not isinstance(service, str):
        return
    if 0 < len(namespace) <= _LONGEST and 0 < len(service) <= _LONGEST:
        yield namespace, service
