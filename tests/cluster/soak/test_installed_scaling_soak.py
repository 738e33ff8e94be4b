"""The same with kubectl, the cluster's autoscaler, and the installed analyzer killed in between.

`SCALING_CYCLES` and `SCALING_SEED` say how often, and at which moments.
"""

import os
import random
import time
import uuid
from collections.abc import Iterator

import pytest

from tests.cluster.autoscaled import autoscaler, metrics_api
from tests.cluster.conftest import enabled_namespace
from tests.cluster.kit import Kubectl, canary, phase, route, service, wait_for, watching, web

CYCLES = int(os.environ.get("SCALING_CYCLES", "50"))
SEED = int(os.environ.get("SCALING_SEED", "1"))
pytestmark = [pytest.mark.soak, pytest.mark.timeout(300 + 40 * CYCLES)]

STABLE, REFUSED, OTHERS = "1.0", "1.1", ("1.1", "bad", "slow")
PODS = ("get", "pods", "-l", "app=web", "-w", "--no-headers", "-o")
IMAGES = "custom-columns=IMAGE:.spec.containers[0].image"
PER_POD = 10.0
HOLD = "headgate.dev/hold"


@pytest.fixture
def team(exclusive: Kubectl) -> Iterator[Kubectl]:
    with enabled_namespace(exclusive, f"prod-{uuid.uuid4().hex[:6]}") as kubectl:
        yield kubectl


def test_with_kubectl_an_autoscaler_and_the_installed_analyzer_killed_in_between(
    team: Kubectl,
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - the moments are to be found again
    host, load = f"{team.namespace}.example", [2 * PER_POD]
    target = web(_image(STABLE), replicas=2)
    target["spec"]["minReadySeconds"] = 3
    steps = canary(team.namespace, interval="60m", metrics=[], webhooks=[])
    team.apply(target, service(), route(host), steps)
    team("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    _serves_again_after_another(team)
    _half_way_undone(team)
    with metrics_api(team) as metrics:
        metrics.values[team.namespace] = lambda: load[0]
        team.apply(autoscaler(PER_POD, most=3))
        wait_for("no pod that goes", lambda: _gone(team) == 0, 90)
        with watching(team, *PODS, IMAGES) as lines:
            wait_for("the watch", lambda: lines, 30)
            for cycle in range(CYCLES):
                load[0] = PER_POD * chance.randint(1, 3)
                _cycle(team, chance)
                seen = {line.strip() for line in lines}
                assert seen == {_image(STABLE)}, f"seed {SEED}, cycle {cycle}"
            wait_for("pods", lambda: _ready(team), 90)
            assert {line.strip() for line in lines} == {_image(STABLE)}, f"seed {SEED}"


def _cycle(team: Kubectl, chance: random.Random) -> None:
    """Push, kill the analyzer, scale to 0 and up again: each or not, at random moments."""
    if chance.random() < 0.5:
        _push(team, chance.choice(OTHERS))
        _taken_up(team)
    time.sleep(chance.uniform(0, 1.5))
    team("scale", "deployment/web", "--replicas=0")
    if chance.random() < 0.2:
        _kill_the_analyzer(team)
    time.sleep(chance.uniform(0, 3))
    team("scale", "deployment/web", f"--replicas={chance.randint(1, 3)}")
    time.sleep(chance.uniform(0, 3))
    if chance.random() < 0.5:
        wait_for("pods", lambda: _ready(team), 90)


def _kill_the_analyzer(team: Kubectl) -> None:
    """Kill the active one; the other takes over when its Lease has ended."""
    system = team.within("headgate-system")
    holder = str(system.get("lease", "headgate-analyzer")["spec"]["holderIdentity"])
    name = holder.partition("_")[0]
    system("delete", "pod", name, "--grace-period=1", "--wait=false", "--ignore-not-found")


def _image(version: str) -> str:
    return f"headgate/demo:{version}"


def _push(team: Kubectl, version: str) -> None:
    team("set", "image", "deployment/web", f"web={_image(version)}")


def _taken_up(team: Kubectl) -> None:
    """Wait until a hold has been taken up, as a person does who reads what kubectl says."""

    def is_so() -> bool:
        hold = team.get("deployment", "web")["metadata"]["annotations"].get(HOLD, "")
        status = team.get("canary", "web").get("status", {})
        known = status.get("lastAppliedSpec") == hold
        return known and status.get("phase") in {"Progressing", "Failed"}

    wait_for("the hold", is_so, 60)


def _serves_again_after_another(team: Kubectl) -> None:
    """Have 1.1 serve, then 1.0 again: its ReplicaSet is now the older one."""
    for version in (REFUSED, STABLE):
        _push(team, version)
        _taken_up(team)
        team("annotate", "deployment/web", "headgate.dev/promote=now")
        wait_for("the promotion", lambda: phase(team) == "Succeeded", 120)


def _half_way_undone(team: Kubectl) -> None:
    _push(team, REFUSED)
    _taken_up(team)
    team("annotate", "deployment/web", "headgate.dev/promote=now")
    wait_for("pods of both", lambda: len(_versions(team)) == 2, 60)
    team("annotate", "deployment/web", "headgate.dev/abort=now")
    wait_for("the verdict", lambda: phase(team) == "Failed", 30)
    wait_for("the old pods", lambda: _versions(team) == {_image(STABLE)}, 90)


def _gone(team: Kubectl) -> int:
    """Return how many pods are on their way out."""
    pods = team.items("pods", "-l", "app=web")
    return sum("deletionTimestamp" in pod["metadata"] for pod in pods)


def _versions(team: Kubectl) -> set[str]:
    pods = team.items("pods", "-l", "app=web")
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return {str(pod["spec"]["containers"][0]["image"]) for pod in alive}


def _ready(team: Kubectl) -> bool:
    found = team.get("deployment", "web")
    replicas = found["spec"]["replicas"]
    return bool(replicas and found["status"].get("readyReplicas", 0) == replicas)
