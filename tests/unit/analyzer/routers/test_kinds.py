"""Several kinds of routes: which of them a Canary asks for, and what the cluster has of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from analyzer.ports import SplitRefused
from analyzer.routers.adopted import AdoptedRoutes
from analyzer.routers.kinds import ASKED_AGAIN, RESOURCES, Kinds
from canary.contract import MANAGED_BY, MANAGED_BY_LABEL, SPLIT
from canary.model.strategy import BalancedRoute, GatewayRoute, MeshRoute, ProxyRoute, Strategy
from canary.model.traffic import NOTHING, Affinity, Traffic
from canary.model.values import Json, Key
from canary.routes.known import DIALECTS
from canary.routes.mark import TargetSplit
from canary.spec.steps import linear
from runtime.errors import Forbidden
from tests.fakes.routes import Admission, RouteStore, down, webhook

WEB = Key(namespace="prod", name="web")
STRATEGY = Strategy(
    interval=timedelta(minutes=1), threshold=1, steps=linear((50,)), service_name="web"
)
SPLIT_OF_WEB = TargetSplit(stable="web", canary="web-canary", traffic=NOTHING)
OWNER = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "web", "uid": "u-1"}
CANARY = {**OWNER, "metadata": {"name": "web", "namespace": "prod", "uid": "u-1"}}
ALL = {it.kind for it in DIALECTS}
ADMISSIONS = pytest.mark.parametrize("admission", [webhook, down])
OF_CONTOUR = replace(STRATEGY, routed_by=("HTTPProxy",))
OF_GATEWAYS = replace(STRATEGY, routed_by=("HTTPRoute", "GRPCRoute"))


def named(kind: str, spec: Json) -> Json:
    metadata = {"name": "shop", "namespace": "prod", "annotations": {"team": "shop"}}
    api_version = RESOURCES[kind].api_version
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


def backend() -> Json:
    return {"group": "", "kind": "Service", "name": "web", "port": 80, "weight": 1}


WRITTEN = {
    "HTTPRoute": named("HTTPRoute", {"rules": [{"backendRefs": [backend()]}]}),
    "GRPCRoute": named("GRPCRoute", {"rules": [{"backendRefs": [backend()]}]}),
    "HTTPProxy": named("HTTPProxy", {"routes": [{"services": [{"name": "web", "port": 80}]}]}),
    "VirtualService": named(
        "VirtualService",
        {"hosts": ["web.example"], "http": [{"route": [{"destination": {"host": "web"}}]}]},
    ),
    "IngressRoute": named(
        "IngressRoute",
        {"routes": [{"match": "PathPrefix(`/`)", "services": [{"name": "web", "port": 80}]}]},
    ),
    "TraefikService": named(
        "TraefikService", {"weighted": {"services": [{"name": "web", "port": 80}]}}
    ),
}
KINDS = pytest.mark.parametrize("kind", sorted(ALL))


def stored(
    *kinds: str, admission: Admission = webhook, served: set[str] = ALL
) -> tuple[RouteStore, AdoptedRoutes]:
    store = RouteStore(admission=admission, kinds=set(served))
    for kind in kinds:
        store.add(WRITTEN[kind])
    return store, AdoptedRoutes(store)


def share(store: RouteStore, kind: str) -> int:
    [dialect] = [it for it in DIALECTS if it.kind == kind]
    [found] = dialect.carried(store.now("shop", kind=kind), SPLIT_OF_WEB)
    return found.weight


def is_as_written(store: RouteStore, kind: str) -> bool:
    now, written = store.now("shop", kind=kind), WRITTEN[kind]
    notes = now["metadata"]["annotations"]
    return bool(now["spec"] == written["spec"] and notes == written["metadata"]["annotations"])


@KINDS
@ADMISSIONS
async def test_a_split_is_written_read_and_taken_out(kind: str, admission: Admission) -> None:
    store, router = stored(kind, admission=admission)
    for weight in (10, 50, 100, 0, 33):
        await router.write_split(WEB, STRATEGY, Traffic(weight))
        found = await router.read_split(WEB, STRATEGY)
        assert (found.weight, found.routes, found.even) == (weight, 1, True)
        before = store.now("shop", kind=kind)
        await router.write_split(WEB, STRATEGY, Traffic(weight))
        assert store.now("shop", kind=kind) == before
    await router.clean(WEB)
    assert is_as_written(store, kind)


@KINDS
@pytest.mark.parametrize("write", [RouteStore.team_apply, RouteStore.team_replace])
async def test_a_manifest_that_is_applied_again_in_mid_run_changes_nothing(
    kind: str, write: Callable[[RouteStore, Json], None]
) -> None:
    store, router = stored(kind)
    await router.write_split(WEB, STRATEGY, Traffic(30))
    before = store.now("shop", kind=kind)
    write(store, WRITTEN[kind])
    assert store.now("shop", kind=kind) == before
    assert all(set(patch) == {"metadata"} for patch in store.patches), "its rules stay the team's"


@KINDS
async def test_a_mark_is_nobody_s_to_take_off_or_to_bring(kind: str) -> None:
    store, router = stored(kind)
    await router.write_split(WEB, STRATEGY, Traffic(30))
    split = store.now("shop", kind=kind)
    bare = {"annotations": {"team": "shop"}}
    forged = {**split, "metadata": {**split["metadata"], **bare}}
    store.team_replace(forged)
    assert store.now("shop", kind=kind) == split
    store.remove("shop", kind=kind)
    store.team_create(split)
    assert is_as_written(store, kind)


async def test_with_no_provider_all_that_leads_to_the_service_is_split() -> None:
    store, router = stored(*sorted(ALL))
    await router.write_split(WEB, STRATEGY, Traffic(20))
    assert {kind: share(store, kind) for kind in ALL} == dict.fromkeys(ALL, 20)
    assert (await router.read_split(WEB, STRATEGY)).routes == len(ALL)
    assert await router.clean(WEB)
    assert all(is_as_written(store, kind) for kind in ALL)


@pytest.mark.parametrize("asked", [OF_CONTOUR, OF_GATEWAYS])
async def test_a_provider_s_kinds_are_split_and_no_others(asked: Strategy) -> None:
    store, router = stored(*sorted(ALL))
    await router.write_split(WEB, asked, Traffic(20))
    assert (await router.read_split(WEB, asked)).routes == len(asked.routed_by)
    assert {kind for kind in ALL if not is_as_written(store, kind)} == set(asked.routed_by)


async def test_a_provider_that_is_edited_in_mid_run_leaves_no_share_behind() -> None:
    store, router = stored(*sorted(ALL))
    await router.write_split(WEB, STRATEGY, Traffic(20))
    assert not (await router.read_split(WEB, replace(OF_CONTOUR))).problem
    await router.write_split(WEB, OF_CONTOUR, Traffic(30))
    assert share(store, "HTTPProxy") == 30
    assert is_as_written(store, "HTTPRoute")
    assert is_as_written(store, "GRPCRoute")
    assert (await router.read_split(WEB, OF_CONTOUR)).routes == 1


@pytest.mark.parametrize("lacks", ["served", "granted"])
async def test_a_kind_that_is_not_there_is_asked_for_again_a_while_later(lacks: str) -> None:
    store, _ = stored("HTTPProxy", served=ALL if lacks == "granted" else {"HTTPRoute"})
    store.not_granted = {"HTTPProxy"} if lacks == "granted" else set()
    now = [0.0]
    kinds = Kinds(store, clock=lambda: now[0])
    for _ in range(3):
        assert await kinds.routes("HTTPProxy", "prod", afresh=False) == []
    assert store.asked == ["HTTPProxy"]
    store.kinds, store.not_granted = ALL, set()
    assert len(await kinds.routes("HTTPProxy", "prod", afresh=True)) == 1, "before a canary goes"
    assert await kinds.routes("HTTPProxy", "prod", afresh=False) == []
    now[0] += ASKED_AGAIN
    assert len(await kinds.routes("HTTPProxy", "prod", afresh=False)) == 1


async def test_without_the_right_to_httproutes_nothing_is_told() -> None:
    store, router = stored()
    store.not_granted = {"HTTPRoute"}
    with pytest.raises(Forbidden):
        await router.read_split(WEB, STRATEGY)


async def test_a_kind_that_is_asked_for_and_not_there_is_said_with_what_to_do() -> None:
    store, router = stored(served={"HTTPRoute"})
    assert await router.in_the_way(WEB, STRATEGY, CANARY) == ()
    assert await router.in_the_way(WEB, OF_GATEWAYS, CANARY) == (), "one of them is there"
    [said] = await router.in_the_way(WEB, OF_CONTOUR, CANARY)
    assert said == "the cluster has no HTTPProxy (projectcontour.io/v1); install its CRD"
    store.not_granted = {"HTTPProxy"}
    [said] = await router.in_the_way(WEB, OF_CONTOUR, CANARY)
    assert said == (
        "Headgate has no right to httpproxies; add manifests/route-rights/contour to its "
        "kustomization"
    )


@pytest.mark.parametrize(
    ("route", "traffic", "said"),
    [
        ("GRPCRoute", Traffic(0, mirror=100), "take mirror out of the Canary's analysis"),
        ("HTTPProxy", Traffic(50, affinity=Affinity(cookie="c", value="v")), "sessionAffinity"),
    ],
)
async def test_what_a_kind_cannot_carry_is_refused_and_all_traffic_is_the_stable_s(
    route: str, traffic: Traffic, said: str
) -> None:
    store, router = stored("HTTPRoute", route)
    with pytest.raises(SplitRefused, match=said):
        await router.write_split(WEB, STRATEGY, traffic)
    assert share(store, route) == 0
    found = await router.read_split(WEB, STRATEGY)
    assert not found.even


# --- what a gateway says ------------------------------------------------------------------------


def proxy_status(generation: int, current: str = "valid") -> Json:
    valid = {"type": "Valid", "status": "True", "observedGeneration": generation}
    return {"currentStatus": current, "conditions": [valid]}


def grpc_status(generation: int) -> Json:
    accepted = {"type": "Accepted", "status": "True", "observedGeneration": generation}
    return {"parents": [{"conditions": [accepted]}]}


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        ("HTTPProxy", {"currentStatus": "NotReconciled"}, proxy_status(2)),
        ("HTTPProxy", proxy_status(1), proxy_status(2)),
        ("HTTPProxy", proxy_status(2, "invalid"), proxy_status(2)),
        ("HTTPProxy", proxy_status(2, "orphaned"), proxy_status(2)),
        ("GRPCRoute", grpc_status(1), grpc_status(2)),
    ],
)
async def test_a_split_is_confirmed_once_the_gateway_has_seen_it(
    kind: str, before: Json, after: Json
) -> None:
    store, router = stored(kind)
    await router.write_split(WEB, STRATEGY, Traffic(20))
    store.taken("shop", before, kind)
    assert not (await router.read_split(WEB, STRATEGY)).confirmed
    store.taken("shop", after, kind)
    assert (await router.read_split(WEB, STRATEGY)).confirmed


# --- own routes -----------------------------------------------------------------------------------

OWN_PROXY = replace(
    OF_CONTOUR, own_route=ProxyRoute(routes=({"conditions": [{"prefix": "/"}]},)), service_port=80
)
OWN_GRPC = replace(STRATEGY, own_route=GatewayRoute(parents=(), hosts=("a",), kind="GRPCRoute"))

OWN_MESH = replace(STRATEGY, routed_by=("VirtualService",), own_route=MeshRoute(hosts=("web",)))
OWN_BALANCED = replace(
    STRATEGY, routed_by=("IngressRoute", "TraefikService"), own_route=BalancedRoute()
)
WITH_POLICY = replace(
    OWN_MESH,
    own_route=MeshRoute(hosts=("web",), traffic_policy={"tls": {"mode": "ISTIO_MUTUAL"}}),
)
ISTIO_KINDS = {*ALL, "DestinationRule"}


@pytest.mark.parametrize(
    "own",
    [OWN_PROXY, OWN_GRPC, OWN_MESH, OWN_BALANCED],
    ids=["HTTPProxy", "GRPCRoute", "VirtualService", "TraefikService"],
)
async def test_an_own_route_of_each_kind_is_made_split_and_left_plain(own: Strategy) -> None:
    store, router = stored()
    assert own.own_route is not None
    kind = own.own_route.kind
    await router.ensure(WEB, own, OWNER)
    made = store.now("web", kind=kind)
    assert made["metadata"]["labels"] == {MANAGED_BY_LABEL: MANAGED_BY}
    await router.write_split(WEB, own, Traffic(20))
    assert (await router.read_split(WEB, own)).weight == 20
    await router.ensure(WEB, own, OWNER)
    assert (await router.read_split(WEB, own)).weight == 20
    await router.clean(WEB)
    now = store.now("web", kind=kind)
    assert now["spec"] == made["spec"]
    assert SPLIT not in now["metadata"].get("annotations", {})


@KINDS
async def test_no_own_proxy_is_made_beside_a_route_of_the_team_s_of_any_kind(kind: str) -> None:
    store, router = stored(kind)
    await router.ensure(WEB, OWN_PROXY, OWNER)
    assert len(store.history) == 1


async def test_a_route_of_another_kind_is_said_where_an_own_one_would_get_no_request() -> None:
    _, router = stored("HTTPRoute")
    [said] = await router.in_the_way(WEB, OWN_PROXY, CANARY)
    assert said == (
        "HTTPRoute shop leads to Service web, and the Canary asks for HTTPProxy by its provider; "
        "take spec.provider out, or let the route lead elsewhere"
    )


async def test_no_own_route_is_tried_of_a_kind_that_is_not_there() -> None:
    store, router = stored(served={"HTTPRoute"})
    await router.ensure(WEB, OWN_PROXY, OWNER)
    assert not store.history


async def test_an_own_httproute_stays_the_only_one_when_its_canary_speaks_grpc() -> None:
    store, router = stored()
    http = replace(OWN_GRPC, own_route=GatewayRoute(parents=(), hosts=("a",)))
    await router.ensure(WEB, http, OWNER)
    await router.ensure(WEB, OWN_GRPC, OWNER)
    assert [it["kind"] for it in store.history] == ["HTTPRoute"]


async def test_a_proxy_of_the_own_one_s_name_is_named() -> None:
    store, router = stored()
    elsewhere = named("HTTPProxy", {"routes": [{"services": [{"name": "blog", "port": 80}]}]})
    elsewhere["metadata"]["name"] = "web"
    store.add(elsewhere)
    [said] = await router.in_the_way(WEB, OWN_PROXY, CANARY)
    assert said.startswith("HTTPProxy web exists and is not the one of Canary web")


async def test_with_a_traffic_policy_there_is_a_rule_for_each_host_before_the_route() -> None:
    store, router = stored(served=ISTIO_KINDS)
    for _ in range(2):
        await router.ensure(WEB, WITH_POLICY, OWNER)
    made = [(it["kind"], it["metadata"]["name"], it["spec"].get("host")) for it in store.history]
    assert made == [
        ("DestinationRule", "web", "web"),
        ("DestinationRule", "web-canary", "web-canary"),
        ("VirtualService", "web", None),
    ]
    assert store.now("web", kind="DestinationRule")["metadata"]["ownerReferences"] == [OWNER]


async def test_a_rule_of_the_team_s_of_that_name_is_left_alone_and_named() -> None:
    store, router = stored(served=ISTIO_KINDS)
    theirs = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "web", "namespace": "prod"},
        "spec": {"host": "web", "trafficPolicy": {"tls": {"mode": "DISABLE"}}},
    }
    store.add(theirs)
    [said] = await router.in_the_way(WEB, WITH_POLICY, CANARY)
    assert said.startswith("DestinationRule web exists and is not the one of Canary web")
    assert said.endswith("delete it, or take trafficPolicy out of the Canary")
    assert await router.in_the_way(WEB, OWN_MESH, CANARY) == ()
    await router.ensure(WEB, WITH_POLICY, OWNER)
    assert store.now("web", kind="DestinationRule")["spec"] == theirs["spec"]
    assert store.now("web-canary", kind="DestinationRule")
