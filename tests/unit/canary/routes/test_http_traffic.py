"""HTTPRoutes that match, mirror and keep users, case by case: what the API server gets to see."""

import json
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import pytest

from canary.model.traffic import (
    Affinity,
    Comparison,
    Condition,
    RequestMatch,
    SameSite,
    Traffic,
)
from canary.model.values import Json
from canary.routes.http_added import too_much
from canary.routes.mark import Mark, TargetSplit, load_mark, marked
from tests.unit.canary.routes.rules import HTTP, ref, route, weights_of

PATH = {"type": "PathPrefix", "value": "/"}
INSIDER = Condition(name="x-canary", by=Comparison.EXACT, value="insider")
BY_HEADER = RequestMatch(headers=(INSIDER,))
BY_PARAM = RequestMatch(params=(Condition(name="user", by=Comparison.PREFIX, value="a.b"),))
AFFINITY = Affinity(cookie="canary-cookie", value="abc")


def split(traffic: Traffic, target: str = "web") -> TargetSplit:
    return TargetSplit(stable=target, canary=f"{target}-canary", traffic=traffic)


def asked(traffic: Traffic) -> Mark:
    return Mark(splits={"web": split(traffic)})


def rules(written: Json, traffic: Traffic) -> list[Json]:
    assert HTTP.refused(written, asked(traffic)) == {}
    found: list[Json] = HTTP.with_traffic(written, asked(traffic)).spec["rules"]
    return found


def exact(name: str, value: str) -> Json:
    return {"name": name, "type": "Exact", "value": value}


# --- A/B ----------------------------------------------------------------------------------------


def test_what_matches_has_a_rule_in_front_and_the_team_s_rule_stays_the_stable_s() -> None:
    [matched, own] = rules(route({"backendRefs": [ref("web")]}), Traffic(100, match=(BY_HEADER,)))
    assert matched["matches"] == [{"path": PATH, "headers": [exact("x-canary", "insider")]}]
    assert weights_of(matched) == {"web": 0, "web-canary": 100}
    assert "matches" not in own
    assert weights_of(own) == {"web": 100, "web-canary": 0}


def test_each_match_of_the_team_s_is_held_together_with_each_of_the_analysis() -> None:
    theirs: list[Json] = [
        {"path": {"type": "Exact", "value": "/a"}, "method": "GET"},
        {"path": PATH, "headers": [exact("host-of", "b")]},
    ]
    more: Json = {"timeouts": {"request": "10s"}, "filters": [{"type": "URLRewrite"}]}
    [matched, _] = rules(
        route({"matches": theirs, "backendRefs": [ref("web")], **more}),
        Traffic(50, match=(BY_HEADER, BY_PARAM)),
    )
    param = {"name": "user", "type": "RegularExpression", "value": r"a\.b.*"}
    assert matched["matches"] == [
        {**theirs[0], "headers": [exact("x-canary", "insider")]},
        {**theirs[0], "queryParams": [param]},
        {**theirs[1], "headers": [exact("host-of", "b"), exact("x-canary", "insider")]},
        {**theirs[1], "queryParams": [param]},
    ]
    assert {key: matched[key] for key in more} == more
    assert weights_of(matched) == {"web": 50, "web-canary": 50}


def test_what_the_team_matches_already_is_matched_once() -> None:
    """Header names are the same in any case; of two values of one name no request has both."""
    theirs = [{"headers": [exact("X-Canary", value)]} for value in ("insider", "other")]
    [matched, _] = rules(
        route({"matches": theirs, "backendRefs": [ref("web")]}), Traffic(100, match=(BY_HEADER,))
    )
    assert matched["matches"] == [{"path": PATH, **theirs[0]}]
    [own] = rules(
        route({"matches": theirs[1:], "backendRefs": [ref("web")]}),
        Traffic(100, match=(BY_HEADER,)),
    )
    assert own["matches"] == theirs[1:]


def test_requests_of_two_targets_that_match_both_reach_both_canaries() -> None:
    mark = Mark(
        splits={
            "web": split(Traffic(100, match=(BY_HEADER,))),
            "api": split(Traffic(100, match=(BY_PARAM,)), "api"),
        }
    )
    written = route({"backendRefs": [ref("web"), ref("api")]})
    found = HTTP.with_traffic(written, mark).spec["rules"]
    assert len(found) == 4
    first = found[0]
    assert set(first["matches"][0]) == {"path", "headers", "queryParams"}
    assert weights_of(first) == {"web": 0, "web-canary": 100, "api": 0, "api-canary": 100}


# --- mirror -------------------------------------------------------------------------------------


def mirror(percent: int | None) -> Json:
    backend = {"group": "", "kind": "Service", "name": "web-canary", "port": 80}
    said: Json = {"backendRef": backend} | ({} if percent is None else {"percent": percent})
    return {"type": "RequestMirror", "requestMirror": said}


def test_the_canary_gets_a_copy_beside_the_team_s_own_mirrors() -> None:
    theirs = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "audit"}}}
    written = route({"backendRefs": [ref("web")], "filters": [theirs]}, {"backendRefs": [ref("x")]})
    [own, other] = rules(written, Traffic(0, mirror=40))
    assert own["filters"] == [theirs, mirror(40)]
    assert weights_of(own) == {"web": 100, "web-canary": 0}
    assert other == {"backendRefs": [ref("x")]}


def test_a_team_s_own_mirror_to_the_canary_survives_ours() -> None:
    written = route({"backendRefs": [ref("web")], "filters": [mirror(40)]})
    found = HTTP.with_traffic(written, asked(Traffic(0, mirror=40)))
    now = {**written, "spec": deepcopy(found.spec)}
    assert now["spec"]["rules"][0]["filters"] == [mirror(40), mirror(40)]
    assert HTTP.without_traffic(now, found.mark) == written["spec"]


def test_a_cluster_that_knows_no_percent_copies_all_and_is_not_written_again() -> None:
    """It leaves out the fields that its HTTPRoute has not."""
    written = route({"backendRefs": [ref("web")]})
    found = HTTP.with_traffic(written, asked(Traffic(0, mirror=40)))
    pruned = {**written, "spec": deepcopy(found.spec)}
    pruned["spec"]["rules"][0]["filters"] = [mirror(None)]
    again = HTTP.with_traffic(pruned, found.mark)
    assert (again.spec, again.mark) == (pruned["spec"], found.mark)
    carried = HTTP.carried(marked(pruned, found.mark.dump()), found.mark.splits["web"])
    assert carried == {Traffic(0, mirror=40)}
    assert HTTP.without_traffic(pruned, found.mark) == written["spec"]


# --- affinity -----------------------------------------------------------------------------------


def cookies(rule: Json) -> dict[str, list[str]]:
    return {
        it["name"]: [
            header["value"]
            for found in it.get("filters") or ()
            for header in found["responseHeaderModifier"]["add"]
        ]
        for it in rule["backendRefs"]
    }


def test_who_has_met_the_canary_stays_with_it() -> None:
    [kept, own] = rules(route({"backendRefs": [ref("web")]}), Traffic(20, affinity=AFFINITY))
    pattern = r"(.*;\s*)?canary\-cookie=abc(;.*)?"
    header = {"name": "cookie", "type": "RegularExpression", "value": pattern}
    assert kept["matches"] == [{"path": PATH, "headers": [header]}]
    assert weights_of(kept) == {"web": 0, "web-canary": 100}
    assert cookies(kept) == {"web": [], "web-canary": []}
    assert weights_of(own) == {"web": 80, "web-canary": 20}
    assert cookies(own) == {"web": [], "web-canary": ["canary-cookie=abc; Max-Age=86400"]}


def test_who_has_met_the_stable_stays_for_an_interval() -> None:
    affinity = replace(
        AFFINITY,
        primary_cookie="primary",
        max_age=timedelta(hours=1),
        domain="shop.example",
        path="/",
        http_only=True,
        secure=True,
        same_site=SameSite.NONE,
        partitioned=True,
    )
    [canary, stable, own] = rules(
        route({"backendRefs": [ref("web")]}), Traffic(20, affinity=affinity)
    )
    assert weights_of(canary) == {"web": 0, "web-canary": 100}
    assert weights_of(stable) == {"web": 100, "web-canary": 0}
    more = "Domain=shop.example; Path=/; HttpOnly; Secure; SameSite=None; Partitioned"
    assert cookies(own) == {
        "web": [f"primary=abc; Max-Age=60; {more}"],
        "web-canary": [f"canary-cookie=abc; Max-Age=3600; {more}"],
    }


def test_a_filter_that_the_team_has_on_the_backend_is_kept() -> None:
    """A kind of filter stands there once."""
    theirs = {"set": [{"name": "x", "value": "y"}]}
    filters = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": theirs}]
    written = route({"backendRefs": [ref("web", filters=filters)]})
    affinity = replace(AFFINITY, primary_cookie="primary")
    found = HTTP.with_traffic(written, asked(Traffic(20, affinity=affinity)))
    own = found.spec["rules"][-1]
    assert [it["filters"][0]["responseHeaderModifier"]["set"] for it in own["backendRefs"]] == [
        theirs["set"],
        theirs["set"],
    ]
    now = {**written, "spec": deepcopy(found.spec)}
    assert HTTP.without_traffic(now, found.mark) == written["spec"]


@pytest.mark.parametrize(
    "traffic", [Traffic(0, affinity=AFFINITY), Traffic(20, affinity=replace(AFFINITY, value=""))]
)
def test_nobody_is_kept_without_a_share_or_a_run(traffic: Traffic) -> None:
    [own] = rules(route({"backendRefs": [ref("web")]}), traffic)
    assert cookies(own) == {"web": [], "web-canary": []}


def test_a_run_has_a_cookie_of_its_own() -> None:
    one, other = (Traffic(20, affinity=AFFINITY).of_run(it) for it in ("web a@1", "web a@2"))
    assert one.affinity is not None
    assert other.affinity is not None
    assert one.affinity.value != other.affinity.value
    assert one == Traffic(20, affinity=AFFINITY).of_run("web a@1")
    assert Traffic(20).of_run("web a@1") == Traffic(20)


# --- what cannot be said ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "traffic", "said"),
    [
        (
            {
                "matches": [
                    {"headers": [{"name": "X-Canary", "type": "RegularExpression", "value": "a"}]}
                ]
            },
            Traffic(100, match=(BY_HEADER,)),
            "matches x-canary already",
        ),
        ({"more": True}, Traffic(0, mirror=10), "other backends beside web"),
        (
            {"matches": [{"path": {"value": f"/{i}"}} for i in range(40)]},
            Traffic(100, match=(BY_HEADER, BY_PARAM)),
            "80 matches in a rule, and an HTTPRoute takes 64",
        ),
    ],
)
def test_what_cannot_be_said_is_left_out_and_told(rule: Json, traffic: Traffic, said: str) -> None:
    refs = [ref("web"), ref("api")] if rule.pop("more", False) else [ref("web")]
    written = route({**rule, "backendRefs": refs})
    assert said in HTTP.refused(written, asked(traffic))["web"]
    found = HTTP.with_traffic(written, asked(traffic))
    assert len(found.spec["rules"]) == 1
    assert weights_of(found.spec["rules"][0])["web-canary"] == 0
    now = marked({**written, "spec": found.spec}, found.mark.dump())
    assert HTTP.carried(now, split(traffic)) == {Traffic(0)}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"backendRefs": 17 * [ref("web")]}, "17 backends in a rule, and an HTTPRoute takes 16"),
        ({"filters": 17 * [{}]}, "17 filters in a rule, and an HTTPRoute takes 16"),
        (
            {"matches": [{"queryParams": 17 * [{}]}]},
            "17 headers or parameters in a match, and an HTTPRoute takes 16",
        ),
        ({"matches": 65 * [{}]}, "65 matches in a rule, and an HTTPRoute takes 64"),
    ],
)
def test_what_an_http_route_takes(rule: Json, said: str) -> None:
    assert too_much([rule, {}]) == f"it would have {said}"


def test_what_an_http_route_takes_in_all() -> None:
    assert too_much([{"matches": 64 * [{}]}, {"matches": 64 * [{}]}]) == ""
    said = "129 matches, and an HTTPRoute takes 128"
    assert said in too_much([{"matches": 64 * [{}]}, {"matches": 64 * [{}]}, {}])


def test_a_backend_that_sets_a_cookie_itself_is_left_alone() -> None:
    add = {"add": [{"name": "set-cookie", "value": "a=b"}]}
    filters = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": add}]
    written = route({"backendRefs": [ref("web", filters=filters)]})
    assert (
        "Set-Cookie already" in HTTP.refused(written, asked(Traffic(20, affinity=AFFINITY)))["web"]
    )


def test_what_there_is_no_room_for_is_refused_without_harm_to_another_target() -> None:
    """A route has 16 rules."""
    paths = [
        {"matches": [{"path": {"value": f"/{i}"}}], "backendRefs": [ref("web")]} for i in range(12)
    ]
    written = route(*paths, {"backendRefs": [ref("api")]})
    mark = Mark(
        splits={
            "api": split(Traffic(100, match=(BY_HEADER,)), "api"),
            "web": split(Traffic(100, match=(BY_HEADER,))),
        }
    )
    assert "26 rules, and an HTTPRoute takes 16" in HTTP.refused(written, mark)["web"]
    assert set(HTTP.refused(written, mark)) == {"web"}
    found = HTTP.with_traffic(written, mark).spec["rules"]
    assert len(found) == 14
    assert weights_of(found[12]) == {"api": 0, "api-canary": 100}


# --- other versions -----------------------------------------------------------------------------


def test_the_version_before_cannot_read_a_mark_with_more_than_shares() -> None:
    """It would give all users what only some match, or forget which rules are ours."""
    written = route({"backendRefs": [ref("web")]})
    found = HTTP.with_traffic(written, asked(Traffic(100, match=(BY_HEADER,)))).mark
    back = found.having("web", split(Traffic(0)))
    for one in (found, back, found.leaving("web")):
        assert load_mark(one.dump()) == one
        assert "weight" not in json.loads(one.dump())["targets"]["web"]
    now = {**written, "spec": HTTP.with_traffic(written, found).spec}
    settled = HTTP.with_traffic(now, back)
    assert json.loads(settled.mark.dump())["targets"]["web"]["weight"] == 0
