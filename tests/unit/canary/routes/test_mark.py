"""The mark as text: by target, and as the version before wrote it."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.contract import SPLIT
from canary.model.names import canary_name
from canary.model.traffic import NOTHING, Traffic
from canary.model.values import Json
from canary.routes.declined import MOST_SAID
from canary.routes.mark import (
    LONGEST_READ,
    LONGEST_WRITTEN,
    MOST_TARGETS,
    NO_MARK,
    Declined,
    Mark,
    TargetSplit,
    load_mark,
    mark_of,
    marked,
    text_of,
)
from tests.unit.canary.routes.rules import DECLINED, HTTP, TAKEN, TRAFFIC, mark, ref, route, split

ELDER = '{"canary":"web-canary","namespace":"prod","stable":"web","target":"web","weight":20}'

names = st.text("abc-", min_size=1, max_size=8)
splits = st.builds(
    lambda stable, more, traffic, leaving, taken: TargetSplit(
        stable=stable, canary=f"{stable}{more}", traffic=traffic, leaving=leaving, taken=taken
    ),
    *(names, names, TRAFFIC, st.booleans(), TAKEN),
) | st.builds(
    lambda stable, more, leaving, declined: TargetSplit(
        stable=stable, canary=f"{stable}{more}", leaving=leaving, declined=declined
    ),
    *(names, names, st.booleans(), DECLINED),
)
faults = st.lists(names, max_size=2).map(tuple)
kept = st.lists(st.fixed_dictionaries({"rest": names}), max_size=2).map(tuple)


def in_turn(services: str) -> str:
    """Return a mark in which each Service is the canary of the one before it."""
    return Mark(
        splits={
            f"{at}": TargetSplit(stable=stable, canary=canary, traffic=Traffic(5))
            for at, (stable, canary) in enumerate(pairwise(services))
        }
    ).dump()


@given(st.dictionaries(names, splits, min_size=1, max_size=3), kept, faults)
def test_a_mark_is_read_as_it_was_written(
    by_target: dict[str, TargetSplit], rules: object, against: tuple[str, ...]
) -> None:
    assert isinstance(rules, tuple)
    found = Mark(splits=by_target, kept=rules, faults=against)
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
        '{"targets":{"web":{"stable":"web","canary":"web","weight":1}}}',
        ELDER.replace("web-canary", "web"),
        in_turn("aba"),
        in_turn("abcb"),
        in_turn("abca"),
        in_turn("abc"),
        in_turn("abcd"),
        '{"targets":{},"rules":[1]}',
        "[" * 5_000,
        '{"targets":' * 900 + "{}" + "}" * 900,
        '{"targets":{"\\ud800":{"stable":"web","canary":"c","weight":1}}}',
        '{"targets":{"web":{"stable":"web","canary":"c","weight":1e400}}}',
        f'{{"targets":{{}},"note":"{"x" * LONGEST_READ}"}}',
        '{"targets":{"web":{"stable":"web","canary":"c","weight":1e999}}}',
        '{"targets":' + 9_000 * "[",
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


def name(number: int, length: int) -> str:
    return f"{number:0{length}}"


def largest(splits_of_a_rule: int) -> tuple[Json, Mark]:
    """Return a route of 16 rules with 16 backends, canaries among them, all names at their longest.

    Args:
        splits_of_a_rule: how many of its backends are split.

    """
    rules, by_target = [], {}
    for number in range(16):
        stables = [name(number * 16 + one, 63) for one in range(splits_of_a_rule)]
        for one in stables:
            found = TargetSplit(stable=one, canary=canary_name(one), traffic=Traffic(100))
            by_target[one.rjust(253, "t")] = found
        others = [
            ref(
                name(other, 253),
                1_000_000,
                group="g" * 253,
                kind="K" * 63,
                namespace="n" * 63,
                port=65_535,
            )
            for other in range(16 - 2 * splits_of_a_rule)
        ]
        refs = [*(ref(one, 1_000_000, port=65_535) for one in stables), *others]
        rules.append({"matches": [{"path": {"value": f"/{number}"}}], "backendRefs": refs})
    return route(*rules), Mark(splits=by_target)


@pytest.mark.parametrize("splits_of_a_rule", range(1, 9))
def test_the_largest_mark_that_there_can_be_is_written_and_read(splits_of_a_rule: int) -> None:
    written = HTTP.with_traffic(*largest(splits_of_a_rule)).mark
    assert len(written.splits) == 16 * splits_of_a_rule
    assert written.too_much == ""
    assert load_mark(written.dump()) == written
    leaving = written.leaving(*written.splits)
    assert load_mark(leaving.dump()) == leaving
    said = Declined(shape="s" * 8, run="r" * 16, text="t" * 8, said="\\" * MOST_SAID, unsure=True)
    declined = {
        target: replace(one, traffic=NOTHING, declined=said, leaving=True)
        for target, one in written.splits.items()
    }
    kept_as_long = replace(written, splits=declined, faults=("f" * 8,) * 96)
    assert load_mark(kept_as_long.dump()) == kept_as_long


def test_what_is_written_is_read_also_where_all_of_it_leaves() -> None:
    names = [name(number, 253) for number in range(MOST_TARGETS)]
    found = Mark(splits={one: split(one[:63], 100) for one in names})
    room = LONGEST_WRITTEN - len(found.dump())
    full = replace(found, kept=({"rest": "x" * (room - len('{"rest":""}'))},))
    assert len(full.dump()) == LONGEST_WRITTEN
    assert full.too_much == ""
    leaving = full.leaving(*names)
    assert load_mark(leaving.dump()) == leaving
    assert "characters" in replace(full, kept=(*full.kept, {})).too_much
    assert "256 targets" in found.having("web", split("web", 1)).too_much
    assert load_mark(found.having("web", split("web", 1)).dump()) is None


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"rest": 1, "weights": []},
        {"rest": "x"},
        {"rest": "x", "weights": {"web:80": 1}},
        {"rest": "x", "weights": [1]},
        {"rest": "x", "weights": [["web:80"]]},
        {"rest": "x", "weights": [[80, 1]]},
        {"rest": "x", "weights": [["web:80", "1"]]},
        {"rest": "x", "weights": [["web:80", -1]]},
        {"rest": "x", "weights": [["web:80", 10**300]]},
    ],
)
def test_what_nobody_of_ours_has_kept_keeps_no_canary_on_a_route(kept: Json) -> None:
    plain = route({"backendRefs": [ref("web")]})
    split_one = HTTP.with_traffic(plain, mark(web=50))
    forged = replace(split_one.mark, kept=(kept,))
    found = HTTP.without_traffic({**plain, "spec": split_one.spec}, forged)
    assert found == plain["spec"]
