"""HTTPRoutes, case by case: figures, and what the mark keeps."""

from copy import deepcopy

import pytest

from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.known import dialect_of
from canary.routes.mark import Mark, TargetSplit
from tests.unit.canary.routes.rules import HTTP, mark, ref, route, split, weights_of


def first(written: Json, asked: Mark) -> dict[str, int]:
    """Return the weights of the first rule under a mark."""
    return weights_of(HTTP.with_traffic(written, asked).spec["rules"][0])


def rule(path: str, *refs: Json) -> Json:
    return {"matches": [{"path": {"value": path}}], "backendRefs": list(refs)}


@pytest.mark.parametrize(
    ("refs", "asked", "expected"),
    [
        ([ref("web", 3), ref("api", 1)], mark(web=20), {"web": 240, "web-canary": 60, "api": 100}),
        ([ref("web", 0)], mark(web=20), {"web": 0, "web-canary": 0}),
        ([ref("web", None)], mark(web=20), {"web": 80, "web-canary": 20}),
        ([ref("web")], mark(web=0), {"web": 100, "web-canary": 0}),
        ([ref("web")], mark(web=100), {"web": 0, "web-canary": 100}),
        (
            [ref("web", 2), ref("api", 3), ref("blog", 5)],
            mark(web=20, api=50),
            {"web": 160, "web-canary": 40, "api": 150, "api-canary": 150, "blog": 500},
        ),
        # As fine as the API's limit allows, and not beyond it.
        ([ref("web", 1_000_000)], mark(web=20), {"web": 800_000, "web-canary": 200_000}),
        (
            [ref("web", 20_000), ref("api", 10_000)],
            mark(web=1),
            {"web": 990_000, "web-canary": 10_000, "api": 500_000},
        ),
        # Too few units to share: so few more that nobody's share of the rule is another one.
        (
            [ref("web", 1), ref("api", 999_999)],
            mark(web=20),
            {"web": 80, "web-canary": 20, "api": 999_999},
        ),
    ],
)
def test_weights(refs: list[Json], asked: Mark, expected: dict[str, int]) -> None:
    assert first(route(rule("/", *refs)), asked) == expected


def test_a_canary_s_backend_is_its_stable_s_but_for_the_name() -> None:
    changes = [{"type": "RequestHeaderModifier"}]
    written = route(rule("/", ref("web", filters=changes, port=8080), ref("web", 2)))
    [split_rule] = HTTP.with_traffic(written, mark(web=25)).spec["rules"]
    assert split_rule["backendRefs"] == [
        ref("web", 75, filters=changes, port=8080),
        ref("web-canary", 25, filters=changes, port=8080),
        ref("web", 150),
        ref("web-canary", 50),
    ]
    assert HTTP.carried(route(split_rule), split("web", 0)) == {Traffic(25)}


def test_of_two_targets_behind_one_service_the_first_has_it() -> None:
    one, other = (
        TargetSplit(stable="web", canary="web-canary", traffic=Traffic(w)) for w in (10, 60)
    )
    for splits in ({"a": one, "b": other}, {"b": other, "a": one}):
        assert first(route(rule("/", ref("web"))), Mark(splits=splits))["web-canary"] == 10


# --- a rule is known again -----------------------------------------------------------------------


def changed(written: Json, asked: Mark) -> tuple[Json, Mark]:
    found = HTTP.with_traffic(written, asked)
    return {**written, "spec": deepcopy(found.spec)}, found.mark


def team_text(now: Json, standing: Mark) -> list[dict[str, int]]:
    return [weights_of(it) for it in HTTP.without_traffic(now, standing)["rules"]]


def test_a_rule_that_comes_to_look_like_another_one_is_still_itself() -> None:
    written = route(rule("/a", ref("web"), ref("api")), rule("/b", ref("web"), ref("api", 3)))
    now, standing = changed(written, mark(web=20))
    now["spec"]["rules"][0]["backendRefs"][-1]["weight"] = 300
    assert team_text(now, standing) == [{"web": 1, "api": 300}, {"web": 1, "api": 3}]


def test_the_same_where_the_rules_match_the_same() -> None:
    written = route(rule("/", ref("web"), ref("api")), rule("/", ref("web"), ref("api", 3)))
    now, standing = changed(written, mark(web=20))
    now["spec"]["rules"][0]["backendRefs"][-1]["weight"] = 300
    assert team_text(now, standing) == [{"web": 1, "api": 300}, {"web": 1, "api": 3}]


def test_the_same_where_another_rule_has_gone() -> None:
    written = route(
        rule("/x", ref("web", 9)),
        rule("/a", ref("web"), ref("api")),
        rule("/b", ref("web"), ref("api", 3)),
    )
    now, standing = changed(written, mark(web=20))
    del now["spec"]["rules"][0]
    now["spec"]["rules"][0]["backendRefs"][-1]["weight"] = 300
    assert team_text(now, standing) == [{"web": 1, "api": 300}, {"web": 1, "api": 3}]


def test_rules_that_look_the_same_while_they_are_split_are_taken_in_their_order() -> None:
    written = route(
        rule("/x", ref("web", 9)), rule("/", ref("web", 500_000)), rule("/", ref("web", 1_000_000))
    )
    now, standing = changed(written, mark(web=20))
    del now["spec"]["rules"][0]
    assert team_text(now, standing) == [{"web": 500_000}, {"web": 1_000_000}]


def test_a_rule_of_which_nothing_is_kept_is_divided() -> None:
    """The version before left a share behind when another target's mark came in its place."""
    now, standing = changed(route(rule("/api", ref("api"))), mark(api=10))
    now["spec"]["rules"].append(rule("/", ref("web", 240), ref("web-canary", 60), ref("blog", 7)))
    joined = standing.having("web", split("web", 0))
    assert team_text(now, joined) == [{"api": 1}, {"web": 3, "blog": 7}]


def test_a_weight_of_which_nothing_is_kept_is_no_more_than_the_api_takes() -> None:
    """Found by the fuzz of marks: with its canary's weight the stable's was above a million."""
    now = route(rule("/", ref("web", 999_999), ref("web-canary", 2)))
    assert team_text(now, mark(web=1)) == [{"web": 999_999}]


def test_a_backend_that_joins_a_split_rule_has_the_weight_that_is_written() -> None:
    now, standing = changed(route(rule("/", ref("web", 3), ref("api"))), mark(web=20))
    refs = now["spec"]["rules"][0]["backendRefs"]
    refs[:0] = [ref("blog", 50)]
    assert team_text(now, standing) == [{"blog": 50, "web": 3, "api": 1}]


def test_a_canary_whose_stable_has_been_taken_away_goes_too() -> None:
    now, standing = changed(route(rule("/", ref("web"), ref("api"))), mark(web=20))
    del now["spec"]["rules"][0]["backendRefs"][0]
    assert team_text(now, standing) == [{"api": 1}]


def test_what_is_kept_is_small() -> None:
    """A route of the largest size: an object's annotations may have 256 kB in all."""
    refs = [ref(f"{n:x}" * 63, 1_000_000, port=65_535) for n in range(15)]
    largest = route(*(rule(f"/{n}", *refs) for n in range(16)))
    asked = Mark(splits={"a": TargetSplit(stable=refs[0]["name"], canary="c", traffic=Traffic(5))})
    found = HTTP.with_traffic(largest, asked)
    assert len(found.spec["rules"][0]["backendRefs"]) == 16
    assert len(found.mark.dump()) < 25_000


def test_only_known_kinds_have_a_dialect() -> None:
    assert dialect_of(route()) is not None
    assert dialect_of({**route(), "kind": "TLSRoute"}) is None
