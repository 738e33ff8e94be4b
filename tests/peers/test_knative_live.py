"""What a real Knative makes of a new image: another Deployment, and nothing of the one before.

This is why its Services are refused (docs/routers.md): no update of a Deployment could be held, and
what splits the traffic is an object of its own controllers, which write it over. Of Knative the
controller alone runs; what its webhook fills in is written by hand, and so is what its autoscaler
says of a Revision.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from canary.model.values import Json
from sandbox import addons, builds, downloads, paths
from sandbox.gateways import KNATIVE_BUILD
from sandbox.versions import ETCD, GO, KUBECTL
from tests.cluster.kit import Kubectl, wait_for
from tests.cluster.own_api_server import own_api_server, running

pytestmark = [pytest.mark.peer, pytest.mark.timeout(3600)]
SYSTEM: Final = "knative-serving"
OF_SERVICE: Final = "serving.knative.dev/service=web"
# Whose registry is asked for no digest.
BEFORE, AFTER = "dev.local/shop/web:1.0", "dev.local/shop/web:1.1"
ROUTE: Final = "ingresses.networking.internal.knative.dev"
AUTOSCALER: Final = "podautoscalers.autoscaling.internal.knative.dev"
MADE: Final = 60.0


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Run an API server and Knative's controller; return kubectl in the namespace prod."""
    downloads.ensure_python_tools((GO, ETCD, KUBECTL))
    builds.ensure((KNATIVE_BUILD,))
    folder = tmp_path_factory.mktemp("knative")
    with own_api_server(folder, str(downloads.tool_path(KUBECTL))) as server:
        all_of_it = server.kubectl
        all_of_it("create", "namespace", SYSTEM)
        all_of_it("create", "namespace", "prod")
        objects = yaml.safe_dump_all([*addons.knative_crds(), *addons.knative_settings()])
        all_of_it("apply", "--server-side", "-f", "-", stdin=objects)
        env = {
            **os.environ,
            "KUBECONFIG": str(all_of_it.kubeconfig),
            "SYSTEM_NAMESPACE": SYSTEM,
            "POD_NAME": "controller",
            "CONFIG_LOGGING_NAME": "config-logging",
            "CONFIG_OBSERVABILITY_NAME": "config-observability",
        }
        with running(folder / "controller.log", [_controller()], env):
            yield all_of_it.within("prod")


def _controller() -> Path:
    return paths.binary(KNATIVE_BUILD, KNATIVE_BUILD.programs[0])


def knative_service(image: str, *traffic: Json) -> Json:
    """Return a team's Service, with what Knative's webhook fills in."""
    container = {"name": "user-container", "image": image, "resources": {}}
    spec = {"containerConcurrency": 0, "timeoutSeconds": 300, "containers": [container]}
    newest = {"latestRevision": True, "percent": 100}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": spec}, "traffic": list(traffic or (newest,))},
    }


def deployments(kubectl: Kubectl) -> dict[str, Json]:
    """Return the Deployments of the Service by the image that they run."""
    found = kubectl.items("deployments", "-l", OF_SERVICE)
    return {it["spec"]["template"]["spec"]["containers"][0]["image"]: it for it in found}


def splits(kubectl: Kubectl) -> dict[str, int]:
    """Return the shares that Knative's own route has, by what they lead to."""
    found = kubectl.find(ROUTE, "web")
    if found is None:
        return {}
    [path] = found["spec"]["rules"][0]["http"]["paths"]
    return {it["serviceName"]: it["percent"] for it in path["splits"]}


def serves(kubectl: Kubectl, revision: str) -> None:
    """Say what Knative's autoscaler says of a Revision with pods."""
    kinds = ("Ready", "Active", "SKSReady", "ScaleTargetInitialized")
    status = {
        "observedGeneration": 1,
        "serviceName": revision,
        "metricsServiceName": f"{revision}-private",
        "desiredScale": 1,
        "actualScale": 1,
        "conditions": [{"type": kind, "status": "True"} for kind in kinds],
    }
    words = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    kubectl("patch", AUTOSCALER, revision, *words)


def test_a_new_image_is_another_deployment_and_its_split_is_of_revisions(kubectl: Kubectl) -> None:
    kubectl.apply(knative_service(BEFORE))
    before = wait_for("a Deployment", lambda: deployments(kubectl).get(BEFORE), MADE)
    serves(kubectl, "web-00001")
    wait_for("a route", lambda: splits(kubectl) == {"web-00001": 100}, MADE)

    kubectl.apply(knative_service(AFTER))
    after = wait_for("another Deployment", lambda: deployments(kubectl).get(AFTER), MADE)
    serves(kubectl, "web-00002")
    wait_for("another route", lambda: splits(kubectl) == {"web-00002": 100}, MADE)
    stayed = deployments(kubectl)[BEFORE]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert stayed["metadata"]["uid"] == before["metadata"]["uid"]
    assert stayed["metadata"]["generation"] == before["metadata"]["generation"]
    assert stayed["spec"] == before["spec"]

    shares = {"web-00001": 80, "web-00002": 20}
    traffic = [{"revisionName": name, "percent": share} for name, share in shares.items()]
    kubectl.apply(knative_service(AFTER, *traffic))
    wait_for("shares of Revisions", lambda: splits(kubectl) == shares, MADE)
    where = "/spec/rules/0/http/paths/0/splits/0/percent"
    edit = [{"op": "replace", "path": where, "value": 50}]
    written = kubectl("patch", ROUTE, "web", "--type=json", "-p", json.dumps(edit), "-o", "json")
    assert '"percent": 50' in written
    wait_for("shares that are written over", lambda: splits(kubectl) == shares, MADE)
