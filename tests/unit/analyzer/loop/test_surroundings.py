"""What is said of what stands around a target."""

import pytest

from analyzer.loop.surroundings import Surroundings
from runtime.errors import Forbidden
from runtime.resources import HTTPROUTES
from tests.fakes.stored import Stored


@pytest.mark.parametrize(
    ("denied", "kinds", "told"),
    [
        (("grpcroutes", "httpproxies"), (), "; Headgate may read no GRPCRoute or HTTPProxy: see"),
        (("virtualservices",), (), "; Headgate may read no VirtualService: see"),
        (("httpproxies",), (), "; Headgate may read no HTTPProxy: see manifests/route-rights"),
        (("ingresses",), (), "; Headgate may read no Ingress: see manifests/route-rights"),
        (("httpproxies",), ("HTTPRoute",), ""),
        ((), (), ""),
    ],
    ids=["both", "one of Istio", "one", "Ingresses", "one that is not asked for", "none"],
)
async def test_kinds_of_routes_that_were_not_granted_are_named_where_no_route_leads(
    denied: tuple[str, ...], kinds: tuple[str, ...], told: str
) -> None:
    stored = Stored()
    for plural in denied:
        stored.denials["list", plural] = Forbidden(403, "Forbidden", "no")
    said = await Surroundings(stored).unrouted("prod", "web", kinds)
    assert told in said
    assert ("may read no" in said) is bool(told)


@pytest.mark.parametrize("kinds", [(), ("HTTPRoute", "GRPCRoute")])
@pytest.mark.parametrize(
    ("group", "told"),
    [
        ("split.smi-spec.io", "TrafficSplits of SMI are not split"),
        ("zalando.org", "RouteGroups and Ingresses of Skipper are not split"),
        ("apisix.apache.org", "ApisixRoutes are not split"),
        ("gloo.solo.io", "Upstreams and RouteTables of Gloo are not split"),
        ("gateway.solo.io", "Upstreams and RouteTables of Gloo are not split"),
        ("kuma.io", "TrafficRoutes and MeshHTTPRoutes of Kuma are not split"),
        ("appmesh.k8s.aws", "VirtualRouters of App Mesh are not split"),
        ("serving.knative.dev", "Services of Knative are not split"),
    ],
)
async def test_kinds_that_are_never_split_are_named_where_the_cluster_has_them(
    group: str, told: str, kinds: tuple[str, ...]
) -> None:
    said = await Surroundings(Stored(served=frozenset({"apps", group}))).unrouted(
        "prod", "web", kinds
    )
    assert told in said
    assert said.count("are not split") == 1


async def test_where_the_groups_may_not_be_read_less_is_said() -> None:
    stored = Stored(served=frozenset({"kuma.io"}))
    stored.denials["get", "groups"] = Forbidden(403, "Forbidden", "no")
    said = await Surroundings(stored).unrouted("prod", "web")
    assert said.endswith("of its namespace leads to Service prod/web")


async def test_a_route_that_was_found_elsewhere_is_named_alone() -> None:
    stored = Stored(served=frozenset({"kuma.io"}))
    backend = {"name": "web", "namespace": "prod", "port": 80}
    stored.put(
        HTTPROUTES,
        {
            "metadata": {"name": "web", "namespace": "edge"},
            "spec": {"rules": [{"backendRefs": [backend]}]},
        },
    )
    said = await Surroundings(stored).unrouted("prod", "web")
    assert "found was HTTPRoute edge/web" in said
    assert "Kuma" not in said
