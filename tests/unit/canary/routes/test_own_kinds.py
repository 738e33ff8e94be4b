"""Routes of other kinds that are made from a Canary, and what they cannot say of it."""

from dataclasses import replace
from typing import Any

import pytest

from canary.contract import MANAGED_BY, MANAGED_BY_LABEL
from canary.model.strategy import InvalidStrategy, Strategy
from canary.model.values import Json, Key
from canary.routes.from_service import asked_route, beside_own, route_from_service, unsaid
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


@pytest.mark.parametrize("provider", ["contour", "istio", "traefik"])
def test_no_route_is_made_of_nothing(provider: str) -> None:
    assert asked_route({}, "web", provider) is None


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


MESH: Json = {
    "match": [
        {"uri": {"prefix": "/shop"}, "sourceLabels": {"app": "shop"}, "gateways": ["mesh"]},
        {"withoutHeaders": {"x": {}}, "scheme": {"exact": "https"}},
    ],
    "timeout": "15s",
    "retries": {"attempts": 3, "perTryTimeout": "1s", "retryOn": "5xx"},
    "headers": {"request": {"add": {"x-env": "prod"}}},
    "corsPolicy": {"allowOrigins": [{"exact": "shop.example"}]},
}


def test_a_virtual_service_says_what_the_canary_says_in_istio_s_own_words() -> None:
    rewrite = {"uri": "/", "authority": "shop.example", "type": "ReplaceFullPath"}
    found = parsed(
        "istio",
        hosts=["shop.example"],
        gateways=["istio-system/public"],
        rewrite=rewrite,
        trafficPolicy={"tls": {"mode": "ISTIO_MUTUAL"}},
        **MESH,
    )
    made = route_from_service(KEY, found, OWNER)
    metadata = {
        "name": "web",
        "namespace": "prod",
        "labels": {MANAGED_BY_LABEL: MANAGED_BY},
        "ownerReferences": [OWNER],
    }
    assert made == {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": metadata,
        "spec": {
            "hosts": ["shop.example", "web"],
            "gateways": ["istio-system/public"],
            "http": [
                {
                    **MESH,
                    "rewrite": {"uri": "/", "authority": "shop.example"},
                    "route": [{"destination": {"host": "web"}}],
                }
            ],
        },
    }
    assert found.routed_by == ("VirtualService",)
    assert found.ignored == ()
    assert list(beside_own(KEY, found, OWNER)) == [
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {**metadata, "name": host},
            "spec": {"host": host, "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}},
        }
        for host in ("web", "web-canary")
    ]


@pytest.mark.parametrize(
    ("service", "spec"),
    [
        ({}, {"hosts": ["web"], "gateways": ["mesh"]}),
        ({"hosts": ["*"]}, {"hosts": ["*"], "gateways": ["mesh"]}),
        ({"name": "web", "hosts": ["web"]}, {"hosts": ["web"], "gateways": ["mesh"]}),
        ({"delegation": True}, {}),
    ],
)
def test_hosts_and_gateways_are_those_that_flagger_gives_it(service: Json, spec: Json) -> None:
    made = route_from_service(KEY, parsed("istio", **service), OWNER)
    route = {"route": [{"destination": {"host": "web"}}]}
    assert made["spec"] == {**spec, "http": [route]}
    assert beside_own(KEY, parsed("istio", **service), OWNER) == ()


@pytest.mark.parametrize(
    ("service", "is_said"),
    [
        ({"gateways": ["istio-system/public"]}, True),
        ({"delegation": True}, True),
        ({"gateways": ["mesh", "istio-system/public"]}, False),
        ({}, False),
    ],
)
def test_a_port_is_said_where_a_gateway_would_not_know_it(service: Json, *, is_said: bool) -> None:
    found = parsed("istio", portDiscovery=True, **service)
    [route] = route_from_service(KEY, found, OWNER)["spec"]["http"][0]["route"]
    assert ("port" in route["destination"]) is is_said
    assert route["destination"].get("port", {"number": 80}) == {"number": 80}


def test_what_speaks_tcp_has_a_tcp_route() -> None:
    match = [{"port": 3306}, {"port": 3307, "name": "reads"}]
    found = parsed("istio", appProtocol="TCP", match=match)
    assert route_from_service(KEY, found, OWNER)["spec"] == {
        "hosts": ["web"],
        "gateways": ["mesh"],
        "tcp": [
            {
                "match": [{"port": 3306}, {"port": 3307}],
                "route": [{"destination": {"host": "web"}}],
            }
        ],
    }


def test_a_traefik_service_is_what_flagger_makes_for_an_ingress_route_to_lead_to() -> None:
    found = parsed("traefik", name="shop", port=8080)
    assert route_from_service(KEY, found, OWNER) == {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "TraefikService",
        "metadata": {
            "name": "shop",
            "namespace": "prod",
            "labels": {MANAGED_BY_LABEL: MANAGED_BY},
            "ownerReferences": [OWNER],
        },
        "spec": {"weighted": {"services": [{"kind": "Service", "name": "shop", "port": 8080}]}},
    }
    assert found.routed_by == ("IngressRoute", "TraefikService")
    assert beside_own(KEY, found, OWNER) == ()


OF_THE_SERVICE = {"group": "", "kind": "Service", "name": "web", "port": 80}
THEIRS = {"group": "core", "kind": "Service", "name": "web", "namespace": "prod", "port": 9898}


@pytest.mark.parametrize(
    ("provider", "service", "spec"),
    [
        ("linkerd", {}, {"parentRefs": [OF_THE_SERVICE]}),
        ("linkerd", {"name": "shop"}, {"parentRefs": [{**OF_THE_SERVICE, "name": "shop"}]}),
        ("linkerd", {"hosts": ["a"]}, {"parentRefs": [OF_THE_SERVICE], "hostnames": ["a"]}),
        ("linkerd", {"gatewayRefs": [THEIRS]}, {"parentRefs": [THEIRS]}),
        ("gatewayapi:v1", {"gatewayRefs": [THEIRS]}, {"parentRefs": [THEIRS]}),
        ("", {"gatewayRefs": [THEIRS]}, {"parentRefs": [THEIRS]}),
        (
            "linkerd",
            {"gatewayRefs": [{"name": "public"}, THEIRS]},
            {"parentRefs": [{"name": "public"}, THEIRS], "hostnames": ["web"]},
        ),
    ],
    ids=["linkerd", "its Service", "hosts", "refs", "gatewayapi", "none", "a Gateway too"],
)
@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
def test_a_route_in_a_mesh_is_for_all_names_that_clients_call_the_service_by(
    kind: str, provider: str, service: Json, spec: Json
) -> None:
    speaks = {"appProtocol": "grpc"} if kind == "GRPCRoute" else {}
    made = route_from_service(KEY, parsed(provider, **service, **speaks), OWNER)
    backend = {"name": service.get("name", "web"), "port": 80}
    assert made["kind"] == kind
    assert made["spec"] == {**spec, "rules": [{"backendRefs": [backend]}]}


def test_linkerd_is_asked_for_routes_of_the_gateway_api() -> None:
    assert parsed("linkerd").routed_by == ("HTTPRoute", "GRPCRoute")
    without = {**canary("linkerd"), "spec": {**canary("linkerd")["spec"], "service": {}}}
    found = parse_strategy(without, Defaults())
    assert isinstance(found, Strategy)
    assert found.own_route is None


@pytest.mark.parametrize("provider", ["linkerd", "gatewayapi:v1"])
def test_a_canary_that_linkerd_cannot_copy_requests_to_is_at_fault(provider: str) -> None:
    asks = canary(provider)
    asks["spec"]["analysis"]["mirror"] = True
    found = parse_strategy(asks, Defaults())
    problems = found.problems if isinstance(found, InvalidStrategy) else ()
    assert any("analysis.mirror: Linkerd copies no" in it for it in problems) is (
        provider == "linkerd"
    )


@pytest.mark.parametrize(
    ("provider", "service", "said"),
    [
        ("traefik", {"timeout": "5s"}, "service.timeout: a TraefikService cannot say it"),
        ("traefik", {"match": [{"uri": {"exact": "/"}}]}, "say it in the IngressRoute"),
        ("linkerd", {"rewrite": {"uri": "/"}}, "service.rewrite: Linkerd passes over a route"),
        ("linkerd", {"appProtocol": "grpc", "timeout": "5s"}, "service.timeout: a GRPCRoute has"),
        ("istio", {"delegation": True, "hosts": ["a"]}, "remove service.hosts"),
        ("istio", {"backendTimeout": "5s"}, "service.backendTimeout"),
        ("istio", {"appProtocol": "tcp", "timeout": "5s"}, "service.timeout: of a tcp route"),
        ("istio", {"appProtocol": "tcp", "headers": {"x": {}}}, "service.headers: of a tcp"),
        ("istio", {"appProtocol": "tcp", "retries": {"attempts": 1}}, "service.retries: of a tcp"),
        ("istio", {"appProtocol": "tcp", "rewrite": {"uri": "/"}}, "service.rewrite: of a tcp"),
        ("istio", {"appProtocol": "tcp", "corsPolicy": {"x": 1}}, "service.corsPolicy: of a tcp"),
        ("istio", {"appProtocol": "tcp", "match": [{"uri": {"exact": "/"}}]}, "service.match: uri"),
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
    without_port = {"backendTimeout": "5s", "delegation": True, "hosts": ["a"]}
    assert unsaid(without_port, "web", "istio") == ()
    assert unsaid(without_port, "web", "traefik") == ()


@pytest.mark.parametrize("provider", ["", "kubernetes"])
def test_without_a_provider_of_routes_any_kind_will_do(provider: str) -> None:
    assert parsed(provider).routed_by == ()
    assert replace(parsed(provider)).own_route is None
