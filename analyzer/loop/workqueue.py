"""The work queue: one key never in two hands, failures come back later and later.

After client-go's workqueue: a key that is added while it is worked on is worked on once more.
"""

import asyncio
from collections.abc import Hashable
from datetime import timedelta
from typing import Generic, TypeVar

from runtime.backoff import Backoff

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """A queue of keys with delays. Made and used on one event loop."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._queued: set[K] = set()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, Backoff] = {}

    def add(self, key: K) -> None:
        """Queue a key now; a later appointment for it is dropped."""
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        if key in self._working:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: K, delay: timedelta) -> None:
        """Queue a key after a delay; of two appointments the earlier stands."""
        seconds = max(0.0, delay.total_seconds())
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self.add, key)

    def add_rate_limited(self, key: K, at_least: float = 0.0) -> float:
        """Queue a key after a failure and return the delay in seconds, which grows.

        Args:
            key: what failed.
            at_least: seconds that the other side asked for.

        """
        delay = max(at_least, self._failures.setdefault(key, Backoff(first=0.5, cap=60.0)).next())
        self.add_after(key, timedelta(seconds=delay))
        return delay

    def forget(self, key: K) -> None:
        """Note that a key succeeded: its next failure starts small again."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Wait for a key; `done` must follow."""
        key = await self._ready.get()
        self._queued.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """Give a key back; if it was added meanwhile, it is queued again."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def close(self) -> None:
        """Drop all appointments, so that nothing is called after the loop's work has ended."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def __len__(self) -> int:
        """Return how many keys wait to be worked on now."""
        return self._ready.qsize()
