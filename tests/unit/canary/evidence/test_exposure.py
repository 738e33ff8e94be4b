"""The exposure at worst: an upper bound that holds as often as it says, and what is missing."""

import math

import numpy as np
import pytest

from canary.evidence.counters import Stratum
from canary.evidence.exposure import Exposure, exposure, upper_rate
from canary.evidence.judge import Judge
from canary.evidence.plan import CountPlan
from canary.evidence.policy import Policy
from canary.evidence.promotion import against_rate

POLICY = Policy(unknown_dispersion=1.0)
ERRORS = CountPlan(name="errors", maximum=0.01)


def asked(stratum: Stratum, plan: CountPlan = ERRORS, *, budget: float = 10) -> Exposure | None:
    judge = Judge(POLICY, [plan])
    state = judge.update(judge.start(), {plan.name: stratum})
    return exposure(judge, state, growth=2, seconds=60, budget=budget)


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.3])
def test_the_upper_bound_is_hardly_ever_too_low_at_any_of_many_looks(rate: float) -> None:
    rng = np.random.default_rng(1)
    runs, looks, at_once, missed = 400, 60, 30, 0
    for _ in range(runs):
        bad = np.cumsum(rng.binomial(at_once, rate, looks)).tolist()
        # Where the true rate is refuted the bound is below it; that costs no bisection.
        missed += any(
            against_rate(rate).value(float(k), at_once * (at + 1.0)) >= POLICY.promote_at
            for at, k in enumerate(bad)
        )
    assert missed / runs <= POLICY.beta


def test_the_upper_bound_is_the_least_rate_that_is_refuted() -> None:
    upper = upper_rate(2, 400, POLICY.promote_at)
    assert against_rate(upper).value(2, 400) == pytest.approx(POLICY.promote_at, abs=1e-4)
    assert 2 / 400 < upper < 0.03
    assert upper_rate(1, 2, POLICY.promote_at) > 0.99


def test_the_cost_is_the_upper_bound_times_the_requests_ahead() -> None:
    found = asked(Stratum(0, 300, 0, 2700, 5))
    # 60 requests per second become 120 for a minute.
    assert found is not None
    assert found.cost == pytest.approx(upper_rate(0, 300, POLICY.promote_at) * 120 * 60)


def test_what_is_missing_is_what_makes_it_fit() -> None:
    first = asked(Stratum(0, 300, 0, 2700, 5))
    assert first is not None
    assert first.missing is not None
    seconds = 5 * (1 + first.missing.requests / 300)
    later = asked(Stratum(0, 300 + first.missing.requests, 0, 2700, seconds))
    assert later is not None
    assert 5 < later.cost <= 10


def test_without_a_request_anything_may_be() -> None:
    judge = Judge(POLICY, [ERRORS])
    found = exposure(judge, judge.start(), growth=2, seconds=60, budget=10)
    assert found == Exposure(metric="errors", cost=math.inf)


@pytest.mark.parametrize(
    "plan",
    [CountPlan(name="slow:p50", floor=0.5), CountPlan(name="slow:promotion", refuses=False)],
)
def test_what_is_no_answer_of_its_own_costs_nothing(plan: CountPlan) -> None:
    assert asked(Stratum(50, 100, 500, 1000, 5), plan) is None
