"""Parked ReplicaSets: how one is let go by its Deployment, and how it is put back as it was.

A ReplicaSet whose own labels do not match the Deployment's selector any more is released by the
Deployment controller (its owner reference goes) and counted with no more; once they match again it
is adopted, and `kubectl rollout history` shows it with the number that it had. Its pods would not
notice, for they are selected by the ReplicaSet's own selector, which is not touched. A label of
ours says whose it is meanwhile: the uid of the Deployment, which also tells a Deployment from a
later one of the same name.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import orjson

from canary.contract import PARKED, PARKED_FROM, POD_TEMPLATE_HASH
from canary.model.selection import Operator, Selector, selects, workload_selector
from canary.model.values import Json
from canary.model.world import Place
from canary.objects.ownership import controllers_of

_DIGITS: Final = 18
"""Of a revision: it is counted in 64 bits."""
_REVISION: Final = "deployment.kubernetes.io/revision"
_COPY: Final = "e"
"""Ends the name of a copy; hashes are made of consonants and digits."""


def place_of(replica_set: Json, target: Json) -> Place | None:
    """Return how a ReplicaSet stands to a target, None if it is not its own.

    Args:
        replica_set: the ReplicaSet.
        target: the Deployment.

    """
    uid, labels = target["metadata"]["uid"], _labels(replica_set)
    if PARKED in labels:
        return Place.PARKED if labels[PARKED] == uid else None
    controllers = [owner.get("uid") for owner in controllers_of(replica_set)]
    if controllers:
        return Place.OWNED if uid in controllers else None
    return Place.ADRIFT if selects(workload_selector(target), labels) else None


def number_of(replica_set: Json) -> int:
    """Return a ReplicaSet's revision as `kubectl rollout history` has it, 0 without one."""
    text = (replica_set["metadata"].get("annotations") or {}).get(_REVISION, "")
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else 0


def parking(replica_set: Json, target: Json) -> Json | None:
    """Return the merge patch that parks a ReplicaSet, None if no label can hide it.

    Pods of which none is ready yet go with it: nobody is served by them, and nobody is to be. A
    target at 0 that gets another version and a size in one write makes them before anybody hears of
    it.

    Args:
        replica_set: the ReplicaSet.
        target: the Deployment that it belongs to.

    """
    labels = _labels(replica_set)
    change = _hiding(target, labels)
    if change is None:
        return None
    before = {key: labels.get(key) for key in change}
    note = {"deployment": target["metadata"]["name"], "labels": before}
    patch: Json = {
        "metadata": {
            "labels": {**change, PARKED: target["metadata"]["uid"]},
            "annotations": {PARKED_FROM: orjson.dumps(note, option=orjson.OPT_SORT_KEYS).decode()},
        }
    }
    return {**patch, "spec": {"replicas": 0}} if _starts(replica_set) else patch


def _starts(replica_set: Json) -> bool:
    """Tell whether a ReplicaSet is to have pods, and none of them is ready."""
    spec, status = (replica_set.get(part) or {} for part in ("spec", "status"))
    return bool(spec.get("replicas", 1)) and not status.get("readyReplicas", 0)


def putting_back(replica_set: Json) -> Json | None:
    """Return the merge patch that gives a parked ReplicaSet back; None for one that is not parked.

    Where the note of what was changed has been lost, the labels are those of its pods, as the
    Deployment controller gave them.
    """
    labels = _labels(replica_set)
    if PARKED not in labels:
        return None
    return {
        "metadata": {
            "labels": {**_labels_before(replica_set), PARKED: None},
            "annotations": {PARKED_FROM: None},
        }
    }


def copied(replica_set: Json, target: Json) -> Json | None:
    """Return a parked copy of a ReplicaSet, without pods; None if no label can hide it.

    It has the same selector: the pods belong to whoever made them. Its name differs from the
    original's by one letter that no hash has, so that its pods are still named as the target's.

    Args:
        replica_set: the ReplicaSet.
        target: the Deployment that it belongs to.

    """
    parked, metadata = parking(replica_set, target), replica_set["metadata"]
    if parked is None:
        return None
    labels = {**_labels(replica_set), **parked["metadata"]["labels"]}
    name = metadata["name"]
    return {
        "metadata": {
            "name": name.removesuffix(_COPY) if name.endswith(_COPY) else f"{name}{_COPY}",
            "namespace": metadata["namespace"],
            "labels": {key: value for key, value in labels.items() if value is not None},
            "annotations": {
                **(metadata.get("annotations") or {}),
                **parked["metadata"]["annotations"],
            },
        },
        "spec": {**replica_set["spec"], "replicas": 0},
    }


def parked_with_pods(replica_set: Json) -> bool:
    """Tell whether a ReplicaSet is parked and is to have pods all the same."""
    return PARKED in (replica_set["metadata"].get("labels") or {}) and wants_pods(replica_set)


def wants_pods(replica_set: Json) -> bool:
    """Tell whether a ReplicaSet is to have pods; one without a number has one."""
    return bool((replica_set.get("spec") or {}).get("replicas", 1))


def deployment_of(replica_set: Json) -> str:
    """Return the name of the Deployment that a parked ReplicaSet belongs to, "" if it is lost."""
    name = _note(replica_set).get("deployment")
    return name if isinstance(name, str) else ""


def doubled(replica_set: Json, others: Iterable[Json]) -> bool:
    """Tell whether another ReplicaSet carries the very same template.

    The Deployment controller makes one if a template is released while its own is parked. Of two
    it would take the older one as the Deployment's, and replace all pods by its.
    """
    wanted, name = _template(replica_set), replica_set["metadata"]["name"]
    return any(other["metadata"]["name"] != name and _template(other) == wanted for other in others)


def _hiding(target: Json, labels: Mapping[str, str]) -> dict[str, str | None] | None:
    """Return a change of one label by which a selector matches no more; a removal if one does."""
    selector = workload_selector(target)
    if not isinstance(selector, Selector):
        return None
    wanted = selector.requirements
    taken: list[dict[str, str | None]] = [{one.key: None} for one in wanted if one.key in labels]
    given: list[dict[str, str | None]] = [
        {one.key: min(one.values, default="parked")}
        for one in wanted
        if one.operator in {Operator.NOT_IN, Operator.DOES_NOT_EXIST}
    ]
    for change in (*taken, *given):
        after = {k: v for k, v in {**labels, **change}.items() if v is not None}
        if not selects(selector, after):
            return change
    return None


def _labels_before(replica_set: Json) -> dict[str, str | None]:
    noted = _note(replica_set).get("labels")
    if isinstance(noted, dict):
        return {key: value for key, value in noted.items() if isinstance(value, str | None)}
    return dict(replica_set["spec"]["template"]["metadata"].get("labels") or {})


def _note(replica_set: Json) -> Json:
    text = (replica_set["metadata"].get("annotations") or {}).get(PARKED_FROM, "")
    try:
        note = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return note if isinstance(note, dict) else {}


def _template(replica_set: Json) -> Json:
    template = replica_set["spec"]["template"]
    metadata = dict(template.get("metadata") or {})
    labels = dict(metadata.get("labels") or {})
    labels.pop(POD_TEMPLATE_HASH, None)
    return {**template, "metadata": {**metadata, "labels": labels}}


def _labels(obj: Json) -> dict[str, str]:
    return dict(obj["metadata"].get("labels") or {})
