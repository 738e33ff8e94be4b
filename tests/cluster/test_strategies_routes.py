"""Canaries that get more than a share, on a real gateway: matched, mirrored and kept by cookie."""

import asyncio
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import pytest

from canary.model.traffic import Affinity, Comparison, Condition, RequestMatch, Traffic
from runtime.resources import HTTPROUTES
from tests.cluster.both_versions import AT_MOST, CANARY, STABLE, Team, both_versions
from tests.cluster.kit import Kubectl, route, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("undisturbed")]


@pytest.fixture
async def team(cluster_kubeconfig: Path, admin: Kubectl, gateway: str) -> AsyncIterator[Team]:
    """Return a namespace with an HTTPRoute in which all traffic is the stable's."""
    async with both_versions(cluster_kubeconfig, admin, gateway, HTTPROUTES, route) as found:
        yield found


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
    start = await asyncio.to_thread(team.served_at_rest, "web-canary")
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
