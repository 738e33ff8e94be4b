"""From Flagger's `Canary.spec.service` to a VirtualService of our own, as Flagger makes it.

The fields are Istio's own words, and go through as they are. With a traffic policy there is a
DestinationRule for each of both Services, so that clients treat stable and canary alike.
"""

from typing import Final

from canary.model.names import canary_name
from canary.model.strategy import MeshRoute
from canary.model.values import Json

_API_VERSION: Final = "networking.istio.io/v1"
_MESH: Final = "mesh"
_TCP: Final = "tcp"
_HTTP: Final = "http"
_SAID: Final = ("match", "timeout", "retries", "headers", "corsPolicy")


def asked_virtual(service: Json, target: str) -> MeshRoute:
    """Return what an own VirtualService is made of.

    Args:
        service: `spec.service` of a Canary.
        target: name of its Deployment.

    """
    name = service.get("name") or target
    hosts, gateways = list(service.get("hosts") or ()), list(service.get("gateways") or ())
    delegated = bool(service.get("delegation"))
    if not {name, "*"} & set(hosts):
        hosts.append(name)
    at_gateway = delegated or (gateways and gateways[0] != _MESH)
    is_tcp = _is_tcp(service)
    return MeshRoute(
        hosts=() if delegated else tuple(hosts),
        gateways=() if delegated else tuple(gateways or (_MESH,)),
        protocol=_TCP if is_tcp else _HTTP,
        rule=_connections(service) if is_tcp else _requests(service),
        port=service.get("port") if service.get("portDiscovery") and at_gateway else None,
        traffic_policy=service.get("trafficPolicy") or {},
    )


def _is_tcp(service: Json) -> bool:
    return str(service.get("appProtocol") or "").lower() == _TCP


def _requests(service: Json) -> Json:
    rule = {field: service[field] for field in _SAID if service.get(field)}
    fields = ("uri", "authority")  # its `type` is a word of the Gateway API
    rewrite = {it: said for it in fields if (said := (service.get("rewrite") or {}).get(it))}
    return {**rule, "rewrite": rewrite} if rewrite else rule


def _connections(service: Json) -> Json:
    found = [{"port": entry["port"]} for entry in service.get("match") or () if entry.get("port")]
    return {"match": found} if found else {}


def virtual_from(route: MeshRoute, metadata: Json, service: str) -> Json:
    """Return the VirtualService without any split.

    Args:
        route: what it is made of.
        metadata: its own.
        service: name of the stable's Service.

    """
    port = {} if route.port is None else {"port": {"number": route.port}}
    named = {"hosts": list(route.hosts), "gateways": list(route.gateways)}
    return {
        "apiVersion": _API_VERSION,
        "kind": route.kind,
        "metadata": metadata,
        "spec": {
            **{field: said for field, said in named.items() if said},
            route.protocol: [{**route.rule, "route": [{"destination": {"host": service, **port}}]}],
        },
    }


def rules_beside(route: MeshRoute, metadata: Json, service: str) -> tuple[Json, ...]:
    """Return the DestinationRules that the Canary asks for, of the stable's and the canary's host.

    Args:
        route: what is asked for.
        metadata: as the route has it; each has its own name.
        service: name of the stable's Service.

    """
    if not route.traffic_policy:
        return ()
    return tuple(
        {
            "apiVersion": _API_VERSION,
            "kind": "DestinationRule",
            "metadata": {**metadata, "name": host},
            "spec": {"host": host, "trafficPolicy": dict(route.traffic_policy)},
        }
        for host in (service, canary_name(service))
    )


def virtual_unsaid(service: Json) -> tuple[str, ...]:
    """Say what of a Canary's service a VirtualService cannot say.

    Args:
        service: `spec.service` of a Canary.

    """
    said = "a VirtualService that is made from a Canary cannot say it; remove it"
    found = []
    if service.get("delegation") and (service.get("hosts") or service.get("gateways")):
        found.append(
            "service.delegation: a VirtualService that another one delegates to has neither hosts "
            "nor gateways; remove service.hosts and service.gateways"
        )
    if service.get("backendTimeout"):
        found.append(f"service.backendTimeout: {said}")
    if not _is_tcp(service):
        return tuple(found)
    strange = {name for entry in service.get("match") or () for name in entry} - {"port", "name"}
    if strange:
        found.append(f"service.match: {', '.join(sorted(strange))} of a tcp route: {said}")
    fields = ("timeout", "retries", "headers", "corsPolicy", "rewrite")
    found += [f"service.{it}: of a tcp route: {said}" for it in fields if service.get(it)]
    return tuple(found)
