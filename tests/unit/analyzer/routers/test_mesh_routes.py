"""Routes that have a Service as their parent: who has which requests, and what is made of it."""

from copy import deepcopy
from dataclasses import replace

import pytest

from analyzer.loop.surroundings import Surroundings
from analyzer.ports import SplitRefused
from analyzer.routers.adopted import AdoptedRoutes
from canary.contract import NAMESPACE_ENABLED, NAMESPACE_LABEL
from canary.model.strategy import GatewayRoute, Strategy
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Json
from canary.routes.parents import LINKERD
from runtime.resources import (
    GRPCROUTES,
    HTTPROUTES,
    LINKERD_HTTPROUTES,
    NAMESPACES,
    REFERENCEGRANTS,
)
from tests.fakes.routes import RouteStore
from tests.fakes.stored import Stored
from tests.unit.analyzer.routers.test_kinds import CANARY, OWNER, STRATEGY, WEB, backend

PARENT = {"group": "", "kind": "Service", "name": "web", "port": 80}
GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}
OF_PORT_80 = replace(STRATEGY, service_port=80)
OF_LINKERD = replace(
    OF_PORT_80,
    routed_by=("HTTPRoute", "GRPCRoute"),
    own_route=GatewayRoute(parents=(PARENT,)),
)
OF_A_GATEWAY = replace(OF_PORT_80, own_route=GatewayRoute(parents=(GATEWAY,), hosts=("a",)))
KINDS = {"HTTPRoute", "GRPCRoute", "HTTPProxy"}


def route(name: str, *parents: Json, kind: str = "HTTPRoute", path: str = "/") -> Json:
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": path}}]}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "prod", "generation": 1},
        "spec": {"parentRefs": list(parents), "rules": [{**rule, "backendRefs": [backend()]}]},
    }


def stored(*routes: Json) -> tuple[RouteStore, AdoptedRoutes]:
    store = RouteStore(kinds=set(KINDS))
    for it in routes:
        store.add(it)
    return store, AdoptedRoutes(store)


def shares(store: RouteStore, name: str) -> list[int]:
    [rule] = store.now(name)["spec"]["rules"]
    return [it["weight"] for it in rule["backendRefs"]]


async def test_all_routes_of_one_parent_are_split_whichever_of_them_has_a_request() -> None:
    store, router = stored(route("first", PARENT), route("beta", PARENT, path="/beta"))
    await router.write_split(WEB, STRATEGY, Traffic(20))
    assert [shares(store, name) for name in ("first", "beta")] == [[80, 20], [80, 20]]
    found = await router.read_split(WEB, STRATEGY)
    assert (found.routes, found.weight, found.even, found.confirmed) == (2, 20, True, False)


OTHER_PORT = {**PARENT, "port": 9090}


async def test_a_route_of_another_port_of_the_service_is_not_what_a_canary_asks_for() -> None:
    store, router = stored(route("admin", OTHER_PORT))
    assert (await router.read_split(WEB, OF_PORT_80)).routes == 0
    assert (await router.read_split(WEB, STRATEGY)).routes == 1, "nobody has said which port"
    store.add(route("web", PARENT))
    assert (await router.read_split(WEB, OF_PORT_80)).routes == 1


async def test_a_route_that_moves_to_another_port_in_mid_run_is_left_as_it_was() -> None:
    store, router = stored(route("web", PARENT))
    await router.write_split(WEB, OF_PORT_80, Traffic(20))
    moved = deepcopy(store.now("web"))
    moved["spec"]["parentRefs"] = [OTHER_PORT]
    store.team_replace(moved)
    assert (await router.read_split(WEB, OF_PORT_80)).routes == 0
    await router.write_split(WEB, OF_PORT_80, NOTHING)
    assert shares(store, "web") == [100, 0]
    assert await router.clean(WEB)
    assert store.now("web")["spec"]["rules"] == route("web")["spec"]["rules"]


def not_followed(store: RouteStore, name: str, status: str) -> None:
    condition = {"type": "Accepted", "status": status, "reason": "RouteConflicted", "message": ""}
    entry = {"controllerName": LINKERD, "parentRef": PARENT, "conditions": [condition]}
    store.taken(name, {"parents": [entry]}, "HTTPRoute")


async def test_no_share_is_asked_for_by_a_route_that_its_mesh_does_not_follow() -> None:
    store, router = stored(route("web", PARENT), route("beta", PARENT, path="/beta"))
    not_followed(store, "web", "False")
    with pytest.raises(SplitRefused, match=r"HTTPRoute web: .*does not follow it \(RouteConfl"):
        await router.write_split(WEB, STRATEGY, Traffic(20))
    assert shares(store, "beta") == [80, 20]
    assert not (await router.read_split(WEB, STRATEGY)).even
    not_followed(store, "web", "True")
    await router.write_split(WEB, STRATEGY, Traffic(20))
    not_followed(store, "web", "False")
    await router.write_split(WEB, STRATEGY, NOTHING)
    assert shares(store, "web") == [100, 0], "the way back is open"


# --- an own one ----------------------------------------------------------------------------------


async def test_a_mesh_s_route_is_made_beside_a_gateway_s_and_both_are_split() -> None:
    store, router = stored(route("public", GATEWAY))
    await router.ensure(WEB, OF_LINKERD, OWNER)
    assert store.now("web")["spec"]["parentRefs"] == [PARENT]
    assert "hostnames" not in store.now("web")["spec"]
    await router.write_split(WEB, OF_LINKERD, Traffic(30))
    await router.ensure(WEB, OF_LINKERD, OWNER)
    assert [shares(store, name) for name in ("web", "public")] == [[70, 30], [70, 30]]


@pytest.mark.parametrize(
    ("asked", "there", "is_made"),
    [
        (OF_LINKERD, route("theirs", PARENT), False),
        (OF_LINKERD, route("theirs", PARENT, kind="GRPCRoute"), False),
        (OF_LINKERD, route("theirs", OTHER_PORT), True),
        (OF_A_GATEWAY, route("theirs", PARENT), True),
        (OF_A_GATEWAY, route("theirs", PARENT, GATEWAY), False),
    ],
    ids=["the team's", "of another kind", "another port", "a gateway's", "the team's for both"],
)
async def test_an_own_route_is_made_where_nobody_has_its_requests(
    asked: Strategy, there: Json, *, is_made: bool
) -> None:
    store, router = stored(there)
    await router.ensure(WEB, asked, OWNER)
    assert (len(store.history) == 2) is is_made
    assert await router.in_the_way(WEB, replace(asked, own_route=None), CANARY) == ()


async def test_a_proxy_of_contour_s_is_in_nobody_s_way_in_a_mesh() -> None:
    proxy = {
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "metadata": {"name": "public", "namespace": "prod"},
        "spec": {"routes": [{"services": [{"name": "web", "port": 80}]}]},
    }
    store, router = stored(proxy)
    assert await router.in_the_way(WEB, OF_LINKERD, CANARY) == ()
    await router.ensure(WEB, OF_LINKERD, OWNER)
    assert store.now("web")["spec"]["parentRefs"] == [PARENT]


# --- where none leads ----------------------------------------------------------------------------

POD = {"annotations": {"linkerd.io/inject": "enabled"}}


def target(**metadata: Json) -> Json:
    return {"spec": {"template": {"metadata": metadata, "spec": {}}}}


def space(**labels: str) -> Json:
    return {
        "metadata": {"name": "prod", "labels": {"kubernetes.io/metadata.name": "prod"} | labels}
    }


@pytest.mark.parametrize(
    ("pods", "labels", "said"),
    [
        (POD, {}, "provider linkerd in the Canary makes one"),
        ({}, {"istio.io/dataplane-mode": "ambient"}, "gatewayRefs of kind Service in the Canary"),
        ({}, {}, "leads to Service prod/web"),
    ],
    ids=["Linkerd", "Istio", "no mesh"],
)
async def test_where_nothing_leads_to_a_service_in_a_mesh_the_way_is_said(
    pods: Json, labels: dict[str, str], said: str
) -> None:
    cluster = Stored()
    cluster.put(NAMESPACES, space(**labels))
    other = {"metadata": {"name": "other", "labels": {"istio-injection": "enabled"}}}
    cluster.put(NAMESPACES, other)
    found = await Surroundings(cluster).unrouted("prod", "web", target=target(**pods))
    assert said in found
    assert ("would lead there" in found) is bool(pods or labels)


async def test_why_the_routes_of_a_service_do_not_count_is_said_in_place_of_the_way() -> None:
    cluster = Stored()
    bare = route("bare", PARENT, kind="GRPCRoute")
    bare["spec"]["rules"] = [{}]
    old = {**route("old", PARENT), "apiVersion": "policy.linkerd.io/v1beta3"}
    for resource, it in (
        (HTTPROUTES, route("admin", OTHER_PORT)),
        (GRPCROUTES, bare),
        (LINKERD_HTTPROUTES, old),
    ):
        cluster.put(resource, it)
    found = await Surroundings(cluster).unrouted("prod", "web", port=80, target=target(**POD))
    assert found == (
        "no HTTPRoute, GRPCRoute, HTTPProxy, VirtualService, IngressRoute, TraefikService or "
        "Ingress of class nginx of its namespace leads to Service prod/web; GRPCRoute bare has "
        "Service web as its parent and a rule without backendRefs; write web and its port there; "
        "HTTPRoute admin is for port 9090 of Service web alone, and the Canary's service.port is "
        "80; write that port, or none, into its parentRefs; HTTPRoute old is of "
        "policy.linkerd.io, which is not split; write it as one of gateway.networking.k8s.io/v1, "
        "which Linkerd follows from 2.14 on"
    )


# --- from another namespace ----------------------------------------------------------------------


def of_clients(called: str, **place: str) -> Json:
    found = route(called, {**PARENT, "namespace": "prod"})
    found["metadata"]["namespace"] = "clients"
    found["spec"]["rules"] = [{"backendRefs": [{**backend(), **place}]}]
    return found


async def test_a_client_s_own_routes_are_named_and_left_alone() -> None:
    cluster = Stored()
    assert await Surroundings(cluster).left_out("prod", "web") == ()
    for it in (of_clients("theirs", namespace="prod"), of_clients("other", name="shop")):
        cluster.put(HTTPROUTES, it)
    [said] = await Surroundings(cluster).left_out("prod", "web")
    assert said == (
        "HTTPRoute clients/other, HTTPRoute clients/theirs of other namespaces name Service "
        "prod/web: what comes by them is not split, and the stable has all of it; lead there by a "
        "route of prod, or let HTTPRoutes or GRPCRoutes of a labelled namespace in by a "
        "ReferenceGrant of prod for web and web-canary (manifests/route-rights/other-namespaces)"
    )
    for number in range(10):
        cluster.put(HTTPROUTES, of_clients(f"x{number}"))
    [said] = await Surroundings(cluster).left_out("prod", "web")
    assert "HTTPRoute clients/x2 and 7 more of other namespaces" in said


@pytest.mark.parametrize(
    ("kind", "labelled", "named"),
    [("HTTPRoute", True, False), ("HTTPRoute", False, True), ("GRPCRoute", True, True)],
    ids=["let in", "without the label", "another kind is let in"],
)
async def test_a_route_that_is_split_from_another_namespace_is_not_named(
    kind: str, *, labelled: bool, named: bool
) -> None:
    cluster = Stored()
    cluster.put(HTTPROUTES, of_clients("theirs", namespace="prod"))
    label = {NAMESPACE_LABEL: NAMESPACE_ENABLED} if labelled else {}
    cluster.put(NAMESPACES, {"metadata": {"name": "clients", "labels": label}})
    spec = {
        "from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": "clients"}],
        "to": [{"group": "", "kind": "Service"}],
    }
    place = {"name": "clients", "namespace": "prod"}
    cluster.put(REFERENCEGRANTS, {"metadata": place, "spec": spec})
    assert bool(await Surroundings(cluster).left_out("prod", "web")) is named


async def test_routes_of_one_s_own_namespace_are_no_neighbours() -> None:
    cluster = Stored()
    cluster.put(HTTPROUTES, route("web", PARENT))
    alien = of_clients("alien")
    alien["spec"]["parentRefs"] = [{**PARENT, "namespace": "clients"}]
    cluster.put(HTTPROUTES, alien)
    assert await Surroundings(cluster).left_out("prod", "web") == ()
