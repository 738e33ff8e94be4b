"""Where a pod shows its own metrics."""

import ipaddress
import re
from typing import Any, Final

from canary.model.values import Json

_PREFIX: Final = "prometheus.io/"
_PORTS: Final = ("metrics", "http-metrics", "prometheus", "monitoring")
"""Names of container ports that metrics are served on, in the order in which they are tried."""
_PATH: Final = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*")
"""A path, and a query behind it (RFC 3986). Without a fragment, a backslash or a space."""
_HIGHEST: Final = 65_535


def endpoint_of(pod: Json) -> str | None:
    """Return the URL of a running pod's metrics page; None where it has none.

    The annotations `prometheus.io/scrape`, `/port`, `/path` and `/scheme` say where; without them
    a container port with a usual name does. The URL is always one of the pod's own address: teams
    write the annotations, and must not be able to send the analyzer elsewhere.
    """
    status = _mapping(pod.get("status"))
    annotations = _mapping(_mapping(pod.get("metadata")).get("annotations"))
    scrape = annotations.get(f"{_PREFIX}scrape")
    host = _host(status.get("podIP"))
    if host is None or status.get("phase") != "Running" or scrape == "false":
        return None
    named = _named_port(pod)
    if scrape != "true":
        return None if named is None else f"http://{host}:{named}/metrics"
    written = annotations.get(f"{_PREFIX}port")
    port = named if written is None else _port(written)
    path = annotations.get(f"{_PREFIX}path", "/metrics")
    scheme = annotations.get(f"{_PREFIX}scheme", "http")
    if port is None or scheme not in ("http", "https") or not _is_path(path):
        return None
    return f"{scheme}://{host}:{port}{path}"


def _host(address: Any) -> str | None:
    try:
        parsed = ipaddress.ip_address(address) if isinstance(address, str) else None
    except ValueError:
        return None
    if parsed is None:
        return None
    return f"[{parsed}]" if parsed.version == 6 else str(parsed)  # noqa: PLR2004 - IPv6


def _named_port(pod: Json) -> int | None:
    containers = _mapping(pod.get("spec")).get("containers")
    ports = [port for one in _list(containers) for port in _list(_mapping(one).get("ports"))]
    found = {_mapping(port).get("name"): _mapping(port).get("containerPort") for port in ports}
    return next((port for name in _PORTS if (port := _port(found.get(name)))), None)


def _port(written: Any) -> int | None:
    text = str(written) if isinstance(written, int | str) else ""
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(_HIGHEST))
    return int(text) if digits and 0 < int(text) <= _HIGHEST else None


def _is_path(path: Any) -> bool:
    return isinstance(path, str) and _PATH.fullmatch(path) is not None


def _mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
