"""Every write carries what it rests on: the one loop for writes that meet others.

A write is computed from an object that was read, and carries its resourceVersion, so that the API
server refuses it (409 Conflict) once anybody has written in between: a leader that was stopped
and wakes up cannot undo what its successor did. After a Conflict the object is read again. Where
the newer one still bears out what is to be written, it is written on that; where it does not,
`Overtaken` says that the decision was about something else.

What the API server does with a resourceVersion and a uid, by verb (apiserver's patch.go, store.go):

- merge patch, of an object or of a subresource such as `scale`: the patched object is stored only
  over the very resourceVersion that it names, else 409. A resourceVersion belongs to one object
  for ever, so that it stands for the uid too.
- server-side apply: the same. But an apply makes an object that has gone anew, and a
  resourceVersion alone does not prevent that; a uid does (409).
- JSON Patch with `test` operations: 422 where one fails. It has no resourceVersion, so that a write
  of anything that it does not test is no conflict: apiserver runs it again on the newer object.
- create: 409 AlreadyExists if somebody was faster.
- delete: `preconditions` of uid and resourceVersion, else 409. By its uid alone a stopped leader
  could delete an object that its successor has given another content in place.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from canary.contract import FIELD_MANAGER
from runtime.backoff import Backoff
from runtime.errors import AlreadyExists, Conflict, HeadgateError, Invalid, NotFound
from runtime.resources import Resource

Json = dict[str, Any]
T = TypeVar("T")
Still = Callable[[Json], bool]
"""Tells whether a newer version of an object still bears out what is to be written."""

ATTEMPTS: Final = 8
"""How often a write is tried; with the delays below that is a second and a half at most."""
FIRST_DELAY: Final = 0.02
LONGEST_DELAY: Final = 0.5
MAKER: Final = f"{FIELD_MANAGER}-create"
"""Owner of what `create` wrote, until the first apply takes it over."""


class Overtaken(HeadgateError):  # noqa: N818 - what happened, and no error of anybody's
    """The object is another one now, or says something else: what was decided is out of date.

    Read the world again and decide anew, at once.
    """


class Gone(Overtaken):
    """There is no such object any more."""


class Gettable(Protocol):
    """The part of `runtime.kube.Cluster` that reads one object; the contract is written there."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """Return one object."""


class Patchable(Gettable, Protocol):
    """The part of `runtime.kube.Cluster` that a patch needs."""

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, patch: Json, *, subresource: str = ""
    ) -> Json:
        """Merge a patch into an object."""


class Swappable(Patchable, Protocol):
    """The part of `runtime.kube.Cluster` that a swap needs."""

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


class Writable(Patchable, Protocol):
    """The part of `runtime.kube.Cluster` that all writes need."""

    async def create(
        self, resource: Resource, obj: Json, *, field_manager: str = FIELD_MANAGER
    ) -> Json:
        """Create an object."""

    async def apply(self, resource: Resource, obj: Json) -> Json:
        """Apply an object on the server side."""

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


def always(_: Json) -> bool:
    """Take any newer version: the write is computed anew from it."""
    return True


def never(_: Json) -> bool:
    """Take no newer version: whoever wrote it knew something that was not known here."""
    return False


def asks_the_same(found: Json) -> Still:
    """Take a newer version in which nothing but `metadata` and `status` has changed.

    Controllers write both all the time; what is asked of an object stands elsewhere.
    """
    wanted = _asked(found)
    return lambda newer: _asked(newer) == wanted


async def stored(cluster: Gettable, resource: Resource, namespace: str, name: str) -> Json | None:
    """Return an object as it is stored now, None where there is none."""
    try:
        return await cluster.get(resource, namespace, name)
    except NotFound:
        return None


async def patched(
    cluster: Patchable,
    resource: Resource,
    obj: Json,
    patch_for: Callable[[Json], Json | None],
    *,
    subresource: str = "",
    still: Still = always,
) -> Json:
    """Merge a patch into an object and return the object as it is stored then.

    Args:
        cluster: the API server.
        resource: the object's kind.
        obj: the object as it was read, with its resourceVersion.
        patch_for: gives the merge patch (RFC 7386) for an object, None where nothing is to be
            written; asked again for the newer object after a Conflict.
        subresource: such as "status". "scale" returns a Scale, not the object.
        still: whether a newer version may be written to.

    Raises:
        Overtaken: `still` says no, or the object has been replaced or has gone since.
        NotFound: there was none to begin with.
        Conflict: somebody writes it all the time; try again later.

    """

    async def write(current: Json) -> Json:
        patch = patch_for(current)
        if patch is None:
            return current
        return await cluster.merge_patch(
            resource, *_place(current), _resting_on(current, patch), subresource=subresource
        )

    return await _written(cluster, resource, obj, write, still)


async def swapped(
    cluster: Swappable,
    resource: Resource,
    obj: Json,
    operations_for: Callable[[Json], Sequence[Json] | None],
    *,
    subresource: str = "",
    still: Still = always,
) -> Json:
    """Run operations that test themselves what they rest on; return the object as stored then.

    For what must not wait until a controller has written something else of the same object. A
    `test` that fails is a Conflict by another name: the object is read again.

    Args:
        cluster: the API server.
        resource: the object's kind.
        obj: the object as it was read.
        operations_for: gives the operations (RFC 6902) for an object, with a `test` of its uid and
            of all else that they rest on; None where nothing is to be written. Asked again for the
            newer object after a test that failed.
        subresource: such as "status".
        still: whether a newer version may be written to.

    Raises:
        Overtaken: `still` says no, or the object has been replaced or has gone since.
        NotFound: there was none to begin with.
        Conflict: somebody writes it all the time; try again later.
        Invalid: the server denies it whatever the tests say.

    """
    refused: Sequence[Json] = ()

    async def write(current: Json) -> Json:
        nonlocal refused
        operations = operations_for(current)
        if operations is None:
            return current
        try:
            return await cluster.json_patch(
                resource, *_place(current), operations, subresource=subresource
            )
        except Invalid as error:
            # A policy may answer with 422 as well. It does so again where all tests hold.
            if operations == refused:
                raise
            refused = operations
            raise Conflict(error.status, error.reason, error.message) from error

    return await _written(cluster, resource, obj, write, still)


async def applied(
    cluster: Writable,
    resource: Resource,
    wanted: Json,
    found: Json | None,
    *,
    still: Still | None = None,
) -> Json:
    """Make an object, or apply it on the server side over the one that was found.

    An apply takes away what an earlier one wanted. What was made by `create` belongs to an Update
    and would stay for ever, so that it is handed over to our Apply before the first one, as
    client-go does for clients that change from the one to the other (util/csaupgrade).

    Args:
        cluster: the API server.
        resource: the object's kind.
        wanted: all fields that are wanted, and no other.
        found: the object as it was read, None where there was none.
        still: whether a newer version may be applied over; by default one that asks the same.

    Raises:
        Overtaken: `still` says no, the object has been replaced, has gone, or has been made since.
        Conflict: somebody writes it all the time; try again later.

    """
    if found is None:
        try:
            return await cluster.create(resource, wanted, field_manager=MAKER)
        except AlreadyExists as faster:
            name = wanted["metadata"]["name"]
            raise Overtaken(f"{resource.kind} {name} has been made meanwhile") from faster
    if "managedFields" not in found["metadata"]:  # a copy that an informer has trimmed
        found = await _newer(cluster, resource, found, still or asks_the_same(found))
    may = still or asks_the_same(found)
    found = await patched(cluster, resource, found, _handed_over, still=may)

    async def write(current: Json) -> Json:
        return await cluster.apply(resource, _resting_on(current, wanted, uid=True))

    return await _written(cluster, resource, found, write, may)


async def deleted(
    cluster: Writable, resource: Resource, found: Json, *, still: Still | None = None
) -> None:
    """Delete the very object that was found, as it was found; one that has gone is a success.

    Args:
        cluster: the API server.
        resource: the object's kind.
        found: the object as it was read.
        still: whether a newer version may be deleted; by default one that asks the same.

    Raises:
        Overtaken: `still` says no, or there is another object of that name.
        Conflict: somebody writes it all the time; try again later.

    """

    async def write(current: Json) -> None:
        metadata = current["metadata"]
        uid, version = metadata.get("uid"), metadata["resourceVersion"]
        await cluster.delete(resource, *_place(current), uid=uid, resource_version=version)

    try:
        await _written(cluster, resource, found, write, still or asks_the_same(found))
    except Gone:
        return


async def _written(
    cluster: Patchable,
    resource: Resource,
    current: Json,
    write: Callable[[Json], Awaitable[T]],
    still: Still,
) -> T:
    """Write, and after a Conflict write on the newer object, where it may be: the loop."""
    # Jitter is no secret.
    backoff = Backoff(FIRST_DELAY, LONGEST_DELAY, rng=random.Random())  # noqa: S311
    for attempt in range(ATTEMPTS - 1):
        try:
            return await write(current)
        except Conflict:
            # Mostly it was one write of a controller's, and that is over by now.
            if attempt:
                await asyncio.sleep(backoff.next())
            current = await _newer(cluster, resource, current, still)
    return await write(current)


async def _newer(cluster: Patchable, resource: Resource, before: Json, still: Still) -> Json:
    """Return the object as it is stored now, if it is the same one and may still be written."""
    namespace, name = _place(before)
    try:
        current = await cluster.get(resource, namespace, name)
    except NotFound as gone:
        raise Gone(f"{resource.kind} {namespace}/{name} has gone") from gone
    if current["metadata"].get("uid") != before["metadata"].get("uid"):
        raise Overtaken(f"{resource.kind} {namespace}/{name} is another one now")
    if not still(current):
        raise Overtaken(f"{resource.kind} {namespace}/{name} has been changed meanwhile")
    return current


def _resting_on(current: Json, change: Json, *, uid: bool = False) -> Json:
    """Return a change that is good for one version of an object only."""
    metadata = current["metadata"]
    rests = {"resourceVersion": metadata["resourceVersion"]}
    if uid:
        rests["uid"] = metadata["uid"]
    return {**change, "metadata": {**(change.get("metadata") or {}), **rests}}


def _place(obj: Json) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _asked(obj: Json) -> Json:
    beside = ("apiVersion", "kind", "metadata", "status")
    return {field: value for field, value in obj.items() if field not in beside}


# --- who owns the fields --------------------------------------------------------------------


def _handed_over(obj: Json) -> Json | None:
    """Return the patch by which what `create` wrote becomes our Apply's, None where it is so."""
    entries: list[Json] = obj["metadata"].get("managedFields") or []
    made = [entry for entry in entries if entry.get("manager") == MAKER]
    if not made:
        return None
    ours = [entry for entry in entries if _is_our_apply(entry)]
    owned: Json = {}
    for entry in (*ours, *made):
        owned = _union(owned, entry.get("fieldsV1") or {})
    apply = {**made[0], "manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": owned}
    others = [entry for entry in entries if entry not in ours and entry not in made]
    return {"metadata": {"managedFields": [*others, apply]}}


def _is_our_apply(entry: Json) -> bool:
    return entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply"


def _union(one: Json, other: Json) -> Json:
    """Return the fields that are in either set (`fieldsV1`: nested mappings, leaves are empty)."""
    both = {name: _union(one[name], other[name]) for name in one.keys() & other.keys()}
    return {**one, **other, **both}
