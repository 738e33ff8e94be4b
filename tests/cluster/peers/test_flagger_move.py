"""A team moves from a real Flagger to Headgate under load, by the steps of docs/flagger.md."""

from pathlib import Path
from typing import Final

import pytest

from tests.cluster.flagger_kit import flagger, for_flagger, success_template
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

# Flagger is built with the first test.
pytestmark = [pytest.mark.peer, pytest.mark.timeout(1800)]
RATE: Final = 20.0
MOST: Final = 240.0
REPLICAS: Final = 2


def team_canary(host: str) -> Json:
    """Return a Canary as a team has it for Flagger on a Gateway, which Headgate takes as it is."""
    plain = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "web"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "progressDeadlineSeconds": 60,
            "service": {"port": 80, "targetPort": 8080},
            "analysis": {"interval": "10s", "threshold": 2, "stepWeights": [50]},
        },
    }
    return for_flagger(plain, host)


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


def leave_flagger(kubectl: Kubectl, host: str, traffic: Traffic) -> dict[str, float]:
    """Take steps 3 to 5, when Flagger has been stopped; return when each was begun."""
    steps = {"scaled": traffic.now()}
    kubectl("scale", "deployment/web", f"--replicas={REPLICAS}")
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    steps["the Service given back"] = traffic.now()
    kubectl.apply(service())
    assert kubectl.get("service", "web")["spec"]["selector"] == {"app": "web"}
    steps["the route given back"] = after(traffic, 3)
    kubectl.apply(route(host))
    for kind in ("httproute", "service"):
        kubectl("patch", kind, "web", "--type=merge", '-p={"metadata":{"ownerReferences":null}}')
    assert split_of(kubectl.get("httproute", "web")) == {"web": 1}
    # What the gateway has not taken yet leads to what goes now.
    steps["the Canary deleted"] = after(traffic, 5) + 5
    kubectl("delete", "canary", "web", "--timeout=120s", deadline=130)
    wait_for("the end of what Flagger made", lambda: not primaries(kubectl), 120)
    return steps


def test_a_team_moves_from_flagger_under_load_and_no_request_fails(
    unlabelled: Kubectl, gateway: str, tmp_path: Path
) -> None:
    kubectl, host = unlabelled, f"{unlabelled.namespace}.example"
    target = web("headgate/demo:1.0", replicas=REPLICAS)
    (container,) = target["spec"]["template"]["spec"]["containers"]
    container["env"] = [{"name": "VERSION", "value": "one"}]
    stored = [success_template(kubectl), team_canary(host)]
    kubectl.apply(target, service(), *stored)
    with Traffic(gateway, host=host, rate=RATE) as traffic:
        with flagger(kubectl, tmp_path):
            wait_for("Flagger's promise", lambda: phase(kubectl) == "Initialized", 120)
            wait_for("answers", lambda: traffic.answers and traffic.answers[-1][1] == 200, 60)
            traffic.answers.clear()
            assert push(kubectl, "two") == "Succeeded", message(kubectl)
            assert "web-primary" in primaries(kubectl)
        steps = leave_flagger(kubectl, host, traffic)
        at = steps["left"] = after(traffic, 5)
        assert answered(traffic, at) == {(200, "two")}

        kubectl("label", "namespace", kubectl.namespace, "headgate.dev/canary=enabled")
        kubectl.apply(*stored)
        wait_for("the target is known", lambda: phase(kubectl) == "Initialized", 60)
        steps["released by Headgate"] = traffic.now()
        assert push(kubectl, "three") == "Succeeded", message(kubectl)
        at = after(traffic, 5)
        assert answered(traffic, at) == {(200, "three")}
        failed = [(round(sent, 1), status) for sent, status, _ in traffic.answers if status != 200]
        assert failed == [], steps

        assert push(kubectl, "four", errors="0.5") == "Failed", message(kubectl)
        at = after(traffic, 5)
        assert answered(traffic, at + 1) == {(200, "three")}
        wrong = {text.split()[-1] for _, status, text in traffic.answers if status != 200}
        assert wrong == {"four"}
        assert split_of(kubectl.get("httproute", "web")).get("web-canary", 0) == 0
