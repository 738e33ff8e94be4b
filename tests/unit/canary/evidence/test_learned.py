"""The upper bound of a rate, against sums of the Poisson distribution."""

import math

import pytest

from canary.evidence.learned import gamma_quantile, gamma_tail, upper_rate


def _poisson_at_most(bad: int, mean: float) -> float:
    return math.fsum(
        math.exp(count * math.log(mean) - mean - math.lgamma(count + 1)) for count in range(bad + 1)
    )


@pytest.mark.parametrize("bad", [0, 1, 7, 300, 4000])
@pytest.mark.parametrize("level", [0.1, 0.001, 0.0001])
def test_so_few_errors_have_just_this_chance_at_the_bound(bad: int, level: float) -> None:
    bound = gamma_quantile(bad + 1, level)
    assert _poisson_at_most(bad, bound) == pytest.approx(level, rel=1e-6)


def test_no_error_gives_the_logarithm() -> None:
    assert upper_rate(0, 1000, 1.0, 0.05) == pytest.approx(-math.log(0.05) / 1000)


def test_dispersion_widens_the_bound() -> None:
    assert upper_rate(300, 1e5, 4.0, 0.001) > upper_rate(300, 1e5, 1.0, 0.001) > 0.003


@pytest.mark.parametrize("shape", [2e5, 5e6])
def test_large_counts_stay_precise(shape: float) -> None:
    quantile = gamma_quantile(shape, 0.001)
    assert quantile == pytest.approx(shape + 3.0902 * math.sqrt(shape) + 2.85, rel=1e-6)


def test_tail_of_nothing_is_certain() -> None:
    assert gamma_tail(3.0, 0.0) == 1.0
