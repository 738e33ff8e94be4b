"""Which addresses may be asked where a team names them.

The analyzer's pod stands where teams do not: it reaches its own loopback, the node's services, the
cloud's metadata, the API server and Headgate's other processes. What a team names is a URL, and
what counts is the address that a connection is made to: a name may lead anywhere, and differently
the next time.
"""

import errno
import ipaddress
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Socket = tuple[str, int | None]
"""An address and a port, None for every port of it."""


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


_DENIED: Final[tuple[tuple[str, tuple[Network, ...]], ...]] = (
    ("is the analyzer's own (loopback)", _networks("127.0.0.0/8", "::1/128")),
    ("is unspecified, which leads to the analyzer itself", _networks("0.0.0.0/8", "::/128")),
    (
        "is one of a cloud's metadata",
        # Those that are not link-local: AWS and Google over IPv6, Alibaba, Oracle, Azure.
        _networks(
            *("fd00:ec2::254/128", "fd20:ce::254/128"),
            *("100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"),
        ),
    ),
    ("is link-local", _networks("169.254.0.0/16", "fe80::/10")),
    ("is none of a single host", _networks("224.0.0.0/4", "240.0.0.0/4", "ff00::/8")),
)
"""Addresses that are nowhere a team's, with why (RFC 6890)."""
_WRAPPING: Final = _networks("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96")
"""NAT64 and its like (RFC 6052, 8215, 2765): the last four bytes are what is reached."""
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
"""The same in the form that RFC 4291 has given up; a kernel may still know it."""
_NEWEST: Final = 2
"""The least last four bytes there that are no address of IPv6's own: :: and ::1 are."""


def refusal(
    host: str, port: int, *, allowed: Collection[Network] = (), own: Collection[Socket] = ()
) -> str:
    """Say why an address may not be asked, "" where it may.

    Args:
        host: the numeric address that a connection is made to.
        port: its port.
        allowed: networks that the admin allows, whatever else is said of them.
        own: the API server's and Headgate's own.

    """
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "is no numeric address"
    meant = tuple(_meant(found))
    if any(address in network for address in meant for network in allowed):
        return ""
    for address in meant:
        for why, networks in _DENIED:
            if any(address in network for network in networks):
                return why
        if {(str(address), port), (str(address), None)} & set(own):
            return "is the API server's or Headgate's own"
    return ""


def _meant(address: Address) -> Iterator[Address]:
    """Return the address, and what it stands for where it wraps another one."""
    yield address
    if isinstance(address, ipaddress.IPv4Address):
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    last = int(address) & 0xFFFFFFFF
    compatible = address in _COMPATIBLE and last >= _NEWEST
    if compatible or any(address in network for network in _WRAPPING):
        yield ipaddress.IPv4Address(last)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read networks with commas between them, such as `10.0.0.0/8, 127.0.0.1/32`.

    Raises:
        ValueError: one of them is none.

    """
    try:
        return _networks(*(part.strip() for part in text.split(",") if part.strip()))
    except ValueError as error:
        raise ValueError(f"{error}; write networks as in 10.1.2.0/24,fd00::/64") from error


class DeniedAddressError(OSError):
    """No connection is made to this address; `why` says what it is."""

    def __init__(self, host: str, why: str) -> None:
        super().__init__(errno.EACCES, f"{host} {why}")


@dataclass(slots=True)
class Guard:
    """What may be asked: by the rules, by what the admin allows, and by what is the cluster's own.

    `allowed` are the admin's networks. `own` is learned while the process runs.
    """

    allowed: tuple[Network, ...] = ()
    own: frozenset[Socket] = field(default=frozenset())

    def check(self, host: str, port: int) -> None:
        """Let a connection to a numeric address be made.

        Raises:
            DeniedAddressError: it may not be made.

        """
        if why := refusal(host, port, allowed=self.allowed, own=self.own):
            raise DeniedAddressError(host, why)


EVERYWHERE: Final = Guard(_networks("0.0.0.0/0", "::/0"))
"""Denies nothing: for what no team has named."""
