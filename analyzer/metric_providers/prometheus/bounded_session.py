"""A `requests` session whose answers are 200, short and in time, and from the address asked."""

import io
import time
from typing import Any, Final

import requests
import urllib3
from requests.auth import AuthBase, HTTPBasicAuth

_CHUNK: Final = 64 * 1024


class TooMuch(requests.RequestException):
    """The answer is longer than the session reads, which is `size` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class Refused(requests.RequestException):
    """The answer is not 200 OK; `response` is the whole of it."""

    response: requests.Response


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

    def __init__(self, response: requests.Response, body: bytes) -> None:
        super().__init__()
        vars(self).update(vars(response))
        self.raw = io.BytesIO(body)
        # As JSON has it (RFC 8259 section 8.1). Without one `requests` guesses, which takes long.
        self.encoding = "utf-8"

    def json(self, **kwargs: Any) -> Any:
        """Parse the body.

        Raises:
            requests.JSONDecodeError: it is no JSON.

        """
        return super().json(object_hook=_take_turns, **kwargs)


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
        seconds: for one answer, from the connection to its last byte.
        size: the longest answer, in bytes.

    """

    def __init__(self, *, seconds: float, size: int) -> None:
        super().__init__()
        self._seconds = seconds
        self._size = size
        # What is compressed can be a thousand times as long as what was read of it.
        self.headers["Accept-Encoding"] = "identity"

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
        with response:
            body = self._read(response.raw, ends)
        answer = _Answer(response, body)
        if answer.status_code != requests.codes.ok:
            raise Refused(response=answer)
        return answer

    def _read(self, raw: Any, ends: float) -> bytes:
        body = bytearray()
        try:
            while chunk := raw.read1(_CHUNK, decode_content=False):
                body += chunk
                if len(body) > self._size:
                    raise TooMuch(self._size)
                if time.monotonic() > ends:
                    raise requests.Timeout
        except urllib3.exceptions.ReadTimeoutError as error:
            raise requests.Timeout(error) from error
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(error) from error
        return bytes(body)
