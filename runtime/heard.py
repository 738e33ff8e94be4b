"""Reads that are answered by what watches have told, and writes that tell it at once.

```text
reads  --> Heard  --> an informer's store, or a list that is kept --(not known)--> API server
writes --> Noting --> API server, and what it answers into both
```

A decision is taken on a state that is not older than this process' last write: what a write or a
fresh read returns is taken in before the watch tells of it, and what became of a write is asked for
where that is not certain. What somebody else has written a moment ago may not be known yet; every
write carries the version that it rests on, and after a Conflict the object is read afresh.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from runtime.errors import NotFound
from runtime.informer import Handler, Informer
from runtime.kept_lists import NEVER, KeptLists, number_of
from runtime.packed import EVERY, mask_of
from runtime.resources import ListResult, Resource
from runtime.writes import Gettable

Json = dict[str, Any]


class Readable(Gettable, Protocol):
    """What is read from an API server."""

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        """Return all objects that match."""


class Surveyable(Readable, Protocol):
    """What is read from an API server, and what it serves at all."""

    async def groups(self) -> frozenset[str]:
        """Return the names of the API groups that are served."""


@dataclass(slots=True)
class Heard:
    """What is known without asking.

    Args:
        stores: informers that keep whole objects, by their kind.
        lists: informers whose kind has lists that are kept, by their kind.

    """

    stores: Mapping[Resource, Informer]
    lists: Mapping[Resource, Informer]
    _doubted: set[tuple[Resource, str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Have doubts end where a deletion is heard of."""
        for resource, informer in self.stores.items():
            informer.add_handler(self._ending_doubts(resource))

    @property
    def informers(self) -> tuple[Informer, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys((*self.stores.values(), *self.lists.values())))

    def get(self, resource: Resource, namespace: str, name: str) -> Json | None:
        """Return an object as it is known; None where it has to be asked for.

        Raises:
            NotFound: it is known that there is none.

        """
        if (store := self.stores.get(resource)) is not None:
            return self._stored(store, resource, namespace, name)
        found = self._one(resource, namespace, name)
        if found is None:
            return None
        if not found:
            raise NotFound(404, "NotFound", f"{resource.plural} {namespace}/{name}")
        return found[0]

    def listed(
        self,
        resource: Resource,
        namespace: str,
        selector: str,
        since: int = NEVER,
        naming: int = EVERY,
    ) -> list[Json] | None:
        """Return a list as it is known, None where it has to be asked for.

        Args:
            resource: the kind.
            namespace: which.
            selector: as `kubectl -l`.
            since: the version that it must not be older than.
            naming: the mask of words (`runtime.packed`) of which an object has to have one.

        """
        lists = self._lists(resource)
        return None if lists is None else lists.answer(namespace, selector, since, naming)

    def filling(
        self, resource: Resource, namespace: str, selector: str
    ) -> AbstractContextManager[Callable[[ListResult], None]]:
        """Keep a list from now on that is asked for inside, if its kind has such lists."""
        lists = self._lists(resource)
        return nullcontext(_nothing) if lists is None else lists.filling(namespace, selector)

    def saw(self, resource: Resource, obj: Json) -> None:
        """Take in an object as the API server has just returned it."""
        metadata = obj["metadata"]
        self._doubted.discard((resource, metadata.get("namespace", ""), metadata["name"]))
        for informer in {self.stores.get(resource), self.lists.get(resource)}:
            if informer is not None:
                informer.saw({"kind": resource.kind, **obj})

    def doubt(
        self, resource: Resource, namespace: str, name: str, *, everywhere: bool = False
    ) -> None:
        """Have what is known of an object asked for again.

        Args:
            resource: its kind.
            namespace: where it is.
            name: its name.
            everywhere: whether it may be where nobody has heard of it.

        """
        if resource in self.stores:
            self._doubted.add((resource, namespace, name))
        informer = self.lists.get(resource)
        if informer is not None and informer.lists is not None:
            informer.lists.doubt(namespace, name, everywhere=everywhere)

    def _stored(
        self, store: Informer, resource: Resource, namespace: str, name: str
    ) -> Json | None:
        if not store.is_current or (resource, namespace, name) in self._doubted:
            return None
        place = (namespace, name)
        if place not in store.store:
            raise NotFound(404, "NotFound", f"{resource.plural} {namespace}/{name}")
        found = store.store.get(place) if store.store.is_whole(place) else None
        return None if found is None else {**found, "kind": resource.kind}

    def _one(self, resource: Resource, namespace: str, name: str) -> list[Json] | None:
        lists = self._lists(resource)
        return None if lists is None else lists.answer_one(namespace, name)

    def _lists(self, resource: Resource) -> KeptLists | None:
        """Return the lists of a kind while its watch is believed."""
        informer = self.lists.get(resource)
        return informer.lists if informer is not None and informer.is_current else None

    def _ending_doubts(self, resource: Resource) -> Handler:
        def handle(namespace: str, name: str, _: Json | None, new: Json | None) -> None:
            if new is None:
                self._doubted.discard((resource, namespace, name))

        return handle


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads by what was heard, and asks for the rest.

    Args:
        cluster: the API server.
        heard: what is known without asking.
        since: the version that no list may be older than.
        afresh: whether everything is asked for, and what comes is known from then on.

    """

    cluster: Surveyable
    heard: Heard
    since: int = NEVER
    afresh: bool = False

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """Return one object.

        Raises:
            NotFound: there is none.

        """
        found = None if self.afresh else self.heard.get(resource, namespace, name)
        return await self.cluster.get(resource, namespace, name) if found is None else found

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        """Return all objects that match."""
        if namespace is None:
            return await self.cluster.list(resource, label_selector=label_selector)
        known = None
        if not self.afresh:
            known = self.heard.listed(resource, namespace, label_selector, self.since)
        if known is not None:
            return ListResult(known, "")
        with self.heard.filling(resource, namespace, label_selector) as fill:
            found = await self.cluster.list(resource, namespace, label_selector=label_selector)
            fill(found)
        return found

    async def naming(
        self, resource: Resource, namespace: str, names: Iterable[str]
    ) -> Sequence[Json]:
        """Return the objects of a namespace that may name one of these, and perhaps others."""
        if not self.afresh:
            known = self.heard.listed(resource, namespace, "", self.since, mask_of(names))
            if known is not None:
                return known
        return (await self.list(resource, namespace)).items

    async def groups(self) -> frozenset[str]:
        """Return the names of the API groups that are served."""
        return await self.cluster.groups()


async def naming(
    reads: Readable, resource: Resource, namespace: str, names: Iterable[str]
) -> Sequence[Json]:
    """Return the objects of a namespace that may name one of these, and perhaps others.

    Args:
        reads: reads them.
        resource: their kind.
        namespace: which.
        names: of other objects.

    """
    if isinstance(reads, Reading):
        return await reads.naming(resource, namespace, names)
    return (await reads.list(resource, namespace)).items


def not_before(obj: Json, reads: Readable) -> Readable:
    """Return what reads lists that are not older than an object, as what is asked for now is not.

    Versions of different kinds are compared, which is sound where one store counts them. Where the
    API server keeps kinds apart, more is asked for than would be needed, or what was heard a moment
    ago is taken as it is.
    """
    number = number_of(obj["metadata"].get("resourceVersion"))
    if not isinstance(reads, Reading):
        return reads
    return reads.cluster if number is None else replace(reads, since=number)


def _nothing(found: ListResult) -> None:
    """Keep nothing of a list."""
    del found
