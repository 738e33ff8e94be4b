"""The HTTPRoute that a Canary asks for: Flagger's words, and what the Gateway API calls them."""

from datetime import timedelta
from typing import Any

import pytest

from canary.model.strategy import GatewayRoute, Strategy
from canary.model.values import Json, Key
from canary.routes.from_service import asked_route, route_from_service
from canary.spec.canary import Defaults, parse_strategy
from tests.fakes.objects import canary

GATEWAY = {"name": "public", "namespace": "infra"}
KEY = Key(namespace="prod", name="web")
OWNER = {"kind": "Canary", "name": "web", "uid": "uid-canary"}


def asked(**service: Any) -> GatewayRoute:
    found = asked_route({"gatewayRefs": [GATEWAY], **service}, "web")
    assert isinstance(found, GatewayRoute)
    assert found is not None
    return found


def header_filter(direction: str, **modifier: Any) -> Json:
    kind = f"{direction.capitalize()}HeaderModifier"
    return {"type": kind, f"{direction}HeaderModifier": modifier}


def test_who_names_no_gateway_asks_for_no_route() -> None:
    assert asked_route({"hosts": ["web.example"], "timeout": "5s"}, "web") is None


@pytest.mark.parametrize(
    ("service", "hosts"),
    [
        ({}, ("web",)),
        ({"name": "front"}, ("front",)),
        ({"name": "front", "hosts": ["a.example", "b.example"]}, ("a.example", "b.example")),
    ],
)
def test_the_hosts_are_the_team_s_or_the_service_s_name(
    service: Json, hosts: tuple[str, ...]
) -> None:
    assert asked(**service) == GatewayRoute(parents=(GATEWAY,), hosts=hosts, rule={})


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ({"exact": "/a"}, {"type": "Exact", "value": "/a"}),
        ({"prefix": "/a"}, {"type": "PathPrefix", "value": "/a"}),
        ({"regex": "/a.*"}, {"type": "RegularExpression", "value": "/a.*"}),
    ],
)
def test_paths(uri: Json, path: Json) -> None:
    assert asked(match=[{"uri": uri}]).rule == {"matches": [{"path": path}]}


@pytest.mark.parametrize("field", ["headers", "queryParams"])
@pytest.mark.parametrize(
    ("test", "found"),
    [
        ({"exact": "1"}, {"type": "Exact", "value": "1"}),
        ({"regex": "a|b"}, {"type": "RegularExpression", "value": "a|b"}),
        ({"prefix": "a.b"}, {"type": "RegularExpression", "value": r"a\.b.*"}),
        ({"suffix": "a.b"}, {"type": "RegularExpression", "value": r".*a\.b"}),
        ({"present": "1"}, {"type": "Exact", "value": "1"}),
    ],
)
def test_headers_and_parameters(field: str, test: Json, found: Json) -> None:
    rule = asked(match=[{field: {"x-beta": test}}]).rule
    assert rule == {"matches": [{field: [{"name": "x-beta", **found}]}]}


def test_a_method_and_more_than_one_match() -> None:
    rule = asked(match=[{"method": {"exact": "GET"}}, {"method": {}, "uri": {}}]).rule
    assert rule == {"matches": [{"method": "GET"}, {}]}


@pytest.mark.parametrize(
    ("service", "timeouts"),
    [
        ({"timeout": "5s"}, {"request": "5s"}),
        ({"backendTimeout": "2s"}, {"backendRequest": "2s"}),
        ({"timeout": "5s", "backendTimeout": "2s"}, {"request": "5s", "backendRequest": "2s"}),
    ],
)
def test_times(service: Json, timeouts: Json) -> None:
    assert asked(**service).rule == {"timeouts": timeouts}


@pytest.mark.parametrize("direction", ["request", "response"])
@pytest.mark.parametrize(
    ("changes", "modifier"),
    [
        ({"add": {"x-a": "b"}}, {"add": [{"name": "x-a", "value": "b"}]}),
        ({"set": {"x-a": "b"}}, {"set": [{"name": "x-a", "value": "b"}]}),
        ({"remove": ["x-a"]}, {"remove": ["x-a"]}),
        (
            {"add": {"a": "1"}, "set": {"b": "2", "c": "3"}, "remove": ["d"]},
            {
                "add": [{"name": "a", "value": "1"}],
                "set": [{"name": "b", "value": "2"}, {"name": "c", "value": "3"}],
                "remove": ["d"],
            },
        ),
    ],
)
def test_changes_of_headers(direction: str, changes: Json, modifier: Json) -> None:
    rule = asked(headers={direction: changes}).rule
    assert rule == {"filters": [header_filter(direction, **modifier)]}


def test_headers_that_change_nothing_are_left_out() -> None:
    assert asked(headers={"request": {}, "response": None}).rule == {}
    assert asked(headers=None).rule == {}


@pytest.mark.parametrize(
    ("rewrite", "found"),
    [
        ({"uri": "/"}, {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/"}}),
        (
            {"uri": "/", "type": "ReplacePrefixMatch"},
            {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
        ),
        (
            {"uri": "/", "type": "ReplaceFullPath", "authority": "b.example"},
            {
                "path": {"type": "ReplaceFullPath", "replaceFullPath": "/"},
                "hostname": "b.example",
            },
        ),
        ({"authority": "b.example"}, {"hostname": "b.example"}),
    ],
)
def test_rewrites(rewrite: Json, found: Json) -> None:
    rule = asked(rewrite=rewrite).rule
    assert rule == {"filters": [{"type": "URLRewrite", "urlRewrite": found}]}


# --- the object ---------------------------------------------------------------------------------


def strategy(**service: Any) -> Strategy:
    obj = canary()
    obj["spec"]["service"] = {"port": 80, **service}
    found = parse_strategy(obj, Defaults())
    assert isinstance(found, Strategy)
    assert found.interval == timedelta(minutes=1)
    return found


@pytest.mark.parametrize(("service", "port"), [({}, 80), ({"port": 8443}, 8443)])
def test_the_route_leads_to_the_service_of_the_canary(service: Json, port: int) -> None:
    wanted = strategy(name="front", gatewayRefs=[GATEWAY], timeout="5s", **service)
    assert route_from_service(KEY, wanted, OWNER) == {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": "front",
            "namespace": "prod",
            "labels": {"app.kubernetes.io/managed-by": "headgate"},
            "ownerReferences": [OWNER],
        },
        "spec": {
            "parentRefs": [GATEWAY],
            "hostnames": ["front"],
            "rules": [
                {
                    "timeouts": {"request": "5s"},
                    "backendRefs": [{"name": "front", "port": port}],
                }
            ],
        },
    }


def test_without_a_port_it_is_that_of_http() -> None:
    obj = canary()
    obj["spec"]["service"] = {"gatewayRefs": [GATEWAY]}
    found = parse_strategy(obj, Defaults())
    assert isinstance(found, Strategy)
    route = route_from_service(KEY, found, OWNER)
    assert route["spec"]["rules"][0]["backendRefs"] == [{"name": "web", "port": 80}]


def test_no_route_is_made_for_who_asks_for_none() -> None:
    with pytest.raises(ValueError, match=r"^web.prod asks for no route of its own$"):
        route_from_service(KEY, strategy(), OWNER)
