"""One connection to an API server: address, credentials, deadline, repetition, errors.

The only module that imports the client library, and the only one that `runtime.kube` sends
requests through.
"""

import asyncio
import importlib.util
import os
import random
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Self, TypeVar
from weakref import WeakSet

import aiohttp
import structlog

from runtime.answers import LARGEST, MOST_VALUES, Json, decode, read
from runtime.backoff import Backoff, parse_retry_after
from runtime.clock import ServerClock
from runtime.errors import (
    ConfigurationError,
    LeadershipLost,
    Throttled,
    TooLarge,
    Unavailable,
    from_response,
)
from runtime.proxies import proxy_for
from runtime.values import too_many_values


@contextmanager
def _client_without_models() -> Iterator[None]:
    """Let parts of the client library be imported without its 1500 model and API modules.

    Their packages import all of those: 110 MiB resident and 2.5 s, against 40 MiB and 0.2 s for
    the parts used here (aiohttp alone: 37 MiB). Empty packages stand in while the parts load, and
    all leave `sys.modules` again, so that a full import elsewhere in the process still works.
    """
    spec = importlib.util.find_spec("kubernetes_asyncio")
    if "kubernetes_asyncio" in sys.modules or spec is None:
        yield
        return
    for name in ("kubernetes_asyncio", "kubernetes_asyncio.client"):
        package = ModuleType(name)
        tail = name.split(".")[1:]
        package.__path__ = [
            str(Path(place, *tail)) for place in spec.submodule_search_locations or ()
        ]
        # The config modules take both names from here, for annotations and for calls that name
        # no configuration; ours do.
        package.__dict__.update(Configuration=object, ApiClient=object)
        sys.modules[name] = package
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "kubernetes_asyncio"]:
            del sys.modules[name]


with _client_without_models():
    from kubernetes_asyncio.client.configuration import Configuration
    from kubernetes_asyncio.client.rest import RESTClientObject
    from kubernetes_asyncio.config.config_exception import ConfigException
    from kubernetes_asyncio.config.incluster_config import load_incluster_config
    from kubernetes_asyncio.config.kube_config import load_kube_config

T = TypeVar("T")
_connected: ContextVar[asyncio.Event] = ContextVar("_connected")
"""Set once a call has had a connection, on which it may have sent something."""

USER_AGENT: Final = "headgate"
DEFAULT_NAMESPACE: Final = "default"
# The first repetition comes at once or nearly so; a second between attempts is patient enough
# for a deadline of ten.
_FIRST_DELAY: Final = 0.1
_LONGEST_DELAY: Final = 1.0
_READ_BUFFER: Final = 2**18
_KUBECONFIG_AT_HOME: Final = Path("~/.kube/config").expanduser()

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to the API server.

    Args:
        method: HTTP method.
        path: below the server's address.
        query: names and values, in order.
        body: JSON value, None for none.
        content_type: of the body.
        idempotent: False where a second arrival of the same request would do or answer
            something else.
        silence: seconds without a byte after which a stream counts as lost; None for requests
            that the deadline bounds.
        largest: bytes of the answer that are read.
        most: values of the answer that are parsed, 0 for any number.
        accept: the form of the answer.

    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    content_type: str = "application/json"
    idempotent: bool = True
    silence: float | None = None
    largest: int = LARGEST
    most: int = MOST_VALUES
    accept: str = "application/json"


class Connection:
    """Sends requests to one API server.

    Args:
        configuration: address and credentials, of the client library.
        deadline: seconds that one call may take, with all it repeats.
        rng: source of the jitter between attempts.
        clock: learns the server's time from every answer.

    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        deadline: float,
        rng: random.Random,
        clock: ServerClock | None = None,
    ) -> None:
        self._configuration: Any = configuration
        self._rest: Any = RESTClientObject(configuration)
        self._transports = _own_session(self._rest)
        self._deadline = deadline
        self._rng = rng
        self.clock = clock or ServerClock()
        self._holds: Callable[[], bool] = lambda: True

    def fenced(self, holds: Callable[[], bool]) -> Self:
        """Return the same connection, on which nothing is written unless `holds`."""
        other = copy(self)
        other._holds = holds  # noqa: SLF001 - of its own kind
        return other

    async def aclose(self) -> None:
        """Close the sockets, also those of requests that were cancelled just now."""
        await self._rest.close()
        for transport in self._transports:
            transport.abort()
        # An aborted transport closes its socket in the loop's next round, below TLS in the one
        # after it.
        for _ in range(2):
            await asyncio.sleep(0)

    async def within_deadline(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` returns, if it does so before the deadline.

        Raises:
            Unavailable: it did not.

        """
        connected = asyncio.Event()
        outer = _connected.set(connected)
        try:
            async with asyncio.timeout(self._deadline):
                return await call()
        except TimeoutError as error:
            message = f"no answer within {self._deadline:g} s"
            raise Unavailable(0, "Timeout", message, reached=connected.is_set()) from error
        finally:
            _connected.reset(outer)

    async def fetch(self, request: Request) -> Json:
        """Send a request and return the JSON object of its answer, inside the caller's deadline.

        Raises:
            ApiError: the type says what went wrong.

        """
        return (await self.fetch_sized(request))[0]

    async def fetch_sized(self, request: Request) -> tuple[Json, int]:
        """Return what `fetch` does, and how many bytes it was.

        Raises:
            ApiError: the type says what went wrong.

        """
        return await self._repeat(request, self._fetch_once)

    async def stream(self, request: Request) -> aiohttp.ClientResponse:
        """Send a request and return its answer, the body still to be read by `lines`.

        Raises:
            ApiError: as `fetch`.

        """
        return await self._repeat(request, self._open)

    async def _repeat(self, request: Request, attempt: Callable[[Request], Awaitable[T]]) -> T:
        """Attempt until it works, or fails for another reason than a fault on the way or 429."""
        backoff = Backoff(_FIRST_DELAY, _LONGEST_DELAY, rng=self._rng)
        ends = asyncio.get_running_loop().time() + self._deadline
        while True:
            try:
                return await attempt(request)
            except (Unavailable, Throttled) as error:
                delay = _delay(error, request, backoff)
                if delay is None or asyncio.get_running_loop().time() + delay >= ends:
                    raise
                _log.debug("api_request_repeated", path=request.path, reason=error.reason)
            await asyncio.sleep(delay)

    async def _fetch_once(self, request: Request) -> tuple[Json, int]:
        response = await self._open(request)
        try:
            body = await read(response, request.largest)
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(0, "ConnectionLost", str(error)) from error
        finally:
            response.release()
        if request.most and too_many_values(body, request.most):
            raise TooLarge(0, "TooLarge", f"an answer of more than {request.most} values")
        return decode(body), len(body)

    async def _open(self, request: Request) -> aiohttp.ClientResponse:
        """Send once; return an answer that is 2xx, with its body unread."""
        sent = self.clock.monotonic()
        try:
            headers = await self._headers(request)
            # At the last moment: whoever was stopped until now learns here that its time is over.
            if request.method != "GET" and not self._holds():
                raise LeadershipLost(f"{request.method} {request.path} is not ours any more")
            # Without preloading: the library would log every body, Secrets too, at debug level.
            response: aiohttp.ClientResponse = await self._rest.request(
                request.method,
                self._configuration.host + request.path,
                query_params=request.query,
                headers=headers,
                body=request.body,
                _preload_content=False,
                _request_timeout=aiohttp.ClientTimeout(total=None, sock_read=request.silence),
            )
            if response.ok:
                # Another answer may be that of a proxy on the way, which has a clock of its own.
                date, received = response.headers.get("Date"), self.clock.monotonic()
                self.clock.hear(date, sent=sent, received=received)
                return response
            body = await read(response, request.largest)
        except aiohttp.ClientConnectorError as error:
            raise Unavailable(0, "ConnectionFailed", str(error), reached=False) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(0, "ConnectionLost", str(error)) from error
        retry_after = parse_retry_after(response.headers.get("Retry-After"), self.clock.now())
        raise from_response(response.status, bytes(body), retry_after)

    async def _headers(self, request: Request) -> dict[str, str]:
        headers = {
            "Accept": request.accept,
            # What is compressed can be a thousand times as long as what was read of it.
            "Accept-Encoding": "identity",
            "Content-Type": request.content_type,
            "User-Agent": USER_AGENT,
        }
        # Reads the token file again once it is a minute old.
        token = await self._configuration.get_api_key_with_prefix("BearerToken")
        if token:
            headers["Authorization"] = token.strip()
        return headers


def _own_session(rest: Any) -> WeakSet[asyncio.Transport]:
    """Give the client's session another one in its place, over the same connector.

    The client makes its own with `trust_env`, so that every request reads .netrc and the proxy
    variables anew: two thirds of the loop's time at 300 runs. What it would find there counts once,
    in `load_access`.

    Returns:
        The connections' transports. aiohttp does not wait, in the end, for those that were closed
        one by one and still say goodbye by TLS, as every cancelled request's is.

    """
    theirs = rest.pool_manager
    transports: WeakSet[asyncio.Transport] = WeakSet()
    connect = theirs.connector.connect

    async def connected(*args: Any, **kwargs: Any) -> Any:
        connection = await connect(*args, **kwargs)
        transports.add(connection.transport)
        if (call := _connected.get(None)) is not None:
            call.set()
        return connection

    theirs.connector.connect = connected
    rest.pool_manager = aiohttp.ClientSession(
        connector=theirs.connector, trust_env=False, read_bufsize=_READ_BUFFER
    )
    theirs.detach()
    return transports


def _delay(error: Unavailable | Throttled, request: Request, backoff: Backoff) -> float | None:
    """Return the seconds until the next attempt, None where there must be none."""
    match error:
        case Throttled(retry_after=None):
            return backoff.next()
        case Throttled(retry_after=float(asked)):
            return asked + backoff.next()
        case Unavailable(status=0, reached=False):
            return backoff.next()
        case Unavailable(status=0) if request.idempotent:
            return backoff.next()
    return None


@dataclass(frozen=True, slots=True)
class Access:
    """Address and credentials of an API server, and the namespace meant where none is named."""

    configuration: Configuration
    namespace: str = DEFAULT_NAMESPACE


async def load_configuration(
    kubeconfig: str | Path | None, environ: Mapping[str, str]
) -> Configuration:
    """Return the address and the credentials of the API server: a part of `load_access`."""
    return (await load_access(kubeconfig, environ)).configuration


async def load_access(
    kubeconfig: str | Path | None, environ: Mapping[str, str], *, context: str | None = None
) -> Access:
    """Return the way to an API server, through a proxy where kubeconfig or environment name one.

    Args:
        kubeconfig: path, None to look in the environment.
        environ: $KUBECONFIG, the variables that the kubelet sets in every pod, and those of
            proxies.
        context: of the kubeconfig, None for its current one.

    Raises:
        ConfigurationError: there is none, or it cannot be read.

    """
    access = await _load(kubeconfig, environ, context)
    configuration: Any = access.configuration
    configuration.proxy = proxy_for(configuration.host, configuration.proxy, environ)
    return access


async def _load(
    kubeconfig: str | Path | None, environ: Mapping[str, str], context: str | None
) -> Access:
    configuration = Configuration()
    path = kubeconfig or environ.get("KUBECONFIG")
    try:
        if not path and not context and environ.get("KUBERNETES_SERVICE_HOST"):
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            return Access(configuration)
        loader = await load_kube_config(
            config_file=os.fspath(path or _KUBECONFIG_AT_HOME),
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    except (ConfigException, OSError) as error:
        raise ConfigurationError(f"no way to an API server: {error}") from error
    chosen: Json = loader.current_context or {}
    namespace = (chosen.get("context") or {}).get("namespace")
    return Access(configuration, str(namespace or DEFAULT_NAMESPACE))
