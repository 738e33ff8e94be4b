"""The mark as text: by target, and as the version before wrote it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.contract import SPLIT
from canary.routes.mark import NO_MARK, Mark, TargetSplit, load_mark, mark_of, marked, text_of
from tests.unit.canary.routes.rules import mark, route, split

ELDER = '{"canary":"web-canary","namespace":"prod","stable":"web","target":"web","weight":20}'

names = st.text("abc-", min_size=1, max_size=8)
splits = st.builds(
    TargetSplit, stable=names, canary=names, weight=st.integers(0, 100), leaving=st.booleans()
)
kept = st.lists(st.fixed_dictionaries({"rest": names}), max_size=2).map(tuple)


@given(st.dictionaries(names, splits, min_size=1, max_size=3), kept)
def test_a_mark_is_read_as_it_was_written(by_target: dict[str, TargetSplit], rules: object) -> None:
    assert isinstance(rules, tuple)
    found = Mark(splits=by_target, kept=rules)
    assert load_mark(found.dump()) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{}",
        '{"stable":"web"}',
        "[]",
        '{"targets":[]}',
        '{"targets":{"web":{"stable":"web","canary":"c","weight":101}}}',
        '{"targets":{"web":{"stable":"web","canary":"c"}}}',
        '{"targets":{},"rules":[1]}',
    ],
)
def test_a_text_that_is_none_is_not_read(text: str) -> None:
    assert load_mark(text) is None


def test_each_target_has_its_entry() -> None:
    both = mark(web=20).having("api", split("api", 5)).leaving("web", "unknown")
    assert json.loads(both.dump())["targets"] == {
        "api": {"stable": "api", "canary": "api-canary", "weight": 5},
        "web": {"stable": "web", "canary": "web-canary", "weight": 20, "leaving": True},
    }
    assert set(both.staying) == {"api"}
    assert Mark().dump() == ""


def test_the_form_of_the_version_before_is_read_and_still_told_to_it() -> None:
    found = load_mark(ELDER)
    assert found == Mark(splits={"web": split("web", 20)}, elder="prod")
    again = json.loads(found.having("web", split("web", 30)).dump())
    assert {key: again[key] for key in json.loads(ELDER)} == json.loads(ELDER) | {"weight": 30}
    assert load_mark(json.dumps(again)) == found.having("web", split("web", 30))


@pytest.mark.parametrize("change", [lambda m: m.having("api", split("api", 1)), Mark.leaving])
def test_no_more_of_it_is_written_than_the_version_before_can_do(change: object) -> None:
    found = load_mark(ELDER)
    assert found is not None
    assert callable(change)
    changed = change(found) if change is not Mark.leaving else found.leaving("web")
    assert "namespace" not in json.loads(changed.dump())


def test_a_route_without_a_mark_has_none_and_one_that_cannot_be_read_is_told_apart() -> None:
    plain = route()
    assert mark_of(plain) is NO_MARK
    assert mark_of(marked(plain, "later")) is None
    assert mark_of(marked(plain, ELDER)) == load_mark(ELDER)


def test_a_mark_comes_and_goes_without_a_trace() -> None:
    for notes in ({}, {"team": "shop"}):
        plain = route(notes=notes)
        if not notes:
            del plain["metadata"]["annotations"]
        found = marked(plain, ELDER)
        assert text_of(found) == ELDER
        assert found["metadata"]["annotations"] == {**notes, SPLIT: ELDER}
        assert marked(found, "") == plain
