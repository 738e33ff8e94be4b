"""Marks on routes as nobody writes them: read, or said to be none, and a route is split or not."""

import copy
import json
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from canary.admission.routes import RouteWrite, admit_route, admit_route_creation
from canary.model.values import Json
from canary.routes.http_parts import MOST
from canary.routes.mark import Mark, TargetSplit, load_mark, mark_of, marked
from tests.fakes.fuzzed import DEEP, VALUES, Property, cut_or_changed, disturbed
from tests.unit.canary.routes.rules import (
    DECLINED,
    HTTP,
    ROUTES,
    TAKEN,
    TRAFFIC,
    WEIGHTS,
    mark,
    ref,
    route,
)

ELDER: Final = {
    "canary": "web-canary",
    "namespace": "prod",
    "stable": "web",
    "target": "web",
    "weight": 20,
}
WRITTEN: Final = HTTP.with_traffic(
    route({"backendRefs": [ref("web", 3), ref("api")]}, {"backendRefs": [ref("web", None)]}),
    mark(web=20, api=5),
).mark
TEXTS: Final = st.one_of(
    st.text(max_size=40),
    DEEP,
    VALUES.map(json.dumps),
    disturbed(ELDER).map(json.dumps),
    disturbed(json.loads(WRITTEN.dump())).map(json.dumps),
    cut_or_changed(st.sampled_from([WRITTEN.dump(), json.dumps(ELDER)])),
    disturbed(json.loads(WRITTEN.dump())).map(lambda it: json.dumps(it).replace("20", "1e999")),
)


def is_read_or_none(text: str) -> None:
    """What is read of a mark is written as what is read again."""
    found = load_mark(text)
    assert found is None or not found.splits or load_mark(found.dump()) == found


def storable(spec: Json) -> bool:
    """Tell whether the API server takes a route's weights."""
    return all(
        type(weight := one.get("weight", 1)) is int and 0 <= weight <= MOST
        for rule in spec.get("rules") or ()
        for one in rule.get("backendRefs") or ()
    )


def is_split_or_not(drawn: tuple[Json, str, Json]) -> None:
    """Whatever the mark says, what comes out can be stored, and again is the same."""
    written, text, before = drawn
    now = marked(written, text)
    found = mark_of(now)
    if found is None:
        return
    kept = copy.deepcopy(now)
    once = HTTP.with_traffic(now, found)
    assert now == kept
    assert storable(once.spec)
    assert storable(HTTP.without_traffic(now, found))
    for one in found.splits.values():
        assert all(0 <= it.weight <= 100 for it in HTTP.carried(now, one))
    stored = load_mark(once.mark.dump()) if once.mark.splits else Mark()
    assert stored is not None
    again = HTTP.with_traffic({**now, "spec": once.spec}, stored)
    assert storable(again.spec)
    assert (again.spec, again.mark) == (once.spec, stored)
    for by_analyzer in (False, True):
        answer = admit_route(RouteWrite(old=before, new=now, by_analyzer=by_analyzer))
        assert storable(answer.route["spec"])
        assert storable(admit_route_creation(now, by_analyzer=by_analyzer).route["spec"])


NAMES: Final = st.sampled_from(["web", "api", "web-canary", "api-canary", "blog"])
CROSSED: Final = st.builds(
    lambda splits, kept: Mark(splits=splits, kept=tuple(kept)).dump(),
    st.dictionaries(
        NAMES,
        st.builds(
            TargetSplit,
            stable=NAMES,
            canary=NAMES,
            traffic=TRAFFIC,
            leaving=st.booleans(),
            taken=TAKEN,
        )
        | st.builds(
            TargetSplit, stable=NAMES, canary=NAMES, leaving=st.booleans(), declined=DECLINED
        ),
        max_size=3,
    ),
    st.lists(st.sampled_from(WRITTEN.kept) | disturbed(WRITTEN.kept[0]), max_size=3),
)
"""Marks whose targets have each other's Services for stable and canary."""
ANY_ROUTES: Final = st.one_of(
    ROUTES,
    st.lists(
        st.lists(st.builds(ref, NAMES, WEIGHTS | st.none()), max_size=4).map(
            lambda refs: {"backendRefs": refs}
        ),
        max_size=3,
    ).map(lambda rules: route(*rules)),
    st.sampled_from([{}, {"rules": []}, {"rules": [{}]}]).map(lambda it: {**route(), "spec": it}),
)
BEFORE: Final = st.one_of(ROUTES, st.tuples(ROUTES, TEXTS).map(lambda it: marked(*it)))
PROPERTIES: Final[dict[str, Property[Any]]] = {
    "text": Property(TEXTS, is_read_or_none, few=100),
    "route": Property(st.tuples(ANY_ROUTES, CROSSED | TEXTS, BEFORE), is_split_or_not, few=80),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", PROPERTIES)
def test_any_mark_is_read_or_is_none(what: str) -> None:
    PROPERTIES[what].try_few()


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("what", PROPERTIES)
def test_many_marks_are_read_or_are_none(what: str) -> None:
    PROPERTIES[what].try_many()
