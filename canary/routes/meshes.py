"""Where a mesh has the requests to a Service and no route does: what to say of it, and the way."""

from collections.abc import Iterable
from typing import Final

from canary.model.values import Json
from canary.routes.parents import is_parent, other_ports, unled

OLD_GROUP: Final = "policy.linkerd.io"
"""Linkerd's own group of HTTPRoutes, from before it followed those of the Gateway API."""
_INJECT: Final = "linkerd.io/inject"
_INJECTED: Final = frozenset({"enabled", "ingress"})
_LINKERD: Final = "Linkerd"
_ISTIO: Final = "Istio"
_OF_ISTIO: Final = {
    "istio-injection": frozenset({"enabled"}),
    "sidecar.istio.io/inject": frozenset({"true"}),
    "istio.io/dataplane-mode": frozenset({"ambient"}),
}
"""What a namespace or a pod says that it is in the mesh, by label."""
_REVISION: Final = "istio.io/rev"


def mesh_of(*metadata: Json) -> str:
    """Return which mesh has the requests to a target, by its name; "" where none is known.

    Args:
        metadata: of its namespace and of its pods.

    """
    for one in metadata:
        labels, notes = one.get("labels") or {}, one.get("annotations") or {}
        if notes.get(_INJECT) in _INJECTED or labels.get(_INJECT) in _INJECTED:
            return _LINKERD
        if _REVISION in labels or any(labels.get(it) in yes for it, yes in _OF_ISTIO.items()):
            return _ISTIO
    return ""


def way_in(mesh: str, service: str) -> str:
    """Say how the requests of a mesh can be split, "" for no mesh.

    Args:
        mesh: its name, as `mesh_of` gives it.
        service: the Service that has none.

    """
    way = (
        f"in {mesh} an HTTPRoute that has Service {service} in its parentRefs and its backendRefs "
        "would lead there"
    )
    makes = {
        _LINKERD: "provider linkerd in the Canary makes one",
        _ISTIO: "gatewayRefs of kind Service in the Canary make one",
    }
    return f"{way}; {makes[mesh]}" if mesh else ""


def passed_over(
    routes: Iterable[Json], service: str, namespace: str, port: int | None
) -> dict[str, str]:
    """Say of routes of a Service in a mesh why its requests are not split on them, by their names.

    Args:
        routes: each with `apiVersion` and `kind`.
        service: name of the Service.
        namespace: of both.
        port: the port of the Service whose requests are to be split, None where it is not known.

    """
    found = {
        f"{route['kind']} {route['metadata']['name']}": _why(route, service, port)
        for route in routes
        if route["metadata"].get("namespace", namespace) == namespace and is_parent(route, service)
    }
    return {named: why for named, why in found.items() if why}


def _why(route: Json, service: str, port: int | None) -> str:
    if str(route.get("apiVersion", "")).startswith(f"{OLD_GROUP}/"):
        return (
            f"is of {OLD_GROUP}, which is not split; write it as one of "
            "gateway.networking.k8s.io/v1, which Linkerd follows from 2.14 on"
        )
    if others := other_ports(route, service, port):
        ports = " and ".join(map(str, others))
        return (
            f"is for port {ports} of Service {service} alone, and the Canary's service.port is "
            f"{port}; write that port, or none, into its parentRefs"
        )
    if unled(route, service):
        return (
            f"has Service {service} as its parent and a rule without backendRefs; write {service} "
            "and its port there"
        )
    return ""
