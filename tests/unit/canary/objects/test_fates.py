"""What became of a pod: rows as a real API server has them, trimmed to what tells them apart."""

from typing import Any

import pytest

from canary.model.fates import (
    Broken,
    Fate,
    Serving,
    Starting,
    Taken,
    Taking,
    Unheard,
    Unready,
)
from canary.model.former import Identities
from canary.model.world import CanaryPresent
from canary.objects.fates import over_its_limit, read_fates
from canary.objects.workloads import read_canary
from tests.fakes.objects import Json, deployment

NOTHING = Identities()
CREATED = "2026-01-01T12:00:00Z"
STARTED = "2026-01-01T12:00:02Z"
LATER = "2026-01-01T12:05:00Z"
POD = "web-canary-6946c5667c-25jrx"
LIMIT = 'Usage of EmptyDir volume "cache" exceeds the limit "1Mi".'
LAYER = "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi."
PRESSURE = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 60Mi."
RUNNING: Json = {"running": {"startedAt": STARTED}}


def ready(status: str, at: str = CREATED, reason: str = "", containers: str = "") -> list[Json]:
    """Return the two conditions that say whether a pod is ready."""
    why = {"reason": reason} if reason else {}
    return [
        {"type": "Ready", "status": status, "lastTransitionTime": at, **why},
        {"type": "ContainersReady", "status": containers or status, "lastTransitionTime": at},
    ]


def disrupted(reason: str, message: str = "", status: str = "True") -> Json:
    """Return the condition that whoever takes a pod sets first."""
    return {
        "type": "DisruptionTarget",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": LATER,
    }


def ended(code: int = 137, reason: str = "Error", message: str = "") -> Json:
    """Return the state of a container that ended."""
    words = {"message": message} if message else {}
    return {"terminated": {"exitCode": code, "reason": reason, "finishedAt": LATER, **words}}


def pod(
    *conditions: Json,
    state: Json | None = RUNNING,
    last: Json | None = None,
    restarts: int = 0,
    deleted: bool = False,
    name: str = POD,
    template: str = "6946c5667c",
    created: str = CREATED,
    **status: Any,
) -> Json:
    """Return a Pod; without a state its containers have none yet."""
    metadata: Json = {
        "name": name,
        "creationTimestamp": created,
        "labels": {"pod-template-hash": template},
    }
    if deleted:
        metadata["deletionTimestamp"] = LATER
    container = {"name": "app", "restartCount": restarts, "state": state, "lastState": last or {}}
    return {
        "metadata": metadata,
        "status": {
            "phase": "Running",
            "conditions": list(conditions),
            "containerStatuses": [] if state is None else [container],
            **status,
        },
    }


def fate(obj: Json) -> Fate:
    (only,) = read_fates([obj])
    return only


UP = ready("True", STARTED)
NOT_YET = ready("False", CREATED, "ContainersNotReady")
SINCE_START = ready("False", STARTED, "ContainersNotReady")
NO_MORE = ready("False", LATER, "ContainersNotReady")
FAILED = ready("False", LATER, "PodFailed")
UNSCHEDULABLE: Json = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient memory.",
    "lastTransitionTime": CREATED,
}
CREATING: Json = {"waiting": {"reason": "ContainerCreating"}}
LOOPS: Json = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        pytest.param(pod(*UP), Serving(pod=POD), id="ready"),
        pytest.param(
            pod(*UP, restarts=1, last=ended()), Serving(pod=POD), id="ready again after a restart"
        ),
        pytest.param(
            pod(*UP, disrupted("EvictionByEvictionAPI", status="False")),
            Serving(pod=POD),
            id="an eviction that did not come about",
        ),
        pytest.param(pod(state=None, phase="Pending"), Starting(pod=POD), id="just created"),
        pytest.param(
            pod(UNSCHEDULABLE, state=None, phase="Pending"),
            Starting(pod=POD, why=f"Unschedulable: {UNSCHEDULABLE['message']}"),
            id="no node has room",
        ),
        pytest.param(
            pod(*NOT_YET, state=CREATING, phase="Pending"),
            Starting(pod=POD, why="ContainerCreating"),
            id="its container is made",
        ),
        pytest.param(pod(*NOT_YET), Starting(pod=POD), id="not ready yet"),
        pytest.param(
            pod(*SINCE_START), Starting(pod=POD), id="not ready, as of the second of its start"
        ),
        pytest.param(
            pod(*ready("False", CREATED, "ReadinessGatesNotReady", containers="True")),
            Starting(pod=POD),
            id="a load balancer has not taken it yet",
        ),
    ],
)
def test_a_pod_that_serves_or_starts(obj: Json, expected: Fate) -> None:
    assert fate(obj) == expected


@pytest.mark.parametrize(
    ("obj", "how", "words"),
    [
        pytest.param(
            pod(*UP, disrupted("EvictionByEvictionAPI", "Eviction API: evicting")),
            Taking.EVICTED,
            "Eviction API: evicting",
            id="evicted, and not being deleted yet",
        ),
        pytest.param(
            pod(*UP, disrupted("EvictionByEvictionAPI", "Eviction API: evicting"), deleted=True),
            Taking.EVICTED,
            "Eviction API: evicting",
            id="evicted, and still ready while it drains",
        ),
        pytest.param(
            pod(
                *ready("False", LATER, "PodCompleted"),
                disrupted("EvictionByEvictionAPI", "Eviction API: evicting"),
                state=ended(0, "Completed"),
                deleted=True,
                phase="Succeeded",
            ),
            Taking.EVICTED,
            "Eviction API: evicting",
            id="evicted, and ended",
        ),
        pytest.param(
            pod(*UP, disrupted("PreemptionByScheduler", "preempting to accommodate a pod")),
            Taking.PREEMPTED,
            "preempting to accommodate a pod",
            id="preempted",
        ),
        pytest.param(
            pod(
                *ready("False", LATER, containers="True"),
                disrupted("DeletionByTaintManager", "Taint manager: deleting due to NoExecute"),
                deleted=True,
            ),
            Taking.TAINTED,
            "Taint manager: deleting due to NoExecute",
            id="its node was not heard of for five minutes",
        ),
        pytest.param(
            pod(
                *FAILED,
                disrupted("DeletionByPodGC", "node no longer exists"),
                deleted=True,
                phase="Failed",
            ),
            Taking.ORPHANED,
            "node no longer exists",
            id="its node is gone",
        ),
        pytest.param(
            pod(
                *FAILED,
                disrupted("TerminationByKubelet", PRESSURE),
                state=ended(),
                phase="Failed",
                reason="Evicted",
                message=PRESSURE,
            ),
            Taking.BY_KUBELET,
            PRESSURE,
            id="its node ran out of memory",
        ),
        pytest.param(
            pod(
                *FAILED,
                disrupted("TerminationByKubelet", "imminent node shutdown"),
                state=ended(),
                phase="Failed",
                reason="Terminated",
                message="imminent node shutdown",
            ),
            Taking.BY_KUBELET,
            "imminent node shutdown",
            id="its node shut down",
        ),
        pytest.param(
            pod(
                *FAILED,
                disrupted("TerminationByKubelet", "Preempted in order to admit critical pod"),
                state=ended(),
                phase="Failed",
                reason="Preempting",
            ),
            Taking.BY_KUBELET,
            "Preempted in order to admit critical pod",
            id="a critical pod needed its place",
        ),
        pytest.param(
            pod(
                state=None,
                phase="Failed",
                reason="OutOfcpu",
                message="Pod was rejected: Node didn't have enough resource: cpu",
            ),
            Taking.REJECTED,
            "Pod was rejected: Node didn't have enough resource: cpu",
            id="its node turned it away",
        ),
        pytest.param(
            pod(*UP, deleted=True, reason="NodeLost", message="node n1 is unresponsive"),
            Taking.ORPHANED,
            "node n1 is unresponsive",
            id="its node was lost",
        ),
        pytest.param(pod(*UP, deleted=True), Taking.DELETED, "", id="deleted by hand"),
        pytest.param(
            pod(*NO_MORE, state=ended(), deleted=True),
            Taking.DELETED,
            "",
            id="deleted by hand, and killed",
        ),
        pytest.param(
            pod(*UP, disrupted("SomethingNew", "why not")),
            Taking.DISRUPTED,
            "why not",
            id="a reason of a later Kubernetes",
        ),
    ],
)
def test_a_pod_that_was_taken_is_not_at_fault(obj: Json, how: Taking, words: str) -> None:
    assert fate(obj) == Taken(pod=POD, how=how, words=words)


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param(pod(*ready("False", LATER, containers="True")), id="not ready"),
        pytest.param(
            pod(*ready("Unknown", LATER, "NodeStatusUnknown", containers="Unknown")), id="unknown"
        ),
    ],
)
def test_a_node_that_is_not_heard_of_says_nothing_about_its_pods(obj: Json) -> None:
    assert fate(obj) == Unheard(pod=POD)


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param(pod(*NO_MORE), id="its probe fails"),
        pytest.param(
            pod(*ready("False", LATER, "ReadinessGatesNotReady", containers="True")),
            id="a load balancer turned it away",
        ),
        pytest.param(
            pod(*NO_MORE, restarts=1, last=ended(255, "Unknown")), id="after its node's restart"
        ),
    ],
)
def test_a_pod_that_was_ready_and_fails_its_own_probe(obj: Json) -> None:
    assert fate(obj) == Unready(pod=POD)


@pytest.mark.parametrize(
    ("obj", "why"),
    [
        pytest.param(
            pod(*FAILED, state=ended(), phase="Failed", reason="Evicted", message=f"{LIMIT} "),
            LIMIT,
            id="over its volume's limit",
        ),
        pytest.param(
            pod(
                *FAILED,
                state=ended(),
                phase="Failed",
                reason="Evicted",
                message=LAYER,
                deleted=True,
            ),
            LAYER,
            id="over its storage's limit, and deleted since",
        ),
        pytest.param(
            pod(*NO_MORE, state=ended(137, "OOMKilled")),
            "container app ended: OOMKilled, exit code 137",
            id="over its memory's limit",
        ),
        pytest.param(
            pod(*NO_MORE, restarts=1, last=ended(1, "Error", "boom")),
            "container app ended: Error, exit code 1: boom",
            id="starting again after a crash",
        ),
        pytest.param(
            pod(*NO_MORE, state=LOOPS, restarts=2, last=ended(1, "Error", "boom")),
            "container app is in CrashLoopBackOff: Error, exit code 1: boom",
            id="crashes again and again",
        ),
        pytest.param(
            pod(
                *NOT_YET,
                state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
            ),
            "container app is in ImagePullBackOff: no such image",
            id="its image cannot be had",
        ),
    ],
)
def test_a_pod_that_breaks_by_itself_is_evidence(obj: Json, why: str) -> None:
    assert fate(obj) == Broken(pod=POD, why=why)


def test_only_the_kubelet_s_eviction_for_a_limit_of_the_pod_s_own_counts_against_it() -> None:
    own = pod(*FAILED, phase="Failed", reason="Evicted", message=LIMIT)
    node = pod(*FAILED, disrupted("TerminationByKubelet"), phase="Failed", reason="Evicted")
    silent = pod(*FAILED, phase="Failed", reason="Evicted")
    assert [over_its_limit(one) for one in (own, node, silent, pod(*UP))] == [
        LIMIT,
        "",
        "it went over a limit of its own",
        "",
    ]


def test_an_ended_pod_of_a_template_before_is_not_the_candidate_s() -> None:
    old = pod(*FAILED, name="old", template="a", phase="Failed", reason="Evicted", message=LIMIT)
    mine = pod(*UP, name="new", template="b", created=LATER)
    ended_too = pod(
        *FAILED, name="new-0", template="b", phase="Failed", reason="Evicted", message=LAYER
    )
    assert read_fates([old, mine]) == (Serving(pod="new"),)
    assert read_fates([old, ended_too, mine]) == (
        Broken(pod="new-0", why=LAYER),
        Serving(pod="new"),
    )
    assert read_fates([]) == ()


# --- what the canary makes of them ---------------------------------------------------------------


def read(*pods: Json, made: int = 1, generation: int = 1) -> CanaryPresent:
    status = {"observedGeneration": 1, "updatedReplicas": made}
    obj = {**deployment(replicas=1), "status": status}
    obj["metadata"]["generation"] = generation
    return read_canary(obj, list(pods), NOTHING)


@pytest.mark.parametrize(("made", "generation"), [(0, 1), (1, 2)])
@pytest.mark.parametrize(
    "former",
    [
        pod(*NO_MORE, state=LOOPS, last=ended(), restarts=3),
        pod(*FAILED, state=ended(), phase="Failed", reason="Evicted", message=LIMIT),
        pod(*NO_MORE, state=RUNNING, last=ended(), restarts=1),
        pod(*NO_MORE, state=RUNNING),
    ],
    ids=["crashes", "evicted", "crashed", "unready"],
)
def test_pods_of_a_version_before_say_nothing_of_one_that_has_none_yet(
    former: Json, made: int, generation: int
) -> None:
    its_own = read(former)
    assert its_own.trouble or its_own.crash or its_own.fates
    found = read(former, made=made, generation=generation)
    assert (found.trouble, found.crash, found.fates) == ("", "", ())


def test_an_eviction_for_a_limit_of_its_own_is_why_a_pod_cannot_serve() -> None:
    evicted = pod(*FAILED, state=ended(), phase="Failed", reason="Evicted", message=LIMIT)
    found = read(evicted, pod(*UP, name="next", created=LATER))
    assert found.trouble == f"pod {POD} was evicted for a limit of its own: {LIMIT}"


@pytest.mark.parametrize(
    "taken",
    [
        pod(
            *FAILED,
            disrupted("TerminationByKubelet", PRESSURE),
            state=ended(),
            phase="Failed",
            reason="Evicted",
        ),
        pod(*NO_MORE, disrupted("EvictionByEvictionAPI"), state=ended(143), restarts=1),
        pod(*NO_MORE, state=LOOPS, last=ended(), restarts=3, deleted=True),
    ],
    ids=["node pressure", "evicted", "deleted"],
)
def test_how_a_pod_ends_that_is_taken_is_held_against_nobody(taken: Json) -> None:
    found = read(taken, pod(*NOT_YET, name="next", state=CREATING))
    assert (found.trouble, found.crash, found.restarts, found.serves) == ("", "", 0, False)
    assert found.misses_by_no_fault


def test_the_restart_of_a_node_is_no_crash() -> None:
    found = read(pod(*UP, last=ended(255, "Unknown"), restarts=1))
    assert (found.crash, found.restarts, found.serves) == ("", 0, True)
    crashed = read(pod(*UP, last=ended(1), restarts=2))
    assert (bool(crashed.crash), crashed.restarts) == (True, 2)


def test_a_pod_that_is_being_deleted_serves_nobody_though_it_says_that_it_is_ready() -> None:
    assert not read(pod(*UP, deleted=True)).serves
