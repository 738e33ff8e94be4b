"""From Flagger's `Canary.spec.service` to a rule of a GRPCRoute of our own."""

from canary.model.values import Json
from canary.routes.http_matches import comparison, value_match

_PARTS = len(("", "service", "method"))


def grpc_match(entry: Json) -> Json:
    """Turn an HTTPMatchRequest into a match of a GRPCRoute: a path is a service and a method."""
    match: Json = {}
    if asked := _method(entry.get("uri") or {}):
        match["method"] = asked
    if headers := entry.get("headers"):
        match["headers"] = [
            {"name": name, **value_match(comparison(how), value)}
            for name, test in headers.items()
            for how, value in test.items()
        ]
    return match


def _method(uri: Json) -> Json:
    """Return the method that a path names: `/service/method` exactly, or `/service/` before it."""
    parts = str(uri.get("exact") or uri.get("prefix") or "").split("/")
    if len(parts) != _PARTS or parts[0] or not parts[1]:
        return {}
    names = {"service": parts[1], **({"method": parts[2]} if parts[2] else {})}
    return {"type": "Exact", **names}


def grpc_unsaid(service: Json) -> tuple[str, ...]:
    """Say what of a Canary's service a GRPCRoute cannot say.

    Args:
        service: `spec.service` of a Canary.

    """
    found = [
        f"service.match: no GRPCRoute matches {field}; remove it"
        for field in ("queryParams", "method")
        if any(entry.get(field) for entry in service.get("match") or ())
    ]
    found += [
        f"service.match: no GRPCRoute matches the uri {how} {path}; write /service/method as "
        "exact, or /service/ as prefix"
        for entry in service.get("match") or ()
        for how, path in (entry.get("uri") or {}).items()
        if path != "/" and not _is_said(how, path)
    ]
    found += [
        f"service.{field}: a GRPCRoute has none; remove it"
        for field in ("timeout", "backendTimeout", "rewrite")
        if service.get(field)
    ]
    return tuple(found)


def _is_said(how: str, path: str) -> bool:
    said = _method({how: path})
    return bool(said) and ("method" in said) == (how == "exact")
