"""A Canary that its team edits in the middle of a run, with kubectl and an installed Headgate."""

import json
from typing import Any

import pytest

from tests.cluster.kit import (
    Kubectl,
    begun,
    canary,
    message,
    message_with,
    metric_template,
    phase,
    route,
    service,
    wait_for,
    web,
)

pytestmark = pytest.mark.cluster
GOOD, BETTER = "headgate/demo:1.0", "headgate/demo:1.1"


def deployed(kubectl: Kubectl, host: str, **analysis: Any) -> None:
    where = kubectl.namespace
    team_s = canary(where, **analysis)
    kubectl.apply(web(GOOD), service(), route(host), metric_template(where), team_s)
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)


def under_way(kubectl: Kubectl, image: str) -> None:
    kubectl("set", "image", "deployment/web", f"web={image}")
    begun(kubectl, deadline=60)
    wait_for("its canary", lambda: has_canary(kubectl), 60)


def edit(kubectl: Kubectl, **spec: Any) -> None:
    kubectl("patch", "canary", "web", "--type=merge", "-p", json.dumps({"spec": spec}))


def has_canary(kubectl: Kubectl) -> bool:
    return kubectl.find("deployment", "web-canary") is not None


def test_what_a_refusal_owes_is_done_while_its_canary_is_suspended(
    namespace: Kubectl, host: str
) -> None:
    deployed(namespace, host)
    under_way(namespace, BETTER)
    namespace("annotate", "deployment/web", "headgate.dev/abort=now")
    wait_for("the verdict", lambda: phase(namespace) == "Failed", 30)
    edit(namespace, suspend=True)
    wait_for("no canary", lambda: not has_canary(namespace), 60)
    assert namespace.get("canary", "web")["spec"]["suspend"] is True
    assert "aborted by" in message(namespace)


def test_a_canary_that_names_another_target_for_a_while_follows_its_own_again(
    namespace: Kubectl, host: str
) -> None:
    deployed(namespace, host)
    under_way(namespace, BETTER)
    edit(namespace, targetRef={"name": "wbe"})
    message_with(namespace, "there is no Deployment", deadline=60)
    edit(namespace, targetRef={"name": "web"})
    wait_for("its run", lambda: phase(namespace) == "Progressing", 60)
    assert "there is no Deployment" not in message(namespace)
    namespace("annotate", "deployment/web", "headgate.dev/promote=now")
    wait_for("the promotion", lambda: phase(namespace) == "Succeeded", 120)
    wait_for("no canary", lambda: not has_canary(namespace), 60)
    backends = namespace.get("httproute", "web")["spec"]["rules"][0]["backendRefs"]
    assert [it["name"] for it in backends] == ["web"]
