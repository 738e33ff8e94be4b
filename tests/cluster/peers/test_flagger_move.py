"""A team moves from a real Flagger to Headgate under load, by the steps of docs/flagger.md.

Flagger is built once from its module and runs beside the cluster, over the test's namespace alone.
"""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from sandbox import builds, downloads, paths
from sandbox.versions import FLAGGER_BUILD, GO
from tests.cluster.kit import (
    Json,
    Kubectl,
    Traffic,
    message,
    phase,
    route,
    service,
    split_of,
    wait_for,
    web,
)
from tests.cluster.own_api_server import free_port

# Flagger is built with the first test.
pytestmark = [pytest.mark.peer, pytest.mark.timeout(1800)]
RATE: Final = 20.0
MOST: Final = 240.0
REPLICAS: Final = 2


def team_canary(host: str) -> Json:
    """Return a Canary as a team has it for Flagger on a Gateway, which Headgate takes as it is."""
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "web"},
        "spec": {
            "provider": "gatewayapi:v1",
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "progressDeadlineSeconds": 60,
            "service": {
                "port": 80,
                "targetPort": 8080,
                "hosts": [host],
                "gatewayRefs": [{"name": "contour", "namespace": "projectcontour"}],
            },
            "analysis": {
                "interval": "10s",
                "threshold": 2,
                "stepWeights": [50],
                "metrics": [
                    {
                        "name": "success",
                        "templateRef": {"name": "success"},
                        "thresholdRange": {"min": 99},
                        "interval": "30s",
                    }
                ],
            },
        },
    }


def template(prometheus: str) -> Json:
    """Return what both judge by: pods of the app's names, whoever runs it."""
    mine = 'http_requests_total{namespace="{{ namespace }}",kubernetes_pod_name=~"{{ target }}-%s"'
    pods = mine % "[0-9a-z]+-[0-9a-z]+"
    every, good = f"{pods}}}[30s]", f'{pods},status!~"5.."}}[30s]'
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": "success"},
        "spec": {
            "provider": {"type": "prometheus", "address": prometheus},
            "query": f"100 * sum(rate({good})) / sum(rate({every}))",
        },
    }


@contextmanager
def flagger(kubectl: Kubectl, folder: Path) -> Iterator[None]:
    """Run Flagger over a namespace, until the end of the block."""
    downloads.ensure_python_tools([GO])
    builds.ensure([FLAGGER_BUILD])
    with (folder / "flagger.log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - what was built just now
            [
                paths.binary(FLAGGER_BUILD, "flagger"),
                f"-kubeconfig={kubectl.kubeconfig}",
                f"-namespace={kubectl.namespace}",
                "-mesh-provider=gatewayapi:v1",
                "-enable-config-tracking=false",
                "-log-level=info",
                f"-port={free_port()}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.fixture
def unlabelled(together: Kubectl) -> Iterator[Kubectl]:
    """Return a namespace that is not enabled."""
    name = f"moving-{uuid.uuid4().hex[:6]}"
    together("create", "namespace", name)
    yield together.within(name)
    together("delete", "namespace", name, "--wait=false")


def push(kubectl: Kubectl, version: str, errors: str = "") -> str:
    """Release a version and return the phase that it ends in."""
    kubectl("set", "env", "deployment/web", f"VERSION={version}", f"ERROR_SHARE={errors}")
    ended = {"Succeeded", "Failed"}
    wait_for("the run", lambda: phase(kubectl) not in {*ended, "Initialized", ""}, 60)
    wait_for("a verdict", lambda: phase(kubectl) in ended, MOST)
    return phase(kubectl)


def answered(traffic: Traffic, since: float) -> set[tuple[int, str]]:
    """Return what was answered to requests that were sent since."""
    return {(status, text.split()[-1]) for at, status, text in traffic.answers if at > since}


def after(traffic: Traffic, seconds: float) -> float:
    """Wait for so many seconds of requests more, and return when they began."""
    at = traffic.now()
    wait_for("more answers", lambda: traffic.now() > at + seconds, seconds + 10)
    return at


def primaries(kubectl: Kubectl) -> list[str]:
    """Return the names of what Flagger has made of the app."""
    kinds = ("deployments", "services")
    names = [one["metadata"]["name"] for kind in kinds for one in kubectl.items(kind)]
    return [name for name in names if name.startswith("web-")]


def leave_flagger(kubectl: Kubectl, host: str) -> None:
    """Take steps 2 and 3, while Flagger runs."""
    kubectl.apply({**route(host), "metadata": {"name": "web-own"}})
    kubectl("patch", "canary", "web", "--type=merge", '-p={"spec":{"revertOnDeletion":true}}')
    kubectl("delete", "canary", "web", "--timeout=120s", deadline=130)
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    assert kubectl.get("deployment", "web")["spec"]["replicas"] == REPLICAS
    wait_for("the end of what Flagger made", lambda: not primaries(kubectl), 120)


def test_a_team_moves_from_flagger_under_load_and_no_request_fails(
    unlabelled: Kubectl, gateway: str, tmp_path: Path
) -> None:
    kubectl, host = unlabelled, f"{unlabelled.namespace}.example"
    prometheus = kubectl.within("monitoring").get("service", "prometheus")["spec"]["clusterIP"]
    target = web("headgate/demo:1.0", replicas=REPLICAS)
    (container,) = target["spec"]["template"]["spec"]["containers"]
    container["env"] = [{"name": "VERSION", "value": "one"}]
    stored = [template(f"http://{prometheus}:9090"), team_canary(host)]
    kubectl.apply(target, service(), *stored)
    with Traffic(gateway, host=host, rate=RATE) as traffic:
        with flagger(kubectl, tmp_path):
            wait_for("Flagger's promise", lambda: phase(kubectl) == "Initialized", 120)
            wait_for("answers", lambda: traffic.answers and traffic.answers[-1][1] == 200, 60)
            traffic.answers.clear()
            assert push(kubectl, "two") == "Succeeded", message(kubectl)
            assert "web-primary" in primaries(kubectl)
            leave_flagger(kubectl, host)
            at = after(traffic, 5)
            assert answered(traffic, at) == {(200, "two")}

        kubectl("label", "namespace", kubectl.namespace, "headgate.dev/canary=enabled")
        kubectl.apply(*stored)
        wait_for("the target is known", lambda: phase(kubectl) == "Initialized", 60)
        assert push(kubectl, "three") == "Succeeded", message(kubectl)
        at = after(traffic, 5)
        assert answered(traffic, at) == {(200, "three")}
        assert {status for _, status, _ in traffic.answers} == {200}

        assert push(kubectl, "four", errors="0.5") == "Failed", message(kubectl)
        at = after(traffic, 5)
        assert answered(traffic, at + 1) == {(200, "three")}
        wrong = {text.split()[-1] for _, status, text in traffic.answers if status != 200}
        assert wrong == {"four"}
        assert split_of(kubectl.get("httproute", "web-own")).get("web-canary", 0) == 0
