"""Metrics from Prometheus, through its HTTP API's instant queries.

The client library blocks, so each connection has a few threads of its own: a Prometheus that does
not answer can hold no more than those, and queries to others go on.
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import requests
import urllib3
from prometheus_api_client import PrometheusConnect

from analyzer.metric_providers.bounded_session import BoundedSession, Credentials, Refused, TooMuch
from analyzer.ports import ProviderError, ProviderSpec
from canary.durations import format_duration

_MAX_ANSWER: Final = 4 * 1024 * 1024
"""Bytes of an answer. One number needs a few hundred; a query that lists series is no metric."""
_SHOWN: Final = 512
"""Characters of Prometheus' own text that a message quotes."""


class PrometheusProvider:
    """Asks Prometheus, and what speaks its API (Thanos, Mimir, VictoriaMetrics).

    The value of a query is that of the last series of its result, as in Flagger.

    Args:
        timeout: bounds one query, the wait for a free thread included.
        threads: queries that one connection runs at a time.
        connections: how many are kept; the one not used for longest is closed first.

    """

    def __init__(
        self,
        *,
        timeout: timedelta = timedelta(seconds=5),
        threads: int = 4,
        connections: int = 16,
    ) -> None:
        self._timeout = timeout
        self._threads = threads
        self._limit = connections
        self._connections: OrderedDict[_Identity, _Connection] = OrderedDict()

    async def query(self, spec: ProviderSpec, query: str) -> float | None:
        """Return the query's value now, None where it has none (empty or NaN).

        Args:
            spec: `address` with the path before `/api/v1`, if there is one; `secret` with `token`,
                or `username` and `password`, or empty.
            query: PromQL that gives a vector or a scalar.

        Raises:
            ProviderError: there is no answer to be had; the message says why.

        """
        identity = _identify(spec)
        connection = self._connect(identity)
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                result = await asyncio.get_running_loop().run_in_executor(
                    connection.threads, connection.client.custom_query, query
                )
        except TimeoutError as error:
            raise self._silent(identity.address) from error
        except requests.RequestException as error:
            raise self._explain(error, identity.address) from error
        except UnicodeError as error:
            raise ProviderError(
                f"the headers or credentials for Prometheus at {identity.address} have characters "
                "that HTTP cannot carry; mend the MetricTemplate or its Secret"
            ) from error
        except (KeyError, TypeError) as error:
            raise _not_prometheus(identity.address) from error
        return _value(result, identity.address)

    async def aclose(self) -> None:
        """Close all connections, once the queries that run have ended."""
        while self._connections:
            _, connection = self._connections.popitem()
            connection.retire()
            await asyncio.to_thread(connection.threads.shutdown)

    def _connect(self, identity: "_Identity") -> "_Connection":
        if connection := self._connections.get(identity):
            self._connections.move_to_end(identity)
            return connection
        while len(self._connections) >= self._limit:
            _, oldest = self._connections.popitem(last=False)
            oldest.retire()
        connection = _Connection.open(identity, self._timeout, self._threads)
        self._connections[identity] = connection
        return connection

    def _silent(self, address: str) -> ProviderError:
        return ProviderError(
            f"Prometheus at {address} has not answered within {format_duration(self._timeout)}; "
            "see whether it runs and what else it is asked, or make the query cheaper"
        )

    def _explain(self, error: requests.RequestException, address: str) -> ProviderError:
        match error:
            case requests.JSONDecodeError():
                return _not_prometheus(address)
            case requests.Timeout():
                return self._silent(address)
            case Refused():
                what = _complaint(error.response)
            case TooMuch():
                what = (
                    f"answers more than {_MAX_ANSWER // 1024**2} MiB; let the query make one "
                    "series of all, with sum() or the like"
                )
            case requests.exceptions.SSLError():
                what = (
                    "has a certificate that is not trusted, or speaks no TLS; mend it, or set "
                    "insecureSkipVerify in the MetricTemplate's provider"
                )
            case requests.ConnectionError():
                what = (
                    f"cannot be reached ({_cause(error)}); see whether the address is right and "
                    "a Service answers there"
                )
            case _:
                what = (
                    f"cannot be asked ({type(error).__name__}); mend the address or the headers "
                    "of the MetricTemplate's provider"
                )
        return ProviderError(f"Prometheus at {address} {what}")


# --- one connection ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Identity:
    """What makes two queries share a connection; nothing in `address` is secret."""

    address: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    verify_tls: bool = True


@dataclass(frozen=True, slots=True)
class _Connection:
    client: PrometheusConnect
    session: BoundedSession
    threads: ThreadPoolExecutor

    @classmethod
    def open(cls, identity: _Identity, timeout: timedelta, threads: int) -> "_Connection":
        if not identity.verify_tls:
            # Whoever wrote the template has said so; a warning per query tells nobody more.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        seconds = timeout.total_seconds()
        session = BoundedSession(seconds=seconds, size=_MAX_ANSWER)
        session.verify = identity.verify_tls
        session.headers.update(dict(identity.headers))
        session.auth = Credentials(
            username=identity.username, password=identity.password, token=identity.token
        )
        client = PrometheusConnect(
            url=identity.address,
            session=session,
            timeout=seconds,
            # The library's own three retries, with back-off, would outlast the deadline.
            retry=urllib3.Retry(0, read=False),
        )
        executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="prometheus")
        return cls(client, session, executor)

    def retire(self) -> None:
        """Take no more queries, and close when those that were taken have been asked."""
        self.threads.submit(self.session.close)
        self.threads.shutdown(wait=False)


# --- from a spec, and from an answer ----------------------------------------------------------


def _identify(spec: ProviderSpec) -> _Identity:
    try:
        url = urlsplit(spec.address.strip())
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        usable, url = False, urlsplit("")
    if not usable or url.query or url.fragment:
        raise ProviderError(
            f"the provider's address is no URL of a Prometheus{_named(url)}; write it as "
            "http://prometheus.monitoring:9090"
        )
    return _Identity(
        address=_shown(url).rstrip("/"),
        headers=tuple(sorted((name, ", ".join(values)) for name, values in spec.headers.items())),
        verify_tls=spec.verify_tls,
        **_credentials(spec.secret, url),
    )


def _credentials(secret: Mapping[str, str], url: SplitResult) -> dict[str, str]:
    # Files that Secrets are made from end in a newline more often than not.
    given = {key: value.strip() for key, value in secret.items()}
    if given.get("token"):
        return {"token": given["token"]}
    if given.get("username") and "password" in given:
        return {"username": given["username"], "password": given["password"]}
    if given:
        raise ProviderError(
            f"the Secret for Prometheus at {_shown(url)} has neither the key token nor the keys "
            "username and password; add them, or take secretRef out of the MetricTemplate"
        )
    return {"username": unquote(url.username or ""), "password": unquote(url.password or "")}


def _value(result: Any, address: str) -> float | None:
    match result:
        case []:
            return None
        case [*_, {"value": [_, str(number)]}] | [float() | int(), str(number)]:
            return _number(number, address)
        case [*_, {"values": _}]:
            raise ProviderError(
                f"Prometheus at {address} gives a range of values for the query, where one number "
                "is needed; wrap it in rate(), avg_over_time() or the like"
            )
        case [*_, {"histogram": _}]:
            raise ProviderError(
                f"Prometheus at {address} gives a histogram for the query, where one number is "
                "needed; wrap it in histogram_quantile() or the like"
            )
        case _:
            raise _not_prometheus(address)


def _number(text: str, address: str) -> float | None:
    try:
        value = float(text)
    except ValueError as error:
        raise ProviderError(
            f"Prometheus at {address} gives the text {text[:_SHOWN]!r} for the query, where one "
            "number is needed"
        ) from error
    return None if math.isnan(value) else value


_ADVICE: Final = {
    400: "mend the query",
    401: "see whether the Secret has the right token, or username and password",
    403: "see whether the credentials may query it",
    404: "see whether the address leads to Prometheus, with the path before /api/v1 if it has one",
    422: "mend the query",
    429: "ask it less often, or let it answer more",
}


def _complaint(response: requests.Response) -> str:
    """Say what Prometheus said: https://prometheus.io/docs/prometheus/latest/querying/api/."""
    status = f"answers {response.status_code}"
    if response.is_redirect:
        target = urlsplit(urljoin(response.url, response.headers["Location"]))
        return f"{status}, a redirect to {_shown(target)}; make that the provider's address"
    advice = _ADVICE.get(response.status_code, "see its logs, or make the query cheaper")
    return f"{status}{_own_words(response)}; {advice}"


def _own_words(response: requests.Response) -> str:
    # Nothing is quoted that is not in Prometheus' own form: the address is the team's to choose,
    # and what answers there may tell the analyzer what it would not tell the team.
    try:
        said = response.json()
    except requests.JSONDecodeError:
        return f" {response.reason}" if response.reason else ""
    return f": {str(said['error'])[:_SHOWN]}" if isinstance(said, dict) and "error" in said else ""


def _not_prometheus(address: str) -> ProviderError:
    return ProviderError(
        f"what answers at {address} is not the API of a Prometheus; see whether the address leads "
        "to one, with the path before /api/v1 if it has one"
    )


def _cause(error: requests.ConnectionError) -> str:
    match getattr(error.args[0], "reason", None) if error.args else None:
        case urllib3.exceptions.NameResolutionError():
            return "the name does not resolve"
        case urllib3.exceptions.NewConnectionError(__cause__=OSError(strerror=str(text))):
            return text
        case _:
            return "the connection broke"


def _shown(url: SplitResult) -> str:
    """Return the address without what may be secret in it."""
    return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _named(url: SplitResult) -> str:
    return f" ({_shown(url)})" if url.netloc else ""
