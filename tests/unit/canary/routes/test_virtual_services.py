"""What a VirtualService says before, during and after a run, and what it cannot say."""

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
from canary.routes.istio import VirtualServices
from canary.routes.mark import Mark, TargetSplit
from tests.unit.canary.routes.kinds import destination, tcp_virtual, virtual

VIRTUAL = VirtualServices()
INSIDER = RequestMatch(headers=(Condition(name="X-Canary", by=Comparison.EXACT, value="in"),))
BETA = RequestMatch(params=(Condition(name="user", by=Comparison.PREFIX, value="beta-"),))
COOKIE = RequestMatch(
    headers=(Condition(name="cookie", by=Comparison.REGEX, value="^(.*;)?(canary=always)(;.*)?$"),)
)
STICKY = Traffic(20, affinity=Affinity(cookie="c", primary_cookie="p", value="v"))


def asked(**traffic: Traffic) -> Mark:
    return Mark(
        splits={
            name: TargetSplit(stable=name, canary=f"{name}-canary", traffic=one)
            for name, one in traffic.items()
        }
    )


def under(route: Json, **traffic: Traffic) -> Json:
    """Return the spec in mid-run; taken out again it is what it was."""
    found = VIRTUAL.with_traffic(route, asked(**traffic))
    assert VIRTUAL.refused(route, asked(**traffic)) == {}
    assert VIRTUAL.without_traffic({**route, "spec": found.spec}, found.mark) == route["spec"]
    return found.spec


def http(*rules: Json, **traffic: Traffic) -> list[Json]:
    """Return the http routes in mid-run."""
    found: list[Json] = under(virtual(*rules), **traffic)["http"]
    return found


def shares(rule: Json) -> list[tuple[str, Any]]:
    return [(it["destination"]["host"], it.get("weight")) for it in rule["route"]]


PLAIN = {"route": [destination("web")]}


@pytest.mark.parametrize(
    ("before", "during"),
    [
        # Alone it has all requests, whatever weight it has.
        ([destination("web")], [("web", 80), ("web-canary", 20)]),
        ([destination("web", 0)], [("web", 80), ("web-canary", 20)]),
        ([destination("web", 100)], [("web", 8000), ("web-canary", 2000)]),
        # Beside another one it has none without a weight.
        (
            [destination("web", 90), destination("api", 10)],
            [("web", 7200), ("web-canary", 1800), ("api", 1000)],
        ),
        (
            [destination("web"), destination("api", 100)],
            [("web", 0), ("web-canary", 0), ("api", 10000)],
        ),
    ],
)
def test_a_share_is_a_share_of_what_a_destination_has_today(
    before: list[Json], during: list[tuple[str, int]]
) -> None:
    [rule] = http({"route": before}, web=Traffic(20))
    assert shares(rule) == during


@pytest.mark.parametrize(
    ("host", "canary"),
    [
        ("web", "web-canary"),
        ("web.prod", "web-canary.prod"),
        ("web.prod.svc", "web-canary.prod.svc"),
        ("web.prod.svc.cluster.local", "web-canary.prod.svc.cluster.local"),
        ("web.prod.svc.k8s.example", "web-canary.prod.svc.k8s.example"),
    ],
)
def test_a_service_is_known_by_each_of_its_names_and_the_canary_s_is_spelled_alike(
    host: str, canary: str
) -> None:
    [rule] = http({"route": [destination(host)]}, web=Traffic(20))
    assert shares(rule) == [(host, 80), (canary, 20)]


@pytest.mark.parametrize(
    "host", ["web.other", "web.other.svc.cluster.local", "web.example.com", "web.prod.example.com"]
)
def test_what_is_elsewhere_is_not_ours(host: str) -> None:
    written = virtual({"route": [destination(host)]})
    assert not VIRTUAL.leads_to(written, "web")
    assert under(written, web=Traffic(20)) == written["spec"]


def test_a_canary_s_destination_has_all_of_its_stable_s_but_the_subset() -> None:
    headers = {"request": {"set": {"x-env": "prod"}}}
    place = {"subset": "v1", "port": {"number": 8080}}
    [rule] = http(
        {"route": [destination("web", headers=headers, destination=place)]}, web=Traffic(20)
    )
    assert rule["route"][1] == {
        "destination": {"host": "web-canary", "port": {"number": 8080}},
        "headers": headers,
        "weight": 20,
    }


def test_a_delegate_has_neither_hosts_nor_gateways_and_a_root_leads_nowhere() -> None:
    root = virtual({"match": [{"uri": {"prefix": "/cart"}}], "delegate": {"name": "cart"}})
    delegate = virtual(PLAIN)
    del delegate["spec"]["hosts"]
    assert not VIRTUAL.leads_to(root, "web")
    assert under(root, web=Traffic(20)) == root["spec"]
    assert shares(under(delegate, web=Traffic(20))["http"][0]) == [("web", 80), ("web-canary", 20)]


@pytest.mark.parametrize("field", ["tcp", "tls"])
def test_connections_are_shared_beside_requests_and_each_stays_in_its_list(field: str) -> None:
    rule = {"match": [{"port": 3306}], "route": [destination("web")]}
    written = virtual(PLAIN)
    written["spec"][field] = [rule]
    spec = under(written, web=Traffic(30))
    assert shares(spec["http"][0]) == [("web", 70), ("web-canary", 30)]
    assert spec[field] == [
        {
            "match": [{"port": 3306}],
            "route": [destination("web", 70), destination("web-canary", 30)],
        }
    ]


# --- match and cookies --------------------------------------------------------------------------


def test_what_matches_is_a_rule_in_front() -> None:
    written = {"match": [{"uri": {"prefix": "/a"}}, {"port": 8080}], "timeout": "3s", **PLAIN}
    found = http(written, web=Traffic(100, match=(INSIDER, BETA)))
    insider = {"headers": {"x-canary": {"exact": "in"}}}
    beta = {"queryParams": {"user": {"regex": r"beta\-.*"}}}
    assert found[0]["match"] == [
        {"uri": {"prefix": "/a"}, **insider},
        {"uri": {"prefix": "/a"}, **beta},
        {"port": 8080, **insider},
        {"port": 8080, **beta},
    ]
    assert [it["timeout"] for it in found] == ["3s", "3s"]
    assert [shares(it) for it in found] == [
        [("web", 0), ("web-canary", 100)],
        [("web", 100), ("web-canary", 0)],
    ]


def test_a_cookie_is_a_pattern_on_its_header() -> None:
    [first, _] = http(PLAIN, web=Traffic(100, match=(COOKIE,)))
    assert first["match"] == [{"headers": {"cookie": {"regex": "^(.*;)?(canary=always)(;.*)?$"}}}]


@pytest.mark.parametrize(
    ("theirs", "rules"),
    [({"exact": "in"}, 2), ({"exact": "out"}, 1), ({}, 2)],
    ids=["the same", "another one", "any"],
)
def test_a_test_that_the_team_has_already_stands_for_both_or_lets_nothing_in(
    theirs: Json, rules: int
) -> None:
    written = {"match": [{"headers": {"x-canary": theirs}}], **PLAIN}
    found = http(written, web=Traffic(100, match=(INSIDER,)))
    assert len(found) == rules
    assert found[0]["match"] == [{"headers": {"x-canary": {"exact": "in"}}}] or rules == 1


def test_who_has_met_a_version_stays_with_it() -> None:
    canary, stable, drawn = http(PLAIN, web=STICKY)
    assert canary["match"] == [{"headers": {"cookie": {"regex": r"(.*;\s*)?c=v(;.*)?"}}}]
    assert stable["match"] == [{"headers": {"cookie": {"regex": r"(.*;\s*)?p=v(;.*)?"}}}]
    assert shares(canary) == [("web", 0), ("web-canary", 100)]
    assert shares(stable) == [("web", 100), ("web-canary", 0)]
    assert [it["headers"]["response"]["add"] for it in drawn["route"]] == [
        {"Set-Cookie": "p=v; Max-Age=60"},
        {"Set-Cookie": "c=v; Max-Age=86400"},
    ]


# --- mirror -------------------------------------------------------------------------------------


def test_a_copy_is_one_of_the_mirrors() -> None:
    theirs = {"destination": {"host": "shadow"}}
    written = {"mirrors": [theirs], "route": [destination("web", destination={"subset": "v1"})]}
    [rule] = http(written, web=Traffic(0, mirror=30))
    ours = {"destination": {"host": "web-canary"}, "percentage": {"value": 30}}
    assert rule["mirrors"] == [theirs, ours]
    assert shares(rule) == [("web", 100), ("web-canary", 0)]
    assert "mirror" not in rule


def test_an_own_mirror_goes_though_somebody_edited_its_share() -> None:
    written = virtual(PLAIN)
    found = VIRTUAL.with_traffic(written, asked(web=Traffic(0, mirror=30)))
    edited = {**written, "spec": found.spec}
    edited["spec"]["http"][0]["mirrors"][0]["percentage"] = {"value": 70}
    assert VIRTUAL.without_traffic(edited, found.mark) == written["spec"]


# --- what it cannot say -------------------------------------------------------------------------

SUBSETS = [destination("web", 50, destination={"subset": name}) for name in ("v1", "v2")]


@pytest.mark.parametrize(
    ("written", "traffic", "said"),
    [
        (
            virtual({"mirror": {"host": "shadow"}, **PLAIN}),
            Traffic(0, mirror=100),
            "write it as one of `mirrors`",
        ),
        (
            virtual({"route": [destination("web", 1), destination("api", 1)]}),
            Traffic(0, mirror=100),
            "leads to other destinations beside web",
        ),
        (
            virtual({"match": [{"headers": {"x-canary": {"prefix": "i"}}}], **PLAIN}),
            Traffic(100, match=(INSIDER,)),
            "a rule matches X-Canary already",
        ),
        (
            virtual(
                {"route": [destination("web", headers={"response": {"set": {"set-cookie": "a"}}})]}
            ),
            STICKY,
            "changes the header Set-Cookie already",
        ),
        (tcp_virtual(PLAIN), Traffic(0, mirror=100), "take mirror out of the Canary's analysis"),
        (
            tcp_virtual(PLAIN),
            STICKY,
            "take sessionAffinity out of the Canary's analysis, or lead to it by an http route",
        ),
        (tcp_virtual(PLAIN), Traffic(9, match=(INSIDER,)), "gives the canary a share of the conn"),
        (virtual({"route": SUBSETS}), Traffic(20), "by the subsets v1, v2"),
        (virtual({"route": SUBSETS}), Traffic(20, match=(INSIDER,)), "by the subsets v1, v2"),
        (
            virtual({"route": SUBSETS[:1]}, {"route": SUBSETS[1:]}),
            Traffic(20),
            "give each Deployment a Service of its own",
        ),
    ],
)
def test_what_it_cannot_carry_is_said_and_left_out(
    written: Json, traffic: Traffic, said: str
) -> None:
    mark = asked(web=traffic)
    assert said in VIRTUAL.refused(written, mark)["web"]
    found = {**written, "spec": VIRTUAL.with_traffic(written, mark).spec}
    assert VIRTUAL.carried(found, mark.splits["web"]) == {NOTHING}


def test_no_traffic_at_all_is_never_refused() -> None:
    assert VIRTUAL.refused(virtual({"route": SUBSETS}), asked(web=NOTHING)) == {}


def test_what_one_target_cannot_have_is_no_other_s_fault() -> None:
    both = virtual({"route": [*SUBSETS, destination("api", 100)]})
    mark = asked(web=Traffic(20), api=Traffic(30))
    assert set(VIRTUAL.refused(both, mark)) == {"web"}
    found = {**both, "spec": VIRTUAL.with_traffic(both, mark).spec}
    assert VIRTUAL.carried(found, mark.splits["api"]) == {Traffic(30)}


def test_nothing_says_that_all_proxies_have_it() -> None:
    assert not VIRTUAL.accepted({**virtual(PLAIN), "status": {"observedGeneration": 9}})
