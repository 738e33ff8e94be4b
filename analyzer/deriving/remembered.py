"""What was worked out, by what it was worked out from: a bounded memory."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from analyzer.deriving.frames import Done

_MOST_BYTES: Final = 8 << 20
"""Two metrics of 1,000 runs take 5 MiB; with less, each look at any of them would have all worked
out anew."""
_MOST: Final = 10_000
_OF_AN_ENTRY: Final = 400
"""Bytes of an entry beside its content."""


def digest(work: Callable[..., Any], given: tuple[Any, ...]) -> bytes:
    """Return what tells one task from all others."""
    written = repr((work.__module__, work.__qualname__, given))
    return hashlib.sha256(written.encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class _Entry:
    done: Done
    size: int
    until: float


class Remembered:
    """Forgets what was not asked for longest, and failures after a time."""

    def __init__(self, failures: float) -> None:
        self._failures = failures
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes, now: float) -> Done | None:
        """Return what came of a task; None where it is not known."""
        found = self._entries.get(key)
        if found is None:
            return None
        if now >= found.until:
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return found.done

    def keep(self, key: bytes, done: Done, size: int, now: float) -> None:
        """Keep what came of a task.

        Args:
            key: the task's.
            done: what came of it.
            size: bytes that it takes, about.
            now: seconds on a clock that never steps.

        """
        self._forget(key)
        until = now + self._failures if done.failure else float("inf")
        self._entries[key] = _Entry(done, size + _OF_AN_ENTRY, until)
        self._bytes += size + _OF_AN_ENTRY
        while self._bytes > _MOST_BYTES or len(self._entries) > _MOST:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        self._bytes -= 0 if entry is None else entry.size
