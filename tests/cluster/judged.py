"""Releases with known faults, judged on a real cluster: what they take, and what they cost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.cluster.kit import (
    ENDED,
    Kubectl,
    Traffic,
    begun,
    message,
    phase,
    route,
    service,
    serving,
    split_of,
    wait_for,
    web,
)

STABLE = "headgate/demo:1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a version does wrong, as the demo app's environment."""

    name: str
    errors: float = 0.0
    latency_ms: int = 0

    def environment(self, version: str) -> list[str]:
        """Return the settings for `kubectl set env`."""
        return [
            f"VERSION={version}",
            f"ERROR_SHARE={self.errors or ''}",
            f"LATENCY_MS={self.latency_ms or ''}",
        ]


HEALTHY = Fault(name="healthy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a release ended.

    `seconds` is from the canary's first answer to the last one before weight 0, `failed` how many
    answers of the canary were bad, `slow` how many took longer than the limit.
    """

    phase: str
    message: str
    seconds: float
    answers: int
    failed: int
    lost: int

    def __str__(self) -> str:
        """Write a line for a report."""
        return (
            f"{self.phase} after {self.seconds:.1f} s of canary traffic, "
            f"{self.failed} of its {self.answers} answers failed, {self.lost} requests lost"
        )


def judged_canary(*, interval: str = "60s", weight: int = 50, **notes: str) -> dict[str, Any]:
    """Return a Canary whose only step is long, so that layer 1 has nothing to say in time."""
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {
            "name": "web",
            "annotations": {f"headgate.dev/{k.replace('_', '-')}": v for k, v in notes.items()},
        },
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "service": {"port": 80, "targetPort": 8080},
            "analysis": {
                "interval": interval,
                "threshold": 3,
                "stepWeights": [weight],
                "metrics": [
                    {
                        "name": "request-success-rate",
                        "thresholdRange": {"min": 99},
                        "interval": "1m",
                    },
                    {"name": "request-duration", "thresholdRange": {"max": 500}, "interval": "1m"},
                ],
            },
        },
    }


@dataclass(slots=True)
class Lane:
    """One Deployment with its route and traffic, released again and again."""

    kubectl: Kubectl
    traffic: Traffic
    number: int = 0

    def release(self, fault: Fault, deadline: float) -> Outcome:
        """Release a version and wait for its verdict."""
        self.number += 1
        version = f"{fault.name}-{self.number}"
        begin = self.traffic.now()
        self.kubectl("set", "env", "deployment/web", *fault.environment(version))
        begun(self.kubectl)
        wait_for("a verdict", lambda: phase(self.kubectl) in ENDED, deadline)
        wait_for("weight 0", lambda: split_of(self._route()).get("web-canary", 0) == 0, 30)
        return self._outcome(version, begin)

    def answers_of(self, version: str) -> list[float]:
        """Return when requests were sent that this version answered."""
        return [at for at, _, text in list(self.traffic.answers) if text.endswith(f" {version}")]

    def _route(self) -> dict[str, Any]:
        return self.kubectl.get("httproute", "web")

    def _outcome(self, version: str, begin: float) -> Outcome:
        answers = [one for one in list(self.traffic.answers) if one[0] >= begin]
        own = [one for one in answers if one[2].endswith(f" {version}")]
        return Outcome(
            phase=phase(self.kubectl),
            message=message(self.kubectl),
            seconds=own[-1][0] - own[0][0] if own else 0.0,
            answers=len(own),
            failed=sum(status == 500 for _, status, _ in own),
            lost=sum(status not in {200, 500} for _, status, _ in answers),
        )


@contextmanager
def lane(
    kubectl: Kubectl,
    gateway: str,
    host: str,
    rate: float,
    canary: dict[str, Any],
    *,
    replicas: int = 2,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
) -> Iterator[Lane]:
    """Set a team's objects up, with traffic that is answered.

    `change` is what is special about the team's Deployment.
    """
    deployment = web(STABLE, replicas=replicas)
    change(deployment)
    kubectl.apply(deployment, service(), route(host), canary)
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    with Traffic(gateway, host=host, rate=rate) as traffic:
        serving(traffic, statuses={200, 500})
        yield Lane(kubectl, traffic)
