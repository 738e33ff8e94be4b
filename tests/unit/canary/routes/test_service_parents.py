"""Routes that have a Service as their parent: a mesh follows them, and says of it what it says."""

import json
from dataclasses import replace
from typing import Any

import pytest

from canary.model.traffic import NOTHING, Comparison, Condition, RequestMatch, Traffic
from canary.model.values import Json
from canary.routes.dialect import Dialect
from canary.routes.gateway_api import HttpRoutes
from canary.routes.grants import granted
from canary.routes.grpc import GrpcRoutes
from canary.routes.mark import Mark, TargetSplit, load_mark, marked
from canary.routes.meshes import mesh_of, passed_over, way_in
from canary.routes.parents import LINKERD, TRAEFIK, contends, is_for_a_mesh, other_ports
from tests.unit.canary.routes.kinds import virtual
from tests.unit.canary.routes.rules import mark, ref, weights_of
from tests.unit.canary.routes.rules import route as written

WEB = {"group": "", "kind": "Service", "name": "web", "port": 80}
GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}
ISTIO = "istio.io/gateway-controller"
TO_WEB = {"backendRefs": [ref("web")]}
BARE: Json = {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}
REDIRECT: Json = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]}
DIALECTS: tuple[Dialect, ...] = (HttpRoutes(), GrpcRoutes())
each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=[it.kind for it in DIALECTS])


def route(*rules: Json, parents: tuple[Json, ...] = (WEB,), **status: Any) -> Json:
    found = written(*(rules or (TO_WEB,)))
    found["metadata"]["generation"] = 3
    return {**found, "spec": {**found["spec"], "parentRefs": list(parents)}, **status}


def told(
    *conditions: tuple[str, str, int | None], who: str = ISTIO, of: Json | None = None
) -> Json:
    """Return what a controller says of a parent: types, statuses, and generations if it has any."""
    return {
        "controllerName": who,
        "parentRef": WEB if of is None else of,
        "conditions": [
            {"type": kind, "status": status, "reason": "Why", "message": "for this"}
            | ({} if generation is None else {"observedGeneration": generation})
            for kind, status, generation in conditions
        ],
    }


def of_status(found: Json, *parents: Json) -> Json:
    return {**found, "status": {"parents": list(parents)}}


# --- a split ------------------------------------------------------------------------------------


@each_dialect
@pytest.mark.parametrize("parent", [WEB, {**WEB, "name": "shop"}], ids=["itself", "another"])
def test_a_service_is_split_where_it_is_a_backend_whatever_the_parent(
    dialect: Dialect, parent: Json
) -> None:
    found = route(parents=(parent,))
    assert dialect.leads_to(found, "web")
    [rule] = dialect.with_traffic(found, mark(web=20)).spec["rules"]
    assert weights_of(rule) == {"web": 80, "web-canary": 20}
    assert [it["port"] for it in rule["backendRefs"]] == [80, 80]


@each_dialect
def test_a_parent_alone_leads_nowhere(dialect: Dialect) -> None:
    assert not dialect.leads_to(route({"backendRefs": [ref("api")]}), "web")
    assert not dialect.leads_to(route(BARE), "web")


@each_dialect
@pytest.mark.parametrize("rules", [(TO_WEB, BARE), (BARE, TO_WEB)], ids=["after", "before"])
def test_a_rule_that_leaves_the_backend_to_the_mesh_keeps_all_with_the_stable(
    dialect: Dialect, rules: tuple[Json, ...]
) -> None:
    found = route(*rules)
    assert "has no backendRefs" in dialect.refused(found, mark(web=20))["web"]
    spec = dialect.with_traffic(found, mark(web=20)).spec
    split = [weights_of(rule) for rule in spec["rules"] if rule.get("backendRefs")]
    assert split == [{"web": 100, "web-canary": 0}]
    assert dialect.refused(found, mark(web=0)) == {}


@each_dialect
@pytest.mark.parametrize(
    "found",
    [
        route(TO_WEB, REDIRECT),
        route(TO_WEB, BARE, parents=({**WEB, "name": "shop"},)),
        route(TO_WEB, BARE, parents=({**WEB, "namespace": "other"},)),
        route(TO_WEB, BARE, parents=(GATEWAY,)),
        route(TO_WEB, BARE, parents=({**WEB, "group": "gateway.networking.k8s.io"},)),
    ],
    ids=["a redirect", "another's", "of another namespace", "a gateway's", "of another group"],
)
def test_a_rule_without_backends_is_nothing_to_a_service_whose_requests_it_has_not(
    dialect: Dialect, found: Json
) -> None:
    assert dialect.refused(found, mark(web=20)) == {}


@each_dialect
def test_another_target_s_rule_is_split_beside_one_that_cannot_be(dialect: Dialect) -> None:
    found = route({"backendRefs": [ref("web"), ref("api")]}, BARE)
    assert set(dialect.refused(found, mark(web=20, api=50))) == {"web"}
    [first, _] = dialect.with_traffic(found, mark(web=20, api=50)).spec["rules"]
    assert weights_of(first) == {"web": 100, "web-canary": 0, "api": 50, "api-canary": 50}


# --- who follows it ------------------------------------------------------------------------------


def mirrored() -> Mark:
    split = TargetSplit(stable="web", canary="web-canary", traffic=Traffic(0, mirror=100))
    return Mark(splits={"web": split})


@pytest.mark.parametrize(
    ("who", "of", "said"),
    [
        (LINKERD, WEB, "analysis.mirror: Linkerd copies no requests, and passes over"),
        (TRAEFIK, GATEWAY, "analysis.mirror: Traefik copies no requests of such a route: it answ"),
        (ISTIO, WEB, ""),
        (ISTIO, GATEWAY, ""),
    ],
    ids=["Linkerd", "Traefik", "Istio", "Istio's gateway"],
)
def test_who_copies_no_requests_is_asked_for_no_copy(who: str, of: Json, said: str) -> None:
    accepted = told(("Accepted", "True", 3), who=who, of=of)
    seen = told(("Accepted", "True", 3), of=GATEWAY)
    for statuses in ((accepted,), (seen, accepted)):
        found = of_status(route(parents=(of, GATEWAY)), *statuses)
        refused = HttpRoutes().refused(found, mirrored()).get("web", "")
        assert refused.startswith(said)
        assert bool(refused) is bool(said)
        assert HttpRoutes().refused(found, mark(web=30)) == {}


@each_dialect
@pytest.mark.parametrize(
    ("parents", "statuses", "refused"),
    [
        ((WEB,), [told(("Accepted", "False", None), who=LINKERD)], True),
        ((WEB,), [told(("Accepted", "False", 3)), told(("Accepted", "True", None))], False),
        ((WEB,), [told(("ResolvedRefs", "False", 3))], False),
        ((WEB,), [], False),
        ((WEB, GATEWAY), [told(("Accepted", "False", 3))], False),
        ((WEB,), [told(("Accepted", "False", 3), of=GATEWAY)], False),
        (
            ({**WEB, "name": "shop"},),
            [told(("Accepted", "False", 3), of={**WEB, "name": "shop"})],
            True,
        ),
        (
            (WEB, {**WEB, "name": "shop"}),
            [told(("Accepted", "False", 3), of={**WEB, "name": "shop"})],
            False,
        ),
    ],
    ids=[
        "not followed",
        "followed by one",
        "followed, a backend missing",
        "nothing said",
        "a gateway has it too",
        "said of a gateway",
        "not followed for another Service",
        "said of another Service",
    ],
)
def test_a_canary_gets_no_share_by_a_route_that_no_mesh_follows(
    dialect: Dialect, parents: tuple[Json, ...], statuses: list[Json], *, refused: bool
) -> None:
    found = of_status(route(parents=parents), *statuses)
    said = "the mesh does not follow it (Why: for this)"
    assert dialect.refused(found, mark(web=20)) == ({"web": said} if refused else {})
    back = Mark(splits={"web": TargetSplit(stable="web", canary="web-canary", traffic=NOTHING)})
    assert dialect.refused(found, back) == {}


SEEN = (("Accepted", "True", 3), ("ResolvedRefs", "True", 3))


@each_dialect
@pytest.mark.parametrize(
    ("parents", "statuses", "seen"),
    [
        ((WEB,), [told(*SEEN)], True),
        ((WEB,), [], False),
        ((WEB,), [told(("Accepted", "True", None), ("ResolvedRefs", "True", None))], False),
        ((WEB,), [told(("Accepted", "True", 3), ("ResolvedRefs", "True", 2))], False),
        ((WEB,), [told(*SEEN), told(("Accepted", "True", 2))], False),
        ((WEB,), [told(*SEEN, of={**WEB, "port": 90})], False),
        ((WEB,), [told(*SEEN, of={**WEB, "group": "core", "namespace": "prod"})], True),
        ((WEB, GATEWAY), [told(*SEEN)], True),
        ((WEB, GATEWAY), [told(*SEEN, of=GATEWAY)], False),
        ((WEB, GATEWAY), [told(*SEEN), told(("Accepted", "True", 2), of=GATEWAY)], False),
        ((WEB, GATEWAY), [told(*SEEN), told(*SEEN, of=GATEWAY)], True),
        ((GATEWAY,), [], True),
    ],
    ids=[
        "seen",
        "nothing said",
        "Linkerd, which never says what it has seen",
        "an older list of backends",
        "one of two controllers",
        "of another port",
        "as Linkerd writes it",
        "a gateway that has said nothing",
        "the Service that nothing is said of",
        "a gateway that is behind",
        "both",
        "a gateway alone",
    ],
)
def test_a_route_is_confirmed_once_each_parent_of_it_has_said_so(
    dialect: Dialect, parents: tuple[Json, ...], statuses: list[Json], *, seen: bool
) -> None:
    assert dialect.accepted(of_status(route(parents=parents), *statuses)) is seen


# --- which requests ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parents", "port", "others"),
    [
        ((WEB,), 80, ()),
        ((WEB,), None, ()),
        (({**WEB, "port": 90},), 80, (90,)),
        (({**WEB, "port": 91}, {**WEB, "port": 90}), 80, (90, 91)),
        (({**WEB, "port": 90}, WEB), 80, ()),
        (({"group": "", "kind": "Service", "name": "web"},), 80, ()),
        (({**WEB, "port": 90}, GATEWAY), 80, ()),
        (({**WEB, "port": 90, "name": "shop"},), 80, ()),
        ((), 80, ()),
    ],
)
def test_for_which_ports_a_route_is(
    parents: tuple[Json, ...], port: int | None, others: tuple[int, ...]
) -> None:
    assert other_ports(route(parents=parents), "web", port) == others


@pytest.mark.parametrize(
    ("one", "other", "want_the_same"),
    [
        (route(), route(), True),
        (route(), route(parents=(GATEWAY,)), False),
        (route(parents=(GATEWAY,)), route(), False),
        (route(parents=(WEB, GATEWAY)), route(parents=(GATEWAY,)), True),
        (route(parents=()), route(parents=(GATEWAY,)), True),
        (virtual(), route(), True),
        (virtual(), route(parents=(GATEWAY,)), True),
    ],
)
def test_a_gateway_s_requests_and_a_mesh_s_are_apart(
    one: Json, other: Json, *, want_the_same: bool
) -> None:
    assert contends(one, other) is want_the_same


def test_what_has_no_parents_is_for_no_mesh() -> None:
    assert not is_for_a_mesh(virtual())
    assert is_for_a_mesh(route())


# --- where none leads ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "mesh"),
    [
        ([{"annotations": {"linkerd.io/inject": "enabled"}}], "Linkerd"),
        ([{"annotations": {"linkerd.io/inject": "ingress"}}, {}], "Linkerd"),
        ([{"annotations": {"linkerd.io/inject": "disabled"}}], ""),
        ([{}, {"labels": {"istio-injection": "enabled"}}], "Istio"),
        ([{"labels": {"istio.io/dataplane-mode": "ambient"}}], "Istio"),
        ([{"labels": {"istio.io/dataplane-mode": "none"}}], ""),
        ([{"labels": {"istio.io/rev": "1-26"}}], "Istio"),
        ([{"labels": {"sidecar.istio.io/inject": "true"}}], "Istio"),
        ([{"labels": None, "annotations": None}], ""),
        ([], ""),
    ],
)
def test_which_mesh_a_target_is_in(metadata: list[Json], mesh: str) -> None:
    assert mesh_of(*metadata) == mesh


def test_the_way_in_each_mesh() -> None:
    assert way_in("", "web") == ""
    assert way_in("Linkerd", "web") == (
        "in Linkerd an HTTPRoute that has Service web in its parentRefs and its backendRefs would "
        "lead there; provider linkerd in the Canary makes one"
    )
    assert "gatewayRefs of kind Service" in way_in("Istio", "web")


OLD = {"apiVersion": "policy.linkerd.io/v1beta3"}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            route(BARE),
            "has Service web as its parent and a rule without backendRefs; write web and",
        ),
        (
            {**route(), **OLD},
            "is of policy.linkerd.io, which is not split; write it as one of gate",
        ),
        (
            route(parents=({**WEB, "port": 90},)),
            "is for port 90 of Service web alone, and the Canary's service.port is 80; write that",
        ),
        (route(parents=({**WEB, "name": "shop"},)), ""),
        (route(), ""),
        (virtual(), ""),
    ],
    ids=[
        "no backends",
        "Linkerd's old kind",
        "another port",
        "another's",
        "one that leads",
        "Istio",
    ],
)
def test_why_a_route_of_the_service_in_a_mesh_does_not_count(found: Json, said: str) -> None:
    whys = passed_over([found], "web", "prod", 80)
    assert whys.keys() == ({f"{found['kind']} shop"} if said else set())
    assert all(it.startswith(said) for it in whys.values())


# --- a target of another namespace ---------------------------------------------------------------

FOREIGN = TargetSplit(stable="shop/web", canary="shop/web-canary", traffic=Traffic(20))
OF_BOTH = Mark(splits={**mark(web=50).splits, "shop/web": FOREIGN})


@each_dialect
def test_services_of_one_name_in_two_namespaces_are_split_each_for_itself(dialect: Dialect) -> None:
    theirs = ref("web", 3, namespace="shop")
    found = written({"backendRefs": [ref("web"), theirs, ref("api", namespace="prod")]})
    assert dialect.leads_to(found, "web")
    assert dialect.leads_to(found, "shop/web")
    assert not dialect.leads_to(found, "other/web")
    split = dialect.with_traffic(found, OF_BOTH)
    [rule] = split.spec["rules"]
    assert rule["backendRefs"] == [
        ref("web", 50),
        ref("web-canary", 50),
        ref("web", 240, namespace="shop"),
        ref("web-canary", 60, namespace="shop"),
        ref("api", 100, namespace="prod"),
    ]
    stored = {**found, "spec": split.spec}
    assert dialect.with_traffic(stored, split.mark) == split
    assert dialect.without_traffic(stored, split.mark) == found["spec"]
    leaving = split.mark.leaving("shop/web")
    assert dialect.with_traffic(stored, leaving) == dialect.with_traffic(found, mark(web=50))


def test_a_mark_with_a_target_of_another_namespace_is_none_to_who_knows_of_no_such() -> None:
    text = OF_BOTH.dump()
    assert load_mark(text) == OF_BOTH
    entries = json.loads(text)["targets"]
    assert entries["shop/web"]["elsewhere"] == "shop/web"
    assert "stable" not in entries["shop/web"], "the version before reads no mark without it"
    assert entries["web"]["stable"] == "web"


@each_dialect
def test_what_a_canary_of_another_namespace_gets_is_read_from_the_route(dialect: Dialect) -> None:
    found = written({"backendRefs": [ref("web", namespace="shop")]})
    split = dialect.with_traffic(found, Mark(splits={"shop/web": FOREIGN}))
    stored = marked({**found, "spec": split.spec}, split.mark.dump())
    assert dialect.carried(stored, FOREIGN) == {Traffic(20)}
    local = TargetSplit(stable="web", canary="web-canary")
    assert dialect.carried(stored, local) == frozenset()


def test_a_mirror_and_a_match_are_of_the_canary_s_namespace() -> None:
    found = written({"backendRefs": [ref("web", namespace="shop")]})
    insiders = RequestMatch(headers=(Condition(name="x", by=Comparison.EXACT, value="1"),))
    for traffic in (Traffic(0, mirror=100), Traffic(100, match=(insiders,))):
        asked = Mark(splits={"shop/web": replace(FOREIGN, traffic=traffic)})
        split = HttpRoutes().with_traffic(found, asked)
        stored = marked({**found, "spec": split.spec}, split.mark.dump())
        assert HttpRoutes().carried(stored, asked.splits["shop/web"]) == {traffic}
        assert HttpRoutes().without_traffic(stored, split.mark) == found["spec"]
        text = json.dumps(split.spec)
        assert "shop/web" not in text
        [named] = {it for it in (_mirror_of(split.spec), _first_of(split.spec)) if it}
        assert named == ("shop", "web-canary")


def _mirror_of(spec: Json) -> tuple[str, str] | None:
    found = [it for rule in spec["rules"] for it in rule.get("filters", ())]
    return _place(found[0]["requestMirror"]["backendRef"]) if found else None


def _first_of(spec: Json) -> tuple[str, str] | None:
    rules = spec["rules"]
    if len(rules) == 1:
        return None
    return next(_place(it) for it in rules[0]["backendRefs"] if it["weight"])


def _place(backend: Json) -> tuple[str, str]:
    return backend["namespace"], backend["name"]


@pytest.mark.parametrize(
    ("grants", "spaces"),
    [
        ([], set()),
        ([({"edge": "HTTPRoute"}, None)], {"edge"}),
        ([({"edge": "GRPCRoute"}, None)], set()),
        ([({"edge": "HTTPRoute"}, ["web"])], set()),
        ([({"edge": "HTTPRoute"}, ["web", "web-canary"])], {"edge"}),
        ([({"edge": "HTTPRoute"}, ["web"]), ({"edge": "HTTPRoute"}, ["web-canary"])], {"edge"}),
        ([({"edge": "HTTPRoute"}, ["web"]), ({"other": "HTTPRoute"}, ["web-canary"])], set()),
        ([({"edge": "HTTPRoute", "more": "HTTPRoute"}, None)], {"edge", "more"}),
    ],
)
def test_who_may_lead_to_a_service_of_another_namespace_and_to_its_canary(
    grants: list[tuple[dict[str, str], list[str] | None]], spaces: set[str]
) -> None:
    made = [
        {
            "spec": {
                "from": [
                    {"group": "gateway.networking.k8s.io", "kind": kind, "namespace": space}
                    for space, kind in who.items()
                ],
                "to": [{"group": "", "kind": "Service", "name": name} for name in to or ()]
                or [{"group": "", "kind": "Service"}],
            }
        }
        for who, to in grants
    ]
    assert granted(made, "HTTPRoute", ("web", "web-canary")) == spaces


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {"from": None, "to": None},
        {"from": [{"kind": "HTTPRoute", "namespace": "edge"}], "to": [{"kind": "Service"}]},
        {
            "from": [
                {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "edge"}
            ],
            "to": [{"group": "", "kind": "Secret"}],
        },
    ],
)
def test_a_grant_that_says_something_else_lets_nobody_in(spec: Json | None) -> None:
    assert granted([{"spec": spec}], "HTTPRoute", ("web",)) == set()
