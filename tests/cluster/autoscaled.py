"""The cluster's own autoscaler, and a metrics API in the process of the tests that it asks.

External metrics are one API group for the whole cluster, so that one test at a time serves them.
A namespace without a metric here has none anywhere: nothing else of the sandbox uses the group.
"""

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from tests.cluster.kit import Json, Kubectl, Traffic, wait_for
from tests.cluster.tls_server import JsonHandler, node_address, serving
from tests.sharing import shared

GROUP: Final = "external.metrics.k8s.io"
VERSION: Final = f"{GROUP}/v1beta1"
API: Final = f"v1beta1.{GROUP}"
METRIC: Final = "requests-per-second"
LOOKS_BACK: Final = 10.0
"""Seconds over which requests are counted."""


@dataclass
class Metrics:
    """What the metrics API says: by namespace, what gives the value of its metric."""

    values: dict[str, Callable[[], float]] = field(default_factory=dict)


class _Api(JsonHandler):
    def __init__(self, metrics: Metrics, *args: Any) -> None:
        self._metrics = metrics
        super().__init__(*args)

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        match urlsplit(self.path).path.strip("/").split("/"):
            case ["apis", _, "v1beta1"]:
                kind = {"kind": "APIResourceList", "apiVersion": "v1"}
                self.answer(200, {**kind, "groupVersion": VERSION, "resources": []})
            case ["apis", _, "v1beta1", "namespaces", namespace, metric] if (
                metric == METRIC and namespace in self._metrics.values
            ):
                self.answer(200, _value(self._metrics.values[namespace]()))
            case _:
                self.answer(404, {"kind": "Status", "apiVersion": "v1", "code": 404})


def _value(value: float) -> Json:
    item = {
        "metricName": METRIC,
        "metricLabels": {},
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "value": f"{int(1000 * value)}m",
    }
    return {"kind": "ExternalMetricValueList", "apiVersion": VERSION, "items": [item]}


@contextmanager
def metrics_api(kubectl: Kubectl) -> Iterator[Metrics]:
    """Serve external metrics while the block runs.

    Args:
        kubectl: of the test's namespace, in which the API's Service is.

    """
    metrics, where = Metrics(), kubectl.namespace
    with shared("metrics-api.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        address = node_address(kubectl)
        host = f"metrics-api.{where}.svc"
        with serving(address, host, partial(_Api, metrics)) as (port, bundle):
            try:
                # What a run that was killed has left.
                kubectl("delete", "apiservice", API, "--ignore-not-found")
                for obj in _objects(where, address, port, bundle):
                    kubectl("create", "-f", "-", stdin=json.dumps(obj))
                wait_for("the metrics API", lambda: _is_available(kubectl), 90)
                yield metrics
            finally:
                # A group that nobody serves any more would hold up every namespace's deletion.
                kubectl("delete", "apiservice", API, "--ignore-not-found")


def _is_available(kubectl: Kubectl) -> bool:
    conditions = kubectl.get("apiservice", API).get("status", {}).get("conditions", ())
    return any((it["type"], it["status"]) == ("Available", "True") for it in conditions)


def _objects(namespace: str, address: str, port: int, bundle: str) -> list[Json]:
    """Return a Service without pods, its endpoint, and the API that it serves."""
    name = "metrics-api"
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": API},
            "spec": {
                "group": GROUP,
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": bundle,
                "service": {"name": name, "namespace": namespace, "port": 443},
            },
        },
    ]


def autoscaler(per_pod: float, *, most: int = 6, name: str = "web") -> Json:
    """Return a HorizontalPodAutoscaler that aims at so many requests per second for each pod."""
    target = {"type": "AverageValue", "averageValue": f"{int(1000 * per_pod)}m"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 1,
            "maxReplicas": most,
            "metrics": [
                {"type": "External", "external": {"metric": {"name": METRIC}, "target": target}}
            ],
            # By default five minutes must pass before it makes anything smaller.
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }


def active(kubectl: Kubectl) -> tuple[str, str]:
    """Return whether the autoscaler of a namespace works, and the reason that it gives."""
    conditions = kubectl.get("hpa", "web").get("status", {}).get("conditions") or ()
    found: Json = next((it for it in conditions if it["type"] == "ScalingActive"), {})
    return str(found.get("status", "")), str(found.get("reason", ""))


def answered_by(traffic: Traffic, version: str) -> float:
    """Return how many requests per second a version has answered of late."""
    now = traffic.now()
    since = max(0.0, now - LOOKS_BACK)
    own = [at for at, _, text in list(traffic.answers) if at >= since and text.endswith(version)]
    return len(own) / (now - since) if now > since else 0.0
