import math

import pytest

from canary.evidence.latency import (
    QUANTILES,
    LatencyBounds,
    bounds_around,
    slow_share,
    usual_bound,
)

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


SEEN = {0.1: 600.0, 0.25: 940.0, 0.5: 960.0, 1.0: 995.0, math.inf: 1000.0}


@pytest.mark.parametrize(
    ("cumulative", "bounds"),
    [
        (SEEN, (0.1, 0.5, 1.0)),
        ({0.1: 1000.0, math.inf: 1000.0}, (0.1, 0.1, 0.1)),
        ({0.1: 10.0, 0.5: 960.0, math.inf: 1000.0}, (0.5, 0.5, 0.5)),
        ({bound: count / 3 for bound, count in SEEN.items()}, (None, None, None)),
        ({math.inf: 1000.0}, (None, None, None)),
        ({}, (None, None, None)),
    ],
    ids=["three buckets", "one bucket", "slower than all", "too few", "none finite", "nothing"],
)
def test_a_latency_without_a_limit_is_held_fast_at_the_stables_own_quantiles(
    cumulative: dict[float, float], bounds: tuple[float | None, ...]
) -> None:
    assert tuple(usual_bound(cumulative, quantile) for quantile in QUANTILES) == bounds
