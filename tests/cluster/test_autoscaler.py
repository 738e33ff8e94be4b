"""The cluster's own autoscaler beside a run: what it sees is the load that the split leaves it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.cluster.autoscaled import Metrics, active, answered_by, autoscaler, metrics_api
from tests.cluster.judged import judged_canary
from tests.cluster.kit import (
    Kubectl,
    Traffic,
    WeightLog,
    message,
    phase,
    route,
    service,
    serving,
    split_of,
    wait_for,
    web,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400, func_only=True)]
GOOD, BETTER = "headgate/demo:1.0", "headgate/demo:1.1"
RATE = 25.0
PER_POD = 6.6
"""Requests per second that a pod is to have: four of them for all, two for half of it."""
KEPT_AT_MOST = 180
"""Seconds for which a refused candidate keeps a share at most."""


@dataclass(frozen=True)
class Team:
    """A team's namespace, whose Deployment the autoscaler scales by a metric."""

    kubectl: Kubectl
    metrics: Metrics
    traffic: Traffic

    def measure(self, load: "Load | None" = None) -> None:
        """Say what the autoscaler sees: a load that is set, else what the stable answers."""
        value = load.read if load else lambda: answered_by(self.traffic, "1.0")
        self.metrics.values[self.kubectl.namespace] = value

    def replicas(self) -> int:
        """Return the size that is asked for."""
        return int(self.kubectl.get("deployment", "web")["spec"]["replicas"])

    def has(self, pods: int) -> bool:
        """Tell whether the target has so many pods, all ready."""
        found = self.kubectl.get("deployment", "web")
        ready = found["status"].get("readyReplicas", 0)
        return bool(found["spec"]["replicas"] == ready == pods)

    def share(self) -> int:
        """Return the canary's weight."""
        return split_of(self.kubectl.get("httproute", "web")).get("web-canary", 0)

    def said(self, why: str) -> list[str]:
        """Return the events of the run with a reason."""
        which = f"reason={why},involvedObject.kind=Canary"
        found = self.kubectl.items("events", "--field-selector", which)
        return [str(event["message"]) for event in found]

    def push(self, image: str) -> None:
        """Release a version."""
        self.kubectl("set", "image", "deployment/web", f"web={image}")


@dataclass
class Load:
    """A load that the test sets."""

    value: float = field(default=0.0)

    def read(self) -> float:
        """Return it."""
        return self.value


@pytest.fixture
def team(namespace: Kubectl, gateway: str, host: str) -> Iterator[Team]:
    with (
        metrics_api(namespace) as metrics,
        Traffic(gateway, host=host, rate=RATE) as traffic,
    ):
        yield Team(namespace, metrics, traffic)


def start(team: Team, host: str, *, replicas: int, **canary: int | str) -> None:
    """Set up, and wait for answers and for the autoscaler."""
    steps = judged_canary(interval=str(canary["interval"]), weight=int(canary["weight"]))
    objects = (web(GOOD, replicas=replicas), service(), route(host), steps)
    team.kubectl.apply(*objects)
    team.kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    serving(team.traffic)
    time_of_first = team.traffic.now()
    wait_for("ten seconds of them", lambda: team.traffic.now() - time_of_first > 11, 30)
    team.kubectl.apply(autoscaler(PER_POD))
    wait_for("the autoscaler", lambda: active(team.kubectl)[0] == "True", 60)


@pytest.mark.slow
def test_an_autoscaler_that_shrank_the_stable_grows_it_again_before_it_has_all_of_the_traffic(
    team: Team, host: str
) -> None:
    team.measure()
    start(team, host, replicas=4, interval="10m", weight=50)
    team.push(BETTER)
    wait_for("weight 50", lambda: team.share() == 50, 90)
    # It sees half of the load.
    wait_for("two pods", lambda: team.has(2), 90)
    (noticed,) = wait_for("that it is seen", lambda: team.said("StableShrunk"), 30)
    assert "has 3 pods" in noticed or "has 2 pods" in noticed
    assert "and needs about" in noticed

    team.kubectl("annotate", "deployment/web", "headgate.dev/abort=now")
    wait_for("the verdict", lambda: phase(team.kubectl) == "Failed", 30)
    refused = time.monotonic()
    log = WeightLog(team.kubectl)
    log.look()
    assert 20 <= log.shares[0] < 50, "what two pods cannot take stays with the canary"
    assert "for 180 s at most, until the stable has about" in message(team.kubectl)

    def given_back() -> bool:
        log.look()
        return log.shares[-1] == 0

    wait_for("all of the traffic on the stable", given_back, KEPT_AT_MOST, every=0.1)
    assert time.monotonic() - refused < KEPT_AT_MOST - 20, "by its pods, and not by the clock"
    assert team.replicas() >= 4, "nobody but the autoscaler has written that"
    assert log.shares == sorted(log.shares, reverse=True), log.shares
    # The share goes before that is written down.
    wait_for("no word of a share", lambda: "keeps" not in message(team.kubectl), 20)
    wait_for("no canary", lambda: team.kubectl.find("deployment", "web-canary") is None, 90)
    assert set(team.traffic.statuses) == {200}


def test_an_autoscaler_goes_on_with_a_held_target_and_leaves_its_version(
    team: Team, host: str
) -> None:
    load = Load(2 * PER_POD)
    team.measure(load)
    start(team, host, replicas=2, interval="10m", weight=50)
    team.push(BETTER)
    wait_for("weight 50", lambda: team.share() == 50, 90)

    load.value = 4 * PER_POD
    wait_for("four pods", lambda: team.has(4), 60)
    wait_for("a canary that follows", lambda: _canary_size(team) == 2, 30)
    assert team.share() == 50

    # An autoscaler leaves what a person has made 0 alone; from 1 on it is its own again.
    team.kubectl("scale", "deployment/web", "--replicas=0")
    wait_for("no autoscaler", lambda: active(team.kubectl) == ("False", "ScalingDisabled"), 60)
    wait_for("no pods", lambda: not _images(team), 60)
    wait_for("no canary", lambda: team.kubectl.find("deployment", "web-canary") is None, 60)
    assert team.said("ScaledToZero")
    team.kubectl("scale", "deployment/web", "--replicas=1")
    wait_for("four pods", lambda: team.has(4), 90)
    assert _images(team) == {GOOD}
    wait_for("the run again", lambda: team.share() == 50, 90)
    assert _images(team) == {GOOD}

    team.kubectl("annotate", "deployment/web", "headgate.dev/promote=now")
    load.value = 3 * PER_POD
    wait_for("the promotion", lambda: phase(team.kubectl) == "Succeeded", 120)
    wait_for("three pods", lambda: team.has(3), 60)
    assert _images(team) == {BETTER}


def _canary_size(team: Team) -> int:
    found = team.kubectl.find("deployment", "web-canary")
    return int(found["spec"]["replicas"]) if found else 0


def _images(team: Team) -> set[str]:
    pods = team.kubectl.items("pods", "-l", "app=web")
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return {pod["spec"]["containers"][0]["image"] for pod in alive}
