"""Objects as they are kept in lists: packed, with which words they have.

Whoever looks for the objects that name another asks by its name, and unpacks no other: of a hundred
routes in a namespace a target's look takes its own.
"""

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

Json = dict[str, Any]
LARGEST: Final = 512 * 1024
"""Bytes of one object as it is written; a list with a larger one is asked for every time."""
OVERHEAD: Final = 500
"""Bytes that the interpreter needs for an object beside those that are packed."""
EVERY: Final = -1
"""The mask of whatever may have any word."""
_BITS: Final = 1024
_WORD: Final = re.compile(rb"[a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class PackedObject:
    """An object, and a mask of its words: a Bloom filter with one hash of each.

    Where nobody asks by words, any may be there.
    """

    text: bytes
    words: int = EVERY

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.text) + OVERHEAD

    def may_name(self, mask: int) -> bool:
        """Tell whether the object may have one of the words of a mask."""
        return bool(self.words & mask)

    def unpacked(self) -> Json:
        """Return the object."""
        found: Json = orjson.loads(zlib.decompress(self.text))
        return found


def packed(obj: Json, *, by_words: bool = False) -> PackedObject | None:
    """Return an object packed; None for one that is too large, or too deep to be written.

    Args:
        obj: the object.
        by_words: whether it is asked for by its words.

    """
    try:
        text = orjson.dumps(obj)
    except (TypeError, RecursionError):  # anybody may write it
        return None
    if len(text) > LARGEST:
        return None
    words = _mask(_WORD.findall(text)) if by_words else EVERY
    return PackedObject(zlib.compress(text, 1), words)


def mask_of(names: Iterable[str]) -> int:
    """Return the mask of names of objects, `EVERY` where one of them is more than a word."""
    words = [name.encode() for name in names]
    return _mask(words) if all(map(_WORD.fullmatch, words)) else EVERY


def _mask(words: Iterable[bytes]) -> int:
    found = 0
    for word in {zlib.crc32(it) % _BITS for it in words}:
        found |= 1 << word
    return found
