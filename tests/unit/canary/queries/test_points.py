"""Which point of a series counts."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.queries.points import IncompleteError, newest, number_of, step_of, window_of

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=10)


def ago(*points: tuple[float, float | None]) -> list[tuple[float, float | None]]:
    return [(NOW.timestamp() - seconds, value) for seconds, value in points]


@pytest.mark.parametrize(
    ("points", "lasts", "value"),
    [
        ([], 60, None),
        ([(60, None), (120, math.nan)], 60, None),
        ([(60, 1), (120, 2)], 60, 1),
        ([(120, 2), (60, 1)], 60, 1),  # in whatever order
        ([(120, 2), (30, 1)], 60, 2),  # the last one has not ended
        ([(120, 2), (30, 1)], 0, 1),
        ([(61, None), (120, 2)], 60, 2),
        ([(59, 1), (120, 2)], 60, 1),  # clocks differ a little
        ([(700, 1)], 60, None),  # old
        ([(-30, 1), (120, 2)], 60, 2),  # of a clock that is ahead
    ],
)
def test_the_newest_that_is_complete(
    points: list[tuple[float, float | None]], lasts: float, value: float | None
) -> None:
    assert newest(ago(*points), now=NOW, window=WINDOW, lasts=lasts) == value


@pytest.mark.parametrize("begins", [30, 630])
def test_says_that_none_is_complete(begins: float) -> None:
    with pytest.raises(IncompleteError, match="of 300s each"):
        newest(ago((begins, 1)), now=NOW, window=WINDOW, lasts=300)


def test_any_time_is_new_enough_where_none_is_said() -> None:
    assert newest(ago((1e6, 7)), now=NOW, window=None, lasts=60) == 7


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.none() | st.floats(-9, 9)), max_size=9))
def test_order_means_nothing(points: list[tuple[float, float | None]]) -> None:
    def found(given: list[tuple[float, float | None]]) -> float | str | None:
        try:
            return newest(ago(*given), now=NOW, window=WINDOW, lasts=60)
        except IncompleteError as error:
            return str(error)

    assert found(points) == found(points[::-1])


@pytest.mark.parametrize(
    ("value", "number"),
    [(1, 1.0), (1.5, 1.5), (True, None), ("1", None), (None, None), (10**400, math.inf),
     (-(10**400), -math.inf)],
)  # fmt: skip
def test_what_is_a_number(value: object, number: float | None) -> None:
    assert number_of(value) == number


def test_steps_and_windows() -> None:
    assert step_of(ago((120, 1), (60, None))) == 60
    assert step_of(ago((60, 1))) == 0
    assert step_of([]) == 0
    assert window_of(timedelta(minutes=1)) == WINDOW
