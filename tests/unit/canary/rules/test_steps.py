"""Steps as data: how a sequence is built, and where in it a run stands, also once it was edited."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.model.steps import BEFORE_FIRST, Needs, Step, ahead, place
from canary.model.traffic import Traffic
from canary.spec.problems import Problems
from canary.spec.steps import judged, linear, weights

MINUTE = timedelta(minutes=1)
rising = st.lists(st.integers(1, 100), min_size=1, max_size=8, unique=True).map(sorted)


@pytest.mark.parametrize(
    ("analysis", "found"),
    [
        ({"stepWeight": 10, "maxWeight": 50}, (10, 20, 30, 40, 50)),
        ({"stepWeight": 20, "maxWeight": 50}, (20, 40, 50)),
        ({"stepWeight": 60}, (60, 100)),
        ({"stepWeights": [5, 30, 100]}, (5, 30, 100)),
        ({"stepWeights": [5, 400]}, (5, 100)),
    ],
)
def test_flagger_s_fields_are_read(analysis: dict[str, object], found: tuple[int, ...]) -> None:
    problems = Problems()
    assert weights(analysis, problems) == found
    assert not problems.found


@pytest.mark.parametrize(
    "analysis", [{}, {"stepWeight": 0}, {"stepWeights": [20, 10]}, {"stepWeights": [0, 10]}]
)
def test_what_is_no_sequence_is_said(analysis: dict[str, object]) -> None:
    problems = Problems()
    weights(analysis, problems)
    assert len(problems.found) == 1


def test_a_step_is_plain_unless_more_is_asked_for() -> None:
    assert linear((5,)) == (Step(traffic=Traffic(weight=5), lasts=timedelta(0), needs=Needs()),)


@pytest.mark.parametrize(("shares", "all_of_them"), [((10, 50), (10, 50, 100)), ((100,), (100,))])
def test_a_bake_is_the_last_step_and_has_all_the_traffic(
    shares: tuple[int, ...], all_of_them: tuple[int, ...]
) -> None:
    steps = judged(linear(shares), bake=MINUTE)
    assert tuple(step.traffic.weight for step in steps) == all_of_them
    assert [step.lasts for step in steps] == [timedelta(0)] * (len(steps) - 1) + [MINUTE]


@given(shares=rising, gate=st.booleans(), budget=st.none() | st.integers(1, 99))
def test_every_step_needs_what_the_canary_asks_for(
    *, shares: list[int], gate: bool, budget: int | None
) -> None:
    steps = judged(linear(shares), gate=gate, error_budget=budget)
    assert all(step.needs == Needs(gate=gate, error_budget=budget) for step in steps)
    assert judged(steps, gate=gate, error_budget=budget) == steps


@given(shares=rising)
def test_a_run_takes_each_step_once_and_in_order(shares: list[int]) -> None:
    steps = linear(shares)
    at, weight, taken = BEFORE_FIRST, 0, []
    while left := ahead(steps, at, Traffic(weight)):
        at, weight = left[0], steps[left[0]].traffic.weight
        assert place(steps, at, Traffic(weight)) == at
        taken.append(weight)
    assert taken == shares


@given(before=rising, edited=rising, data=st.data())
def test_an_edit_in_mid_run_never_lets_a_weight_fall(
    before: list[int], edited: list[int], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(before) - 1))
    weight, steps = before[at], linear(edited)
    left = ahead(steps, at, Traffic(weight))
    assert [edited[step] for step in left] == [share for share in edited if share > weight]
    here = place(steps, at, Traffic(weight))
    assert 0 <= here < len(steps)
    assert edited[here] <= weight or here == 0
