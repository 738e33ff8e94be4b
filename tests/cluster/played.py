"""Who judges a play of releases, and the play: what was seen is held against what must be."""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass

from canary.contract import EVIDENCE
from canary.model.hashing import template_hash
from tests.cluster.kit import (
    Json,
    Kubectl,
    Traffic,
    phase,
    route,
    service,
    serving,
    wait_for,
    web,
)
from tests.cluster.plans import Move
from tests.cluster.releases import FIRST, Journal, Player, environment
from tests.cluster.story import Version, figures, told, wrongs

SEED = int(os.environ.get("RELEASES_SEED", "1"))
"""Of a plan, and of what is drawn while it is played."""
RATE = 30.0
"""Requests per second through the gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Who judges: both layers, or the checks alone.

    A minute's window of the checks' queries is six times their interval: what the versions before
    have answered lies within it most of the time, and two failed checks refuse.
    """

    name: str
    evidence: bool
    window: str = "1m"
    threshold: int = 2

    def canary(self, weights: Sequence[int]) -> Json:
        """Return the Canary of this form, with the shortest interval that admins allow."""
        return {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "metadata": {
                "name": "web",
                "annotations": {EVIDENCE: "on" if self.evidence else "off"},
            },
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "service": {"port": 80, "targetPort": 8080},
                "analysis": {
                    "interval": "10s",
                    "threshold": self.threshold,
                    "stepWeights": list(weights),
                    "metrics": [
                        {
                            "name": "request-success-rate",
                            "thresholdRange": {"min": 99},
                            "interval": self.window,
                        }
                    ],
                },
            },
        }


BY_EVIDENCE = Form(name="evidence", evidence=True)
BY_CHECKS = Form(name="checks", evidence=False)


def play(
    kubectl: Kubectl,
    host: str,
    gateway: str,
    form: Form,
    plan: Sequence[Move],
    weights: Sequence[int],
) -> None:
    """Play a plan and hold what was seen against what must be."""
    print(f"RELEASES_SEED={SEED}, {form.name}, {len(plan)} pushes")  # noqa: T201 - to find it again
    with Traffic(gateway, host=host, rate=RATE) as traffic:
        first = deploy(kubectl, host, form.canary(weights), traffic)
        journal = Journal(kubectl, traffic.now)
        # The moments are to differ, and to be found again.
        chance = random.Random(SEED)  # noqa: S311
        player = Player(kubectl, traffic, journal, chance, first)
        try:
            with journal.kept():
                for move in plan:
                    player.play(move)
                player.rest()
                at = traffic.now()
                wait_for("more answers", lambda: traffic.now() > at + 3, 10)
        finally:
            print(figures(player.record))  # noqa: T201 - also of a play that was broken off
    record = player.record
    found = "\n".join(wrongs(record))
    assert not found, f"seed {SEED}:\n{found}\n{told(record)}"


def deploy(kubectl: Kubectl, host: str, canary: Json, traffic: Traffic) -> Version:
    """Set the app up with its first version, and wait until it answers."""
    target = web("headgate/demo:1.0")
    (container,) = target["spec"]["template"]["spec"]["containers"]
    container["env"] = environment(FIRST)
    kubectl.apply(target, service(), route(host), canary)
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    wait_for("the target is known", lambda: phase(kubectl) == "Initialized", 30)
    serving(traffic)
    stored = kubectl.get("deployment", "web")["spec"]["template"]
    return Version(name=FIRST, good=True, hash=template_hash(stored))
