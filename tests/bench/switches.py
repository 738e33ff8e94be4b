"""Releases at 500 requests per second: what is lost, here by each kind of route that Contour takes.

Every request is counted by who answered it: the demo app says its version. Whatever no version
answered, or a version that is not the bad one answered badly, has failed because of a switch.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from runtime.resources import CANARIES, DEPLOYMENTS, HTTPPROXIES, HTTPROUTES, PODS, Resource
from tests.bench.figures import Figure, quantile
from tests.bench.paced import Sent, load
from tests.bench.releases import BAD, GOOD, STABLE
from tests.bench.target_cluster import NoClusterError, Target
from tests.bench.watches import Change, Watches, watching
from tests.cluster.kit import (
    Json,
    Kubectl,
    Traffic,
    canary,
    message,
    metric_template,
    proxy,
    route,
    service,
    wait_for,
    web,
)

RATE: Final = 500.0
NOISE: Final = 25.0
"""Requests per second by which the rate may be missed."""
MOST: Final = 300.0
"""Seconds that the requests of one kind of route last at most."""
RUN: Final = 100.0
"""Seconds until a verdict."""
LEFT: Final = 40.0
"""Seconds until no pod is left that has to go."""
CALM: Final = 2.0
"""Seconds that are counted before the first write, and after the last pod has gone."""
SHOWN: Final = 4
"""Requests that failed because of a switch and are told of one by one."""
PORT: Final = 80
_OK, _FAILED = 200, 500
_APP: Final = "headgate demo "
KINDS: Final[dict[Resource, Callable[[str], Json]]] = {HTTPROUTES: route, HTTPPROXIES: proxy}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What came of requests; `bad` is the version that fails by itself, "" where none does."""

    sent: Sequence[Sent]
    bad: str = ""

    @property
    def lost(self) -> list[Sent]:
        """Those that failed because of a switch."""
        return [one for one in self.sent if not (self._is_good(one) or self._is_its_own(one))]

    @property
    def own(self) -> int:
        """How many the bad version itself has failed."""
        return sum(map(self._is_its_own, self.sent))

    @property
    def rate(self) -> float:
        """How many were sent in a second."""
        dues = [one.due for one in self.sent]
        return (len(dues) - 1) / (max(dues) - min(dues)) if len(dues) > 1 else 0.0

    @property
    def answered(self) -> Counter[str]:
        """Answers by status and version."""
        return Counter(f"{one.status} of {version_of(one) or 'nobody'}" for one in self.sent)

    def _is_good(self, one: Sent) -> bool:
        return one.status == _OK and bool(version_of(one))

    def _is_its_own(self, one: Sent) -> bool:
        return one.status == _FAILED and bool(self.bad) and version_of(one) == self.bad


def version_of(one: Sent) -> str:
    """Return the version that answered a request, "" where it was none."""
    return one.text.removeprefix(_APP) if one.text.startswith(_APP) else ""


def rows(title: str, tally: Tally, shares: Sequence[tuple[float, int]]) -> list[Figure]:
    """Return what one release came to.

    Args:
        title: the kind of route, and how it ended.
        tally: its requests.
        shares: when the canary's share was changed, and to what.

    """
    answered = ", ".join(f"{number} x {what}" for what, number in sorted(tally.answered.items()))
    own = f"; {tally.own} failed by version {tally.bad} itself" if tally.bad else ""
    first = "".join(f"; {_told(one, shares)}" for one in tally.lost[:SHOWN])
    changes = " ".join(str(share) for _, share in shares)
    return [
        Figure(
            name=f"{title}: requests failed because of a switch",
            value=len(tally.lost),
            unit=f"of {len(tally.sent)}",
            aim=0,
            binding=True,
            note=f"shares {changes}: {answered}{own}{first}",
        ),
        Figure(
            name=f"{title}: requests sent",
            value=tally.rate,
            unit="/s",
            aim=RATE,
            more=True,
            noise=NOISE,
            binding=True,
        ),
        Figure(
            name=f"{title}: 99th percentile of an answer",
            value=1000 * quantile([one.took for one in tally.sent], 0.99),
            unit="ms",
        ),
    ]


def _told(one: Sent, shares: Sequence[tuple[float, int]]) -> str:
    end = one.due + one.took
    before = [(at, share) for at, share in shares if at <= end]
    where = f"{end - before[-1][0]:.2f} s after share {before[-1][1]}" if before else "before any"
    return f"lost {where}, after {one.took:.2f} s: {one.status} {one.text[:120]}"


def figures(target: Target, resource: Resource) -> list[Figure]:
    """Release a good version and then a bad one, by one kind of route.

    Raises:
        NoClusterError: the cluster is not the sandbox, whose gateway, images and clock are known.
        LoadError: the requests could not be sent.
        AssertionError: a release does not end as it should.

    """
    if not target.local:
        raise NoClusterError("releases are measured on the sandbox only")
    gateway = target.kubectl.within("projectcontour").get("service", "envoy")["spec"]["clusterIP"]
    with _stage(target, resource, gateway) as stage:
        return stage.figures()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A namespace with the team's objects, watched, and where the gateway before it listens."""

    kubectl: Kubectl
    gateway: str
    seen: Watches
    resource: Resource
    host: str
    port: int = PORT

    def figures(self) -> list[Figure]:
        """Release a good version and then a bad one.

        Raises:
            LoadError: the requests could not be sent.
            AssertionError: a release does not end as it should.

        """
        answering(self.gateway, self.port, self.host)
        with load(self.gateway, self.port, self.host, rate=RATE, most=MOST) as requests:
            time.sleep(CALM)
            first = self._released(GOOD, "Succeeded")
            second = self._released(BAD, "Failed")
        good = Tally(sent=[one for one in requests.sent if one.due < second])
        bad = Tally(sent=[one for one in requests.sent if one.due >= second], bad="bad")
        for version, tally in (("1.1", good), ("bad", bad)):
            assert f"200 of {version}" in tally.answered, f"{version} has answered nothing"
        kind = self.resource.kind
        return [
            *rows(f"{kind}, promoted", good, self._shares(first, second)),
            *rows(f"{kind}, refused", bad, self._shares(second, float("inf"))),
        ]

    def _released(self, image: str, phase: str) -> float:
        """Release a version; return when it was written, once nothing of it has to go any more."""
        since = time.monotonic()
        self.kubectl("set", "image", "deployment/web", f"web={image}")
        try:
            self.seen.first(
                f"phase {phase}", CANARIES, partial(_is_in, phase), since=since, deadline=RUN
            )
        except AssertionError as error:
            raise AssertionError(f"{error}: {message(self.kubectl)}") from error
        wait_for("the end of all pods that go", lambda: not self._going(), LEFT)
        time.sleep(CALM)
        return since

    def _going(self) -> list[str]:
        """Return the canary's pods, and what is being deleted or still to be rolled out."""
        last = {change.name: change for change in self.seen.all(PODS, bool)}
        pods = [name for name, change in last.items() if _goes(change)]
        targets = self.seen.all(DEPLOYMENTS, lambda change: change.name == "web")
        rolls = bool(targets) and not _is_rolled_out(targets[-1].object)
        return [*pods, *(["web"] if rolls else [])]

    def _shares(self, since: float, until: float) -> list[tuple[float, int]]:
        """Return the canary's share on the route each time that it was another."""
        found: list[tuple[float, int]] = []
        for change in self.seen.all(self.resource, bool, since):
            share = share_of(change.object)
            if change.at < until and share != (found[-1][1] if found else 0):
                found.append((change.at, share))
        return found


@contextmanager
def _stage(target: Target, resource: Resource, gateway: str) -> Iterator[Stage]:
    with target.namespace(enabled=True) as kubectl:
        space, host = kubectl.namespace, f"{kubectl.namespace}.example"
        record = canary(space, stepWeight=25, threshold=3, webhooks=[])
        analysis = record["spec"]["analysis"]
        # On two cores that also send the load, a slow answer says little of a version.
        analysis["metrics"] = [it for it in analysis["metrics"] if it["name"] == "error-rate"]
        kubectl.apply(web(STABLE), service(), KINDS[resource](host), metric_template(space), record)
        kubectl("rollout", "status", "deployment/web", "--timeout=60s", deadline=70)
        with watching(target.kubeconfig, space, resource) as seen:
            yield Stage(kubectl=kubectl, gateway=gateway, seen=seen, resource=resource, host=host)


def answering(gateway: str, port: int, host: str) -> None:
    """Wait until the gateway has answered well for a second."""
    with Traffic(f"http://{gateway}:{port}", host=host, rate=20) as traffic:

        def settled() -> bool:
            last = [status for _, status, _ in list(traffic.answers)[-20:]]
            return len(last) == 20 and set(last) == {_OK}

        wait_for("answers through the gateway", settled, 60)


def share_of(found: Json) -> int:
    """Return the canary's share of a route's first rule, in percent."""
    weights = dict(_weights(found["spec"]))
    ours = sum(weight for name, weight in weights.items() if name.split(".")[0] == "web-canary")
    return round(100 * ours / (sum(weights.values()) or 1))


def _weights(spec: Json) -> Iterable[tuple[str, int]]:
    if "http" in spec:
        routes = spec["http"][0]["route"]
        return [(it["destination"]["host"], it.get("weight", 0)) for it in routes]
    backends = (
        spec["routes"][0]["services"] if "routes" in spec else spec["rules"][0]["backendRefs"]
    )
    return [(str(it["name"]), int(it.get("weight", 1))) for it in backends]


def _is_in(phase: str, change: Change) -> bool:
    return (change.object.get("status") or {}).get("phase") == phase


def _goes(change: Change) -> bool:
    if change.type == "DELETED":
        return False
    return change.name.startswith("web-canary-") or "deletionTimestamp" in change.object["metadata"]


def _is_rolled_out(target: Json) -> bool:
    """Tell whether all pods are of the template, or it is held and has all its old ones."""
    spec, status = target["spec"], target.get("status") or {}
    if spec.get("paused"):
        return bool(status.get("readyReplicas") == spec["replicas"])
    wanted = (spec["replicas"],) * 3
    return wanted == tuple(
        status.get(it) for it in ("replicas", "updatedReplicas", "readyReplicas")
    )


def sections() -> dict[str, Callable[[Target], list[Figure]]]:
    """Return what is measured, by its title."""
    return {
        f"{RATE:.0f} requests/s through Contour by {it.kind}": partial(figures, resource=it)
        for it in KINDS
    }
