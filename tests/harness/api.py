"""An API server in memory: versions, generations, subresources, owners, watches and deletion.

What it does is held against a real one by the contract of `tests/contract`. Nothing here waits: its
state changes by whole writes, in the order in which they arrive.
"""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import jsonpatch
import orjson

from analyzer.routers.kinds import RESOURCES
from canary.model.values import Json
from runtime.errors import AlreadyExists, Conflict, Expired, Invalid, NotFound
from runtime.resources import (
    CANARIES,
    DEPLOYMENTS,
    PODS,
    REPLICASETS,
    ListResult,
    Resource,
    WatchEvent,
)
from tests.fakes.stored import is_written_otherwise, matches
from tests.harness.defaults import defaulted
from tests.harness.fields import applied, merged, updated

Place = tuple[str, str, str]
"""Plural, namespace, name."""

_WITH_STATUS: Final = frozenset(
    one.plural for one in (DEPLOYMENTS, REPLICASETS, CANARIES, *RESOURCES.values(), PODS)
)
_FIXED: Final = ("uid", "creationTimestamp", "generation", "deletionTimestamp")
_SELECTS_FOR_EVER: Final = frozenset({DEPLOYMENTS.plural, REPLICASETS.plural})


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes: the user as the API server knows it, and the name that fields are owned under."""

    user: str
    manager: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One write as it was stored; `new` is None for a deletion."""

    version: int
    resource: Resource
    writer: Writer
    subresource: str
    old: Json | None
    new: Json | None


Admission = Callable[[Resource, Json | None, Json, Writer], Json]
"""Returns an object as it is to be stored, or raises what the client is told."""


def admit_all(resource: Resource, old: Json | None, new: Json, writer: Writer) -> Json:
    """Let everything pass as it is."""
    del resource, old, writer
    return new


@dataclass
class ApiServer:
    """All objects of a cluster, and all that has been written.

    Args:
        clock: its time.
        admission: is asked about every write to an object itself, subresources apart.
        served: the API groups that it names beside the core's.

    """

    clock: Callable[[], datetime]
    admission: Admission = admit_all
    log: list[Change] = field(default_factory=list)
    watchers: list[Callable[[Change], None]] = field(default_factory=list)
    oldest: int = 0
    served: frozenset[str] = frozenset()
    _objects: dict[str, dict[tuple[str, str], Json]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    _waiting: dict[str, list[asyncio.Event]] = field(default_factory=lambda: defaultdict(list))
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    version: int = 0

    # --- reading --------------------------------------------------------------------------------

    def peek(self, resource: Resource) -> list[Json]:
        """Return the stored objects of a kind themselves; they are not to be changed."""
        return list(self._objects[resource.plural].values())

    def look(self, resource: Resource, namespace: str, name: str) -> Json | None:
        """Return a stored object itself, which is not to be changed; None where there is none."""
        return self._objects[resource.plural].get((namespace, name))

    def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """Return an object."""
        return _copied(self._found(resource, namespace, name))

    def listed(self, resource: Resource, namespace: str | None, selector: str) -> ListResult:
        """Return all objects that match."""
        items = [
            _copied(one)
            for (space, _), one in self._objects[resource.plural].items()
            if namespace in {None, space} and matches(one["metadata"].get("labels") or {}, selector)
        ]
        return ListResult(items, str(self.version))

    def at(self, resource: Resource, version: int) -> list[Json]:
        """Return the objects of a kind as they were stored at a version."""
        found: dict[tuple[str, str], Json] = {}
        for change in self.log:
            if change.version > version:
                break
            if change.resource == resource:
                metadata = (change.new or change.old or {"metadata": {}})["metadata"]
                place = (metadata.get("namespace", ""), metadata["name"])
                found.pop(place, None)
                if change.new is not None:
                    found[place] = change.new
        return [_copied(one) for one in found.values()]

    def events(self, resource: Resource, after: int) -> Iterator[tuple[int, WatchEvent]]:
        """Yield what has become of a kind after a version, with the versions.

        Raises:
            Expired: that is too long ago.

        """
        if after < self.oldest:
            raise Expired(410, "Expired", "too old resource version")
        for change in self.log:
            if change.version > after and change.resource == resource:
                yield change.version, _event(change)

    async def news(self, resource: Resource) -> None:
        """Wait for the next write to a kind."""
        event = asyncio.Event()
        self._waiting[resource.plural].append(event)
        await event.wait()

    # --- writing --------------------------------------------------------------------------------

    def create(self, resource: Resource, obj: Json, writer: Writer) -> Json:
        """Store a new object."""
        metadata = obj["metadata"]
        place = (metadata.get("namespace", ""), metadata["name"])
        if place in self._objects[resource.plural]:
            raise AlreadyExists(409, "AlreadyExists", metadata["name"])
        sent = {"apiVersion": resource.api_version, "kind": resource.kind, **_copied(obj)}
        if resource.plural in _WITH_STATUS:
            sent.pop("status", None)
        sent["metadata"] = {
            **sent["metadata"],
            "uid": f"uid-{next(self._numbers)}",
            "creationTimestamp": self.clock().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "generation": 1,
        }
        bare: Json = {"metadata": {}}
        new = self.admission(resource, None, defaulted(resource, sent), writer)
        return self._store(resource, None, updated(bare, new, writer.manager), writer, "")

    def patch(
        self,
        resource: Resource,
        place: tuple[str, str],
        change: Callable[[Json], Json],
        writer: Writer,
        subresource: str = "",
    ) -> Json:
        """Write what a change makes of an object, by the rules of its subresource."""
        old = self._found(resource, *place)
        asked = change(old)
        version = asked["metadata"].get("resourceVersion")
        if version != old["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "the object has been modified")
        if subresource == "scale":
            spec = {**old["spec"], "replicas": asked["spec"]["replicas"]}
            return self._store(resource, old, {**old, "spec": spec}, writer, subresource)
        if subresource:
            return self._store(resource, old, _status_of(resource, old, asked), writer, subresource)
        return self._write(resource, old, asked, writer)

    def merge_patch(
        self,
        resource: Resource,
        place: tuple[str, str],
        patch: Json,
        writer: Writer,
        subresource: str = "",
    ) -> Json:
        """Merge a patch; a resourceVersion in it makes it conditional."""
        return self.patch(
            resource, place, lambda old: merged(old, _copied(patch)), writer, subresource
        )

    def json_patch(
        self,
        resource: Resource,
        place: tuple[str, str],
        ops: Sequence[Json],
        writer: Writer,
        subresource: str = "",
    ) -> Json:
        """Run operations, all or none, on what is stored."""

        def run(old: Json) -> Json:
            if any(is_written_otherwise(op) for op in ops):
                raise Invalid(422, "Invalid", "the server rejected our request")
            try:
                after: Json = jsonpatch.apply_patch(_copied(old), ops)
            except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
                raise Invalid(422, "Invalid", str(error)) from error
            return after

        return self.patch(resource, place, run, writer, subresource)

    def apply(self, resource: Resource, obj: Json, writer: Writer, *, force: bool = True) -> Json:
        """Apply an object on the server's side."""
        metadata = obj["metadata"]
        old = self.look(resource, metadata.get("namespace", ""), metadata["name"])
        rests = {key: metadata[key] for key in ("uid", "resourceVersion") if key in metadata}
        wanted: Json = {
            **{key: value for key, value in obj.items() if key not in {"metadata", "status"}},
            "metadata": {key: value for key, value in metadata.items() if key not in rests},
        }
        wanted = _copied(wanted)
        if old is None:
            if "uid" in rests:
                raise Conflict(409, "Conflict", "uid mismatch")
            return self._applied_anew(resource, wanted, writer)
        for key, value in rests.items():
            if old["metadata"][key] != value:
                raise Conflict(409, "Conflict", f"{key}: the object has been modified")
        new, taken = applied(old, wanted, writer.manager)
        if taken and not force:
            raise Conflict(409, "Conflict", f"conflicts with another manager: {sorted(taken)}")
        return self._write(resource, old, new, writer, owned=True)

    def _applied_anew(self, resource: Resource, wanted: Json, writer: Writer) -> Json:
        made = self.create(resource, wanted, writer)
        entries = made["metadata"]["managedFields"]
        for entry in entries:
            entry["operation"] = "Apply"
        place = (resource.plural, made["metadata"].get("namespace", ""), made["metadata"]["name"])
        self._objects[place[0]][place[1:]]["metadata"]["managedFields"] = entries
        return _copied(made)

    def delete(
        self,
        resource: Resource,
        place: tuple[str, str],
        writer: Writer,
        *,
        uid: str | None = None,
        version: str | None = None,
    ) -> None:
        """Delete an object; what it owns goes later, by whoever collects garbage."""
        old = self._found(resource, *place)
        metadata = old["metadata"]
        if uid not in {None, metadata["uid"]} or version not in {None, metadata["resourceVersion"]}:
            raise Conflict(409, "Conflict", "Precondition failed")
        del self._objects[resource.plural][place]
        self.version += 1
        self._tell(
            Change(
                version=self.version,
                resource=resource,
                writer=writer,
                subresource="",
                old=old,
                new=None,
            )
        )

    def forget_the_past(self) -> None:
        """Remember no version before the present one, as after a compaction."""
        self.oldest = self.version

    # --- inside ---------------------------------------------------------------------------------

    def _found(self, resource: Resource, namespace: str, name: str) -> Json:
        found = self.look(resource, namespace, name)
        if found is None:
            raise NotFound(404, "NotFound", name)
        return found

    def _write(
        self, resource: Resource, old: Json, asked: Json, writer: Writer, *, owned: bool = False
    ) -> Json:
        fixed = {key: old["metadata"][key] for key in _FIXED if key in old["metadata"]}
        new = {**asked, "metadata": {**asked["metadata"], **fixed}}
        if resource.plural in _WITH_STATUS:
            new.pop("status", None)
            new |= {"status": old["status"]} if "status" in old else {}
        if resource.plural in _SELECTS_FOR_EVER and new["spec"].get("selector") != old["spec"].get(
            "selector"
        ):
            raise Invalid(422, "Invalid", "spec.selector: field is immutable")
        given = asked["metadata"].get("managedFields") != old["metadata"].get("managedFields")
        if not owned and not given:
            new = updated(old, new, writer.manager)
        new = self.admission(resource, old, defaulted(resource, new), writer)
        return self._store(resource, old, new, writer, "")

    def _store(
        self, resource: Resource, old: Json | None, new: Json, writer: Writer, subresource: str
    ) -> Json:
        if old is not None and new == old:
            return _copied(old)
        metadata = dict(new["metadata"])
        self.version += 1
        if old is not None and _asks_otherwise(resource, old, new, subresource):
            metadata["generation"] = old["metadata"].get("generation", 1) + 1
        metadata["resourceVersion"] = str(self.version)
        place = (metadata.get("namespace", ""), metadata["name"])
        kept = _copied({**new, "metadata": metadata})
        self._objects[resource.plural][place] = kept
        self._tell(
            Change(
                version=self.version,
                resource=resource,
                writer=writer,
                subresource=subresource,
                old=old,
                new=kept,
            )
        )
        return _copied(kept)

    def _tell(self, change: Change) -> None:
        self.log.append(change)
        for event in self._waiting.pop(change.resource.plural, ()):
            event.set()
        for watcher in self.watchers:
            watcher(change)


def _asks_otherwise(resource: Resource, old: Json, new: Json, subresource: str) -> bool:
    """Tell whether the generation moves: a Deployment's does with its annotations too."""
    if new.get("spec") != old.get("spec"):
        return True
    noted = new["metadata"].get("annotations") != old["metadata"].get("annotations")
    return resource == DEPLOYMENTS and not subresource and noted


def _status_of(resource: Resource, old: Json, asked: Json) -> Json:
    """Return what a write to `status` stores: of a Deployment its annotations too."""
    metadata = dict(old["metadata"])
    if resource == DEPLOYMENTS:
        metadata.pop("annotations", None)
        notes = asked["metadata"].get("annotations")
        metadata |= {"annotations": notes} if notes else {}
    return {**old, "metadata": metadata, "status": asked.get("status") or {}}


def _event(change: Change) -> WatchEvent:
    if change.new is None:
        gone = change.old or {"metadata": {}}
        metadata = {**gone["metadata"], "resourceVersion": str(change.version)}
        return WatchEvent("DELETED", _copied({**gone, "metadata": metadata}))
    return WatchEvent("MODIFIED" if change.old else "ADDED", _copied(change.new))


def _copied(obj: Json) -> Json:
    found: Json = orjson.loads(orjson.dumps(obj))
    return found
