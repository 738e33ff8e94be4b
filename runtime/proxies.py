"""Which proxy leads to the API server: read once, at connect, by the rules of kubectl.

The rules are those of Go (golang.org/x/net/http/httpproxy), so that what works for kubectl works
here; Python's own know no networks in NO_PROXY, and an address of a Service is one.
"""

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from runtime.errors import ConfigurationError

PORTS: Final = {"http": 80, "https": 443}
SUPPORTED: Final = ("http", "https")


def proxy_for(server: str, named: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy that leads to a server, None where it is asked directly.

    Args:
        server: URL of the API server.
        named: the `proxy-url` of the kubeconfig, which goes before the environment.
        environ: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in capitals or not.

    Raises:
        ConfigurationError: the proxy is of a kind that is not supported, such as socks5.

    """
    proxy = named or _from_environment(urlsplit(server), environ)
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    parts = urlsplit(proxy)
    if parts.scheme not in SUPPORTED or not parts.hostname:
        raise ConfigurationError(
            f"the proxy on the way to {server} must be http:// or https://, not {parts.scheme}://"
        )
    return proxy


def _from_environment(server: SplitResult, environ: Mapping[str, str]) -> str:
    def get(name: str) -> str:
        return environ.get(name.upper()) or environ.get(name) or ""

    proxy = get(f"{server.scheme}_proxy")
    return "" if not proxy or _is_direct(server, get("no_proxy")) else proxy


def _is_direct(server: SplitResult, no_proxy: str) -> bool:
    """Tell whether a server is asked without a proxy: this machine, or named in NO_PROXY."""
    host = (server.hostname or "").rstrip(".")
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    port = server.port or PORTS.get(server.scheme)
    entries = (entry.strip().lower() for entry in no_proxy.split(","))
    return any(_names(entry, host, address, port) for entry in entries if entry)


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _names(entry: str, host: str, address: _Address | None, port: int | None) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return address is not None and _is_in(address, entry)
    name, wanted = _without_port(entry)
    if wanted is not None and wanted != port:
        return False
    if address is not None:
        return _address(name) == address
    name = name.removeprefix("*")
    return host.endswith(name) if name.startswith(".") else _is_below(host, name)


def _is_below(host: str, name: str) -> bool:
    return host == name or host.endswith(f".{name}")


def _without_port(entry: str) -> tuple[str, int | None]:
    if _address(entry) is not None:  # an IPv6 address is full of colons
        return entry, None
    name, colon, port = entry.rpartition(":")
    if colon and port.isdecimal():
        return name.strip("[]"), int(port)
    return entry.strip("[]"), None


def _address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_in(address: _Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
