"""HTTPRoutes in corners that no drawn route finds for sure: names, shares, what is what."""

from dataclasses import replace

import pytest

from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.elsewhere import found_elsewhere
from canary.routes.mark import Mark, TargetSplit, load_mark
from tests.unit.canary.routes.rules import HTTP, mark, ref, route, split, weights_of


def rule(*refs: Json) -> Json:
    return {"backendRefs": list(refs)}


@pytest.mark.parametrize(
    ("refs", "shares"),
    [
        ([ref("web", 80), ref("web-canary", 20)], {20}),
        ([ref("web", 0), ref("web-canary", 1)], {100}),
        ([ref("web", 1), ref("web-canary", 0)], {0}),
        ([ref("web", 2), ref("web-canary", 1)], {33}),
        ([ref("web", 1), ref("web-canary", 2)], {67}),
        ([ref("web", None), ref("web-canary", None)], {50}),
        ([ref("web", 0), ref("web-canary", 0)], set()),
        ([ref("api", 5)], set()),
        ([ref("web", 1), ref("web-canary", 3, namespace="other")], {0}),
        ([ref("web", 1), ref("web-canary", 3, kind="Pool")], {0}),
        ([ref("web", 1), ref("web-canary", 3, group="x.dev")], {0}),
        ([ref("web", 1), ref("web-canary", 3, group="core")], {75}),
        ([ref("web", 1), ref("web-canary", 3, group=None, namespace="prod")], {75}),
        ([ref("web", 1), {"name": "web-canary", "weight": 3}], {75}),
        ([], set()),
    ],
)
def test_shares(refs: list[Json], shares: set[int]) -> None:
    assert HTTP.carried(route(rule(*refs)), split("web", 0)) == {Traffic(it) for it in shares}


def test_each_rule_has_its_share() -> None:
    written = route(
        rule(ref("web", 1), ref("web-canary", 1)),
        rule(ref("web", 4), ref("web-canary", 1)),
        {"filters": []},
    )
    assert HTTP.carried(written, split("web", 0)) == {Traffic(50), Traffic(20)}


def condition(kind: str, seen: int | None) -> Json:
    return {"type": kind} if seen is None else {"type": kind, "observedGeneration": seen}


@pytest.mark.parametrize(
    ("parents", "accepted"),
    [
        ([], True),
        ([{}], True),
        ([{"conditions": None}], True),
        ([{"conditions": [condition("Accepted", 3)]}], True),
        ([{"conditions": [condition("Accepted", 4)]}], True),
        ([{"conditions": [condition("Accepted", 2)]}], False),
        ([{"conditions": [condition("Accepted", None)]}], False),
        ([{"conditions": [condition("ResolvedRefs", 2), condition("Accepted", 3)]}], True),
        (
            [
                {"conditions": [condition("Accepted", 3)]},
                {"conditions": [condition("Accepted", 2)]},
            ],
            False,
        ),
    ],
)
def test_a_route_is_accepted_when_each_parent_has_seen_it(
    parents: list[Json], *, accepted: bool
) -> None:
    written = route(rule(ref("web")))
    written["metadata"]["generation"] = 3
    assert HTTP.accepted({**written, "status": {"parents": parents}}) is accepted


def test_a_route_that_nobody_has_counted_is_accepted_by_whoever_has_seen_it() -> None:
    parents = [{"conditions": [{"type": "Accepted"}]}]
    assert HTTP.accepted({**route(rule(ref("web"))), "status": {"parents": parents}})
    assert HTTP.accepted({**route(rule(ref("web"))), "status": None})
    assert HTTP.accepted(route(rule(ref("web"))))


def test_a_route_needs_nothing_beside_it() -> None:
    assert HTTP.companions(route(rule(ref("web"))), mark(web=20)) == ()


@pytest.mark.parametrize("service", ["web", "web-canary"])
def test_where_a_route_leads(service: str) -> None:
    assert HTTP.leads_to(route({"filters": []}, rule(ref("api"), ref(service))), service)
    assert not HTTP.leads_to(route(rule(ref(service, namespace="other"))), service)
    assert not HTTP.leads_to({**route(), "spec": {}}, service)


def test_a_route_without_rules_stays_without() -> None:
    bare = {**route(), "spec": {"hostnames": ["x"]}}
    assert HTTP.with_traffic(bare, mark(web=20)).spec == {"hostnames": ["x"]}
    assert HTTP.without_traffic(bare, mark(web=20)) == {"hostnames": ["x"]}


def test_a_route_of_no_namespace_is_of_its_own() -> None:
    bare = route(rule(ref("web", 1)))
    del bare["metadata"]["namespace"]
    found = HTTP.with_traffic(bare, mark(web=20))
    assert weights_of(found.spec["rules"][0]) == {"web": 80, "web-canary": 20}


KEPT: list[tuple[Json, str]] = [
    ({"name": "web", "port": 80}, "web:80"),
    ({"name": "web", "port": 80, "group": "", "kind": "Service", "namespace": ""}, "web:80"),
    ({"name": "web"}, "web:"),
    ({"name": "web", "port": 80, "namespace": "prod"}, "/Service/prod/web:80"),
    ({"name": "pool", "kind": "Pool", "group": "x.dev"}, "x.dev/Pool//pool:"),
    ({"name": "web", "group": "core"}, "core/Service//web:"),
]


@pytest.mark.parametrize(("backend", "name"), KEPT)
def test_a_backend_is_known_again_by_all_that_names_it(backend: Json, name: str) -> None:
    """The names are in marks that stand in clusters: another text would be another backend."""
    written = route(rule(ref("web", 3, port=8080), {**backend, "weight": 2}))
    [kept] = HTTP.with_traffic(written, mark(web=20)).mark.kept
    assert kept["weights"] == [["web:8080", 3], [name, 2]]


def test_what_a_rule_says_beside_its_backends_is_known_again_by_a_short_digest() -> None:
    """The digest is in marks that stand in clusters: it may never change."""
    plain = route({"name": "slow", "timeouts": {"request": "10s"}, **rule(ref("web"))})
    [kept] = HTTP.with_traffic(plain, mark(web=20)).mark.kept
    assert kept["rest"] == "276918d2"
    assert len(kept["rest"]) == 8


def test_a_weight_that_is_left_out_comes_back_as_none() -> None:
    written = route(rule(ref("web", None), ref("api", 1)))
    found = HTTP.with_traffic(written, mark(web=20))
    now = {**written, "spec": found.spec}
    assert HTTP.without_traffic(now, found.mark) == written["spec"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            '{"targets":{"web":{"stable":"web","canary":"c","weight":0}}}',
            Mark(splits={"web": TargetSplit(stable="web", canary="c", traffic=Traffic(0))}),
        ),
        (
            '{"targets":{"web":{"stable":"web","canary":"c","weight":100,"leaving":true}}}',
            Mark(
                splits={
                    "web": TargetSplit(stable="web", canary="c", traffic=Traffic(100), leaving=True)
                }
            ),
        ),
        ('{"targets":{"web":{"stable":"web","canary":"c","weight":-1}}}', None),
        (
            (
                '{"namespace":"prod","targets":{"a":{"stable":"a","canary":"c","weight":1},'
                '"b":{"stable":"b","canary":"d","weight":2}}}'
            ),
            Mark(
                splits={
                    "a": TargetSplit(stable="a", canary="c", traffic=Traffic(1)),
                    "b": TargetSplit(stable="b", canary="d", traffic=Traffic(2)),
                }
            ),
        ),
        ('{"targets":{},"namespace":"prod","rules":null}', Mark()),
        (
            (
                '{"namespace":"prod","rules":[{"rest":"x"}],'
                '"targets":{"a":{"stable":"a","canary":"c","weight":1}}}'
            ),
            Mark(
                splits={"a": TargetSplit(stable="a", canary="c", traffic=Traffic(1))},
                kept=({"rest": "x"},),
                elder="prod",
            ),
        ),
    ],
)
def test_marks_that_are_read(text: str, found: Mark | None) -> None:
    assert load_mark(text) == found


def test_a_mark_is_written_the_same_whatever_the_order() -> None:
    one, other = split("web", 20), split("api", 5)
    first = Mark(splits={"web": one, "api": other}, kept=({"weights": [], "rest": "x"},))
    again = Mark(splits={"api": other, "web": one}, kept=({"rest": "x", "weights": []},))
    assert first.dump() == again.dump()
    assert first.dump() == (
        '{"rules":[{"rest":"x","weights":[]}],"targets":{"api":{"canary":"api-canary",'
        '"stable":"api","weight":5},"web":{"canary":"web-canary","stable":"web","weight":20}}}'
    )


def named(kind: str, spec: Json, name: str = "r", **metadata: str) -> Json:
    return {"kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        # No namespace of its own: that of the Service.
        (named("Ingress", {"backend": {"service": {"name": "web", "port": 1}}}), ("Ingress r",)),
        (named("Ingress", {"backend": {"service": {"name": "web"}}}), ()),
        (named("Ingress", {"backend": {"service": {"port": 1}}}), ()),
        (named("Ingress", {"a": ["web", {"name": "web", "port": 1}]}), ("Ingress r",)),
        (named("VirtualService", {"destination": {"host": "web"}}), ("VirtualService r",)),
        (named("VirtualService", {"destination": {"host": ""}}, namespace="edge"), ()),
        (named("VirtualService", {"destination": {"host": ["web"]}}), ()),
        (named("VirtualService", {"destination": {"host": "web.prod.svc"}}), ("VirtualService r",)),
        (named("VirtualService", {"destination": {"host": "web.production"}}), ()),
        (named("VirtualService", {"destination": {"host": "web.edge.svc"}}), ()),
    ],
)
def test_who_else_leads_to_a_service(found: Json, told: tuple[str, ...]) -> None:
    assert found_elsewhere([found], "web", "prod") == told


def test_who_leads_there_is_told_once_each_in_order() -> None:
    spec = {"backend": {"service": {"name": "web", "port": 1}}}
    found = [named("Ingress", spec, "b"), named("Ingress", spec, "a"), named("Ingress", spec, "b")]
    assert found_elsewhere(found, "web", "prod") == ("Ingress a", "Ingress b")


def test_a_share_is_rounded_to_the_nearest_unit_and_is_a_whole_number() -> None:
    """The API server refuses a weight of 20.0."""
    written = HTTP.with_traffic(route(rule(ref("web", 10_001))), mark(web=50)).spec
    weights = weights_of(written["rules"][0])
    assert weights == {"web": 495_049, "web-canary": 495_050}
    assert {type(weight) for weight in weights.values()} == {int}


def test_a_parent_that_does_not_say_what_it_has_seen_has_seen_nothing() -> None:
    written = route(rule(ref("web")))
    written["metadata"]["generation"] = 1
    parents = [{"conditions": [{"type": "Accepted"}]}]
    assert not HTTP.accepted({**written, "status": {"parents": parents}})


@pytest.mark.parametrize(
    ("refs", "asked", "elder"),
    [
        ([ref("web", 3)], mark(web=20), True),
        ([ref("web", 20_000)], mark(web=20), False),
        ([ref("web"), ref("api")], mark(web=20, api=5), False),
    ],
    ids=["its own form", "a scale that it does not know", "more targets than it knows"],
)
def test_a_mark_keeps_the_form_of_the_version_before_while_that_can_read_it(
    refs: list[Json], asked: Mark, *, elder: bool
) -> None:
    found = HTTP.with_traffic(route(rule(*refs)), replace(asked, elder="prod")).mark
    assert (found.elder, len(found.kept)) == (("prod", 0) if elder else ("", 1))
    assert found.splits == asked.splits
    plain = HTTP.with_traffic(route(rule(*refs)), asked).mark
    assert (plain.elder, len(plain.kept)) == ("", 1)
