"""What says the same is read once, and what says something else is read by itself."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.model.values import Json
from canary.objects.once import Once
from canary.objects.status import state_from_status

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, "", "1", "a"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=4,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(st.lists(OBJECTS, max_size=8), st.integers(1, 4))
def test_it_returns_what_the_function_returns(objects: list[Json], most: int) -> None:
    once = Once(repr, most)
    assert [once(one) for one in [*objects, *objects]] == [
        repr(one) for one in [*objects, *objects]
    ]


def test_what_says_the_same_is_read_once_for_as_long_as_it_is_remembered() -> None:
    read: list[Json] = []

    def note(given: Json) -> int:
        read.append(given)
        return len(read)

    once = Once(note, most=2)
    assert [once({"a": 1}), once({"a": 1}), once({"a": 1.0}), once({"a": True})] == [1, 1, 2, 3]
    assert [once({"a": True}), once({"a": 1})] == [3, 4]


@pytest.mark.parametrize("value", [{1: 2}, datetime(2026, 1, 1, tzinfo=UTC), 1 << 80, object()])
def test_what_is_no_json_is_read_each_time(value: Any) -> None:
    once = Once(lambda given: given["a"], most=2)
    assert once({"a": value}) is value
    assert once({"a": value}) is value


def test_what_it_raises_is_remembered_by_nobody() -> None:
    once = Once(lambda given: given["a"], most=2)
    for _ in range(2):
        with pytest.raises(KeyError):
            once({})
    assert once({"a": 1}) == 1


def test_a_state_that_is_read_again_is_the_same_one() -> None:
    status = {"phase": "Progressing", "canaryWeight": 10, "run": {"pods": ["a"], "step": 1}}
    assert state_from_status(status) is state_from_status(dict(status))
    assert state_from_status({**status, "canaryWeight": 20}).weight == 20
