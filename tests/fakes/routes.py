"""Routes in memory as the API server keeps them, with the route webhook asked on each write."""

import base64
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

import jsonpatch

from analyzer.routers.kinds import BESIDE, RESOURCES
from canary.admission.routes import RouteWrite, admit_route, admit_route_creation
from canary.contract import ANALYZER_USER, FIELD_MANAGER, NAMESPACE_ENABLED, NAMESPACE_LABEL
from canary.model.values import Json
from runtime.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from runtime.resources import (
    HTTPROUTES,
    NAMESPACES,
    REFERENCEGRANTS,
    SERVICES,
    ListResult,
    Resource,
)
from runtime.writes import MAKER
from tests.fakes.cluster import Untouched
from webhook.review import answer_route, read_review

KNOWN = {
    **RESOURCES,
    **BESIDE,
    **{it.kind: it for it in (SERVICES, NAMESPACES, REFERENCEGRANTS)},
}
MOST_WEIGHT, MOST_BACKENDS = 1_000_000, 16
"""Bounds of a rule, by the CRD of Gateway API 1.x."""
TEAM = "alice"
Admission = Callable[[RouteWrite], Json]


class Died(Exception):  # noqa: N818 - it stands for a process that was killed
    """The analyzer was killed instead of this write."""


def webhook(write: RouteWrite) -> Json:
    """Return a route as the webhook has it stored, by its own wire format."""
    user = ANALYZER_USER if write.by_analyzer else TEAM
    request = {
        "uid": "u-1",
        "userInfo": {"username": user},
        "object": write.new,
        "oldObject": write.old,
    }
    review = read_review(json.dumps({"request": request}).encode())
    assert review.old is not None
    by_analyzer = review.user == ANALYZER_USER
    answer = admit_route(RouteWrite(old=review.old, new=review.new, by_analyzer=by_analyzer))
    response = json.loads(answer_route(review.uid, review.new, answer))["response"]
    if "patch" not in response:
        return write.new
    patch = json.loads(base64.b64decode(response["patch"]))
    stored: Json = jsonpatch.apply_patch(deepcopy(write.new), patch)
    return stored


def down(write: RouteWrite) -> Json:
    """Return a route as it is stored when no webhook answers (`failurePolicy: Ignore`)."""
    return write.new


@dataclass
class RouteStore(Untouched):
    """The routes of a cluster, for the analyzer; `team_*` are the team's writes.

    `admission` decides on each write to a route that has or gets a mark, as the webhook
    configuration has it. `kinds` are those that the cluster serves, `not_granted` those to which
    the analyzer has no right, `asked` those that it listed. `labelled` are the namespaces with the
    label, `refused` names of routes to which the API server refuses every write of the analyzer.
    `meanwhile` is done once before the analyzer's next write; after `writes_left` writes the
    analyzer is dead. `history` has every state that was stored, `patches` what the analyzer wrote.
    """

    admission: Admission = webhook
    kinds: set[str] = field(default_factory=lambda: {HTTPROUTES.kind})
    not_granted: set[str] = field(default_factory=set)
    labelled: set[str] = field(default_factory=lambda: {"prod"})
    refused: set[str] = field(default_factory=set)
    meanwhile: list[Callable[[], None]] = field(default_factory=list)
    writes_left: int = 1_000
    history: list[Json] = field(default_factory=list)
    patches: list[Json] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _routes: dict[tuple[str, str, str], Json] = field(default_factory=dict)
    _version: int = 0

    # --- the team ---------------------------------------------------------------------------------

    def add(self, route: Json) -> None:
        """Store a new route."""
        self._store(None, _defaulted(deepcopy(route)))

    def team_create(self, manifest: Json) -> None:
        """Create a route as a team does, past the webhook's rule for creations."""
        new = _defaulted(deepcopy(manifest))
        metadata = {
            key: value
            for key, value in new["metadata"].items()
            if key not in {"uid", "resourceVersion", "generation"}
        }
        new = {**new, "metadata": metadata}
        self._store(None, admit_route_creation(new, by_analyzer=False).route)

    def team_apply(self, manifest: Json) -> None:
        """Apply a manifest: rules are one atomic list, annotations of others stay."""
        old = self._of(manifest)
        notes = {**_notes(old), **_notes(manifest)}
        new = {**old, "metadata": {**old["metadata"], "annotations": notes}}
        self._write(old, {**new, "spec": deepcopy(manifest["spec"])}, by_analyzer=False)

    def team_replace(self, manifest: Json) -> None:
        """Put a manifest in place of what is stored, annotations and all."""
        old = self._of(manifest)
        metadata = {**old["metadata"], "annotations": _notes(manifest)}
        new = {**old, "metadata": metadata, "spec": deepcopy(manifest["spec"])}
        self._write(old, new, by_analyzer=False)

    def team_edit(self, name: str, change: Callable[[list[Json]], None]) -> None:
        """Change the stored rules in place, as `kubectl edit` does."""
        new = deepcopy(self.now(name))
        change(new["spec"]["rules"])
        self._write(self.now(name), new, by_analyzer=False)

    def _of(self, manifest: Json) -> Json:
        metadata = manifest["metadata"]
        return self.now(metadata["name"], metadata["namespace"], manifest["kind"])

    def now(self, name: str, namespace: str = "prod", kind: str = HTTPROUTES.kind) -> Json:
        """Return what is stored."""
        return deepcopy(self._routes[kind, namespace, name])

    def remove(self, name: str, namespace: str = "prod", kind: str = HTTPROUTES.kind) -> None:
        """Delete a route."""
        del self._routes[kind, namespace, name]

    def taken(self, name: str, status: Json, kind: str, namespace: str = "prod") -> None:
        """Have a gateway write a route's status."""
        self._routes[kind, namespace, name]["status"] = status

    # --- the analyzer -----------------------------------------------------------------------------

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        self._serve(resource)
        return self._read(namespace, name, resource.kind)

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        self.asked.append(resource.kind)
        self._serve(resource)
        if resource is NAMESPACES:
            assert (namespace, label_selector) == (None, f"{NAMESPACE_LABEL}={NAMESPACE_ENABLED}")
            spaces = [{"metadata": {"name": name}} for name in sorted(self.labelled)]
            return ListResult(spaces, str(self._version))
        assert not label_selector
        found = [
            deepcopy(it)
            for (kind, space, _), it in self._routes.items()
            if (kind, space) == (resource.kind, namespace)
        ]
        return ListResult(found, str(self._version))

    def _serve(self, resource: Resource) -> None:
        assert resource is KNOWN[resource.kind]
        if resource.kind in self.not_granted:
            raise Forbidden(403, "Forbidden", resource.plural)
        if resource.kind not in self.kinds:
            raise NotFound(404, "NotFound", resource.plural)

    async def merge_patch(
        self, resource: Resource, namespace: str, name: str, patch: Json, *, subresource: str = ""
    ) -> Json:
        self._serve(resource)
        assert not subresource
        if self.meanwhile:
            self.meanwhile.pop(0)()
        if not self.writes_left:
            raise Died
        self.writes_left -= 1
        old = self._read(namespace, name, resource.kind)
        version = patch["metadata"]["resourceVersion"]
        if version != old["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", name)
        if name in self.refused:
            raise Invalid(422, "Invalid", f"{resource.plural} {name} is not to be changed")
        self.patches.append(patch)
        self._write(old, _merged(old, patch), by_analyzer=True)
        return self.now(name, namespace, resource.kind)

    async def create(
        self, resource: Resource, obj: Json, *, field_manager: str = FIELD_MANAGER
    ) -> Json:
        self._serve(resource)
        assert field_manager == MAKER
        self.add(obj)
        return self.now(obj["metadata"]["name"], kind=resource.kind)

    async def apply(self, resource: Resource, obj: Json) -> Json:
        metadata = obj["metadata"]
        old = await self.get(resource, metadata["namespace"], metadata["name"])
        assert old["metadata"]["uid"] == metadata["uid"]
        assert old["metadata"]["resourceVersion"] == metadata["resourceVersion"]
        self._write(old, {**old, "spec": deepcopy(obj["spec"])}, by_analyzer=True)
        return self.now(metadata["name"], kind=resource.kind)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        found = (await self.get(resource, namespace, name))["metadata"]
        assert (found["uid"], found["resourceVersion"]) == (uid, resource_version)
        self.remove(name, namespace, resource.kind)

    # --- the API server ---------------------------------------------------------------------------

    def _read(self, namespace: str, name: str, kind: str) -> Json:
        if (kind, namespace, name) not in self._routes:
            raise NotFound(404, "NotFound", name)
        return self.now(name, namespace, kind)

    def _write(self, old: Json, new: Json, *, by_analyzer: bool) -> None:
        new = _defaulted(deepcopy(new))
        if _has_mark(old) or _has_mark(new):
            write = RouteWrite(old=deepcopy(old), new=new, by_analyzer=by_analyzer)
            new = _defaulted(self.admission(write))
        self._store(old, new)

    def _store(self, old: Json | None, new: Json) -> None:
        _validate(new)
        place = (new["kind"], new["metadata"]["namespace"], new["metadata"]["name"])
        if old is None and place in self._routes:
            raise AlreadyExists(409, "AlreadyExists", place[2])
        if old is not None and _content(old) == _content(new):
            return
        self._version += 1
        changed = old is None or old["spec"] != new["spec"]
        generation = (old or new)["metadata"].get("generation", 0) + changed
        uid = (old or {"metadata": {}})["metadata"].get("uid", f"uid-{self._version}")
        fixed = {"resourceVersion": str(self._version), "generation": generation, "uid": uid}
        self._routes[place] = deepcopy({**new, "metadata": {**new["metadata"], **fixed}})
        self.history.append(deepcopy(self._routes[place]))


def _content(route: Json) -> Json:
    return {"annotations": _notes(route), "spec": route["spec"]}


def _notes(route: Json) -> dict[str, str]:
    return dict(route["metadata"].get("annotations") or {})


def _has_mark(route: Json) -> bool:
    return "headgate.dev/split" in _notes(route)


def _defaulted(route: Json) -> Json:
    """Fill in what the CRD's schema does."""
    for rule in route["spec"].get("rules") or ():
        for ref in rule.get("backendRefs") or ():
            for key, value in (("group", ""), ("kind", "Service"), ("weight", 1)):
                ref.setdefault(key, value)
    return route


def _validate(route: Json) -> None:
    for rule in route["spec"].get("rules") or ():
        refs = rule.get("backendRefs") or ()
        if len(refs) > MOST_BACKENDS:
            raise Invalid(422, "Invalid", "backendRefs: Too many")
        if any(not 0 <= ref["weight"] <= MOST_WEIGHT for ref in refs):
            raise Invalid(422, "Invalid", "weight: must be at most 1000000")


def _merged(old: Json, patch: Json) -> Json:
    """Apply a merge patch (RFC 7386)."""
    out = dict(old)
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict):
            out[key] = _merged(old.get(key) or {}, value)
        else:
            out[key] = deepcopy(value)
    return out
