"""Routes of every kind that are applied again in mid-run, with the rights that are granted.

API server and webhook are the test's own, with the CRDs of the cluster's.
"""

import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
import yaml

from analyzer.loop.surroundings import Surroundings
from analyzer.ports import SplitRefused
from analyzer.routers.adopted import AdoptedRoutes
from analyzer.routers.kinds import BESIDE, RESOURCES
from analyzer.routers.standing import missing
from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL, SPLIT
from canary.model.steps import Step
from canary.model.strategy import BalancedRoute, GatewayRoute, MeshRoute, ProxyRoute, Strategy
from canary.model.traffic import (
    Affinity,
    Comparison,
    Condition,
    RequestMatch,
    SameSite,
    Traffic,
)
from canary.model.values import Json, Key
from canary.routes.from_service import route_from_service
from canary.routes.known import DIALECTS
from canary.routes.mark import Mark, TargetSplit
from runtime.kube import Cluster
from runtime.resources import REFERENCEGRANTS
from sandbox import addons
from tests.cluster.kit import (
    MANIFESTS,
    Kubectl,
    destination_rule,
    ingress_route,
    proxy,
    route,
    traefik_service,
    virtual_service,
    wait_for,
)
from tests.cluster.own_api_server import free_port, own_api_server
from tests.cluster.test_validated import at_our_address, webhook

pytestmark = pytest.mark.cluster
STRATEGY = Strategy(
    interval=timedelta(seconds=10),
    threshold=1,
    steps=(Step(traffic=Traffic(100)),),
    service_name="web",
)
WEB = Key(namespace="prod", name="web")
OWNER = {
    "apiVersion": "flagger.app/v1beta1",
    "kind": "Canary",
    "name": "web",
    "uid": "00000000-0000-0000-0000-000000000001",
}
SERVICE_WEB = {"group": "", "kind": "Service", "name": "web", "port": 80}
MESH = {"group": "", "kind": "Service", "name": "web"}
OWN = (
    GatewayRoute(parents=({"name": "contour"},), hosts=("own.example",)),
    GatewayRoute(parents=(SERVICE_WEB,)),
    GatewayRoute(parents=({**SERVICE_WEB, "group": "core", "namespace": "prod"},)),
    GatewayRoute(parents=(SERVICE_WEB, {"name": "contour"}), kind="GRPCRoute"),
    GatewayRoute(
        parents=({"name": "contour"},),
        hosts=("own.example",),
        rule={"matches": [{"method": {"type": "Exact", "service": "shop.Cart"}}]},
        kind="GRPCRoute",
    ),
    ProxyRoute(
        routes=(
            {
                "conditions": [{"prefix": "/"}, {"header": {"name": "x", "regex": "a.*"}}],
                "timeoutPolicy": {"response": "15s", "idle": "5m"},
                "retryPolicy": {"count": 2, "perTryTimeout": "1s"},
            },
        )
    ),
    MeshRoute(
        hosts=("own.example", "web"),
        gateways=("istio-system/public",),
        rule={
            "match": [{"uri": {"prefix": "/"}, "sourceLabels": {"app": "shop"}}],
            "retries": {"attempts": 2, "perTryTimeout": "1s"},
        },
        traffic_policy={"outlierDetection": {"consecutive5xxErrors": 3, "interval": "10s"}},
    ),
    BalancedRoute(),
)
HEADER = Condition(name="x-canary", by=Comparison.EXACT, value="in.sider")
COOKIE = Condition(name="cookie", by=Comparison.REGEX, value="^(.*?;)?(a=b)(;.*)?$")
PARAM = Condition(name="user", by=Comparison.PREFIX, value="beta-")
INSIDERS = (RequestMatch(headers=(HEADER, COOKIE)), RequestMatch(params=(PARAM,)))
KEPT = Affinity(
    cookie="met",
    primary_cookie="met-too",
    domain="own.example",
    path="/",
    http_only=True,
    secure=True,
    same_site=SameSite.LAX,
    partitioned=True,
)
SHAPES = {
    "a share": Traffic(30),
    "all": Traffic(100),
    "a match": Traffic(100, match=INSIDERS),
    "a part of a match": Traffic(30, match=INSIDERS[:1]),
    "a mirror": Traffic(0, mirror=100),
    "a mirror of some": Traffic(0, mirror=30),
    "a share by cookie": Traffic(30, affinity=KEPT).of_run("web candidate@1"),
}
SAID = {
    "HTTPRoute": set(SHAPES),
    "GRPCRoute": {"a share", "all"},
    "HTTPProxy": set(SHAPES) - {"a share by cookie"},
    "VirtualService": set(SHAPES),
    "IngressRoute": {"a share", "all", "a match", "a part of a match"},
    "TraefikService": {"a share", "all"},
}
"""What each kind carries; all else it refuses, and is left as it was."""
RIGHTS = ("grpcroutes", "contour", "istio", "traefik", "other-namespaces")


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A namespace, and who may split its routes."""

    kubectl: Kubectl
    analyzer: Cluster


@pytest.fixture
async def team(admin: Kubectl, tmp_path: Path) -> AsyncIterator[Team]:
    authority, port = trustme.CA(), free_port()
    with (
        own_api_server(tmp_path, admin.program, "--authorization-mode=RBAC") as server,
        ExitStack() as stack,
    ):
        kubectl = server.kubectl
        kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(crds()))
        for namespace in ("prod", "edge", "headgate-system"):
            kubectl("create", "namespace", namespace)
        kubectl("label", "namespace", "prod", f"{NAMESPACE_LABEL}={NAMESPACE_ENABLED}")
        kubectl("apply", "-f", str(MANIFESTS / "rbac" / "analyzer.yaml"))
        webhook(authority, port, tmp_path, stack)
        kubectl.apply(_of_routes(at_our_address("webhook-configuration", port, authority)))
        for resource in RESOURCES.values():
            served = ("get", f"{resource.plural}.{resource.group}", "-A")
            wait_for("the kinds", lambda: kubectl.run(*served).returncode == 0, 30)  # noqa: B023
        async with Cluster.connect(server.analyzer) as analyzer:
            yield Team(kubectl=kubectl.within("prod"), analyzer=analyzer)


def crds() -> list[Json]:
    """Return the definitions of all kinds of routes, and of what stands beside them."""
    found = [*addons.crds(), *addons.istio_crds(), *addons.traefik_crds()]
    kinds = {*RESOURCES, *BESIDE, REFERENCEGRANTS.kind}
    return [it for it in found if it["spec"]["names"]["kind"] in kinds]


def _of_routes(configuration: Json) -> Json:
    mine = [it for it in configuration["webhooks"] if it["name"] == "routes.headgate.dev"]
    return {**configuration, "webhooks": mine}


def made(kind: str, host: str) -> Json:
    if kind == "HTTPProxy":
        return proxy(host)
    if kind == "VirtualService":
        return virtual_service(host)
    if kind == "IngressRoute":
        return ingress_route(host)
    if kind == "TraefikService":
        return traefik_service()
    return {**route(host), "kind": kind}


def in_a_mesh(written: Json, *parents: Json) -> Json:
    """Return a route of the Gateway API that has other parents, and a Service's names as hosts."""
    rest = {key: it for key, it in written["spec"].items() if key != "hostnames"}
    return {**written, "spec": {**rest, "parentRefs": list(parents or (SERVICE_WEB,))}}


def edited(written: Json) -> Json:
    """Return a route with the team's own edit, beside its backends."""
    found: Json = {**written, "spec": {**written["spec"]}}
    if written["kind"] == "HTTPProxy":
        [first] = written["spec"]["routes"]
        found["spec"]["routes"] = [{**first, "timeoutPolicy": {"response": "7s"}}]
    elif written["kind"] == "VirtualService":
        [first] = written["spec"]["http"]
        found["spec"]["http"] = [{**first, "timeout": "7s"}]
    elif written["kind"] == "IngressRoute":
        [first] = written["spec"]["routes"]
        found["spec"]["routes"] = [{**first, "middlewares": [{"name": "limit"}]}]
    elif written["kind"] == "TraefikService":
        weighted = written["spec"]["weighted"]
        found["spec"]["weighted"] = {**weighted, "sticky": {"cookie": {"name": "version"}}}
    else:
        [first] = written["spec"]["rules"]
        change = {"requestHeaderModifier": {"remove": ["x-debug"]}}
        found["spec"]["rules"] = [
            {**first, "filters": [{"type": "RequestHeaderModifier", **change}]}
        ]
    return found


def share(kind: str, stored: Json) -> int:
    [dialect] = [it for it in DIALECTS if it.kind == kind]
    split = TargetSplit(stable="web", canary="web-canary")
    [found] = dialect.carried(stored, split)
    return found.weight


async def test_every_kind_is_split_where_it_is_granted_and_does_not_drift(team: Team) -> None:
    kubectl = team.kubectl
    of_contour = replace(STRATEGY, routed_by=("HTTPProxy",))
    before = AdoptedRoutes(team.analyzer)
    assert (await before.read_split(WEB, STRATEGY)).routes == 0
    [said] = await before.in_the_way(WEB, of_contour, {})
    assert said.startswith("Headgate has no right to httpproxies")
    for name in RIGHTS:
        kubectl("apply", "-f", str(MANIFESTS / "route-rights" / name / "rights.yaml"))

    for kind in RESOURCES:
        for server_side in (False, True):
            await _is_held_through_applies(team, kind, server_side=server_side)
            kubectl("delete", RESOURCES[kind].plural, "web")
    for kind in ("HTTPRoute", "GRPCRoute"):
        for parents in ((SERVICE_WEB,), (MESH, {"name": "contour"})):
            await _is_held_through_applies(team, kind, server_side=True, parents=parents)
            kubectl("delete", RESOURCES[kind].plural, "web")
        await _is_followed_in_a_mesh(team, kind)
        await _is_let_in(team, kind)
    await _is_treated_alike(team)
    await _are_valid(team)
    for own in OWN:
        await _is_made(team, replace(STRATEGY, own_route=own, service_port=80))


async def _is_treated_alike(team: Team) -> None:
    kubectl, policy = team.kubectl, {"tls": {"mode": "SIMPLE"}}
    kubectl.apply(virtual_service())
    kubectl.apply(destination_rule("web", policy))
    ports = [{"port": 80}]
    for name in ("web", "web-canary"):
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}
        kubectl.apply({**service, "spec": {"ports": ports}})
    for weight in (10, 20):
        await AdoptedRoutes(team.analyzer).write_split(WEB, STRATEGY, Traffic(weight))
    found = kubectl.get("destinationrule", "web-canary")
    assert found["spec"] == {"host": "web-canary", "trafficPolicy": policy}
    owner = found["metadata"]["ownerReferences"][0]
    assert owner["uid"] == kubectl.get("service", "web-canary")["metadata"]["uid"]
    for kind in ("virtualservice", "destinationrule", "service"):
        kubectl("delete", kind, "--all")


async def _are_valid(team: Team) -> None:
    kubectl = team.kubectl
    for kind, resource in RESOURCES.items():
        written = made(kind, f"{kind.lower()}.example")
        written["spec"].pop("tcp", None)  # connections carry shares alone
        kubectl.apply(written)
        plain = kubectl.get(resource.plural, "web")
        for shape, traffic in SHAPES.items():
            await _is_valid(team, plain, traffic, said=shape in SAID[kind])
        assert kubectl.get(resource.plural, "web")["spec"] == plain["spec"]
        kubectl("delete", resource.plural, "web")


async def _is_valid(team: Team, plain: Json, traffic: Traffic, *, said: bool) -> None:
    """What is stored is all that was to be written, and has no field that the schema lacks."""
    kind, router = plain["kind"], AdoptedRoutes(team.analyzer)
    if said:
        await router.write_split(WEB, STRATEGY, traffic)
    else:
        with pytest.raises(SplitRefused):
            await router.write_split(WEB, STRATEGY, traffic)
    stored = team.kubectl.get(RESOURCES[kind].plural, "web")
    assert (stored["spec"] != plain["spec"]) is said
    [dialect] = [it for it in DIALECTS if it.kind == kind]
    assert missing(dialect, stored) is None, "a field was dropped"
    # As it is made, before anybody who stores it could drop anything.
    wanted = Mark().having("web", TargetSplit(stable="web", canary="web-canary", traffic=traffic))
    as_made = {**plain, "spec": dialect.with_traffic(plain, wanted).spec}
    _are_taken(team.kubectl, stored, as_made)
    await router.clean(WEB)


def _are_taken(kubectl: Kubectl, *objects: Json) -> None:
    """Have the API server check every field of objects strictly, and store nothing."""
    flags = ("--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts")
    text = yaml.safe_dump_all([_as_sent(it) for it in objects])
    kubectl("apply", *flags, "-f", "-", stdin=text)


def _as_sent(obj: Json) -> Json:
    kept = ("name", "namespace", "labels", "annotations", "ownerReferences")
    metadata = {key: it for key, it in obj["metadata"].items() if key in kept}
    return {**{key: it for key, it in obj.items() if key != "status"}, "metadata": metadata}


async def _is_made(team: Team, strategy: Strategy) -> None:
    own, router = strategy.own_route, AdoptedRoutes(team.analyzer)
    assert own is not None
    plural = RESOURCES[own.kind].plural
    await router.ensure(WEB, strategy, OWNER)
    _are_taken(team.kubectl, route_from_service(WEB, strategy, OWNER))
    plain = team.kubectl.get(plural, "web")["spec"]
    await router.write_split(WEB, strategy, Traffic(30))
    assert share(own.kind, team.kubectl.get(plural, "web")) == 30
    await router.ensure(WEB, strategy, OWNER)
    assert share(own.kind, team.kubectl.get(plural, "web")) == 30
    await router.clean(WEB)
    assert team.kubectl.get(plural, "web")["spec"] == plain
    team.kubectl("delete", plural, "web")


async def _is_let_in(team: Team, kind: str) -> None:
    """A route of another namespace is split once it is let in and labelled, and given back."""
    edge, plural = team.kubectl.within("edge"), RESOURCES[kind].plural
    written = made(kind, "edge.example")
    written["spec"]["rules"] = [{"backendRefs": [{"name": "web", "namespace": "prod", "port": 80}]}]
    edge("apply", "--server-side", "-f", "-", stdin=json.dumps(written))
    plain = edge.get(plural, "web")["spec"]
    router = AdoptedRoutes(team.analyzer, marked=lambda _: [(kind, "edge", "web")])
    assert (await router.read_split(WEB, STRATEGY)).routes == 0
    [said] = await Surroundings(team.analyzer).left_out("prod", "web")
    assert said.startswith(f"{kind} edge/web of other namespaces name Service prod/web")

    team.kubectl.apply(_grant(kind))
    assert (await router.read_split(WEB, STRATEGY)).routes == 0, "its writes are nobody's to keep"
    edge("label", "namespace", "edge", f"{NAMESPACE_LABEL}={NAMESPACE_ENABLED}")
    assert await Surroundings(team.analyzer).left_out("prod", "web") == ()
    await router.write_split(WEB, STRATEGY, Traffic(30))
    assert (await router.read_split(WEB, STRATEGY)).weight == 30
    split = edge.get(plural, "web")
    refs = split["spec"]["rules"][0]["backendRefs"]
    assert [(it["namespace"], it["name"], it["weight"]) for it in refs] == [
        ("prod", "web", 70),
        ("prod", "web-canary", 30),
    ]
    edge("apply", "--server-side", "-f", "-", stdin=json.dumps(written))
    assert edge.get(plural, "web")["metadata"]["generation"] == split["metadata"]["generation"]

    team.kubectl("delete", "referencegrant", "edge")
    await router.write_split(WEB, STRATEGY, Traffic(60))
    assert edge.get(plural, "web")["spec"] == plain
    edge("delete", plural, "web")
    edge("label", "namespace", "edge", f"{NAMESPACE_LABEL}-")


def _grant(kind: str) -> Json:
    return {
        "apiVersion": REFERENCEGRANTS.api_version,
        "kind": "ReferenceGrant",
        "metadata": {"name": "edge"},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": "edge"}],
            "to": [
                {"group": "", "kind": "Service", "name": name} for name in ("web", "web-canary")
            ],
        },
    }


async def _is_followed_in_a_mesh(team: Team, kind: str) -> None:
    """A mesh says by status whether it has a route; one without backends leads nowhere."""
    kubectl, router = team.kubectl, AdoptedRoutes(team.analyzer)
    plural = RESOURCES[kind].plural
    kubectl.apply(in_a_mesh(made(kind, "web.example")))
    current = {"observedGeneration": kubectl.get(plural, "web")["metadata"]["generation"]}
    _says(kubectl, plural, {**current, "status": "False"})
    with pytest.raises(SplitRefused, match="the mesh does not follow it"):
        await router.write_split(WEB, STRATEGY, Traffic(30))
    assert share(kind, kubectl.get(plural, "web")) == 0
    _says(kubectl, plural, {**current, "status": "True"})
    await router.write_split(WEB, STRATEGY, Traffic(30))
    for seen, status in ((None, "True"), (0, "True"), (1, "True"), (1, "False")):
        generation = kubectl.get(plural, "web")["metadata"]["generation"]
        behind = {} if seen is None else {"observedGeneration": generation - 1 + seen}
        _says(kubectl, plural, {**behind, "status": status})
        assert (await router.read_split(WEB, STRATEGY)).confirmed is bool(seen)
    with pytest.raises(SplitRefused, match=r"Service web says Accepted: False \(Why\)"):
        await router.write_split(WEB, STRATEGY, Traffic(60))
    assert share(kind, kubectl.get(plural, "web")) == 0
    await router.clean(WEB)
    kubectl("delete", plural, "web")

    bare = in_a_mesh(made(kind, "web.example"))
    del bare["spec"]["rules"]
    kubectl.apply(bare)
    assert (await router.read_split(WEB, STRATEGY)).routes == 0
    said = await Surroundings(team.analyzer).unrouted("prod", "web")
    assert f"{kind} web has Service web as its parent and a rule without backendRefs" in said
    kubectl("delete", plural, "web")


def _says(kubectl: Kubectl, plural: str, condition: Json) -> None:
    """Write what a mesh's controller says of a route."""
    now = "2026-01-01T00:00:00Z"
    told = {"reason": "Why", "message": "", "lastTransitionTime": now, **condition}
    conditions = [{**told, "type": kind} for kind in ("Accepted", "ResolvedRefs")]
    parent = {
        "controllerName": "mesh.example/controller",
        "parentRef": {**SERVICE_WEB, "namespace": "prod"},
        "conditions": conditions,
    }
    patch = json.dumps({"status": {"parents": [parent]}})
    kubectl("patch", plural, "web", "--subresource=status", "--type=merge", "-p", patch)


async def _is_held_through_applies(
    team: Team, kind: str, *, server_side: bool, parents: tuple[Json, ...] = ()
) -> None:
    apply = team.kubectl.applier(server_side=server_side)
    kubectl, router = team.kubectl, AdoptedRoutes(team.analyzer)
    plural, written = RESOURCES[kind].plural, made(kind, f"{kind.lower()}.example")
    if parents:
        written = in_a_mesh(written, *parents)
    apply(written)
    plain = kubectl.get(plural, "web")["spec"]
    await router.write_split(WEB, STRATEGY, Traffic(30))
    split = kubectl.get(plural, "web")
    assert share(kind, split) == 30

    apply(written)
    again = kubectl.get(plural, "web")
    assert again["spec"] == split["spec"]
    assert again["metadata"]["generation"] == split["metadata"]["generation"]
    if server_side:
        kubectl.diff(written)

    kubectl("annotate", plural, "web", f"{SPLIT}-")
    assert kubectl.get(plural, "web")["metadata"]["annotations"][SPLIT]
    apply(edited(written))
    assert share(kind, kubectl.get(plural, "web")) == 30
    await router.write_split(WEB, STRATEGY, Traffic(60))
    assert share(kind, kubectl.get(plural, "web")) == 60

    await router.clean(WEB)
    now = kubectl.get(plural, "web")
    assert now["spec"] == edited({**written, "spec": plain})["spec"]
    assert SPLIT not in now["metadata"].get("annotations", {})
