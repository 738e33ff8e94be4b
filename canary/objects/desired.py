"""The objects a run wants in the cluster, as values for server-side apply."""

from copy import deepcopy

from canary.contract import (
    CANDIDATE,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    TARGET_LABEL,
)
from canary.model.canary_labels import CanaryLabels
from canary.model.hashing import template_hash
from canary.model.names import canary_name, target_label
from canary.model.selection import Selector, label_selector, selects, workload_selector
from canary.model.strategy import Strategy
from canary.model.values import Json
from canary.objects.copied import carried, carried_service_fields
from canary.objects.joining import note_of
from canary.objects.placement import follow

__all__ = [
    "CanaryLabels",
    "canary_name",
    "canary_service_of",
    "canary_workload",
    "keeps_selector",
    "owner_reference",
    "stable_service",
]


def canary_workload(
    target: Json, *, labels: CanaryLabels, replicas: int, standing: Json | None = None
) -> Json:
    """Return the Deployment that runs the target's template beside it.

    Args:
        target: the Deployment the team owns, with the candidate template.
        labels: what tells the canary from the target.
        replicas: how many pods.
        standing: the canary Deployment that is there already, if one is. A selector cannot be
            changed, so that it keeps its own, unless that would not tell its pods any more: then it
            has to be deleted first (see `keeps_selector`).

    """
    spec, namespace = target["spec"], target["metadata"]["namespace"]
    template = deepcopy(spec["template"])
    template.setdefault("metadata", {})
    template["metadata"].pop("creationTimestamp", None)
    template["metadata"]["labels"] = dict(labels.pods)
    if note := note_of(target["metadata"]["name"], labels):
        notes = template["metadata"].get("annotations") or {}
        template["metadata"]["annotations"] = {**notes, **note}
    follow(template["spec"], labels, namespace)
    _keep_last_words(template["spec"])
    metadata = _metadata(target, of=target, name=canary_name(target["metadata"]["name"]))
    metadata["annotations"] |= {CANDIDATE: template_hash(spec["template"])}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "selector": _workload_selector(labels, standing),
            "template": template,
            "progressDeadlineSeconds": spec.get("progressDeadlineSeconds", 600),
            "minReadySeconds": spec.get("minReadySeconds", 0),
            "revisionHistoryLimit": 1,
        },
    }


def keeps_selector(standing: Json, labels: CanaryLabels) -> bool:
    """Tell whether a canary Deployment that is there can be applied anew with these labels.

    Args:
        standing: the canary Deployment; its selector can never be changed.
        labels: what its pods are to wear.

    Returns:
        False where its selector would not take its own pods in, or the target's too: it must be
        deleted before it is made again.

    """
    selection = label_selector(standing["spec"]["selector"])
    return selects(selection, labels.pods) and not selects(selection, labels.template)


def _keep_last_words(pod: Json) -> None:
    """Have the kubelet keep the end of a failed container's log where it left no message.

    A verdict can then name them without a right to read logs.
    """
    for container in (*(pod.get("initContainers") or ()), *pod["containers"]):
        container["terminationMessagePolicy"] = "FallbackToLogsOnError"


def canary_service_of(
    target: Json, *, labels: CanaryLabels, strategy: Strategy, stable: Json | None
) -> Json:
    """Return the Service in front of the canary, which works as the stable one does.

    Args:
        target: the Deployment the team owns.
        labels: what tells the canary from the target.
        strategy: names the port where there is no stable Service.
        stable: the Service whose traffic is split, if there is one.

    """
    fields = {"ports": _ports(strategy)} if stable is None else carried_service_fields(stable)
    name = canary_name(strategy.service_name)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _service_metadata(target, stable, name),
        "spec": {**fields, "type": "ClusterIP", "selector": dict(labels.service)},
    }


def stable_service(target: Json, *, strategy: Strategy) -> Json:
    """Return the Service that an own route needs where the team has none."""
    selector = _asked_by_value(target)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _service_metadata(target, None, strategy.service_name),
        "spec": {"selector": selector, "ports": _ports(strategy)},
    }


def owner_reference(obj: Json) -> Json:
    """Return the reference that makes the cluster delete our objects with their owner."""
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
    }


def _metadata(target: Json, *, of: Json, name: str) -> Json:
    """Return the metadata of an object of the canary's.

    Args:
        target: the Deployment the team owns, and the object's owner.
        of: the object whose labels and annotations it carries, of its own kind.
        name: the object's.

    """
    metadata = of["metadata"]
    marks = {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: target_label(target["metadata"]["name"])}
    return {
        "name": name,
        "namespace": target["metadata"]["namespace"],
        "labels": {**carried(metadata.get("labels")), **marks},
        "annotations": carried(metadata.get("annotations")),
        "ownerReferences": [owner_reference(target)],
    }


def _service_metadata(target: Json, stable: Json | None, name: str) -> Json:
    if stable is not None:
        return _metadata(target, of=stable, name=name)
    # The team's labels are the same on all that it owns; annotations speak to one kind of object.
    labels = target["metadata"].get("labels") or {}
    return _metadata(target, of={"metadata": {"labels": labels}}, name=name)


def _workload_selector(labels: CanaryLabels, standing: Json | None) -> Json:
    if standing is not None and keeps_selector(standing, labels):
        return dict(standing["spec"]["selector"])
    return {"matchLabels": dict(labels.selector)}


def _asked_by_value(target: Json) -> dict[str, str]:
    """Return what a target's selector asks for, as a Service can say it: by values only."""
    selection = workload_selector(target)
    labels = target["spec"]["template"].get("metadata", {}).get("labels") or {}
    asked = selection.worn if isinstance(selection, Selector) else frozenset()
    return {key: value for key, value in labels.items() if key in asked} or dict(labels)


def _ports(strategy: Strategy) -> list[Json]:
    port = strategy.service_port or 80
    return [{"name": "http", "port": port, "targetPort": strategy.target_port or port}]
