"""What would have changed a verdict: at the stated number it stands, beyond it it falls."""

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from canary.evidence.counters import Stratum
from canary.evidence.dispersion import Calibration
from canary.evidence.judge import Judge, JudgeState
from canary.evidence.plan import CountPlan, ScalarPlan
from canary.evidence.policy import Policy
from canary.evidence.scalar import Scalars
from canary.evidence.what_if import (
    LEAST_ALPHA,
    by_metric,
    fewer_bad,
    needed_evidence,
    strictest_alpha,
    total_evidence,
)

CALM = Calibration(levels=((50.0, 1.0),), stable=1.0, margin=1.5, known=True, learned=0.0012)
PLAIN = replace(CALM, learned=None)
PLANS = {
    "bound and stable": CountPlan(name="errors", maximum=0.01, calibration=PLAIN),
    "stable only": CountPlan(name="errors", calibration=PLAIN),
    "bound only": CountPlan(name="errors", maximum=0.01, baseline=False),
    "learned": CountPlan(name="errors", maximum=0.01, calibration=CALM),
    "independent": CountPlan(name="errors", maximum=0.01, independent=True, calibration=PLAIN),
}
OTHER = CountPlan(name="slow", maximum=0.05)
SICK = Stratum(12.0, 100.0, 1.0, 900.0, 5.0)

FEW = settings(max_examples=30, deadline=None)
UNKNOWN = CountPlan(name="errors", maximum=0.01)
plans = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
every_plan = pytest.mark.parametrize("plan", [*PLANS.values(), UNKNOWN])
counts = st.tuples(st.integers(2, 25), st.integers(5, 400), st.floats(0, 1), st.integers(0, 8)).map(
    lambda it: (it[0], Stratum(float(round(it[1] * it[2])), it[1], it[3], 9.0 * it[1], 5.0))
)


def fed(judge: Judge, count: int, scrape: Stratum) -> JudgeState:
    state = judge.start()
    for _ in range(count):
        state = judge.update(state, {"errors": scrape})
    return state


@every_plan
@FEW
@given(counts=counts)
def test_the_stated_alpha_refuses_and_a_smaller_one_does_not(
    plan: CountPlan, counts: tuple[int, Stratum]
) -> None:
    judge = Judge(Policy(), [plan, OTHER])
    state = fed(judge, *counts)
    assume(judge.refuses(state))

    def refuses(alpha: float) -> bool:
        policy = replace(Policy(), alpha=alpha, alpha_history=alpha / 10)
        return Judge(policy, judge.plans).refuses(state)

    alpha = strictest_alpha(judge, state)
    if alpha is None:
        assert refuses(LEAST_ALPHA)
    else:
        assert refuses(alpha)
        assert not refuses(alpha * (1 - 1e-9))


@plans
@FEW
@given(counts=counts)
def test_of_equal_scrapes_so_many_fewer_leave_it_open_and_one_less_does_not(
    plan: CountPlan, counts: tuple[int, Stratum]
) -> None:
    count, scrape = counts
    judge = Judge(Policy(), [plan, OTHER])
    assume(judge.refuses(fed(judge, count, scrape)))
    bad = count * scrape.canary_bad

    def refused(fewer: int) -> bool:
        less = scrape._replace(canary_bad=max(0.0, bad - fewer) / count)
        return judge.refuses(fed(judge, count, less))

    fewer = fewer_bad(judge, fed(judge, count, scrape))
    assert fewer is not None
    assert not refused(fewer)
    assert refused(fewer - 1)


@every_plan
@FEW
@given(st.lists(st.integers(0, 100), min_size=4, max_size=20))
def test_of_bursts_it_is_a_number_that_the_run_had(plan: CountPlan, bursts: list[int]) -> None:
    judge = Judge(Policy(), [plan, OTHER])
    state = judge.start()
    for one in bursts:
        state = judge.update(state, {"errors": Stratum(one, 100.0, 1.0, 900.0, 5.0)})
    assume(judge.refuses(state))
    fewer = fewer_bad(judge, state)
    assert fewer is None or 1 <= fewer <= sum(bursts)


def test_each_metric_is_weighed_alone_and_all_together() -> None:
    judge = Judge(Policy(), [PLANS["bound and stable"], OTHER])
    state = fed(judge, 3, SICK)
    errors, slow = by_metric(judge, state)
    needed = needed_evidence(judge.policy)
    assert needed == pytest.approx(1 / 0.009)
    assert [errors.needed, slow.needed] == pytest.approx([2 * needed, 2 * needed])
    assert errors.finding is not None
    assert (errors.finding.canary_bad, errors.finding.canary_all) == (36.0, 300.0)
    assert total_evidence(judge, state) == pytest.approx(errors.value / 2, rel=0.01)
    assert judge.refuses(state) == (total_evidence(judge, state) >= needed)


def test_a_plan_that_refuses_nothing_is_shown_with_its_counts() -> None:
    passing = replace(PLANS["stable only"], refuses=False)
    judge = Judge(Policy(), [passing])
    (row,) = by_metric(judge, fed(judge, 3, SICK))
    assert row.needed == math.inf
    assert row.finding is not None
    assert row.finding.canary_bad == 36.0


def test_a_metric_is_known_by_its_history_only() -> None:
    judge = Judge(Policy(), [PLANS["learned"], OTHER, ScalarPlan(name="queue")])
    assert [row.known for row in by_metric(judge, judge.start())] == [True, False, False]


def test_nothing_is_asked_of_a_run_that_is_not_refused() -> None:
    judge = Judge(Policy(), [OTHER])
    with pytest.raises(ValueError, match="not refused"):
        strictest_alpha(judge, judge.start())
    with pytest.raises(ValueError, match="not refused"):
        fewer_bad(judge, judge.start())


def test_a_metric_that_counts_nothing_has_no_fewer_requests() -> None:
    judge = Judge(Policy(), [ScalarPlan(name="heap", maximum=1.0, baseline=False)])
    state = judge.start()
    for minute in range(60):
        state = judge.update(state, {"heap": Scalars(time=150.0 * minute, canary=(2.0,))})
    assert judge.refuses(state)
    assert fewer_bad(judge, state) is None
    assert strictest_alpha(judge, state) is None
