"""What the tests on a real cluster do with it: kubectl, waiting with a deadline, live traffic."""

import asyncio
import json
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import aiohttp
import yaml

from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL
from tests.cluster.reads import Reader, UnreadError, reader

Json = dict[str, Any]
T = TypeVar("T")
MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"
HOST = "web.example"
FLUX = ("--server-side", "--force-conflicts", "--field-manager=kustomize-controller")
ENDED = {"Succeeded", "Failed"}
"""Phases of a run that is over."""


class KubectlError(Exception):
    """kubectl ended with an error; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl against one cluster, and one namespace where it has a name."""

    kubeconfig: Path
    program: str = "kubectl"
    namespace: str = ""

    def command(self, *arguments: str) -> list[str]:
        """Return the words of a call."""
        where = ["-n", self.namespace] if self.namespace else []
        return [self.program, *where, *arguments]

    def __call__(self, *arguments: str, stdin: str | None = None, deadline: float = 120) -> str:
        """Run kubectl and return what it printed.

        Raises:
            KubectlError: it ended with an error.

        """
        done = self.run(*arguments, stdin=stdin, deadline=deadline)
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def run(
        self, *arguments: str, stdin: str | None = None, deadline: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return how it ended."""
        return subprocess.run(  # noqa: S603 - kubectl, with the test's own words
            self.command(*arguments),
            input=stdin,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
        )

    def apply(self, *objects: Json) -> str:
        """Apply objects as a user would."""
        return self("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def applier(self, *, server_side: bool) -> Callable[..., str]:
        """Return a team's way to apply: its own kubectl, or Flux's field manager with force."""

        def apply(*objects: Json) -> str:
            flags = FLUX if server_side else ()
            return self("apply", *flags, "-f", "-", stdin=yaml.safe_dump_all(objects))

        return apply

    def diff(self, *objects: Json) -> None:
        """Fail unless a server-side diff by Flux's field manager is empty."""
        done = self.run("diff", *FLUX, "-f", "-", stdin=yaml.safe_dump_all(objects))
        assert done.returncode == 0, done.stdout

    def get(self, kind: str, name: str) -> Json:
        """Return one object."""
        found = self.find(kind, name)
        if found is None:
            raise KubectlError(f"{kind} {name} in {self.namespace or 'the cluster'}: not found")
        return found

    def find(self, kind: str, name: str) -> Json | None:
        """Return one object, None if there is none."""
        try:
            return self._reader().find(kind, name, self.namespace)
        except UnreadError:
            text = self("get", kind, name, "-o", "json", "--ignore-not-found")
            return json.loads(text) if text.strip() else None

    def items(self, kind: str, *arguments: str) -> list[Json]:
        """Return all objects of a kind in the namespace."""
        try:
            return self._reader().items(kind, self.namespace, *arguments)
        except UnreadError:
            found: list[Json] = json.loads(self("get", kind, "-o", "json", *arguments))["items"]
            return found

    def _reader(self) -> Reader:
        return reader(self.kubeconfig, self.kubeconfig.stat().st_mtime_ns)

    def within(self, namespace: str) -> "Kubectl":
        """Return the same for another namespace."""
        return Kubectl(self.kubeconfig, self.program, namespace)


def wait_for(what: str, look: Callable[[], T | None], deadline: float, every: float = 0.2) -> T:
    """Look until there is something to see; fail with its name when the deadline has passed.

    The last look begins after the deadline: one that began before and took long, as on a busy
    machine, has not seen what there was by then.
    """
    end = time.monotonic() + deadline
    while True:
        began = time.monotonic()
        if found := look():
            return found
        if began > end:
            raise AssertionError(f"{what}: not within {deadline:g} s")
        time.sleep(every)


# --- the objects of the main job ----------------------------------------------------------------


def unchecked(kubectl: Kubectl, write: Callable[[], object]) -> None:
    """Write as a team does whose namespace is labelled later: nobody has checked its objects.

    Args:
        kubectl: of the namespace.
        write: what is written; it may be tried more than once.

    """
    label = ("label", "namespace", kubectl.namespace, "--overwrite")
    kubectl(*label, f"{NAMESPACE_LABEL}-")

    def written() -> bool:  # the API server may know of the label for a moment longer
        try:
            write()
        except KubectlError:
            return False
        return True

    wait_for("the write", written, 30)
    kubectl(*label, f"{NAMESPACE_LABEL}={NAMESPACE_ENABLED}")


def web(image: str, *, replicas: int = 2, name: str = "web") -> Json:
    """Return the team's Deployment."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {
                    "labels": {"app": name},
                    "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
                },
                "spec": {
                    "containers": [
                        {
                            "name": "web",
                            "image": image,
                            "imagePullPolicy": "IfNotPresent",
                            "ports": [{"containerPort": 8080}],
                            "readinessProbe": {
                                "httpGet": {"path": "/healthz", "port": 8080},
                                "periodSeconds": 1,
                            },
                            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                        }
                    ]
                },
            },
        },
    }


def service(name: str = "web") -> Json:
    """Return the team's Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    }


def route(host: str = HOST, name: str = "web") -> Json:
    """Return the team's HTTPRoute."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {
            "parentRefs": [{"name": "contour", "namespace": "projectcontour"}],
            "hostnames": [host],
            "rules": [{"backendRefs": [{"name": name, "port": 80}]}],
        },
    }


def proxy(host: str = HOST, name: str = "web") -> Json:
    """Return the team's HTTPProxy."""
    return {
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "metadata": {"name": name},
        "spec": {
            "virtualhost": {"fqdn": host},
            "routes": [{"conditions": [{"prefix": "/"}], "services": [{"name": name, "port": 80}]}],
        },
    }


def virtual_service(host: str = HOST, name: str = "web") -> Json:
    """Return the team's VirtualService."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name},
        "spec": {
            "hosts": [host],
            "http": [{"match": [{"uri": {"prefix": "/"}}], "route": [_destination(name)]}],
            "tcp": [{"match": [{"port": 3306}], "route": [_destination(name)]}],
        },
    }


def ingress_route(host: str = HOST, name: str = "web") -> Json:
    """Return the team's IngressRoute."""
    services = [{"name": name, "port": 80, "scheme": "http", "passHostHeader": True}]
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "IngressRoute",
        "metadata": {"name": name},
        "spec": {"routes": [{"match": f"Host(`{host}`)", "kind": "Rule", "services": services}]},
    }


def traefik_service(name: str = "web") -> Json:
    """Return the team's TraefikService."""
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "TraefikService",
        "metadata": {"name": name},
        "spec": {"weighted": {"services": [{"name": name, "port": "http", "weight": 3}]}},
    }


def destination_rule(host: str, policy: Json) -> Json:
    """Return the team's DestinationRule for a host."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": host},
        "spec": {"host": host, "trafficPolicy": policy},
    }


def _destination(name: str) -> Json:
    return {"destination": {"host": name, "port": {"number": 80}}}


def metric_template(namespace: str) -> Json:
    """Return the MetricTemplate of the main job, for the test's namespace."""
    pods = 'kubernetes_pod_name=~"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?"'
    good = f'http_requests_total{{namespace="{namespace}",{pods},status!~"5.."}}'
    every = f'http_requests_total{{namespace="{namespace}",{pods}}}'
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": "error-rate"},
        "spec": {
            "provider": {"type": "prometheus", "address": "http://prometheus.monitoring:9090"},
            "query": f"100 - sum(\n  rate({good}[1m])\n)\n/\nsum(\n  rate({every}[1m])\n) * 100\n",
        },
    }


def canary(namespace: str, *, interval: str = "10s", **analysis: Any) -> Json:
    """Return the Canary of the main job, with a shorter interval unless one is named."""
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "web"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "service": {"port": 80, "targetPort": 8080},
            "analysis": {
                "interval": interval,
                "threshold": 3,
                "maxWeight": 50,
                "stepWeight": 10,
                "metrics": [
                    {
                        "name": "error-rate",
                        "templateRef": {"name": "error-rate"},
                        "thresholdRange": {"max": 1},
                        "interval": "1m",
                    },
                    {
                        "name": "request-duration",
                        "thresholdRange": {"max": 500},
                        "interval": "1m",
                    },
                ],
                "webhooks": [
                    {
                        "name": "load-test",
                        "type": "rollout",
                        "url": f"http://flagger-loadtester.{namespace}/",
                        "timeout": "15s",
                        "metadata": {
                            "cmd": f"hey -z 1m -q 10 -c 2 http://web-canary.{namespace}:80/"
                        },
                    }
                ],
                **analysis,
            },
        },
    }


# --- what is seen -------------------------------------------------------------------------------


def split_of(route_object: Json) -> dict[str, int]:
    """Return the weights of a route's first rule by Service."""
    refs = route_object["spec"]["rules"][0]["backendRefs"]
    return {ref["name"]: ref.get("weight", 1) for ref in refs}


def phase(kubectl: Kubectl, name: str = "web") -> str:
    """Return the phase of a Canary, "" where there is none yet."""
    found = kubectl.find("canary", name)
    return str((found or {}).get("status", {}).get("phase", ""))


def begun(kubectl: Kubectl, name: str = "web", deadline: float = 30) -> None:
    """Wait until the run of a version that has just been pushed is under way.

    Until then the phase is that of the run before, and so is its end; the message tells of the new
    version earlier.
    """
    at_rest = {"", "Initialized", *ENDED}
    wait_for("the run", lambda: phase(kubectl, name) not in at_rest, deadline)


def message(kubectl: Kubectl, name: str = "web") -> str:
    """Return the message of a Canary's condition."""
    found = kubectl.find("canary", name) or {}
    conditions = found.get("status", {}).get("conditions") or [{}]
    return str(conditions[0].get("message", ""))


def message_with(kubectl: Kubectl, *words: str, deadline: float) -> str:
    """Wait for a message that has these words, and return it: a moment later it may be another."""

    def told() -> str | None:
        now = message(kubectl)
        return now if all(word in now for word in words) else None

    return wait_for(f"a message with {words}", told, deadline)


class WeightLog:
    """Records the canary's share on a route as it changes, and the phase with it.

    Have it look before a version is pushed: later it may miss that there was no share.
    """

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self.shares: list[int] = []
        self.statuses: list[tuple[str, int]] = []

    def look(self) -> str:
        """Record what is there now and return the phase."""
        weights = split_of(self._kubectl.get("httproute", "web"))
        total = sum(weights.values())
        share = round(100 * weights.get("web-canary", 0) / total) if total else 0
        if not self.shares or self.shares[-1] != share:
            self.shares.append(share)
        status = (self._kubectl.find("canary", "web") or {}).get("status", {})
        seen = (str(status.get("phase", "")), int(status.get("canaryWeight", 0)))
        if not self.statuses or self.statuses[-1] != seen:
            self.statuses.append(seen)
        return seen[0]

    def follow(self, endings: set[str], deadline: float) -> str:
        """Record until the phase is one of the endings."""

        def ended() -> str | None:
            now = self.look()
            return now if now in endings else None

        return wait_for(f"phase {endings}", ended, deadline)


@dataclass
class Traffic:
    """Requests through the gateway at a steady rate, counted by status and version.

    `answers` has (seconds since the start, status, version); status 0 is a request that failed
    without an answer.
    """

    address: str
    host: str = HOST
    rate: float = 25.0
    headers: Mapping[str, str] = field(default_factory=dict)
    answers: list[tuple[float, int, str]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _started: float = 0.0

    def __enter__(self) -> Self:
        """Begin to send."""
        self._started = time.monotonic()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for the answers that are still due."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    @property
    def statuses(self) -> Counter[int]:
        """Answers by status."""
        return Counter(status for _, status, _ in self.answers)

    def versions(self, since: float = 0.0) -> Counter[str]:
        """Answers by version since so many seconds after the start."""
        return Counter(version for at, _, version in self.answers if at >= since)

    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    async def _send(self) -> None:
        timeout = aiohttp.ClientTimeout(total=10)
        connector = aiohttp.TCPConnector(limit=100)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            due = time.monotonic()
            while not self._stop.is_set():
                group.create_task(self._one(session))
                due += 1 / self.rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _one(self, session: aiohttp.ClientSession) -> None:
        at = self.now()
        headers = {"Host": self.host, **self.headers}
        try:
            async with session.get(f"{self.address}/", headers=headers) as response:
                body = await response.text()
                self.answers.append((at, response.status, body.strip()))
        except (aiohttp.ClientError, TimeoutError) as error:
            self.answers.append((at, 0, repr(error)))


def serving(traffic: Traffic, *, statuses: Collection[int] = (200,)) -> None:
    """Wait until a gateway serves the route, then forget what was before.

    Each of its threads hears of a route by itself: one answer is no word of the next.
    """
    enough = max(5, int(traffic.rate))

    def served() -> bool:
        last = [status for _, status, _ in traffic.answers[-enough:]]
        return len(last) == enough and set(last) <= set(statuses)

    wait_for("a second of answers through the gateway", served, 60)
    traffic.answers.clear()


@contextmanager
def watching(kubectl: Kubectl, *arguments: str) -> Iterator[list[str]]:
    """Run a kubectl that does not end (`-w`) and collect its lines."""
    lines: list[str] = []
    process = subprocess.Popen(  # noqa: S603 - kubectl, with the test's own words
        kubectl.command(*arguments),
        env={**os.environ, "KUBECONFIG": str(kubectl.kubeconfig)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    stdout = process.stdout
    reader = threading.Thread(target=lambda: lines.extend(iter(stdout.readline, "")), daemon=True)
    reader.start()
    try:
        yield lines
    finally:
        process.terminate()
        process.wait(timeout=10)
        reader.join(timeout=10)
        stdout.close()
