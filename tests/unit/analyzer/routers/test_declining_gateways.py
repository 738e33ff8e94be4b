"""A gateway that declines a route: of several routes, of other namespaces, and what passes by."""

from copy import deepcopy

import pytest

from analyzer.ports import SplitRefused
from analyzer.routers.adopted import AdoptedRoutes
from analyzer.routers.refusals import LASTS, Refusals
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Json
from canary.routes.gateway_api import HttpRoutes
from canary.routes.mark import Mark, mark_of
from tests.fakes.routes import RouteStore
from tests.unit.analyzer.routers.test_kinds import STRATEGY, WEB, backend

HTTP = HttpRoutes()
MIRRORED = Traffic(mirror=100, run="r1")
REFUSED = {"type": "Accepted", "status": "False", "reason": "UnsupportedValue", "message": "no"}
NOT_FOUND = {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound", "message": "-"}
TAKEN = {"type": "Accepted", "status": "True"}


def route(name: str) -> Json:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "prod", "generation": 1},
        "spec": {"rules": [{"backendRefs": [backend()]}]},
    }


def stored(*names: str) -> tuple[RouteStore, AdoptedRoutes]:
    store = RouteStore()
    for name in names:
        store.add(route(name))
        says(store, name, TAKEN)
    return store, AdoptedRoutes(store)


def says(store: RouteStore, name: str, *conditions: Json) -> None:
    """Have the gateway say something of a route as it is stored."""
    generation = store.now(name)["metadata"]["generation"]
    told = [{**it, "observedGeneration": generation} for it in conditions]
    entry = {"controllerName": "a", "parentRef": {"name": "public"}, "conditions": told}
    store.taken(name, {"parents": [entry]}, "HTTPRoute")


def is_in(store: RouteStore, name: str) -> bool:
    return HTTP.leads_to(store.now(name), "web-canary")


async def test_a_route_that_is_declined_loses_its_split_and_no_other_does() -> None:
    store, router = stored("one", "two")
    await router.write_split(WEB, STRATEGY, MIRRORED)
    says(store, "one", REFUSED)
    says(store, "two", TAKEN)
    found = await router.read_split(WEB, STRATEGY)
    assert found.lacks(MIRRORED)
    assert "HTTPRoute one: Gateway public says Accepted: False" in found.declined
    for _ in range(3):
        with pytest.raises(SplitRefused, match=r"HTTPRoute one: .*Accepted: False"):
            await router.write_split(WEB, STRATEGY, MIRRORED)
        assert (is_in(store, "one"), is_in(store, "two")) == (False, True)
        says(store, "one", TAKEN)
    still = await router.read_split(WEB, STRATEGY)
    assert still.lacks(MIRRORED)
    assert "stays out of it for this run" in still.declined
    await router.write_split(WEB, STRATEGY, NOTHING)
    assert await router.clean(WEB)
    for name in ("one", "two"):
        assert store.now(name)["spec"]["rules"] == route(name)["spec"]["rules"]


async def test_another_analyzer_remembers_it_and_writes_nothing() -> None:
    store, router = stored("one")
    await router.write_split(WEB, STRATEGY, MIRRORED)
    says(store, "one", REFUSED)
    with pytest.raises(SplitRefused):
        await router.write_split(WEB, STRATEGY, MIRRORED)
    says(store, "one", TAKEN)
    before = len(store.patches)
    with pytest.raises(SplitRefused, match="stays out of it"):
        await AdoptedRoutes(store).write_split(WEB, STRATEGY, MIRRORED)
    assert len(store.patches) == before
    await AdoptedRoutes(store).write_split(WEB, STRATEGY, Traffic(20, run="r1"))
    assert is_in(store, "one")


async def test_what_is_declined_at_no_share_is_said_once_and_holds_nothing() -> None:
    store, router = stored("one")
    await router.write_split(WEB, STRATEGY, NOTHING)
    says(store, "one", REFUSED)
    assert (await router.read_split(WEB, STRATEGY)).lacks(NOTHING)
    with pytest.raises(SplitRefused, match="Accepted: False"):
        await router.write_split(WEB, STRATEGY, NOTHING)
    assert not is_in(store, "one")
    assert not (await router.read_split(WEB, STRATEGY)).lacks(NOTHING)


def test_what_may_be_over_by_itself_counts_once_it_has_lasted() -> None:
    store, _ = stored("one")
    now = 100.0
    refusals = Refusals(lambda: now)
    mark = '{"rules":[],"targets":{"web":{"canary":"web-canary","stable":"web","weight":5}}}'
    one = deepcopy(store.now("one"))
    one["metadata"]["annotations"] = {"headgate.dev/split": mark}
    written = HTTP.with_traffic(one, _mark(one))
    one["spec"] = written.spec
    generation = one["metadata"]["generation"]

    def saying(*conditions: Json) -> list[tuple[HttpRoutes, Json]]:
        told = [{**it, "observedGeneration": generation} for it in conditions]
        entry = {"controllerName": "a", "parentRef": {"name": "p"}, "conditions": told}
        return [(HTTP, {**one, "kind": "HTTPRoute", "status": {"parents": [entry]}})]

    assert refusals.said(WEB, saying(TAKEN, NOT_FOUND)) == ""
    now += LASTS / 2
    assert refusals.said(WEB, saying(TAKEN)) == "", "it was over"
    now += LASTS
    assert refusals.said(WEB, saying(TAKEN, NOT_FOUND)) == ""
    now += LASTS - 0.5
    assert not refusals.are_new(WEB, saying(TAKEN, NOT_FOUND))
    now += 0.5
    assert refusals.are_new(WEB, saying(TAKEN, NOT_FOUND))
    assert "BackendNotFound" in refusals.said(WEB, saying(TAKEN, NOT_FOUND))
    assert refusals.has_lasted(WEB, HTTP, one)


async def test_a_gateway_that_has_not_heard_of_the_service_keeps_the_share_from_it() -> None:
    now = 100.0
    store, _ = stored("one")
    router = AdoptedRoutes(store, clock=lambda: now)
    await router.write_split(WEB, STRATEGY, NOTHING)
    says(store, "one", TAKEN, NOT_FOUND)
    for _ in range(5):
        now += 10 * LASTS
        found = await router.read_split(WEB, STRATEGY)
        assert (found.declined, found.lag) == ("", "")
        assert found.unheard.startswith("HTTPRoute one: Gateway public says ResolvedRefs: False")
        await router.write_split(WEB, STRATEGY, Traffic(50, run="r1"))
        assert (is_in(store, "one"), split_of(store, "one")) == (True, 0)
    says(store, "one", TAKEN)
    assert (await router.read_split(WEB, STRATEGY)).unheard == ""
    await router.write_split(WEB, STRATEGY, Traffic(50, run="r1"))
    assert split_of(store, "one") == 50
    says(store, "one", TAKEN, NOT_FOUND)
    found = await router.read_split(WEB, STRATEGY)
    assert (found.declined, found.lacks(Traffic(50))) == ("", False)
    assert found.unheard, "nobody is judged by what does not come to it"
    now += LASTS
    found = await router.read_split(WEB, STRATEGY)
    assert found.lacks(Traffic(50)), "nobody is to come by it"
    await router.write_split(WEB, STRATEGY, Traffic(50, run="r1"))
    says(store, "one", TAKEN, NOT_FOUND)
    assert (is_in(store, "one"), split_of(store, "one")) == (True, 0)
    assert (await router.read_split(WEB, STRATEGY)).unheard


def split_of(store: RouteStore, name: str) -> int:
    mark = mark_of(store.now(name))
    assert mark is not None
    return mark.splits["web"].weight


def _mark(it: Json) -> Mark:
    found = mark_of(it)
    assert found is not None
    return found
