"""Canaries that get more than a share, on a real gateway: matched, mirrored and kept by cookie.

The splits are written by the real router, in a namespace that nobody else's analyzer looks after,
and requests are counted where they arrive.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import pytest

from analyzer.routers.adopted import AdoptedRoutes
from canary.model.steps import Step
from canary.model.strategy import Strategy
from canary.model.traffic import NOTHING, Affinity, Comparison, Condition, RequestMatch, Traffic
from canary.model.values import Json, Key
from runtime.resources import DEPLOYMENTS, HTTPROUTES, SERVICES
from tests.cluster.kit import Kubectl, route, service, wait_for, web
from tests.cluster.runtime_kit import own_namespace

pytestmark = pytest.mark.cluster
STRATEGY = Strategy(
    interval=timedelta(seconds=10),
    threshold=1,
    steps=(Step(traffic=Traffic(100)),),
    service_name="web",
)
STABLE, CANARY = "headgate demo 1.0", "headgate demo 1.1"
AT_MOST = 20.0
"""Seconds until a gateway has taken a route: a second or two on a machine at rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A namespace with both versions and a route, and who may split it."""

    router: AdoptedRoutes
    key: Key
    kubectl: Kubectl
    plain: Json
    host: str
    gateway: str

    async def ask(
        self, number: int, headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Counter[str]:
        """Send requests and return how many answers came from which version."""
        async with aiohttp.ClientSession(headers={"Host": self.host, **(headers or {})}) as session:
            return Counter(
                [await _answer(session, f"{self.gateway}/{query}") for _ in range(number)]
            )

    async def until(self, traffic: Traffic, seen: str, headers: Mapping[str, str]) -> None:
        """Write a split and wait until the gateway answers such requests by a version."""
        await self.router.write_split(self.key, STRATEGY, traffic)
        async with asyncio.timeout(AT_MOST):
            while await self.ask(5, headers) != {seen: 5}:  # noqa: ASYNC110 - a gateway tells nobody
                await asyncio.sleep(0.2)
        split = await self.router.read_split(self.key, STRATEGY)
        assert (split.traffic, split.routes, split.even) == (traffic, 1, True)

    def served(self, name: str) -> int:
        """Return how many requests the pods of a Service have had."""
        path = f"/api/v1/namespaces/{self.key.namespace}/services/{name}:http/proxy/metrics"
        page = self.kubectl("get", "--raw", path)
        counts = [line for line in page.splitlines() if line.startswith("http_requests_total{")]
        return sum(int(line.rsplit(" ", 1)[1]) for line in counts)


async def _answer(session: aiohttp.ClientSession, address: str) -> str:
    async with session.get(address) as response:
        return (await response.text()).strip()


@pytest.fixture
async def team(cluster_kubeconfig: Path, admin: Kubectl, gateway: str) -> AsyncIterator[Team]:
    """Return a namespace in which both versions serve and all traffic is the stable's."""
    async with own_namespace(cluster_kubeconfig) as (cluster, name):
        kubectl, host = admin.within(name), f"{name}.example"
        for app, version in (("web", "1.0"), ("web-canary", "1.1")):
            made = web(f"headgate/demo:{version}", replicas=1, name=app)
            await cluster.create(DEPLOYMENTS, _in(name, made))
            await cluster.create(SERVICES, _in(name, service(app)))
        stored = await cluster.create(HTTPROUTES, _in(name, route(host)))
        for app in ("web", "web-canary"):
            kubectl("rollout", "status", f"deployment/{app}", "--timeout=120s", deadline=130)
        found = Team(
            router=AdoptedRoutes(cluster),
            key=Key(namespace=name, name="web"),
            kubectl=kubectl,
            plain=stored["spec"],
            host=host,
            gateway=gateway,
        )
        await found.until(NOTHING, STABLE, {})
        yield found
        assert await found.router.clean(found.key)
        assert kubectl.get("httproute", "web")["spec"] == found.plain


def _in(namespace: str, made: Json) -> Json:
    return {**made, "metadata": {**made["metadata"], "namespace": namespace}}


async def test_all_requests_that_match_reach_the_canary_and_no_others(team: Team) -> None:
    insider = Condition(name="x-canary", by=Comparison.EXACT, value="insider")
    always = Condition(name="cookie", by=Comparison.REGEX, value="^(.*?;)?(canary=always)(;.*)?$")
    beta = Condition(name="user", by=Comparison.PREFIX, value="beta-")
    traffic = Traffic(
        100,
        match=(
            RequestMatch(headers=(insider,)),
            RequestMatch(headers=(always,)),
            RequestMatch(params=(beta,)),
        ),
    )
    await team.until(traffic, CANARY, {"x-canary": "insider"})
    assert await team.ask(20, {"x-canary": "insider"}) == {CANARY: 20}
    assert await team.ask(20, {"cookie": "a=b;canary=always"}) == {CANARY: 20}
    assert await team.ask(20, query="?user=beta-7") == {CANARY: 20}
    assert await team.ask(20) == {STABLE: 20}
    assert await team.ask(20, {"x-canary": "outsider"}) == {STABLE: 20}
    assert await team.ask(20, {"cookie": "canary=never"}) == {STABLE: 20}
    assert await team.ask(20, query="?user=alpha-7") == {STABLE: 20}


async def test_a_mirrored_request_is_counted_at_the_canary_and_answered_by_the_stable(
    team: Team,
) -> None:
    before = team.served("web-canary")
    await team.until(Traffic(0, mirror=100), STABLE, {})

    def is_mirrored() -> bool:
        return team.served("web-canary") > before

    await asyncio.to_thread(_send_until, team, is_mirrored)
    start = team.served("web-canary")
    assert await team.ask(40) == {STABLE: 40}
    wait_for("all copies", lambda: team.served("web-canary") == start + 40, AT_MOST)


def _send_until(team: Team, is_seen: object) -> None:
    assert callable(is_seen)
    wait_for("a copy", lambda: bool(asyncio.run(team.ask(1))) and is_seen(), AT_MOST)


async def test_who_has_met_the_canary_stays_with_it_until_the_run_ends(team: Team) -> None:
    affinity = Affinity(cookie="kept", primary_cookie="kept-too", path="/", http_only=True)
    traffic = Traffic(50, affinity=affinity).of_run("web candidate@1")
    assert traffic.affinity is not None
    value = traffic.affinity.value
    await team.until(traffic, CANARY, {"cookie": f"kept={value}"})
    met: dict[str, str] = {}
    async with asyncio.timeout(AT_MOST):
        while len(met) < 2:
            version, cookie = await _meet(team)
            met[version] = cookie
    assert met == {CANARY: f"kept={value}", STABLE: f"kept-too={value}"}
    for version, cookie in met.items():
        assert await team.ask(30, {"cookie": cookie}) == {version: 30}
    later = Traffic(50, affinity=affinity).of_run("web candidate@2")
    assert later.affinity is not None
    await team.until(later, CANARY, {"cookie": f"kept={later.affinity.value}"})
    assert set(await team.ask(40, {"cookie": met[CANARY]})) == {STABLE, CANARY}


async def _meet(team: Team) -> tuple[str, str]:
    """Return which version answered a new user, and the cookie that came with the answer."""
    async with (
        aiohttp.ClientSession(headers={"Host": team.host}) as session,
        session.get(f"{team.gateway}/") as response,
    ):
        [said] = response.headers.getall("Set-Cookie")
        [cookie] = SimpleCookie(said).values()
        assert cookie["httponly"]
        return (await response.text()).strip(), f"{cookie.key}={cookie.value}"
