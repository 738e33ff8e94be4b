"""HTTP to addresses that teams choose: bounded, and nothing of one call is left for another.

Whoever answers there may be slow, silent or hostile. So no cookie is kept, no proxy or credential
is read from this process' environment, no answer is unpacked, no redirect leads to another origin,
and a name that does not resolve holds up nobody else's. Where a guard is given, no connection is
made to an address that it denies, however that was named.
"""

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeVar

import aiohttp
from aiohttp import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from analyzer.addresses import DeniedAddressError, Guard
from canary.durations import format_duration

_T = TypeVar("_T")

CONNECT: Final = timedelta(seconds=10)
"""For a connection, with the lookup of its name. Inside a cluster it takes milliseconds; a name
server that is away, or a packet that is dropped, must not be waited for as long as an answer."""
_QUOTED: Final = 256
"""Characters of an answer that a message quotes."""
_READ: Final = _QUOTED * 4
"""Bytes of an answer that are read: a character has at most four."""
_KEEPS_METHOD: Final = frozenset({307, 308})
"""Redirects after which the request is the same (RFC 9110 section 15.4); others make it a GET."""
_MAX_REDIRECTS: Final = 3


class HttpError(Exception):
    """There is no answer to be had; the message says why, for a person.

    `again` is whether the same request could end differently.
    """

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.again = again


class DeniedError(HttpError):
    """The address is one that no team may name."""


class UntrustedError(HttpError):
    """The other side's certificate is not trusted."""


class RedirectedError(HttpError):
    """The answer leads to where a request is not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer: its status line, and the beginning of what it says where it is no success.

    `retry_after` is the header of that name, None where there is none.
    """

    status: int
    reason: str
    text: str = ""
    retry_after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a request is made.

    `verify_tls` is whether the other side's certificate has to be trusted. `proxy` is the URL of an
    HTTP proxy on the way, "" for none: then it is what is connected to. `reads_success` is whether
    the beginning of a success is read too.
    """

    verify_tls: bool = True
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str = field(default="", repr=False)
    reads_success: bool = False


_PLAIN: Final = Manner()


# --- sessions ---------------------------------------------------------------------------------


class _AtOnce(aiohttp.ClientResponse):
    """A response that is given up without ceremony.

    Over TLS a connection would stay open for up to 30 s more, until the other side has agreed to
    its end, and who never answers never agrees.
    """

    def close(self) -> None:
        """End the connection, if it is not given back already."""
        if self.connection is not None and self.connection.transport is not None:
            self.connection.transport.abort()
        super().close()


class _OwnThreads(AbstractResolver):
    """Looks up names in threads that nothing else needs, one for a name at a time.

    The system's resolver cannot be interrupted, and the loop's own few threads are needed for much
    else. A lookup that nobody waits for any more keeps its thread until the system gives it up.
    """

    def __init__(self) -> None:
        self._running: dict[tuple[str, int, int], Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            OSError: it has none.

        """
        wanted = (host, port, int(family))
        if (running := self._running.get(wanted)) is None or running.done():
            running = self._running[wanted] = _looked_up(host, port, family)
        return await asyncio.wrap_future(running)

    async def close(self) -> None:
        """Leave what is running to itself."""
        self._running.clear()


def _looked_up(host: str, port: int, family: socket.AddressFamily) -> Future[list[ResolveResult]]:
    """Look a name up in a thread that does not keep the process from ending."""
    found: Future[list[ResolveResult]] = Future()
    found.set_running_or_notify_cancel()  # the thread cannot be taken back

    def look_up() -> None:
        try:
            found.set_result(_addresses(host, port, family))
        except (OSError, UnicodeError) as error:
            found.set_exception(error)

    threading.Thread(target=look_up, name="name-lookup", daemon=True).start()
    return found


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    infos = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=int(address[1]),
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, address in infos
    ]


def open_session(
    *,
    connections: int,
    connect: timedelta = CONNECT,
    reuse: bool = True,
    guard: Guard | None = None,
) -> aiohttp.ClientSession:
    """Return a session that keeps no cookies and no names, and reads no environment.

    It has no deadline but the one for connecting: how long an answer may take is the caller's.

    Args:
        connections: how many it has at a time, 0 for any number; further requests wait.
        connect: bounds the making of a connection, with the wait for a free one.
        reuse: whether a connection is kept for the next request to the same host.
        guard: says which addresses may be asked; None where no team names them.

    """

    def allowed(address: AddrInfoType) -> socket.socket:
        # What is connected to is this very address, whatever it was found by.
        family, kind, protocol, _, peer = address
        if guard is not None:
            guard.check(str(peer[0]), int(peer[1]))
        return socket.socket(family, kind, protocol)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=connections,
            force_close=not reuse,
            resolver=_OwnThreads(),
            use_dns_cache=False,
            socket_factory=allowed,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, connect=connect.total_seconds()),
        # What is compressed can be a thousand times as long as what was read of it.
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
        response_class=_AtOnce,
    )


# --- one request ------------------------------------------------------------------------------


async def post_json(
    session: aiohttp.ClientSession, url: str, body: Mapping[str, Any], manner: Manner = _PLAIN
) -> Reply:
    """POST a JSON document; see `follow`.

    Args:
        session: makes the connection, as `open_session` returns it.
        url: where to.
        body: the document.
        manner: how it is made.

    Raises:
        HttpError: there is no answer, or it leads elsewhere.

    """

    async def read(response: aiohttp.ClientResponse) -> Reply:
        return await _read(response, always=manner.reads_success)

    return await follow(session, Sent("POST", url, {"json": body}), manner, read)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request; `content` is its body as the client takes it, `{}` for none."""

    method: str
    url: str | URL
    content: Mapping[str, Any] = field(default_factory=dict)


async def follow(
    session: aiohttp.ClientSession,
    sent: Sent,
    manner: Manner,
    read: Callable[[aiohttp.ClientResponse], Awaitable[_T]],
) -> _T:
    """Send a request, again where it is redirected within its origin, and read the answer.

    A redirect is followed only where it keeps the method. A request that is cancelled ends its
    connection at once.

    Args:
        session: makes the connection, as `open_session` returns it.
        sent: the request.
        manner: how it is made.
        read: reads the answer, as much of it as is needed.

    Raises:
        HttpError: there is no answer, or it leads elsewhere.

    """
    try:
        url = URL(sent.url)
        for _ in range(_MAX_REDIRECTS + 1):
            async with session.request(
                sent.method,
                url,
                headers=manner.headers,
                proxy=manner.proxy or None,
                ssl=manner.verify_tls,
                allow_redirects=False,
                **sent.content,
            ) as response:
                if response.status // 100 != 3 or "Location" not in response.headers:  # noqa: PLR2004
                    return await read(response)
                url = _next_url(response)
    except (aiohttp.ClientError, ValueError) as error:
        raise fault_of(error, session.timeout.connect) from error
    raise HttpError(f"redirects more than {_MAX_REDIRECTS} times")


def _next_url(response: aiohttp.ClientResponse) -> URL:
    """Return where a redirect leads.

    Raises:
        RedirectedError: to where it is not followed.

    """
    to = response.headers["Location"]
    try:
        target = response.url.join(URL(to))
        same = target.origin() == response.url.origin()
    except ValueError:
        same, target = False, response.url
    if not same or not (response.method == "GET" or response.status in _KEEPS_METHOD):
        raise RedirectedError(
            f"answered {response.status}, a redirect to {shown(to)}, which is not followed"
        )
    return target


async def _read(response: aiohttp.ClientResponse, *, always: bool) -> Reply:
    # What a success says is not needed as a rule, and may never end.
    success = response.status // 100 == 2  # noqa: PLR2004
    return status_line(response, await _beginning(response) if always or not success else "")


def status_line(response: aiohttp.ClientResponse, text: str = "") -> Reply:
    """Return an answer without its body, but for what is given of it."""
    return Reply(
        status=response.status,
        reason=response.reason or "",
        text=text,
        retry_after=response.headers.get("Retry-After"),
    )


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """Return the beginning of the body as one line, without reading more of it than that."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return ""
    read = bytearray()
    async for chunk in response.content.iter_chunked(_READ):
        read += chunk
        if len(read) >= _READ:
            break
    line = " ".join(bytes(read).decode("utf-8", "replace").split())
    return line if len(line) <= _QUOTED else f"{line[:_QUOTED]}..."


# --- what goes wrong --------------------------------------------------------------------------


def fault_of(error: aiohttp.ClientError | ValueError, connect: float | None = None) -> HttpError:
    """Say what was wrong with a request that ended in this error.

    Args:
        error: of the client, or of a text that is no URL.
        connect: the seconds that the connection had, where they were bounded.

    """
    match error:
        case aiohttp.ClientConnectorCertificateError():
            certificate = error.certificate_error
            return UntrustedError(f"its certificate is not trusted ({certificate})")
        case ValueError():  # the client's own errors about URLs are such
            return HttpError("not a URL that can be called; it begins with http://")
        case aiohttp.NonHttpUrlClientError():
            return HttpError("not a URL that can be called; it begins with http://")
        case aiohttp.ClientConnectorError() if error.os_error.errno == errno.EACCES:
            # Where several are denied, the client says them in one error of its own.
            known = isinstance(error.os_error, DeniedAddressError)
            return DeniedError(denied(error.os_error.strerror if known else ""))
        case _:
            return HttpError(_why(error, connect), again=True)


def denied(why: str | None) -> str:
    """Say that an address is none to be asked, and what an admin can do."""
    return (
        f"{why or 'each of its addresses is denied'}; an admin can allow it by "
        "HEADGATE_ALLOWED_ADDRESSES"
    )


def _why(error: aiohttp.ClientError, connect: float | None) -> str:
    match error:
        case aiohttp.ConnectionTimeoutError():
            within = f" within {format_duration(timedelta(seconds=connect))}" if connect else ""
            return f"no connection{within}"
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} does not resolve"
        case aiohttp.ClientConnectorSSLError():
            return "no TLS connection: the other side speaks none, or none that is accepted"
        case aiohttp.ClientConnectorError():
            return f"no connection: {os.strerror(error.os_error.errno or errno.EIO)}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
        case _:
            return f"no usable answer ({type(error).__name__})"


def shown(url: str) -> str:
    """Return the URL without what may be secret in it: credentials, query and fragment."""
    try:
        parsed = URL(url)
        # A relative one, as in a Location, has no place for credentials.
        parsed = parsed.with_user(None) if parsed.absolute else parsed
        return str(parsed.with_query(None).with_fragment(None))
    except ValueError:
        return "(unreadable URL)"
