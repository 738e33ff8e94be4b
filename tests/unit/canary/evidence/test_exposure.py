"""The exposure at worst: an upper bound that holds as often as it says, and what is missing."""

import math

import pytest

from canary.evidence.counters import Stratum
from canary.evidence.exposure import Exposure, exposure
from canary.evidence.judge import Judge
from canary.evidence.learned import gamma_quantile
from canary.evidence.plan import CountPlan
from canary.evidence.policy import Policy

POLICY = Policy(unknown_dispersion=1.0)
ERRORS = CountPlan(name="errors", maximum=0.01)


def asked(stratum: Stratum, plan: CountPlan = ERRORS, *, budget: float = 10) -> Exposure | None:
    judge = Judge(POLICY, [plan])
    state = judge.update(judge.start(), {plan.name: stratum})
    return exposure(judge, state, growth=2, seconds=60, budget=budget)


@pytest.mark.parametrize("requests", [10, 100, 1000])
@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1, 0.4])
def test_the_upper_bound_is_too_low_at_most_as_often_as_beta_says(
    requests: int, rate: float
) -> None:
    missed = sum(
        math.comb(requests, bad) * rate**bad * (1 - rate) ** (requests - bad)
        for bad in range(requests + 1)
        if gamma_quantile(bad + 1, POLICY.beta) / requests < rate
    )
    assert missed <= POLICY.beta


def test_the_cost_is_the_upper_bound_times_the_requests_ahead() -> None:
    found = asked(Stratum(0, 300, 0, 2700, 5))
    # ln(1/beta) of 300 may be bad, 60 requests per second become 120 for a minute.
    assert found is not None
    assert found.cost == pytest.approx(math.log(20) / 300 * 120 * 60)


def test_what_is_missing_is_what_makes_it_fit() -> None:
    first = asked(Stratum(0, 300, 0, 2700, 5))
    assert first is not None
    assert first.missing is not None
    seconds = 5 * (1 + first.missing.requests / 300)
    later = asked(Stratum(0, 300 + first.missing.requests, 0, 2700, seconds))
    assert later is not None
    assert later.cost == pytest.approx(10, rel=0.01)


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
