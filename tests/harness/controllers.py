"""What lives in a cluster beside the API server: controllers, kubelets, a gateway.

One `step` lets each of them look once; what they do takes as many steps as it has parts.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from analyzer.routers.kinds import RESOURCES, WATCHED
from canary.contract import CANARY_SUFFIX, SERVICE_OF_SLICE
from canary.model.selection import selects, service_selector
from canary.model.values import Json
from runtime.resources import (
    CANARIES,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    HTTPPROXIES,
    HTTPROUTES,
    INGRESSROUTES,
    PODS,
    REPLICASETS,
    SECRETS,
    SERVICES,
    TRAEFIKSERVICES,
    VIRTUALSERVICES,
    Resource,
)
from tests.harness.api import ApiServer, Writer
from tests.harness.rollouts import Rollout

KUBELET: Final = Writer("system:node:one", "kubelet")
GATEWAY: Final = Writer("system:serviceaccount:gateway:gateway", "gateway")
COLLECTOR: Final = Writer("system:serviceaccount:kube-system:generic-garbage-collector", "kcm")
NODES: Final = 3
PARENT: Final = {"name": "gateway"}
_OWNED: Final = (
    *(CANARIES, DEPLOYMENTS, REPLICASETS, PODS, SERVICES, SECRETS),
    *WATCHED.values(),
)


class Health(Enum):
    """What the containers of an image do."""

    GOOD = "good"
    NEVER_READY = "never ready"
    CRASHES = "crashes"


def _all_good(image: str) -> Health:
    del image
    return Health.GOOD


@dataclass
class Surroundings:
    """The controllers of a cluster.

    `health` says what an image does; `gateway_up` whether routes are taken over, but for those of
    the `untaken` kinds; `lacks` a word that the gateway of HTTPRoutes does not know, "" for none:
    it follows no route that has it; `heard` the Services that it has heard of, None for all;
    `lost` are the nodes that are not heard of. While it is `forgetful`, the collector hears of no
    end of a canary, and never of those later. While `endpoints_up` is not, who writes
    EndpointSlices hears of nothing.
    """

    api: ApiServer
    health: Callable[[str], Health] = _all_good
    gateway_up: bool = True
    untaken: set[Resource] = field(default_factory=set)
    lacks: str = ""
    heard: frozenset[str] | None = None
    lost: set[int] = field(default_factory=set)
    forgetful: bool = False
    endpoints_up: bool = True
    _taken_for_alive: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def step(self) -> bool:
        """Let everybody look once; tell whether anything was written."""
        before = self.api.version
        self._collect()
        for one in self.api.peek(DEPLOYMENTS):
            Rollout(self.api, one).sync()
        for one in self.api.peek(REPLICASETS):
            self._replicate(one)
        for pod in self.api.peek(PODS):
            self._run(pod)
        for service in self.api.peek(SERVICES) if self.endpoints_up else ():
            self._endpoints(service)
        if self.gateway_up:
            for resource in (it for it in RESOURCES.values() if it not in self.untaken):
                for route in self.api.peek(resource):
                    self._take_route(resource, route)
        return self.api.version != before

    def settle(self, most: int = 200) -> None:
        """Let everybody look until nobody has anything to do."""
        for _ in range(most):
            if not self.step():
                return
        raise AssertionError("the controllers never come to rest")

    # --- garbage ----------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Delete what is owned by nobody who is there any more."""
        uids = {one["metadata"]["uid"] for resource in _OWNED for one in self.api.peek(resource)}
        if self.forgetful:
            # A team's own Deployment, made again meanwhile, leaves its pods without Headgate, too.
            self._taken_for_alive |= {
                one["metadata"]["uid"]
                for one in self.api.peek(DEPLOYMENTS)
                if one["metadata"]["name"].endswith(CANARY_SUFFIX)
            }
        uids |= self._taken_for_alive
        for resource in (*_OWNED, ENDPOINTSLICES):
            for one in self.api.peek(resource):
                owners = one["metadata"].get("ownerReferences") or ()
                if owners and not any(owner["uid"] in uids for owner in owners):
                    self._delete(resource, one)

    def _delete(self, resource: Resource, obj: Json) -> None:
        metadata = obj["metadata"]
        place = (metadata.get("namespace", ""), metadata["name"])
        if self.api.look(resource, *place) is not None:
            self.api.delete(resource, place, COLLECTOR)

    # --- pods -------------------------------------------------------------------------------------

    def _replicate(self, replica_set: Json) -> None:
        metadata = replica_set["metadata"]
        if self.api.look(REPLICASETS, metadata["namespace"], metadata["name"]) is not replica_set:
            return  # changed in this step: next time
        wanted = int(replica_set["spec"].get("replicas", 0))
        pods = [one for one in self._pods_of(replica_set) if _lives(one)]
        for _ in range(wanted - len(pods)):
            self._make_pod(replica_set)
        if len(pods) > wanted:
            doomed = sorted(pods, key=lambda one: (is_ready(one), _age(one)))
            for one in [*doomed][: len(pods) - wanted]:
                self._delete(PODS, one)
        pods = [one for one in self._pods_of(replica_set) if _lives(one)]
        ready = sum(map(is_ready, pods))
        status = {
            "replicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "observedGeneration": metadata["generation"],
        }
        if {**(replica_set.get("status") or {}), **status} != replica_set.get("status"):
            place = (metadata["namespace"], metadata["name"])
            self.api.merge_patch(REPLICASETS, place, {"status": status}, KUBELET, "status")

    def _pods_of(self, replica_set: Json) -> list[Json]:
        uid = replica_set["metadata"]["uid"]
        return [
            one
            for one in self.api.peek(PODS)
            if any(it["uid"] == uid for it in one["metadata"].get("ownerReferences") or ())
        ]

    def _make_pod(self, replica_set: Json) -> None:
        metadata, template = replica_set["metadata"], replica_set["spec"]["template"]
        number = next(self._numbers)
        name = f"{metadata['name']}-{number:05}"
        owner = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
        }
        self.api.create(
            PODS,
            {
                "metadata": {
                    "name": name,
                    "namespace": metadata["namespace"],
                    "labels": dict(template["metadata"].get("labels") or {}),
                    "annotations": dict(template["metadata"].get("annotations") or {}),
                    "ownerReferences": [owner],
                },
                "spec": {**template["spec"], "nodeName": f"node-{self._node(number)}"},
            },
            KUBELET,
        )

    def _node(self, number: int) -> int:
        """Return the node for a pod: one after the other, of those that are heard of if any is."""
        ready = [node for node in range(NODES) if node not in self.lost]
        return ready[number % len(ready)] if ready else number % NODES

    def lose(self, node: int) -> None:
        """Hear nothing of a node any more: its pods are not ready, as far as anybody knows."""
        self.lost.add(node)
        for pod in self._pods_on(node):
            if is_ready(pod):
                said = _unheard(pod["status"]["conditions"], self._time())
                self.status(pod, {"conditions": said})

    def evict(self, node: int) -> None:
        """Take the pods of a node away, as happens to one that is not heard of for minutes."""
        for pod in self._pods_on(node):
            self._delete(PODS, pod)

    def _pods_on(self, node: int) -> list[Json]:
        return [one for one in self.api.peek(PODS) if one["spec"]["nodeName"] == f"node-{node}"]

    def _run(self, pod: Json) -> None:
        """Do what a kubelet does with a pod: start it, then have it ready, or not."""
        status = pod.get("status") or {}
        if int(pod["spec"]["nodeName"].removeprefix("node-")) in self.lost:
            return
        if not status:
            self.status(pod, _status(self._time(), ready=False))
            return
        health = self.health(image_of(pod))
        if status.get("phase") != "Running" or is_ready(pod) or health is Health.NEVER_READY:
            return
        if health is Health.CRASHES:
            if not status["containerStatuses"][0].get("lastState"):
                self.status(pod, _crashed(status))
            return
        if not any(one["type"] == "DisruptionTarget" for one in status["conditions"]):
            self.status(pod, _status(self._time(), ready=True, was=status))

    def status(self, pod: Json, status: Json) -> None:
        """Write what has become of a pod."""
        place = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        self.api.merge_patch(PODS, place, {"status": status}, KUBELET, "status")

    def _time(self) -> str:
        return self.api.clock().strftime("%Y-%m-%dT%H:%M:%SZ")

    # --- traffic ----------------------------------------------------------------------------------

    def _endpoints(self, service: Json) -> None:
        metadata, selector = service["metadata"], service_selector(service)
        ready = sorted(
            one["metadata"]["name"]
            for one in self.api.peek(PODS)
            if one["metadata"]["namespace"] == metadata["namespace"]
            and is_ready(one)
            and selects(selector, one["metadata"].get("labels") or {})
        )
        wanted = [
            {
                "addresses": [name],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "name": name},
            }
            for name in ready
        ]
        found = self.api.look(ENDPOINTSLICES, metadata["namespace"], f"{metadata['name']}-x")
        owner = {
            "apiVersion": "v1",
            "kind": "Service",
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        if found is None:
            labels = {SERVICE_OF_SLICE: metadata["name"]}
            self.api.create(
                ENDPOINTSLICES,
                {
                    "metadata": {
                        "name": f"{metadata['name']}-x",
                        "namespace": metadata["namespace"],
                        "labels": labels,
                        "ownerReferences": [owner],
                    },
                    "endpoints": wanted,
                },
                KUBELET,
            )
        elif found["endpoints"] != wanted:
            place = (metadata["namespace"], f"{metadata['name']}-x")
            self.api.merge_patch(ENDPOINTSLICES, place, {"endpoints": wanted}, KUBELET)

    def _take_route(self, resource: Resource, route: Json) -> None:
        if resource in {VIRTUALSERVICES, INGRESSROUTES, TRAEFIKSERVICES}:
            return  # nothing says when its proxies have it
        metadata = route["metadata"]
        taken = {"type": "Accepted", "status": "True", "observedGeneration": metadata["generation"]}
        if resource == HTTPROUTES and self.lacks and self.lacks in str(route["spec"]):
            why = {"reason": "UnsupportedValue", "message": f"no {self.lacks} here"}
            taken = {**taken, "status": "False", **why}
        conditions = [taken, *self._unresolved(resource, route)]
        status: Json = {
            "parents": [
                {"controllerName": "gateway", "parentRef": PARENT, "conditions": conditions}
            ]
        }
        if resource == HTTPPROXIES:
            status = {"currentStatus": "valid", "conditions": [{**taken, "type": "Valid"}]}
        if route.get("status") != status:
            place = (metadata["namespace"], metadata["name"])
            self.api.merge_patch(resource, place, {"status": status}, GATEWAY, "status")

    def _unresolved(self, resource: Resource, route: Json) -> Iterator[Json]:
        if resource != HTTPROUTES or self.heard is None:
            return
        rules = route["spec"].get("rules") or ()
        names = {ref["name"] for rule in rules for ref in rule.get("backendRefs") or ()}
        for name in sorted(names - self.heard):
            yield {
                "type": "ResolvedRefs",
                "status": "False",
                "reason": "BackendNotFound",
                "message": f"service {name} not found",
                "observedGeneration": route["metadata"]["generation"],
            }


def image_of(obj: Json) -> str:
    """Return the image of a pod's first container, or of a template's."""
    return str(obj["spec"]["containers"][0]["image"])


def is_ready(pod: Json) -> bool:
    """Tell whether a pod takes traffic."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)


def _lives(pod: Json) -> bool:
    return (pod.get("status") or {}).get("phase") not in {"Failed", "Succeeded"}


def _age(pod: Json) -> tuple[int, ...]:
    return tuple(-ord(letter) for letter in pod["metadata"]["name"][-5:])


def _status(time: str, *, ready: bool, was: Json | None = None) -> Json:
    said = "True" if ready else "False"
    before = {} if was is None else was["containerStatuses"][0]["state"].get("running") or {}
    state = {"running": {"startedAt": before.get("startedAt", time)}}
    return {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "conditions": [
            {"type": "Ready", "status": said, "lastTransitionTime": time},
            {"type": "ContainersReady", "status": said, "lastTransitionTime": time},
        ],
        "containerStatuses": [{"name": "app", "restartCount": 0, "ready": ready, "state": state}],
    }


def _unheard(conditions: list[Json], time: str) -> list[Json]:
    """Return a pod's conditions where its node is lost: what its containers said last stands."""
    unready = {"type": "Ready", "status": "False", "lastTransitionTime": time}
    return [unready if one["type"] == "Ready" else one for one in conditions]


def _crashed(status: Json) -> Json:
    ended = {"exitCode": 1, "reason": "Error", "message": "boom"}
    return {
        **status,
        "containerStatuses": [
            {
                "name": "app",
                "restartCount": 3,
                "ready": False,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {"terminated": ended},
            }
        ],
    }
