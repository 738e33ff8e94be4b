"""What a team does to its target and its route, with every verb there is."""

from collections.abc import Awaitable, Mapping
from contextlib import suppress
from enum import Enum
from typing import Any, Final

from canary.contract import EVIDENCE
from canary.model.values import Json
from runtime.errors import ApiError
from runtime.resources import (
    CANARIES,
    DEPLOYMENTS,
    HTTPROUTES,
    PODS,
    REPLICASETS,
    SERVICES,
    Resource,
)
from tests.harness.controllers import image_of
from tests.harness.rollouts import REVISION
from tests.harness.stage import CANARY, NAME, NEXT, PLACE, SPACE, Stage, canary, deployment, service


class Edit(Enum):
    """What rules of a route a team writes for the target."""

    PLAIN = "one rule"
    SEVERAL = "two rules that lead there"
    FILTERED = "a rule with a filter and a time"
    ELSEWHERE = "none that leads there"


_REF: Final = {"name": NAME, "port": 80}
_HEADER: Final = {"set": [{"name": "x-team", "value": "web"}]}
_EDITED: Final[Mapping[Edit, list[Json]]] = {
    Edit.PLAIN: [{"backendRefs": [_REF]}],
    Edit.SEVERAL: [
        {"backendRefs": [_REF], "matches": [{"path": {"type": "PathPrefix", "value": path}}]}
        for path in ("/", "/v2")
    ],
    Edit.FILTERED: [
        {
            "backendRefs": [_REF],
            "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": _HEADER}],
            "timeouts": {"request": "10s"},
        }
    ],
    Edit.ELSEWHERE: [{"backendRefs": [{"name": "other", "port": 80}]}],
}
_KEPT: Final = ("labels", "annotations")
_NOT_UNDONE: Final = (REVISION, "deployment.kubernetes.io/desired-replicas")


class Team:
    """Writes as people and their tools do; what is denied is not written.

    Args:
        stage: where it is played.

    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.saved: Json | None = None
        self.saved_route: tuple[Json, Json] | None = None
        self._client = stage.team

    async def push(self, image: str) -> None:
        """`kubectl set image`."""
        await self._patch(_with_image(image))

    async def push_next(self, image: str) -> None:
        """`kubectl set image`, of the target that shares the route."""
        await self._patch(_with_image(image), NEXT)

    async def scales_next(self, replicas: int) -> None:
        """`kubectl scale`, of the target that shares the route."""
        await self._scale(NEXT, replicas)

    async def resumes_next(self) -> None:
        """`kubectl rollout resume`, of the target that shares the route."""
        await self._patch({"spec": {"paused": False}}, NEXT)

    async def applies(self, image: str) -> None:
        """`kubectl apply --server-side` of a manifest that says no replicas."""
        wanted = deployment(image)
        del wanted["spec"]["replicas"]
        await _may(self._client.apply(DEPLOYMENTS, wanted))

    async def replaces(self, image: str) -> None:
        """`kubectl replace` of a manifest, which knows nothing of what others have written."""
        await _may(self._client.replace(DEPLOYMENTS, deployment(image, self._size())))

    async def puts_back(self, image: str) -> None:
        """An operator that reads, changes and puts, and says `paused: false` each time."""
        found = self._found()
        if found is not None:
            spec = {**deployment(image, self._size())["spec"], "paused": False}
            await _may(self._client.replace(DEPLOYMENTS, {**found, "spec": spec}))

    async def undoes(self) -> None:
        """`kubectl rollout undo`: the template and annotations of the revision before."""
        found = self._found()
        if found is None or found["spec"].get("paused"):
            return  # kubectl refuses
        uid = found["metadata"]["uid"]
        own = [
            one
            for one in self.stage.api.peek(REPLICASETS)
            if any(it["uid"] == uid for it in one["metadata"].get("ownerReferences") or ())
        ]
        numbered = sorted(own, key=lambda it: int(it["metadata"]["annotations"].get(REVISION, "0")))
        if len(numbered) < 2:
            return
        before = numbered[-2]
        template = _without_hash(before["spec"]["template"])
        theirs = before["metadata"].get("annotations") or {}
        notes = {key: value for key, value in theirs.items() if key not in _NOT_UNDONE}
        ops = [
            {"op": "replace", "path": "/spec/template", "value": template},
            {"op": "add", "path": "/metadata/annotations", "value": notes},
        ]
        await _may(self._client.json_patch(DEPLOYMENTS, *PLACE, ops))

    async def scales(self, replicas: int) -> None:
        """`kubectl scale`, or an autoscaler."""
        await self._scale(NAME, replicas)

    async def scales_a_replica_set(self, image: str, replicas: int) -> None:
        """`kubectl scale replicaset`, of one that the target has of an image."""
        names = [
            one["metadata"]["name"]
            for one in (*self.stage.revisions(), *self.stage.parked())
            if image_of(one["spec"]["template"]) == image
        ]
        for name in names[:1]:
            await self._scale(name, replicas, REPLICASETS)

    async def deletes(self) -> None:
        """`kubectl delete deployment`."""
        await _may(self._client.delete(DEPLOYMENTS, *PLACE))

    async def creates(self, image: str) -> None:
        """`kubectl create`."""
        await _may(self._client.create(DEPLOYMENTS, deployment(image, 2)))

    def saves(self) -> None:
        """`kubectl get -o yaml > saved`."""
        found = self._found()
        self.saved = self.saved if found is None else found

    async def restores(self, *, anew: bool) -> None:
        """Bring the saved copy back, over what is there or in its place."""
        if self.saved is None:
            return
        copy = _copy_of(DEPLOYMENTS, self.saved)
        if anew:
            await self.deletes()
        if self._found() is None:
            await _may(self._client.create(DEPLOYMENTS, copy))
        else:
            await _may(self._client.replace(DEPLOYMENTS, copy))

    async def pauses(self, *, paused: bool) -> None:
        """`kubectl rollout pause` and `resume`."""
        await self._patch({"spec": {"paused": paused}})

    async def annotates(self, name: str, value: str | None) -> None:
        """`kubectl annotate`."""
        await self._patch({"metadata": {"annotations": {name: value}}})

    async def restarts(self, when: str) -> None:
        """`kubectl rollout restart`, which refuses while it is paused."""
        found = self._found()
        if found is not None and not found["spec"].get("paused"):
            notes = {"kubectl.kubernetes.io/restartedAt": when}
            await self._patch({"spec": {"template": {"metadata": {"annotations": notes}}}})

    async def loses_a_pod(self, which: int, *, canarys: bool) -> None:
        """Have a pod deleted by whoever drains a node."""
        pods = self.stage.api.peek(PODS)
        found = [
            one["metadata"]["name"]
            for one in pods
            if one["metadata"]["namespace"] == SPACE
            and one["metadata"]["name"].startswith(f"{NAME}-canary-") is canarys
        ]
        if found:
            await _may(self._client.delete(PODS, SPACE, found[which % len(found)]))

    # --- what is not theirs, and what they forget -------------------------------------------------

    async def deletes_what_is_made(self, resource: Resource) -> None:
        """Delete the canary's Deployment or Service, which somebody took for a remainder."""
        await _may(self._client.delete(resource, SPACE, CANARY))

    async def scales_what_is_made(self, replicas: int) -> None:
        """`kubectl scale`, of the canary's Deployment."""
        await self._scale(CANARY, replicas)

    async def deletes_service(self) -> None:
        """`kubectl delete service`."""
        await _may(self._client.delete(SERVICES, *PLACE))

    async def selects(self, selector: Mapping[str, str]) -> None:
        """Have the Service, if there is one, select other pods."""
        patch = {"spec": {"selector": {"app": None, "tier": None, **selector}}}
        await _may(self._client.merge_patch(SERVICES, *PLACE, patch))

    async def applies_service(self) -> None:
        """Apply the Service as it is in Git."""
        await _may(self._client.apply(SERVICES, service()))

    async def deletes_route(self) -> None:
        """`kubectl delete httproute`."""
        await _may(self._client.delete(self.stage.routes, *PLACE))

    async def creates_route(self) -> None:
        """Apply the route as it is in Git, where there is none."""
        if self.stage.api.look(self.stage.routes, *PLACE) is None:
            await _may(self._client.create(self.stage.routes, self.stage.route))

    # --- routes and Canaries ----------------------------------------------------------------------

    async def applies_route(self, weight: int) -> None:
        """Apply the HTTPRoute as it is in Git, maybe with another weight."""
        manifest, routes = self.stage.route, self.stage.routes
        if routes != HTTPROUTES or self.stage.api.look(routes, *PLACE) is None:
            return
        ref = {"name": NAME, "port": 80, "weight": weight}
        rules = [{"backendRefs": [ref]}, *manifest["spec"]["rules"][1:]]
        manifest = {**manifest, "spec": {**manifest["spec"], "rules": rules}}
        await _may(self._client.apply(routes, manifest))
        self.stage.route = manifest

    async def edits_route(self, edit: Edit) -> None:
        """Apply the HTTPRoute with other rules for the target; those of others stay."""
        manifest, routes = self.stage.route, self.stage.routes
        if routes != HTTPROUTES or self.stage.api.look(routes, *PLACE) is None:
            return
        shared = manifest["spec"]["rules"][-1:] if self.stage.shared else []
        rules = [*_EDITED[edit], *shared]
        manifest = {**manifest, "spec": {**manifest["spec"], "rules": rules}}
        await _may(self._client.apply(routes, manifest))
        self.stage.route = manifest

    async def leads_back(self) -> None:
        """Have the route lead to the target again, where it does not: nothing is judged without."""
        if self.stage.route["spec"].get("rules", [])[:1] == _EDITED[Edit.ELSEWHERE]:
            await self.edits_route(Edit.PLAIN)

    def saves_route(self) -> None:
        """`kubectl get httproute -o yaml > saved`."""
        found = self.stage.api.look(self.stage.routes, *PLACE)
        if found is not None:
            self.saved_route = (found, self.stage.route)

    async def restores_route(self) -> None:
        """`kubectl replace` of the saved copy, with the marks and weights that it had."""
        if self.saved_route is None or self.stage.api.look(self.stage.routes, *PLACE) is None:
            return
        saved, written = self.saved_route
        await _may(self._client.replace(self.stage.routes, _copy_of(self.stage.routes, saved)))
        self.stage.route = written

    async def writes_canary(self, **analysis: Any) -> None:
        """Apply a Canary with another analysis."""
        found, wanted = self.stage.api.look(CANARIES, *PLACE), canary(**analysis)
        if found is None:
            await _may(self._client.create(CANARIES, wanted))
            return
        # Whole: what is left out is to go, or each analysis would be all of those before it.
        before = (found["spec"] or {}).get("analysis") or {}
        wanted["spec"]["analysis"] = {**dict.fromkeys(before), **wanted["spec"]["analysis"]}
        patch = {"spec": wanted["spec"], "metadata": {"annotations": {EVIDENCE: "off"}}}
        await _may(self._client.merge_patch(CANARIES, *PLACE, patch))

    async def aims(self, name: str) -> None:
        """Have the Canary, if there is one, name another target."""
        reference = {"spec": {"targetRef": {"name": name}, "service": {"name": name}}}
        await _may(self._client.merge_patch(CANARIES, *PLACE, reference))

    async def suspends(self, *, on: bool) -> None:
        """Say in the Canary, if there is one, that nothing is to be done for a while."""
        await _may(self._client.merge_patch(CANARIES, *PLACE, {"spec": {"suspend": on}}))

    async def deletes_canary(self) -> None:
        """Delete the Canary."""
        await _may(self._client.delete(CANARIES, *PLACE))

    # --- inside -----------------------------------------------------------------------------------

    def _found(self) -> Json | None:
        return self.stage.api.look(DEPLOYMENTS, *PLACE)

    def _size(self) -> int:
        found = self._found()
        return 2 if found is None else int(found["spec"].get("replicas", 1))

    async def _patch(self, patch: Json, name: str = NAME) -> None:
        await _may(self._client.merge_patch(DEPLOYMENTS, SPACE, name, patch))

    async def _scale(self, name: str, replicas: int, resource: Resource = DEPLOYMENTS) -> None:
        patch = {"spec": {"replicas": replicas}}
        await _may(self._client.merge_patch(resource, SPACE, name, patch, subresource="scale"))


def _with_image(image: str) -> Json:
    containers = [{"name": "app", "image": image}]
    return {"spec": {"template": {"spec": {"containers": containers}}}}


async def _may(write: Awaitable[object]) -> None:
    """Write, and take it as it is if that is denied."""
    with suppress(ApiError):
        await write


def _copy_of(resource: Resource, saved: Json) -> Json:
    """Return what is written back of a saved object: all but what the API server gives."""
    metadata = {key: saved["metadata"].get(key) for key in _KEPT}
    kept = {key: value for key, value in metadata.items() if value}
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": NAME, "namespace": SPACE, **kept},
        "spec": saved["spec"],
    }


def _without_hash(template: Json) -> Json:
    metadata = template["metadata"]
    labels = {k: v for k, v in metadata["labels"].items() if k != "pod-template-hash"}
    return {**template, "metadata": {**metadata, "labels": labels}}
