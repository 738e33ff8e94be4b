"""A split and its removal are inverse, and the mark survives every apply."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.contract import SPLIT
from canary.model.values import Json
from canary.route_admission import RouteAnswer, RouteWrite, admit_route
from canary.split import Mark, carries, leads_to, load_mark, shares, with_split, without_split

MARK = Mark(namespace="prod", target="web", stable="web", canary="web-canary", weight=20)


def ref(name: str, weight: int = 1, port: int = 80) -> Json:
    return {"group": "", "kind": "Service", "name": name, "port": port, "weight": weight}


refs = st.lists(
    st.builds(ref, st.sampled_from(["web", "api"]), st.integers(0, 10_000)),
    max_size=4,
    unique_by=lambda r: r["name"],
)
rules = st.lists(st.fixed_dictionaries({"backendRefs": refs}), max_size=3)
marks = st.integers(0, 100).map(
    lambda weight: Mark(
        namespace="prod", target="web", stable="web", canary="web-canary", weight=weight
    )
)


@given(rules, marks)
def test_taking_a_split_out_gives_back_what_the_team_wrote(written: list[Json], mark: Mark) -> None:
    assert without_split(with_split(written, mark), mark) == written


@given(rules, marks, marks)
def test_a_split_replaces_a_split(written: list[Json], first: Mark, second: Mark) -> None:
    assert with_split(with_split(written, first), second) == with_split(written, second)


@given(rules, marks)
def test_the_share_is_what_the_mark_says(written: list[Json], mark: Mark) -> None:
    live = [
        rule
        for rule in written
        if any(r["name"] == "web" and r["weight"] for r in rule["backendRefs"])
    ]
    expected = {mark.weight} if live else set()
    assert shares(with_split(live, mark), mark) == expected


def test_other_backends_keep_their_part() -> None:
    split = with_split([{"backendRefs": [ref("web", 3), ref("api", 1)]}], MARK)
    weights = {r["name"]: r["weight"] for r in split[0]["backendRefs"]}
    assert weights == {"web": 240, "web-canary": 60, "api": 100}


def test_rules_that_lead_elsewhere_are_not_touched() -> None:
    written: list[Json] = [
        {"backendRefs": [ref("api")], "filters": [{"type": "URLRewrite"}]},
        {"name": "x"},
    ]
    assert with_split(written, MARK) == written
    assert not leads_to(written, "web", "prod")


def test_a_service_of_another_namespace_is_not_ours() -> None:
    foreign = {**ref("web"), "namespace": "other"}
    assert not leads_to([{"backendRefs": [foreign]}], "web", "prod")


@pytest.mark.parametrize("text", ["", "x", "{}", '{"stable":"web"}', "[]"])
def test_a_mark_that_is_none_is_not_read(text: str) -> None:
    assert load_mark(text) is None
    assert load_mark(MARK.dump()) == MARK


def route(mark: Mark | None, backends: list[Json]) -> Json:
    notes = {SPLIT: mark.dump()} if mark else {}
    return {"metadata": {"annotations": notes}, "spec": {"rules": [{"backendRefs": backends}]}}


PLAIN = [ref("web")]
SPLIT_REFS = with_split([{"backendRefs": PLAIN}], MARK)[0]["backendRefs"]


def admit(old: Json, new: Json, *, by_analyzer: bool = False) -> RouteAnswer:
    before = deepcopy(new)
    answer = admit_route(RouteWrite(old=old, new=new, by_analyzer=by_analyzer))
    assert new == before
    return answer


@pytest.mark.parametrize("kept", [True, False], ids=["apply keeps the mark", "replace drops it"])
def test_an_apply_of_the_team_gets_the_split_put_back(*, kept: bool) -> None:
    answer = admit(route(MARK, SPLIT_REFS), route(MARK if kept else None, PLAIN))
    assert answer.rules is not None
    assert carries(answer.rules, MARK)
    assert answer.mark == (None if kept else MARK.dump())


def test_a_team_cannot_change_the_mark() -> None:
    forged = Mark(namespace="prod", target="web", stable="web", canary="web-canary", weight=100)
    answer = admit(route(MARK, SPLIT_REFS), route(forged, SPLIT_REFS))
    assert answer.mark == MARK.dump()


def test_the_analyzer_s_mark_becomes_weights() -> None:
    answer = admit(route(None, PLAIN), route(MARK, PLAIN), by_analyzer=True)
    assert answer.rules is not None
    assert carries(answer.rules, MARK)


def test_the_analyzer_s_removal_leaves_what_the_team_wrote() -> None:
    answer = admit(route(MARK, SPLIT_REFS), route(None, SPLIT_REFS), by_analyzer=True)
    assert answer.rules == [{"backendRefs": PLAIN}]


def test_a_new_backend_of_the_team_is_split_too() -> None:
    answer = admit(route(MARK, SPLIT_REFS), route(MARK, [ref("web"), ref("api")]))
    assert answer.rules is not None
    weights = {r["name"]: r["weight"] for r in answer.rules[0]["backendRefs"]}
    assert weights == {"web": 80, "web-canary": 20, "api": 100}


def test_a_route_without_a_split_is_left_alone() -> None:
    assert admit(route(None, PLAIN), route(None, [ref("api")])).rules is None
