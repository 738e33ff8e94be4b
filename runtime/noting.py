"""An API server of which all that it answers to this process is known at once."""

from collections.abc import AsyncGenerator, Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from canary.contract import FIELD_MANAGER
from runtime.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from runtime.heard import Heard, Surveyable
from runtime.resources import ListResult, Resource
from runtime.writes import Swappable, Writable

Json = dict[str, Any]
_REFUSED: Final = (Conflict, Invalid, Forbidden, NotFound)
"""Answers by which it is certain that nothing was written; who needs the object reads it then."""


class Storage(Surveyable, Swappable, Writable, Protocol):
    """The part of `runtime.kube.Cluster` that is read and written here."""

    def pages(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> AsyncGenerator[ListResult, None]:
        """Yield all objects that match, a few at a time."""


@dataclass(frozen=True, slots=True)
class Noting:
    """Passes everything on, and has taken in what comes back. See `runtime.heard`.

    Args:
        cluster: the API server.
        heard: what takes it in.

    """

    cluster: Storage
    heard: Heard

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """Return one object, as it is stored now."""
        try:
            found = await self.cluster.get(resource, namespace, name)
        except NotFound:
            self.heard.doubt(resource, namespace, name)
            raise
        self.heard.saw(resource, found)
        return found

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        """Return all objects that match, as they are stored now."""
        return await self.cluster.list(resource, namespace, label_selector=label_selector)

    def pages(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> AsyncGenerator[ListResult, None]:
        """Yield all objects that match, a few at a time."""
        return self.cluster.pages(resource, namespace, label_selector=label_selector)

    async def groups(self) -> frozenset[str]:
        """Return the names of the API groups that are served."""
        return await self.cluster.groups()

    async def create(
        self, resource: Resource, obj: Json, *, field_manager: str = FIELD_MANAGER
    ) -> Json:
        """Create an object."""
        call = self.cluster.create(resource, obj, field_manager=field_manager)
        return await self._noted(resource, _place(obj), call)

    async def apply(self, resource: Resource, obj: Json) -> Json:
        """Apply an object on the server side."""
        return await self._noted(resource, _place(obj), self.cluster.apply(resource, obj))

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, patch: Json, *, subresource: str = ""
    ) -> Json:
        """Merge a patch into an object."""
        call = self.cluster.merge_patch(resource, namespace, name, patch, subresource=subresource)
        return await self._noted(resource, (namespace, name), call)

    async def json_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        ops: Sequence[Json],
        *,
        subresource: str = "",
    ) -> Json:
        """Run RFC 6902 operations on an object, all or none."""
        call = self.cluster.json_patch(resource, namespace, name, ops, subresource=subresource)
        return await self._noted(resource, (namespace, name), call)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """Delete an object; one that is not there is a success."""
        try:
            await self.cluster.delete(
                resource, namespace, name, uid=uid, resource_version=resource_version
            )
        finally:
            self.heard.doubt(resource, namespace, name)

    async def _noted(
        self, resource: Resource, place: tuple[str, str], call: Awaitable[Json]
    ) -> Json:
        """Take in what a write returns; where it returns nothing, it may have arrived all the same.

        What a subresource returns may be another kind of object, as `scale` does.
        """
        try:
            stored = await call
        except AlreadyExists:
            self.heard.doubt(resource, *place, everywhere=True)
            raise
        except _REFUSED:
            self.heard.doubt(resource, *place)
            raise
        except BaseException:
            self.heard.doubt(resource, *place, everywhere=True)
            raise
        if stored.get("kind", resource.kind) == resource.kind:
            self.heard.saw(resource, stored)
        else:
            self.heard.doubt(resource, *place)
        return stored


def _place(obj: Json) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
