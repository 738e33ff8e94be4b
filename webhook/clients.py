"""Who may ask: where the admin says so, an API server that shows a certificate, and nobody else.

TLS lets nobody in whose certificate no authority of the admin's has signed (`certs.reload`). An
authority often signs for others too, as that of a kubeadm cluster does for every kubelet, so that
here the names in the certificate are looked at.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from aiohttp import web

_CLOSE = {"Connection": "close"}


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of a listener.

    Args:
        names: those that a certificate may have, as its common name or a DNS name; any if empty.
        context: returns what new connections are made with, None while there is nothing.

    """

    names: frozenset[str] = frozenset()
    context: Callable[[], SSLContext | None] = lambda: None

    def check(self, request: web.Request) -> None:
        """Refuse a client whose certificate has another name.

        Raises:
            HTTPForbidden: it has none of the names.

        """
        if not self.names:
            return
        shown = set(names_of(request.get_extra_info("peercert") or {}))
        if not shown & self.names:
            text = f"no review is taken from {', '.join(sorted(shown)) or 'nobody in particular'}"
            raise web.HTTPForbidden(text=text, headers=_CLOSE)

    def outlived(self, request: web.Request) -> bool:
        """Tell whether a connection was made before the files of certificates changed.

        It ends with its answer: whom an authority let in that has gone, the next one asks again.
        """
        made = getattr(request.get_extra_info("ssl_object"), "context", None)
        now = self.context()
        return made is not None and now is not None and made is not now


def names_of(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Yield the common names and DNS names of a certificate.

    Args:
        certificate: as `ssl.SSLObject.getpeercert` returns it.

    """
    for part in certificate.get("subject", ()):
        yield from (value for name, value in part if name == "commonName")
    for kind, value in certificate.get("subjectAltName", ()):
        if kind == "DNS":
            yield value
