"""The work queue: one key never in two hands, failures come back later and later.

After client-go's workqueue: a key that is added while it is worked on is worked on once more. Who
is next is `analyzer.loop.lines`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final, Generic, TypeVar

from analyzer.loop.lines import Lines
from runtime.backoff import Backoff

K = TypeVar("K", bound=Hashable)

_NO_BOUND: Final = 1 << 30


@dataclass(slots=True)
class _Again:
    """Why a key is to be worked on once more: for certain, or unless each of these tells no."""

    urgent: bool = False
    for_certain: bool = False
    doubtful: list[Callable[[], bool]] = field(default_factory=list)

    def take(self, *, urgent: bool, unless: Callable[[], bool] | None) -> None:
        """Take in one reason more."""
        self.urgent = self.urgent or urgent
        if unless is None:
            self.for_certain = True
            self.doubtful.clear()
        elif not self.for_certain:
            self.doubtful.append(unless)

    @property
    def is_needed(self) -> bool:
        return self.for_certain or not all(is_none() for is_none in self.doubtful)


class WorkQueue(Generic[K]):
    """A queue of keys with delays. Made and used on one event loop.

    Args:
        owner_of: whose a key is: owners have their turn one after the other. Without it each key
            is its own owner, and they come as they were added.
        at_once: keys of one owner that are worked on at a time.

    """

    def __init__(
        self, owner_of: Callable[[K], Hashable] | None = None, at_once: int = _NO_BOUND
    ) -> None:
        self._lines = Lines[K](owner_of or (lambda key: key), at_once)
        self._working: dict[K, bool] = {}
        self._again: dict[K, _Again] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, Backoff] = {}
        # Who waits for any key, and who for an urgent one.
        self._idle: dict[bool, deque[asyncio.Future[None]]] = {False: deque(), True: deque()}

    def add(
        self, key: K, *, urgent: bool = False, unless: Callable[[], bool] | None = None
    ) -> None:
        """Queue a key now; a later appointment for it is dropped.

        Args:
            key: what is to be worked on.
            urgent: whether it goes before all that is not.
            unless: of a key that is worked on, tells at the end of that whether there is no need
                to work on it once more; its appointment stands then.

        """
        if key in self._working:
            self._again.setdefault(key, _Again()).take(urgent=urgent, unless=unless)
            return
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        self._join(key, urgent=urgent)

    def add_after(self, key: K, delay: timedelta) -> None:
        """Queue a key after a delay; of two appointments the earlier stands.

        What is worked on as urgent and is to be looked at again at once stays urgent.
        """
        seconds = max(0.0, delay.total_seconds())
        if seconds:
            self._appoint(key, seconds, urgent=False)
        else:
            self.add(key, urgent=self._working.get(key, False))

    def _appoint(self, key: K, seconds: float, *, urgent: bool) -> None:
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, partial(self.add, key, urgent=urgent))

    def add_rate_limited(self, key: K, at_least: float = 0.0) -> float:
        """Queue a key after a failure and return the delay in seconds, which grows.

        What was urgent still is then.

        Args:
            key: what failed.
            at_least: seconds that the other side asked for.

        """
        delay = max(at_least, self._failures.setdefault(key, Backoff(first=0.5, cap=60.0)).next())
        self._appoint(key, delay, urgent=self._working.get(key, False))
        return delay

    def forget(self, key: K) -> None:
        """Note that a key succeeded: its next failure starts small again."""
        self._failures.pop(key, None)

    async def get(self, *, urgent_only: bool = False) -> K:
        """Wait for a key; `done` must follow.

        Args:
            urgent_only: whether to wait for an urgent one.

        """
        while (taken := self._lines.take(urgent_only=urgent_only)) is None:
            await self._called(self._idle[urgent_only])
        key, self._working[key] = taken
        self._call_for_the_rest()
        return key

    def done(self, key: K) -> None:
        """Give a key back; if it was added meanwhile, it is queued again."""
        del self._working[key]
        self._lines.done(key)
        again = self._again.pop(key, None)
        if again is not None and again.is_needed:
            self.add(key, urgent=again.urgent)
        self._call_for_the_rest()  # Another of its owner's may be worked on now.

    def close(self) -> None:
        """Drop all appointments, so that nothing is called after the loop's work has ended."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def __len__(self) -> int:
        """Return how many keys wait to be worked on now."""
        return len(self._lines)

    def _join(self, key: K, *, urgent: bool) -> None:
        self._lines.join(key, urgent=urgent)
        self._call(urgent=urgent)

    async def _called(self, idle: deque[asyncio.Future[None]]) -> None:
        """Wait until there may be a key."""
        call: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        idle.append(call)
        try:
            await call
        except asyncio.CancelledError:
            if call in idle:
                idle.remove(call)
            self._call_for_the_rest()  # It may have been called just before.
            raise

    def _call_for_the_rest(self) -> None:
        """Have one more look: who was called may have taken what another was called for."""
        if len(self._lines):
            self._call(urgent=self._lines.has_urgent)

    def _call(self, *, urgent: bool) -> None:
        """Have one who waits look who is next: for an urgent key those who wait for such alone."""
        for idle in (self._idle[True], self._idle[False]) if urgent else (self._idle[False],):
            while idle:
                call = idle.popleft()
                if not call.done():
                    call.set_result(None)
                    return
