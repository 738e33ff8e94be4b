"""What somebody has deleted a moment ago, and may be about to create anew."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from canary.model.values import Key

REPLACED_WITHIN: Final = timedelta(seconds=10)
"""How long whoever replaces an object may take from deleting the old one to creating the new one.

`kubectl replace --force` deletes all objects of a file, looks once a second whether they have gone,
and then creates them: one that is made in between has their name.
"""


@dataclass(slots=True)
class Absences:
    """Remembers for a short while what was deleted, by target.

    A process that starts remembers nothing: what it does too early is met by those few who replace
    something at that moment.

    Args:
        clock: seconds that only grow.

    """

    clock: Callable[[], float] = time.monotonic
    _since: dict[Key, float] = field(init=False, default_factory=dict)

    def begin(self, key: Key) -> None:
        """Take in that something was deleted and none is left."""
        self._drop_the_old()
        self._since.pop(key, None)
        self._since[key] = self.clock()

    def end(self, key: Key) -> None:
        """Take in that it is there again."""
        self._since.pop(key, None)

    def left(self, key: Key) -> timedelta:
        """Return how long it may still be about to be created anew; zero where it is not."""
        since = self._since.get(key)
        if since is None:
            return timedelta(0)
        return max(REPLACED_WITHIN - timedelta(seconds=self.clock() - since), timedelta(0))

    def _drop_the_old(self) -> None:
        """Forget what is over: those who were deleted first come first."""
        for key in list(self._since):
            if self.left(key):
                return
            del self._since[key]
