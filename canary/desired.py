"""The objects a run wants in the cluster, as values for server-side apply."""

import math
from copy import deepcopy

from canary.contract import (
    CANARY_SUFFIX,
    CANDIDATE,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    SELECTOR_KEYS,
    TARGET_LABEL,
)
from canary.hashing import template_hash
from canary.model.strategy import Strategy
from canary.model.values import Json


class UnsuitableTarget(ValueError):  # noqa: N818 - a finding about the target, shown to its team
    """The target's labels leave no way to tell canary pods from stable ones."""


def canary_name(target: str) -> str:
    """Return the name of the canary Deployment and Service."""
    return f"{target}{CANARY_SUFFIX}"


def canary_size(replicas: int, weights: tuple[int, ...]) -> int:
    """Return how many canary pods the largest share of the traffic needs.

    Args:
        replicas: pods of the target.
        weights: the canary's shares in percent.

    """
    return max(1, math.ceil(replicas * max(weights) / 100))


def selector_key(target: Json, service_selector: dict[str, str] | None) -> str:
    """Choose the label that gets a `-canary` value.

    Args:
        target: the Deployment.
        service_selector: what the stable Service selects by; None if there is no Service.

    Raises:
        UnsuitableTarget: Service and target share no label, so that canary pods would receive
            the stable's traffic.

    """
    labels = target["spec"]["selector"].get("matchLabels") or {}
    usable = [key for key in labels if service_selector is None or key in service_selector]
    for key in (*SELECTOR_KEYS, *sorted(usable)):
        if key in usable:
            return str(key)
    name = target["metadata"]["name"]
    raise UnsuitableTarget(
        f"deployment {name} and its Service share no selector label: add one that is in both "
        f"spec.selector.matchLabels of {name} and the Service's selector, such as app"
    )


def canary_deployment(target: Json, *, key: str, replicas: int) -> Json:
    """Return the Deployment that runs the target's template beside it.

    Args:
        target: the Deployment the team owns, with the candidate template.
        key: the selector label that gets a `-canary` value.
        replicas: how many pods.

    """
    spec, name = target["spec"], target["metadata"]["name"]
    labels = _canary_labels(spec["selector"]["matchLabels"], key)
    template = deepcopy(spec["template"])
    template.setdefault("metadata", {})
    template["metadata"].pop("creationTimestamp", None)
    template["metadata"]["labels"] = {
        **(template["metadata"].get("labels") or {}),
        **labels,
        TARGET_LABEL: name,
    }
    _move_affinity(template["spec"], key, spec["selector"]["matchLabels"][key])
    _keep_last_words(template["spec"])
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            **_metadata(target),
            "annotations": {CANDIDATE: template_hash(spec["template"])},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": template,
            "progressDeadlineSeconds": spec.get("progressDeadlineSeconds", 600),
            "minReadySeconds": spec.get("minReadySeconds", 0),
            "revisionHistoryLimit": 1,
        },
    }


def _keep_last_words(pod: Json) -> None:
    """Have the kubelet keep the end of a failed container's log where it left no message.

    A verdict can then name them without a right to read logs.
    """
    for container in (*(pod.get("initContainers") or ()), *pod["containers"]):
        container["terminationMessagePolicy"] = "FallbackToLogsOnError"


def canary_service(target: Json, *, key: str, strategy: Strategy, stable: Json | None) -> Json:
    """Return the Service in front of the canary: every port of the stable one.

    Args:
        target: the Deployment the team owns.
        key: the selector label that gets a `-canary` value.
        strategy: names the port where there is no stable Service.
        stable: the Service whose traffic is split, if there is one.

    """
    selector = (stable or {}).get("spec", {}).get("selector") or (
        target["spec"]["selector"]["matchLabels"]
    )
    metadata = _metadata(target)
    metadata["name"] = canary_name(strategy.service_name)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": _canary_labels(selector, key), "ports": _ports(strategy, stable)},
    }


def stable_service(target: Json, *, strategy: Strategy) -> Json:
    """Return the Service that an own route needs where the team has none."""
    metadata = _metadata(target)
    metadata["name"] = strategy.service_name
    selector = target["spec"]["selector"]["matchLabels"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": dict(selector), "ports": _ports(strategy, None)},
    }


def owner_reference(obj: Json) -> Json:
    """Return the reference that makes the cluster delete our objects with their owner."""
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
    }


def _metadata(target: Json) -> Json:
    name = target["metadata"]["name"]
    return {
        "name": canary_name(name),
        "namespace": target["metadata"]["namespace"],
        "labels": {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: name},
        "ownerReferences": [owner_reference(target)],
    }


def _canary_labels(labels: dict[str, str], key: str) -> dict[str, str]:
    return {**labels, key: f"{labels[key]}{CANARY_SUFFIX}"}


def _ports(strategy: Strategy, stable: Json | None) -> list[Json]:
    if stable is not None:
        dropped = {"nodePort"}
        return [
            {k: v for k, v in port.items() if k not in dropped}
            for port in stable["spec"].get("ports") or ()
        ]
    port = strategy.service_port or 80
    return [{"name": "http", "port": port, "targetPort": strategy.target_port or port}]


def _move_affinity(pod: Json, key: str, value: str) -> None:
    """Let rules that spread a target's pods from each other speak of the canary's own pods."""
    anti = (pod.get("affinity") or {}).get("podAntiAffinity") or {}
    rules = [
        *(pod.get("topologySpreadConstraints") or ()),
        *(anti.get("requiredDuringSchedulingIgnoredDuringExecution") or ()),
        *(
            term["podAffinityTerm"]
            for term in anti.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        ),
    ]
    for rule in rules:
        labels = (rule.get("labelSelector") or {}).get("matchLabels") or {}
        if labels.get(key) == value:
            labels[key] = f"{value}{CANARY_SUFFIX}"
