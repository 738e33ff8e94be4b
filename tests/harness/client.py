"""One process's way to the API server in memory, which can be cut and can lose answers."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, TypeVar

from canary.contract import ANALYZER_USER, FIELD_MANAGER
from canary.model.values import Json
from runtime.errors import NotFound
from runtime.resources import CANARIES, ListResult, Resource, WatchEvent
from tests.harness.api import ApiServer, Writer

T = TypeVar("T")
ANALYZER: Final = Writer(user=ANALYZER_USER, manager=FIELD_MANAGER)
TEAM: Final = Writer(user="alice", manager="kubectl")


@dataclass(frozen=True, slots=True)
class Write:
    """One write that a process is about to make.

    `part` tells writes to one resource apart that are made by different hands.
    """

    verb: str
    resource: Resource
    subresource: str
    namespace: str
    name: str
    part: str = ""

    @property
    def kind(self) -> str:
        """The verb and what it is about, such as `merge_patch canaries/status`."""
        beneath = f"/{self.subresource}" if self.subresource else ""
        return f"{self.verb} {self.resource.plural}{beneath}{self.part and f' {self.part}'}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Gate(Protocol):
    """Stands between a process and the API server."""

    async def passes(self, write: Write, arrive: Callable[[], T]) -> T:
        """Let a write arrive, or do to it what is to be tried."""


class Open:
    """A gate that every write passes."""

    async def passes(self, write: Write, arrive: Callable[[], T]) -> T:
        """Let it arrive."""
        del write
        return arrive()


@dataclass
class Client:
    """What `runtime.kube.Cluster` is to the product; see there for the contract.

    Args:
        api: the API server.
        writer: who this is.
        gate: what every write has to pass.

    """

    api: ApiServer
    writer: Writer = ANALYZER
    gate: Gate = field(default_factory=Open)
    alive: bool = True

    def now(self) -> datetime:
        """Return the API server's time."""
        return self.api.clock()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        await self._reached()
        return self.api.get(resource, namespace or "", name)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        await self._reached()
        return self.api.listed(resource, namespace, label_selector)

    async def groups(self) -> frozenset[str]:
        await self._reached()
        return self.api.served

    async def pages(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> AsyncGenerator[ListResult, None]:
        """Yield all that `list` has, at once."""
        yield await self.list(resource, namespace, label_selector=label_selector)

    async def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield the changes after a version, for ever."""
        assert (namespace, label_selector) == (None, "")
        told = int(resource_version)
        while True:
            await self._reached()
            fresh = tuple(self.api.events(resource, told))
            for version, event in fresh:
                told = version
                yield event
            if not fresh:  # more may have come while these were heard
                await self.api.news(resource)

    async def create(
        self, resource: Resource, obj: Json, *, field_manager: str = FIELD_MANAGER
    ) -> Json:
        writer = self._as(field_manager)
        return await self._write(
            "create", resource, obj, lambda: self.api.create(resource, obj, writer)
        )

    async def apply(
        self,
        resource: Resource,
        obj: Json,
        *,
        field_manager: str = FIELD_MANAGER,
        force: bool = True,
    ) -> Json:
        writer = self._as(field_manager)
        return await self._write(
            "apply", resource, obj, lambda: self.api.apply(resource, obj, writer, force=force)
        )

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Json,
        *,
        subresource: str = "",
        field_manager: str = FIELD_MANAGER,
    ) -> Json:
        place, writer = (namespace or "", name), self._as(field_manager)

        def arrive() -> Json:
            return self.api.merge_patch(resource, place, patch, writer, subresource)

        return await self._write(
            "merge_patch", resource, _at(place), arrive, subresource, _part(resource, patch)
        )

    async def json_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        ops: Sequence[Json],
        *,
        subresource: str = "",
        field_manager: str = FIELD_MANAGER,
    ) -> Json:
        place, writer = (namespace or "", name), self._as(field_manager)

        def arrive() -> Json:
            return self.api.json_patch(resource, place, ops, writer, subresource)

        return await self._write("json_patch", resource, _at(place), arrive, subresource)

    async def replace(
        self, resource: Resource, obj: Json, *, field_manager: str = FIELD_MANAGER
    ) -> Json:
        metadata, writer = obj["metadata"], self._as(field_manager)
        place = (metadata.get("namespace", ""), metadata["name"])

        def change(old: Json) -> Json:
            known = {
                key: old["metadata"][key]
                for key in ("resourceVersion", "managedFields")
                if key in old["metadata"]
            }
            return {**obj, "metadata": {**known, **metadata}}

        return await self._write(
            "replace", resource, obj, lambda: self.api.patch(resource, place, change, writer)
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        place = (namespace or "", name)

        def arrive() -> None:
            self.api.delete(resource, place, self.writer, uid=uid, version=resource_version)

        try:
            await self._write("delete", resource, _at(place), arrive)
        except NotFound:
            return

    def _as(self, manager: str) -> Writer:
        """Return who owns the fields then; a team does not go by our name."""
        if manager == FIELD_MANAGER:
            return self.writer
        return Writer(self.writer.user, manager)

    async def _write(
        self,
        verb: str,
        resource: Resource,
        obj: Json,
        arrive: Callable[[], T],
        subresource: str = "",
        part: str = "",
    ) -> T:
        await self._reached()
        metadata = obj["metadata"]
        space, name = metadata.get("namespace", ""), metadata["name"]
        write = Write(verb, resource, subresource, space, name, part)
        return await self.gate.passes(write, arrive)

    async def _reached(self) -> None:
        """Let others go on; the dead reach nobody any more."""
        await asyncio.sleep(0)
        if not self.alive:
            await asyncio.Event().wait()


def _part(resource: Resource, patch: Json) -> str:
    """Return what is written of a Canary beside the whole record of its run."""
    said = set(patch.get("status") or ())
    return "condition" if resource == CANARIES and said == {"conditions", "run"} else ""


def _at(place: tuple[str, str]) -> Json:
    return {"metadata": {"namespace": place[0], "name": place[1]}}
