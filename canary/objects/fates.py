"""From Pod objects to what became of them, without a look at nodes.

Tried on Kubernetes 1.36, and read in its source where a single node cannot show it:

- Eviction, preemption, a taint, a lost node and a node's shutdown set the condition
  `DisruptionTarget` before the pod goes. A pod that goes over a limit of its own is evicted by the
  kubelet without it.
- A pod that is being deleted may say `Ready` until its last container ends; nobody sends it
  anything any more.
- A node that is not heard of has its pods' `Ready` set to false; `ContainersReady` stays as it was.
- A pod that has never been ready has been unready since before its containers were started.
- A container that ran when its node went down is said to have ended for reasons unknown.
"""

from datetime import datetime
from typing import Final

from canary.contract import POD_TEMPLATE_HASH
from canary.model.fates import (
    Broken,
    Fate,
    Fates,
    Serving,
    Starting,
    Taken,
    Taking,
    Unheard,
    Unready,
)
from canary.model.values import Json

HOPELESS: Final = frozenset(
    {"CrashLoopBackOff", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
"""Why a container waits that will not come up by waiting."""
WORDS: Final = 400
"""Characters of a container's last words that a verdict quotes."""

_TRUE: Final = "True"
ENDED: Final = frozenset({"Failed", "Succeeded"})
"""Phases of a pod that will never run again."""
_DISRUPTED_BY: Final = {
    "EvictionByEvictionAPI": Taking.EVICTED,
    "PreemptionByScheduler": Taking.PREEMPTED,
    "DeletionByTaintManager": Taking.TAINTED,
    "DeletionByPodGC": Taking.ORPHANED,
    "TerminationByKubelet": Taking.BY_KUBELET,
}
_EVICTED: Final = "Evicted"
_NODE_LOST: Final = "NodeLost"
_GATED: Final = "ReadinessGatesNotReady"
_UNKNOWN_END: Final = frozenset({"Unknown", "ContainerStatusUnknown"})


def read_fates(pods: list[Json]) -> Fates:
    """Read what became of the pods of the newest template.

    Args:
        pods: all pods of one canary, also those of a template before and those that ended.

    """
    return tuple(_fate(pod) for pod in of_newest_template(pods))


def of_newest_template(pods: list[Json]) -> list[Json]:
    """Leave out the pods of a template before: an ended one stays in the API for hours.

    Args:
        pods: all pods of one canary.

    """
    newest = max((_created(pod) for pod in pods), default="")
    hashes = {template_of(pod) for pod in pods if _created(pod) == newest}
    return [pod for pod in pods if template_of(pod) in hashes]


def over_its_limit(pod: Json) -> str:
    """Return the kubelet's words for a pod that it evicted for a limit of the pod's own.

    Args:
        pod: any pod; nothing is returned for one that still runs or was taken for another reason.

    """
    status = pod.get("status") or {}
    if (
        status.get("reason") != _EVICTED
        or _condition(pod, "DisruptionTarget").get("status") == _TRUE
    ):
        return ""
    return str(status.get("message", "")).strip() or "it went over a limit of its own"


def containers_of(pod: Json, *, first: bool = True) -> list[Json]:
    """Return the states of a pod's containers.

    Args:
        pod: a pod.
        first: whether those that run before the others count too.

    """
    status = pod.get("status") or {}
    before = status.get("initContainerStatuses") or () if first else ()
    return [*before, *(status.get("containerStatuses") or ())]


def last_end(container: Json) -> Json:
    """Return how a container ended last by itself; empty where it did not, or its node went down.

    Args:
        container: the state of one container.

    """
    now = (container.get("state") or {}).get("terminated") or {}
    last = now or (container.get("lastState") or {}).get("terminated") or {}
    return {} if last.get("reason") in _UNKNOWN_END else dict(last)


def restarts_of(container: Json) -> int:
    """Return how often a container was started again; the restart of its node does not count.

    Args:
        container: the state of one container.

    """
    last = (container.get("lastState") or {}).get("terminated") or {}
    return int(container.get("restartCount", 0)) - (last.get("reason") in _UNKNOWN_END)


def last_words(terminated: Json) -> str:
    """Return how a container ended, with the end of what it said.

    Args:
        terminated: the container's terminated state; an empty one says nothing.

    """
    if not terminated:
        return ""
    # A traceback says at its end what went wrong.
    message = str(terminated.get("message", "")).strip()[-WORDS:]
    reason = f"{terminated.get('reason', 'ended')}, exit code {terminated.get('exitCode')}"
    return f"{reason}: {message}" if message else reason


def _fate(pod: Json) -> Fate:
    """Tell what became of one pod: the first of these that is so."""
    name = str(pod["metadata"]["name"])
    if words := over_its_limit(pod):
        return Broken(pod=name, why=words)
    if (taken := _taken(pod)) is not None:
        return taken
    if is_ready(pod):
        return Serving(pod=name)
    if why := _broke(pod):
        return Broken(pod=name, why=why)
    if _is_unheard(pod):
        return Unheard(pod=name)
    return Unready(pod=name) if _was_ready(pod) else _starting(pod)


def _starting(pod: Json) -> Starting:
    since, name = max(_started(pod), default=None), str(pod["metadata"]["name"])
    return Starting(pod=name, why=_waits_for(pod), since=since)


def _taken(pod: Json) -> Taken | None:
    name, status = str(pod["metadata"]["name"]), pod.get("status") or {}
    disruption = _condition(pod, "DisruptionTarget")
    if disruption.get("status") == _TRUE:
        how = _DISRUPTED_BY.get(str(disruption.get("reason")), Taking.DISRUPTED)
        return Taken(pod=name, how=how, words=str(disruption.get("message", ""))[:WORDS])
    words = str(status.get("message", ""))[:WORDS]
    if status.get("reason") == _NODE_LOST:
        return Taken(pod=name, how=Taking.ORPHANED, words=words)
    if pod["metadata"].get("deletionTimestamp"):
        return Taken(pod=name, how=Taking.DELETED)
    if status.get("phase") in ENDED and status.get("reason"):
        return Taken(pod=name, how=_ended(pod), words=words)
    return None


def _ended(pod: Json) -> Taking:
    """A Deployment's pods never end by themselves: one that never ran was turned away."""
    return Taking.BY_KUBELET if containers_of(pod) else Taking.REJECTED


def _broke(pod: Json) -> str:
    """Say how a container ended that is not up again, or why it cannot come up."""
    for entry in containers_of(pod):
        state = entry.get("state") or {}
        waiting = state.get("waiting") or {}
        if waiting.get("reason") in HOPELESS:
            words = last_words(last_end(entry)) or str(waiting.get("message", ""))[:WORDS]
            return f"container {entry['name']} is in {waiting['reason']}: {words}"
    for entry in containers_of(pod, first=False):
        if last := last_end(entry):
            return f"container {entry['name']} ended: {last_words(last)}"
    return ""


def _is_unheard(pod: Json) -> bool:
    ready, containers = _condition(pod, "Ready"), _condition(pod, "ContainersReady")
    if ready.get("status") == "Unknown":
        return True
    # A readiness gate that is not met says so; it is the load balancer's word, not the node's.
    return containers.get("status") == _TRUE and ready.get("reason") != _GATED


def _was_ready(pod: Json) -> bool:
    """Tell whether a pod that is not ready became so after its containers were started."""
    since = _condition(pod, "Ready").get("lastTransitionTime")
    started = _started(pod)
    return bool(since and started) and datetime.fromisoformat(str(since)) > max(started)


def _started(pod: Json) -> list[datetime]:
    """Return when the containers that run were started."""
    return [
        datetime.fromisoformat(str(running["startedAt"]))
        for entry in containers_of(pod, first=False)
        if (running := (entry.get("state") or {}).get("running") or {}).get("startedAt")
    ]


def _waits_for(pod: Json) -> str:
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"{scheduled.get('reason', 'not scheduled')}: {scheduled.get('message', '')}"[:WORDS]
    for entry in containers_of(pod):
        waiting = (entry.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return str(waiting["reason"])
    return ""


def is_ready(pod: Json) -> bool:
    """Tell whether a pod's kubelet says that it serves."""
    return _condition(pod, "Ready").get("status") == _TRUE


def _condition(pod: Json, kind: str) -> Json:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return next((dict(one) for one in conditions if one["type"] == kind), {})


def _created(pod: Json) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))


def template_of(pod: Json) -> str:
    """Return the name that the Deployment controller gave to a pod's template, "" for none."""
    return str((pod["metadata"].get("labels") or {}).get(POD_TEMPLATE_HASH, ""))
