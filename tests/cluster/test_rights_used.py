"""Every right that is granted was used by the suite: nothing is granted that nobody needs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import audit
from tests.cluster.kit import (
    Json,
    Kubectl,
    canary,
    metric_template,
    route,
    service,
    wait_for,
    web,
)
from tests.unit.manifests.installation import objects

pytestmark = pytest.mark.cluster
SELDOM = {
    ("headgate-analyzer", "metrictemplates", "get"): "asked for while their watch is not believed",
    ("headgate-analyzer", "replicasets", "get"): "read again after somebody else wrote to one",
    ("headgate-analyzer", "replicasets", "create"): "a copy is parked where no history is kept",
    ("headgate-analyzer", "replicasets", "delete"): "the copy goes when it is put back",
}
"""What takes an accident that no test brings about on a cluster, with when it is needed, and what
is tried there by an analyzer of the test's own, with other rights (`test_scaling.py`)."""


def volume(namespace: str) -> tuple[Json, Json]:
    """Return a claim, and the folder of the node that it is bound to, which is only looked at."""
    name = f"{namespace}-data"
    shape: Json = {
        "accessModes": ["ReadOnlyMany"],
        "storageClassName": "",
        "volumeMode": "Filesystem",
    }
    return (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                **shape,
                "capacity": {"storage": "1Mi"},
                "hostPath": {"path": "/var/tmp", "type": "Directory"},  # noqa: S108
                "persistentVolumeReclaimPolicy": "Retain",
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"},
            "spec": {
                **shape,
                "volumeName": name,
                "resources": {"requests": {"storage": "1Mi"}},
            },
        },
    )


@pytest.fixture
def with_volume(namespace: Kubectl) -> Iterator[Kubectl]:
    """Return a namespace with a claim; its volume goes with it."""
    try:
        namespace.apply(*volume(namespace.namespace))
        yield namespace
    finally:
        gone = ("persistentvolume", f"{namespace.namespace}-data", "--wait=false")
        namespace("delete", "--ignore-not-found", *gone)


def test_what_few_runs_need_is_read(with_volume: Kubectl) -> None:
    """A volume, a template's Secret, an AlertProvider, what leads to a Service without a route."""
    namespace = with_volume
    target = web("headgate/demo:1.0", replicas=1)
    pod = target["spec"]["template"]["spec"]
    claim = {"claimName": "data", "readOnly": True}
    pod["volumes"] = [{"name": "data", "persistentVolumeClaim": claim}]
    mount = {"name": "data", "mountPath": "/data", "readOnly": True}
    pod["containers"][0]["volumeMounts"] = [mount]
    template = metric_template(namespace.namespace)
    template["spec"]["provider"]["secretRef"] = {"name": "prometheus"}
    login = {"username": "someone", "password": "something"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "prometheus"}}
    chat = {"name": "chat", "providerRef": {"name": "chat"}}
    provider = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "AlertProvider",
        "metadata": {"name": "chat"},
        "spec": {"type": "slack", "address": "http://127.0.0.1:9/hook"},
    }
    analysis = canary(namespace.namespace, webhooks=[], alerts=[chat])
    del analysis["spec"]["service"]
    namespace.apply(
        target, service(), template, provider, {**secret, "stringData": login}, analysis
    )
    namespace("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    namespace("set", "image", "deployment/web", "web=headgate/demo:1.1")

    def said(word: str) -> bool:
        return word in json.dumps(namespace.get("canary", "web").get("status", {}))

    wait_for("a word on the route", lambda: said("no HTTPRoute"), 90)
    namespace.apply(route(f"{namespace.namespace}.example"))
    wait_for("a check", lambda: said('"error-rate"'), 120)

    def unsent() -> list[str]:
        events = namespace.items("events")
        return [it["message"] for it in events if it["reason"] == "AlertNotSent"]

    # An address that no team may name: nothing leaves the analyzer.
    (message, *_) = wait_for("an alert that is not sent", unsent, 60)
    assert "(loopback)" in message
    assert "/hook" not in message


def test_every_right_is_used(request: pytest.FixtureRequest, exclusive: Kubectl) -> None:
    del exclusive
    if not audit.logs():
        pytest.skip("the API server writes no audit log: it is not the sandbox's")
    ours = {path.name for path in Path(__file__).parent.glob("test_*.py")}
    if not ours <= {item.path.name for item in request.session.items}:
        pytest.skip("a part of the suite uses a part of the rights")
    used = {
        right
        for file in audit.logs()
        for right in audit.used(file.read_text(errors="replace").splitlines())
    }
    idle = {
        (right.account, right.resource, right.verb) for right in audit.granted(objects()) - used
    }

    assert idle - SELDOM.keys() == set()
