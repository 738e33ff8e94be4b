"""Of several values one counts, and which does not depend on their order."""

import math
from itertools import permutations

import pytest

from canary.model.strategy import Metric
from canary.queries.values import least_excusing, told, worst


def metric(minimum: float | None, maximum: float | None) -> Metric:
    return Metric(name="m", source="up", minimum=minimum, maximum=maximum)


@pytest.mark.parametrize(
    ("minimum", "maximum", "values", "canary", "stable"),
    [
        (None, 1, (0.0, 7.0, 2.0), 7, 0),
        (99, None, (100.0, 12.0, 99.5), 12, 100),
        (1, 10, (0.0, 5.0, 12.0), 12, 5),
        (1, 10, (-3.0, 5.0, 12.0), -3, 5),
        (1, 10, (2.0, 5.5, 8.0), 2, 5.5),
        (None, None, (1.0, 3.0, 2.0), 3, 1),
        (None, 1, (math.inf, 0.0), math.inf, 0),
        (None, 1, (-math.inf, 0.0), 0, -math.inf),
        (None, 1, (4.0,), 4, 4),
        (None, 1, (), None, None),
    ],
)
def test_the_worst_counts_and_the_stables_best(
    minimum: float | None,
    maximum: float | None,
    values: tuple[float, ...],
    canary: float | None,
    stable: float | None,
) -> None:
    one = metric(minimum, maximum)
    for order in permutations(values):
        assert worst(one, order) == canary
        assert least_excusing(one, order) == stable


@pytest.mark.parametrize(
    ("minimum", "maximum", "said"),
    [
        (None, 1, "the largest of the 2 values"),
        (99, None, "the smallest of the 2 values"),
        (1, 10, "the one furthest beyond its bounds, or nearest to one, of the 2 values"),
        (None, None, "without a bound to say which is worse, the largest of the 2 values"),
    ],
)
def test_which_was_taken_is_said_with_what_to_write(
    minimum: float | None, maximum: float | None, said: str
) -> None:
    assert said in told(metric(minimum, maximum), (1, 2))
    assert "sum()" in told(metric(minimum, maximum), (1, 2))
    assert told(metric(minimum, maximum), (1,)) == told(metric(minimum, maximum), ()) == ""
