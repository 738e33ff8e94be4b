"""Whose an object is that has a name of ours: by its labels and its owner's uid, never by its name.

Names are unique while an object is there. So an owner of the same kind and name but another uid has
gone, and what it owned is left over: the cluster is about to delete it, and so may we.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Final

from canary.contract import MANAGED_BY, MANAGED_BY_LABEL, POD_TEMPLATE_HASH, TARGET_LABEL
from canary.model.names import canary_name, canary_of, target_label
from canary.model.selection import Requirement, Selector, service_selector
from canary.model.values import Json

MOST_NAMED: Final = 3
"""Pods of another workload that are named."""


class Ownership(Enum):
    """How an object stands to one that may own it.

    OURS: Headgate made it for this very one. FORMER: for one of the same name that has gone.
    STRANGERS: anything else, whatever its name and whatever labels it has been given.
    """

    OURS = "ours"
    FORMER = "former"
    STRANGERS = "strangers"


def ownership(obj: Json, target: Json) -> Ownership:
    """Tell whether an object was made for a target's canary.

    Args:
        obj: a Deployment or Service.
        target: the Deployment the team owns.

    """
    label = (obj["metadata"].get("labels") or {}).get(TARGET_LABEL)
    if label != target_label(target["metadata"]["name"]):
        return Ownership.STRANGERS
    return owned_by(obj, {"kind": "Deployment", **target})


def owned_by(obj: Json, owner: Json) -> Ownership:
    """Tell whether an object with Headgate's label was made for an owner of any kind.

    Args:
        obj: of any kind.
        owner: an object with its `kind`.

    """
    kind, metadata = owner["kind"], owner["metadata"]
    labels = obj["metadata"].get("labels") or {}
    if labels.get(MANAGED_BY_LABEL) != MANAGED_BY:
        return Ownership.STRANGERS
    uids = {
        one.get("uid")
        for one in _owners(obj)
        if (one.get("kind"), one.get("name")) == (kind, metadata["name"])
    }
    if metadata["uid"] in uids:
        return Ownership.OURS
    return Ownership.FORMER if uids else Ownership.STRANGERS


def canary_deployment_of(deployment: Json) -> str:
    """Return the name of the target whose canary a Deployment is, "" if it is no canary.

    A copy under another name brings labels and owner along, and is a team's own Deployment.
    """
    owner = canary_of(deployment)
    is_named = owner and deployment["metadata"].get("name") == canary_name(owner)
    return owner if is_named else ""


def canary_service_owner(service: Json) -> str:
    """Return the name of the target whose canary a Service is in front of, "" for any other.

    The Service that was made for a team's own pods has the same labels and owner.
    """
    selector = (service.get("spec") or {}).get("selector") or {}
    owner = canary_of(service)
    return owner if owner and selector.get(TARGET_LABEL) == target_label(owner) else ""


def taken(target: Json, *found: Json | None) -> tuple[str, ...]:
    """Name the objects that stand where the canary's are to be, and are not this target's.

    Args:
        target: the Deployment the team owns.
        found: what has the name of the canary Deployment or the canary Service.

    """
    name = target["metadata"]["name"]
    return tuple(
        f"{one.get('kind', 'object')} {one['metadata']['name']} exists and is not the canary of "
        f"deployment {name} ({whose_it_is(one)}); rename or delete it"
        for one in found
        if one is not None and ownership(one, target) is Ownership.STRANGERS
    )


def whose_it_is(obj: Json) -> str:
    """Say whose an object is, as far as it tells."""
    owners = [f"{one.get('kind')} {one.get('name')}" for one in _owners(obj)]
    labels = obj["metadata"].get("labels") or {}
    if owners:
        return f"it belongs to {', '.join(owners)}"
    if labels.get(MANAGED_BY_LABEL) == MANAGED_BY:
        return "it has Headgate's label and no owner: a copy, or what an orphaning deletion left"
    return "Headgate has not made it"


def told_apart(target: str, pods: Iterable[Json]) -> tuple[list[Json], list[Json]]:
    """Return the pods of a target's canary, and those of other workloads that wear their label.

    A pod without a controller is counted in: the canary's ReplicaSet may adopt it.

    Args:
        target: its name.
        pods: all that wear the label of its canary's pods.

    """
    own, strange = list[Json](), list[Json]()
    for pod in pods:
        (own if _may_be_of(canary_name(target), pod) else strange).append(pod)
    return own, strange


def strange_pods_said(target: str, pods: Sequence[Json]) -> tuple[str, ...]:
    """Say which pods would get the canary's traffic; nothing where there are none."""
    if not pods:
        return ()
    names = sorted(str(pod["metadata"]["name"]) for pod in pods)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    said = (
        f"pods that are not the canary's of deployment {target} have its label "
        f"{TARGET_LABEL}={target_label(target)}: {', '.join(names[:MOST_NAMED])}{more} "
        f"({whose_it_is(pods[0])}); take the label off the template that they are made from"
    )
    return (said,)


def is_in_front(service: Json, wearers: Iterable[Mapping[str, str]]) -> bool:
    """Tell whether a Service sends traffic to pods with any of these labels, as far as they tell.

    What it asks beyond a template, pods are given while they run; so only what both speak of
    counts, and something must. A Service that selects nothing is in front of nothing.

    Args:
        service: the Service.
        wearers: labels of pod templates, or of pods.

    """
    for labels in wearers:
        told = _told(service, labels)
        if told and all(one.accepts(labels) for one in told):
            return True
    return False


def may_be_in_front(service: Json, labels: Mapping[str, str]) -> bool:
    """Tell whether a Service may send traffic to pods of a template: nothing in it says no."""
    selection = service_selector(service)
    asks = isinstance(selection, Selector) and bool(selection.requirements)
    return asks and all(one.accepts(labels) for one in _told(service, labels))


def _told(service: Json, labels: Mapping[str, str]) -> tuple[Requirement, ...]:
    """Return what a Service asks of labels that are told."""
    selection = service_selector(service)
    if not isinstance(selection, Selector):
        return ()
    return tuple(one for one in selection.requirements if one.key in labels)


def not_in_front_said(target: str, service: Json) -> str:
    """Say that a Service is not one of a target's, and what to do."""
    asked = service["spec"].get("selector") or {}
    selects = ",".join(f"{key}={asked[key]}" for key in sorted(asked)) or "nothing"
    return (
        f"Service {service['metadata']['name']} sends no traffic to the pods of deployment "
        f"{target} (it selects by {selects}), so that its traffic is not split; name the Service "
        "of this deployment in spec.service.name of its Canary"
    )


def is_controlled(obj: Json) -> bool:
    """Tell whether somebody's controller has taken an object over: it is not left to us."""
    return bool(controllers_of(obj))


def controllers_of(obj: Json) -> list[Json]:
    """Return the references to whoever controls an object: one at most, unless it is forged."""
    return [one for one in _owners(obj) if one.get("controller")]


def _may_be_of(deployment: str, pod: Json) -> bool:
    """Tell whether a pod's controller is named as a ReplicaSet of the Deployment is."""
    worn = (pod["metadata"].get("labels") or {}).get(POD_TEMPLATE_HASH)
    for one in controllers_of(pod):
        begins, _, digits = str(one.get("name", "")).rpartition("-")
        named = begins == deployment and worn in {None, digits}
        return one.get("kind") == "ReplicaSet" and named
    return True


def _owners(obj: Json) -> list[Json]:
    return list(obj["metadata"].get("ownerReferences") or ())
