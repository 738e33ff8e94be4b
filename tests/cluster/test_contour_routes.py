"""Splits on HTTPProxies and GRPCRoutes, as a real API server stores and a gateway serves them."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from analyzer.ports import SplitRefused
from analyzer.routers.adopted import AdoptedRoutes
from canary.contract import SPLIT
from canary.model.strategy import ProxyRoute
from canary.model.traffic import NOTHING, Affinity, Comparison, Condition, RequestMatch, Traffic
from canary.model.values import Key
from canary.objects.desired import owner_reference
from canary.queries.sources import cluster_pattern
from canary.routes.contour import HttpProxies
from runtime.resources import GRPCROUTES, HTTPPROXIES
from tests.cluster.both_versions import (
    AT_MOST,
    CANARY,
    STABLE,
    STRATEGY,
    Team,
    both_versions,
)
from tests.cluster.kit import Kubectl, canary, proxy, route, serving, wait_for
from tests.cluster.kit import Traffic as Load
from tests.cluster.runtime_kit import own_namespace

STATS = "/api/v1/namespaces/projectcontour/services/envoy:metrics/proxy/stats/prometheus"
pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("undisturbed")]


@pytest.fixture
async def team(cluster_kubeconfig: Path, admin: Kubectl, gateway: str) -> AsyncIterator[Team]:
    """Return a namespace with an HTTPProxy in which all traffic is the stable's."""
    async with both_versions(cluster_kubeconfig, admin, gateway, HTTPPROXIES, proxy) as found:
        yield found


async def test_shares_of_an_http_proxy_are_served_and_no_switch_costs_a_request(team: Team) -> None:
    with Load(team.gateway, host=team.host, rate=20) as load:
        await asyncio.to_thread(serving, load)
        for traffic, seen in ((Traffic(100), CANARY), (NOTHING, STABLE), (Traffic(100), CANARY)):
            await team.until(traffic, seen, {})
            await asyncio.to_thread(_confirmed, team)
        await team.router.write_split(team.key, STRATEGY, Traffic(50))
        await asyncio.to_thread(_confirmed, team)
        # Contour says its word a moment before its proxy follows.
        async with asyncio.timeout(AT_MOST):
            while set(await team.ask(60)) != {STABLE, CANARY}:  # noqa: ASYNC110 - a gateway tells nobody
                await asyncio.sleep(0.2)
    assert set(load.statuses) == {200}, load.statuses
    # By these names the built-in metrics find what the gateway has counted.
    page = team.kubectl.within("projectcontour")("get", "--raw", STATS)
    for name in ("web", "web-canary"):
        pattern = re.compile(
            f'envoy_cluster_upstream_rq{{envoy_response_code="200",'
            f'envoy_cluster_name="{cluster_pattern(team.key.namespace, name)}"}} [1-9]'
        )
        assert pattern.search(page), name


def _confirmed(team: Team) -> None:
    def is_confirmed() -> bool:
        return HttpProxies().accepted(team.kubectl.get("httpproxy", "web"))

    wait_for("Contour's word on the proxy", is_confirmed, AT_MOST)


async def test_what_matches_reaches_the_canary_and_nothing_else_does(team: Team) -> None:
    traffic = Traffic(
        100,
        match=(
            RequestMatch(
                headers=(Condition(name="x-canary", by=Comparison.EXACT, value="in.sider"),)
            ),
            RequestMatch(
                headers=(
                    Condition(name="cookie", by=Comparison.REGEX, value="^(.*?;)?(a=b)(;.*)?$"),
                )
            ),
            RequestMatch(params=(Condition(name="user", by=Comparison.PREFIX, value="beta-"),)),
        ),
    )
    await team.until(traffic, CANARY, {"x-canary": "in.sider"})
    assert await team.ask(20, {"cookie": "c=d;a=b"}) == {CANARY: 20}
    assert await team.ask(20, query="?user=beta-7") == {CANARY: 20}
    assert await team.ask(20) == {STABLE: 20}
    assert await team.ask(20, {"x-canary": "inxsider"}) == {STABLE: 20}
    assert await team.ask(20, query="?user=alpha-7") == {STABLE: 20}


async def test_a_mirrored_request_is_answered_by_the_stable(team: Team) -> None:
    before = team.served("web-canary")
    await team.until(Traffic(0, mirror=100), STABLE, {})

    def is_mirrored() -> bool:
        asyncio.run(team.ask(1))
        return team.served("web-canary") > before

    await asyncio.to_thread(wait_for, "a copy", is_mirrored, AT_MOST)
    start = await asyncio.to_thread(team.served_at_rest, "web-canary")
    assert await team.ask(40) == {STABLE: 40}
    await asyncio.to_thread(
        wait_for, "all copies", lambda: team.served("web-canary") == start + 40, AT_MOST
    )


async def test_users_are_not_kept_by_an_http_proxy_and_it_is_said(team: Team) -> None:
    traffic = Traffic(50, affinity=Affinity(cookie="kept")).of_run("web candidate@1")
    with pytest.raises(SplitRefused, match="take sessionAffinity out of the Canary"):
        await team.router.write_split(team.key, STRATEGY, traffic)


@pytest.mark.usefixtures("together")  # it has a Canary, whose kind comes with the installation
async def test_an_own_http_proxy_is_what_its_crd_takes_and_is_served_where_it_is_included(
    team: Team,
) -> None:
    """The team's route leads elsewhere and includes the one that is made."""
    kubectl = team.kubectl
    record = canary(team.key.namespace)
    record["spec"]["suspend"] = True
    kubectl.apply(record)
    owner = owner_reference({"kind": "Canary", **kubectl.get("canary", "web")})
    kubectl("delete", "httpproxy", "web")
    root = proxy(team.host, name="root")
    root["spec"] |= {"routes": [], "includes": [{"name": "web"}]}
    kubectl.apply(root)
    made = ProxyRoute(
        routes=(
            {
                "conditions": [{"prefix": "/"}],
                "timeoutPolicy": {"response": "15s", "idle": "5m"},
                "retryPolicy": {"count": 2, "perTryTimeout": "1s"},
            },
        )
    )
    own = replace(STRATEGY, own_route=made, routed_by=("HTTPProxy",), service_port=80)
    await team.router.ensure(team.key, own, owner)
    plain = kubectl.get("httpproxy", "web")["spec"]
    mine = replace(team, strategy=own, plain=plain)
    await mine.until(Traffic(100), CANARY, {})
    await mine.until(NOTHING, STABLE, {})
    team.plain.clear()
    team.plain.update(plain)


async def test_a_grpc_route_carries_a_share_and_refuses_more(
    cluster_kubeconfig: Path, admin: Kubectl
) -> None:
    async with own_namespace(cluster_kubeconfig) as (cluster, name):
        kubectl, key = admin.within(name), Key(namespace=name, name="web")
        made = {**route(f"{name}.example"), "kind": "GRPCRoute"}
        made["metadata"]["namespace"] = name
        plain = (await cluster.create(GRPCROUTES, made))["spec"]
        router = AdoptedRoutes(cluster)
        await router.write_split(key, STRATEGY, Traffic(30))
        refs = kubectl.get("grpcroute", "web")["spec"]["rules"][0]["backendRefs"]
        assert {it["name"]: it["weight"] for it in refs} == {"web": 70, "web-canary": 30}
        with pytest.raises(SplitRefused, match="take mirror out of the Canary's analysis"):
            await router.write_split(key, STRATEGY, Traffic(0, mirror=100))

        async def confirmed() -> bool:
            return (await router.read_split(key, STRATEGY)).confirmed

        async with asyncio.timeout(AT_MOST):
            while not await confirmed():  # noqa: ASYNC110 - a gateway tells nobody
                await asyncio.sleep(0.2)
        await router.clean(key)
        now = kubectl.get("grpcroute", "web")
        assert now["spec"] == plain
        assert SPLIT not in now["metadata"].get("annotations", {})
