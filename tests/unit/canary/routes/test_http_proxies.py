"""What an HTTPProxy says before, during and after a run, and what it cannot say."""

from collections.abc import Mapping
from typing import Any

import pytest

from canary.model.traffic import (
    NOTHING,
    Affinity,
    Comparison,
    Condition,
    RequestMatch,
    Traffic,
)
from canary.model.values import Json
from canary.routes.contour import HttpProxies
from canary.routes.mark import Mark, TargetSplit
from tests.unit.canary.routes.kinds import proxy, service

PROXY = HttpProxies()
INSIDER = RequestMatch(headers=(Condition(name="x-canary", by=Comparison.EXACT, value="in.x"),))
BETA = RequestMatch(params=(Condition(name="user", by=Comparison.PREFIX, value="beta-"),))
INSIDER_SAID: Json = {"header": {"name": "x-canary", "regex": r"in\.x"}}


def asked(**traffic: Traffic) -> Mark:
    return Mark(
        splits={
            name: TargetSplit(stable=name, canary=f"{name}-canary", traffic=one)
            for name, one in traffic.items()
        }
    )


def under(route: Json, **traffic: Traffic) -> list[Json]:
    """Return the routes of a proxy in mid-run; taken out again it is what it was."""
    found = PROXY.with_traffic(route, asked(**traffic))
    assert PROXY.without_traffic({**route, "spec": found.spec}, found.mark) == route["spec"]
    routes: list[Json] = found.spec["routes"]
    return routes


def weights(route: Json) -> list[tuple[str, Any]]:
    return [(it["name"], it.get("weight")) for it in route["services"]]


@pytest.mark.parametrize(
    ("before", "during"),
    [
        # Alone it has all requests, whatever weight it has.
        ([service("web")], [("web", 80), ("web-canary", 20)]),
        ([service("web", 0)], [("web", 80), ("web-canary", 20)]),
        ([service("web", 7)], [("web", 560), ("web-canary", 140)]),
        # Without weights all have the same.
        (
            [service("web"), service("api")],
            [("web", 80), ("web-canary", 20), ("api", 100)],
        ),
        # Beside one that has a weight, one without it has no request.
        (
            [service("web", 90), service("api")],
            [("web", 7200), ("web-canary", 1800), ("api", 0)],
        ),
        ([service("web"), service("api", 5)], [("web", 0), ("web-canary", 0), ("api", 500)]),
        # A mirror has none that could be shared.
        (
            [service("web"), service("shadow", 10, mirror=True)],
            [("web", 80), ("web-canary", 20), ("shadow", 10)],
        ),
    ],
)
def test_a_share_is_a_share_of_what_a_service_has_today(
    before: list[Json], during: list[tuple[str, int]]
) -> None:
    [route] = under(proxy({"services": before}), web=Traffic(20))
    assert weights(route) == during


def test_a_canary_has_all_that_its_stable_has() -> None:
    stable = service("web", protocol="h2c", responseHeadersPolicy={"remove": ["x"]})
    [route] = under(proxy({"services": [stable]}), web=Traffic(20))
    assert route["services"][1] == {**stable, "name": "web-canary", "weight": 20}


def test_where_bytes_are_forwarded_there_is_no_route() -> None:
    tunnel = proxy({"services": [service("web")]})
    tunnel["spec"]["tcpproxy"] = {"services": [service("web")]}
    split = asked(web=NOTHING).splits["web"]
    assert not PROXY.leads_to(tunnel, "web")
    assert PROXY.carried(tunnel, split) == frozenset()


# --- match --------------------------------------------------------------------------------------


def test_each_way_to_match_is_a_route_in_front() -> None:
    written = {"conditions": [{"prefix": "/"}], "services": [service("web")]}
    found = under(proxy(written), web=Traffic(100, match=(INSIDER, BETA)))
    assert [it["conditions"] for it in found] == [
        [{"prefix": "/"}, INSIDER_SAID],
        [{"prefix": "/"}, {"queryParameter": {"name": "user", "prefix": "beta-"}}],
        [{"prefix": "/"}],
    ]
    assert [weights(it) for it in found] == [
        [("web", 0), ("web-canary", 100)],
        [("web", 0), ("web-canary", 100)],
        [("web", 100), ("web-canary", 0)],
    ]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        (Condition(name="x", by=Comparison.PREFIX, value="a.b"), r"a\.b.*"),
        (Condition(name="x", by=Comparison.SUFFIX, value="a.b"), r".*a\.b"),
        (Condition(name="x", by=Comparison.REGEX, value="a.b"), "a.b"),
        (Condition(name="x", by=Comparison.EXACT, value="a.b"), r"a\.b"),
    ],
)
def test_a_header_is_tested_by_a_pattern_which_no_including_proxy_can_contradict(
    condition: Condition, said: str
) -> None:
    match = (RequestMatch(headers=(condition,)),)
    found = under(proxy({"services": [service("web")]}), web=Traffic(100, match=match))
    assert found[0]["conditions"] == [{"header": {"name": "x", "regex": said}}]


def test_where_all_requests_of_a_route_match_it_carries_the_share_itself() -> None:
    written = {"conditions": [INSIDER_SAID], "services": [service("web")]}
    [route] = under(proxy(written), web=Traffic(30, match=(INSIDER,)))
    assert weights(route) == [("web", 70), ("web-canary", 30)]


def test_what_the_team_has_routed_elsewhere_stays_there() -> None:
    """Of two routes with the same conditions Contour takes the last."""
    theirs = {"conditions": [INSIDER_SAID, {"prefix": "/"}], "services": [service("blog")]}
    written = {"services": [service("web")]}
    found = under(proxy(theirs, written), web=Traffic(100, match=(INSIDER,)))
    assert [weights(it) for it in found] == [
        [("blog", None)],
        [("web", 100), ("web-canary", 0)],
    ]


# --- mirror -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("share", "more"), [(100, {}), (20, {"weight": 20})])
def test_a_copy_is_a_mirror_among_the_services(share: int, more: Mapping[str, int]) -> None:
    stable = service("web", protocol="h2c")
    [route] = under(proxy({"services": [stable]}), web=Traffic(0, mirror=share))
    assert weights(route)[:2] == [("web", 100), ("web-canary", 0)]
    assert route["services"][2] == {**service("web-canary", protocol="h2c"), "mirror": True, **more}


def test_an_own_mirror_is_known_by_the_mark_and_the_team_s_stays() -> None:
    written = proxy({"services": [service("web")]})
    found = PROXY.with_traffic(written, asked(web=Traffic(0, mirror=100)))
    edited = {**written, "spec": found.spec}
    edited["spec"]["routes"][0]["services"].append(service("shadow", mirror=True))
    [route] = PROXY.without_traffic(edited, found.mark)["routes"]
    assert route["services"] == [service("web"), service("shadow", mirror=True)]


# --- what it cannot say -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("services", "traffic", "said"),
    [
        (
            [service("web")],
            Traffic(50, affinity=Affinity(cookie="c", value="v")),
            "take sessionAffinity out of the Canary's analysis",
        ),
        (
            [service("web"), service("shadow", mirror=True)],
            Traffic(0, mirror=100),
            "has a mirror already",
        ),
        (
            [service("web"), service("api")],
            Traffic(0, mirror=100),
            "leads to other backends beside web",
        ),
    ],
)
def test_what_it_cannot_carry_is_said_and_left_out(
    services: list[Json], traffic: Traffic, said: str
) -> None:
    written = proxy({"services": services})
    mark = asked(web=traffic)
    assert said in PROXY.refused(written, mark)["web"]
    found = {**written, "spec": PROXY.with_traffic(written, mark).spec}
    assert PROXY.carried(found, mark.splits["web"]) == {NOTHING}


# --- what is edited ----------------------------------------------------------------------------


def test_services_that_had_all_the_same_have_a_weight_each_once_one_is_edited() -> None:
    written = proxy({"services": [service("web"), service("api")]})
    found = PROXY.with_traffic(written, asked(web=Traffic(20)))
    edited = {**written, "spec": found.spec}
    edited["spec"]["routes"][0]["services"][2]["weight"] = 3
    [route] = PROXY.without_traffic(edited, found.mark)["routes"]
    assert weights(route) == [("web", 1), ("api", 3)]


def test_a_mirror_s_own_share_is_the_team_s_to_edit() -> None:
    written = proxy({"services": [service("web"), service("shadow", 10, mirror=True)]})
    found = PROXY.with_traffic(written, asked(web=Traffic(20)))
    edited = {**written, "spec": found.spec}
    edited["spec"]["routes"][0]["services"][2]["weight"] = 30
    [route] = PROXY.without_traffic(edited, found.mark)["routes"]
    assert weights(route) == [("web", None), ("shadow", 30)]


def test_a_trouble_is_another_by_its_type_and_by_its_reason() -> None:
    def told(**error: str) -> str:
        found = proxy({"services": [service("web")]})
        found["status"] = {"conditions": [{"type": "Valid", "status": "False", "errors": [error]}]}
        [trouble] = HttpProxies().word(found).troubles
        return trouble.who

    found = {told(type=type_, reason=why) for type_ in "ab" for why in "xy"}
    assert len(found) == 4
    assert told(type="a", reason="x", message="other") in found
