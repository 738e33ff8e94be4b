"""A copy of all objects of one kind, kept up to date by list and watch.

```text
        +--> list --> watch from its version --+--> ended or lost: watch from the last version
        |                                      |
        +------------- 410 Expired ------------+
```
"""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final, Never, Protocol, TypeVar

import structlog

from runtime.backoff import Backoff
from runtime.errors import ApiError, Expired, Forbidden, patience_of
from runtime.kept import Kept, Place, Whole
from runtime.kept_lists import KeptLists, number_of
from runtime.resources import ListResult, Resource, WatchEvent

Json = dict[str, Any]
A = TypeVar("A")
B = TypeVar("B")
Handler = Callable[[str, str, Json | None, Json | None], None]
"""Called with namespace, name, the object before and after; None where there was or is none.

It must be quick and must not raise: it puts a key into a queue.
"""

# A watch that fails at once is tried again at most every 30 s, as client-go's reflector does.
_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 30.0

BEHIND: Final = 5.0
"""Seconds in which a watch tells of what was stored; one that takes longer is not believed."""
SILENCE: Final = 90.0
"""Seconds after which a watch that says nothing is no longer believed."""
WHOLE: Final = 30.0
"""Seconds after which a server that ends a watch does so in its own time, and has told all by then.

Bookmarks come every 60 s, but not of a kind of which an API server has heard nothing since its
start: etcd tells it how far it is once in ten minutes (apiserver, storage/cacher, dispatchEvents).
"""
NOT_FOUND: Final = "NotFound"
"""The API's reason where it does not serve a kind."""

_log = structlog.get_logger()


class ListWatch(Protocol):
    """The part of `runtime.kube.Cluster` that an informer needs."""

    def pages(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> AsyncGenerator[ListResult, None]:
        """Yield all objects, some at a time, and with each the version of that one state."""

    def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield the changes after a version."""


def without_managed_fields(obj: Json) -> Json:
    """Drop the owners of the fields: half of an object's size, and read by nobody here."""
    obj.get("metadata", {}).pop("managedFields", None)
    return obj


@dataclass(frozen=True, slots=True)
class Change:
    """What is heard of one object; `place` is None where it only brings a newer version."""

    place: Place | None
    object: Json | None
    version: str


class Informer:
    """Keeps `store` equal to the cluster and calls the handlers on every difference.

    Args:
        cluster: where the objects are.
        resource: their kind.
        namespace: None for all namespaces.
        label_selector: as `kubectl -l`.
        trim: returns what the handlers are told of an object, and what is to be kept.
        kept: where objects are kept; None to keep them as they are.
        backoff: delays after failures.

    """

    def __init__(  # all but two have defaults
        self,
        cluster: ListWatch,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        trim: Callable[[Json], Json] = without_managed_fields,
        kept: Kept | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        """Set once the store holds a first complete list, and from then on."""
        self.trouble = ""
        """Reason of the last failure, "" while all is well."""
        self.is_absent = False
        """Whether the cluster has no such kind, or nobody has granted one that is optional."""
        self.heard = time.monotonic()
        """When the API server last said anything, on the monotonic clock, in seconds."""
        self.lists: KeptLists | None = None
        """Those of this kind that somebody asks for, set before `run`."""
        self._cluster = cluster
        self._namespace = namespace
        self._selector = self._begins_with = label_selector
        self._trim = trim
        self._backoff = backoff or Backoff(_FIRST_DELAY, _LONGEST_DELAY)
        self._handlers: list[Handler] = []
        self._store: Kept = Whole() if kept is None else kept
        self._version = ""
        # What was taken in by `saw` and may not have been heard of yet.
        self._own: dict[Place, tuple[str, float]] = {}

    @property
    def store(self) -> Kept:
        """The objects by namespace and name, as last heard; not to be changed."""
        return self._store

    def get(self, namespace: str, name: str) -> Json | None:
        """Return one object as last heard, None if there is none."""
        return self._store.get((namespace, name))

    @property
    def is_current(self) -> bool:
        """Whether what is known may be taken for what is stored, but for a moment."""
        heard_lately = time.monotonic() - self.heard < SILENCE
        return self.synced.is_set() and not self.trouble and heard_lately and not self._is_behind

    @property
    def _is_behind(self) -> bool:
        """Whether the watch has not told yet of what this process has seen stored long ago."""
        oldest = next(iter(self._own.values()), None)
        return oldest is not None and asyncio.get_running_loop().time() - oldest[1] > BEHIND

    def saw(self, obj: Json) -> None:
        """Take in an object as the API server has just returned it; nothing older is after it."""
        if self.lists is not None:
            self.lists.saw(obj)
        if not self.synced.is_set():
            return
        change = self._found({**obj, "metadata": dict(obj["metadata"])})
        # The watch has told of it and of what came after, it may be that it was deleted.
        if not _is_older(self._version, change.version) and number_of(self._version) is not None:
            return
        known = None if change.place is None else self._store.version(change.place)
        self._put(change)
        # What the watch has told before is nothing to wait for.
        if change.place is not None and (known is None or _is_older(known, change.version)):
            now = asyncio.get_running_loop().time()
            _, since = self._own.get(change.place, ("", now))
            self._own[change.place] = (change.version, since)

    def add_handler(self, handler: Handler) -> None:
        """Call `handler` on every change from now on; add it before `run`."""
        self._handlers.append(handler)

    async def run(self) -> Never:
        """Follow the cluster until cancelled. Failures of the API server are waited out."""
        while True:
            try:
                if not self._version:
                    await self._relist()
                heard = await self._follow()
            except Expired as expired:
                self._version = ""
                await self._pause(expired)
            except ApiError as error:
                await self._pause(error)
            else:
                # A watch that ends without a word may do so at once, every time.
                if not heard:
                    await asyncio.sleep(self._backoff.next())

    async def _pause(self, error: ApiError) -> None:
        self.trouble = reason = error.reason
        delay = max(self._backoff.next(), patience_of(error))
        # A kind that is not installed is no fault, nor is one that nobody granted; it may come.
        optional = self.resource.optional
        self.is_absent = reason == NOT_FOUND or (optional and isinstance(error, Forbidden))
        if self.is_absent:
            self.heard = time.monotonic()
        level = logging.DEBUG if self.is_absent else logging.WARNING
        shown = {"resource": self.resource.plural, "reason": reason, "delay": round(delay, 3)}
        _log.log(level, "watch_interrupted", **shown)
        await asyncio.sleep(delay)

    async def _relist(self) -> None:
        """Take in a page after the other, then let go of what none of them had."""
        gone, version = set(self._store), ""
        if self.lists is not None:
            self.lists.lose()
        pages = self._cluster.pages(
            self.resource, self._namespace, label_selector=self._begins_with
        )
        async with aclosing(_understood(pages, self._page)) as listed:
            async for page in listed:
                for change in page:
                    if change.place is None:
                        version = change.version
                    else:
                        gone.discard(change.place)
                        self._put_listed(change)
                del page, change
        for place in gone:
            self._put_listed(Change(place, None, version))
        self._own.clear()
        self._version = version
        if self.lists is not None:
            self.lists.begin(version)
        # The next failure may be that of the watch from here, every time: its delays go on growing.
        self._hear()
        self.synced.set()

    async def _follow(self) -> bool:
        """Watch until the server ends it; return whether it said anything or lasted."""
        heard, began = False, time.monotonic()
        stream = self._cluster.watch(
            self.resource,
            resource_version=self._version,
            namespace=self._namespace,
            label_selector=self._selector,
        )
        async with aclosing(_understood(stream, self._change)) as changes:
            async for change in changes:
                heard = True
                self._hear()
                self._backoff.reset()
                self._put(change)
                self._told(change)
                self._version = change.version
                del change
        if time.monotonic() - began < WHOLE:
            return heard
        self._hear()
        return True

    def _hear(self) -> None:
        self.heard = time.monotonic()
        self.trouble = ""
        self.is_absent = False

    def _told(self, change: Change) -> None:
        """Note that the watch has told of what this process has seen before."""
        if change.place is not None and change.place in self._own:
            version, _ = self._own[change.place]
            if not _is_older(change.version, version):
                del self._own[change.place]

    def _put_listed(self, change: Change) -> None:
        """Take in what a list has of an object, also from a server that is behind.

        Or one that was restored: only what this process has seen itself is not taken back.
        """
        own = None if change.place is None else self._own.get(change.place)
        if own is None or not _is_older(change.version, own[0]):
            self._put(change, listed=True)

    def _put(self, change: Change, *, listed: bool = False) -> None:
        place, obj = change.place, change.object
        if place is None or (place not in self._store and obj is None):
            return
        before = self._store.version(place)
        if obj is not None and before == change.version:
            return
        if not listed and _is_older(change.version, before):
            return
        old = self._store.get(place)
        if obj is None:
            self._store.drop(place)
        else:
            self._keep(place, obj)
        self._tell(place, old, obj)

    def _tell(self, place: Place, old: Json | None, new: Json | None) -> None:
        for handler in self._handlers:
            handler(*place, old, new)

    def _keep(self, place: Place, obj: Json) -> None:
        """Have the store keep an object as it can: the guard per object, as anybody writes them."""
        try:
            self._store.put(place, obj)
        except Exception:  # noqa: BLE001 - told; the store has kept the name
            shown = {"resource": self.resource.plural, "namespace": place[0], "name": place[1]}
            _log.exception("object_not_kept", **shown)

    # --- what a stream brings is not ours: all of this may fail ---------------------------------

    def _page(self, page: ListResult) -> list[Change]:
        return [
            *(self._found(item) for item in page.items),
            Change(None, None, _text(page.resource_version)),
        ]

    def _change(self, event: WatchEvent) -> Change:
        version = _text(event.object["metadata"]["resourceVersion"])
        if event.type == "BOOKMARK":
            if self.lists is not None:
                self.lists.reach(version)
            return Change(None, None, version)
        if self.lists is not None:
            self.lists.hear(event.object, gone=event.type == "DELETED")
        change = self._found(event.object)
        return replace(change, object=None) if event.type == "DELETED" else change

    def _found(self, obj: Json) -> Change:
        """Return an object as it is to be kept.

        Raises:
            TypeError: it is none of this kind.

        """
        metadata = obj["metadata"]
        if obj.get("kind", self.resource.kind) != self.resource.kind:
            raise TypeError(f"a {self.resource.kind} was expected")
        name = _text(metadata["name"])
        place = (sys.intern(_text(metadata.get("namespace", ""))), name)
        return Change(place, self._trim(obj), _version(obj))


async def _understood(
    stream: AsyncGenerator[A, None], understand: Callable[[A], B]
) -> AsyncGenerator[B, None]:
    """Yield what a list or a watch says: the guard per watch.

    Whatever is wrong with it ends this watch and nothing else, and everything is listed again, as
    the same event might come again.

    Raises:
        Expired: the watch cannot go on from where it is.

    """
    try:
        async with aclosing(stream):
            async for part in stream:
                found = understand(part)
                del part  # or it would be there beside the next one, and so would what it says
                yield found
                del found
    except ApiError:
        raise
    except Exception as error:
        _log.exception("watch_broken")
        raise Expired(0, type(error).__name__, str(error)) from error


def _is_older(version: str, before: str | None) -> bool:
    """Tell whether a version of an object is older than another; of what is no number, none is."""
    number, known = number_of(version), number_of(before)
    return number is not None and known is not None and number < known


def _version(obj: Json) -> str:
    return _text(obj["metadata"].get("resourceVersion", ""))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text was expected, not {type(value).__name__}")
    return value
