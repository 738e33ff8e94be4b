"""What a real API server denies, and what comes and goes by itself: said, and then over."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from canary.contract import MANAGED_BY_LABEL, REFUSED, SYSTEM_NAMESPACE
from tests.cluster.kit import (
    Json,
    Kubectl,
    canary,
    message,
    phase,
    route,
    service,
    split_of,
    wait_for,
    web,
)

pytestmark = pytest.mark.cluster
GOOD, BETTER = "headgate/demo:1.0", "headgate/demo:1.1"
AT_ONCE = 15
"""Seconds within which a script that polls reads what the API server denies."""
DEADLINE = 15
"""Seconds that a run of these tests may take to its first weight."""
ENDED = {"Succeeded", "Failed"}
LABELS = {MANAGED_BY_LABEL: "payments"}


def quick(kubectl: Kubectl, deadline: int = 600) -> Json:
    """Return a Canary of one step that is judged by its pods alone."""
    obj = canary(kubectl.namespace, stepWeight=50, maxWeight=50, metrics=[], webhooks=[])
    obj["spec"]["progressDeadlineSeconds"] = deadline
    return obj


def deploy(kubectl: Kubectl, host: str, deadline: int = 600) -> None:
    target = web(GOOD, replicas=1)
    target["metadata"]["labels"] = LABELS
    kubectl.apply(target, service(), route(host), quick(kubectl, deadline))
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    wait_for("the target is known", lambda: phase(kubectl) == "Initialized", 30)


def push(kubectl: Kubectl, image: str = BETTER) -> None:
    kubectl("set", "image", "deployment/web", f"web={image}")


def reason(kubectl: Kubectl) -> str:
    return str(kubectl.get("canary", "web")["status"]["conditions"][0]["reason"])


def said(kubectl: Kubectl, why: str) -> list[str]:
    """Return the messages of a reason's events on the target."""
    of_target = f"reason={why},involvedObject.kind=Deployment"
    return [one["message"] for one in kubectl.items("events", "--field-selector", of_target)]


def promoted(kubectl: Kubectl) -> None:
    wait_for("the run's end", lambda: phase(kubectl) in ENDED, 200)
    assert phase(kubectl) == "Succeeded", message(kubectl)


@contextmanager
def own_label_only(admin: Kubectl, namespace: str) -> Iterator[None]:
    """Deny Deployments whose label is not the team's own: a canary cannot carry that one."""
    name, version = f"own-label-{namespace}", "admissionregistration.k8s.io/v1"
    kind = "ValidatingAdmissionPolicy"
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}
    labels, key = "object.metadata.labels", f"'{MANAGED_BY_LABEL}'"
    expression = f"has({labels}) && {key} in {labels} && {labels}[{key}] == 'payments'"
    where = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    admin.apply(
        {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{**rule, "operations": ["CREATE"]}]},
                "validations": [{"expression": expression, "message": "not of team payments"}],
            },
        },
        {
            "apiVersion": version,
            "kind": f"{kind}Binding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": where},
            },
        },
    )
    try:
        yield
    finally:
        admin("delete", f"{kind}Binding,{kind}".lower(), name)


def denies(kubectl: Kubectl) -> bool:
    """Tell whether the policy is in force: the API server takes a moment."""
    probe = ("create", "deployment", "probe", "--image=probe", "--dry-run=server")
    return kubectl.run(*probe).returncode != 0


def test_what_a_policy_denies_is_said_and_the_run_goes_on_once_it_is_gone(
    together: Kubectl, namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host)
    with own_label_only(together, namespace.namespace):
        wait_for("the policy", lambda: denies(namespace), 60)
        push(namespace)
        wait_for("the condition", lambda: reason(namespace) == "WriteDenied", AT_ONCE)
        assert "not of team payments" in message(namespace)
        (text,) = wait_for("the event", lambda: said(namespace, "WriteDenied"), AT_ONCE)
        assert "not of team payments" in text
        assert phase(namespace) == "Progressing"
    wait_for("no denial", lambda: not denies(namespace), 60)
    promoted(namespace)
    assert len(said(namespace, "WriteDenied")) == 1


def test_a_quota_that_denies_the_pods_is_said_and_the_run_is_tried_again(
    namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host, DEADLINE)
    running = len(namespace.items("pods"))
    namespace("create", "quota", "full", f"--hard=pods={running}")
    wait_for("the quota", lambda: namespace.get("quota", "full").get("status", {}).get("used"), 20)
    push(namespace)
    wait_for("the reason", lambda: reason(namespace) == "PodsDenied", AT_ONCE)
    assert "exceeded quota: full" in message(namespace)
    assert "exceeded quota: full" in said(namespace, "PodsDenied")[0]
    wait_for("the deadline", lambda: phase(namespace) == "Failed", DEADLINE + 45)
    assert reason(namespace) == "ProgressDeadlineExceeded"
    assert "exceeded quota: full" in message(namespace)
    assert REFUSED not in namespace.get("deployment", "web")["metadata"]["annotations"]
    assert namespace.run("rollout", "status", "deployment/web", "--timeout=10s").returncode == 1
    namespace("delete", "quota", "full")
    wait_for("the next try", lambda: phase(namespace) == "Progressing", 90)
    promoted(namespace)


def test_deleted_and_applied_again_in_mid_run_a_target_went_past_nobody(
    namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host)
    push(namespace)
    wait_for("weight 50", lambda: share(namespace) == 50, 60)
    target = web(BETTER, replicas=1)
    target["metadata"]["labels"] = LABELS
    namespace("delete", "deployment", "web")
    namespace.apply(target)
    namespace("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    wait_for("rest", lambda: phase(namespace) == "Initialized" and share(namespace) == 0, 60)
    wait_for("no canary", lambda: namespace.find("deployment", "web-canary") is None, 60)
    assert said(namespace, "UngatedUpdate") == []
    push(namespace, GOOD)
    promoted(namespace)


def share(kubectl: Kubectl) -> int:
    return split_of(kubectl.get("httproute", "web")).get("web-canary", 0)


def test_a_namespace_that_is_deleted_in_mid_run_makes_no_noise(
    together: Kubectl, namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host)
    push(namespace)
    wait_for("weight 50", lambda: share(namespace) == 50, 60)
    together("delete", "namespace", namespace.namespace, deadline=400)
    assert noise(together, namespace.namespace) == []
    together("create", "namespace", namespace.namespace)  # the fixture deletes it


def noise(kubectl: Kubectl, namespace: str) -> list[Json]:
    """Return what the analyzers have logged of a namespace beyond what they did."""
    system = kubectl.within(SYSTEM_NAMESPACE)
    analyzers = [
        pod["metadata"]["name"]
        for pod in system.items("pods")
        if pod["metadata"]["name"].startswith("headgate-analyzer")
    ]
    lines = [line for pod in analyzers for line in system("logs", pod).splitlines()]
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    mine = [entry for entry in entries if entry.get("namespace") == namespace]
    assert mine, "the run was logged"
    return [entry for entry in mine if entry.get("level") in {"warning", "error", "critical"}]
