"""What waits to be asked of one Prometheus together, and what becomes of it when that fails.

```text
 waits --> together --> its answer
              |  the query may be at fault: each half together, down to one alone
              |  no answer in time, or late ones again and again: each alone
              '  anything else: one alone; as that goes, the others too, or each half together
```
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Generic, Protocol, TypeVar

from analyzer.guards import guarded, told
from analyzer.metric_providers.prometheus.faults import RejectedError, SilentError
from analyzer.ports import ProviderError, TooLargeError
from canary.counting.joining import portions
from canary.queries.provider import ProviderSpec

W = TypeVar("W")
A = TypeVar("A")
W_contra = TypeVar("W_contra", contravariant=True)
A_co = TypeVar("A_co", covariant=True)

SLOW: Final = 1.0
"""Seconds after which something that was asked together is taken to keep the others waiting."""
PATIENCE: Final = 600.0
"""Seconds between two searches for it."""


@dataclass(eq=False, slots=True)
class Asked(Generic[W, A]):
    """One query, and all who wait for its answer.

    `what` is the query as it can be joined with others, `ask` asks it alone; `spec` is where, as
    the first who wants to know has it. `since` is when the round began in which it is asked, on the
    loop's clock.
    """

    query: str
    what: W
    spec: ProviderSpec
    ask: Callable[[ProviderSpec], Awaitable[A]]
    waiting: list[asyncio.Future[A | ProviderError]] = field(default_factory=list)
    since: float = float("-inf")

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits still."""
        return any(not one.done() for one in self.waiting)

    def settle(self, answer: A | ProviderError) -> None:
        """Give everybody who waits the answer, or why there is none."""
        for one in self.waiting:
            if not one.done():
                one.set_result(answer)


class Kind(Protocol[W_contra, A_co]):
    """A way in which queries are asked together.

    `characters` is what a portion may weigh, `most` how many it may have.
    """

    characters: int
    most: int

    def weight(self, what: W_contra) -> int:
        """Return what one weighs."""

    async def together(
        self, spec: ProviderSpec, whats: Sequence[W_contra]
    ) -> Sequence[A_co | ProviderError]:
        """Return what becomes of each; raises ProviderError where nothing does of any."""


class Server(Protocol):
    """What the lines of one server share."""

    async def turn(self) -> None:
        """Wait for a turn to ask something."""

    def heard(self) -> None:
        """Hear that it has answered."""

    def begin_alone(self, asked: Asked[W, A]) -> None:
        """Begin to ask a query alone; it is settled then."""

    async def alone(self, asked: Asked[W, A]) -> bool:
        """Ask a query alone and settle it; return whether there was an answer."""


class Line(Generic[W, A]):
    """What waits for its turn at one server, of one family of metrics.

    Args:
        kind: how it is asked together.
        server: where.

    """

    def __init__(self, kind: Kind[W, A], server: Server) -> None:
        self._kind = kind
        self._server = server
        self._waiting: dict[str, Asked[W, A]] = {}
        # Fewer where the server does not take as many.
        self._most = kind.most
        self._searched = float("-inf")
        self._searches = False
        self.is_served = False

    def join(self, asked: Asked[W, A]) -> Asked[W, A]:
        """Have a query wait for the next round; the same one waits once, with what it is found."""
        return self._waiting.setdefault(asked.query, asked)

    async def serve(self, gathering: float, spacing: float) -> None:
        """Ask until nothing waits.

        Args:
            gathering: seconds in which others may join the first.
            spacing: seconds between two rounds, each of which asks whatever waits.

        """
        self.is_served = True
        try:
            await asyncio.sleep(gathering)
            while self._waiting:
                asked = [one for one in self._waiting.values() if one.is_wanted]
                self._waiting = {}
                await self._round(asked)
                await asyncio.sleep(spacing)
        finally:
            self.is_served = False

    async def _round(self, asked: Sequence[Asked[W, A]]) -> None:
        since = asyncio.get_running_loop().time()
        for one in asked:
            one.since = since
        if self._searches:
            self._searches = False
            self._each_alone(asked)
            return
        found = portions(asked, self._weight, characters=self._kind.characters, most=self._most)
        async with asyncio.TaskGroup() as group:
            for portion in found:
                group.create_task(self._ask(portion))

    def _weight(self, asked: Asked[W, A]) -> int:
        return self._kind.weight(asked.what)

    def _each_alone(self, asked: Sequence[Asked[W, A]]) -> None:
        for one in asked:
            self._server.begin_alone(one)

    async def _ask(self, asked: Sequence[Asked[W, A]]) -> bool:
        """Ask a portion; return whether the server has taken it as it is."""
        if len(asked) == 1:
            self._each_alone(asked)
            return True

        def tell(error: BaseException) -> None:
            told("queries cannot be asked together", error, queries=len(asked))
            self._each_alone(asked)

        with guarded(tell):
            return await self._ask_together(asked)
        return False

    async def _ask_together(self, asked: Sequence[Asked[W, A]]) -> bool:
        await self._server.turn()
        now = asyncio.get_running_loop().time
        began = now()
        try:
            answers = await self._kind.together(_for_all(asked), [one.what for one in asked])
        except SilentError:
            self._each_alone(asked)
            return False
        except (RejectedError, TooLargeError):
            await self._ask_halves(asked)
            return False
        except ProviderError as error:
            await self._ask_one_of(asked, error)
            return False
        self._server.heard()
        for one, answer in zip(asked, answers, strict=True):
            if isinstance(answer, ProviderError):  # in the words that it has alone
                self._server.begin_alone(one)
            else:
                one.settle(answer)
        self._search_after(now() - began, now())
        return True

    async def _ask_halves(self, asked: Sequence[Asked[W, A]]) -> None:
        middle = len(asked) // 2
        async with asyncio.TaskGroup() as group:
            first = group.create_task(self._ask(asked[:middle]))
            second = group.create_task(self._ask(asked[middle:]))
        if middle > 1 and first.result() and second.result():
            self._most = middle  # It was too much for the server, and no query was at fault.

    async def _ask_one_of(self, asked: Sequence[Asked[W, A]], error: ProviderError) -> None:
        """Find out whether a server says the same of one query as of many."""
        first, others = asked[0], asked[1:]
        if not await self._server.alone(first):
            for one in others:
                one.settle(error)
        elif len(others) == 1:
            self._each_alone(others)
        else:
            await self._ask_halves(others)

    def _search_after(self, took: float, now: float) -> None:
        """Have each asked alone where all took long, by which those that do show themselves."""
        if took >= SLOW and now >= self._searched + PATIENCE:
            self._searched, self._searches = now, True
            self._most = max(2, self._most // 2)
        elif took < SLOW and now >= self._searched + PATIENCE:
            self._most = self._kind.most


def _for_all(asked: Sequence[Asked[W, A]]) -> ProviderSpec:
    """Return where to ask on behalf of the one namespace whose questions they are, or of nobody."""
    askers = {one.spec.asker for one in asked}
    return replace(asked[0].spec, asker=askers.pop() if len(askers) == 1 else "")
