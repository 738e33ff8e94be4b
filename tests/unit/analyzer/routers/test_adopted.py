"""Splits on routes as they are stored: analyzer and webhook together, and the analyzer alone."""

from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from analyzer.ports import SplitRefused
from analyzer.routers.adopted import AdoptedRoutes
from canary.admission.routes import RouteWrite
from canary.contract import MANAGED_BY, MANAGED_BY_LABEL, SPLIT
from canary.model.strategy import GatewayRoute, Strategy
from canary.model.traffic import Comparison, Condition, RequestMatch, Traffic
from canary.model.values import Json, Key
from canary.routes.gateway_api import HttpRoutes
from canary.routes.mark import NO_MARK, Mark, TargetSplit, mark_of
from canary.spec.steps import linear
from runtime.errors import ApiError, Conflict, NotFound, Unavailable
from runtime.resources import HTTPROUTES, ListResult, Resource
from runtime.writes import ATTEMPTS
from tests.fakes import elder
from tests.fakes.cluster import Untouched
from tests.fakes.routes import Admission, Died, RouteStore, down, webhook

WEB, API = Key(namespace="prod", name="web"), Key(namespace="prod", name="api")
Step = Callable[[AdoptedRoutes], Awaitable[object]]
ADMISSIONS = pytest.mark.parametrize("admission", [webhook, down])


def strategy(name: str) -> Strategy:
    return Strategy(
        interval=timedelta(minutes=1), threshold=1, steps=linear((50,)), service_name=name
    )


def ref(name: str, weight: int = 1) -> Json:
    return {"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight}


def rule(path: str, *refs: Json) -> Json:
    return {
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "backendRefs": list(refs),
    }


def route(*rules: Json, name: str = "shop") -> Json:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "prod", "annotations": {"team": "shop"}},
        "spec": {"hostnames": ["shop.example"], "rules": list(rules)},
    }


TWO_RULES = route(rule("/api", ref("api")), rule("/", ref("web")))
ONE_RULE = route(rule("/", ref("web"), ref("api", 3)))
SHAPES = pytest.mark.parametrize("written", [TWO_RULES, ONE_RULE], ids=["two rules", "one rule"])


def stored(*routes: Json, admission: Admission = webhook) -> tuple[RouteStore, AdoptedRoutes]:
    store = RouteStore(admission=admission)
    for it in routes:
        store.add(it)
    return store, AdoptedRoutes(store)


def share(found: Json, target: str) -> frozenset[int]:
    split = TargetSplit(stable=target, canary=f"{target}-canary", traffic=Traffic(0))
    return frozenset(it.weight for it in HttpRoutes().carried(found, split))


def both(store: RouteStore) -> tuple[int, int]:
    """Return the shares of web's and api's canaries, each the same in all rules."""
    [web], [api] = (share(store.now("shop"), target) for target in ("web", "api"))
    return web, api


def is_as_written(found: Json, written: Json) -> None:
    assert found["spec"] == written["spec"]
    assert found["metadata"]["annotations"] == written["metadata"]["annotations"]


# --- one target ---------------------------------------------------------------------------------


@ADMISSIONS
async def test_a_split_is_written_read_and_taken_out(admission: Admission) -> None:
    store, router = stored(TWO_RULES, admission=admission)
    for weight in (10, 50, 100, 0, 33):
        await router.write_split(WEB, strategy("web"), Traffic(weight))
        assert share(store.now("shop"), "web") == {weight}
        found = await router.read_split(WEB, strategy("web"))
        assert (found.weight, found.routes, found.even) == (weight, 1, True)
        before = store.now("shop")
        await router.write_split(WEB, strategy("web"), Traffic(weight))
        assert store.now("shop") == before
    await router.clean(WEB)
    is_as_written(store.now("shop"), TWO_RULES)


def overruling(write: RouteWrite) -> Json:
    """Another webhook, which leaves the canary no weight."""
    found = webhook(write)
    for one in found["spec"]["rules"]:
        for it in one["backendRefs"]:
            if it["name"].endswith("-canary"):
                it["weight"] = 0
    return found


@pytest.mark.parametrize(
    ("admission", "versions"),
    [(webhook, 1), (down, 2), (overruling, 0)],
    ids=["the webhook writes the weights", "they are written after the mark", "another overrules"],
)
async def test_what_was_written_is_told_once_it_is_all_as_it_was_wanted(
    admission: Admission, versions: int
) -> None:
    store, told = RouteStore(admission=admission), list[Json]()
    store.add(TWO_RULES)
    router = AdoptedRoutes(store, wrote=told.append)
    await router.write_split(WEB, strategy("web"), Traffic(20))
    assert len(told) == versions
    assert all(it["kind"] == "HTTPRoute" for it in told)
    if told:
        assert told[-1]["metadata"] == store.now("shop")["metadata"]
    await router.write_split(WEB, strategy("web"), Traffic(20))
    assert len(told) == versions, "nothing was to be written"


async def test_a_share_counts_from_its_write_on_without_a_look() -> None:
    now = [100.0]
    store = RouteStore(admission=webhook)
    store.add(TWO_RULES)
    router = AdoptedRoutes(store, clock=lambda: now[0])
    await router.write_split(WEB, strategy("web"), Traffic(20))
    now[0] += 7
    found = await router.read_split(WEB, strategy("web"))
    assert found.carried_for == timedelta(seconds=7)


async def test_the_rules_stay_the_team_s_own_where_the_webhook_answers() -> None:
    store, router = stored(TWO_RULES)
    await router.write_split(WEB, strategy("web"), Traffic(20))
    await router.write_split(API, strategy("api"), Traffic(40))
    await router.clean(WEB)
    await router.clean(API)
    assert store.patches
    assert all(set(patch) == {"metadata"} for patch in store.patches)


async def test_a_webhook_that_is_back_mends_what_was_applied_without_it() -> None:
    store, router = stored(TWO_RULES)
    await router.write_split(WEB, strategy("web"), Traffic(20))
    store.admission = down
    store.team_apply(CHANGED)
    assert share(store.now("shop"), "web") == {0}
    store.admission = webhook
    await router.write_split(WEB, strategy("web"), Traffic(20))
    assert share(store.now("shop"), "web") == {20}
    assert all(set(patch) == {"metadata"} for patch in store.patches), "the rules stay the team's"


async def test_every_write_rests_on_what_was_read() -> None:
    store, router = stored(TWO_RULES, admission=down)
    await router.write_split(WEB, strategy("web"), Traffic(20))
    await router.clean(WEB)
    assert all(patch["metadata"]["resourceVersion"] for patch in store.patches)


async def test_a_route_that_leads_elsewhere_or_only_by_weight_0_is_not_counted() -> None:
    store, router = stored(
        route(rule("/", ref("blog")), name="blog"),
        route(rule("/", ref("web", 0), ref("blog")), name="later"),
    )
    assert (await router.read_split(WEB, strategy("web"))).routes == 0
    await router.write_split(WEB, strategy("web"), Traffic(20))
    assert SPLIT not in store.now("blog")["metadata"]["annotations"]
    # The team turns it on in mid-run: it is split from its first request.
    store.team_apply(route(rule("/", ref("web", 5), ref("blog")), name="later"))
    assert share(store.now("later"), "web") == {20}


async def test_a_stable_that_comes_back_to_a_route_meets_no_old_share() -> None:
    store, router = stored(ONE_RULE)
    await router.write_split(WEB, strategy("web"), Traffic(20))
    store.team_apply(route(rule("/", ref("blog"))))
    await router.write_split(WEB, strategy("web"), Traffic(0))
    store.team_apply(ONE_RULE)
    assert share(store.now("shop"), "web") == {0}


async def test_unequal_routes_are_said() -> None:
    store, router = stored(TWO_RULES)
    await router.write_split(WEB, strategy("web"), Traffic(20))
    store.add(route(rule("/new", ref("web")), name="new"))
    found = await router.read_split(WEB, strategy("web"))
    assert not found.even
    assert "0 % on HTTPRoute new, 20 % on HTTPRoute shop" in found.problem
    await router.write_split(WEB, strategy("web"), Traffic(20))
    assert (await router.read_split(WEB, strategy("web"))).problem == ""


async def test_a_canary_backend_of_the_team_s_own_is_not_touched_outside_a_run() -> None:
    """It runs its canaries by hand; nothing on the route says that they are Headgate's."""
    by_hand = route(rule("/", ref("web", 90), ref("web-canary", 10)))
    store, router = stored(by_hand)
    assert (await router.read_split(WEB, strategy("web"))).weight == 0
    await router.clean(WEB)
    is_as_written(store.now("shop"), by_hand)


@pytest.mark.parametrize("seen", [None, 1, 2])
async def test_a_split_is_confirmed_when_the_gateway_has_seen_it(seen: int | None) -> None:
    written = deepcopy(TWO_RULES)
    if seen is not None:
        conditions = [{"type": "Accepted", "status": "True", "observedGeneration": seen}]
        written["status"] = {"parents": [{"conditions": conditions}]}
    _, router = stored(written)
    await router.write_split(WEB, strategy("web"), Traffic(20))  # generation 2
    assert (await router.read_split(WEB, strategy("web"))).confirmed == (seen != 1)


# --- two targets on one route -------------------------------------------------------------------


@SHAPES
@ADMISSIONS
async def test_a_refused_target_leaves_the_route_and_the_other_stays(
    written: Json, admission: Admission
) -> None:
    store, router = stored(written, admission=admission)
    await router.write_split(WEB, strategy("web"), Traffic(20))
    await router.write_split(API, strategy("api"), Traffic(10))
    assert both(store) == (20, 10)
    begun = len(store.history)
    await router.write_split(WEB, strategy("web"), Traffic(0))
    assert (await router.read_split(WEB, strategy("web"))).weight == 0
    await router.clean(WEB)
    refs = [it["name"] for r in store.now("shop")["spec"]["rules"] for it in r["backendRefs"]]
    assert "web-canary" not in refs
    assert all(share(state, "api") == {10} for state in store.history[begun:])
    await router.write_split(API, strategy("api"), Traffic(60))
    assert share(store.now("shop"), "api") == {60}
    await router.clean(API)
    is_as_written(store.now("shop"), written)


@SHAPES
async def test_two_targets_that_write_at_once_both_get_their_share(written: Json) -> None:
    store, router = stored(written)
    other = AdoptedRoutes(store)

    def begin() -> None:
        store.team_apply({**written, "metadata": {**written["metadata"], "labels": {}}})

    store.meanwhile = [begin]
    await router.write_split(WEB, strategy("web"), Traffic(20))
    await other.write_split(API, strategy("api"), Traffic(70))
    assert both(store) == (20, 70)


# --- what the team writes meanwhile -------------------------------------------------------------

CHANGED = route(
    rule("/api", ref("api"), ref("blog", 100)), rule("/new", ref("web", 7)), rule("/", ref("web"))
)


@pytest.mark.parametrize("how", ["team_apply", "team_replace"])
@SHAPES
@ADMISSIONS
async def test_what_the_team_applies_in_mid_run_is_split_and_comes_back(
    written: Json, admission: Admission, how: str
) -> None:
    store, router = stored(written, admission=admission)
    await router.write_split(WEB, strategy("web"), Traffic(20))
    await router.write_split(API, strategy("api"), Traffic(10))
    getattr(store, how)(CHANGED)
    if admission is webhook:
        assert both(store) == (20, 10)
    await router.write_split(WEB, strategy("web"), Traffic(20))
    await router.write_split(API, strategy("api"), Traffic(10))
    assert both(store) == (20, 10)
    await router.clean(API)
    await router.clean(WEB)
    is_as_written(store.now("shop"), CHANGED)


@ADMISSIONS
async def test_what_the_team_changes_in_place_stays(admission: Admission) -> None:
    store, router = stored(ONE_RULE, admission=admission)
    await router.write_split(WEB, strategy("web"), Traffic(20))

    def change(rules: list[Json]) -> None:
        rules[0]["backendRefs"][-1]["weight"] = 100
        rules.append(rule("/new", ref("web")))

    store.team_edit("shop", change)
    await router.write_split(WEB, strategy("web"), Traffic(30))
    assert share(store.now("shop"), "web") == {30}
    await router.clean(WEB)
    expected = route(rule("/", ref("web"), ref("api", 100)), rule("/new", ref("web")))
    is_as_written(store.now("shop"), expected)


async def test_the_same_manifest_again_changes_nothing() -> None:
    store, router = stored(TWO_RULES)
    await router.write_split(WEB, strategy("web"), Traffic(20))
    await router.write_split(API, strategy("api"), Traffic(10))
    before = store.now("shop")
    for write in (store.team_apply, store.team_replace):
        write(TWO_RULES)
        assert store.now("shop") == before


async def test_a_write_that_meets_the_team_s_is_made_on_the_newer_route() -> None:
    store, router = stored(ONE_RULE)
    store.meanwhile = [lambda: store.team_apply(CHANGED)] * 2
    await router.write_split(WEB, strategy("web"), Traffic(20))
    assert share(store.now("shop"), "web") == {20}
    await router.clean(WEB)
    is_as_written(store.now("shop"), CHANGED)


async def test_a_route_that_is_written_all_the_time_is_said_after_the_last_attempt() -> None:
    store, router = stored(ONE_RULE)
    count = iter(range(100))

    def busy() -> None:
        store.team_apply(route(rule("/", ref("web", next(count) + 2))))

    store.meanwhile = [busy] * ATTEMPTS
    with pytest.raises(Conflict):
        await router.write_split(WEB, strategy("web"), Traffic(20))


async def test_a_route_that_goes_meanwhile_is_no_error() -> None:
    store, router = stored(ONE_RULE, route(rule("/", ref("web")), name="other"))

    def gone() -> None:
        store.remove("shop")

    store.meanwhile = [gone]
    await router.write_split(WEB, strategy("web"), Traffic(20))
    assert share(store.now("other"), "web") == {20}


async def test_nor_is_one_that_somebody_wrote_and_deleted_meanwhile() -> None:
    class Deleted(RouteStore):
        async def get(self, resource: Resource, namespace: str, name: str) -> Json:
            self.remove(name)
            return await super().get(resource, namespace, name)

    store = Deleted()
    store.add(ONE_RULE)
    store.meanwhile = [lambda: store.team_apply(CHANGED)]
    await AdoptedRoutes(store).write_split(WEB, strategy("web"), Traffic(20))
    assert not (await store.list(HTTPROUTES, "prod")).items


# --- a death after each write -------------------------------------------------------------------


@SHAPES
@ADMISSIONS
@pytest.mark.parametrize("edited", [False, True], ids=["", "the team writes meanwhile"])
@pytest.mark.parametrize("writes", range(14))
async def test_the_analyzer_may_die_before_each_write(
    written: Json, admission: Admission, writes: int, *, edited: bool
) -> None:
    store, router = stored(written, admission=admission)
    steps: list[Step] = [
        lambda it: it.write_split(WEB, strategy("web"), Traffic(20)),
        lambda it: it.write_split(API, strategy("api"), Traffic(10)),
        lambda it: it.write_split(WEB, strategy("web"), Traffic(70)),
        lambda it: it.write_split(WEB, strategy("web"), Traffic(0)),
        lambda it: it.clean(WEB),
        lambda it: it.write_split(API, strategy("api"), Traffic(40)),
        lambda it: it.clean(API),
    ]
    store.writes_left = writes
    expected = written
    for step in steps:
        try:
            await step(router)
        except* Died:
            store.writes_left = 1_000
            if edited:
                expected = CHANGED
                store.team_apply(CHANGED)
            await step(AdoptedRoutes(store))
    is_as_written(store.now("shop"), expected)


# --- what the API server refuses ----------------------------------------------------------------


async def test_one_route_that_is_refused_does_not_keep_the_others_from_being_split() -> None:
    first, last = (route(rule("/", ref("web")), name=name) for name in ("a", "z"))
    store, router = stored(first, TWO_RULES, last)
    store.refused = {"shop"}
    with pytest.raises(SplitRefused, match=r"HTTPRoute shop: .*not to be changed"):
        await router.write_split(WEB, strategy("web"), Traffic(20))
    assert [share(store.now(name), "web") for name in ("a", "shop", "z")] == [{20}, {0}, {20}]
    found = await router.read_split(WEB, strategy("web"))
    assert (found.weight, found.even) == (20, False)
    # It carries nothing of the canary, so the way back is open.
    await router.clean(WEB)
    is_as_written(store.now("a"), first)


async def test_a_rule_without_room_for_a_canary_is_refused_by_the_api_server() -> None:
    full = route(rule("/", ref("web"), *(ref(f"b{n}") for n in range(15))), name="full")
    store, router = stored(full, TWO_RULES)
    with pytest.raises(SplitRefused, match="HTTPRoute full"):
        await router.write_split(WEB, strategy("web"), Traffic(20))
    assert share(store.now("shop"), "web") == {20}
    is_as_written(store.now("full"), full)


async def test_a_canary_that_cannot_be_taken_out_keeps_its_service() -> None:
    store, router = stored(TWO_RULES, route(rule("/", ref("web")), name="other"))
    await router.write_split(WEB, strategy("web"), Traffic(20))
    store.refused = {"shop"}
    with pytest.raises(ApiError):
        await router.clean(WEB)
    assert share(store.now("other"), "web") == {0}


async def test_an_api_server_that_does_not_answer_is_no_refusal() -> None:
    class Away(RouteStore):
        async def merge_patch(
            self,
            resource: Resource,
            namespace: str,
            name: str,
            patch: Json,
            *,
            subresource: str = "",
        ) -> Json:
            if name == "shop":
                raise Unavailable(503, "ServiceUnavailable", "etcd has no leader")
            return await super().merge_patch(
                resource, namespace, name, patch, subresource=subresource
            )

    store = Away()
    for it in (TWO_RULES, route(rule("/", ref("web")), name="other")):
        store.add(it)
    with pytest.raises(Unavailable):
        await AdoptedRoutes(store).write_split(WEB, strategy("web"), Traffic(20))
    assert share(store.now("other"), "web") == {20}


# --- an upgrade in mid-run ----------------------------------------------------------------------


def elder_webhook(write: RouteWrite) -> Json:
    return elder.admit(write)


@dataclass
class TakingTurns:
    """Pods behind one Service, of which each has the next write."""

    webhooks: tuple[Admission, ...]
    turn: int = 0

    def __call__(self, write: RouteWrite) -> Json:
        self.turn += 1
        return self.webhooks[self.turn % len(self.webhooks)](write)


def elder_mark(target: str, weight: int) -> elder.Mark:
    return elder.Mark(
        namespace="prod",
        target=target,
        stable=target,
        canary=f"{target}-canary",
        weight=weight,
    )


BESIDE = pytest.mark.parametrize(
    "admission",
    [
        webhook,
        elder_webhook,
        down,
        TakingTurns((webhook, elder_webhook)),
        TakingTurns((elder_webhook, webhook)),
    ],
    ids=["new", "old", "down", "new and old", "old and new"],
)


async def under_way(written: Json, weight: int) -> RouteStore:
    """Return a route whose run the version before has begun."""
    store = RouteStore(admission=elder_webhook)
    store.add(written)
    await elder.ElderAnalyzer(store).mark("shop", elder_mark("web", weight))
    assert share(store.now("shop"), "web") == {weight}
    return store


@SHAPES
@BESIDE
async def test_a_run_under_way_goes_on_without_a_moment_of_other_traffic(
    written: Json, admission: Admission
) -> None:
    store = await under_way(written, 20)
    store.admission = deepcopy(admission)
    router, begun = AdoptedRoutes(store), len(store.history)
    assert (await router.read_split(WEB, strategy("web"))).weight == 20
    await router.write_split(WEB, strategy("web"), Traffic(20))
    assert "targets" in store.now("shop")["metadata"]["annotations"][SPLIT]
    assert {share(state, "web") for state in store.history[begun:]} <= {frozenset({20})}
    await router.write_split(WEB, strategy("web"), Traffic(30))
    seen = [share(state, "web") for state in store.history[begun:]]
    assert seen[-1] == {30}
    assert set(seen) <= {frozenset({20}), frozenset({30})}
    await router.clean(WEB)
    is_as_written(store.now("shop"), written)


@SHAPES
@BESIDE
async def test_a_second_run_may_begin_on_the_route_of_one_under_way(
    written: Json, admission: Admission
) -> None:
    store = await under_way(written, 20)
    store.admission = deepcopy(admission)
    router = AdoptedRoutes(store)
    await router.write_split(API, strategy("api"), Traffic(10))
    assert both(store) == (20, 10)
    await router.write_split(WEB, strategy("web"), Traffic(0))
    await router.clean(WEB)
    assert share(store.now("shop"), "api") == {10}
    await router.clean(API)
    is_as_written(store.now("shop"), written)


@SHAPES
@BESIDE
async def test_a_team_may_apply_while_old_and_new_webhooks_answer(
    written: Json, admission: Admission
) -> None:
    store = await under_way(written, 20)
    store.admission = deepcopy(admission)
    router = AdoptedRoutes(store)
    await router.write_split(WEB, strategy("web"), Traffic(20))
    store.team_apply(CHANGED)
    if admission is not down:
        assert share(store.now("shop"), "web") == {20}
    await router.write_split(WEB, strategy("web"), Traffic(20))
    assert share(store.now("shop"), "web") == {20}
    await router.clean(WEB)
    is_as_written(store.now("shop"), CHANGED)


async def test_an_old_webhook_lets_a_new_mark_stand_and_the_analyzer_mends_the_weights() -> None:
    store, router = stored(TWO_RULES, admission=elder_webhook)
    await router.write_split(WEB, strategy("web"), Traffic(20))
    await router.write_split(API, strategy("api"), Traffic(10))
    store.team_apply(CHANGED)
    assert set((mark_of(store.now("shop")) or NO_MARK).splits) == {"web", "api"}
    assert (await router.read_split(WEB, strategy("web"))).weight == 0, "seen, and written again"
    await router.write_split(WEB, strategy("web"), Traffic(20))
    assert both(store) == (20, 10)
    await router.clean(WEB)
    await router.clean(API)
    is_as_written(store.now("shop"), CHANGED)


@SHAPES
async def test_an_old_analyzer_that_still_leads_is_honoured_by_new_webhooks(written: Json) -> None:
    store = RouteStore()
    store.add(written)
    leader = elder.ElderAnalyzer(store)
    for weight in (10, 20):
        await leader.mark("shop", elder_mark("web", weight))
        assert share(store.now("shop"), "web") == {weight}
        assert await leader.share("shop") == weight
    store.team_apply(written)
    assert await leader.share("shop") == 20
    assert all(set(patch) == {"metadata"} for patch in store.patches), "the rules stay the team's"
    router = AdoptedRoutes(store)
    await router.write_split(WEB, strategy("web"), Traffic(30))
    assert share(store.now("shop"), "web") == {30}
    # It leads once more: the new one was the first to go.
    await leader.mark("shop", elder_mark("web", 40))
    assert share(store.now("shop"), "web") == {40}
    await leader.unmark("shop", elder_mark("web", 40))
    is_as_written(store.now("shop"), written)


@SHAPES
async def test_an_old_analyzer_does_not_spoil_what_a_new_one_marked_by_target(
    written: Json,
) -> None:
    store, router = stored(written)
    await router.write_split(WEB, strategy("web"), Traffic(20))
    await router.write_split(API, strategy("api"), Traffic(10))
    leader = elder.ElderAnalyzer(store)
    for weight in (30, 40):
        await leader.mark("shop", elder_mark("web", weight))
        assert share(store.now("shop"), "web") == {weight}
        assert share(store.now("shop"), "api") == {10}
    await router.clean(WEB)
    await router.clean(API)
    is_as_written(store.now("shop"), written)


@SHAPES
@BESIDE
async def test_what_the_version_before_left_behind_is_found(
    written: Json, admission: Admission
) -> None:
    """One target's mark came in place of the other's, whose share stayed on the route."""
    store = await under_way(written, 20)
    await elder.ElderAnalyzer(store).mark("shop", elder_mark("api", 10))
    store.admission = deepcopy(admission)
    router = AdoptedRoutes(store)
    assert (await router.read_split(WEB, strategy("web"))).weight == 20
    assert (await router.read_split(API, strategy("api"))).weight == 10
    await router.write_split(WEB, strategy("web"), Traffic(0))
    assert both(store) == (0, 10)
    await router.clean(WEB)
    assert share(store.now("shop"), "api") == {10}
    await router.clean(API)
    is_as_written(store.now("shop"), written)


@pytest.mark.parametrize("text", ["later", "{}", '{"targets":{"web":{"share":"all"}}}'])
async def test_a_mark_of_a_later_version_is_left_to_it_by_the_webhook(text: str) -> None:
    marked = deepcopy(TWO_RULES)
    marked["metadata"]["annotations"][SPLIT] = text
    store, router = stored(marked)
    store.team_replace(CHANGED)
    assert store.now("shop")["metadata"]["annotations"][SPLIT] == text
    assert store.now("shop")["spec"] == CHANGED["spec"]
    # An analyzer that leads has to go on, and writes over it.
    await router.write_split(WEB, strategy("web"), Traffic(20))
    assert share(store.now("shop"), "web") == {20}


# --- an own route -------------------------------------------------------------------------------

OWN = replace(
    strategy("web"), own_route=GatewayRoute(parents=({"name": "contour"},), hosts=("a.example",))
)
OWNER = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "web", "uid": "u-1"}


async def test_an_own_route_is_made_and_follows_its_canary_in_mid_run() -> None:
    store, router = stored()
    await router.ensure(WEB, OWN, OWNER)
    assert store.now("web")["metadata"]["labels"] == {MANAGED_BY_LABEL: MANAGED_BY}
    await router.write_split(WEB, OWN, Traffic(20))
    changed = replace(OWN, own_route=GatewayRoute(parents=(), hosts=("b.example",)))
    await router.ensure(WEB, changed, OWNER)
    assert store.now("web")["spec"]["hostnames"] == ["b.example"]
    assert share(store.now("web"), "web") == {20}
    await router.clean(WEB)
    [made] = store.now("web")["spec"]["rules"]
    assert [it["name"] for it in made["backendRefs"]] == ["web"]


@pytest.mark.parametrize("asked", [OWN, strategy("web")], ids=["own", "none asked for"])
async def test_no_route_is_made_where_the_team_has_one(asked: Strategy) -> None:
    store, router = stored(TWO_RULES)
    await router.ensure(WEB, asked, OWNER)
    assert len(store.history) == 1


async def test_a_route_of_the_same_name_that_leads_elsewhere_stays_the_team_s() -> None:
    store, router = stored(route(rule("/", ref("blog")), name="web"))
    await router.ensure(WEB, OWN, OWNER)
    assert len(store.history) == 1


class Shadowed(HttpRoutes):
    """A kind whose splits need another object beside the route."""

    def companions(self, route: Json, mark: Mark) -> tuple[Json, ...]:
        name = f"{route['metadata']['name']}-shadow"
        shadow = {**route, "metadata": {"name": name, "namespace": "prod"}}
        return (shadow,) if mark.staying and not name.endswith("-shadow-shadow") else ()


async def test_what_a_split_needs_beside_the_route_comes_and_goes_with_it() -> None:
    store, _ = stored(route(rule("/", ref("web"), ref("api"))))
    router = AdoptedRoutes(store, [Shadowed()])
    await router.write_split(WEB, strategy("web"), Traffic(20))
    assert store.history[1]["metadata"]["name"] == "shop-shadow", "it is there before the split"
    await router.write_split(API, strategy("api"), Traffic(20))
    await router.clean(WEB)
    assert store.now("shop-shadow")
    await router.clean(API)
    with pytest.raises(KeyError):
        store.now("shop-shadow")


async def test_a_cluster_without_gateway_api_has_no_routes() -> None:
    class Without(Untouched):
        async def list(
            self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
        ) -> ListResult:
            del namespace, label_selector
            raise NotFound(404, "NotFound", resource.kind)

    router = AdoptedRoutes(Without())
    assert (await router.read_split(WEB, strategy("web"))).routes == 0
    await router.write_split(WEB, strategy("web"), Traffic(20))
    await router.clean(WEB)


# --- more than a share --------------------------------------------------------------------------

MATCHED = Traffic(
    100,
    match=(RequestMatch(headers=(Condition(name="x", by=Comparison.EXACT, value="1"),)),),
)


@ADMISSIONS
@SHAPES
async def test_a_match_is_written_read_and_taken_out(written: Json, admission: Admission) -> None:
    store, router = stored(written, admission=admission)
    await router.write_split(WEB, strategy("web"), MATCHED)
    await router.write_split(API, strategy("api"), Traffic(20))
    found = await router.read_split(WEB, strategy("web"))
    assert (found.traffic, found.routes, found.even) == (MATCHED, 1, True)
    assert (await router.read_split(API, strategy("api"))).traffic == Traffic(20)
    before = store.now("shop")
    await router.write_split(WEB, strategy("web"), MATCHED)
    assert store.now("shop") == before
    await router.write_split(WEB, strategy("web"), Traffic(0))
    assert len(store.now("shop")["spec"]["rules"]) == len(written["spec"]["rules"])
    await router.clean(WEB)
    await router.clean(API)
    is_as_written(store.now("shop"), written)


@ADMISSIONS
async def test_a_route_without_room_is_refused_for_who_asks_and_for_nobody_else(
    admission: Admission,
) -> None:
    many = route(*(rule(f"/{n}", ref("web")) for n in range(9)), rule("/api", ref("api")))
    store, router = stored(many, admission=admission)
    with pytest.raises(SplitRefused, match="19 rules, and an HTTPRoute takes 16"):
        await router.write_split(WEB, strategy("web"), MATCHED)
    is_as_written(store.now("shop"), many)
    await router.write_split(API, strategy("api"), MATCHED)
    assert (await router.read_split(API, strategy("api"))).traffic == MATCHED
    with pytest.raises(SplitRefused):
        await router.write_split(WEB, strategy("web"), MATCHED)
    assert (await router.read_split(API, strategy("api"))).traffic == MATCHED


async def test_a_route_that_its_team_has_filled_up_is_said_for_who_has_no_room_left() -> None:
    store, router = stored(route(rule("/", ref("web")), rule("/api", ref("api"))))
    await router.write_split(WEB, strategy("web"), MATCHED)
    many = route(*(rule(f"/{n}", ref("web")) for n in range(9)), rule("/api", ref("api")))
    store.team_apply(many)
    assert (await router.read_split(WEB, strategy("web"))).traffic == Traffic(0)
    await router.write_split(API, strategy("api"), Traffic(20))
    assert (await router.read_split(API, strategy("api"))).traffic == Traffic(20)
    with pytest.raises(SplitRefused, match="takes 16"):
        await router.write_split(WEB, strategy("web"), MATCHED)
