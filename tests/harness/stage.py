"""A cluster with Headgate and a team, on time that passes at once."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import orjson

from analyzer.ports import HookCaller, ProviderError
from analyzer.routers.kinds import WATCHED
from canary.contract import (
    EVIDENCE,
    NAMESPACE_ENABLED,
    NAMESPACE_LABEL,
    PARKED,
    REFUSED,
    SHARE_BY_PODS,
    Reason,
)
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.selection import selects, service_selector
from canary.model.values import Json
from canary.queries.provider import ProviderSpec
from canary.routes.nginx import PREFIX
from canary.spec.made import preferred
from runtime.resources import (
    CANARIES,
    DEPLOYMENTS,
    EVENTS,
    HTTPPROXIES,
    HTTPROUTES,
    INGRESSES,
    INGRESSROUTES,
    NAMESPACES,
    PODS,
    REPLICASETS,
    SERVICES,
    TRAEFIKSERVICES,
    VIRTUALSERVICES,
    Resource,
)
from tests.fakes.hook_caller import FakeHookCaller
from tests.harness.admitted import Webhook, labelled, unpinned
from tests.harness.api import ApiServer, Writer
from tests.harness.client import ANALYZER, TEAM, Client, Gate, Open
from tests.harness.controllers import Health, Surroundings, image_of, is_ready
from tests.harness.installation import Analyzer, Installation
from tests.harness.rollouts import owner_of

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
SPACE: Final = "prod"
NAME: Final = "web"
PLACE: Final = (SPACE, NAME)
CANARY: Final = f"{NAME}-canary"
NEXT: Final = "api"
"""A target that shares the route, and has no Canary of its team's."""
NEXT_CANARY: Final = f"{NEXT}-canary"
_TIER: Final = {"tier": "front"}
LAG: Final = 0.2
"""Seconds that controllers take to see a change."""
LONGEST: Final = 900.0
"""Seconds that anything that is waited for may take, of the time that passes at once."""
ADMIN: Final = Writer("admin", "admin")


@dataclass
class Answers:
    """What the metrics server says: a value for each image that the canary runs.

    `asked` are the image that the canary ran and the value given, in order. A value may be an error
    or None for no data.
    """

    running: Callable[[], str]
    values: dict[str, float | ProviderError | None] = field(default_factory=dict)
    asked: list[tuple[str, float | None]] = field(default_factory=list)

    async def query(self, spec: ProviderSpec, query: str, interval: timedelta) -> tuple[float, ...]:
        """Answer for what the canary runs now."""
        del spec, query, interval
        await asyncio.sleep(0)
        image = self.running()
        value = self.values.get(unpinned(image), 0.0)
        if isinstance(value, ProviderError):
            raise value
        if value is not None and math.isnan(value):
            value = None  # as the port has it: what is no number is left out
        self.asked.append((image, value))
        return () if value is None else (value,)


class Stage:
    """A namespace with a target, its Service, its route, its Canary and an analyzer.

    `bad` and `answers.values` say what images do. `writable_since` is since when its API
    server takes the analyzer's writes, infinite while it takes none. `gate` is what these have to
    pass, `ears` makes what its informers hear by, `reach` its way to the API server. `routes` is
    the kind of its route. With `by_pods` there is none, and the Service selects by less than the
    target. With `named` the Canary names its Ingress. With `shared` another target's route is the
    same HTTPRoute.
    """

    def __init__(
        self,
        *,
        replicas: int = 2,
        own_canary: bool = True,
        kind: str = HTTPROUTES.kind,
        analysis: Mapping[str, Any] = MappingProxyType({}),
        by_pods: bool = False,
        named: bool = False,
        shared: bool = False,
    ) -> None:
        self.began = asyncio.get_running_loop().time()
        self.api = ApiServer(self.now)
        self.webhook = Webhook(self.is_labelled)
        self.api.admission = self.webhook
        self.bad: dict[str, Health] = {}
        self.others = Surroundings(self.api, health=self._health)
        self.answers = Answers(self.canary_image)
        self.hooks: HookCaller = FakeHookCaller()
        self.gate: Gate = Open()
        self.ears: Callable[[], Client] | None = None
        self.reach: Callable[[ApiServer, Writer, Gate], Client] = Client
        self.skew = timedelta(0)
        self.writable_since = 0.0
        self.installation = Installation(self._analyzer)
        self.team = Client(self.api, TEAM)
        self.routes = WATCHED[kind]
        self.route, self.by_pods, self.shared = route(kind), by_pods, shared
        if shared:
            self.route["spec"]["rules"] += _NEXT_RULES
        self._written = asyncio.Event()
        self.api.watchers.append(lambda _: self._written.set())
        own = canary(**analysis) if own_canary else None
        if own is not None and named:
            reference = {"apiVersion": self.routes.api_version, "kind": kind, "name": NAME}
            own["spec"] |= {"provider": "nginx", "ingressRef": reference}
        self._furnish(replicas, own)

    def _health(self, image: str) -> Health:
        return self.bad.get(unpinned(image), Health.GOOD)

    def now(self) -> datetime:
        """Return the API server's time."""
        passed = asyncio.get_running_loop().time() - self.began
        skew = getattr(self, "skew", timedelta(0))
        return START + timedelta(seconds=passed) + skew

    def seconds(self) -> float:
        """Return how much time has passed, whatever the API server's clock says."""
        return asyncio.get_running_loop().time()

    def is_labelled(self, namespace: str = SPACE) -> bool:
        """Tell whether a namespace carries the label."""
        return labelled(self.api.look(NAMESPACES, "", namespace))

    def _analyzer(self) -> Analyzer:
        ears = None if self.ears is None else self.ears()
        client = self.reach(self.api, ANALYZER, self.gate)
        return Analyzer(client, {"prometheus": self.answers}, self.hooks, listens=ears)

    def _furnish(self, replicas: int, own: Json | None) -> None:
        labels = {NAMESPACE_LABEL: NAMESPACE_ENABLED}
        self.api.create(NAMESPACES, {"metadata": {"name": SPACE, "labels": labels}}, ADMIN)
        target = deployment("web:1", replicas)
        if self.by_pods:
            target["spec"]["selector"]["matchLabels"] |= _TIER
            target["spec"]["template"]["metadata"]["labels"] |= _TIER
        self.api.create(DEPLOYMENTS, target, TEAM)
        self.api.create(SERVICES, service(), TEAM)
        if self.shared:
            self.api.create(DEPLOYMENTS, renamed(deployment("web:1", replicas), NEXT), TEAM)
            self.api.create(SERVICES, renamed(service(), NEXT), TEAM)
        if not self.by_pods:
            self.api.create(self.routes, self.route, TEAM)
        if own is not None:
            if self.by_pods:
                own["metadata"]["annotations"][SHARE_BY_PODS] = "on"
                own["spec"]["provider"] = "kubernetes"
            self.api.create(CANARIES, own, TEAM)
        self.api.create(SERVICES, renamed(service(), "other"), ADMIN)
        self.api.create(HTTPROUTES, renamed(route(), "other"), ADMIN)
        elsewhere = deployment("web:1", 1)
        elsewhere["metadata"]["namespace"] = "elsewhere"
        self.api.create(DEPLOYMENTS, elsewhere, ADMIN)
        self.others.settle()

    # --- what is there ---------------------------------------------------------------------------

    def target(self) -> Json:
        """Return the target."""
        found = self.api.look(DEPLOYMENTS, *PLACE)
        assert found is not None
        return found

    def has_target(self) -> bool:
        """Tell whether there is a target."""
        return self.api.look(DEPLOYMENTS, *PLACE) is not None

    def candidate(self) -> str:
        """Return the image that the target asks for, "" where there is no target."""
        found = self.api.look(DEPLOYMENTS, *PLACE)
        return "" if found is None else image_of(found["spec"]["template"])

    def canary_image(self) -> str:
        """Return the image that the canary runs, "" where there is none."""
        found = self.api.look(DEPLOYMENTS, SPACE, CANARY)
        return "" if found is None else image_of(found["spec"]["template"])

    def canary(self, name: str = NAME) -> Json | None:
        """Return the Canary that a target follows, whatever its own name."""
        found = (one for one in self.api.peek(CANARIES) if one["metadata"]["namespace"] == SPACE)
        return preferred(one for one in found if one["spec"]["targetRef"]["name"] == name)

    def status(self, name: str = NAME) -> Json:
        """Return the status of the Canary that a target follows."""
        found = self.canary(name)
        return {} if found is None else found.get("status") or {}

    def refused_image(self) -> str:
        """Return the image of the candidate that was refused, while the target carries it."""
        target = self.api.look(DEPLOYMENTS, *PLACE)
        if target is None:
            return ""
        template, notes = target["spec"]["template"], target["metadata"].get("annotations") or {}
        mark = Identities((template,)).current(notes.get(REFUSED, ""))
        refused = mark == template_hash(template)
        return image_of(template) if refused else ""

    def phase(self) -> str:
        """Return the run's phase."""
        return str(self.status().get("phase", ""))

    def has_failed(self, name: str = NAME) -> bool:
        """Tell whether a target's run has ended without it, and is not tried again by itself."""
        status = self.status(name)
        reasons = {it["reason"] for it in status.get("conditions") or ()}
        again = Reason.PROGRESS_DEADLINE in reasons and (status.get("run") or {}).get("tries")
        return status.get("phase") == "Failed" and not again

    def weight(self) -> int:
        """Return the share of the canary, in percent: of the route's weights, or of the pods."""
        return self._share_of_pods() if self.by_pods else self.share_on(self.routes)

    def share_on(self, routes: Resource) -> int:
        """Return the share of the canary on the team's route of a kind, in percent."""
        if routes == INGRESSES:
            return self._share_beside()
        found = self.api.look(routes, *PLACE)
        refs = [] if found is None else backends_of(found)
        total = sum(ref.get("weight", 0) for ref in refs)
        given = sum(ref.get("weight", 0) for ref in refs if ref["name"] == CANARY)
        return round(100 * given / total) if total else 0

    def _share_beside(self) -> int:
        """Return the share by the Ingress that stands beside the team's, of what that leads to."""
        plain, beside = (self.api.look(INGRESSES, SPACE, name) for name in (NAME, CANARY))
        if plain is None or beside is None:
            return 0
        notes, rules = beside["metadata"].get("annotations") or {}, beside["spec"]["rules"]
        hosts = {rule["host"] for rule in plain["spec"]["rules"]}
        merged = all(rule["host"] in hosts for rule in rules)
        return int(notes.get(f"{PREFIX}/canary-weight", 0)) if merged else 0

    def _share_of_pods(self) -> int:
        selection = service_selector(service())
        ready = [
            pod["metadata"]["name"].startswith(f"{CANARY}-")
            for pod in self.api.peek(PODS)
            if pod["metadata"]["namespace"] == SPACE
            and is_ready(pod)
            and selects(selection, pod["metadata"]["labels"])
        ]
        return max(1, round(100 * sum(ready) / len(ready))) if any(ready) else 0

    def serving(self) -> dict[str, int]:
        """Return how many ready pods of the target there are, by image."""
        found: dict[str, int] = {}
        for pod in self.target_pods():
            if is_ready(pod):
                found[image_of(pod)] = found.get(image_of(pod), 0) + 1
        return found

    def target_pods(self) -> list[Json]:
        """Return the pods of the target's own ReplicaSets."""
        own = {
            one["metadata"]["uid"]
            for one in self.api.peek(REPLICASETS)
            if one["metadata"]["namespace"] == SPACE
            and one["metadata"]["name"].startswith(f"{NAME}-")
            and not one["metadata"]["name"].startswith(f"{CANARY}-")
        }
        return [
            pod
            for pod in self.api.peek(PODS)
            if pod["metadata"]["ownerReferences"][0]["uid"] in own
        ]

    def sizes(self) -> dict[str, int]:
        """Return how many pods the target's ReplicaSets are to have, by image.

        Several of them have the same image where a team has restarted its pods.
        """
        found: dict[str, int] = {}
        for one in self.revisions():
            image = image_of(one["spec"]["template"])
            found[image] = found.get(image, 0) + one["spec"]["replicas"]
        return found

    def revisions(self) -> list[Json]:
        """Return the ReplicaSets of the target that is there now, parked ones with them."""
        found = self.api.look(DEPLOYMENTS, *PLACE)
        uid = None if found is None else found["metadata"]["uid"]
        return [
            one
            for one in self.api.peek(REPLICASETS)
            if one["metadata"]["namespace"] == SPACE
            and uid in {owner_of(one), (one["metadata"].get("labels") or {}).get(PARKED)}
        ]

    def parked(self, name: str = NAME) -> list[Json]:
        """Return the ReplicaSets that are kept out of a target's choice."""
        return [
            one
            for one in self.api.peek(REPLICASETS)
            if PARKED in (one["metadata"].get("labels") or {})
            and one["metadata"]["name"].startswith(f"{name}-")
        ]

    def said(self) -> list[str]:
        """Return the reasons of all events, in order."""
        return [one["reason"] for one in self.api.peek(EVENTS)]

    # --- what time brings ------------------------------------------------------------------------

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """Have controllers and an analyzer work while the context lasts."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._surroundings()),
                group.create_task(self.installation.run()),
            ]
            try:
                yield
            finally:
                self.installation.kill()
                for task in tasks:
                    task.cancel()

    async def _surroundings(self) -> None:
        seen = -1
        while True:
            while self.api.version != seen:
                seen = self.api.version
                await asyncio.sleep(LAG)
                self.others.step()
            self._written.clear()
            with suppress(TimeoutError):
                # Deadlines of the controllers pass without a change.
                async with asyncio.timeout(60):
                    await self._written.wait()
            self.others.step()

    async def until(self, what: str, look: Callable[[], bool], most: float = LONGEST) -> None:
        """Wait until there is something to see.

        Args:
            what: its name, for who reads the failure.
            look: tells whether it is there.
            most: seconds that it may take.

        Raises:
            AssertionError: it does not come.

        """
        loop = asyncio.get_running_loop()
        end = loop.time() + most
        while not look():
            if loop.time() >= end:
                raise AssertionError(f"{what}: never; {self.summary()}")
            await asyncio.sleep(LAG)

    def reason(self) -> str:
        """Return the reason of the Canary's condition."""
        return str(self._condition().get("reason", ""))

    def message(self) -> str:
        """Return the message of the Canary's condition."""
        return str(self._condition().get("message", ""))

    def _condition(self) -> Json:
        conditions = self.status().get("conditions") or [{}]
        return dict(conditions[0])

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    def summary(self) -> dict[str, Any]:
        """Return what there is to be seen, for who reads a failure."""
        target, status = self.api.look(DEPLOYMENTS, *PLACE), self.status()
        return {
            "phase": status.get("phase"),
            "message": [one.get("message") for one in status.get("conditions") or ()],
            "weight": self.weight(),
            "canary": self.canary_image(),
            "serving": self.serving(),
            "marks": {} if target is None else target["metadata"].get("annotations"),
            "paused": None if target is None else target["spec"].get("paused"),
            "lives": self.installation.lives,
            "said": self.said()[-6:],
        }


_NEXT_RULES: Final = [
    {
        "matches": [{"path": {"type": "PathPrefix", "value": "/api"}}],
        "backendRefs": [{"name": NEXT, "port": 80}],
    }
]


def deployment(image: str, replicas: int = 2, **spec: Any) -> Json:
    """Return the target as its team writes it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": SPACE, "labels": {"app": NAME}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": NAME}},
            "template": {
                "metadata": {"labels": {"app": NAME}},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
            **spec,
        },
    }


def service() -> Json:
    """Return the stable Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": SPACE},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def backends_of(found: Json) -> list[Json]:
    """Return the backends of a route's first rule."""
    spec = found["spec"]
    if "http" in spec:
        return [
            {**it, "name": it["destination"]["host"]}
            for rule in spec["http"]
            for it in rule["route"]
        ]
    if "weighted" in spec:
        return list(spec["weighted"]["services"])
    backends: list[Json] = (
        spec["routes"][0]["services"] if "routes" in spec else spec["rules"][0]["backendRefs"]
    )
    return backends


def route(kind: str = HTTPROUTES.kind) -> Json:
    """Return the team's route."""
    if kind == HTTPPROXIES.kind:
        return {
            "apiVersion": HTTPPROXIES.api_version,
            "kind": kind,
            "metadata": {"name": NAME, "namespace": SPACE},
            "spec": {
                "virtualhost": {"fqdn": "web.example"},
                "routes": [{"services": [{"name": NAME, "port": 80}]}],
            },
        }
    if kind == INGRESSES.kind:
        return ingress("web.example")
    if kind == VIRTUALSERVICES.kind:
        return {
            "apiVersion": VIRTUALSERVICES.api_version,
            "kind": kind,
            "metadata": {"name": NAME, "namespace": SPACE},
            "spec": {
                "hosts": ["web.example"],
                "http": [{"route": [{"destination": {"host": NAME}}]}],
            },
        }
    if kind == INGRESSROUTES.kind:
        return {
            "apiVersion": INGRESSROUTES.api_version,
            "kind": kind,
            "metadata": {"name": NAME, "namespace": SPACE},
            "spec": {
                "routes": [
                    {"match": "Host(`web.example`)", "services": [{"name": NAME, "port": 80}]}
                ]
            },
        }
    if kind == TRAEFIKSERVICES.kind:
        return {
            "apiVersion": TRAEFIKSERVICES.api_version,
            "kind": kind,
            "metadata": {"name": NAME, "namespace": SPACE},
            "spec": {"weighted": {"services": [{"name": NAME, "port": 80}]}},
        }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": NAME, "namespace": SPACE},
        "spec": {
            "parentRefs": [{"name": "gateway"}],
            "rules": [{"backendRefs": [{"name": NAME, "port": 80}]}],
        },
    }


def ingress(*hosts: str) -> Json:
    """Return the team's Ingress."""
    backend = {"service": {"name": NAME, "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    return {
        "apiVersion": INGRESSES.api_version,
        "kind": INGRESSES.kind,
        "metadata": {"name": NAME, "namespace": SPACE},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": host, "http": {"paths": paths}} for host in hosts],
        },
    }


def canary(**analysis: Any) -> Json:
    """Return the team's Canary: two steps of ten seconds, one metric.

    Args:
        analysis: what it says beside that; iterations take the place of the steps.

    """
    steps = {} if "iterations" in analysis else {"stepWeights": [20, 50]}
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": NAME, "namespace": SPACE, "annotations": {EVIDENCE: "off"}},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "service": {"name": NAME, "port": 80},
            "analysis": {
                "interval": "10s",
                "threshold": 2,
                **steps,
                "metrics": [
                    {
                        "name": "errors",
                        "query": 'errors{pod=~"{{ target }}-.*"}',
                        "thresholdRange": {"max": 1},
                    }
                ],
                **analysis,
            },
        },
    }


def renamed(obj: Json, name: str) -> Json:
    """Return an object of another app's, which is nobody's business."""
    text = orjson.dumps(obj).replace(b'"web"', orjson.dumps(name))
    found: Json = orjson.loads(text)
    return found
