"""What a write of a route means that brings a split along from a saved copy."""

from collections.abc import Mapping
from copy import deepcopy

import pytest

from canary.admission.routes import (
    RouteAnswer,
    RouteWrite,
    admit_route,
    admit_route_creation,
)
from canary.model.traffic import Traffic
from canary.model.values import Json
from canary.routes.gateway_api import HttpRoutes
from canary.routes.mark import Mark, TargetSplit, mark_of, marked

HTTP = HttpRoutes()


def target(name: str, weight: int) -> TargetSplit:
    return TargetSplit(stable=name, canary=f"{name}-canary", traffic=Traffic(weight))


def ref(name: str, weight: int | None = None) -> Json:
    found: Json = {"name": name, "port": 80}
    return found if weight is None else {**found, "weight": weight}


def matching(place: int, refs: list[Json]) -> Json:
    path = {"type": "PathPrefix", "value": f"/{place}"}
    return {"matches": [{"path": path}], "backendRefs": refs}


def route(*rules: list[Json], namespace: str = "prod") -> Json:
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": namespace, "annotations": {"team/note": "x"}},
        "spec": {"rules": [matching(place, refs) for place, refs in enumerate(rules)]},
    }


PLAIN = {
    "one backend without a weight": route([ref("web")]),
    "weights of the team's own": route([ref("web", 7), ref("api", 3)]),
    "the canary by name in a rule of its own": route([ref("web", 1)], [ref("web-canary", 1)]),
    "two rules": route([ref("web", 1)], [ref("api", 9)]),
}
SPLITS = {
    "one": {"web": target("web", 50)},
    "two": {"web": target("web", 20), "api": target("api", 70)},
    "another's": {"gone": target("gone", 5)},
    "leaving": {
        "web": TargetSplit(stable="web", canary="web-canary", traffic=Traffic(5), leaving=True)
    },
}


def saved_with(splits: Mapping[str, TargetSplit], plain: str) -> Json:
    """Return a copy of a plain route as it is while these splits are on it."""
    written = HTTP.with_traffic(PLAIN[plain], Mark(splits=splits))
    standing = Mark(splits=splits, kept=written.mark.kept)
    return {**marked(PLAIN[plain], standing.dump()), "spec": written.spec}


@pytest.mark.parametrize("splits", SPLITS)
@pytest.mark.parametrize("plain", PLAIN)
def test_a_copy_that_was_saved_in_mid_run_is_what_its_team_wrote(plain: str, splits: str) -> None:
    saved = saved_with(SPLITS[splits], plain)
    before = deepcopy(saved)
    answer = admit_route_creation(saved, by_analyzer=False)
    assert saved == before
    assert (answer.outcome, answer.route) == ("copied", PLAIN[plain])
    (warning,) = answer.warnings
    assert "HTTPRoute shop" in warning


def test_a_copy_in_another_namespace_too() -> None:
    mark = Mark(splits=SPLITS["one"])
    written = HTTP.with_traffic(PLAIN["two rules"], mark)
    saved = {**marked(PLAIN["two rules"], written.mark.dump()), "spec": written.spec}
    elsewhere = {**saved, "metadata": {**saved["metadata"], "namespace": "staging"}}
    plain = route([ref("web", 1)], [ref("api", 9)], namespace="staging")
    assert admit_route_creation(elsewhere, by_analyzer=False).route == plain


def test_a_mark_that_is_made_up_goes_and_splits_nothing() -> None:
    forged = marked(PLAIN["two rules"], Mark(splits=SPLITS["two"]).dump())
    assert admit_route_creation(forged, by_analyzer=False).route == PLAIN["two rules"]


@pytest.mark.parametrize("text", ["{", '{"version":9}', "[]", '{"targets":{"web":{}}}'])
def test_one_that_cannot_be_read_goes_and_says_so(text: str) -> None:
    broken = marked(PLAIN["one backend without a weight"], text)
    answer = admit_route_creation(broken, by_analyzer=False)
    assert answer.route == PLAIN["one backend without a weight"]
    assert "cannot be read" in answer.warnings[0]


def test_a_kind_that_is_not_split_keeps_its_spec() -> None:
    plain = {**PLAIN["two rules"], "kind": "TLSRoute"}
    found = admit_route_creation(
        marked(plain, Mark(splits=SPLITS["one"]).dump()), by_analyzer=False
    )
    assert found.route == plain


def test_a_route_without_a_name_yet_is_named_by_what_it_begins_with() -> None:
    saved = marked(PLAIN["two rules"], Mark(splits=SPLITS["one"]).dump())
    metadata = {**saved["metadata"], "generateName": "shop-"}
    del metadata["name"]
    answer = admit_route_creation({**saved, "metadata": metadata}, by_analyzer=False)
    assert "HTTPRoute shop- " in answer.warnings[0]


@pytest.mark.parametrize("by_analyzer", [True, False])
def test_what_brings_nothing_is_left_alone(*, by_analyzer: bool) -> None:
    plain = PLAIN["two rules"]
    answer = admit_route_creation(plain, by_analyzer=by_analyzer)
    assert answer.route is plain
    assert (answer.outcome, answer.warnings) == ("created", ())


def test_what_the_analyzer_makes_is_its_own_affair() -> None:
    made = marked(PLAIN["two rules"], Mark(splits=SPLITS["one"]).dump())
    assert admit_route_creation(made, by_analyzer=True).route is made


# --- and a copy that is written over a route that stands ------------------------------------------


def written_over(standing: Json, copy: Json) -> RouteAnswer:
    return admit_route(RouteWrite(old=standing, new=copy, by_analyzer=False))


@pytest.mark.parametrize("splits", SPLITS)
@pytest.mark.parametrize("plain", PLAIN)
def test_a_copy_over_a_route_without_a_run_is_what_its_team_wrote(plain: str, splits: str) -> None:
    answer = written_over(PLAIN[plain], saved_with(SPLITS[splits], plain))
    assert (answer.outcome, answer.route) == ("copied", PLAIN[plain])
    assert "HTTPRoute shop" in answer.warnings[0]


@pytest.mark.parametrize("plain", PLAIN)
def test_a_copy_of_another_step_gets_the_share_that_stands_and_its_own_weights_back(
    plain: str,
) -> None:
    def at(weight: int) -> Json:
        return saved_with({"web": target("web", weight)}, plain)

    answer = written_over(at(20), at(70))
    assert answer.route == at(20)
    stands = mark_of(answer.route)
    assert stands is not None
    assert HTTP.without_traffic(answer.route, stands) == PLAIN[plain]["spec"]


def test_a_copy_with_a_mark_that_cannot_be_read_says_so() -> None:
    plain = PLAIN["two rules"]
    answer = written_over(plain, marked(plain, "{"))
    assert answer.route == plain
    assert "cannot be read" in answer.warnings[0]
