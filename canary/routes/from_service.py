"""From Flagger's `Canary.spec.service`, in Istio's words, to a route of our own."""

from collections.abc import Callable, Mapping
from typing import Final

from canary.contract import MANAGED_BY, MANAGED_BY_LABEL
from canary.model.strategy import (
    BalancedRoute,
    GatewayRoute,
    MeshRoute,
    OwnRoute,
    ProxyRoute,
    Strategy,
)
from canary.model.values import Json, Key
from canary.routes.grpc_from_service import grpc_match, grpc_unsaid
from canary.routes.http_matches import comparison, value_match
from canary.routes.nginx import NGINX
from canary.routes.parents import is_service_parent
from canary.routes.proxy_from_service import asked_proxy, proxy_from, proxy_unsaid
from canary.routes.traefik_from_service import balanced_from, balanced_unsaid
from canary.routes.virtual_from_service import (
    asked_virtual,
    rules_beside,
    virtual_from,
    virtual_unsaid,
)

MATCHED: Final = frozenset({"uri", "headers", "queryParams", "method", "name"})
"""Fields of an HTTPMatchRequest that a Gateway API match can say."""


CONTOUR: Final = "contour"
"""Value of `spec.provider` with which an own route is an HTTPProxy."""
ISTIO: Final = "istio"
"""Value of `spec.provider` with which an own route is a VirtualService."""
TRAEFIK: Final = "traefik"
"""Value of `spec.provider` with which an own route is a TraefikService."""
LINKERD: Final = "linkerd"
"""Value of `spec.provider` with which one of the Gateway API has the Service as its parent."""
GRPC: Final = "grpc"
"""Value of `service.appProtocol` with which one of the Gateway API is a GRPCRoute."""
_IN_ITS_WORDS: Final[Mapping[str, Callable[[Json, str], OwnRoute]]] = {
    CONTOUR: lambda service, _: asked_proxy(service),
    ISTIO: asked_virtual,
    TRAEFIK: lambda *_: BalancedRoute(),
}
"""What an own route is made of by the providers that have a kind of their own."""


def asked_route(service: Json, target: str, provider: str = "") -> OwnRoute | None:
    """Return what the own route is made of, where the Canary asks for one.

    Args:
        service: `spec.service` of a Canary.
        target: name of its Deployment.
        provider: `spec.provider`.

    """
    if in_its_words := _IN_ITS_WORDS.get(provider):
        return in_its_words(service, target) if service.get("port") else None
    parents = _parents(service, target, provider)
    if provider == NGINX or not parents:
        return None
    is_grpc = service.get("appProtocol") == GRPC
    rule: Json = {}
    if match := service.get("match"):
        rule["matches"] = [(grpc_match if is_grpc else _match)(entry) for entry in match]
    timeouts = {
        ours: service[theirs]
        for ours, theirs in (("request", "timeout"), ("backendRequest", "backendTimeout"))
        if service.get(theirs)
    }
    if timeouts and not is_grpc:
        rule["timeouts"] = timeouts
    if filters := _filters(service):
        rule["filters"] = filters
    return GatewayRoute(
        parents=parents,
        hosts=tuple(service.get("hosts") or _hosts(service, target, parents)),
        rule=rule,
        kind="GRPCRoute" if is_grpc else "HTTPRoute",
    )


def _parents(service: Json, target: str, provider: str) -> tuple[Json, ...]:
    """Return what the own route belongs to, nothing where none is asked for."""
    if provider != LINKERD or service.get("gatewayRefs") or not service.get("port"):
        return tuple(service.get("gatewayRefs") or ())
    name = service.get("name") or target
    return ({"group": "", "kind": "Service", "name": name, "port": service["port"]},)


def _hosts(service: Json, target: str, parents: tuple[Json, ...]) -> tuple[str, ...]:
    """Return the hosts of a route for which none are given.

    A mesh has the requests to a Service already, by whatever name its clients call it.
    """
    if all(map(is_service_parent, parents)):
        return ()
    return (service.get("name") or target,)


def unsaid(service: Json, target: str, provider: str = "") -> tuple[str, ...]:
    """Say what of a Canary's service its own route cannot say, and how to mend it.

    Args:
        service: `spec.service` of a Canary.
        target: name of its Deployment.
        provider: `spec.provider`.

    """
    if provider == ISTIO:
        return virtual_unsaid(service) if service.get("port") else ()
    if provider == TRAEFIK:
        return balanced_unsaid(service) if service.get("port") else ()
    entries = service.get("match") or ()
    strange = {name for entry in entries for name in entry} - MATCHED
    ways = {way for entry in entries for way in entry.get("method") or ()} - {"exact"}
    strange |= {f"method.{way}" for way in ways}
    found = []
    if strange:
        found.append(f"service.match: {', '.join(sorted(strange))} cannot be matched; remove it")
        return tuple(found)
    own = asked_route(service, target, provider)
    if isinstance(own, ProxyRoute):
        return proxy_unsaid(service)
    if provider == LINKERD and service.get("rewrite"):
        found.append("service.rewrite: Linkerd passes over a route that rewrites; remove it")
    if own is not None and own.kind == "GRPCRoute":
        found += grpc_unsaid(service)
    return tuple(found)


def route_from_service(key: Key, strategy: Strategy, owner: Json) -> Json:
    """Return the route that a Canary asks for, without any split."""
    route = strategy.own_route
    if route is None:
        raise ValueError(f"{key} asks for no route of its own")
    backend = {"name": strategy.service_name, "port": strategy.service_port or 80}
    metadata = _metadata(key, strategy, owner)
    if isinstance(route, MeshRoute):
        return virtual_from(route, metadata, strategy.service_name)
    if isinstance(route, ProxyRoute):
        return proxy_from(route, metadata, backend)
    if isinstance(route, BalancedRoute):
        return balanced_from(route, metadata, backend)
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": route.kind,
        "metadata": metadata,
        "spec": {
            "parentRefs": list(route.parents),
            **({"hostnames": list(route.hosts)} if route.hosts else {}),
            "rules": [{**route.rule, "backendRefs": [backend]}],
        },
    }


def beside_own(key: Key, strategy: Strategy, owner: Json) -> tuple[Json, ...]:
    """Return what a Canary asks for beside the route of its own, for server-side apply."""
    route = strategy.own_route
    if not isinstance(route, MeshRoute):
        return ()
    return rules_beside(route, _metadata(key, strategy, owner), strategy.service_name)


def _metadata(key: Key, strategy: Strategy, owner: Json) -> Json:
    return {
        "name": strategy.service_name,
        "namespace": key.namespace,
        "labels": {MANAGED_BY_LABEL: MANAGED_BY},
        "ownerReferences": [owner],
    }


_KINDS = {"exact": "Exact", "prefix": "PathPrefix", "regex": "RegularExpression"}


def _match(entry: Json) -> Json:
    """Turn Istio's HTTPMatchRequest, which Flagger takes, into a Gateway API match."""
    match: Json = {}
    for kind, value in (entry.get("uri") or {}).items():
        match["path"] = {"type": _KINDS[kind], "value": value}
    for field_, ours in (("headers", "headers"), ("queryParams", "queryParams")):
        if entries := entry.get(field_):
            match[ours] = [
                {"name": name, **_value_match(kind, value)}
                for name, test in entries.items()
                for kind, value in test.items()
            ]
    if method := (entry.get("method") or {}).get("exact"):
        match["method"] = method
    return match


def _value_match(kind: str, value: str) -> Json:
    """Return a test of a header or parameter; a kind that is not known is an exact one."""
    return value_match(comparison(kind), value)


def _filters(service: Json) -> list[Json]:
    filters: list[Json] = []
    for direction in ("request", "response"):
        changes = (service.get("headers") or {}).get(direction) or {}
        modifier = {
            op: [{"name": n, "value": v} for n, v in changes[op].items()]
            for op in ("add", "set")
            if changes.get(op)
        }
        if changes.get("remove"):
            modifier["remove"] = list(changes["remove"])
        if modifier:
            kind = "RequestHeaderModifier" if direction == "request" else "ResponseHeaderModifier"
            filters.append({"type": kind, f"{direction}HeaderModifier": modifier})
    if rewrite := service.get("rewrite"):
        filters.append({"type": "URLRewrite", "urlRewrite": _rewrite(rewrite)})
    return filters


def _rewrite(rewrite: Json) -> Json:
    out: Json = {}
    if uri := rewrite.get("uri"):
        kind = rewrite.get("type") or "ReplaceFullPath"
        key = "replacePrefixMatch" if kind == "ReplacePrefixMatch" else "replaceFullPath"
        out["path"] = {"type": kind, key: uri}
    if authority := rewrite.get("authority"):
        out["hostname"] = authority
    return out
