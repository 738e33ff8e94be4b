"""Objects in memory, with the API server's optimistic concurrency: what a write rests on counts.

The same rules are held against a real API server in tests/cluster/test_runtime_kube.py
and test_runtime_writes.py.
"""

import copy
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

import jsonpatch

from canary.contract import FIELD_MANAGER
from canary.model.values import Json
from runtime.errors import AlreadyExists, ApiError, Conflict, Invalid, NotFound
from runtime.resources import ListResult, Resource


@dataclass
class Stored:
    """A few objects by plural, namespace and name.

    `meanwhile` is called once before a write arrives, then forgotten: what somebody else does in
    between. `calls` are the verbs in order. `denials` are answers by verb and
    plural. `served` are the API groups beside the core's.
    """

    objects: dict[tuple[str, str, str], Json] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    meanwhile: Callable[[], None] | None = None
    always: Callable[[], None] | None = None
    denials: dict[tuple[str, str], ApiError] = field(default_factory=dict)
    served: frozenset[str] = frozenset()
    _version: int = 0

    def put(self, resource: Resource, obj: Json) -> Json:
        """Store an object as somebody else does, and return it as stored."""
        metadata = obj["metadata"]
        place = (resource.plural, metadata.get("namespace", ""), metadata["name"])
        self._version += 1
        before = self.objects.get(place, {"metadata": {}})["metadata"]
        uid = before.get("uid") or f"uid-{self._version}"
        fixed = {"uid": uid, "resourceVersion": str(self._version)}
        entries = {"managedFields": metadata.get("managedFields") or []}
        self.objects[place] = copy.deepcopy({**obj, "metadata": {**metadata, **entries, **fixed}})
        return copy.deepcopy(self.objects[place])

    def remove(self, resource: Resource, namespace: str, name: str) -> None:
        """Delete an object as somebody else does."""
        del self.objects[resource.plural, namespace, name]

    def now(self, resource: Resource, namespace: str, name: str) -> Json | None:
        """Return an object as it is stored, without a call."""
        return copy.deepcopy(self.objects.get((resource.plural, namespace, name)))

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        self.calls.append("get")
        if (denial := self.denials.get(("get", resource.plural))) is not None:
            raise denial
        return self._read(resource, namespace, name)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        self.calls.append(f"list {resource.plural}")
        if (denial := self.denials.get(("list", resource.plural))) is not None:
            raise denial
        found = [
            copy.deepcopy(obj)
            for (plural, place, _), obj in self.objects.items()
            if plural == resource.plural
            and obj.get("apiVersion", resource.api_version) == resource.api_version
            and namespace in {None, place}
            and matches(obj["metadata"].get("labels") or {}, label_selector)
        ]
        return ListResult(found, str(self._version))

    async def groups(self) -> frozenset[str]:
        self.calls.append("groups")
        if (denial := self.denials.get(("get", "groups"))) is not None:
            raise denial
        return self.served

    async def pages(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> AsyncGenerator[ListResult, None]:
        """Yield what `list` returns, at once."""
        yield await self.list(resource, namespace, label_selector=label_selector)

    async def create(
        self, resource: Resource, obj: Json, *, field_manager: str = FIELD_MANAGER
    ) -> Json:
        self._arrive("create", resource)
        metadata = obj["metadata"]
        if self.now(resource, metadata.get("namespace", ""), metadata["name"]) is not None:
            raise AlreadyExists(409, "AlreadyExists", metadata["name"])
        return self.put(resource, _owned(obj, field_manager, "Update", _fields(obj)))

    async def apply(self, resource: Resource, obj: Json) -> Json:
        """Apply an object; fields beside metadata that our Apply owned and wants no more go."""
        self._arrive("apply", resource)
        metadata = obj["metadata"]
        before = self.now(resource, metadata.get("namespace", ""), metadata["name"])
        if before is None and "uid" in metadata:
            raise Conflict(409, "Conflict", "uid mismatch")
        if before is None:
            return self.put(resource, _owned(obj, FIELD_MANAGER, "Apply", _fields(obj)))
        self._check(before, metadata.get("resourceVersion"))
        kept = _without(before, _owned_by(before, FIELD_MANAGER, "Apply"))
        notes = {name: metadata[name] for name in ("labels", "annotations") if name in metadata}
        merged = _merged(kept, {**obj, "metadata": notes})
        return self.put(resource, _owned(merged, FIELD_MANAGER, "Apply", _fields(obj)))

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, patch: Json, *, subresource: str = ""
    ) -> Json:
        self._arrive(f"merge_patch {subresource}".strip(), resource)
        before = self._read(resource, namespace, name)
        self._check(before, (patch.get("metadata") or {}).get("resourceVersion"))
        return self.put(resource, _merged(before, patch))

    async def json_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        ops: Sequence[Json],
        *,
        subresource: str = "",
    ) -> Json:
        """Run RFC 6902 operations, all or none, on what is stored when they arrive."""
        self._arrive(f"json_patch {subresource}".strip(), resource)
        before = self._read(resource, namespace, name)
        if any(is_written_otherwise(op) for op in ops):
            raise Invalid(422, "Invalid", "the server rejected our request")
        try:
            after: Json = jsonpatch.apply_patch(before, ops)
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
            raise Invalid(422, "Invalid", str(error)) from error
        return self.put(resource, after)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        self._arrive("delete", resource)
        before = self.now(resource, namespace, name)
        if before is None:
            return
        if uid not in {None, before["metadata"]["uid"]}:
            raise Conflict(409, "Conflict", "Precondition failed: UID")
        self._check(before, resource_version)
        self.remove(resource, namespace, name)

    def _read(self, resource: Resource, namespace: str, name: str) -> Json:
        obj = self.now(resource, namespace, name)
        if obj is None:
            raise NotFound(404, "NotFound", name)
        return obj

    def _arrive(self, verb: str, resource: Resource) -> None:
        self.calls.append(verb)
        if (denial := self.denials.get((verb, resource.plural))) is not None:
            raise denial
        if self.always is not None:
            self.always()
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            act()

    @staticmethod
    def _check(stored: Json, version: str | None) -> None:
        if version not in {None, stored["metadata"]["resourceVersion"]}:
            raise Conflict(409, "Conflict", "the object has been modified")


def is_written_otherwise(op: Json) -> bool:
    """Tell whether a test fails at a real API server although the values are the same.

    It compares the bytes of both as they are written in JSON, where its own has `>` escaped and
    what is not ASCII as it is.
    """
    text = json.dumps(op.get("value"), ensure_ascii=False)
    return op["op"] == "test" and (not text.isascii() or any(it in text for it in "<>&"))


def matches(labels: dict[str, str], selector: str) -> bool:
    """Tell whether labels fit a selector of `key=value` and `key`, with commas between."""
    for part in filter(None, selector.split(",")):
        key, equals, value = part.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


def _merged(before: Json, patch: Json) -> Json:
    """Return RFC 7386."""
    result = dict(before)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            old = result.get(name)
            result[name] = _merged(old if isinstance(old, dict) else {}, value)
        else:
            result[name] = value
    return result


def _fields(obj: Json) -> Json:
    """Return the set of an object's fields, as `fieldsV1` writes it, without metadata."""
    beside = ("metadata", "apiVersion", "kind")
    return {
        f"f:{name}": _fields(value) if isinstance(value, dict) else {}
        for name, value in obj.items()
        if name not in beside
    }


def _owned(obj: Json, manager: str, operation: str, fields: Json) -> Json:
    entry = {"manager": manager, "operation": operation, "fieldsV1": fields}
    others = [
        one
        for one in obj["metadata"].get("managedFields") or []
        if (one["manager"], one["operation"]) != (manager, operation)
    ]
    return {**obj, "metadata": {**obj["metadata"], "managedFields": [*others, entry]}}


def _owned_by(obj: Json, manager: str, operation: str) -> Json:
    for entry in obj["metadata"]["managedFields"]:
        if (entry["manager"], entry["operation"]) == (manager, operation):
            return dict(entry["fieldsV1"])
    return {}


def _without(obj: Json, fields: Json) -> Json:
    """Return an object without the leaves of a set of fields."""
    result = dict(obj)
    for name, value in obj.items():
        below = fields.get(f"f:{name}")
        if below == {}:
            del result[name]
        elif below and isinstance(value, dict):
            result[name] = _without(value, below)
    return result
