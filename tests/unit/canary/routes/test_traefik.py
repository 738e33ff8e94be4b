"""What IngressRoutes and TraefikServices say during a run, and what they cannot say."""

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
from canary.routes.mark import Mark, TargetSplit
from canary.routes.traefik import IngressRoutes, TraefikServices
from tests.unit.canary.routes.kinds import ingress_route, service, traefik_service

ROUTES, SERVICES = IngressRoutes(), TraefikServices()
INSIDER = RequestMatch(headers=(Condition(name="X-Canary", by=Comparison.EXACT, value="in"),))
BETA = RequestMatch(params=(Condition(name="user", by=Comparison.PREFIX, value="beta-"),))
AT_20 = Traffic(20)
ONLY_INSIDERS = Traffic(100, match=(INSIDER,))
HOST = "Host(`shop.example`)"


def asked(**traffic: Traffic) -> Mark:
    return Mark(
        splits={
            name: TargetSplit(stable=name, canary=f"{name}-canary", traffic=it)
            for name, it in traffic.items()
        }
    )


def routes(written: Json, mark: Mark) -> list[Json]:
    found: list[Json] = ROUTES.with_traffic(written, mark).spec["routes"]
    return found


def weights(rule: Json) -> dict[str, int | None]:
    return {it["name"]: it.get("weight") for it in rule["services"]}


# --- shares -------------------------------------------------------------------------------------


def test_all_that_a_service_says_holds_for_its_canary() -> None:
    more: dict[str, Any] = {
        "scheme": "h2c",
        "serversTransport": "mtls",
        "passHostHeader": False,
        "sticky": {"cookie": {"name": "pod"}},
        "middlewares": [{"name": "limit"}],
    }
    written = ingress_route({"services": [service("web", **more)]})
    [rule] = routes(written, asked(web=AT_20))
    assert rule["services"] == [
        service("web", 80, **more),
        service("web-canary", 20, **more),
    ]


@pytest.mark.parametrize(
    "traffic", [NOTHING, Traffic(0, match=(INSIDER,)), Traffic(0, affinity=Affinity(cookie="c"))]
)
def test_a_canary_that_has_nothing_stands_nowhere(traffic: Traffic) -> None:
    """Without endpoints it would take the whole route with it."""
    written = ingress_route({"services": [service("web", 3), service("api")]})
    mark = asked(web=traffic)
    assert ROUTES.with_traffic(written, mark).spec == written["spec"]
    assert ROUTES.refused(written, mark) == {}
    during = ROUTES.with_traffic(written, asked(web=AT_20, api=NOTHING)).spec["routes"][0]
    assert weights(during) == {"web": 240, "web-canary": 60, "api": 100}


def test_one_that_comes_to_nothing_leaves_the_list_again_and_the_other_stays() -> None:
    written = ingress_route({"services": [service("web"), service("api")]})
    first = ROUTES.with_traffic(written, asked(web=AT_20, api=Traffic(50)))
    during = {**written, "spec": first.spec}
    one_less = first.mark.having("api", TargetSplit(stable="api", canary="api-canary"))
    now = ROUTES.with_traffic(during, one_less)
    assert weights(now.spec["routes"][0]) == {"web": 80, "web-canary": 20, "api": 100}
    none = ROUTES.with_traffic({**written, "spec": now.spec}, now.mark.leaving("web"))
    assert none.spec == written["spec"]


def test_a_traefik_service_of_that_name_is_another_thing() -> None:
    written = ingress_route({"services": [service("web", kind="TraefikService")]})
    assert not ROUTES.leads_to(written, "web")
    assert ROUTES.with_traffic(written, asked(web=AT_20)).spec == written["spec"]


@pytest.mark.parametrize("where", ["", "prod"])
def test_a_namespace_may_be_said_or_be_empty(where: str) -> None:
    written = ingress_route({"services": [service("web", namespace=where)]})
    assert weights(routes(written, asked(web=AT_20))[0]) == {"web": 80, "web-canary": 20}


def test_a_weight_that_cannot_be_shared_is_refused() -> None:
    written = ingress_route({"services": [service("web", 1_000_001)]})
    mark = asked(web=AT_20)
    assert "weights above 1000000" in ROUTES.refused(written, mark)["web"]
    assert ROUTES.with_traffic(written, mark).spec == written["spec"]


@pytest.mark.parametrize("dialect", [ROUTES, SERVICES], ids=lambda it: it.kind)
def test_traefik_says_nowhere_what_it_has_taken(dialect: IngressRoutes | TraefikServices) -> None:
    assert not dialect.accepted({"metadata": {"generation": 1}, "spec": {}})


# --- matches ------------------------------------------------------------------------------------


def test_what_matches_has_a_route_right_ahead_of_the_team_s() -> None:
    rest = {"middlewares": [{"name": "limit"}], "kind": "Rule"}
    written = ingress_route({**rest, "services": [service("web")]})
    ahead, own = routes(written, asked(web=Traffic(50, match=(INSIDER, BETA))))
    assert own == written["spec"]["routes"][0]
    assert ahead == {
        **rest,
        "match": f"({HOST}) && ((Header(`X-Canary`, `in`))"
        " || (QueryRegexp(`user`, `^(?:beta\\-.*)$`)))",
        "priority": len(HOST) + 1,
        "services": [service("web", 50), service("web-canary", 50)],
    }


def test_a_priority_of_the_team_s_counts_in_place_of_the_length() -> None:
    written = ingress_route({"priority": 7, "services": [service("web")]})
    ahead, own = routes(written, asked(web=ONLY_INSIDERS))
    assert (ahead["priority"], own["priority"]) == (8, 7)
    assert weights(ahead) == {"web": 0, "web-canary": 100}


def test_what_came_ahead_of_the_team_s_route_still_does() -> None:
    """Of two routes of one priority nobody knows which Traefik takes."""
    longer = "Host(`shops.example`)"
    assert len(longer) == len(HOST) + 1
    written = ingress_route(
        {"services": [service("web")]},
        {"match": longer, "services": [service("api")]},
        {"match": f"{HOST} && PathPrefix(`/api`)", "services": [service("api")]},
        {"match": "PathPrefix(`/x`)", "priority": len(longer), "services": [service("api")]},
    )
    ahead, *theirs = routes(written, asked(web=ONLY_INSIDERS))
    assert theirs == written["spec"]["routes"]
    assert ahead["priority"] == len(longer)
    assert ahead["match"] == (
        f"({HOST}) && ((Header(`X-Canary`, `in`))) && !({longer}) && !(PathPrefix(`/x`))"
    )


def test_who_matches_two_targets_gets_both() -> None:
    written = ingress_route({"services": [service("web"), service("api")]})
    api = Traffic(100, match=(BETA,))
    found = routes(written, asked(web=ONLY_INSIDERS, api=api))
    assert [it.get("priority", len(HOST)) - len(HOST) for it in found] == [2, 1, 1, 0]
    assert [[name for name, weight in weights(it).items() if weight] for it in found] == [
        ["web-canary", "api-canary"],
        ["web", "api-canary"],
        ["web-canary", "api"],
        [],
    ]


def test_a_match_that_lets_all_in_is_a_share() -> None:
    written = ingress_route({"services": [service("web")]})
    traffic = Traffic(30, match=(INSIDER, RequestMatch()))
    [rule] = routes(written, asked(web=traffic))
    assert weights(rule) == {"web": 70, "web-canary": 30}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("in", "`in`"),
        ("a`b", '"a`b"'),
        ('a`"\\b', '"a`\\"\\\\b"'),
        ("ä`", '"ä`"'),
        ("\\d", "`\\d`"),
    ],
)
def test_any_value_can_be_asked_for(value: str, said: str) -> None:
    condition = Condition(name="x", by=Comparison.EXACT, value=value)
    traffic = Traffic(100, match=(RequestMatch(headers=(condition,)),))
    ahead, _ = routes(ingress_route({"services": [service("web")]}), asked(web=traffic))
    assert ahead["match"] == f"({HOST}) && ((Header(`x`, {said})))"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"syntax": "v2"}, "only that of Traefik 3"),
        ({"priority": 9223372036854774807}, "the highest priority"),
        ({"match": ""}, "has no match"),
        ({"match": None, "priority": 20}, "has no match"),
    ],
)
def test_what_cannot_be_narrowed_is_refused(rule: Json, said: str) -> None:
    written = ingress_route({**rule, "services": [service("web")]})
    mark = asked(web=ONLY_INSIDERS)
    assert said in ROUTES.refused(written, mark)["web"]
    assert ROUTES.with_traffic(written, mark).spec == written["spec"]
    assert ROUTES.refused(written, asked(web=AT_20)) == {}


def test_a_route_that_comes_without_a_match_at_all_is_refused_in_words() -> None:
    """Its schema would refuse it, and is asked after admission."""
    written = ingress_route({"services": [service("web")]}, {"services": [service("api")]})
    for route in written["spec"]["routes"]:
        del route["match"]
    assert "has no match" in ROUTES.refused(written, asked(web=ONLY_INSIDERS))["web"]
    assert ROUTES.with_traffic(written, asked(web=ONLY_INSIDERS)).spec == written["spec"]


@pytest.mark.parametrize(
    ("traffic", "said"),
    [
        (Traffic(0, mirror=100), "copy no requests"),
        (Traffic(20, affinity=Affinity(cookie="c", value="v")), "take sessionAffinity out"),
    ],
)
@pytest.mark.parametrize("dialect", [ROUTES, SERVICES], ids=lambda it: it.kind)
def test_what_neither_can_carry_is_refused(
    dialect: IngressRoutes | TraefikServices, traffic: Traffic, said: str
) -> None:
    written = (ingress_route if dialect is ROUTES else traefik_service)(
        {"services": [service("web")]}
    )
    assert said in dialect.refused(written, asked(web=traffic))["web"]
    assert dialect.with_traffic(written, asked(web=traffic)).spec == written["spec"]


# --- TraefikServices ----------------------------------------------------------------------------


def test_a_traefik_service_shares_and_keeps_what_else_it_says() -> None:
    stuck = {"sticky": {"cookie": {"name": "version"}}}
    written = traefik_service({**stuck, "services": [service("web"), service("api", 3)]})
    spec = SERVICES.with_traffic(written, asked(web=AT_20)).spec
    assert spec == {
        "weighted": {
            **stuck,
            "services": [service("web", 80), service("web-canary", 20), service("api", 300)],
        }
    }


def test_a_traefik_service_tells_no_requests_from_others() -> None:
    written = traefik_service({"services": [service("web")]})
    said = SERVICES.refused(written, asked(web=ONLY_INSIDERS))["web"]
    assert "let an IngressRoute lead to the Service itself" in said


@pytest.mark.parametrize(
    ("way", "spec"),
    [
        ("mirroring", {**service("web"), "mirrors": [service("api", percent=10)]}),
        ("highestRandomWeight", {"services": [service("web"), service("api")]}),
        ("failover", {"service": service("web"), "fallback": service("api"), "errors": {}}),
        ("failover", {"service": service("api"), "fallback": service("web"), "errors": {}}),
    ],
)
def test_other_ways_to_lead_there_are_refused_by_name(way: str, spec: Json) -> None:
    written = {**traefik_service(), "spec": {way: spec}}
    assert SERVICES.leads_to(written, "web")
    said = SERVICES.refused(written, asked(web=AT_20))["web"]
    assert said.startswith(f"its {way} leads to web and has no share")
    assert SERVICES.with_traffic(written, asked(web=AT_20)).spec == written["spec"]
    [share] = SERVICES.carried(written, asked(web=AT_20).splits["web"])
    assert share == NOTHING


def test_a_copy_of_requests_that_comes_to_the_service_is_no_traffic_of_users() -> None:
    spec = {**service("api"), "mirrors": [service("web", percent=10)]}
    assert not SERVICES.leads_to({**traefik_service(), "spec": {"mirroring": spec}}, "web")


def test_of_several_ways_traefik_takes_the_first() -> None:
    spec = {"weighted": {"services": [service("web")]}, "mirroring": service("web")}
    written = {**traefik_service(), "spec": spec}
    assert SERVICES.refused(written, asked(web=AT_20)) == {}


@pytest.mark.parametrize("spec", [{}, {"weighted": {}}, {"weighted": {"services": []}}])
def test_one_that_leads_nowhere_stays_as_it_is(spec: Json) -> None:
    written = {**traefik_service(), "spec": spec}
    assert not SERVICES.leads_to(written, "web")
    assert SERVICES.with_traffic(written, asked(web=AT_20)).spec == spec
