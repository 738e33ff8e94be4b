"""What was worked out of an object, remembered by what the object says."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import orjson

from canary.model.values import Json

_T = TypeVar("_T")

_JSON_ALONE = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


class Once(Generic[_T]):
    """A pure function of an object that is called again and again with what says the same.

    Equal objects have equal results, whoever holds them: nothing is told by identity or version.

    Args:
        work: the function. Its results are shared, and changed by nobody.
        most: results that are remembered.

    """

    def __init__(self, work: Callable[[Json], _T], most: int) -> None:
        self._work = work
        self._most = most
        self._found: OrderedDict[bytes, _T] = OrderedDict()

    def __call__(self, given: Json) -> _T:
        """Return what the function returns, or raise what it raises."""
        try:
            written = orjson.dumps(given, option=_JSON_ALONE)
        except TypeError:  # it is no JSON
            return self._work(given)
        key = hashlib.blake2b(written, digest_size=16).digest()
        if key in self._found:
            self._found.move_to_end(key)
            return self._found[key]
        found = self._found[key] = self._work(given)
        if len(self._found) > self._most:
            self._found.popitem(last=False)
        return found
