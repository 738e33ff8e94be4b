"""From the API server's objects to the values that the rules work on."""

from collections.abc import Sequence
from datetime import datetime, timedelta

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
from canary.model.commands import given
from canary.model.fates import Broken, Taken, Unready
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.values import Json
from canary.model.world import CanaryPod, CanaryPresent, Hold, Revision, Target
from canary.objects import recorded
from canary.objects.fates import (
    ENDED,
    HOPELESS,
    WORDS,
    containers_of,
    last_end,
    last_words,
    of_newest_template,
    over_its_limit,
    read_fates,
    restarts_of,
)
from canary.objects.forgotten import astray
from canary.objects.parking import number_of, place_of

VERDICT_PREFIX = "Headgate: "
"""Begins the progress condition that a refusal writes, to tell it from the controller's own."""


def read_target(obj: Json, *, enabled: bool, known: Identities) -> Target:
    """Read the Deployment that the team owns.

    Args:
        obj: the Deployment.
        enabled: whether its namespace carries the label.
        known: the templates that marks of an earlier release may speak of.

    """
    notes = annotations(obj)
    paused = bool(obj["spec"].get("paused"))
    hold = (Hold.OURS if HOLD in notes else Hold.THEIRS) if paused else Hold.NONE
    failed, failed_at = ("", None) if paused else _rollout_failure(obj)
    return Target(
        hold=hold,
        template_hash=template_hash(obj["spec"]["template"]),
        replicas=int(obj["spec"].get("replicas", 1)),
        stable_mark=known.current(notes.get(STABLE, "")),
        promoting_mark=known.current(notes.get(PROMOTING, "")),
        seen_mark=notes.get(SEEN, ""),
        refused_mark=known.current(notes.get(REFUSED, "")),
        enabled=enabled,
        commands=given(notes),
        pause_value=notes.get(Command.PAUSE, ""),
        approve_value=notes.get(Command.APPROVE, "").strip(),
        requested_by=notes.get(REQUESTED_BY, ""),
        rollout_complete=not paused and _complete(obj),
        uid=str(obj["metadata"].get("uid", "")),
        created=recorded.moment(obj["metadata"].get("creationTimestamp")),
        history_limit=int(obj["spec"].get("revisionHistoryLimit", 10)),
        rollout_failed=failed,
        rollout_failed_at=failed_at,
        progress_deadline=timedelta(seconds=int(obj["spec"].get("progressDeadlineSeconds") or 600)),
        outlived=HOLD in notes and not paused,
    )


def known_templates(target: Json, revisions: list[Json]) -> Identities:
    """Return the templates that the marks of a target may speak of.

    Args:
        target: the Deployment.
        revisions: ReplicaSets of the namespace that its selector matches.

    """
    own = (obj for obj in revisions if place_of(obj, target) is not None)
    owned = (obj["spec"]["template"] for obj in own)
    return Identities((target["spec"]["template"], *owned))


def annotations(obj: Json) -> dict[str, str]:
    """Return an object's annotations, none as an empty mapping."""
    return dict(obj["metadata"].get("annotations") or {})


def _complete(obj: Json) -> bool:
    """Tell whether a rollout is through, by the rule of `kubectl rollout status`."""
    status, wanted = obj.get("status") or {}, obj["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) >= wanted
        and status.get("replicas", 0) <= status.get("updatedReplicas", 0)
        and status.get("availableReplicas", 0) >= status.get("updatedReplicas", 0)
    )


def _rollout_failure(obj: Json) -> tuple[str, datetime | None]:
    """Return why a rollout does not go on by the words of its controller, and since when."""
    status = obj.get("status") or {}
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return "", None
    for condition in status.get("conditions") or ():
        late = condition.get("reason") == "ProgressDeadlineExceeded"
        message = str(condition.get("message", ""))
        if late and not message.startswith(VERDICT_PREFIX):
            at = recorded.moment(condition.get("lastUpdateTime"))
            return f"its rolling update did not progress: {message}", at
    return "", None


def read_revisions(objects: list[Json], target: Json) -> tuple[Revision, ...]:
    """Read the ReplicaSets of the target: its own, those that are parked, and those adrift.

    Args:
        objects: ReplicaSets of the namespace: those that its selector matches, and parked ones.
        target: the Deployment.

    """
    return tuple(
        Revision(
            name=obj["metadata"]["name"],
            template_hash=template_hash(obj["spec"]["template"]),
            replicas=int(obj["spec"].get("replicas", 0)),
            ready=int((obj.get("status") or {}).get("readyReplicas", 0)),
            created=str(obj["metadata"].get("creationTimestamp", "")),
            number=number_of(obj),
            place=place,
        )
        for obj in objects
        if (place := place_of(obj, target)) is not None
    )


def read_canary(
    obj: Json, pods: list[Json], known: Identities, forgotten: Sequence[Json] = ()
) -> CanaryPresent:
    """Read the canary Deployment and its pods.

    Args:
        obj: the Deployment.
        pods: all pods of the target's canary.
        known: the templates that it may have been made from, as for `read_target`.
        forgotten: the ReplicaSets of a canary before that are there still.

    """
    status, replicas = obj.get("status") or {}, int(obj["spec"].get("replicas", 1))
    rolling, made = _rolling(obj), obj["metadata"].get("creationTimestamp")
    strays = astray(pods, forgotten)
    # What those of another canary do is not held against this one.
    newest = of_newest_template([pod for pod in pods if pod not in strays])
    fates = read_fates(newest)
    taken = {fate.pod for fate in fates if isinstance(fate, Taken)}
    mine = [pod for pod in newest if pod["metadata"]["name"] not in taken]
    # Until a pod of this version is made, the newest are those of one before: what they do by
    # themselves is not held against it.
    told = mine if _has_made_pods(obj) else []
    fates = fates if told else tuple(it for it in fates if not isinstance(it, Unready | Broken))
    return CanaryPresent(
        template_hash=known.current(annotations(obj).get(CANDIDATE, "")),
        replicas=replicas,
        ready=int(status.get("readyReplicas", 0)),
        restarts=sum(restarts_of(entry) for pod in mine for entry in containers_of(pod)),
        trouble=next((found for pod in told if (found := _trouble(pod))), ""),
        crash=next((found for pod in told if (found := _crash(pod))), ""),
        current=not rolling,
        fates=fates,
        rolling=rolling,
        pods_denied=_pods_denied(status),
        made_at=None if made is None else datetime.fromisoformat(made),
        pods=tuple(_canary_pod(pod, newest, strays) for pod in pods if _is_stored(pod)),
        forgotten=tuple(sorted(one["metadata"]["name"] for one in forgotten)),
    )


def _has_made_pods(obj: Json) -> bool:
    """Tell whether a Deployment's controller has made pods of the template that it has now."""
    status = obj.get("status") or {}
    seen = status.get("observedGeneration", 0) >= obj["metadata"].get("generation", 0)
    return bool(seen and status.get("updatedReplicas"))


def _is_stored(pod: Json) -> bool:
    """Tell whether the API server has given a pod its time of creation."""
    return bool(pod["metadata"].get("creationTimestamp"))


def _left_at(metadata: Json) -> datetime | None:
    """Return when a pod was asked to go: the API server writes when its time to do so is over."""
    over = recorded.moment(metadata.get("deletionTimestamp"))
    grace = timedelta(seconds=recorded.whole(metadata.get("deletionGracePeriodSeconds")))
    return None if over is None else over - grace


def _canary_pod(pod: Json, newest: list[Json], strays: list[Json]) -> CanaryPod:
    metadata = pod["metadata"]
    return CanaryPod(
        name=str(metadata["name"]),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        newest=pod in newest,
        leaving=bool(metadata.get("deletionTimestamp")),
        left_at=_left_at(metadata),
        ended=(pod.get("status") or {}).get("phase") in ENDED,
        astray=pod in strays,
    )


def _rolling(obj: Json) -> str:
    """Say what a Deployment has still to do until its pods are those it asks for, or nothing."""
    status, wanted = obj.get("status") or {}, int(obj["spec"].get("replicas", 1))
    updated, present = int(status.get("updatedReplicas", 0)), int(status.get("replicas", 0))
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return "its controller has not seen its latest change yet"
    if updated != wanted:
        return f"{updated} of {wanted} pods of this version are made"
    if present != wanted:
        return f"pods of a version before are still there: {present - updated}"
    return ""


def _pods_denied(status: Json) -> str:
    """Return why the API server lets no pods of a Deployment be made, in its words, or nothing.

    The Deployment controller takes it over from the ReplicaSet: quota, limits, Pod Security, a
    policy.
    """
    for condition in status.get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return str(condition.get("message", ""))[:WORDS] or str(condition.get("reason", ""))
    return ""


def _trouble(pod: Json) -> str:
    """Return why a pod cannot come up, with the container's last words, or nothing."""
    name = pod["metadata"]["name"]
    if words := over_its_limit(pod):
        return f"pod {name} was evicted for a limit of its own: {words}"
    for entry in containers_of(pod):
        waiting = (entry.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in HOPELESS:
            words = last_words(last_end(entry)) or str(waiting.get("message", ""))[:WORDS]
            return f"container {entry['name']} of pod {name} is in {waiting['reason']}: {words}"
    return ""


def _crash(pod: Json) -> str:
    """Return how a container of a pod ended last, if it had to be started again or is about to."""
    for entry in containers_of(pod, first=False):
        if last := last_end(entry):
            where = f"container {entry['name']} of pod {pod['metadata']['name']}"
            return f"{where} ended under traffic: {last_words(last)}"
    return ""
