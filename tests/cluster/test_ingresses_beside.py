"""What stands beside an Ingress, as a real API server stores it, with the rights that are granted.

The API server is the test's own: there is no controller behind it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from analyzer.routers.chosen import Chosen
from canary.contract import ANALYZER_USER
from canary.model.steps import Step
from canary.model.strategy import Strategy
from canary.model.traffic import NOTHING, Comparison, Condition, RequestMatch, Traffic
from canary.model.values import Json, Key
from canary.routes.nginx import PREFIX
from runtime.kube import Cluster
from tests.cluster.kit import MANIFESTS, Kubectl, wait_for
from tests.cluster.own_api_server import own_api_server

pytestmark = pytest.mark.cluster
FOUND = Strategy(
    interval=timedelta(seconds=10),
    threshold=1,
    steps=(Step(traffic=Traffic(100)),),
    service_name="web",
)
NAMED = replace(FOUND, routed_by=("Ingress",), ingress="shop", provider="nginx")
WEB = Key(namespace="prod", name="web")
OURS = "shop-web-canary"
INSIDER = RequestMatch(headers=(Condition(name="x", by=Comparison.EXACT, value="in"),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A namespace, and who may split what is in it."""

    kubectl: Kubectl
    analyzer: Cluster


def target() -> Json:
    """Return a target that no controller runs."""
    labels = {"app": "web"}
    containers = [{"name": "app", "image": "web:1"}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }


def ingress(*hosts: str, **spec: object) -> Json:
    """Return the team's Ingress, with ports by number and by name."""
    paths = [
        {"path": path, "pathType": kind, "backend": {"service": {"name": name, "port": port}}}
        for path, kind, name, port in (
            ("/", "Prefix", "web", {"number": 80}),
            ("/v2/.*", "ImplementationSpecific", "web", {"name": "http"}),
            ("/api", "Exact", "api", {"number": 80}),
        )
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "shop"},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": host, "http": {"paths": paths}} for host in hosts],
            **spec,
        },
    }


@pytest.fixture
async def team(admin: Kubectl, tmp_path: Path) -> AsyncIterator[Team]:
    with own_api_server(tmp_path, admin.program, "--authorization-mode=RBAC") as server:
        kubectl = server.kubectl
        for namespace in ("prod", "headgate-system"):
            kubectl("create", "namespace", namespace)
        kubectl("apply", "-f", str(MANIFESTS / "rbac" / "analyzer.yaml"))
        async with Cluster.connect(server.analyzer) as analyzer:
            yield Team(kubectl=kubectl.within("prod"), analyzer=analyzer)


async def test_it_is_made_followed_and_taken_away_where_that_is_granted(team: Team) -> None:
    kubectl = team.kubectl
    kubectl.apply(target())
    kubectl.apply(ingress("shop.example"))
    [said] = await Chosen(team.analyzer).in_the_way(WEB, NAMED, {})
    assert said.startswith("Headgate has no right to ingresses")
    kubectl("apply", "-f", str(MANIFESTS / "route-rights" / "nginx" / "rights.yaml"))
    granted = ("auth", "can-i", "delete", "ingresses", "--as", ANALYZER_USER)
    wait_for("the rights", lambda: kubectl.run(*granted).returncode == 0, 30)

    router = Chosen(team.analyzer)
    before = kubectl.get("ingresses", "shop")
    for strategy in (FOUND, NAMED):
        await _is_split(kubectl, router, strategy)
    after = kubectl.get("ingresses", "shop")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    await _is_followed(kubectl, router)


async def _is_split(kubectl: Kubectl, router: Chosen, strategy: Strategy) -> None:
    matched = Traffic(100, match=(INSIDER,))
    for traffic in (Traffic(20), matched, Traffic(30), NOTHING, Traffic(1)):
        await router.write_split(WEB, strategy, traffic)
        found = await router.read_split(WEB, strategy)
        assert (found.routes, found.lacks(traffic)) == (1, False)
        stands = kubectl.get("ingresses", OURS)["metadata"]
        assert (f"{PREFIX}/canary-by-header" in stands["annotations"]) is bool(traffic.match)
        await router.write_split(WEB, strategy, traffic)
        assert kubectl.get("ingresses", OURS)["metadata"] == stands
    assert await router.clean(WEB)
    assert [it["metadata"]["name"] for it in kubectl.items("ingresses")] == ["shop"]


async def _is_followed(kubectl: Kubectl, router: Chosen) -> None:
    await router.write_split(WEB, FOUND, Traffic(20))
    fallback = {"service": {"name": "web", "port": {"number": 80}}}
    tls = [{"hosts": ["new.example"], "secretName": "new"}]
    for edited in (
        ingress("shop.example", "new.example", tls=tls, defaultBackend=fallback),
        ingress("new.example"),
    ):
        kubectl.apply(edited)
        assert (await router.read_split(WEB, FOUND)).lacks(Traffic(20))
        await router.write_split(WEB, FOUND, Traffic(20))
        assert not (await router.read_split(WEB, FOUND)).lacks(Traffic(20))
        ours, theirs = (kubectl.get("ingresses", name)["spec"] for name in (OURS, "shop"))
        assert ours.keys() == theirs.keys()
        assert ours.get("tls") == theirs.get("tls")
        assert [it["host"] for it in ours["rules"]] == [it["host"] for it in theirs["rules"]]
        assert all(len(it["http"]["paths"]) == 2 for it in ours["rules"])
    await router.clean(WEB)
