"""Every factor that a test multiplies by has an expectation of at most 1 inside its hypothesis."""

import math
from collections.abc import Callable
from functools import reduce
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.evidence.bound import BoundTest
from canary.evidence.counted import shares
from canary.evidence.mixture import MULTIPLES, Logs, log_mixed, prior_of
from canary.evidence.promotion import against_rate, against_stable
from canary.evidence.rate import RateTest
from canary.evidence.ratio import Comparison, RatioTest, Split
from canary.evidence.scalar import RankTest, SignTest

EXACT = 1 + 1e-9
CAP = 3.7


def _binomial(requests: int, rate: float) -> list[float]:
    return [
        math.comb(requests, bad) * rate**bad * (1 - rate) ** (requests - bad)
        for bad in range(requests + 1)
    ]


def _expected(weighted: list[tuple[float, Logs]]) -> list[float]:
    """Return the expectation of every alternative's factor."""
    width = len(weighted[0][1])
    return [sum(chance * math.exp(logs[at]) for chance, logs in weighted) for at in range(width)]


def _ratio_logs(test: RatioTest, split: Split) -> Logs:
    """Return what one scrape adds."""
    return test.logs(test.step(test.start(), split), split[0])


def _ratio_factors(
    test: RatioTest, sizes: tuple[int, int], canary: float, stable: float
) -> list[float]:
    requests, others = sizes
    return _expected(
        [
            (one * other, _ratio_logs(test, (bad, requests, stable_bad, others)))
            for bad, one in enumerate(_binomial(requests, canary))
            for stable_bad, other in enumerate(_binomial(others, stable))
        ]
    )


GRID = tuple(product((1, 3, 12), (1, 7, 20), (0.0, 0.001, 0.05, 0.3), (1.0, 1.5, 3.0)))


@pytest.mark.parametrize("cap", [math.inf, CAP, 0.5])
@pytest.mark.parametrize(("requests", "others", "rate", "margin"), GRID)
def test_ratio_factor_is_fair_for_every_alternative(
    requests: int, others: int, rate: float, margin: float, cap: float
) -> None:
    test = RatioTest(margin=margin, cap=cap)
    factors = _ratio_factors(test, (requests, others), margin * rate, rate)
    assert max(factors) <= EXACT


@pytest.mark.parametrize(("requests", "others", "rate", "margin"), GRID)
def test_promotion_factor_is_fair_for_every_alternative(
    requests: int, others: int, rate: float, margin: float
) -> None:
    factors = _ratio_factors(against_stable(margin), (requests, others), margin * rate, rate)
    assert max(factors) <= EXACT


@given(
    margin=st.floats(1, 5),
    multiple=st.floats(1.01, 1000),
    sizes=st.tuples(st.integers(1, 10), st.integers(1, 10)),
    stable=st.floats(0, 0.2),
    below=st.floats(0, 1),
)
def test_ratio_factor_is_fair_everywhere_inside_the_hypothesis(
    margin: float, multiple: float, sizes: tuple[int, int], stable: float, below: float
) -> None:
    test = RatioTest(margin=margin, multiples=(multiple,))
    assert _ratio_factors(test, sizes, below * margin * stable, stable)[0] <= EXACT


@pytest.mark.parametrize("cap", [math.inf, CAP, 0.5])
@pytest.mark.parametrize(
    ("requests", "bound", "below"),
    tuple(product((1, 5, 40), (0.0005, 0.01, 0.2, 0.5), (0.0, 0.5, 1.0))),
)
def test_rate_factor_is_fair(requests: int, bound: float, below: float, cap: float) -> None:
    test = RateTest(bound=bound, cap=cap)
    factors = _expected(
        [
            (chance, test.logs(bad, requests, test.excess((), bad, requests) if bad else ()))
            for bad, chance in enumerate(_binomial(requests, below * bound))
        ]
    )
    assert max(factors) <= EXACT


@pytest.mark.parametrize("cap", [math.inf, CAP])
@pytest.mark.parametrize("bound", [0.0002, 0.0165, 0.05])
@pytest.mark.parametrize("rate", [0.0, 0.001, 0.02, 0.03])
def test_rate_factor_against_a_higher_rate_is_fair(rate: float, bound: float, cap: float) -> None:
    """Good requests win no bet either: an alternative below the rate bets nothing."""
    test, above = RateTest(bound=bound, cap=cap), 0.03
    chances = enumerate(_binomial(25, rate))
    factors = _expected(
        [
            (chance, test.logs(bad, 25, test.excess_above((), above, bad, 25)))
            for bad, chance in chances
        ]
    )
    assert max(factors) <= EXACT


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.03])
def test_bet_against_a_higher_rate_is_fair(rate: float) -> None:
    test = BoundTest(maximum=0.01, cap=CAP)
    chances = enumerate(_binomial(25, rate))
    weighed = [(chance, test.growth_above(0.03, bad / 25)) for bad, chance in chances]
    assert max(_expected(weighed)) <= EXACT


@pytest.mark.parametrize("multiples", [MULTIPLES, (0.5, 0.25)])
def test_mixture_of_fair_factors_is_fair(multiples: Logs) -> None:
    assert log_mixed((0.0,) * len(multiples), prior_of(multiples)) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("names", [["ratio"], ["ratio", "learned", "bound"], ["bursts", "ratio"]])
def test_mean_over_the_tests_of_a_metric_is_fair(names: list[str]) -> None:
    assert sum(shares(names).values()) == pytest.approx(1.0)
    assert min(shares(names).values()) > 0


@pytest.mark.parametrize(("requests", "bound"), tuple(product((1, 5, 40), (0.003, 0.01, 0.3))))
def test_promotion_rate_factor_is_fair(requests: int, bound: float) -> None:
    test = against_rate(bound)
    for rate in (bound, 1.5 * bound, 3 * bound):
        chances = enumerate(_binomial(requests, rate))
        factors = _expected([(chance, test.logs(bad, requests)) for bad, chance in chances])
        assert max(factors) <= EXACT


@given(
    maximum=st.floats(0.001, 0.5),
    fractions=st.lists(st.floats(0, 1), min_size=1, max_size=6),
    cap=st.sampled_from([math.inf, CAP, 0.5]),
)
def test_bound_factor_is_fair_for_any_distribution(
    maximum: float, fractions: list[float], cap: float
) -> None:
    # Any mix of bad fractions, diluted with clean scrapes until its mean is the maximum.
    test, mean = BoundTest(maximum=maximum, cap=cap), sum(fractions) / len(fractions)
    weight = min(1.0, maximum / mean) / len(fractions) if mean else 0.0
    clean = 1 - weight * len(fractions)
    spread = [(weight, test.growth(fraction)) for fraction in fractions]
    assert max(_expected([*spread, (clean, test.logs(test.start(), 1))])) <= EXACT


def test_bound_counts_a_quiet_scrape_as_a_step_without_bad_requests() -> None:
    test = BoundTest(maximum=0.01)
    assert test.step(test.start(), 1e-12) == pytest.approx(test.logs(test.start(), 1))


@pytest.mark.parametrize("margin", [1.0, 1.5])
def test_rounded_shares_lose_next_to_nothing(margin: float) -> None:
    test = RatioTest(margin=margin)
    for requests, others in product((1.0, 7.3, 250.0), (1.0, 9.1, 2250.0)):
        exact = [
            2 * math.log(multiple)
            + 5 * math.log((margin * requests + others) / (margin * multiple * requests + others))
            for multiple in test.multiples
        ]
        found = _ratio_logs(test, (2.0, requests, 3.0, others))
        assert all(one <= full + 1e-12 for one, full in zip(found, exact, strict=True))
        assert found == pytest.approx(exact, abs=0.051)


SPLITS = st.builds(
    lambda bad, good, others, stable: (bad, bad + good, others, others + stable),
    st.floats(0, 300).map(lambda bad: bad if bad > 0.01 else 0.0),
    st.floats(0.5, 3000),
    st.floats(0, 300).map(lambda bad: bad if bad > 0.01 else 0.0),
    st.floats(0.5, 30000),
)


def _exact_ratio(test: RatioTest, split: Split) -> list[float]:
    """Return what one scrape adds by the formula, without tables and short cuts."""
    bad, requests, stable_bad, others = split
    base = test.margin * requests + others
    return [
        min(
            test.cap,
            bad * math.log(multiple)
            + (bad + stable_bad) * math.log(base / (test.margin * multiple * requests + others)),
        )
        for multiple in test.multiples
    ]


@given(
    splits=st.lists(SPLITS, min_size=1, max_size=8),
    margin=st.floats(1, 5),
    cap=st.sampled_from([math.inf, CAP, 0.5]),
)
def test_ratio_evidence_by_totals_is_the_formulas_summed_up(
    splits: list[Split], margin: float, cap: float
) -> None:
    test = RatioTest(margin=margin, cap=cap)
    dues, bad, exact, slack = test.start(), 0.0, [0.0] * len(test.multiples), 1e-6
    for split in splits:
        dues, bad = test.step(dues, split), bad + split[0]
        exact = [*map(sum, zip(exact, _exact_ratio(test, split), strict=True))]
        slack += (split[0] + split[2]) / 100
    for found, full in zip(test.logs(dues, bad), exact, strict=True):
        assert full - slack <= found <= full + 1e-6


@given(
    splits=st.lists(SPLITS, min_size=1, max_size=8),
    margin=st.floats(1, 5),
    cap=st.sampled_from([math.inf, CAP, 0.5]),
)
def test_joint_step_is_both_single_steps(splits: list[Split], margin: float, cap: float) -> None:
    worse, inferior = RatioTest(margin=margin, cap=cap), against_stable(3.0)
    both = Comparison(worse=worse, inferior=inferior)
    dues, one, other = both.start(), worse.start(), inferior.start()
    for split in splits:
        dues, one, other = (
            both.step(dues, split),
            worse.step(one, split),
            inferior.step(other, split),
        )
    assert dues == one + other
    alone = Comparison(worse=worse)
    assert reduce(alone.step, splits, alone.start()) == one
    assert both.against(dues, 7.0) == worse.logs(one, 7.0)
    assert both.passing(dues, 7.0) == inferior.logs(other, 7.0)


@pytest.mark.parametrize(
    "test",
    [
        lambda: RatioTest(margin=1.0, multiples=(0.5, 2.0)),
        lambda: RatioTest(margin=1.0, multiples=(0.5,), cap=CAP),
    ],
)
def test_alternatives_lie_on_one_side(test: Callable[[], RatioTest]) -> None:
    with pytest.raises(ValueError, match="multiples"):
        test()


@given(
    bad=st.floats(0.01, 1e4),
    good=st.floats(0, 1e6),
    bound=st.floats(1e-4, 0.5),
    cap=st.sampled_from([CAP, 0.5]),
)
def test_no_scrape_adds_more_than_the_cap(
    bad: float, good: float, bound: float, cap: float
) -> None:
    rate = RateTest(bound=bound, cap=cap)
    most = max(rate.logs(bad, bad + good, rate.excess((), bad, bad + good)))
    assert most <= cap * EXACT
    betting = BoundTest(maximum=bound, cap=cap)
    assert max(betting.growth(bad / (bad + good))) <= cap


@pytest.mark.parametrize("pods", [1, 2, 9, 100])
@pytest.mark.parametrize("cap", [math.inf, 1.0])
def test_rank_factor_is_fair_over_all_ranks(pods: int, cap: float) -> None:
    test = RankTest(cap=cap)
    places = [float(place) for place in range(pods + 1)]
    logs = [
        (1 / (pods + 1), test.step(test.start(), [places[own]], places[:own] + places[own + 1 :]))
        for own in range(pods + 1)
    ]
    assert max(_expected(logs)) <= EXACT


def test_ties_are_resolved_for_the_canary() -> None:
    test = RankTest()
    assert test.step(test.start(), [1.0], [1.0] * 9) == test.step(test.start(), [0.0], [1.0] * 9)


@pytest.mark.parametrize(("value", "worse"), [(-2.0, False), (2.0, True)])
def test_lower_can_be_the_worse_side(value: float, worse: bool) -> None:  # noqa: FBT001
    up, down = RankTest(), RankTest(higher_is_worse=False)
    assert (up.step(up.start(), [value], [0.0])[-1] > 0) is worse
    assert (down.step(down.start(), [value], [0.0])[-1] > 0) is not worse


def test_margin_forgives_a_rank_that_is_barely_worse() -> None:
    test = RankTest(margin=1.25)
    best = test.step(test.start(), [0.0], [100.0] * 9)
    assert test.step(test.start(), [124.0], [100.0] * 9) == best
    assert test.step(test.start(), [126.0], [100.0] * 9)[-1] > 0


def test_sign_factor_is_fair_at_the_median_and_takes_seven_breaches() -> None:
    test = SignTest(maximum=1.0)
    breach, kept = test.step(test.start(), [2.0]), test.step(test.start(), [0.5])
    assert max(_expected([(0.5, breach), (0.5, kept)])) <= EXACT
    logs = test.start()
    for _ in range(7):
        logs = test.step(logs, [2.0])
    assert math.log(sum(map(math.exp, logs)) / len(logs)) < math.log(100)
