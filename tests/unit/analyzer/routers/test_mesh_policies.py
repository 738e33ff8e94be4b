"""How clients of a mesh treat both sides of a split: a canary as its stable."""

import pytest

from analyzer.routers.adopted import AdoptedRoutes
from analyzer.routers.kinds import RESOURCES
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Json
from tests.fakes.routes import RouteStore
from tests.unit.analyzer.routers.test_kinds import (
    ALL,
    ISTIO_KINDS,
    STRATEGY,
    WEB,
    share,
    stored,
)


def destination_rule(host: str, name: str, **policy: Json) -> Json:
    metadata = {"name": name, "namespace": "prod"}
    spec = {"host": host, "trafficPolicy": policy}
    api_version = RESOURCES["VirtualService"].api_version
    return {
        "apiVersion": api_version,
        "kind": "DestinationRule",
        "metadata": metadata,
        "spec": spec,
    }


def in_a_mesh() -> tuple[RouteStore, AdoptedRoutes]:
    store, router = stored("VirtualService", served={*ISTIO_KINDS, "Service"})
    for name in ("web", "web-canary"):
        metadata = {"name": name, "namespace": "prod"}
        store.add({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {}})
    return store, router


def policy_of(store: RouteStore) -> Json:
    found: Json = store.now("web-canary", kind="DestinationRule")["spec"]["trafficPolicy"]
    return found


async def test_a_canary_is_treated_as_its_stable_before_it_has_traffic() -> None:
    store, router = in_a_mesh()
    store.add(destination_rule("web", "theirs", tls={"mode": "SIMPLE"}))
    await router.write_split(WEB, STRATEGY, NOTHING)
    with pytest.raises(KeyError):
        policy_of(store)
    for _ in range(2):
        await router.write_split(WEB, STRATEGY, Traffic(20))
    made = [it["kind"] for it in store.history]
    assert made.count("DestinationRule") == 2
    last = len(made) - 1 - made[::-1].index("DestinationRule")
    assert "VirtualService" in made[last:], "it is there before the share"
    assert policy_of(store) == {"tls": {"mode": "SIMPLE"}}
    [owner] = store.now("web-canary", kind="DestinationRule")["metadata"]["ownerReferences"]
    canary = store.now("web-canary", kind="Service")["metadata"]["uid"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Service", "web-canary", canary)


async def test_a_policy_that_the_team_edits_is_the_canary_s_from_the_next_share_on() -> None:
    store, router = in_a_mesh()
    store.add(destination_rule("web", "theirs", tls={"mode": "SIMPLE"}))
    await router.write_split(WEB, STRATEGY, Traffic(20))
    store.team_replace(destination_rule("web", "theirs", tls={"mode": "DISABLE"}))
    await router.write_split(WEB, STRATEGY, Traffic(30))
    assert policy_of(store) == {"tls": {"mode": "DISABLE"}}


@pytest.mark.parametrize("host", ["web-canary", "api"])
async def test_a_rule_of_the_team_s_for_the_canary_or_of_its_name_is_left_alone(host: str) -> None:
    store, router = in_a_mesh()
    store.add(destination_rule("web", "theirs", tls={"mode": "SIMPLE"}))
    store.add(destination_rule(host, "web-canary", tls={"mode": "DISABLE"}))
    await router.write_split(WEB, STRATEGY, Traffic(20))
    assert policy_of(store) == {"tls": {"mode": "DISABLE"}}
    assert share(store, "VirtualService") == 20


async def test_without_rules_of_destinations_a_split_is_written_all_the_same() -> None:
    for served in (ALL, ISTIO_KINDS):
        store, router = stored("VirtualService", served=served)
        await router.write_split(WEB, STRATEGY, Traffic(20))
        assert share(store, "VirtualService") == 20
