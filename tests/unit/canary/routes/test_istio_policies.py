"""A canary's host gets the traffic policy that its stable's has."""

from typing import Any

import pytest

from canary.contract import MANAGED_BY, MANAGED_BY_LABEL
from canary.model.values import Json
from canary.routes.istio_policies import like_the_stable_s
from tests.unit.canary.routes.kinds import destination, virtual
from tests.unit.canary.routes.rules import SPACE, split

WEB = split("web", 20)
OWNER: Json = {"apiVersion": "v1", "kind": "Service", "name": "web-canary", "uid": "u-1"}
LEAST: Json = {"loadBalancer": {"simple": "LEAST_REQUEST"}}
EJECTS: Json = {"outlierDetection": {"consecutive5xxErrors": 3}}
ROUTES = [virtual({"route": [destination("web")]})]
OF_V1 = [virtual({"route": [destination("web", destination={"subset": "v1"})]})]


def rule(host: str = "web", name: str = "theirs", created: str = "2026-01-01", **spec: Any) -> Json:
    metadata = {"name": name, "namespace": SPACE, "creationTimestamp": created}
    return {"metadata": metadata, "spec": {"host": host, "trafficPolicy": LEAST, **spec}}


@pytest.mark.parametrize(
    ("host", "canary"),
    [
        ("web", "web-canary"),
        ("web.prod", "web-canary.prod"),
        ("web.prod.svc.cluster.local", "web-canary.prod.svc.cluster.local"),
    ],
)
def test_it_says_of_the_canary_s_host_what_the_team_says_of_the_stable_s(
    host: str, canary: str
) -> None:
    assert like_the_stable_s([rule(host, exportTo=["."])], ROUTES, WEB, OWNER) == {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {
            "name": "web-canary",
            "namespace": "prod",
            "labels": {MANAGED_BY_LABEL: MANAGED_BY},
            "ownerReferences": [OWNER],
        },
        "spec": {"host": canary, "trafficPolicy": LEAST, "exportTo": ["."]},
    }


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [rule(trafficPolicy={})],
        [rule("api")],
        [rule("web.other.svc.cluster.local")],
        [rule("web.example.com")],
        [rule("*.prod.svc.cluster.local")],
        [rule(workloadSelector={"matchLabels": {"app": "shop"}})],
        [rule(), rule("web-canary.prod.svc.cluster.local")],
    ],
    ids=[
        "none",
        "no policy",
        "another Service",
        "another namespace",
        "outside",
        "both",
        "some clients",
        "the team's",
    ],
)
def test_where_nothing_is_said_of_the_stable_alone_there_is_none(rules: list[Json]) -> None:
    assert like_the_stable_s(rules, ROUTES, WEB, OWNER) is None


@pytest.mark.parametrize(
    ("routes", "policy"),
    [
        (ROUTES, LEAST),
        (OF_V1, {**LEAST, **EJECTS}),
        ([*ROUTES, *OF_V1], LEAST),
    ],
    ids=["none is led to", "one is", "not alone"],
)
def test_what_a_subset_says_counts_where_it_is_led_to(routes: list[Json], policy: Json) -> None:
    subsets = [{"name": "v2"}, {"name": "v1", "labels": {"v": "1"}, "trafficPolicy": EJECTS}]
    found = like_the_stable_s([rule(subsets=subsets)], routes, WEB, OWNER)
    assert found is not None
    assert found["spec"] == {"host": "web-canary", "trafficPolicy": policy}


def test_of_several_the_eldest_counts() -> None:
    young = rule(name="a", created="2026-02-01", trafficPolicy=EJECTS)
    found = like_the_stable_s([young, rule()], ROUTES, WEB, OWNER)
    assert found is not None
    assert found["spec"]["trafficPolicy"] == LEAST
