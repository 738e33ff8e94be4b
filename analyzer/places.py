"""Fair places: who waits long for an answer keeps nobody else from asking.

A semaphore gives its places to whoever comes first, so that one namespace whose pods, hooks or
metrics server hang takes them all. Here each owner has a bound of its own, the next free place goes
to the owner who has the fewest, and a first place is every owner's, whatever the others have taken.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

K = TypeVar("K")


class Places(Generic[K]):
    """Places that owners take for as long as they need them. For one event loop.

    Args:
        per_owner: places that one owner may have at a time, at least 1.
        total: places of all owners together, at least 1. It is passed only by an owner's first
            place: no more are ever taken than `total` and one for each owner.
        strict: it is passed by nobody, as what a place stands for is no more than that.

    Raises:
        ValueError: there is no place.

    """

    def __init__(self, *, per_owner: int, total: int, strict: bool = False) -> None:
        if per_owner < 1 or total < 1:
            raise ValueError("an owner needs at least one place, and so do all together")
        self._total = total
        self._beyond = 0 if strict else 1
        self._held: Counter[K] = Counter()
        self._taken = 0
        self._queues: dict[K, deque[asyncio.Future[None]]] = {}
        # Owners who wait and may have one more, by how many they have; each in order of arrival.
        self._lines: tuple[dict[K, None], ...] = tuple({} for _ in range(per_owner))

    @asynccontextmanager
    async def take(self, owner: K) -> AsyncIterator[None]:
        """Wait for a place, and have it until the block is left.

        Whoever is cancelled while it waits has no place, and the next one gets it.

        Args:
            owner: whose place it is to be.

        """
        await self.enter(owner)
        try:
            yield
        finally:
            self.leave(owner)

    async def enter(self, owner: K) -> None:
        """Wait for a place, and have it until `leave` is called."""
        await self._turn(owner)

    def leave(self, owner: K) -> None:
        """Give a place back that was entered."""
        self._hold(owner, -1)
        self._give()

    def waiting(self, owner: K) -> int:
        """Return how many wait for a place of this owner's."""
        return len(self._queues.get(owner, ()))

    async def _turn(self, owner: K) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(owner, deque()).append(turn)
        self._line_up(owner)
        self._give()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._withdraw(owner, turn)
            else:  # It was its turn just before.
                self.leave(owner)
            raise

    def _give(self) -> None:
        """Give what is free to those who have the fewest, and to everybody a first place."""
        while (owner := self._next()) is not None:
            turn = self._queues[owner][0]
            self._withdraw(owner, turn)
            if not turn.done():  # Else it was cancelled, and has not come to say so yet.
                self._hold(owner, +1)
                turn.set_result(None)

    def _next(self) -> K | None:
        lines = self._lines if self._taken < self._total else self._lines[: self._beyond]
        return next((owner for line in lines for owner in line), None)

    def _hold(self, owner: K, more: int) -> None:
        self._step_out(owner)
        self._taken += more
        self._held[owner] += more
        if not self._held[owner]:
            del self._held[owner]
        self._line_up(owner)

    def _withdraw(self, owner: K, turn: asyncio.Future[None]) -> None:
        queue = self._queues.get(owner, deque())
        if turn in queue:
            queue.remove(turn)
        if not queue:
            self._queues.pop(owner, None)
            self._step_out(owner)

    def _line_up(self, owner: K) -> None:
        if self.waiting(owner) and self._held[owner] < len(self._lines):
            self._lines[self._held[owner]][owner] = None

    def _step_out(self, owner: K) -> None:
        if self._held[owner] < len(self._lines):
            self._lines[self._held[owner]].pop(owner, None)
