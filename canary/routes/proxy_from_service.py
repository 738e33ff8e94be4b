"""From Flagger's `Canary.spec.service` to an HTTPProxy of our own, as Flagger makes it.

It has no host and is included by one of the team's own. Every request carries the header by which
Linkerd finds the Service; its value is Contour's own for each backend.
"""

from typing import Final

from canary.model.strategy import ProxyRoute
from canary.model.values import Json
from canary.routes.http_matches import comparison, value_match

_ANYWHERE: Final = {"prefix": "/"}
_IDLE: Final = "5m"
_LINKERD: Final = {
    "name": "l5d-dst-override",
    "value": (
        "%CONTOUR_SERVICE_NAME%.%CONTOUR_NAMESPACE%.svc.cluster.local:%CONTOUR_SERVICE_PORT%"
    ),
}
_PATHS: Final = ("exact", "prefix", "regex")


def asked_proxy(service: Json) -> ProxyRoute:
    """Return what an own HTTPProxy is made of: a route for each way to match.

    Args:
        service: `spec.service` of a Canary.

    """
    rest: Json = {}
    if timeout := service.get("timeout"):
        rest["timeoutPolicy"] = {"response": timeout, "idle": _IDLE}
    if retries := service.get("retries"):
        per_try = {"perTryTimeout": it} if (it := retries.get("perTryTimeout")) else {}
        rest["retryPolicy"] = {"count": int(retries.get("attempts") or 1), **per_try}
    for direction in ("request", "response"):
        changes = (service.get("headers") or {}).get(direction) or {}
        policy: Json = {}
        if changes.get("set"):
            policy["set"] = [{"name": n, "value": v} for n, v in changes["set"].items()]
        if changes.get("remove"):
            policy["remove"] = list(changes["remove"])
        if policy:
            rest[f"{direction}HeadersPolicy"] = policy
    entries: list[Json] = list(service.get("match") or [{}])
    return ProxyRoute(routes=tuple({"conditions": _conditions(it), **rest} for it in entries))


def _conditions(entry: Json) -> list[Json]:
    """Return the conditions of a route, all of which hold."""
    uri = {how: path for how, path in (entry.get("uri") or {}).items() if how in _PATHS}
    found: list[Json] = [{how: path} for how, path in uri.items()] or [dict(_ANYWHERE)]
    for field, ours in (("headers", "header"), ("queryParams", "queryParameter")):
        found += [
            {ours: {"name": name, **_test(how, value)}}
            for name, test in (entry.get(field) or {}).items()
            for how, value in test.items()
        ]
    return found


def _test(how: str, value: str) -> Json:
    said = value_match(comparison(how), value)
    return {"exact" if said["type"] == "Exact" else "regex": said["value"]}


def proxy_from(route: ProxyRoute, metadata: Json, backend: Json) -> Json:
    """Return the HTTPProxy without any split.

    Args:
        route: what it is made of.
        metadata: its own.
        backend: name and port of the stable's Service.

    """
    service = {**backend, "requestHeadersPolicy": {"set": [dict(_LINKERD)]}}
    return {
        "apiVersion": "projectcontour.io/v1",
        "kind": route.kind,
        "metadata": metadata,
        "spec": {"routes": [{**it, "services": [service]} for it in route.routes]},
    }


def proxy_unsaid(service: Json) -> tuple[str, ...]:
    """Say what of a Canary's service an HTTPProxy cannot say.

    Args:
        service: `spec.service` of a Canary.

    """
    headers = service.get("headers") or {}
    asked = (
        ("match.method", any(entry.get("method") for entry in service.get("match") or ())),
        ("rewrite", service.get("rewrite")),
        ("backendTimeout", service.get("backendTimeout")),
        ("headers.request.add", (headers.get("request") or {}).get("add")),
        ("headers.response.add", (headers.get("response") or {}).get("add")),
    )
    return tuple(
        f"service.{field}: an HTTPProxy that is made from a Canary cannot say it; remove it, or "
        "write an HTTPProxy of your own"
        for field, there in asked
        if there
    )
