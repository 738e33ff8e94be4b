"""Backends and routes that have a name of ours and are a team's own: our mark and owner tell."""

from copy import deepcopy
from dataclasses import replace

import pytest

from analyzer.ports import SplitRefused
from analyzer.routers.adopted import AdoptedRoutes
from canary.contract import MANAGED_BY, MANAGED_BY_LABEL, SPLIT
from canary.model.strategy import GatewayRoute
from canary.model.traffic import Traffic
from canary.model.values import Json, Key
from canary.routes.mark import MOST_TARGETS, Mark, TargetSplit
from tests.fakes.objects import canary
from tests.fakes.routes import Admission, RouteStore, down, webhook
from tests.fakes.world import STRATEGY

WEB, API = (Key(namespace="prod", name=name) for name in ("web", "api"))
OWN_ROUTE = GatewayRoute(parents=({"name": "contour"},), hosts=("a.example",))
OWN = replace(STRATEGY, service_name="web", own_route=OWN_ROUTE)
PLAIN = replace(STRATEGY, service_name="web", own_route=None)
CANARY: Json = {**canary(), "kind": "Canary"}
OWNER: Json = {
    "apiVersion": "flagger.app/v1beta1",
    "kind": "Canary",
    "name": "web",
    "uid": CANARY["metadata"]["uid"],
}
ADMISSIONS = pytest.mark.parametrize("admission", [webhook, down], ids=["webhook", "down"])


def rule(path: str, *backends: tuple[str, int]) -> Json:
    refs = [
        {"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight}
        for name, weight in backends
    ]
    match = {"path": {"type": "PathPrefix", "value": path}}
    return {"matches": [match], "backendRefs": refs}


def route(*rules: Json, name: str = "shop", **metadata: Json | list[Json]) -> Json:
    found: Json = {"name": name, "namespace": "prod", **metadata}
    return {"kind": "HTTPRoute", "metadata": found, "spec": {"rules": list(rules)}}


def stored(*routes: Json, admission: Admission = webhook) -> tuple[RouteStore, AdoptedRoutes]:
    store = RouteStore(admission=admission)
    for one in routes:
        store.add(one)
    return store, AdoptedRoutes(store)


@ADMISSIONS
async def test_a_strangers_backend_stays_where_another_target_is_split(
    admission: Admission,
) -> None:
    """`api` goes, and `api-canary` on a route that carries web's split was never its canary."""
    written = route(rule("/", ("web", 1)), rule("/api", ("api", 90), ("api-canary", 10)))
    store, router = stored(written, admission=admission)
    await router.write_split(WEB, PLAIN, Traffic(50))
    assert not await router.clean(API)
    assert [ref["name"] for ref in store.now("shop")["spec"]["rules"][1]["backendRefs"]] == [
        "api",
        "api-canary",
    ]
    assert await router.clean(WEB)
    assert store.now("shop")["spec"] == written["spec"]
    assert SPLIT not in store.now("shop")["metadata"].get("annotations", {})


@ADMISSIONS
async def test_a_team_s_own_way_to_look_at_the_canary_is_no_share_and_stays(
    admission: Admission,
) -> None:
    looks = rule("/preview", ("web-canary", 1))
    apart = route(looks, name="looks")
    store, router = stored(route(rule("/", ("web", 1)), looks), apart, admission=admission)
    for weight in (20, 70, 0, 30):
        await router.write_split(WEB, PLAIN, Traffic(weight))
        found = await router.read_split(WEB, PLAIN)
        assert (found.weight, found.even, found.routes) == (weight, True, 1)
        assert store.now("shop")["spec"]["rules"][1] == looks
    await router.clean(WEB)
    assert store.now("shop")["spec"]["rules"] == [rule("/", ("web", 1)), looks]
    assert store.now("looks")["spec"] == apart["spec"]
    assert "annotations" not in store.now("looks")["metadata"]


@ADMISSIONS
async def test_a_rule_that_loses_its_stable_in_mid_run_loses_our_canary_too(
    admission: Admission,
) -> None:
    store, router = stored(route(rule("/", ("web", 1), ("api", 1))), admission=admission)
    await router.write_split(WEB, PLAIN, Traffic(20))

    def without_web(rules: list[Json]) -> None:
        refs = rules[0]["backendRefs"]
        rules[0]["backendRefs"] = [ref for ref in refs if ref["name"] != "web"]

    store.team_edit("shop", without_web)
    await router.clean(WEB)
    [left] = store.now("shop")["spec"]["rules"]
    assert [ref["name"] for ref in left["backendRefs"]] == ["api"]


async def test_a_copy_that_is_created_in_mid_run_is_plain_until_the_run_splits_it() -> None:
    written = route(rule("/", ("web", 7), ("api", 3)))
    store, router = stored(written)
    await router.write_split(WEB, PLAIN, Traffic(50))
    saved = store.now("shop")
    store.remove("shop")
    store.team_create(saved)
    assert store.now("shop")["spec"] == written["spec"]
    assert not await router.clean(WEB)
    await router.write_split(WEB, PLAIN, Traffic(50))
    assert store.now("shop")["spec"] == saved["spec"]


@ADMISSIONS
async def test_a_service_that_is_edited_in_mid_run_leaves_nothing_of_the_one_before(
    admission: Admission,
) -> None:
    written = route(rule("/", ("web", 1)), rule("/shop", ("shop", 1)))
    store, router = stored(written, admission=admission)
    await router.write_split(WEB, PLAIN, Traffic(50))
    edited = replace(PLAIN, service_name="shop")
    await router.write_split(WEB, edited, Traffic(30))
    first, second = store.now("shop")["spec"]["rules"]
    assert first == written["spec"]["rules"][0]
    assert [ref["name"] for ref in second["backendRefs"]] == ["shop", "shop-canary"]
    await router.clean(WEB)
    assert store.now("shop")["spec"] == written["spec"]


@ADMISSIONS
async def test_another_target_s_split_of_the_same_service_is_neither_read_nor_written(
    admission: Admission,
) -> None:
    """A Canary that names another app's Service, and comes first by its name."""
    store, router = stored(route(rule("/", ("web", 1))), admission=admission)
    await router.write_split(WEB, PLAIN, Traffic(50))
    before = store.now("shop")
    assert (await router.read_split(API, PLAIN)).weight == 0
    await router.write_split(API, PLAIN, Traffic(20))
    assert store.now("shop") == before
    assert not await router.clean(API)
    assert store.now("shop") == before


# --- an own route ---------------------------------------------------------------------------------

LABEL = {MANAGED_BY_LABEL: MANAGED_BY}
BLOG = rule("/", ("blog", 1))
FOREIGN: dict[str, Json] = {
    "a team's": route(BLOG, name="web"),
    "a copy of its label": route(BLOG, name="web", labels=LABEL),
    "its owner without its label": route(BLOG, name="web", ownerReferences=[OWNER]),
    "another Canary's": route(
        BLOG, name="web", labels=LABEL, ownerReferences=[{**OWNER, "name": "api"}]
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
async def test_a_route_of_the_own_route_s_name_is_left_alone_and_named(what: str) -> None:
    store, router = stored(FOREIGN[what])
    before = store.now("web")
    await router.ensure(WEB, OWN, OWNER)
    assert store.now("web") == before
    (said,) = await router.in_the_way(WEB, OWN, CANARY)
    assert "HTTPRoute web exists and is not the one of Canary web" in said
    assert "Service web" in said


@pytest.mark.parametrize("uid", [OWNER["uid"], "uid-before"], ids=["its own", "of before"])
async def test_the_own_route_is_taken_over_from_a_canary_of_before(uid: str) -> None:
    ours = route(BLOG, name="web", labels=LABEL, ownerReferences=[{**OWNER, "uid": uid}])
    store, router = stored(ours)
    assert await router.in_the_way(WEB, OWN, CANARY) == ()
    await router.ensure(WEB, OWN, OWNER)
    [made] = deepcopy(store.now("web")["spec"]["rules"])
    assert [ref["name"] for ref in made["backendRefs"]] == ["web"]


async def test_nothing_is_in_the_way_where_there_is_nothing() -> None:
    _, router = stored()
    assert await router.in_the_way(WEB, OWN, CANARY) == ()


@ADMISSIONS
async def test_a_split_for_which_the_mark_has_no_room_is_refused_and_all_others_may_go(
    admission: Admission,
) -> None:
    others = [f"api-{number}" for number in range(MOST_TARGETS)]
    splits = {
        one: TargetSplit(stable=one, canary=f"{one}-canary", traffic=Traffic(1)) for one in others
    }
    full = route(rule("/", ("web", 1)), annotations={SPLIT: Mark(splits=splits).dump()})
    store, router = stored(full, route(rule("/", ("web", 1)), name="z"), admission=admission)
    with pytest.raises(SplitRefused, match=r"HTTPRoute shop: .*the splits of 256 targets at most"):
        await router.write_split(WEB, PLAIN, Traffic(50))
    assert [ref["name"] for ref in store.now("shop")["spec"]["rules"][0]["backendRefs"]] == ["web"]
    assert len(store.now("z")["spec"]["rules"][0]["backendRefs"]) == 2
    assert await router.clean(Key(namespace="prod", name=others[0]))
    await router.write_split(WEB, PLAIN, Traffic(50))
    assert len(store.now("shop")["spec"]["rules"][0]["backendRefs"]) == 2
