"""GRPCRoutes and HTTPProxies that are made from a Canary, and what they cannot say of it."""

from dataclasses import replace
from typing import Any

import pytest

from canary.contract import MANAGED_BY, MANAGED_BY_LABEL
from canary.model.strategy import InvalidStrategy, Strategy
from canary.model.values import Json, Key
from canary.routes.from_service import asked_route, route_from_service, unsaid
from canary.spec.canary import parse_strategy
from canary.spec.defaults import Defaults

KEY = Key(namespace="prod", name="web")
OWNER: Json = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "web", "uid": "u-1"}


def parsed(provider: str = "", **service: Any) -> Strategy:
    found = parse_strategy(canary(provider, **service), Defaults())
    assert isinstance(found, Strategy), found
    return found


def canary(provider: str, **service: Any) -> Json:
    return {
        "metadata": {"name": "web", "namespace": "prod"},
        "spec": {
            **({"provider": provider} if provider else {}),
            "targetRef": {"kind": "Deployment", "name": "web"},
            "service": {"port": 80, **service},
            "analysis": {"interval": "1m", "threshold": 1, "stepWeight": 10},
        },
    }


def test_an_http_proxy_is_what_flagger_makes_for_the_team_s_own_to_include() -> None:
    found = parsed(
        "contour",
        timeout="15s",
        retries={"attempts": 3, "perTryTimeout": "1s", "retryOn": "5xx"},
        match=[{"uri": {"prefix": "/shop"}}],
        headers={"request": {"set": {"x-env": "prod"}, "remove": ["x-debug"]}},
    )
    linkerd = {
        "name": "l5d-dst-override",
        "value": "%CONTOUR_SERVICE_NAME%.%CONTOUR_NAMESPACE%.svc.cluster.local"
        ":%CONTOUR_SERVICE_PORT%",
    }
    service = {"name": "web", "port": 80, "requestHeadersPolicy": {"set": [linkerd]}}
    assert route_from_service(KEY, found, OWNER) == {
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "metadata": {
            "name": "web",
            "namespace": "prod",
            "labels": {MANAGED_BY_LABEL: MANAGED_BY},
            "ownerReferences": [OWNER],
        },
        "spec": {
            "routes": [
                {
                    "conditions": [{"prefix": "/shop"}],
                    "timeoutPolicy": {"response": "15s", "idle": "5m"},
                    "retryPolicy": {"count": 3, "perTryTimeout": "1s"},
                    "requestHeadersPolicy": {
                        "set": [{"name": "x-env", "value": "prod"}],
                        "remove": ["x-debug"],
                    },
                    "services": [service],
                }
            ]
        },
    }
    assert found.routed_by == ("HTTPProxy",)
    assert "service.retries" not in found.ignored


def test_it_leads_anywhere_and_has_a_route_for_each_way_to_match() -> None:
    plain, matched = (
        parsed("contour", **more)
        for more in (
            {},
            {
                "match": [
                    {"uri": {"exact": "/a"}, "headers": {"x": {"exact": "1"}}},
                    {"queryParams": {"q": {"prefix": "b"}}},
                ]
            },
        )
    )
    assert [it["conditions"] for it in route_from_service(KEY, plain, OWNER)["spec"]["routes"]] == [
        [{"prefix": "/"}]
    ]
    assert [
        it["conditions"] for it in route_from_service(KEY, matched, OWNER)["spec"]["routes"]
    ] == [
        [{"exact": "/a"}, {"header": {"name": "x", "exact": "1"}}],
        [{"prefix": "/"}, {"queryParameter": {"name": "q", "regex": "b.*"}}],
    ]


def test_no_http_proxy_is_made_of_nothing() -> None:
    assert asked_route({}, "web", "contour") is None


GATEWAYS = {"gatewayRefs": [{"name": "contour"}], "appProtocol": "grpc"}


def test_a_grpc_route_is_made_for_what_speaks_grpc() -> None:
    match = [
        {"uri": {"exact": "/shop.Cart/Add"}, "headers": {"user": {"exact": "beta"}}},
        {"uri": {"prefix": "/shop.Catalog/"}},
        {"uri": {"prefix": "/"}},
    ]
    found = parsed("gatewayapi:v1", hosts=["shop.example"], match=match, **GATEWAYS)
    made = route_from_service(KEY, found, OWNER)
    assert (made["kind"], made["apiVersion"]) == ("GRPCRoute", "gateway.networking.k8s.io/v1")
    assert made["spec"] == {
        "parentRefs": [{"name": "contour"}],
        "hostnames": ["shop.example"],
        "rules": [
            {
                "matches": [
                    {
                        "method": {"type": "Exact", "service": "shop.Cart", "method": "Add"},
                        "headers": [{"name": "user", "type": "Exact", "value": "beta"}],
                    },
                    {"method": {"type": "Exact", "service": "shop.Catalog"}},
                    {},
                ],
                "backendRefs": [{"name": "web", "port": 80}],
            }
        ],
    }
    assert found.routed_by == ("HTTPRoute", "GRPCRoute")


@pytest.mark.parametrize(
    ("provider", "service", "said"),
    [
        ("contour", {"rewrite": {"uri": "/"}}, "service.rewrite: an HTTPProxy"),
        ("contour", {"match": [{"method": {"exact": "GET"}}]}, "service.match.method"),
        ("contour", {"headers": {"request": {"add": {"x": "1"}}}}, "service.headers.request.add"),
        ("gatewayapi:v1", {**GATEWAYS, "timeout": "5s"}, "service.timeout: a GRPCRoute has none"),
        ("", {**GATEWAYS, "match": [{"uri": {"prefix": "/shop"}}]}, "write /service/method"),
        ("", {**GATEWAYS, "match": [{"uri": {"prefix": "/shop.Cart/Add"}}]}, "as exact"),
        ("", {**GATEWAYS, "match": [{"queryParams": {"q": {"exact": "1"}}}]}, "queryParams"),
    ],
)
def test_what_an_own_route_cannot_say_is_a_fault_of_the_canary(
    provider: str, service: Json, said: str
) -> None:
    found = parse_strategy(canary(provider, **service), Defaults())
    assert isinstance(found, InvalidStrategy)
    assert any(said in it for it in found.problems), found.problems


def test_what_no_own_route_needs_to_say_is_no_fault() -> None:
    assert unsaid({"timeout": "5s", "rewrite": {"uri": "/"}, "appProtocol": "grpc"}, "web") == ()


@pytest.mark.parametrize("provider", ["", "kubernetes"])
def test_without_a_provider_of_routes_any_kind_will_do(provider: str) -> None:
    assert parsed(provider).routed_by == ()
    assert replace(parsed(provider)).own_route is None
