import math

import pytest

from canary.evidence.latency import LatencyBounds, bounds_around, slow_share, usual_bounds

BUCKETS = (0.1, 0.25, 0.5, 1.0, math.inf)


@pytest.mark.parametrize(
    ("limit", "refuse", "promote"),
    [(0.5, 0.5, 0.5), (0.3, 0.5, 0.25), (2.0, None, 1.0), (0.05, 0.1, None)],
)
def test_each_side_errs_with_caution(
    limit: float, refuse: float | None, promote: float | None
) -> None:
    assert bounds_around(limit, BUCKETS) == LatencyBounds(refuse=refuse, promote=promote)


def test_quantile_is_a_share_of_slow_requests() -> None:
    assert slow_share(0.99) == pytest.approx(0.01)


def test_usual_bounds_are_the_stables_own_quantiles() -> None:
    seen = {0.1: 600.0, 0.25: 940.0, 0.5: 960.0, 1.0: 995.0, math.inf: 1000.0}
    assert usual_bounds(seen) == (0.1, 0.5, 1.0)
    assert usual_bounds({0.1: 1000.0, math.inf: 1000.0}) == (0.1,)
    assert usual_bounds({0.1: 10.0, math.inf: 1000.0}) == ()
    assert usual_bounds({}) == ()
