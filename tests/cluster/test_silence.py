"""Who is silent holds nothing up: hooks and metrics servers that take a call and never answer."""

import urllib.error
import urllib.request
import uuid
from typing import Any

import pytest

from tests.cluster.conftest import enabled_namespace
from tests.cluster.kit import (
    Json,
    Kubectl,
    Traffic,
    canary,
    message,
    metric_template,
    phase,
    route,
    service,
    serving,
    split_of,
    wait_for,
    web,
)
from tests.cluster.test_main_job import (
    BAD,
    BETTER,
    GOOD,
    back_as_written,
    events,
    kill_analyzers,
    no_headgate_failures,
    set_image,
)

pytestmark = pytest.mark.cluster
NEVER = 600_000
"""Milliseconds: no test waits for this answer."""
AT_ONCE = 5.0
"""Seconds: a second of the analyzer's, and the rest for kubectl on a busy machine."""


def receiver(name: str, answers_after_ms: int) -> tuple[Json, Json]:
    """Return a server that takes every request and answers late, with its Service."""
    deployment = web(GOOD, replicas=1, name=name)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "LATENCY_MS", "value": str(answers_after_ms)}]
    return deployment, service(name)


def hook(kind: str, namespace: str, timeout: str) -> Json:
    return {
        "name": f"late-{kind}",
        "type": kind,
        "url": f"http://late.{namespace}/",
        "timeout": timeout,
    }


def deploy(kubectl: Kubectl, host: str, late: int, template: Json, **analysis: Any) -> Json:
    """Set the team's objects and the late server up; return the route as the team wrote it."""
    objects = [web(GOOD), service(), route(host), template]
    kubectl.apply(*objects, *receiver("late", late), canary(kubectl.namespace, **analysis))
    for name in ("web", "late"):
        kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s", deadline=130)
    # A pod is ready before the node's rules lead to it.
    wait_for("the late server's address", lambda: leads_to_late(kubectl), 30)
    return kubectl.get("httproute", "web")


def canary_weight(kubectl: Kubectl) -> int:
    return split_of(kubectl.get("httproute", "web")).get("web-canary", 0)


def leads_to_late(kubectl: Kubectl) -> bool:
    try:
        calls(kubectl)
    except urllib.error.URLError:
        return False
    return True


def calls(kubectl: Kubectl) -> int:
    """Return how many requests the late server has answered."""
    address = kubectl.get("service", "late")["spec"]["clusterIP"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("http_requests_total"))


def test_a_silent_hook_holds_no_refusal_up(namespace: Kubectl, host: str, traffic: Traffic) -> None:
    silent = hook("rollout", namespace.namespace, "5m")
    template = metric_template(namespace.namespace)
    written = deploy(namespace, host, NEVER, template, webhooks=[silent])
    serving(traffic)
    set_image(namespace, BAD)
    wait_for("canary traffic", lambda: canary_weight(namespace), 90)
    wait_for("a verdict", lambda: phase(namespace) == "Failed", 120)
    assert "error-rate" in message(namespace)
    wait_for("no canary", lambda: namespace.find("deployment", "web-canary") is None, 60)
    back_as_written(namespace, written)
    no_headgate_failures(traffic, errors_allowed=True)


def _silent_hook(namespace: str) -> tuple[Json, dict[str, Any]]:
    return metric_template(namespace), {"webhooks": [hook("rollout", namespace, "60m")]}


def _silent_metrics_server(namespace: str) -> tuple[Json, dict[str, Any]]:
    template = metric_template(namespace)
    template["spec"]["provider"]["address"] = f"http://late.{namespace}"
    return template, {"webhooks": []}


@pytest.mark.parametrize("silent", [_silent_hook, _silent_metrics_server])
def test_people_are_obeyed_at_once_while_something_is_silent(
    namespace: Kubectl, host: str, traffic: Traffic, silent: Any
) -> None:
    template, analysis = silent(namespace.namespace)
    written = deploy(namespace, host, NEVER, template, **analysis)
    serving(traffic)
    set_image(namespace, BETTER)
    wait_for("canary traffic", lambda: canary_weight(namespace), 90)

    namespace("annotate", "deployment/web", "headgate.dev/pause=now")
    wait_for("the pause in status", lambda: "paused" in message(namespace), AT_ONCE)

    namespace("set", "env", "deployment/web", "VERSION=third")
    wait_for("a new run", lambda: said(namespace), AT_ONCE)
    wait_for("weight 0", lambda: not canary_weight(namespace), AT_ONCE)
    wait_for("canary traffic again", lambda: canary_weight(namespace), 90)

    namespace("annotate", "deployment/web", "headgate.dev/abort=now")
    wait_for("weight 0", lambda: not canary_weight(namespace), AT_ONCE)
    wait_for("the verdict", lambda: phase(namespace) == "Failed", AT_ONCE)
    wait_for("no canary", lambda: namespace.find("deployment", "web-canary") is None, 60)
    back_as_written(namespace, written)

    namespace("set", "env", "deployment/web", "VERSION=fourth")
    wait_for("canary traffic", lambda: canary_weight(namespace), 90)
    namespace("annotate", "deployment/web", "headgate.dev/promote=now")
    wait_for("the promotion", lambda: phase(namespace) in {"Promoting", "Finalising"}, AT_ONCE)
    wait_for("the end", lambda: phase(namespace) == "Succeeded", 120)
    no_headgate_failures(traffic)


def said(kubectl: Kubectl) -> list[str]:
    return [text for text in events(kubectl) if "Restarting analysis" in text]


def test_a_hook_may_answer_late_and_is_not_called_again(
    namespace: Kubectl, host: str, traffic: Traffic
) -> None:
    late = hook("pre-rollout", namespace.namespace, "2m")
    template = metric_template(namespace.namespace)
    # Later than the interval, and than what one reconcile may take.
    deploy(namespace, host, 25_000, template, webhooks=[late])
    serving(traffic)
    before = calls(namespace)
    set_image(namespace, BETTER)
    wait_for("canary traffic", lambda: canary_weight(namespace), 90)
    assert calls(namespace) - before == 1
    namespace("annotate", "deployment/web", "headgate.dev/abort=now")
    wait_for("the verdict", lambda: phase(namespace) == "Failed", AT_ONCE)


def test_a_hook_is_repeated_once_at_most_after_a_death(exclusive: Kubectl, gateway: str) -> None:
    name = f"prod-{uuid.uuid4().hex[:6]}"
    host = f"{name}.example"
    with enabled_namespace(exclusive, name) as team, Traffic(gateway, host=host) as traffic:
        late = hook("pre-rollout", name, "2m")
        deploy(team, host, 20_000, metric_template(name), webhooks=[late])
        serving(traffic)
        before = calls(team)
        set_image(team, BETTER)
        wait_for("the canary", lambda: team.find("deployment", "web-canary"), 60)
        wait_for("the question", lambda: "late-pre-rollout" in message(team), 60)
        kill_analyzers(exclusive)
        wait_for("canary traffic", lambda: canary_weight(team), 120)
        assert calls(team) - before <= 2
        no_headgate_failures(traffic)
    system = exclusive.within("headgate-system")
    system("rollout", "status", "deployment/headgate-analyzer", "--timeout=120s", deadline=130)
