"""A copy of all objects of one kind, kept up to date by list and watch.

```text
        +--> list --> watch from its version --+--> ended or lost: watch from the last version
        |                                      |
        +------------- 410 Expired ------------+
```
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Never, Protocol

import structlog

from runtime.backoff import Backoff
from runtime.errors import ApiError, Expired, patience_of
from runtime.resources import ListResult, Resource, WatchEvent

Json = dict[str, Any]
Handler = Callable[[str, str, Json | None, Json | None], None]
"""Called with namespace, name, the object before and after; None where there was or is none.

It must be quick and must not raise: it puts a key into a queue.
"""

# A watch that fails at once is tried again at most every 30 s, as client-go's reflector does.
_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 30.0

NOT_FOUND: Final = "NotFound"
"""The API's reason where it does not serve a kind."""

_log = structlog.get_logger()


class ListWatch(Protocol):
    """The part of `runtime.kube.Cluster` that an informer needs."""

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        """Return all objects, and the version of that state."""

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


class Informer:
    """Keeps `store` equal to the cluster and calls the handlers on every difference.

    Args:
        cluster: where the objects are.
        resource: their kind.
        namespace: None for all namespaces.
        label_selector: as `kubectl -l`.
        trim: returns what is to be kept of an object.
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
        backoff: Backoff | None = None,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        """Set once the store holds a first complete list, and from then on."""
        self.trouble = ""
        """Reason of the last failure, "" while all is well."""
        self.heard = time.monotonic()
        """When the API server last said anything, on the monotonic clock, in seconds."""
        self._cluster = cluster
        self._namespace = namespace
        self._selector = label_selector
        self._trim = trim
        self._backoff = backoff or Backoff(_FIRST_DELAY, _LONGEST_DELAY)
        self._handlers: list[Handler] = []
        self._store: dict[tuple[str, str], Json] = {}
        self._version = ""

    @property
    def store(self) -> Mapping[tuple[str, str], Json]:
        """The objects by namespace and name, as last heard; not to be changed."""
        return MappingProxyType(self._store)

    def get(self, namespace: str, name: str) -> Json | None:
        """Return one object as last heard, None if there is none."""
        return self._store.get((namespace, name))

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
        # A kind that is not installed is no fault; it may come.
        if reason == NOT_FOUND:
            self.heard = time.monotonic()
        level = logging.DEBUG if reason == NOT_FOUND else logging.WARNING
        shown = {"resource": self.resource.plural, "reason": reason, "delay": round(delay, 3)}
        _log.log(level, "watch_interrupted", **shown)
        await asyncio.sleep(delay)

    async def _relist(self) -> None:
        result = await self._cluster.list(
            self.resource, self._namespace, label_selector=self._selector
        )
        found = {_key(item): item for item in result.items}
        for key in self._store.keys() - found.keys():
            self._put(key, None)
        for key, item in found.items():
            self._put(key, item)
        self._version = result.resource_version
        self._healthy()
        self.synced.set()

    async def _follow(self) -> bool:
        """Watch until the server ends it; return whether it said anything."""
        heard = False
        stream = self._cluster.watch(
            self.resource,
            resource_version=self._version,
            namespace=self._namespace,
            label_selector=self._selector,
        )
        async with aclosing(_understood(stream)) as changes:
            async for change in changes:
                heard = True
                self._healthy()
                if change.key is not None:
                    self._put(change.key, change.object)
                self._version = change.version
        return heard

    def _healthy(self) -> None:
        self.heard = time.monotonic()
        self.trouble = ""
        self._backoff.reset()

    def _put(self, key: tuple[str, str], obj: Json | None) -> None:
        old = self._store.get(key)
        if obj is None:
            if old is None:
                return
            del self._store[key]
        else:
            if old is not None and _version(old) == _version(obj):
                return
            obj = self._trim(obj)
            self._store[key] = obj
        for handler in self._handlers:
            handler(*key, old, obj)


@dataclass(frozen=True, slots=True)
class _Change:
    """One event of a watch; `key` is None where it only brings a newer version."""

    key: tuple[str, str] | None
    object: Json | None
    version: str


async def _understood(stream: AsyncGenerator[WatchEvent, None]) -> AsyncGenerator[_Change, None]:
    """Yield what the events of a watch say: the guard per watch.

    What a stream brings is not ours: whatever is wrong with it ends this watch and nothing else,
    and everything is listed again, as the same event might come again.

    Raises:
        Expired: the watch cannot go on from where it is.

    """
    try:
        async with aclosing(stream):
            async for event in stream:
                yield _change(event)
    except ApiError:
        raise
    except Exception as error:
        _log.exception("watch_broken")
        raise Expired(0, type(error).__name__, str(error)) from error


def _change(event: WatchEvent) -> _Change:
    version = event.object["metadata"]["resourceVersion"]
    if event.type == "BOOKMARK":
        return _Change(None, None, version)
    return _Change(_key(event.object), None if event.type == "DELETED" else event.object, version)


def _key(obj: Json) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _version(obj: Json) -> Any:
    return obj["metadata"].get("resourceVersion")
