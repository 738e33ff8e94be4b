"""What leads to a Service where no route does that is split: named, so that a run can say it."""

from collections.abc import Iterable, Iterator

from canary.model.values import Json


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


def _names(route: Json, service: str, namespace: str) -> bool:
    """Tell whether a reference somewhere in its spec names the Service."""
    own = str(route["metadata"].get("namespace", namespace))
    return any(_means(one, service, namespace, own) for one in _objects(route.get("spec")))


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


def _means(reference: Json, service: str, namespace: str, own: str) -> bool:
    """Tell whether an object in a spec is a reference to the Service.

    `backendRefs` (Gateway API), `service` (Ingress) and `services` (Contour) give name and port, a
    `destination` (Istio) a host name.
    """
    if reference.get("name") == service and "port" in reference:
        kind = reference.get("kind", "Service")
        return bool(kind == "Service" and reference.get("namespace", own) == namespace)
    short, host = (service if own == namespace else ""), reference.get("host")
    return (
        isinstance(host, str)
        and bool(host)
        and (
            host == short
            or host.startswith(f"{service}.{namespace}.")
            or host == f"{service}.{namespace}"
        )
    )
