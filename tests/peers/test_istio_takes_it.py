"""What a split makes of a VirtualService is taken by Istio's own admission, where the team's is."""

import json
import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.from_service import beside_own, route_from_service
from canary.routes.istio import VirtualServices
from canary.routes.istio_policies import like_the_stable_s
from canary.routes.mark import Mark, TargetSplit
from sandbox import builds, downloads, paths
from sandbox.versions import GO, ISTIO_BUILD
from tests.unit.canary.routes.kinds import KINDS
from tests.unit.canary.routes.rules import TRAFFIC, split
from tests.unit.canary.routes.test_istio_policies import EJECTS, LEAST, OF_V1, OWNER, rule
from tests.unit.canary.routes.test_own_kinds import KEY, MESH, parsed

pytestmark = [pytest.mark.peer, pytest.mark.timeout(1800)]
ROUTES = st.one_of([it.any_route for it in KINDS if it.dialect.kind == "VirtualService"])


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    downloads.ensure_python_tools((GO,))
    builds.ensure((ISTIO_BUILD,))


def said_of(*objects: Json) -> list[str]:
    """Return what Istio has to say against each object, "" for nothing."""
    done = subprocess.run(  # noqa: S603 - our own program
        [paths.binary(ISTIO_BUILD, ISTIO_BUILD.programs[0])],
        input=json.dumps([{"kind": it["kind"], "spec": it["spec"]} for it in objects]),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    found: list[str] = json.loads(done.stdout)
    return found


@settings(max_examples=300)
@given(ROUTES, TRAFFIC, TRAFFIC)
def test_what_istio_takes_it_takes_with_a_split(route: Json, one: Traffic, two: Traffic) -> None:
    mark = Mark(
        splits={
            name: TargetSplit(stable=name, canary=f"{name}-canary", traffic=traffic)
            for name, traffic in (("web", one), ("api", two))
        }
    )
    during = {**route, "spec": VirtualServices().with_traffic(route, mark).spec}
    before, after = said_of(route, during)
    assume(not before)
    assert not after


@pytest.mark.parametrize(
    "service",
    [
        {},
        {"gateways": ["istio-system/public"], "hosts": ["shop.example"], "portDiscovery": True},
        {**MESH, "rewrite": {"uri": "/", "type": "ReplaceFullPath"}},
        {"appProtocol": "tcp", "match": [{"port": 3306}]},
    ],
    ids=["plain", "gateways", "all", "tcp"],
)
def test_istio_takes_what_is_made_from_a_canary(service: Json) -> None:
    asked = parsed("istio", trafficPolicy={**LEAST, **EJECTS}, **service)
    made = (route_from_service(KEY, asked, OWNER), *beside_own(KEY, asked, OWNER))
    assert said_of(*made) == [""] * 3


def test_istio_takes_the_rule_for_a_canary_s_host() -> None:
    subsets = [{"name": "v1", "labels": {"v": "1"}, "trafficPolicy": EJECTS}]
    theirs = rule("web.prod.svc.cluster.local", exportTo=["."], subsets=subsets)
    made = like_the_stable_s([theirs], OF_V1, split("web", 20), OWNER)
    assert made is not None
    assert said_of({**theirs, "kind": "DestinationRule"}, made) == ["", ""]


def test_what_istio_does_not_take_is_said() -> None:
    wrong = {"hosts": ["a"], "http": [{"route": [{"destination": {"host": "*"}}]}]}
    [said] = said_of({"kind": "VirtualService", "spec": wrong})
    assert "invalid destination host" in said
