"""Builders of Kubernetes objects for tests: small, valid, and changed by keyword."""

from copy import deepcopy
from typing import Any

Json = dict[str, Any]


def deployment(
    *,
    name: str = "web",
    image: str = "web:1",
    replicas: int = 4,
    paused: bool | None = None,
    annotations: dict[str, str] | None = None,
    template_annotations: dict[str, str] | None = None,
    strategy: str = "RollingUpdate",
) -> Json:
    """Return a Deployment as the API server stores it."""
    spec: Json = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "strategy": {"type": strategy},
        "template": {
            "metadata": {"labels": {"app": name}, "creationTimestamp": None},
            "spec": {"containers": [{"name": "app", "image": image}]},
        },
    }
    if paused is not None:
        spec["paused"] = paused
    if template_annotations:
        spec["template"]["metadata"]["annotations"] = template_annotations
    metadata: Json = {"name": name, "namespace": "prod", "uid": f"uid-{name}", "generation": 1}
    if annotations is not None:
        metadata["annotations"] = annotations
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def endpoints(service: str, *, ready: bool | None = True) -> Json:
    """Return the slice of a Service with one endpoint."""
    return {
        "metadata": {
            "name": f"{service}-x",
            "namespace": "prod",
            "labels": {"kubernetes.io/service-name": service},
        },
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}],
    }


def changed(obj: Json, **spec: Any) -> Json:
    """Return a copy of an object with other spec fields."""
    copy = deepcopy(obj)
    copy["spec"] |= spec
    return copy


def annotated(obj: Json, marks: dict[str, str | None]) -> Json:
    """Return a copy with annotations added, or removed where the value is None."""
    copy = deepcopy(obj)
    notes = {**(copy["metadata"].get("annotations") or {}), **marks}
    copy["metadata"]["annotations"] = {k: v for k, v in notes.items() if v is not None}
    return copy


def canary(**analysis: Any) -> Json:
    """Return the Canary of the main job, with other analysis fields."""
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "web", "namespace": "prod", "uid": "uid-canary", "generation": 1},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "service": {"port": 80, "targetPort": 8080},
            "analysis": {
                "interval": "1m",
                "threshold": 3,
                "maxWeight": 50,
                "stepWeight": 10,
                **analysis,
            },
        },
    }
