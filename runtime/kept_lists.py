"""Lists that were asked for once, kept as the API server would answer them now.

The watch of their kind brings every change of the cluster; kept is what belongs to a list that
somebody asks for again and again, and nothing else. So the many objects of which nobody asks cost
no memory, and no first list of all of them is needed.

```text
asked for the first time --> listed at version L --+--> changes after L, by the watch
                                                   +--> what this process writes itself, at once
                                                   +--> the watch lost its place: listed again
```

Versions are compared as numbers, as Kubernetes lets clients do within a kind (KEP-5504); where they
are none, nothing is kept.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from canary.model.selection import Selector, selector_of, selects
from runtime.packed import EVERY, PackedObject, packed
from runtime.resources import ListResult

Json = dict[str, Any]
NEVER: Final = -1
IDLE: Final = 600.0
"""Seconds after which a list is kept no more that nobody asks for."""
_LOOK: Final = 60.0
_PART: Final = 4
"""Which part of all that may be kept one list may have."""


def number_of(version: object) -> int | None:
    """Return a resourceVersion as a number, None where it is none."""
    return int(version) if isinstance(version, str) and version.isdecimal() else None


@dataclass(slots=True, eq=False)
class _List:
    """One list: its objects by name, each with its version, packed.

    `base` is the version at which it was listed last. What was taken out since is in `gone` with
    its version, for as long as an older word of it may come. `doubts` counts the moments at which
    it stopped being certain; it is certain while `sure` is as many. `fills` are the lists under
    way, `asked` when somebody asked last.
    """

    selector: Selector
    asked: float
    base: int = NEVER
    objects: dict[str, tuple[int, PackedObject]] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    doubts: int = 0
    sure: int = NEVER
    fills: int = 0

    @property
    def is_sure(self) -> bool:
        return self.sure == self.doubts

    def takes(self, name: str, version: int) -> bool:
        """Tell whether a version of an object is news."""
        known = self.objects.get(name)
        before = max(self.base, self.gone.get(name, NEVER), NEVER if known is None else known[0])
        return version > before


@dataclass(slots=True, eq=False)
class _Space:
    """The lists of a namespace by their selectors, and which of them an object may be in.

    Those of `anchored` are found by a label, `others` have none, `holders` are those that have an
    object, and `filling` those that are asked for at the moment.
    """

    lists: dict[str, _List] = field(default_factory=dict)
    anchored: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    holders: dict[str, set[str]] = field(default_factory=dict)
    filling: set[str] = field(default_factory=set)

    def of(self, name: str, labels: dict[str, str]) -> set[str]:
        """Return the selectors of all lists that hold an object or may take it in."""
        found = self.others | self.holders.get(name, set()) | self.filling
        for label in labels.items():
            found |= self.anchored.get(label, set())
        return found


class KeptLists:
    """Keeps lists of one kind. What the watch says comes by `begin`, `hear`, `reach` and `lose`.

    Args:
        total: bytes of all lists together; those that were asked for last stay.
        trim: returns what is kept of an object.
        clock: a monotonic one, in seconds.
        by_words: whether some are asked for that name another object.

    """

    def __init__(
        self,
        total: int,
        trim: Callable[[Json], Json] = lambda obj: obj,
        clock: Callable[[], float] = time.monotonic,
        *,
        by_words: bool = False,
    ) -> None:
        self.at = NEVER
        """The version up to which the watch has told everything; `NEVER` while it has no place."""
        self.size = 0
        """Bytes of all that is kept."""
        self._total = total
        self._trim, self._by_words = trim, by_words
        self._clock = clock
        self._looked = clock()
        self._spaces: dict[str, _Space] = {}

    def __len__(self) -> int:
        """Return how many lists are kept."""
        return sum(len(space.lists) for space in self._spaces.values())

    # --- who reads ------------------------------------------------------------------------------

    def answer(
        self, namespace: str, selector: str, since: int = NEVER, naming: int = EVERY
    ) -> list[Json] | None:
        """Return a list as it is known, None where it has to be asked for.

        Args:
            namespace: which.
            selector: as `kubectl -l`.
            since: the version that it must not be older than.
            naming: the mask of words (`runtime.packed`) of which an object has to have one.

        """
        one = self._certain(namespace, selector, since)
        if one is None:
            return None
        return [it.unpacked() for _, it in one.objects.values() if it.may_name(naming)]

    def answer_one(self, namespace: str, name: str) -> list[Json] | None:
        """Return an object by the list of its whole namespace: none, or one.

        None where that list is not kept.
        """
        one = self._certain(namespace, "", NEVER)
        if one is None:
            return None
        return [one.objects[name][1].unpacked()] if name in one.objects else []

    @contextmanager
    def filling(self, namespace: str, selector: str) -> Iterator[Callable[[ListResult], None]]:
        """Keep a list from now on: it is asked for inside, and what came is handed over.

        What the watch and this process say meanwhile is taken in beside it.
        """
        opened = self._opened(namespace, selector)
        if opened is None:
            yield lambda _: None
            return
        space, one = opened
        one.fills += 1
        doubts = one.doubts
        space.filling.add(selector)
        try:
            yield lambda found: self._fill(namespace, selector, one, found, doubts)
        finally:
            one.fills -= 1
            if not one.fills and space.lists.get(selector) is one:
                space.filling.discard(selector)
            if not one.is_sure and not one.fills:
                self._drop(namespace, selector, one)

    def _certain(self, namespace: str, selector: str, since: int) -> _List | None:
        space = self._spaces.get(namespace)
        one = None if space is None else space.lists.get(selector)
        if one is None or not one.is_sure or self.at == NEVER:
            return None
        if max(self.at, one.base) < since:
            return None
        one.asked = self._clock()
        if one.gone and not one.fills:
            one.gone = {name: it for name, it in one.gone.items() if it > self.at}
        return one

    def _opened(self, namespace: str, selector: str) -> tuple[_Space, _List] | None:
        self._let_go()
        parsed = selector_of(selector)
        if self.at == NEVER or parsed is None:
            return None
        space = self._spaces.setdefault(namespace, _Space())
        one = space.lists.get(selector)
        if one is None:
            one = space.lists[selector] = _List(parsed, self._clock())
            label = parsed.anchor
            if label is None:
                space.others.add(selector)
            else:
                space.anchored.setdefault(label, set()).add(selector)
        return space, one

    def _fill(
        self, namespace: str, selector: str, one: _List, found: ListResult, doubts: int
    ) -> None:
        version, space = number_of(found.resource_version), self._spaces.get(namespace)
        there = {it["metadata"]["name"]: _version_of(it) for it in found.items}
        if version is None or None in there.values():
            return
        if space is None or space.lists.get(selector) is not one:
            return  # it was let go meanwhile
        for obj in found.items:
            name, number = obj["metadata"]["name"], _version_of(obj) or 0
            if one.takes(name, number):
                self._put(space, selector, name, number, self._packed(obj))
        for name in one.objects.keys() - there.keys():
            if one.objects[name][0] <= version:
                self._remove(space, selector, name)
        one.base = max(one.base, version)
        one.sure, one.asked = max(one.sure, doubts), self._clock()
        if _size(one) > self._total // _PART:
            self._drop(namespace, selector, one)  # it would let all others go
        self._make_room()

    # --- what this process does -----------------------------------------------------------------

    def saw(self, obj: Json) -> None:
        """Take in an object as the API server has just returned it."""
        version = _version_of(obj)
        if version is None:
            self.doubt(*_place(obj), everywhere=True)
        else:
            self._take(obj, version, gone=False, own=True)

    def doubt(self, namespace: str, name: str, *, everywhere: bool) -> None:
        """Have lists asked for again: what became of an object is not known.

        Args:
            namespace: which.
            name: the object's.
            everywhere: also the lists that do not have it.

        """
        space = self._spaces.get(namespace)
        if space is None:
            return
        for selector, one in space.lists.items():
            if everywhere or selector in space.holders.get(name, ()):
                one.doubts += 1

    # --- what the watch says --------------------------------------------------------------------

    def begin(self, version: str) -> None:
        """Know nothing but that the watch tells of everything after a version."""
        self.lose()
        number = number_of(version)
        self.at = NEVER if number is None else number

    def lose(self) -> None:
        """Know nothing any more: the watch has lost its place."""
        self.at = NEVER
        self.size = 0
        self._spaces.clear()

    def reach(self, version: str) -> None:
        """Hear that there was nothing else up to a version."""
        number = number_of(version)
        if number is None:
            self.lose()
        elif self.at != NEVER:
            self.at = max(self.at, number)

    def hear(self, obj: Json, *, gone: bool) -> None:
        """Hear of a change of an object."""
        version = _version_of(obj)
        if version is not None and self.at != NEVER:
            self._take(obj, version, gone=gone, own=False)
        self.reach(obj["metadata"].get("resourceVersion", ""))

    # --- inside ---------------------------------------------------------------------------------

    def _take(self, obj: Json, version: int, *, gone: bool, own: bool) -> None:
        namespace, name = _place(obj)
        space = self._spaces.get(namespace)
        if space is None:
            return
        labels = obj["metadata"].get("labels") or {}
        # An older word of what we have written ourselves may put it into any list.
        touched = set(space.lists) if own else space.of(name, labels)
        if own and version <= self.at:
            # The watch has told of it and of what came after, but to no list that is asked for now.
            touched = {it for it in touched if space.lists[it].fills}
        news = {it: space.lists[it] for it in touched if space.lists[it].takes(name, version)}
        into = {it for it, one in news.items() if not gone and selects(one.selector, labels)}
        kept = self._packed(obj) if into else None
        for selector, one in news.items():
            if selector in into:
                self._put(space, selector, name, version, kept)
                continue
            if name in one.objects:
                self._remove(space, selector, name)
            if own or one.fills:
                one.gone[name] = version
        self._make_room()

    def _packed(self, obj: Json) -> PackedObject | None:
        """Return what is kept of an object, packed, None for one that cannot be kept."""
        try:
            return packed(self._trim(obj), by_words=self._by_words)
        except (TypeError, LookupError, AttributeError):  # anybody may write it
            return None

    def _put(
        self, space: _Space, selector: str, name: str, version: int, kept: PackedObject | None
    ) -> None:
        """Put an object into a list; of one that cannot be kept the list is asked for again."""
        one = space.lists[selector]
        if kept is None:
            one.doubts += 1
            return
        if name in one.objects:
            self.size -= one.objects[name][1].size
        else:
            space.holders.setdefault(name, set()).add(selector)
        self.size += kept.size
        one.objects[name] = (version, kept)

    def _remove(self, space: _Space, selector: str, name: str) -> None:
        _, kept = space.lists[selector].objects.pop(name)
        self.size -= kept.size
        holders = space.holders[name]
        holders.discard(selector)
        if not holders:
            del space.holders[name]

    def _drop(self, namespace: str, selector: str, one: _List) -> None:
        space = self._spaces.get(namespace)
        if space is None or space.lists.get(selector) is not one:
            return
        for name in tuple(one.objects):
            self._remove(space, selector, name)
        del space.lists[selector]
        label = one.selector.anchor
        space.others.discard(selector)
        space.filling.discard(selector)
        if label is not None and (those := space.anchored.get(label)) is not None:
            those.discard(selector)
            if not those:
                del space.anchored[label]
        if not space.lists:
            del self._spaces[namespace]

    def _make_room(self) -> None:
        """Let go of lists while there is too much."""
        if self.size <= self._total:
            return
        for namespace, selector, one in self._by_age():
            if self.size <= self._total:
                return
            self._drop(namespace, selector, one)

    def _let_go(self) -> None:
        now = self._clock()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        for namespace, selector, one in self._by_age():
            if now - one.asked >= IDLE and not one.fills:
                self._drop(namespace, selector, one)

    def _by_age(self) -> list[tuple[str, str, _List]]:
        """Return all lists with their places, the one that was asked for longest ago first."""
        found = [
            (namespace, selector, one)
            for namespace, space in self._spaces.items()
            for selector, one in space.lists.items()
        ]
        return sorted(found, key=lambda it: it[2].asked)


def _size(one: _List) -> int:
    return sum(kept.size for _, kept in one.objects.values())


def _place(obj: Json) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _version_of(obj: Json) -> int | None:
    return number_of(obj["metadata"].get("resourceVersion"))
