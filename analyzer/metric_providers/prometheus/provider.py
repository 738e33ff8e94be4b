"""Metrics from Prometheus, through its HTTP API's instant and range queries.

The client library blocks, so each connection has threads of its own: a Prometheus that does not
answer can hold no more than those, and queries to others go on. Each namespace that asks has a few
places at a connection: its slow queries hold no more than those, and another's go on.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, TypeVar

import requests

from analyzer.addresses import EVERYWHERE, Guard
from analyzer.metric_providers.prometheus.answers import (
    History,
    history_of,
    numbers_of,
    series_of,
    values_of,
)
from analyzer.metric_providers.prometheus.connection import Connection, Identity, identify
from analyzer.metric_providers.prometheus.faults import explain, silent
from analyzer.metric_providers.prometheus.room import Rooms
from analyzer.places import Places
from analyzer.ports import ProviderError
from canary.counting.joining import joined
from canary.counting.series import Series
from canary.queries.provider import ProviderSpec

_T = TypeVar("_T")

_QUESTIONS: Final = 32
"""Of one namespace at a time, whatever servers it asks."""
_QUESTIONS_AT_ONCE: Final = 96
"""Each may have a small answer in memory before it is its turn to be parsed."""
_ONE_SERIES: Final = "let the query make one series of all, with sum() or the like"
_FEWER_SERIES: Final = "let the query select fewer series, by more of their labels"
_FEWER_POINTS: Final = "let the query select fewer series, or take a longer step or a shorter time"

_FAULTS: Final = (
    requests.RequestException,
    ArithmeticError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""Of asking, and of reading answers of any form."""


class PrometheusProvider:
    """Asks Prometheus, and what speaks its API (Thanos, Mimir, VictoriaMetrics).

    Args:
        guard: says which addresses may be asked.
        trusted: the address that the admin names, which is asked wherever it leads.
        timeout: bounds one query, the wait for a place included.
        threads: queries that one connection runs at a time for one namespace.
        connections: how many are kept. More are there while as many are being asked at once; then
            those not used for longest are closed.

    """

    def __init__(
        self,
        guard: Guard,
        *,
        trusted: str = "",
        timeout: timedelta = timedelta(seconds=5),
        threads: int = 4,
        connections: int = 128,
    ) -> None:
        self._guard = guard
        self._trusted = trusted.strip().rstrip("/")
        self._timeout = timeout
        self._threads = threads
        self._limit = connections
        self._connections: OrderedDict[Identity, Connection] = OrderedDict()
        self._asked: Counter[Identity] = Counter()
        self._rooms = Rooms()
        self._questions = Places[str](per_owner=_QUESTIONS, total=_QUESTIONS_AT_ONCE)

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return the value of every series of the query's result now, without those that are NaN.

        Args:
            spec: `address` with the path before `/api/v1`, if there is one; `secret` with `token`,
                or `username` and `password`, or empty.
            query: PromQL that gives a vector or a scalar.
            interval: nothing to it; PromQL says how far it looks back.

        Raises:
            ProviderError: there is no answer to be had; the message says why.

        """
        del interval

        def ask(connection: Connection, address: str) -> tuple[float, ...]:
            return values_of(connection.numbers.custom_query(query), address)

        return await self._ask(spec, ask, _ONE_SERIES)

    async def numbers(
        self, spec: ProviderSpec, texts: Sequence[str]
    ) -> tuple[tuple[float, ...] | ProviderError, ...]:
        """Return what `query` would return of each of some queries, asked in one.

        Args:
            spec: as for `query`.
            texts: as `canary.counting.joining` has them.

        Raises:
            ProviderError: there is no answer to be had to any of them.

        """
        query = joined(texts)

        def ask(
            connection: Connection, address: str
        ) -> tuple[tuple[float, ...] | ProviderError, ...]:
            return numbers_of(connection.lists.custom_query(query), len(texts), address)

        return await self._ask(spec, ask, _FEWER_SERIES)

    async def series(self, spec: ProviderSpec, query: str) -> tuple[Series, ...]:
        """Return every series of the query's result now, with values as they are (NaN too).

        Args:
            spec: as for `query`.
            query: PromQL that gives a vector, of any length.

        Raises:
            ProviderError: there is no answer to be had, or it is no vector.

        """

        def ask(connection: Connection, address: str) -> tuple[Series, ...]:
            return series_of(connection.lists.custom_query(query), address)

        return await self._ask(spec, ask, _FEWER_SERIES)

    async def samples(self, spec: ProviderSpec, query: str) -> History:
        """Return the samples of each series of a range, such as `http_requests_total[1m]`.

        Args:
            spec: as for `query`.
            query: PromQL that gives a range vector.

        Raises:
            ProviderError: there is no answer to be had; the message says why.

        """

        def ask(connection: Connection, address: str) -> History:
            return history_of(connection.lists.custom_query(query), address)

        return await self._ask(spec, ask, _FEWER_SERIES)

    async def history(
        self, spec: ProviderSpec, query: str, *, start: datetime, end: datetime, step: timedelta
    ) -> History:
        """Return the query's series from `start` to `end`, both included, a point every `step`.

        A series has no point where it had no value.

        Args:
            spec: as for `query`.
            query: PromQL that gives a vector or a scalar, of any length.
            start: with its time zone.
            end: with its time zone.
            step: above zero; Prometheus refuses more than 11 000 points for a series.

        Raises:
            ProviderError: there is no answer to be had; the message says why.

        """
        # The library rounds to whole seconds, by which points would move against the samples.
        exact = {"start": start.timestamp(), "end": end.timestamp()}

        def ask(connection: Connection, address: str) -> History:
            seconds = f"{step.total_seconds():f}"
            return history_of(
                connection.lists.custom_query_range(query, start, end, seconds, params=exact),
                address,
            )

        return await self._ask(spec, ask, _FEWER_POINTS)

    async def _ask(
        self, spec: ProviderSpec, ask: Callable[[Connection, str], _T], shorten: str
    ) -> _T:
        identity = identify(spec)
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                # What several namespaces ask of one server holds up that server's alone.
                async with self._questions.take(spec.asker or identity.address):
                    return await self._ask_at(identity, spec.asker, ask)
        except TimeoutError as error:
            raise silent(identity.address, self._timeout) from error
        except _FAULTS as error:
            raise explain(error, identity.address, self._timeout, shorten) from error

    async def _ask_at(
        self, identity: Identity, asker: str, ask: Callable[[Connection, str], _T]
    ) -> _T:
        loop, seconds = asyncio.get_running_loop(), self._timeout.total_seconds()
        owner, trusted = asker or identity.address, identity.address == self._trusted

        def in_thread(connection: Connection) -> _T:
            with self._rooms.of(owner, loop, seconds, trusted=trusted):
                return ask(connection, identity.address)

        with self._connected(identity) as connection:
            async with connection.places.take(asker):
                return await loop.run_in_executor(connection.threads, in_thread, connection)

    async def aclose(self) -> None:
        """Close all connections, once the queries that run have ended."""
        while self._connections:
            _, connection = self._connections.popitem()
            connection.retire()
            await asyncio.to_thread(connection.threads.shutdown)

    @contextmanager
    def _connected(self, identity: Identity) -> Iterator[Connection]:
        """Give a connection that stays open while it is asked."""
        self._asked[identity] += 1
        try:
            yield self._connect(identity)
        finally:
            self._asked[identity] -= 1
            if not self._asked[identity]:
                del self._asked[identity]

    def _connect(self, identity: Identity) -> Connection:
        if connection := self._connections.get(identity):
            self._connections.move_to_end(identity)
            return connection
        idle = [one for one in self._connections if one not in self._asked]
        for oldest in idle[: max(0, len(self._connections) - self._limit + 1)]:
            self._connections.pop(oldest).retire()
        guard = EVERYWHERE if identity.address == self._trusted else self._guard
        connection = Connection.open(identity, guard, self._timeout, self._threads, self._rooms)
        self._connections[identity] = connection
        return connection
