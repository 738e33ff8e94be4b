"""What is read from the API server, kept as text."""

from datetime import UTC, datetime, timedelta
from typing import Any

from canary.contract import (
    CANDIDATE,
    HOLD,
    PROMOTING,
    REFUSED,
    REQUESTED_BY,
    SEEN,
    STABLE,
    Command,
)
from canary.model.former import Identities
from canary.model.strategy import Strategy
from canary.objects import crd, exclusive, flaggers, workloads
from canary.spec.steps import linear
from tests.fakes.objects import Json, annotated, deployment
from tests.kept import shown
from tests.unit.canary.objects.in_words import kept

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WORN = {"app": "web", "tier": "front"}
STRATEGY = Strategy(
    interval=timedelta(seconds=10), threshold=1, steps=linear((50,)), service_name="web"
)


def with_status(obj: Json, **fields: Any) -> Json:
    return {**obj, "status": fields}


DONE = {"observedGeneration": 1, "replicas": 4, "updatedReplicas": 4, "availableReplicas": 4}
LATE = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "too late"}
NOTES: dict[str, str | None] = {
    HOLD: "h",
    STABLE: "s",
    PROMOTING: "p",
    SEEN: "n",
    REFUSED: "r",
    Command.PAUSE: "off",
    Command.RETRY: "now",
    REQUESTED_BY: "alice",
}
TARGETS: dict[str, Json] = {
    "plain": deployment(),
    "marked": annotated(deployment(paused=True), NOTES),
    "paused": deployment(paused=True),
    "done": with_status(deployment(), **DONE),
    "done, but paused": with_status(deployment(paused=True), **DONE),
    "not seen": with_status(deployment(), **DONE | {"observedGeneration": 0}),
    "not updated": with_status(deployment(), **DONE | {"updatedReplicas": 3}),
    "old ones left": with_status(deployment(), **DONE | {"replicas": 5}),
    "not available": with_status(deployment(), **DONE | {"availableReplicas": 3}),
    "none wanted": with_status(deployment(replicas=0), observedGeneration=1),
    "late": with_status(deployment(), observedGeneration=1, conditions=[{"type": "x"}, LATE]),
    "late, not seen": with_status(deployment(), conditions=[LATE]),
    "late, by a verdict": with_status(
        deployment(), observedGeneration=1, conditions=[{**LATE, "message": "Headgate: no"}]
    ),
    "late, without a word": with_status(
        deployment(), observedGeneration=1, conditions=[{"reason": LATE["reason"]}]
    ),
    "bare": {
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": []}}, "revisionHistoryLimit": 0},
    },
    "bare and done": {
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": []}}},
        "status": {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
    },
}


def test_targets_that_are_read() -> None:
    read = {
        name.replace(" ", "_"): workloads.read_target(obj, enabled=True, known=Identities())
        for name, obj in TARGETS.items()
    }
    kept("targets", **read)


def pod(name: str, state: Json | None = None, **fields: Any) -> Json:
    """Return a pod with one container, whose fields a row changes."""
    container = {"name": "app", "restartCount": 0, "state": state or {}}
    container |= fields.pop("container", {})
    metadata = {
        "name": name,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"pod-template-hash": "1"},
        **fields.pop("metadata", {}),
    }
    return {"metadata": metadata, "status": {"containerStatuses": [container], **fields}}


def ready(status_: str = "True", **more: str) -> Json:
    return {"type": "Ready", "status": status_, **more}


def taken(reason: str | None, **more: str) -> Json:
    found = {"type": "DisruptionTarget", "status": "True", **more}
    return found if reason is None else {**found, "reason": reason}


STARTED = {"running": {"startedAt": "2026-01-01T00:00:05Z"}}
LOOPS = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
ENDED = {"terminated": {"exitCode": 3, "reason": "Error", "message": " said\n"}}
UNKNOWN = {"terminated": {"exitCode": 255, "reason": "Unknown"}}
PODS: dict[str, Json] = {
    "serving": pod("a", STARTED, conditions=[ready()]),
    "nothing known": {"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}},
    "no status": {
        "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": None,
    },
    "evicted for its limit": pod("a", reason="Evicted", message=" used too much "),
    "evicted without a word": pod("a", reason="Evicted"),
    "evicted for the node": pod(
        "a", reason="Evicted", conditions=[taken("TerminationByKubelet", message="node is low")]
    ),
    "evicted by the API": pod("a", conditions=[taken("EvictionByEvictionAPI")]),
    "preempted": pod("a", conditions=[taken("PreemptionByScheduler")]),
    "tainted": pod("a", conditions=[taken("DeletionByTaintManager")]),
    "collected": pod("a", conditions=[taken("DeletionByPodGC")]),
    "disrupted somehow": pod("a", conditions=[taken("New", message="m" * 500)]),
    "disrupted, why is not said": pod("a", conditions=[taken(None)]),
    "not disrupted after all": pod("a", conditions=[{**taken("New"), "status": "False"}, ready()]),
    "node lost": pod("a", reason="NodeLost", message="n" * 500),
    "deleted": pod("a", conditions=[ready()], metadata={"deletionTimestamp": "x"}),
    "rejected": {
        **pod("a"),
        "status": {"phase": "Failed", "reason": "OutOfcpu", "message": "no cpu"},
    },
    "shut down": pod("a", ENDED, phase="Failed", reason="Terminated"),
    "ended for no reason": pod("a", ENDED, phase="Failed"),
    "looping": pod("a", LOOPS, container={"lastState": ENDED}),
    "looping without an end": pod("a", LOOPS),
    "looping for no reason said": pod("a", {"waiting": {"reason": "ImagePullBackOff"}}),
    "ended": pod("a", {"terminated": {"exitCode": 1}}),
    "ended before": pod("a", STARTED, container={"lastState": ENDED, "restartCount": 1}),
    "lost with its node": pod("a", STARTED, container={"lastState": UNKNOWN, "restartCount": 1}),
    "first one looping": pod("a", initContainerStatuses=[{"name": "first", "state": LOOPS}]),
    "first one ended": pod("a", initContainerStatuses=[{"name": "first", "state": ENDED}]),
    "not heard of": pod("a", STARTED, conditions=[ready("Unknown")]),
    "node not ready": pod(
        "a", STARTED, conditions=[ready("False"), {"type": "ContainersReady", "status": "True"}]
    ),
    "gate not met": pod(
        "a",
        STARTED,
        conditions=[
            ready("False", reason="ReadinessGatesNotReady"),
            {"type": "ContainersReady", "status": "True"},
        ],
    ),
    "not ready any more": pod(
        "a", STARTED, conditions=[ready("False", lastTransitionTime="2026-01-01T00:00:06Z")]
    ),
    "not ready yet": pod(
        "a", STARTED, conditions=[ready("False", lastTransitionTime="2026-01-01T00:00:05Z")]
    ),
    "not scheduled": pod(
        "a", conditions=[{"type": "PodScheduled", "status": "False", "reason": "R", "message": "m"}]
    ),
    "not scheduled, why is not said": pod(
        "a", conditions=[{"type": "PodScheduled", "status": "False"}]
    ),
    "not scheduled, at length": pod(
        "a", conditions=[{"type": "PodScheduled", "status": "False", "message": "l" * 500}]
    ),
    "waiting": pod("a", {"waiting": {"reason": "ContainerCreating"}}),
    "waiting for nothing": pod("a", {"waiting": {}}),
}


def canary(**spec: Any) -> Json:
    found = annotated(deployment(name="web-canary", replicas=1), {CANDIDATE: "v2"})
    found["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    found["status"] = {"observedGeneration": 1, "updatedReplicas": 1, "replicas": 1}
    found["status"] |= {"readyReplicas": 1}
    found["spec"] |= spec
    return found


def test_pods_of_a_canary_that_are_read() -> None:
    read = {
        name.replace(" ", "_"): workloads.read_canary(canary(), [one], Identities())
        for name, one in PODS.items()
    }
    kept("pods", **read)


def test_canaries_that_are_read() -> None:
    new = {"creationTimestamp": "2026-01-02T00:00:00Z", "labels": {"pod-template-hash": "2"}}
    pods = [
        pod("old", LOOPS, container={"restartCount": 5}),
        pod("gone", phase="Succeeded", metadata={"labels": None}),
        pod("one", STARTED, container={"restartCount": 2}, metadata=new),
        pod("two", metadata={**new, "deletionTimestamp": "x"}, container={"restartCount": 9}),
        pod("unstored", metadata={**new, "creationTimestamp": None}),
    ]
    failing = canary()
    failing["status"] = {
        "conditions": [
            {"type": "ReplicaFailure", "status": "True", "message": "q" * 500},
        ]
    }
    unstored = canary()
    del unstored["metadata"]["creationTimestamp"], unstored["spec"]["replicas"]
    unstored["metadata"]["annotations"] = None
    kept(
        "canaries",
        with_pods_of_before=workloads.read_canary(canary(), pods[:4], Identities()),
        failing=workloads.read_canary(failing, [], Identities()),
        unstored=workloads.read_canary({**unstored, "status": None}, [], Identities()),
    )


def container_of(**fields: Any) -> Json:
    found = deployment(name="flagger")
    found["metadata"]["namespace"] = "infra"
    found["spec"]["template"]["spec"]["containers"] = [{"name": "side", "image": None}, fields]
    return found


OWN = {"name": "NS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}


def test_signs_of_flagger() -> None:
    by = {"kind": "Canary", "apiVersion": "flagger.app/v1beta1"}
    owned = deployment()
    owned["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet"}, by]
    longer = deployment()
    longer["metadata"]["ownerReferences"] = [{**by, "apiVersion": "x.flagger.app/v1"}]
    named: list[Json] = [
        owned,
        longer,
        container_of(image="ghcr.io/fluxcd/flagger:1.40"),
        container_of(image="ghcr.io:443/flagger@sha256:1"),
        container_of(image="ghcr.io/flagger/loadtester:1"),
        container_of(image="own:1", command=["/bin/flagger", "-x"]),
        container_of(image="own:1", args=["flagger"]),
        container_of(image="own:1", command=["sh"], args=["flagger"]),
        container_of(image="flagger", args=["-namespace=prod"]),
        container_of(image="flagger", args=["--namespace", "prod"]),
        container_of(image="flagger", command=["./flagger", "-namespace"]),
        container_of(image="flagger", args=["-namespaces=prod"]),
        container_of(image="flagger", args=["-namespace=$(NS)"], env=[{"name": "X"}, OWN]),
        container_of(
            image="flagger", args=["-namespace=$(NS)"], env=[{"name": "NS", "value": "team"}]
        ),
        container_of(image="flagger", args=["-namespace=$(NS)"], env=None),
        {
            "metadata": {"name": "f"},
            "spec": {"template": {"spec": {"containers": [{"image": "flagger"}]}}},
        },
        {"metadata": {"name": "f"}, "spec": {"replicas": 0, "template": {}}},
        {"metadata": {"name": "f"}, "spec": {"template": {"spec": None}}},
    ]
    signs = [flaggers.sign_of(one) for one in named]
    found = [one for one in signs if one is not None]
    kept(
        "flaggers",
        signs=[shown(one) for one in signs],
        at_work=[flaggers.at_work(found, where) for where in ("prod", "team", "infra", "other")],
        nowhere=[flaggers.at_work([], "prod")],
    )


def test_what_one_pod_has_at_a_time() -> None:
    found = deployment()
    found["spec"]["template"]["spec"] |= {
        "volumes": [
            {"name": "b", "persistentVolumeClaim": {"claimName": "b"}},
            {"name": "a", "persistentVolumeClaim": {"claimName": "a"}},
            {"name": "c", "emptyDir": {}},
        ],
        "containers": [
            {"name": "app", "ports": [{"hostPort": 9000}, {"containerPort": 1}]},
            {"name": "none"},
        ],
        "initContainers": [{"name": "first", "ports": [{"hostPort": 80}]}],
    }
    claims = [
        {"metadata": {"name": name}, "spec": {"accessModes": modes}}
        for name, modes in (
            ("z", ["ReadWriteOncePod"]),
            ("y", ["ReadWriteOnce"]),
            ("x", None),
            ("w", ["ReadWriteOncePod"]),
        )
    ]
    kept(
        "exclusive",
        claims=exclusive.claims_of(found),
        no_claims=exclusive.claims_of(deployment()),
        in_the_way=exclusive.in_the_way(found, claims),
        nothing=exclusive.in_the_way(deployment(), claims[1:3]),
    )


def definition(status_: Json, analysis: Json, version: str = "v1beta1") -> Json:
    schema = {
        "properties": {"status": status_, "spec": {"properties": {"analysis": analysis}}},
    }
    old = {"name": "v1alpha3", "schema": {"openAPIV3Schema": {}}}
    new = {"name": version, "schema": {"openAPIV3Schema": schema}}
    return {"spec": {"versions": [old, new]}}


def test_what_a_definition_lacks() -> None:
    keeps = {"x-kubernetes-preserve-unknown-fields": True}
    open_ = {"oneOf": [{"required": ["a"]}, {}]}
    found = {
        "fit": definition(keeps, open_),
        "fit_by_its_run": definition({"properties": {"run": keeps}}, {}),
        "keeps_none": definition({"properties": {"run": {}}}, open_),
        "asks_for_one": definition(keeps, {"required": ["a"]}),
        "asks_for_one_of_two": definition(keeps, {"oneOf": [{"required": ["a"]}]}),
        "two_that_are_open": definition(keeps, {"oneOf": [{}, {}]}),
        "another_version": definition(keeps, open_, "v2"),
    }
    kept("definitions", **{name: crd.lacking(one) for name, one in found.items()})
