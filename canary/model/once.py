"""What was worked out of an object, remembered by what the object says."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import orjson

from canary.model.values import Json

_T = TypeVar("_T")

_JSON_ALONE = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_PART = 16
"""Which part of the room one result may have: a large one would let all others go."""


class Once(Generic[_T]):
    """A pure function of an object that is called again and again with what says the same.

    Equal objects have equal results, whoever holds them: nothing is told by identity or version.
    What was not asked for longest is forgotten, so that what is remembered does not grow with what
    there is.

    Args:
        work: the function. Its results are shared, and changed by nobody.
        room: bytes of all results together.
        size: about how many bytes a result takes, by the length of the text of what it was worked
            out of. One of more than a sixteenth of the room is worked out each time.

    """

    def __init__(
        self, work: Callable[[Json], _T], room: int, size: Callable[[int, _T], int]
    ) -> None:
        self._work = work
        self._room = room
        self._size = size
        self._taken = 0
        self._found: OrderedDict[bytes, tuple[_T, int]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many results are remembered."""
        return len(self._found)

    def __call__(self, given: Json) -> _T:
        """Return what the function returns, or raise what it raises."""
        try:
            written = orjson.dumps(given, option=_JSON_ALONE)
        except TypeError:  # it is no JSON
            return self._work(given)
        key = hashlib.blake2b(written, digest_size=16).digest()
        if (known := self._found.get(key)) is not None:
            self._found.move_to_end(key)
            return known[0]
        found = self._work(given)
        self._keep(key, found, self._size(len(written), found))
        return found

    def clear(self) -> None:
        """Forget all results."""
        self._found.clear()
        self._taken = 0

    def _keep(self, key: bytes, found: _T, size: int) -> None:
        if size > self._room // _PART:
            return
        self._found[key] = found, size
        self._taken += size
        while self._taken > self._room:
            _, (_, freed) = self._found.popitem(last=False)
            self._taken -= freed
