"""Gates of a real run: one is opened by its hook, the other by a person's annotation."""

import pytest

from tests.cluster.judged import judged_canary
from tests.cluster.kit import (
    Json,
    Kubectl,
    message,
    message_with,
    phase,
    route,
    service,
    split_of,
    wait_for,
    web,
)

pytestmark = pytest.mark.cluster
GOOD, BETTER = "headgate/demo:1.0", "headgate/demo:1.1"


def gated(kubectl: Kubectl) -> Json:
    """Return a Canary with two gates: one answers once it has a pod, the other is not there."""
    there, nowhere = (f"http://{name}.{kubectl.namespace}/healthz" for name in ("gate", "closed"))
    made = judged_canary(interval="10s")
    made["spec"]["analysis"] |= {
        "metrics": [],
        "webhooks": [
            {"name": "start", "type": "confirm-rollout", "url": there, "timeout": "2s"},
            {"name": "release", "type": "confirm-promotion", "url": nowhere},
        ],
    }
    return made


def share(kubectl: Kubectl) -> int:
    return split_of(kubectl.get("httproute", "web")).get("web-canary", 0)


def said(kubectl: Kubectl, reason: str) -> list[str]:
    return [one["message"] for one in kubectl.items("events") if one["reason"] == reason]


def test_a_gate_is_opened_by_its_hook_and_by_a_person(namespace: Kubectl, host: str) -> None:
    gate = web(GOOD, replicas=0, name="gate")
    namespace.apply(web(GOOD), service(), route(host), gate, service("gate"), gated(namespace))
    namespace("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    wait_for("initialized", lambda: phase(namespace) == "Initialized", 30)

    namespace("set", "image", "deployment/web", f"web={BETTER}")
    wait_for("the first gate", lambda: phase(namespace) == "Waiting", 60)
    assert namespace.find("deployment", "web-canary") is None
    assert "headgate.dev/approve=start" in message(namespace)

    namespace("scale", "deployment/gate", "--replicas=1")
    wait_for("the second gate", lambda: phase(namespace) == "WaitingPromotion", 180)
    # A name that nobody knows may take longer to be told than the wait itself.
    message_with(namespace, "cannot be asked", deadline=60)
    status = namespace.get("canary", "web")["status"]
    assert status["canaryWeight"] == share(namespace) > 0
    assert "Confirm-rollout check start passed" in said(namespace, "GatePassed")

    namespace("annotate", "deployment/web", "headgate.dev/approve=release")
    wait_for("promoted", lambda: phase(namespace) == "Succeeded", 120)
    approved = said(namespace, "Approved")
    assert approved, said(namespace, "WaitingForApproval")
    assert all("release approved by " in text for text in approved)
    notes = namespace.get("deployment", "web")["metadata"].get("annotations") or {}
    assert "headgate.dev/approve" not in notes
