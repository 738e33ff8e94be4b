"""Teams that release side by side, and go on where the API server or a webhook does not answer."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from canary.contract import EVIDENCE
from canary.model.hashing import template_hash
from canary.routes.gateway_api import HttpRoutes
from runtime.errors import ApiError
from runtime.kube import Cluster
from runtime.resources import CANARIES, DEPLOYMENTS, HTTPROUTES
from tests.cluster.kit import (
    Json,
    Kubectl,
    Traffic,
    metric_template,
    phase,
    route,
    service,
    split_of,
    wait_for,
    web,
)
from tests.cluster.releases import environment
from tests.cluster.soak.endured import LAG, Ended, Kind, Release, Span, Verdict

RATE: Final = 10.0
"""Requests per second of each team's users."""
PATIENCE: Final = 420.0
"""Seconds within which every release comes to something, whatever has ended meanwhile."""
BEACON: Final = "beacon"
FIRST: Final = "first"
HTTP: Final = HttpRoutes()
_LATENCY_MS: Final = "900"


def canary_of(number: int, namespace: str) -> Json:
    """Return a team's Canary: by evidence, by checks alone, or by a query of the team's own."""
    evidence = number % 3 != 1
    own = {"name": "error-rate", "templateRef": {"name": "error-rate"}, "interval": "1m"}
    own["thresholdRange"] = {"max": 1}
    built_in = {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"}
    slow = {"name": "request-duration", "thresholdRange": {"max": 500}, "interval": "1m"}
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {
            "name": "web",
            "namespace": namespace,
            "annotations": {EVIDENCE: "on" if evidence else "off"},
        },
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "service": {"port": 80, "targetPort": 8080},
            "analysis": {
                "interval": "10s",
                "threshold": 2,
                "stepWeights": [50],
                "metrics": [own if number % 3 == 2 else built_in, slow],
            },
        },
    }


@dataclass
class Board:
    """What was last heard of every Canary, by one list a second for all teams."""

    cluster: Cluster
    canaries: dict[str, Json] = field(default_factory=dict)
    served: set[tuple[str, str]] = field(default_factory=set)
    """Namespace and hash of all versions that ever served."""

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            try:
                found = (await self.cluster.list(CANARIES)).items
            except ApiError:
                found = []
            self.canaries |= {one["metadata"]["namespace"]: one for one in found}
            for one in found:
                stable = (one.get("status") or {}).get("lastPromotedSpec", "")
                self.served.add((one["metadata"]["namespace"], stable))
            await asyncio.sleep(1)

    def heard(self, namespace: str) -> tuple[str, str, str]:
        """Return phase, candidate and what is said of it."""
        status: Json = self.canaries.get(namespace, {}).get("status") or {}
        condition: Json = next(iter(status.get("conditions") or ()), {})
        said = f"{condition.get('reason', '')}: {condition.get('message', '')}"
        return status.get("phase", ""), status.get("lastAppliedSpec", ""), said


@dataclass
class Beacon:
    """A route that is written every second: by it is seen when its gateway is behind.

    `spans` are in seconds of `time.monotonic`: from the first write that was not seen for `LAG` to
    when the gateway had the last.
    """

    cluster: Cluster
    namespace: str
    spans: list[Span] = field(default_factory=list)
    _late: float | None = None

    async def run(self) -> None:
        """Write and look until cancelled."""
        made = route(f"0.{BEACON}.example", BEACON)
        metadata = {"name": BEACON, "namespace": self.namespace}
        await self.cluster.create(HTTPROUTES, {**made, "metadata": metadata})
        number = 0
        while True:
            number += 1
            with suppress(ApiError):
                await self._looked(number)
            await asyncio.sleep(1)

    async def _looked(self, number: int) -> None:
        """Note whether the write before was seen, and write the next one."""
        found, now = await self.cluster.get(HTTPROUTES, self.namespace, BEACON), time.monotonic()
        if not HTTP.lag(found):
            self.end(now)
            hosts = {"spec": {"hostnames": [f"{number}.{BEACON}.example"]}}
            await self.cluster.merge_patch(HTTPROUTES, self.namespace, BEACON, hosts)
        elif self._late is None:
            self._late = now

    def end(self, now: float) -> None:
        """Note that a lag is over, or that nobody looks any more."""
        if self._late is not None and now - self._late >= LAG:
            self.spans.append((self._late, now))
        self._late = None


@dataclass
class Team:
    """One target with its users; pushes one version after the other."""

    namespace: str
    cluster: Cluster
    board: Board
    traffic: Traffic
    ended: list[Ended] = field(default_factory=list)
    refused_writes: list[str] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    """Names of bad versions by their hashes."""

    async def play(self, plan: Sequence[Release], pace: float) -> None:
        """Push everything, no faster than one version in `pace` seconds."""
        begin = time.monotonic()
        for number, release in enumerate(plan):
            await asyncio.sleep(begin + number * pace - time.monotonic())
            name = f"{release.kind}-{number + 1}"
            at = self.traffic.now()
            candidate = await self._push(name, release)
            if not release.good:
                self.bad[candidate] = name
            verdict, why = await self._verdict(candidate, release.left)
            self.ended.append(
                Ended(
                    name=name,
                    release=release,
                    pushed=at,
                    at=self.traffic.now(),
                    verdict=verdict,
                    why=why,
                )
            )

    @property
    def served_by_bad(self) -> list[str]:
        """Return the bad versions that served, whatever was pushed over them."""
        served = self.board.served
        return [name for it, name in self.bad.items() if (self.namespace, it) in served]

    async def _push(self, name: str, release: Release) -> str:
        """Write a version, as often as it takes, and return its hash."""
        env = environment(name, release.errors)
        if release.kind is Kind.SLOW:
            env.append({"name": "LATENCY_MS", "value": _LATENCY_MS})
        path = "/spec/template/spec/containers/0/env"
        patch = [{"op": "replace", "path": path, "value": env}]
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    stored = await self.cluster.json_patch(
                        DEPLOYMENTS, self.namespace, "web", patch
                    )
                    return template_hash(stored["spec"]["template"])
                except ApiError as error:
                    self.refused_writes.append(str(error))
                    await asyncio.sleep(1)

    async def _verdict(self, candidate: str, left: float | None) -> tuple[Verdict, str]:
        """Wait for a verdict, or for as long as a version is left alone."""
        end = time.monotonic() + (PATIENCE if left is None else left)
        while True:
            now, of, why = self.board.heard(self.namespace)
            if of == candidate and now == "Succeeded":
                return Verdict.PROMOTED, why
            if of == candidate and now == "Failed":
                return Verdict.REFUSED, why
            if time.monotonic() > end:
                return (Verdict.OPEN if left is None else Verdict.SUPERSEDED), f"{now}: {why}"
            await asyncio.sleep(0.5)

    async def leftovers(self) -> list[str]:
        """Return what is left of the runs, all of which have ended, once it had time to go."""
        end = time.monotonic() + 60
        while True:
            try:
                found = [line async for line in self._left()]
            except ApiError as error:
                found = [str(error)]
            if not found or time.monotonic() > end:
                return found
            await asyncio.sleep(1)

    async def _left(self) -> AsyncIterator[str]:
        names = [
            one["metadata"]["name"]
            for one in (await self.cluster.list(DEPLOYMENTS, self.namespace)).items
        ]
        if names != ["web"]:
            yield f"Deployments {names}"
        split = split_of(await self.cluster.get(HTTPROUTES, self.namespace, "web"))
        if split.get("web-canary"):
            yield f"a split {split}"
        target = await self.cluster.get(DEPLOYMENTS, self.namespace, "web")
        (container,) = target["spec"]["template"]["spec"]["containers"]
        version = next(it["value"] for it in container["env"] if it["name"] == "VERSION")
        if target["spec"].get("paused"):
            yield f"a pause of {version}"
        if self.ended and version != self.ended[-1].name:
            yield f"{version} where {self.ended[-1].name} was promoted"


def set_up(kubectl: Kubectl, number: int, gateway: str) -> None:
    """Make a team's objects, and wait until they answer and are known."""
    namespace, host = kubectl.namespace, f"{kubectl.namespace}.example"
    target = web("headgate/demo:1.0", replicas=1)
    target["spec"]["template"]["spec"]["containers"][0]["env"] = environment(FIRST)
    template = metric_template(namespace)
    kubectl.apply(target, service(), route(host), template, canary_of(number, namespace))
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    wait_for("the target is known", lambda: phase(kubectl) == "Initialized", 60)
    with Traffic(gateway, host=host, rate=RATE) as traffic:
        wait_for("answers", lambda: traffic.answers and traffic.answers[-1][1] == 200, 60)


@contextmanager
def namespaces(admin: Kubectl, prefix: str, number: int) -> Iterator[list[Kubectl]]:
    """Make enabled namespaces, and delete them in the end."""
    names = [f"{prefix}-{one}" for one in range(number)]
    try:
        for name in names:
            admin("create", "namespace", name)
            admin("label", "namespace", name, "headgate.dev/canary=enabled")
        yield [admin.within(name) for name in names]
    finally:
        admin("delete", "namespace", *names, "--wait=false", "--ignore-not-found")


@asynccontextmanager
async def users(
    cluster: Cluster, board: Board, names: Sequence[str], gateway: str
) -> AsyncIterator[list[Team]]:
    """Send each team's traffic while the block runs."""
    senders = [Traffic(gateway, host=f"{name}.example", rate=RATE) for name in names]
    for one in senders:
        one.__enter__()
    try:
        yield [Team(name, cluster, board, one) for name, one in zip(names, senders, strict=True)]
    finally:
        for one in senders:
            await asyncio.to_thread(one.__exit__)


def plans(
    seed: int, number: int, total: int, planned: Callable[[random.Random, int], Sequence[Release]]
) -> list[Sequence[Release]]:
    """Return a plan for each of so many teams, of `total` releases together."""
    share, rest = divmod(total, number)
    return [
        planned(random.Random(f"{seed}-{one}"), share + (one < rest))  # noqa: S311 - found again
        for one in range(number)
    ]
