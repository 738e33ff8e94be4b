"""A real Traefik carries the shares that are written, and loses nothing when they change.

It is a second implementation of the Gateway API too, beside Contour.
"""

import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from analyzer.ports import SplitRefused
from canary.counting.derive import Ratio, derive
from canary.model.strategy import Builtin
from canary.model.traffic import NOTHING, Comparison, Condition, RequestMatch, Traffic
from canary.model.values import Json
from canary.queries.builtin import builtin_queries, sources_of
from sandbox import addons, builds, paths
from sandbox.gateways import TRAEFIK_BUILD
from tests.cluster.own_api_server import free_port, running
from tests.peers.gateways import (
    HOST,
    Shop,
    Visitor,
    answer,
    answers,
    http_route,
    of_gateway_api,
    see_users_kept,
    service,
    shop,
    until,
    until_alone,
    until_met,
    until_share,
)

pytestmark = [pytest.mark.peer, pytest.mark.timeout(3600)]
OWN_KINDS = ("IngressRoute", "TraefikService")
KINDS = (*OWN_KINDS, "HTTPRoute")
CLASS = "traefik"
INSIDER = RequestMatch(headers=(Condition(name="X-Canary", by=Comparison.PREFIX, value="in`"),))
MATCHING = {"X_Canary": "in`sider"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Where a Traefik listens, and where it says what it has counted."""

    port: int
    metrics: int


@contextmanager
def traefik(cluster: Shop, folder: Path, *, empty_services: bool) -> Iterator[Gateway]:
    """Run one that reads the API server of a shop."""
    port, metrics = free_port(), free_port()
    command: list[str | Path] = [
        paths.binary(TRAEFIK_BUILD, TRAEFIK_BUILD.programs[0]),
        f"--entryPoints.web.address=127.0.0.1:{port}",
        f"--entryPoints.metrics.address=127.0.0.1:{metrics}",
        "--metrics.prometheus=true",
        "--metrics.prometheus.entryPoint=metrics",
        "--providers.kubernetesCRD=true",
        f"--providers.kubernetesCRD.allowEmptyServices={str(empty_services).lower()}",
        "--providers.kubernetesGateway=true",
        "--providers.providersThrottleDuration=100ms",
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
        "--log.level=INFO",
    ]
    env = {**os.environ, "KUBECONFIG": str(cluster.server.folder / "admin.kubeconfig")}
    with running(folder / f"traefik-{port}.log", command, env):
        yield Gateway(port=port, metrics=metrics)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    builds.ensure((TRAEFIK_BUILD,))
    with shop(tmp_path_factory.mktemp("traefik"), _crds()) as found:
        yield found


def _crds() -> list[Json]:
    return [*addons.traefik_crds(), *addons.newer_gateway_crds()]


@pytest.fixture(scope="module")
def gateway(cluster: Shop) -> Iterator[Gateway]:
    with traefik(cluster, cluster.server.folder, empty_services=True) as found:
        cluster.server.kubectl.within("prod").apply(
            of_gateway_api(
                "GatewayClass", CLASS, {"controllerName": "traefik.io/gateway-controller"}
            )
        )
        listener = {"name": "web", "protocol": "HTTP", "port": found.port}
        spec = {"gatewayClassName": CLASS, "listeners": [listener]}
        cluster.server.kubectl.within("prod").apply(of_gateway_api("Gateway", "public", spec))
        yield found


def written(kind: str, name: str, spec: Json) -> Json:
    api_version = "traefik.io/v1alpha1"
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def ingress_route(*routes: Json) -> Json:
    return written("IngressRoute", "shop", {"entryPoints": ["web"], "routes": list(routes)})


@pytest.fixture(params=KINDS)
def led(cluster: Shop, gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[str]:
    """Have a kind lead to the Service, until the test is over."""
    kubectl = cluster.server.kubectl.within("prod")
    to = service("web")
    if request.param == "HTTPRoute":
        kubectl.apply(http_route({"backendRefs": [to]}))
    elif request.param == "TraefikService":
        weighted = {"services": [service("web")]}
        kubectl.apply(written("TraefikService", "weighted", {"weighted": weighted}))
        to = {"name": "weighted", "kind": "TraefikService"}
    if request.param != "HTTPRoute":
        kubectl.apply(ingress_route({"match": f"Host(`{HOST}`)", "services": [to]}))
    until("the stable", lambda: answer(gateway.port) == "web")
    yield request.param
    cluster.clean()
    kubectl("delete", "ingressroutes,traefikservices,httproutes", "--all")
    cluster.serves("web-canary")  # also where the test has failed, which is nobody else's fault
    until_alone(gateway.port, "404")


@pytest.mark.parametrize("share", [1, 20, 55, 100])
def test_a_share_is_carried_to_the_request(
    cluster: Shop, gateway: Gateway, led: str, share: int
) -> None:
    del led
    cluster.split(Traffic(share))
    until_met(gateway.port, "web-canary")
    found = answers(gateway.port, 400)
    assert found.keys() <= {"web", "web-canary"}
    assert abs(found["web-canary"] - 4 * share) <= 2
    cluster.split(NOTHING)
    until_alone(gateway.port, "web")


def test_no_request_is_lost_when_shares_change(cluster: Shop, gateway: Gateway, led: str) -> None:
    del led
    with Visitor(gateway.port) as one, Visitor(gateway.port) as other:
        for share in (10, 50, 100, 30):
            cluster.split(Traffic(share))
            until_share(cluster, gateway.port, share)
        cluster.split(NOTHING)
        until_alone(gateway.port, "web")
        cluster.serves("web-canary", ready=False)
        cluster.clean()
        before = one.seen.total()
        until("more requests", lambda: one.seen.total() > before + 200)
    seen = one.seen + other.seen
    assert seen["web-canary"] > 0
    assert not one.failed + other.failed, f"{seen.total()} requests"


def test_what_matches_comes_to_the_canary_and_nothing_else_does(
    cluster: Shop, gateway: Gateway
) -> None:
    kubectl = cluster.server.kubectl.within("prod")
    host = f"Host(`{HOST}`)"
    # One is more special, one has exactly the priority that the canary's route gets.
    narrow = {"match": f"{host} && PathPrefix(`/api`)", "services": [service("other")]}
    beside = {
        "match": "Path(`/beside`)",
        "priority": len(host) + 1,
        "services": [service("other")],
    }
    kubectl.apply(ingress_route({"match": host, "services": [service("web")]}, narrow, beside))
    until("the stable", lambda: answer(gateway.port) == "web")
    cluster.split(Traffic(100, match=(INSIDER,)))
    until("the canary", lambda: answer(gateway.port, **MATCHING) == "web-canary")
    assert answers(gateway.port, 50, **MATCHING) == {"web-canary": 50}
    assert answers(gateway.port, 50) == {"web": 50}
    assert answers(gateway.port, 20, X_Canary="an in`sider") == {"web": 20}
    for path in ("/api/1", "/beside"):
        assert answers(gateway.port, 50, path, **MATCHING) == {"other": 50}
    cluster.clean()
    until("the stable", lambda: answer(gateway.port, **MATCHING) == "web")
    kubectl("delete", "ingressroutes", "--all")
    until_alone(gateway.port, "404")


def test_what_matches_an_http_route_comes_to_the_canary_and_is_confirmed(
    cluster: Shop, gateway: Gateway
) -> None:
    kubectl = cluster.server.kubectl.within("prod")
    path = {"path": {"type": "PathPrefix", "value": "/api"}}
    narrow = {"matches": [path], "backendRefs": [service("other")]}
    kubectl.apply(http_route({"backendRefs": [service("web")]}, narrow))
    until("the stable", lambda: answer(gateway.port) == "web")
    cluster.split(Traffic(100, match=(INSIDER,)))
    until("the canary", lambda: answer(gateway.port, **MATCHING) == "web-canary")
    until("a word of the gateway", cluster.confirmed)
    assert answers(gateway.port, 50, **MATCHING) == {"web-canary": 50}
    assert answers(gateway.port, 50) == {"web": 50}
    assert answers(gateway.port, 50, "/api/1", **MATCHING) == {"other": 50}
    cluster.clean()
    kubectl("delete", "httproutes", "--all")
    until_alone(gateway.port, "404")


@pytest.mark.parametrize("led", ["HTTPRoute"], indirect=True)
def test_users_of_an_http_route_are_kept(cluster: Shop, gateway: Gateway, led: str) -> None:
    del led
    see_users_kept(cluster, gateway.port)


@pytest.mark.parametrize("led", ["HTTPRoute"], indirect=True)
def test_no_copy_is_asked_for_by_an_http_route(cluster: Shop, gateway: Gateway, led: str) -> None:
    """Traefik answers 500 where a mirror is asked for, and says that it accepts the route."""
    with pytest.raises(SplitRefused, match="Traefik copies no requests"):
        cluster.split(Traffic(mirror=100))
    assert answers(gateway.port, 50) == {"web": 50}

    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": service("other")}}
    kubectl = cluster.server.kubectl.within("prod")
    kubectl.apply(http_route({"filters": [mirror], "backendRefs": [service("web")]}))
    until_alone(gateway.port, "500")
    found = kubectl.get(led, "shop")
    [said] = found["status"]["parents"]
    known = [(it["status"], it["observedGeneration"]) for it in said["conditions"]]
    assert set(known) == {("True", found["metadata"]["generation"])}


@pytest.mark.parametrize("led", OWN_KINDS, indirect=True)
def test_a_canary_without_pods_costs_its_own_share_alone_where_traefik_allows_for_it(
    cluster: Shop, gateway: Gateway, led: str
) -> None:
    """And all requests where it does not, unless the canary has nothing: what the page says."""
    del led
    with traefik(cluster, cluster.server.folder, empty_services=False) as strict:
        cluster.split(Traffic(20))
        for it in (gateway, strict):
            until_met(it.port, "web-canary")
        cluster.serves("web-canary", ready=False)
        until("no canary", lambda: "web-canary" not in answers(gateway.port, 50))
        found = answers(gateway.port, 200)
        assert found.keys() == {"web", "503"}
        # Traefik takes the earliest of times that it sums up in floating point: one is early or
        # late now and then, so that of any 200 in a row 39 to 41 are the canary's.
        assert abs(found["503"] - 40) <= 1
        until_alone(strict.port, "404")
        cluster.split(NOTHING)
        for it in (gateway, strict):
            until_alone(it.port, "web")


@pytest.mark.parametrize("led", OWN_KINDS, indirect=True)
def test_the_series_of_both_sides_are_those_that_the_built_in_metrics_read(
    cluster: Shop, gateway: Gateway, led: str
) -> None:
    del led
    cluster.split(Traffic(25))
    until_met(gateway.port, "web-canary")
    # What a former split has left goes after it was read once.
    until("series that rest", lambda: of_both(gateway) == of_both(gateway))
    before = of_both(gateway)
    found = answers(gateway.port, 200)
    for name in ("web", "web-canary"):
        assert counted(gateway, name) - before[name] == found[name]


def of_both(gateway: Gateway) -> dict[str, int]:
    return {name: counted(gateway, name) for name in ("web", "web-canary")}


def counted(gateway: Gateway, name: str) -> int:
    """Return how many requests a side has had, by the series of its built-in query."""
    [query, _] = builtin_queries(
        Builtin.SUCCESS_RATE,
        namespace="prod",
        service=name,
        workload=name,
        interval=timedelta(minutes=1),
        split="web",
        sources=sources_of("traefik"),
    )
    read = derive(query.query, minimum=99, maximum=None)
    assert isinstance(read, Ratio)
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.metrics}/metrics") as page:
        families = text_string_to_metric_families(page.read().decode())
        return sum(
            int(sample.value) * read.role({"__name__": sample.name, **sample.labels})[1]
            for family in families
            for sample in family.samples
        )
