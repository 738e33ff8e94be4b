"""Ingresses of ingress-nginx: one of ours beside the team's, as the API server stores it."""

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analyzer.ports import SplitRefused
from analyzer.routers.chosen import Chosen
from canary.contract import FIELD_MANAGER, SPLIT
from canary.model.strategy import Strategy
from canary.model.traffic import NOTHING, Affinity, Comparison, Condition, RequestMatch, Traffic
from canary.model.values import Json, Key
from canary.spec.steps import linear
from runtime.errors import ApiError, Forbidden, Invalid
from runtime.resources import DEPLOYMENTS, HTTPROUTES, INGRESSES, ListResult, Resource
from tests.harness.api import ApiServer
from tests.harness.client import ANALYZER, TEAM, Client
from tests.harness.stage import deployment, route
from tests.unit.canary.routes.test_nginx import P, backend, ingress, path, rule

WEB, API = Key(namespace="prod", name="web"), Key(namespace="prod", name="api")
FOUND = Strategy(
    interval=timedelta(minutes=1), threshold=1, steps=linear((50,)), service_name="web"
)
NAMED = replace(FOUND, routed_by=("Ingress",), ingress="shop", provider="nginx")
BOTH = pytest.mark.parametrize("strategy", [FOUND, NAMED], ids=["found", "named"])
INSIDERS = RequestMatch(headers=(Condition(name="x", by=Comparison.EXACT, value="in"),))
MINE = "shop-web-canary"


def shop(*, name: str = "shop", **spec: Any) -> Json:
    return ingress(rule("shop.example", path("/", "web"), path("/api", "api")), name=name, **spec)


class Denying(Client):
    """The analyzer's way to an API server that answers otherwise to some verbs."""

    denials: dict[str, ApiError]
    others: ApiError | None = None

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        self._deny("list", resource)
        return await super().list(resource, namespace, label_selector=label_selector)

    async def create(self, resource: Resource, obj: Json, *, field_manager: str = "") -> Json:
        self._deny("create", resource)
        return await super().create(resource, obj, field_manager=field_manager)

    async def merge_patch(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        patch: Json,
        *,
        subresource: str = "",
        field_manager: str = FIELD_MANAGER,
    ) -> Json:
        if resource != INGRESSES and self.others is not None:
            raise self.others
        self._deny("patch", resource)
        return await super().merge_patch(
            resource, namespace, name, patch, subresource=subresource, field_manager=field_manager
        )

    def _deny(self, verb: str, resource: Resource) -> None:
        if resource == INGRESSES and verb in self.denials:
            raise self.denials[verb]


class World:
    """A namespace with a target, and what is there of Ingresses."""

    def __init__(self, *found: Json) -> None:
        self.api = ApiServer(lambda: datetime(2026, 1, 1, tzinfo=UTC))
        self.client = Denying(self.api, ANALYZER)
        self.client.denials = {}
        self.router = Chosen(self.client)
        self.api.create(DEPLOYMENTS, deployment("web:1"), TEAM)
        for one in found:
            self.api.create(INGRESSES, deepcopy(one), TEAM)

    def look(self, name: str = MINE) -> Json | None:
        return deepcopy(self.api.look(INGRESSES, "prod", name))

    def mine(self, name: str = MINE) -> Json:
        found = self.look(name)
        assert found is not None
        return found

    def weight(self, name: str = MINE) -> str:
        return str(self.mine(name)["metadata"]["annotations"][f"{P}/canary-weight"])

    def edit(self, name: str, patch: Json) -> None:
        self.api.merge_patch(INGRESSES, ("prod", name), patch, TEAM)

    def written(self) -> list[str]:
        return [
            str((change.new or change.old or {})["metadata"]["name"])
            for change in self.api.log
            if change.writer == ANALYZER
        ]


@BOTH
async def test_a_share_is_made_changed_set_to_nothing_and_taken_away(strategy: Strategy) -> None:
    world = World(shop())
    before = world.look("shop")
    found = await world.router.read_split(WEB, strategy)
    assert (found.traffic, found.routes, found.confirmed) == (NOTHING, 1, True)
    await world.router.write_split(WEB, strategy, NOTHING)
    assert world.look() is None, "nothing is made for nothing"
    for share in (20, 50, 100):
        await world.router.write_split(WEB, strategy, Traffic(share))
        found = await world.router.read_split(WEB, strategy)
        assert (found.weight, found.even, world.weight()) == (share, True, str(share))
        stands = world.mine()
        await world.router.write_split(WEB, strategy, Traffic(share))
        assert world.mine() == stands
    await world.router.write_split(WEB, strategy, NOTHING)
    assert world.weight() == "0"
    assert (await world.router.read_split(WEB, strategy)).traffic == NOTHING
    assert await world.router.clean(WEB)
    assert world.look() is None
    assert not await world.router.clean(WEB)
    assert world.look("shop") == before
    assert set(world.written()) == {MINE}


async def test_it_belongs_to_the_target() -> None:
    world = World(shop())
    await world.router.write_split(WEB, FOUND, Traffic(20))
    target = world.api.look(DEPLOYMENTS, "prod", "web")
    assert target is not None
    assert world.mine()["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "web",
            "uid": target["metadata"]["uid"],
        }
    ]


async def test_that_of_a_target_which_was_made_anew_belongs_to_the_new_one() -> None:
    world = World(shop())
    await world.router.write_split(WEB, FOUND, Traffic(20))
    world.api.delete(DEPLOYMENTS, ("prod", "web"), TEAM)
    made = world.api.create(DEPLOYMENTS, deployment("web:2"), TEAM)
    await world.router.write_split(WEB, FOUND, Traffic(20))
    [owner] = world.mine()["metadata"]["ownerReferences"]
    assert owner["uid"] == made["metadata"]["uid"]


@BOTH
async def test_what_matches_comes_and_goes_with_its_annotations(strategy: Strategy) -> None:
    world = World(shop())
    matched = Traffic(100, match=(INSIDERS,))
    for traffic in (matched, Traffic(30), matched, NOTHING):
        await world.router.write_split(WEB, strategy, traffic)
        found = await world.router.read_split(WEB, strategy)
        assert (found.traffic, found.even) == (traffic, True)
        tested = f"{P}/canary-by-header" in world.mine()["metadata"]["annotations"]
        assert tested is bool(traffic.match)


@BOTH
async def test_the_team_s_edits_are_followed(strategy: Strategy) -> None:
    world = World(shop())
    await world.router.write_split(WEB, strategy, Traffic(20))
    hosts = ["shop.example", "new.example"]
    spec = {
        "rules": [rule(host, path("/", "web")) for host in hosts],
        "tls": [{"hosts": hosts, "secretName": "shop"}],
        "defaultBackend": backend("web"),
    }
    world.edit("shop", {"spec": spec})
    found = await world.router.read_split(WEB, strategy)
    assert found.lacks(Traffic(20))
    await world.router.write_split(WEB, strategy, Traffic(20))
    wanted = [rule(host, path("/", "web-canary")) for host in hosts]
    assert world.mine()["spec"] == {
        "ingressClassName": "nginx",
        "rules": wanted,
        "tls": spec["tls"],
        "defaultBackend": backend("web-canary"),
    }
    assert not (await world.router.read_split(WEB, strategy)).lacks(Traffic(20))
    world.edit("shop", {"spec": {"defaultBackend": None, "tls": None}})
    await world.router.write_split(WEB, strategy, Traffic(20))
    assert world.mine()["spec"] == {"ingressClassName": "nginx", "rules": wanted}


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"annotations": {f"{P}/canary-weight": "90"}}},
        {"metadata": {"annotations": {f"{P}/canary-by-header": "x"}}},
        {"metadata": {"annotations": {f"{P}/canary": None}}},
        {"metadata": {"annotations": {f"{P}/affinity-canary-behavior": None}}},
        {"metadata": {"annotations": {SPLIT: "forged"}}},
        {"spec": {"rules": [rule("evil.example", path("/", "web-canary"))]}},
    ],
    ids=str,
)
async def test_an_edit_of_ours_is_put_right(patch: Json) -> None:
    world = World(shop())
    await world.router.write_split(WEB, FOUND, Traffic(20))
    before = world.mine()
    world.edit(MINE, patch)
    assert (await world.router.read_split(WEB, FOUND)).lacks(Traffic(20))
    await world.router.write_split(WEB, FOUND, Traffic(20))
    after = world.mine()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert not (await world.router.read_split(WEB, FOUND)).lacks(Traffic(20))


async def test_several_targets_behind_one_ingress_have_their_own() -> None:
    world = World(shop())
    world.api.create(DEPLOYMENTS, _renamed(deployment("api:1")), TEAM)
    api = replace(FOUND, service_name="api")
    await world.router.write_split(WEB, FOUND, Traffic(20))
    await world.router.write_split(API, api, Traffic(70))
    assert (world.weight(), world.weight("shop-api-canary")) == ("20", "70")
    [only] = world.mine("shop-api-canary")["spec"]["rules"]
    assert only == rule("shop.example", path("/api", "api-canary"))
    assert await world.router.clean(WEB)
    assert world.weight("shop-api-canary") == "70"


def _renamed(target: Json) -> Json:
    return {**target, "metadata": {**target["metadata"], "name": "api"}}


async def test_every_ingress_that_leads_there_is_split_where_none_is_named() -> None:
    other = shop(name="internal", ingressClassName="alb")
    world = World(shop(), shop(name="second"), other)
    await world.router.write_split(WEB, FOUND, Traffic(20))
    found = await world.router.read_split(WEB, FOUND)
    assert (found.routes, found.weight, found.even) == (2, 20, True)
    assert world.look("internal-web-canary") is None
    world.edit("second-web-canary", {"metadata": {"annotations": {f"{P}/canary-weight": "90"}}})
    found = await world.router.read_split(WEB, FOUND)
    assert (found.weight, found.even) == (90, False)


async def test_the_one_that_is_named_may_be_of_any_class() -> None:
    world = World(shop(ingressClassName="inner"), shop(name="second"))
    await world.router.write_split(WEB, NAMED, Traffic(20))
    assert world.mine()["spec"]["ingressClassName"] == "inner"
    assert world.look("second-web-canary") is None


async def test_another_one_that_is_named_in_mid_run_takes_the_split_over() -> None:
    world = World(shop(), shop(name="second"))
    await world.router.write_split(WEB, NAMED, Traffic(20))
    renamed = replace(NAMED, ingress="second")
    assert (await world.router.read_split(WEB, renamed)).lacks(NOTHING)
    await world.router.write_split(WEB, renamed, Traffic(20))
    assert world.look() is None
    assert world.weight("second-web-canary") == "20"


async def test_a_provider_of_another_kind_leaves_none() -> None:
    world = World(shop())
    world.api.create(HTTPROUTES, route(), TEAM)
    await world.router.write_split(WEB, FOUND, Traffic(20))
    gateways = replace(FOUND, routed_by=("HTTPRoute",))
    found = await world.router.read_split(WEB, gateways)
    assert (found.routes, found.even) == (1, False)
    await world.router.write_split(WEB, gateways, Traffic(20))
    assert world.look() is None
    assert (await world.router.read_split(WEB, gateways)).even


async def test_a_route_and_an_ingress_are_split_alike() -> None:
    world = World(shop())
    world.api.create(HTTPROUTES, route(), TEAM)
    await world.router.write_split(WEB, FOUND, Traffic(20))
    found = await world.router.read_split(WEB, FOUND)
    assert (found.routes, found.weight, found.even) == (2, 20, True)
    world.edit(MINE, {"metadata": {"annotations": {f"{P}/canary-weight": "0"}}})
    found = await world.router.read_split(WEB, FOUND)
    assert (found.weight, found.even) == (20, False)


async def test_one_that_leads_there_no_more_loses_its_companion() -> None:
    world = World(shop(), shop(name="second"))
    await world.router.write_split(WEB, FOUND, Traffic(20))
    world.edit("shop", {"spec": {"rules": [rule("shop.example", path("/", "api"))]}})
    found = await world.router.read_split(WEB, FOUND)
    assert (found.routes, found.lacks(Traffic(20))) == (1, True)
    await world.router.write_split(WEB, FOUND, Traffic(20))
    assert world.look() is None
    assert not (await world.router.read_split(WEB, FOUND)).lacks(Traffic(20))


async def test_clean_finds_it_whatever_has_become_of_ingress_and_target() -> None:
    world = World(shop())
    await world.router.write_split(WEB, FOUND, Traffic(20))
    world.api.delete(INGRESSES, ("prod", "shop"), TEAM)
    world.api.delete(DEPLOYMENTS, ("prod", "web"), TEAM)
    assert await world.router.clean(WEB)
    assert world.look() is None


async def test_with_its_target_gone_nothing_is_made_and_what_is_there_loses_its_share() -> None:
    world = World(shop())
    await world.router.write_split(WEB, FOUND, Traffic(20))
    world.api.delete(DEPLOYMENTS, ("prod", "web"), TEAM)
    await world.router.write_split(WEB, FOUND, NOTHING)
    assert world.weight() == "0"
    await world.router.clean(WEB)
    await world.router.write_split(WEB, FOUND, Traffic(20))
    assert world.look() is None


# --- what is not ours ---------------------------------------------------------------------------


@BOTH
async def test_a_name_that_is_taken_is_said_and_neither_used_nor_written(
    strategy: Strategy,
) -> None:
    taken = ingress(rule("other.example", path("/", "other")), name=MINE)
    world = World(shop(), taken)
    before = world.look()
    found = await world.router.read_split(WEB, strategy)
    assert found.routes == 0
    [said] = await world.router.in_the_way(WEB, strategy, {})
    assert said.startswith(f"Ingress {MINE} exists and is not the one beside Ingress shop")
    assert said in found.problem
    with pytest.raises(SplitRefused, match=MINE):
        await world.router.write_split(WEB, strategy, Traffic(20))
    await world.router.write_split(WEB, strategy, NOTHING)
    assert not await world.router.clean(WEB)
    assert world.look() == before


@BOTH
async def test_a_copy_under_another_name_is_the_team_s(strategy: Strategy) -> None:
    world = World(shop())
    await world.router.write_split(WEB, strategy, Traffic(20))
    copied = world.mine()
    copied["metadata"] = {
        **{it: copied["metadata"][it] for it in ("labels", "annotations", "ownerReferences")},
        "name": "copied",
        "namespace": "prod",
    }
    world.api.create(INGRESSES, copied, TEAM)
    await world.router.clean(WEB)
    assert world.look() is None
    assert world.look("copied") is not None


async def test_another_canary_of_the_same_rules_is_in_the_way() -> None:
    notes = {f"{P}/canary": "true", f"{P}/canary-weight": "5"}
    world = World(
        shop(), ingress(rule("shop.example", path("/", "x")), name="flagger", notes=notes)
    )
    assert (await world.router.read_split(WEB, NAMED)).routes == 0
    [said] = await world.router.in_the_way(WEB, NAMED, {})
    assert "Ingress flagger is a canary of Ingress shop already" in said


async def test_one_that_comes_later_is_not() -> None:
    world = World(shop())
    await world.router.write_split(WEB, NAMED, Traffic(20))
    notes = {f"{P}/canary": "true"}
    later = ingress(rule("shop.example", path("/", "x")), name="later", notes=notes)
    world.api.create(INGRESSES, later, TEAM)
    assert (await world.router.read_split(WEB, NAMED)).weight == 20


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((), "there is no Ingress shop in namespace prod"),
        ((ingress(rule("a", path("/", "api"))),), "no rule of Ingress shop leads to Service web"),
        (
            (ingress(rule("a", path("/", "web")), notes={f"{P}/canary": "true"}),),
            "is a canary itself",
        ),
    ],
)
async def test_what_is_wrong_with_the_one_that_is_named(
    found: tuple[Json, ...], expected: str
) -> None:
    world = World(*found)
    assert (await world.router.read_split(WEB, NAMED)).routes == 0
    [said] = await world.router.in_the_way(WEB, NAMED, {})
    assert expected in said
    assert await world.router.in_the_way(WEB, FOUND, {}) == ()


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(0, mirror=100),
        Traffic(50, match=(INSIDERS,)),
        Traffic(50, affinity=Affinity(cookie="met")),
        Traffic(100, match=(INSIDERS, INSIDERS)),
    ],
    ids=str,
)
async def test_what_it_cannot_carry_is_said_and_the_stable_has_it_all(traffic: Traffic) -> None:
    world = World(shop())
    await world.router.write_split(WEB, FOUND, Traffic(20))
    with pytest.raises(SplitRefused, match="Ingress shop: analysis"):
        await world.router.write_split(WEB, FOUND, traffic)
    assert (await world.router.read_split(WEB, FOUND)).traffic == NOTHING
    assert world.weight() == "0"


# --- what the API server does -------------------------------------------------------------------


async def test_without_the_right_there_is_none_and_who_asks_for_it_hears_of_it() -> None:
    world = World(shop())
    world.client.denials = {"list": Forbidden(403, "Forbidden", "no")}
    assert (await world.router.read_split(WEB, FOUND)).routes == 0
    assert await world.router.in_the_way(WEB, FOUND, {}) == ()
    [said] = await world.router.in_the_way(WEB, NAMED, {})
    assert "add manifests/route-rights/nginx" in said


@pytest.mark.parametrize("verb", ["create", "patch"])
async def test_a_write_that_is_denied_is_a_refusal(verb: str) -> None:
    world = World(shop())
    if verb == "patch":
        await world.router.write_split(WEB, FOUND, Traffic(20))
    world.client.denials = {verb: Invalid(400, "BadRequest", "host is defined already")}
    with pytest.raises(SplitRefused, match=r"Ingress shop: .*host is defined already"):
        await world.router.write_split(WEB, FOUND, Traffic(30))


@BOTH
async def test_a_route_that_cannot_be_written_keeps_nothing_from_the_ingress(
    strategy: Strategy,
) -> None:
    world = World(shop())
    world.api.create(HTTPROUTES, route(), TEAM)
    await world.router.write_split(WEB, FOUND, Traffic(20))
    world.client.others = ApiError(503, "ServiceUnavailable", "later")
    with pytest.raises(ApiError, match="later"):
        await world.router.write_split(WEB, strategy, NOTHING)
    assert world.weight() == "0"


async def test_a_fault_is_raised_once_all_others_are_written() -> None:
    world = World(shop(), shop(name="second"))
    await world.router.write_split(WEB, FOUND, Traffic(20))
    await world.client.delete(INGRESSES, "prod", MINE)
    world.client.denials = {"create": ApiError(503, "ServiceUnavailable", "later")}
    with pytest.raises(ApiError, match="later"):
        await world.router.write_split(WEB, FOUND, Traffic(30))
    assert world.weight("second-web-canary") == "30"
