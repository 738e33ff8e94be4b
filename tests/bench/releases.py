"""Two real releases under steady traffic: one that is promoted, and one that is refused."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from canary.contract import HOLD
from runtime.resources import CANARIES, DEPLOYMENTS, HTTPROUTES, PODS
from tests.bench.figures import Figure
from tests.bench.target_cluster import NoClusterError, Target
from tests.bench.watches import Change, Watches, watching
from tests.cluster.kit import (
    Json,
    Kubectl,
    Traffic,
    canary,
    message,
    metric_template,
    route,
    service,
    split_of,
    wait_for,
    web,
)

STABLE, GOOD, BAD = "headgate/demo:1.0", "headgate/demo:1.1", "headgate/demo:bad"
RATE: Final = 100.0
DEADLINE: Final = 100.0
APP_ANSWERS: Final = {200, 500}
"""What the demo app itself answers; anything else is a request lost on the way."""
SHOWN: Final = 3
"""Lost requests that are told of one by one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it was sent, and what came back."""

    sent: float
    status: int
    text: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Where releases are made: a namespace with the team's objects, watched, under traffic."""

    kubectl: Kubectl
    traffic: Traffic
    seen: Watches

    def update(self, image: str) -> Change:
        """Set an image and return when the API server had accepted it, held."""
        since = time.monotonic()
        self.kubectl("set", "image", "deployment/web", f"web={image}")
        return self.seen.first(
            "the hold",
            DEPLOYMENTS,
            lambda change: change.name == "web" and HOLD in _annotations(change),
            since=since,
            deadline=10,
        )

    def phase(self, phase: str, since: float) -> Change:
        """Wait for a phase of the Canary; say where it stands if it does not come."""
        try:
            return self.seen.first(
                f"phase {phase}",
                CANARIES,
                lambda change: (change.object.get("status") or {}).get("phase") == phase,
                since=since,
                deadline=DEADLINE,
            )
        except AssertionError as error:
            raise AssertionError(f"{error}: {message(self.kubectl)}") from error

    def answers(self, since: float) -> list[Answer]:
        """Return what was answered to requests sent from a moment on."""
        started = time.monotonic() - self.traffic.now()
        taken = [
            Answer(started + at, status, text) for at, status, text in list(self.traffic.answers)
        ]
        return [answer for answer in taken if answer.sent >= since]

    def sent(self, version: str, since: float) -> list[float]:
        """Return when requests were sent, from a moment on, that this version answered."""
        answers = self.answers(since)
        return [answer.sent for answer in answers if answer.text.endswith(f" {version}")]

    def phase_at(self, moment: float) -> str:
        """Return the phase that the Canary had."""
        before = [change for change in self.seen.all(CANARIES, bool) if change.at <= moment]
        return str((before[-1].object.get("status") or {}).get("phase")) if before else ""

    def lost(self, name: str, since: float) -> Figure:
        """Return how many of the requests since then the app has not answered."""
        answers = self.answers(since)
        lost = [answer for answer in answers if answer.status not in APP_ANSWERS]
        statuses = sorted(Counter(answer.status for answer in answers).items())
        first = "".join(
            f"; lost at {answer.sent - since:.2f} s ({self.phase_at(answer.sent)}): "
            f"{answer.status} {answer.text[:120]}"
            for answer in lost[:SHOWN]
        )
        return Figure(
            name=name,
            value=len(lost),
            unit=f"of {len(answers)}",
            aim=0,
            note=f"steady {RATE:.0f}/s from the write to 2 s after the verdict: "
            + ", ".join(f"{count} x {status}" for status, count in statuses)
            + first,
        )


def promotion(target: Target) -> list[Figure]:
    """Release a good version.

    Raises:
        NoClusterError: as `_stage`.

    """
    with _stage(target) as stage:
        return _good(stage)


def refusal(target: Target) -> list[Figure]:
    """Release a version that fails every fifth request.

    Raises:
        NoClusterError: as `_stage`.

    """
    with _stage(target) as stage:
        return _bad(stage)


@contextmanager
def _stage(target: Target) -> Iterator[Stage]:
    """Set the team's objects up, with traffic that is answered.

    Raises:
        NoClusterError: the cluster is not the sandbox, whose gateway, images and clock are known.

    """
    if not target.local:
        raise NoClusterError("releases are measured on the sandbox only")
    envoy = target.kubectl.within("projectcontour").get("service", "envoy")
    address = f"http://{envoy['spec']['clusterIP']}"
    with target.namespace(enabled=True) as kubectl:
        host = f"{kubectl.namespace}.example"
        _deploy(kubectl, host)
        with (
            watching(target.kubeconfig, kubectl.namespace) as seen,
            Traffic(address, host=host, rate=RATE) as traffic,
        ):
            stage = Stage(kubectl, traffic, seen)
            _serving(traffic)
            yield stage


def _deploy(kubectl: Kubectl, host: str) -> None:
    kubectl.apply(
        web(STABLE),
        service(),
        route(host),
        metric_template(kubectl.namespace),
        canary(kubectl.namespace, stepWeight=50, threshold=1, webhooks=[]),
    )
    kubectl("rollout", "status", "deployment/web", "--timeout=60s", deadline=70)


def _serving(traffic: Traffic) -> None:
    """Wait until the gateway has answered well for a second, then forget what was before."""

    def settled() -> bool:
        recent = [status for at, status, _ in list(traffic.answers) if at > traffic.now() - 1]
        return len(recent) > RATE / 2 and set(recent) == {200}

    wait_for("answers through the gateway", settled, 60)
    traffic.answers.clear()


def _good(stage: Stage) -> list[Figure]:
    written = stage.update(GOOD)
    first = wait_for(
        "an answer of the new version", lambda: stage.sent("1.1", written.at)[:1], DEADLINE, 0.05
    )[0]
    pods = stage.seen.all(PODS, _is_canary, since=written.at)
    added = min(change.at for change in pods if change.type == "ADDED")
    names = {change.name for change in pods if change.type == "ADDED"}
    ready = max(
        min((c.at for c in pods if c.name == name and _is_ready(c)), default=first)
        for name in names
    )
    stage.phase("Succeeded", written.at)
    time.sleep(2)
    before, after = added - written.at, first - ready
    return [
        Figure(
            name="write to first canary request, beyond pod start",
            value=before + after,
            unit="s",
            aim=1,
            note=f"write to pod {before:.2f} s, pod start {ready - added:.2f} s, "
            f"ready to first request {after:.2f} s",
        ),
        stage.lost("requests lost in a promotion", written.at),
    ]


def _bad(stage: Stage) -> list[Figure]:
    written = stage.update(BAD)
    stage.seen.first(
        "a weight on the route", HTTPROUTES, _share, since=written.at, deadline=DEADLINE
    )
    failed = stage.phase("Failed", written.at)
    zero = stage.seen.first(
        "weight 0 on the route",
        HTTPROUTES,
        lambda change: not _share(change),
        since=_last_weight(stage, written.at),
        deadline=30,
    )
    time.sleep(2)
    sampled = _sampled(failed.object["status"]["run"])
    last = max(stage.sent("bad", written.at), default=zero.at)
    return [
        Figure(
            name="refusing sample to weight 0 on the route",
            value=zero.time - sampled,
            unit="s",
            aim=0.5,
            note=f"the last request it got was sent {last - zero.at:+.2f} s after that; "
            f"write to refusal {failed.at - written.at:.1f} s",
        ),
        stage.lost("requests lost in a refusal", written.at),
    ]


def _sampled(run: Json) -> float:
    """Return when the numbers were read that refused: at a tick, or between two."""
    ticked = datetime.fromisoformat(run["checkedAt"]).timestamp()
    evidence = run.get("evidence") or {}
    return max(ticked, float(evidence.get("at") or 0))


def _last_weight(stage: Stage, since: float) -> float:
    return max(change.at for change in stage.seen.all(HTTPROUTES, _share, since=since))


def _annotations(change: Change) -> dict[str, str]:
    found: dict[str, str] = change.object["metadata"].get("annotations") or {}
    return found


def _is_canary(change: Change) -> bool:
    return change.name.startswith("web-canary-")


def _is_ready(change: Change) -> bool:
    conditions = (change.object.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _share(change: Change) -> int:
    return split_of(change.object).get("web-canary", 0)
