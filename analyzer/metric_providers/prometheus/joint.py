"""One query for many: what the checks of all runs ask of a Prometheus is asked together.

What can be joined with others waits for a moment, and from then on for the round before it; each
round is one query for each family of metrics, however many runs ask. What cannot be read, or has
kept others waiting, is asked alone, evenly over the time. A query's answer is the same either way.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter

from analyzer.guards import guarded, told
from analyzer.metric_providers.prometheus.connection import Identity, identify
from analyzer.metric_providers.prometheus.lines import SLOW, Asked, Kind, Line
from analyzer.metric_providers.prometheus.provider import PrometheusProvider
from analyzer.ports import Deriver, ProviderError, TooLargeError, UnderivableError
from analyzer.turns import Turns
from canary.counting import dealing
from canary.counting.dealing import Ranged, UndecidedError, dealt, ranged
from canary.counting.joining import MOST_CHARACTERS, MOST_PARTS, Joinable, joinable
from canary.measuring.history import Past
from canary.queries.provider import ProviderSpec

_A = TypeVar("_A")
_W = TypeVar("_W")
_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")

GATHERING: Final = 0.02
"""Seconds that the first of a round waits for others."""
SPACING: Final = 0.5
"""Seconds between two rounds of one family at one server."""
PER_SECOND: Final = 50.0
BURST: Final = 25
"""Requests to one server, for checks."""
_APART: Final = 600.0
"""Seconds for which a query is asked alone that failed where others did not, or took long."""
_LATELY: Final = 10.0
"""Seconds for which it is known of a server that it answers."""
_MOST_KEPT: Final = 10_000
"""Queries that are asked alone; lines and servers are as many at most."""
_MOST_RANGED: Final = 128
"""Each brings all samples of a few series."""


class _Numbers:
    """Queries that are a number each."""

    characters = MOST_CHARACTERS
    most = MOST_PARTS

    def __init__(self, prometheus: PrometheusProvider) -> None:
        self._prometheus = prometheus

    def weight(self, what: Joinable) -> int:
        return what.size

    async def together(
        self, spec: ProviderSpec, whats: Sequence[Joinable]
    ) -> Sequence[tuple[float, ...] | ProviderError]:
        return await self._prometheus.numbers(spec, [one.text for one in whats])


class _Samples:
    """Selectors whose samples are read."""

    characters = dealing.MOST_JOINED
    most = _MOST_RANGED

    def __init__(self, prometheus: PrometheusProvider) -> None:
        self._prometheus = prometheus

    def weight(self, what: Ranged) -> int:
        return what.size

    async def together(
        self, spec: ProviderSpec, whats: Sequence[Ranged]
    ) -> Sequence[Sequence[Past] | ProviderError]:
        found = await self._prometheus.samples(spec, dealing.joined(whats))
        try:
            # Series of hundreds of runs are some 100 ms of work.
            return await asyncio.to_thread(dealt, whats, found)
        except UndecidedError as error:
            raise TooLargeError(str(error)) from error


@dataclass(eq=False, slots=True)
class _Server:
    """One Prometheus, asked with one set of credentials.

    `answered` is when it answered last, on the loop's clock; `apart` are the queries that are asked
    alone, and until when.
    """

    identity: Identity
    turns: Turns[str]
    requests: Counter
    begin: Callable[[Coroutine[Any, Any, None]], None]
    answered: float = float("-inf")
    apart: OrderedDict[str, float] = field(default_factory=OrderedDict)

    async def turn(self, how: str = "joined") -> None:
        """Wait for a turn to ask something."""
        await self.turns.take(self.identity.address)
        self.requests.labels(how).inc()

    def heard(self) -> None:
        """Hear that it has answered."""
        self.answered = asyncio.get_running_loop().time()

    def begin_alone(self, asked: Asked[_W, _A]) -> None:
        """Begin to ask a query alone; it is settled then."""

        async def ask() -> None:
            await self.alone(asked)

        self.begin(ask())

    async def alone(self, asked: Asked[_W, _A]) -> bool:
        """Ask a query alone and settle it; return whether there was an answer."""
        unexpected: list[BaseException] = []
        answer: _A | ProviderError = ProviderError("the query cannot be asked")
        with guarded(unexpected.append):
            try:
                answer = await self.asked_alone(
                    asked.query, lambda: asked.ask(asked.spec), asked.since
                )
            except ProviderError as error:
                answer = error
        for fault in unexpected:
            told("query cannot be asked", fault)
            answer = ProviderError(f"the query cannot be asked: {fault!r}")
        asked.settle(answer)
        return not isinstance(answer, ProviderError)

    async def asked_alone(
        self, query: str, ask: Callable[[], Awaitable[_A]], since: float | None = None
    ) -> _A:
        """Ask in turn, and have a query that is at fault asked alone from now on.

        Args:
            query: as its team has written it.
            ask: asks it.
            since: from when on an answer to another query says that this one is at fault, and not
                the server; None for lately.

        """
        await self.turn("alone")
        now = asyncio.get_running_loop().time
        began = now()
        try:
            answer = await ask()
        except ProviderError:
            # What the server says to all is nobody's fault.
            if self.answered >= (began - _LATELY if since is None else since):
                self._set_apart(query)
            raise
        self.heard()
        if now() - began >= SLOW:
            self._set_apart(query)
        return answer

    def _set_apart(self, query: str) -> None:
        self.apart.pop(query, None)
        self.apart[query] = asyncio.get_running_loop().time() + _APART
        while len(self.apart) > _MOST_KEPT:
            self.apart.popitem(last=False)

    def is_apart(self, query: str) -> bool:
        """Tell whether a query is asked alone."""
        until = self.apart.get(query, float("-inf"))
        return asyncio.get_running_loop().time() < until


class JointPrometheus:
    """Asks a Prometheus for many what each of them would ask alone.

    Args:
        prometheus: asks it.
        deriver: reads what teams have written.
        begin: has something done beside those who wait for it.
        registry: where it counts what it asks.

    """

    def __init__(
        self,
        prometheus: PrometheusProvider,
        deriver: Deriver,
        begin: Callable[[Coroutine[Any, Any, None]], None],
        registry: CollectorRegistry,
    ) -> None:
        self._prometheus = prometheus
        self._deriver = deriver
        self._begin = begin
        self._numbers, self._samples = _Numbers(prometheus), _Samples(prometheus)
        self._servers = _Kept[Identity, _Server](lambda _: True)
        self._lines = _Kept[Hashable, Line[Any, Any]](lambda line: not line.is_served)
        self._turns = Turns[str](per_second=PER_SECOND, burst=BURST, jitter=random.random)
        self._requests = Counter(
            "headgate_check_requests",
            "Requests to a Prometheus for the checks of runs, by how: joined (for several queries) "
            "or alone.",
            ["how"],
            registry=registry,
        )

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Return what a query comes to now; see the port."""

        async def ask(spec: ProviderSpec) -> tuple[float, ...]:
            return await self._prometheus.query(spec, query, interval)

        server = self._server(spec)
        what = await self._read(server, spec, joinable, query)
        if what is None:
            return await server.asked_alone(query, lambda: ask(spec))
        line = self._line(server, spec, ("numbers", *what.families), self._numbers)
        return await self._wait_in(line, Asked(query, what, spec, ask))

    async def samples(self, spec: ProviderSpec, query: str) -> Sequence[Past]:
        """Return the samples that a query reads; see the port."""

        async def ask(spec: ProviderSpec) -> Sequence[Past]:
            return await self._prometheus.samples(spec, query)

        server = self._server(spec)
        what = await self._read(server, spec, ranged, query)
        if what is None:
            return await server.asked_alone(query, lambda: ask(spec))
        line = self._line(server, spec, ("samples", *what.like), self._samples)
        return await self._wait_in(line, Asked(query, what, spec, ask))

    def _server(self, spec: ProviderSpec) -> _Server:
        identity = identify(spec)
        return self._servers.get(
            identity, lambda: _Server(identity, self._turns, self._requests, self._begin)
        )

    async def _read(
        self, server: _Server, spec: ProviderSpec, read: Callable[[str], _W | None], query: str
    ) -> _W | None:
        """Return a query as it can be joined with others; None where it is to be asked alone."""
        if server.is_apart(query):
            return None
        try:
            return await self._deriver.derive(spec.asker, read, query)
        except UnderivableError:
            return None

    def _line(
        self, server: _Server, spec: ProviderSpec, family: Hashable, kind: Kind[_W, _A]
    ) -> Line[_W, _A]:
        # Whose Secret is sent is whose question it is, be another's the same.
        has_secret = spec.secret or server.identity.username or server.identity.token
        own = spec.asker if has_secret else ""
        key = (server.identity, own, family)
        return self._lines.get(key, lambda: Line(kind, server))

    async def _wait_in(self, line: Line[_W, _A], asked: Asked[_W, _A]) -> _A:
        answer: asyncio.Future[_A | ProviderError] = asyncio.get_running_loop().create_future()
        line.join(asked).waiting.append(answer)
        if not line.is_served:
            line.is_served = True
            self._begin(line.serve(GATHERING, SPACING))
        found = await answer
        if isinstance(found, ProviderError):
            raise found.with_traceback(None)
        return found


class _Kept(Generic[_K, _V]):
    """What was wanted last, of what can be made anew."""

    def __init__(self, can_go: Callable[[_V], bool]) -> None:
        self._can_go = can_go
        self._kept: OrderedDict[_K, _V] = OrderedDict()

    def get(self, key: _K, make: Callable[[], _V]) -> _V:
        """Return what is kept, or made now."""
        if key not in self._kept:
            if len(self._kept) >= _MOST_KEPT:
                idle = next((it for it, value in self._kept.items() if self._can_go(value)), None)
                if idle is not None:
                    del self._kept[idle]
            self._kept[key] = make()
        self._kept.move_to_end(key)
        return self._kept[key]


class _Beside:
    """Has things done beside those who wait for them, in one group, until it is closed."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, what: Coroutine[Any, Any, None]) -> None:
        """Have something done."""
        task = self._group.create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Have nothing done any more."""
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def open_joint(
    prometheus: PrometheusProvider, deriver: Deriver, registry: CollectorRegistry
) -> AsyncIterator[JointPrometheus]:
    """Ask for many until the block is left, by when nobody may wait any more."""
    async with asyncio.TaskGroup() as group:
        beside = _Beside(group)
        try:
            yield JointPrometheus(prometheus, deriver, beside.begin, registry)
        finally:
            beside.close()
