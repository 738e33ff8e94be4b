"""What is said of what stands around a target."""

import pytest

from analyzer.loop.surroundings import Surroundings
from runtime.errors import Forbidden
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
