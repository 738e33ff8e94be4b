"""What an informer keeps of the objects that it hears of: all of them, or as little as will do."""

import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson

Json = dict[str, Any]
Form = Callable[[Json], Json]
Place = tuple[str, str]
"""Namespace and name of an object; the namespace is "" for kinds without one."""

LARGEST: Final = 64 * 1024
"""Packed bytes of one object: some twenty times a usual one."""
SMALLEST: Final = 2 * 1024
"""Packed bytes of what is kept of an object whatever there is beside it."""
_LEVEL: Final = 1  # a higher one saves a tenth, and takes twice as long
_DENSEST: Final = 8
"""How many times as long an object may be as it is packed: one of half a megabyte is read anew."""
_OVERHEAD: Final = 200
"""Bytes that the interpreter needs beside those that are packed."""


class Kept(Mapping[Place, Json]):
    """Objects by namespace and name, to be changed by their informer alone."""

    @abstractmethod
    def version(self, place: Place) -> str | None:
        """Return the resourceVersion of an object, "" where it has none, None if it is not here."""

    @abstractmethod
    def is_whole(self, place: Place) -> bool:
        """Tell whether all that was put of an object is kept."""

    @abstractmethod
    def put(self, place: Place, obj: Json) -> None:
        """Keep an object in place of what was kept before."""

    @abstractmethod
    def drop(self, place: Place) -> None:
        """Keep an object no more."""


class Whole(Kept):
    """Keeps all objects as they are: for kinds of which there are few, and small ones."""

    def __init__(self) -> None:
        self._objects: dict[Place, Json] = {}

    def __getitem__(self, place: Place) -> Json:
        """Return an object."""
        return self._objects[place]

    def __iter__(self) -> Iterator[Place]:
        """Return the places of all objects."""
        return iter(self._objects)

    def __len__(self) -> int:
        """Return how many objects there are."""
        return len(self._objects)

    def version(self, place: Place) -> str | None:
        """Return the resourceVersion of an object, "" where it has none, None if it is not here."""
        return _version(self._objects[place]) if place in self._objects else None

    def is_whole(self, place: Place) -> bool:
        """Tell whether all that was put of an object is kept."""
        return place in self._objects

    def put(self, place: Place, obj: Json) -> None:
        """Keep an object in place of what was kept before."""
        self._objects[place] = obj

    def drop(self, place: Place) -> None:
        """Keep an object no more."""
        del self._objects[place]


class Packed(Kept):
    """Keeps objects packed, and of most of them only that they are there.

    A usual Deployment takes 18 KiB as Python objects and one or two as it is packed here; unpacking
    it takes some 50 us. What is not wanted, or too large, or too much for all together, is known by
    its name and version alone, and whoever needs more asks the API server. So neither many objects
    nor large ones fill the memory, and none is overlooked, however deep it is.

    Args:
        total: bytes of all objects together, but for those of which the least is kept.
        largest: packed bytes of one object.
        whole: tells whether an object is wanted as it is; the others are kept by their names.
        less: returns what is kept of an object that is wanted, and is too large or too deep.
        least: returns what is kept of one that is wanted and of which not even `less` can be: of
            `SMALLEST` bytes at most, for any number of objects.

    """

    def __init__(
        self,
        total: int,
        *,
        largest: int = LARGEST,
        whole: Callable[[Json], bool] = lambda _: True,
        less: Form | None = None,
        least: Form | None = None,
    ) -> None:
        self._total = total
        self._largest = largest
        self._whole = whole
        self._forms: tuple[Form, ...] = (_as_it_is, *(() if less is None else (less,)))
        self._least = least
        self._found: dict[Place, tuple[str, bytes] | str] = {}
        self._beyond: set[Place] = set()
        self.size = 0
        """Bytes of what is packed and counts towards `total`."""

    def __getitem__(self, place: Place) -> Json:
        """Return an object, or what is known of it."""
        found = self._found[place]
        if isinstance(found, tuple):
            obj: Json = orjson.loads(zlib.decompress(found[1]))
            return obj
        return named(place, found)

    def __iter__(self) -> Iterator[Place]:
        """Return the places of all objects."""
        return iter(self._found)

    def __len__(self) -> int:
        """Return how many objects there are."""
        return len(self._found)

    def __contains__(self, place: object) -> bool:
        """Tell whether there is an object, without unpacking it."""
        return place in self._found

    def version(self, place: Place) -> str | None:
        """Return the resourceVersion of an object, "" where it has none, None if it is not here."""
        found = self._found.get(place)
        return found[0] if isinstance(found, tuple) else found

    def is_whole(self, place: Place) -> bool:
        """Tell whether an object is packed: all of it, or as `less` or `least` has it."""
        return isinstance(self._found.get(place), tuple)

    def put(self, place: Place, obj: Json) -> None:
        """Keep an object in place of what was kept before, or only that it is there."""
        self._forget(place)
        version = _version(obj)
        self._found[place] = version
        if not self._whole(obj):
            return
        if (packed := self._within_total(obj)) is not None:
            self.size += len(packed) + _OVERHEAD
        elif (packed := self._smallest(obj)) is not None:
            self._beyond.add(place)
        if packed is not None:
            self._found[place] = version, packed

    def drop(self, place: Place) -> None:
        """Keep an object no more."""
        self._forget(place)
        del self._found[place]

    def _forget(self, place: Place) -> None:
        found = self._found.get(place)
        if place in self._beyond:
            self._beyond.remove(place)
        elif isinstance(found, tuple):
            self.size -= len(found[1]) + _OVERHEAD

    def _within_total(self, obj: Json) -> bytes | None:
        """Return the most of an object for which there is room, packed; None if there is none."""
        room = min(self._largest, self._total - self.size - _OVERHEAD)
        found = (_pack(form, obj, _DENSEST * self._largest) for form in self._forms)
        return next((it for it in found if it is not None and len(it) <= room), None)

    def _smallest(self, obj: Json) -> bytes | None:
        packed = None if self._least is None else _pack(self._least, obj, _DENSEST * SMALLEST)
        return packed if packed is not None and len(packed) <= SMALLEST else None


def _as_it_is(obj: Json) -> Json:
    return obj


def _pack(form: Form, obj: Json, longest: int) -> bytes | None:
    """Return a form of an object, packed; None for one that is too long, or too deep.

    JSON is written to a quarter of the depth to which it is read (`orjson`: 254 levels of 1,024).
    """
    try:
        text = orjson.dumps(form(obj))
    except (TypeError, LookupError, RecursionError):  # a form looks for what may not be there
        return None
    return zlib.compress(text, _LEVEL) if len(text) <= longest else None


def named(place: Place, version: str) -> Json:
    """Return an object of which nothing is known but that it is there."""
    namespace, name = place
    metadata = {"namespace": namespace, "name": name, "resourceVersion": version}
    return {"metadata": {key: value for key, value in metadata.items() if value}}


def _version(obj: Json) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))
