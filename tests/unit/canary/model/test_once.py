"""What says the same is read once, and what says something else is read by itself."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.model.once import Once
from canary.model.values import Json
from canary.objects.status import state_from_status

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, "", "1", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


PART = 16
"""Results for which there is room where each takes as much as one may."""


def json_of(given: Json) -> bytes:
    return orjson.dumps(given)


def one_each(_: int, __: object) -> int:
    return 1


@given(st.lists(OBJECTS, max_size=8), st.integers(1, 64))
def test_it_returns_what_the_function_returns(objects: list[Json], room: int) -> None:
    once = Once(repr, room, lambda text, _: text)
    assert [once(one) for one in [*objects, *objects]] == [
        repr(one) for one in [*objects, *objects]
    ]


def test_what_says_the_same_is_read_once_for_as_long_as_it_is_remembered() -> None:
    read: list[Json] = []

    def note(given: Json) -> int:
        read.append(given)
        return len(read)

    once = Once(note, PART, one_each)
    assert [once({"a": 1}), once({"a": 1}), once({"a": 1.0}), once({"a": True})] == [1, 1, 2, 3]
    assert [once({"b": number}) for number in range(PART - 2)] == list(range(4, PART + 2))
    # Of all of them {"a": 1} was not asked for longest.
    assert [once({"a": 1.0}), once({"a": True}), once({"a": 1})] == [2, 3, PART + 2]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=60))
def test_what_is_remembered_has_room(asked: list[tuple[int, int]]) -> None:
    """`b` is as long as the text wants to be; a result takes ten times as much."""
    room, remembered = 3200, dict[bytes, int]()
    once = Once(json_of, room, lambda text, _: 10 * text)
    for number, length in asked:
        found = once({"a": number, "b": "x" * length})
        assert found == json_of({"a": number, "b": "x" * length})
        remembered[found] = 10 * len(found)
    smallest = min(remembered.values(), default=1)
    assert len(once) * smallest <= room


def test_what_is_too_large_is_read_each_time_and_lets_nothing_else_go() -> None:
    read: list[Json] = []

    def note(given: Json) -> int:
        read.append(given)
        return len(read)

    once = Once(note, 320, lambda text, _: text)
    large = {"a": "x" * 20}
    assert [once({"a": 1}), once(large), once(large), once({"a": 1})] == [1, 2, 3, 1]
    assert len(once) == 1


@pytest.mark.parametrize("value", [{1: 2}, datetime(2026, 1, 1, tzinfo=UTC), 1 << 80, object()])
def test_what_is_no_json_is_read_each_time(value: Any) -> None:
    once = Once(lambda given: given["a"], PART, one_each)
    assert once({"a": value}) is value
    assert once({"a": value}) is value


def test_what_it_raises_is_remembered_by_nobody() -> None:
    once = Once(lambda given: given["a"], PART, one_each)
    for _ in range(2):
        with pytest.raises(KeyError):
            once({})
    assert once({"a": 1}) == 1


def test_a_state_that_is_read_again_is_the_same_one() -> None:
    status = {"phase": "Progressing", "canaryWeight": 10, "run": {"pods": ["a"], "step": 1}}
    assert state_from_status(status) is state_from_status(dict(status))
    assert state_from_status({**status, "canaryWeight": 20}).weight == 20


def test_states_of_many_runs_are_not_all_remembered() -> None:
    """They were, up to 4,096 of them, at 16 kB each: most of what a run under way took."""
    run = {"evidence": {"sources": {"m": "x" * 4000}}, "step": 1}
    first = {"phase": "Progressing", "canaryWeight": 1, "run": {**run, "pods": ["first"]}}
    state = state_from_status(first)
    for number in range(1000):
        status = {"phase": "Progressing", "canaryWeight": 2, "run": {**run, "pods": [str(number)]}}
        assert state_from_status(status).pods == (str(number),)
    assert state_from_status(first) is not state
    assert state_from_status(first) == state
