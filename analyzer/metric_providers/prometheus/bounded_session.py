"""A `requests` session whose answers are 200, short and in time, and from the address asked."""

import json
import socket
import time
from typing import Any, Final

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from analyzer.addresses import EVERYWHERE, DeniedAddressError, Guard
from analyzer.metric_providers.prometheus.room import MAX_VALUES, Room, Rooms
from runtime.values import too_many_values

MIB: Final = 1024 * 1024
_CHUNK: Final = 64 * 1024


class TooMuch(requests.RequestException):
    """The answer is more than the session reads; `what` says of what, in words."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Refused(requests.RequestException):
    """The answer is not 200 OK; `response` is the whole of it."""

    response: requests.Response


class Denied(urllib3.exceptions.NewConnectionError):  # it names what happened
    """The connection may not be made, and `why`."""

    def __init__(self, connection: HTTPConnection, why: str) -> None:
        super().__init__(connection, why)
        self.why = why


def _connected(guard: Guard, connection: HTTPConnection) -> socket.socket:
    """Connect to an address of the name that may be asked, and to that very one.

    Raises:
        Denied: none of them may be.
        urllib3.exceptions.HTTPError: none of them answers, or there are none.

    """
    name = connection._dns_host  # noqa: SLF001 - urllib3 has no other place for it
    failure: urllib3.exceptions.HTTPError = Denied(connection, "no address")
    try:
        for address in _addresses(connection, name):
            try:
                guard.check(address, connection.port)
                connection._dns_host = address  # noqa: SLF001
                return HTTPConnection._new_conn(connection)  # noqa: SLF001
            except DeniedAddressError as error:
                failure = Denied(connection, str(error.strerror))
            except (
                urllib3.exceptions.NewConnectionError,
                urllib3.exceptions.ConnectTimeoutError,
            ) as error:
                failure = error
    finally:
        # The certificate is checked against the name.
        connection._dns_host = name  # noqa: SLF001
    raise failure


def _addresses(connection: HTTPConnection, name: str) -> list[str]:
    try:
        infos = socket.getaddrinfo(name, connection.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        failure = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
        raise urllib3.exceptions.NameResolutionError(name, connection, failure) from error
    return list(dict.fromkeys(str(address[0]) for *_, address in infos))


class _Guarded(HTTPAdapter):
    """Sends nothing to an address that a guard denies, and tries nothing twice."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        # The library's own three retries, with back-off, would outlast the deadline.
        super().__init__(max_retries=urllib3.Retry(0, read=False))

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        if self._guard is not EVERYWHERE:
            # A proxy would be connected to instead, and reach for a team what is denied to it.
            kwargs["proxies"] = None
        return super().send(*args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        guard = self._guard

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return _connected(guard, self)

        class Secure(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return _connected(guard, self)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}


class Credentials(AuthBase):
    """A bearer token, or user name and password, or nothing.

    With nothing it still keeps `requests` from looking for credentials in a .netrc file.
    """

    def __init__(self, *, username: str = "", password: str = "", token: str = "") -> None:
        self._basic = HTTPBasicAuth(username, password) if username else None
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the credentials to a request, in place."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        elif self._basic:
            self._basic(request)
        return request


class _Answer(requests.Response):
    """A response that has been read, whose JSON is parsed without holding up other threads."""

    def __init__(self, response: requests.Response, body: bytearray, room: Room | None) -> None:
        super().__init__()
        vars(self).update(vars(response))
        self._body = body
        self._room = room
        # As JSON has it (RFC 8259 section 8.1). Without one `requests` guesses, which takes long.
        self.encoding = "utf-8"

    def json(self, **kwargs: Any) -> Any:
        """Parse the body, in its turn, and have it no more.

        Raises:
            TooMuch: it would become too much.
            requests.JSONDecodeError: it is no JSON.

        """
        if self._room is not None:
            self._room.parse()
        if too_many_values(self._body, MAX_VALUES):
            raise TooMuch(f"{MAX_VALUES} values")
        text = self._body.decode(errors="replace")
        self._body = bytearray()
        try:
            return json.loads(text, object_hook=_take_turns, **kwargs)
        except json.JSONDecodeError as error:
            raise requests.JSONDecodeError(error.msg, "", error.pos) from None
        except (RecursionError, ValueError) as error:
            # It nests too deep, or a number has too many digits.
            raise requests.JSONDecodeError(str(error), "", 0) from None


def _take_turns(parsed: dict[str, Any]) -> dict[str, Any]:
    # The parser is one call into C, through which it keeps the interpreter: 100 ms for 4 MiB, when
    # the loop stands still. Each call of a function of Python's own lets other threads in.
    return parsed


class BoundedSession(requests.Session):
    """A session that reads no more than it is told to.

    `requests` bounds the wait for a connection, and for each piece of an answer, and not the whole.
    Redirects are not
    followed: `requests` would read their bodies without bounds, and give headers that may be secret
    to any host that a redirect names.

    Args:
        guard: says which addresses may be asked.
        seconds: for one answer, from the connection to its last byte.
        size: the longest answer, in bytes.
        rooms: room for answers, which all sessions share.

    """

    def __init__(
        self, guard: Guard, *, seconds: float, size: int, rooms: Rooms | None = None
    ) -> None:
        super().__init__()
        self._rooms = rooms or Rooms()
        self._adapter = _Guarded(guard)
        self._seconds = seconds
        self._size = size
        # What is compressed can be a thousand times as long as what was read of it.
        self.headers["Accept-Encoding"] = "identity"

    def get_adapter(self, url: str | bytes) -> BaseAdapter:
        """Return the one way out, whatever others the Prometheus client mounts."""
        del url
        return self._adapter

    def close(self) -> None:
        """Close all connections."""
        super().close()
        self._adapter.close()

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request and read its whole answer.

        A POST has its parameters in the body, as a form. The Prometheus client, which gives all
        arguments by keyword, would put them into the URL, and URLs are cut or refused on the way.

        Raises:
            requests.Timeout: the answer took too long.
            TooMuch: the answer is too long.
            Refused: the answer is not 200 OK.
            requests.RequestException: as `requests` has it.

        """
        ends = time.monotonic() + self._seconds
        kwargs |= {"stream": True, "allow_redirects": False}
        kwargs["timeout"] = urllib3.Timeout(total=self._seconds)
        if kwargs.get("method") == "POST":
            kwargs["data"] = kwargs.pop("params", None)
        response = super().request(*args, **kwargs)
        room = self._rooms.here()
        with response:
            if response.status_code == requests.codes.ok:
                body = self._read(response.raw, ends, room)
            else:
                body = self._read(response.raw, ends, None, cut=True)
        answer = _Answer(
            response, body, room if response.status_code == requests.codes.ok else None
        )
        if answer.status_code != requests.codes.ok:
            raise Refused(response=answer)
        return answer

    def _read(self, raw: Any, ends: float, room: Room | None, *, cut: bool = False) -> bytearray:
        """Read an answer, or the beginning of it where that is enough."""
        body = bytearray()
        try:
            while chunk := raw.read1(_CHUNK, decode_content=False):
                body += chunk
                if cut and len(body) >= _CHUNK:
                    break
                if len(body) > self._size:
                    raise TooMuch(f"{self._size // MIB} MiB")
                if room is not None:
                    room.grow(len(body))
                if time.monotonic() > ends:
                    raise requests.Timeout
        except urllib3.exceptions.ReadTimeoutError as error:
            raise requests.Timeout(error) from error
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(error) from error
        return body
