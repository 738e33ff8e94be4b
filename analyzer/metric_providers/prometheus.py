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

from analyzer.metric_providers.bounded_session import BoundedSession, Credentials, TooMuch
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
            case _Refused() | TooMuch():
                return ProviderError(f"Prometheus at {address} {_complaint(error)}")
            case requests.JSONDecodeError():
                return _not_prometheus(address)
            case requests.exceptions.SSLError():
                return ProviderError(
                    f"the certificate of Prometheus at {address} is not trusted, or it speaks no "
                    "TLS; mend it, or set insecureSkipVerify in the MetricTemplate's provider"
                )
            case requests.Timeout():
                return self._silent(address)
            case requests.ConnectionError():
                return ProviderError(
                    f"Prometheus at {address} cannot be reached ({_cause(error)}); see whether "
                    "the address is right and a Service answers there"
                )
            case _:
                return ProviderError(
                    f"Prometheus at {address} cannot be asked ({type(error).__name__}); mend the "
                    "address or the headers of the MetricTemplate's provider"
                )


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


class _Refused(requests.RequestException):
    """The answer's status is not 200; `response` is the whole answer."""

    response: requests.Response


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
        # The library tells of an error in one text, from which status and reason would have to be
        # parsed again.
        session.hooks["response"].append(_refuse)
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
