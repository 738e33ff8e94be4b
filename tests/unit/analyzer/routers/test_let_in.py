"""Routes of other namespaces: who is let in, what is written there, what nobody there can do."""

from copy import deepcopy
from dataclasses import dataclass, field, replace

import pytest

from analyzer.ports import SplitRefused
from analyzer.routers.adopted import AdoptedRoutes
from analyzer.routers.let_in import ASIDE, LetIn
from canary.contract import SPLIT
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Json, Key
from canary.routes.grants import MOST_LET_IN
from canary.routes.known import DIALECTS
from canary.routes.mark import mark_of
from runtime.errors import Unavailable
from runtime.resources import ListResult, Resource
from tests.fakes.routes import RouteStore
from tests.unit.analyzer.routers.test_kinds import CANARY, OWNER, STRATEGY, WEB, backend
from tests.unit.analyzer.routers.test_mesh_routes import GATEWAY, OF_A_GATEWAY

KINDS = {"HTTPRoute", "GRPCRoute", "ReferenceGrant", "Namespace"}
HTTP = "HTTPRoute"


def route(name: str = "edge", *, space: str = "edge", kind: str = HTTP, **refs: str) -> Json:
    found = {**backend(), "namespace": "prod", **refs}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": space},
        "spec": {"parentRefs": [GATEWAY], "rules": [{"backendRefs": [found]}]},
    }


def route_to(service: str) -> Json:
    found = route()
    found["spec"]["rules"][0]["backendRefs"][0]["name"] = service
    return found


def local(name: str = "web") -> Json:
    found = route(name, space="prod")
    del found["spec"]["rules"][0]["backendRefs"][0]["namespace"]
    return found


def grant(space: str = "edge", kind: str = HTTP, *names: str) -> Json:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": f"for-{space}-{kind.lower()}", "namespace": "prod"},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": space}],
            "to": [{"group": "", "kind": "Service", "name": it} for it in names]
            or [{"group": "", "kind": "Service"}],
        },
    }


@dataclass
class Town:
    """Namespaces beside each other; `heard` is which routes carry a split, by their targets."""

    store: RouteStore
    heard: list[tuple[str, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.router = AdoptedRoutes(self.store, marked=lambda _: self.heard)

    def shares(self, name: str = "edge", space: str = "edge", kind: str = HTTP) -> dict[str, int]:
        [rule] = self.store.now(name, space, kind)["spec"]["rules"]
        return {it["name"]: it["weight"] for it in rule["backendRefs"]}

    def is_as_written(self, written: Json) -> bool:
        metadata = written["metadata"]
        now = self.store.now(metadata["name"], metadata["namespace"], written["kind"])
        same: bool = now["spec"] == written["spec"]
        return same and SPLIT not in (now["metadata"].get("annotations") or {})


def town(*objects: Json, labelled: tuple[str, ...] = ("prod", "edge")) -> Town:
    store = RouteStore(kinds=set(KINDS), labelled=set(labelled))
    for it in objects:
        store.add(deepcopy(it))
    return Town(store)


AT_20 = {"web": 80, "web-canary": 20}


@pytest.mark.parametrize("kind", [HTTP, "GRPCRoute"])
async def test_a_route_of_a_labelled_namespace_that_is_let_in_is_split(kind: str) -> None:
    it = town(route(kind=kind), grant(kind=kind))
    await it.router.write_split(WEB, STRATEGY, Traffic(20))
    assert it.shares(kind=kind) == AT_20
    stored = it.store.now("edge", "edge", kind)
    assert {ref["namespace"] for ref in stored["spec"]["rules"][0]["backendRefs"]} == {"prod"}
    mark = mark_of(stored)
    assert mark is not None
    assert list(mark.splits) == ["prod/web"]
    found = await it.router.read_split(WEB, STRATEGY)
    assert (found.weight, found.routes, found.even) == (20, 1, True)
    it.store.team_apply(route(kind=kind))
    assert it.shares(kind=kind) == AT_20
    assert await it.router.clean(WEB)
    assert it.is_as_written(route(kind=kind))


@pytest.mark.parametrize(
    ("objects", "labelled"),
    [
        ((route(), grant()), ("prod",)),
        ((route(),), ("prod", "edge")),
        ((route(), grant("other")), ("prod", "edge")),
        ((route(), grant("edge", "GRPCRoute")), ("prod", "edge")),
        ((route(), grant("edge", HTTP, "web")), ("prod", "edge")),
        ((route(namespace="edge"), grant()), ("prod", "edge")),
        ((route_to("api"), grant()), ("prod", "edge")),
    ],
    ids=[
        "without the label",
        "not let in",
        "another is",
        "another kind is",
        "to the stable alone",
        "that leads to its own Service",
        "that leads to another",
    ],
)
async def test_any_other_is_left_alone(
    objects: tuple[Json, ...], labelled: tuple[str, ...]
) -> None:
    it = town(*objects, labelled=labelled)
    await it.router.write_split(WEB, STRATEGY, Traffic(20))
    assert (await it.router.read_split(WEB, STRATEGY)).routes == 0
    assert it.is_as_written(objects[0])
    assert not it.store.patches


async def test_two_targets_of_one_name_are_split_side_by_side_on_one_route() -> None:
    both = route()
    both["spec"]["rules"][0]["backendRefs"].append(backend())
    it = town(both, grant())
    theirs = Key(namespace="edge", name="web")
    await it.router.write_split(WEB, STRATEGY, Traffic(20))
    await it.router.write_split(theirs, STRATEGY, Traffic(50))
    refs = it.store.now("edge", "edge")["spec"]["rules"][0]["backendRefs"]
    assert [(ref.get("namespace"), ref["name"], ref["weight"]) for ref in refs] == [
        ("prod", "web", 80),
        ("prod", "web-canary", 20),
        (None, "web", 50),
        (None, "web-canary", 50),
    ]
    assert (await it.router.read_split(WEB, STRATEGY)).weight == 20
    assert (await it.router.read_split(theirs, STRATEGY)).weight == 50
    await it.router.clean(WEB)
    assert (await it.router.read_split(theirs, STRATEGY)).weight == 50
    await it.router.clean(theirs)
    assert it.is_as_written(both)


@pytest.mark.parametrize("lost", ["label", "grant"])
async def test_a_route_that_is_not_let_in_any_more_is_given_back_in_mid_run(lost: str) -> None:
    it = town(route(), grant(), local())
    await it.router.write_split(WEB, STRATEGY, Traffic(20))
    it.heard = [(HTTP, "edge", "edge"), (HTTP, "prod", "web"), (HTTP, "edge", "gone")]
    if lost == "label":
        it.store.labelled.remove("edge")
    else:
        it.store.remove("for-edge-httproute", kind="ReferenceGrant")
    await it.router.write_split(WEB, STRATEGY, Traffic(20))
    assert it.is_as_written(route())
    assert it.shares("web", "prod") == AT_20


@pytest.mark.parametrize("lost", ["label", "grant"])
async def test_at_the_end_it_is_given_back_whoever_is_let_in(lost: str) -> None:
    it = town(route(), grant(), local())
    await it.router.write_split(WEB, STRATEGY, Traffic(20))
    if lost == "label":
        it.store.labelled.remove("edge")
    else:
        it.heard = [(HTTP, "edge", "edge")]
        it.store.remove("for-edge-httproute", kind="ReferenceGrant")
    assert await it.router.clean(WEB)
    assert it.is_as_written(route())
    assert it.is_as_written(local())


# --- what a neighbour cannot do ------------------------------------------------------------------


async def test_one_that_refuses_its_split_keeps_no_run_from_its_step_nor_from_its_end() -> None:
    it = town(route(), grant(), local())
    await it.router.write_split(WEB, STRATEGY, Traffic(20))
    it.store.refused = {"edge"}
    with pytest.raises(SplitRefused, match="HTTPRoute edge/edge"):
        await it.router.write_split(WEB, STRATEGY, Traffic(50))
    found = await it.router.read_split(WEB, STRATEGY)
    assert (found.weight, found.even, found.routes) == (50, True, 1)
    with pytest.raises(SplitRefused):
        await it.router.write_split(WEB, STRATEGY, NOTHING)
    found = await it.router.read_split(WEB, STRATEGY)
    assert (found.weight, found.even) == (0, True)
    await it.router.clean(WEB)
    assert it.is_as_written(local())


async def test_one_that_somebody_writes_again_and_again_is_passed_over() -> None:
    it = town(route(), grant(), local())
    await it.router.write_split(WEB, STRATEGY, Traffic(20))
    turns = iter(range(1_000))

    def again() -> None:
        now = it.store.now("edge", "edge")
        notes = {**now["metadata"]["annotations"], "turn": str(next(turns))}
        it.store.team_replace({**now, "metadata": {**now["metadata"], "annotations": notes}})

    it.store.meanwhile = [again] * 100
    with pytest.raises(SplitRefused, match="HTTPRoute edge/edge"):
        await it.router.write_split(WEB, STRATEGY, Traffic(50))
    found = await it.router.read_split(WEB, STRATEGY)
    assert (found.weight, found.even, found.routes) == (50, True, 1)


async def test_one_that_is_alone_and_refuses_leads_nowhere() -> None:
    it = town(route(), grant())
    it.store.refused = {"edge"}
    with pytest.raises(SplitRefused):
        await it.router.write_split(WEB, STRATEGY, Traffic(50))
    assert (await it.router.read_split(WEB, STRATEGY)).routes == 0


async def test_one_that_lags_behind_is_brought_down_and_holds_nobody_up() -> None:
    it = town(route(), grant(), local())
    await it.router.write_split(WEB, STRATEGY, Traffic(20))
    it.store.remove("edge", "edge")
    it.store.add(route())
    found = await it.router.read_split(WEB, STRATEGY)
    assert (found.weight, found.even) == (20, True), "its own namespace's decides"
    await it.router.write_split(WEB, STRATEGY, Traffic(20))
    assert it.shares() == AT_20
    it.store.remove("web", "prod")
    it.store.add(local())
    assert (await it.router.read_split(WEB, STRATEGY)).weight == 20, "somebody has more than it has"


async def test_a_canary_s_owner_reference_that_is_copied_makes_nothing_ours() -> None:
    forged = route("web")
    forged["metadata"]["ownerReferences"] = [OWNER]
    it = town(forged, grant())
    [said] = await it.router.in_the_way(WEB, replace(OF_A_GATEWAY, routed_by=(HTTP,)), CANARY)
    assert said.startswith("HTTPRoute edge/web leads to Service web")
    await it.router.ensure(WEB, OF_A_GATEWAY, OWNER)
    assert it.is_as_written(forged)


async def test_at_most_so_many_namespaces_are_looked_at() -> None:
    spaces = [f"n{number:02}" for number in range(MOST_LET_IN + 4)]
    grants = [grant(space) for space in spaces]
    it = town(*grants, *(route(space=space) for space in spaces), labelled=tuple(spaces))
    assert (await it.router.read_split(WEB, STRATEGY)).routes == MOST_LET_IN


# --- what it costs, and what may be missing ------------------------------------------------------


async def test_who_lets_nobody_in_costs_one_list() -> None:
    it = town(local())
    await it.router.read_split(WEB, STRATEGY)
    kinds = [it.kind for it in DIALECTS]
    assert sorted(it.store.asked) == sorted([*kinds, "ReferenceGrant"])


@pytest.mark.parametrize("there", [set[str](), {"ReferenceGrant"}], ids=["no kind", "no right"])
async def test_without_grants_to_read_there_are_no_neighbours(there: set[str]) -> None:
    it = town(route(), grant(), local())
    it.store.kinds = {HTTP, *there}
    it.store.not_granted = there
    for _ in range(2):
        assert (await it.router.read_split(WEB, STRATEGY)).routes == 1
    assert it.store.asked.count("ReferenceGrant") == 1


class Down(RouteStore):
    """A cluster that lists no grants now."""

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> ListResult:
        if resource.kind == "ReferenceGrant":
            raise Unavailable(503, "Unavailable", "down")
        return await super().list(resource, namespace, label_selector=label_selector)


async def test_a_cluster_that_cannot_tell_is_no_cluster_without_grants() -> None:
    with pytest.raises(Unavailable):
        await AdoptedRoutes(Down(kinds=set(KINDS))).read_split(WEB, STRATEGY)


def test_what_is_set_aside_counts_again_after_a_while() -> None:
    now = [0.0]
    store = RouteStore()
    found = LetIn(store, AdoptedRoutes(store)._kinds, clock=lambda: now[0])  # noqa: SLF001
    found.set_aside(WEB, route())
    other = Key(namespace="prod", name="api")
    assert [found.is_aside(key, route()) for key in (WEB, other)] == [True, False]
    assert not found.is_aside(WEB, route("another"))
    now[0] = ASIDE
    assert not found.is_aside(WEB, route())
