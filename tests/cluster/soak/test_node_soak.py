"""What hits many runs at once, whatever it is to each: nobody is refused for it.

This disturbs everybody: an incident holds all runs of the cluster, and for one of them the kubelet
of the sandbox is stopped, and goes on where it was.
"""

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandbox import paths, processes
from sandbox.network import NODE_NAME
from tests.cluster.conftest import enabled_namespace
from tests.cluster.kit import Json, Kubectl, canary, route, service, split_of, wait_for, web

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
GOOD, BETTER = "headgate/demo:1.0", "headgate/demo:1.1"
NAMES = tuple(f"web-{number}" for number in range(5))
SHARED = "shared"
GRACE = 120
"""Seconds: a node is given 50 without a heartbeat, and looked at every 5."""


@pytest.fixture
def team(exclusive: Kubectl) -> Iterator[Kubectl]:
    with enabled_namespace(exclusive, f"prod-{uuid.uuid4().hex[:6]}") as kubectl:
        yield kubectl


@contextmanager
def stopped_kubelet() -> Iterator[None]:
    """Stop the sandbox's kubelet as a machine does that is starved; let it go on afterwards."""
    kubelet = processes.load(paths.PIDS / "kubelet.json")
    if kubelet is None or not kubelet.alive():
        pytest.skip("the node is not of this machine's sandbox")
    # Should this process be killed meanwhile, the kubelet goes on all the same.
    later = f"sleep {2 * GRACE}; kill -CONT {kubelet.pid}"
    rescue = subprocess.Popen(["/bin/sh", "-c", later], start_new_session=True)  # noqa: S603
    os.kill(kubelet.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        if kubelet.alive():
            os.kill(kubelet.pid, signal.SIGCONT)
        os.killpg(rescue.pid, signal.SIGTERM)
        rescue.wait(timeout=10)


def test_runs_wait_for_a_node_that_is_not_heard_of_and_all_end_promoted(team: Kubectl) -> None:
    _under_way(team, [obj for name in NAMES for obj in _app(name, team.namespace)])
    with stopped_kubelet():
        wait_for("a node that is not ready", lambda: not _node_is_ready(team), GRACE)
        wait_for("no shares", lambda: not any(_share(team, name) for name in NAMES), 30)
        wait_for("an incident", lambda: all(_waits(team, name) for name in NAMES), 30)
        assert "is not ready or not heard of" in _message(team, NAMES[0])
    wait_for("the node", lambda: _node_is_ready(team), 60)

    _all_promoted(team)


def test_runs_wait_for_what_all_their_probes_depend_on_and_all_end_promoted(team: Kubectl) -> None:
    team.apply(web(GOOD, replicas=1, name=SHARED), service(SHARED))
    address = str(team.get("service", SHARED)["spec"]["clusterIP"])
    apps = [obj for name in NAMES for obj in _app(name, team.namespace, depends_on=address)]
    _under_way(team, apps)

    team("scale", f"deployment/{SHARED}", "--replicas=0")
    wait_for("no shares", lambda: not any(_share(team, name) for name in NAMES), 60)
    # Longer than the verdict on one run would have taken.
    wait_for("an incident", lambda: all(_waits(team, name) for name in NAMES), 30)
    team("scale", f"deployment/{SHARED}", "--replicas=1")
    _all_promoted(team)


def _waits(kubectl: Kubectl, name: str) -> bool:
    assert _phase(kubectl, name) == "Progressing"
    return "as in many runs at once, an incident of the cluster" in _message(kubectl, name)


def _under_way(team: Kubectl, objects: list[Json]) -> None:
    """Bring a run of each app to its first share."""
    team.apply(*objects)
    for name in NAMES:
        team("rollout", "status", f"deployment/{name}", "--timeout=120s", deadline=130)
    for name in NAMES:
        team("set", "image", f"deployment/{name}", f"{name}={BETTER}")
    wait_for("shares", lambda: all(_share(team, name) for name in NAMES), 120)


def _all_promoted(team: Kubectl) -> None:
    """Wait for the end of all runs, and look at what was said of the incident."""
    wait_for("the end of all runs", lambda: all(_has_ended(team, name) for name in NAMES), 400)
    assert {name: _phase(team, name) for name in NAMES} == dict.fromkeys(NAMES, "Succeeded")
    for name in NAMES:
        marks = team.get("deployment", name)["metadata"]["annotations"]
        assert "headgate.dev/refused" not in marks
    said = team.items("events", "--field-selector", "reason=ClusterIncident")
    about = {event["involvedObject"]["name"] for event in said}
    assert about == set(NAMES), [event["message"] for event in said]
    assert any("5 of 5 runs lost pods within a minute" in event["message"] for event in said)


def _app(name: str, namespace: str, *, depends_on: str = "") -> list[Json]:
    """Return an app whose steps are by health alone.

    Its pods are ready if they, or what answers at the address that they depend on, are well.
    """
    target = web(GOOD, replicas=1, name=name)
    container = target["spec"]["template"]["spec"]["containers"][0]
    container["name"] = name
    if depends_on:
        container["readinessProbe"] |= {
            "httpGet": {"host": depends_on, "path": "/healthz", "port": 80}
        }
    steps = canary(namespace, interval="40s", maxWeight=50, stepWeight=25, metrics=[], webhooks=[])
    steps["metadata"]["name"] = name
    steps["spec"]["targetRef"]["name"] = name
    return [target, service(name), route(f"{name}.{namespace}.example", name), steps]


def _node_is_ready(kubectl: Kubectl) -> bool:
    conditions = kubectl.get("node", NODE_NAME)["status"]["conditions"]
    return any((it["type"], it["status"]) == ("Ready", "True") for it in conditions)


def _share(kubectl: Kubectl, name: str) -> int:
    return split_of(kubectl.get("httproute", name)).get(f"{name}-canary", 0)


def _phase(kubectl: Kubectl, name: str) -> str:
    return str(kubectl.get("canary", name).get("status", {}).get("phase", ""))


def _message(kubectl: Kubectl, name: str) -> str:
    return str(kubectl.get("canary", name)["status"]["conditions"][0]["message"])


def _has_ended(kubectl: Kubectl, name: str) -> bool:
    return _phase(kubectl, name) in {"Succeeded", "Failed"}
