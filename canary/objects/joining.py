"""How a canary's pod joins the team's Service, and how it leaves: by labels of the pod alone.

Its template says both, so that whoever finds a pod can take it out without knowing its run. The
Deployment and the ReplicaSet that it belongs to select it by other labels and never notice.
"""

from collections.abc import Iterable, Mapping

import orjson

from canary.contract import JOINED, JOINS, TARGET_LABEL
from canary.model.canary_labels import CanaryLabels
from canary.model.joining import Joining, Member
from canary.model.names import target_label
from canary.model.selection import selects, service_selector
from canary.model.values import Json, Key
from canary.objects.fates import ENDED, is_ready


def note_of(target: str, labels: CanaryLabels) -> dict[str, str]:
    """Return the annotation of a template whose pods may join the stable Service; none for others.

    Args:
        target: name of the Deployment.
        labels: what the canary's pods wear, in it and beside it.

    """
    if not labels.joins:
        return {}
    apart = {key: labels.pods.get(key) for key in labels.joins}
    note = {"target": target, "in": dict(labels.joins), "out": apart}
    return {JOINS: orjson.dumps(note, option=orjson.OPT_SORT_KEYS).decode()}


def joins_as(deployment: Json, labels: CanaryLabels) -> bool:
    """Tell whether a canary's pods can join by just these labels.

    Args:
        deployment: the canary's, as it is stored.
        labels: those that are chosen now.

    """
    said = _notes(deployment["spec"]["template"]).get(JOINS)
    return said == note_of(_said_target(said), labels).get(JOINS)


def joined_to(pod: Json) -> Key | None:
    """Return the target whose Service a canary's pod has joined, None where it has not.

    The name in its note counts only where the pod's label says the same.
    """
    metadata, labels = pod["metadata"], _labels(pod)
    name = _said_target(_notes(pod).get(JOINS))
    if JOINED not in labels or not name or labels.get(TARGET_LABEL) != target_label(name):
        return None
    return Key(namespace=metadata["namespace"], name=name)


def is_joined(pod: Json) -> bool:
    """Tell whether a pod has been given the labels of a Service."""
    return JOINED in _labels(pod)


def joining(pod: Json, service: str) -> Json | None:
    """Return the patch by which a pod joins a Service; None for one that has, or that goes.

    Args:
        pod: one of the canary's, as it is stored.
        service: name of the stable Service.

    """
    wanted = _side(pod, "in")
    if not wanted or "deletionTimestamp" in pod["metadata"]:
        return None
    labels = {**wanted, JOINED: service}
    return None if labels.items() <= _labels(pod).items() else {"metadata": {"labels": labels}}


def leaving(pod: Json) -> Json | None:
    """Return the patch by which a pod leaves the Service that it has joined; None for any other."""
    if not is_joined(pod):
        return None
    return {"metadata": {"labels": {**_side(pod, "out"), JOINED: None}}}


def joining_of(service: Json, pods: Iterable[Json], canary: Iterable[Json]) -> Joining:
    """Return which of a canary's pods share a Service's requests, and with how many others.

    Args:
        service: the stable Service.
        pods: those that it may select.
        canary: all of the canary's.

    """
    selection = service_selector(service)
    own = [pod for pod in canary if _side(pod, "in") and not _is_gone(pod)]
    names = {pod["metadata"]["name"] for pod in own}
    return Joining(
        members=tuple(
            Member(
                name=pod["metadata"]["name"],
                ready=is_ready(pod),
                joined=is_joined(pod) and selects(selection, _labels(pod)),
            )
            for pod in own
        ),
        stable=sum(
            is_ready(pod) and not _is_gone(pod) and selects(selection, _labels(pod))
            for pod in pods
            if pod["metadata"]["name"] not in names
        ),
    )


def _side(pod: Json, side: str) -> dict[str, str | None]:
    """Return the labels of one side of a pod's note; none where it cannot be read."""
    found = _read(_notes(pod).get(JOINS)).get(side)
    if not isinstance(found, dict):
        return {}
    fits = all(isinstance(value, str | None) for value in found.values())
    return found if fits else {}


def _said_target(note: str | None) -> str:
    name = _read(note).get("target")
    return name if isinstance(name, str) else ""


def _read(note: str | None) -> Json:
    try:
        found = orjson.loads(note or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _notes(obj: Json) -> Mapping[str, str]:
    return (obj.get("metadata") or {}).get("annotations") or {}


def _labels(pod: Json) -> dict[str, str]:
    return pod["metadata"].get("labels") or {}


def _is_gone(pod: Json) -> bool:
    ended = (pod.get("status") or {}).get("phase") in ENDED
    return ended or "deletionTimestamp" in pod["metadata"]
