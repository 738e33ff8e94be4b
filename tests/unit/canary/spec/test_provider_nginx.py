"""A Canary with the provider nginx: which Ingress it names, and what that cannot carry."""

from typing import Any

import pytest

from canary.model.strategy import InvalidStrategy, Strategy
from canary.model.traffic import Comparison, Condition, RequestMatch, Traffic
from canary.spec.canary import parse_strategy
from canary.spec.defaults import Defaults
from tests.unit.manifests.flagger_objects import canary

REF = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "shop"}


def followed(**spec: Any) -> Strategy | InvalidStrategy:
    obj = canary(**spec)
    return parse_strategy({**obj, "metadata": {"name": "web", "namespace": "prod"}}, Defaults())


def analysis(**more: Any) -> dict[str, Any]:
    return {"interval": "1m", "threshold": 3, **more}


def strategy(**spec: Any) -> Strategy:
    found = followed(provider="nginx", ingressRef=REF, **spec)
    assert isinstance(found, Strategy), found
    return found


def test_the_ingress_that_is_named_is_what_is_split() -> None:
    found = strategy(analysis=analysis(stepWeights=[10, 100]))
    assert (found.routed_by, found.ingress, found.provider) == (("Ingress",), "shop", "nginx")


def test_no_route_is_made() -> None:
    service = {"port": 80, "gatewayRefs": [{"name": "gateway"}]}
    found = strategy(service=service, analysis=analysis(stepWeights=[10]))
    assert found.own_route is None
    assert "service.gatewayRefs" in found.ignored


def test_what_flagger_documents_for_an_a_b_test_is_followed() -> None:
    match = [{"headers": {"x-canary": {"regex": "in.*"}}}, {"headers": {"cookie": {"exact": "c"}}}]
    found = strategy(analysis=analysis(iterations=2, match=match))
    conditions = (
        Condition(name="x-canary", by=Comparison.REGEX, value="in.*"),
        Condition(name="cookie", by=Comparison.EXACT, value="c"),
    )
    wanted = tuple(RequestMatch(headers=(one,)) for one in conditions)
    assert found.steps[0].traffic == Traffic(100, match=wanted)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"provider": "nginx"}, "needs the name of the Ingress that leads to the Service"),
        ({"ingressRef": REF}, "is followed with provider nginx alone"),
        ({"ingressRef": REF, "provider": "contour"}, "is followed with provider nginx alone"),
        (
            {
                "ingressRef": REF,
                "provider": "nginx",
                "analysis": analysis(stepWeights=[10], match=[{"headers": {"x": {"exact": "a"}}}]),
            },
            "analysis.match: ingress-nginx gives a canary all that matches",
        ),
        (
            {
                "ingressRef": REF,
                "provider": "nginx",
                "analysis": analysis(stepWeights=[10, 20], sessionAffinity={"cookieName": "met"}),
            },
            "analysis.sessionAffinity: ingress-nginx keeps users with a pod",
        ),
        (
            {
                "ingressRef": REF,
                "provider": "nginx",
                "analysis": analysis(iterations=3, mirror=True),
            },
            "analysis.mirror: ingress-nginx copies no requests",
        ),
    ],
)
def test_what_cannot_be_followed_is_said_once(spec: dict[str, Any], expected: str) -> None:
    found = followed(**{"analysis": analysis(stepWeights=[10]), **spec})
    assert isinstance(found, InvalidStrategy)
    assert len(found.problems) == 1
    assert expected in found.problems[0]
