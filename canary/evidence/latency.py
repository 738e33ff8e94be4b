"""Latency quantiles as counts: "the p99 is at most X" is "at most 1 % are slower than X".

With a histogram's buckets the requests slower than a bucket's bound are counted exactly, so the
tests of counts apply. Where X lies between two bounds each side errs in its own cautious
direction: a refusal counts what is slower than the next bound above, a promotion what is slower
than the next one below.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

QUANTILES: Final = (0.5, 0.95, 0.99)
"""Where the stable's own latency is held fast when no bound is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyBounds:
    """The bucket bounds to count against: None where the histogram has none on that side."""

    refuse: float | None
    promote: float | None


def bounds_around(limit: float, buckets: Sequence[float]) -> LatencyBounds:
    """Return the bucket bounds that stand in for a latency limit, in the histogram's unit."""
    finite = sorted(bound for bound in buckets if math.isfinite(bound))
    return LatencyBounds(
        refuse=next((bound for bound in finite if bound >= limit), None),
        promote=next((bound for bound in reversed(finite) if bound <= limit), None),
    )


def slow_share(quantile: float) -> float:
    """Return the share of requests that may be slower than a quantile's limit."""
    return 1.0 - quantile


def usual_bounds(cumulative: Mapping[float, float]) -> tuple[float, ...]:
    """Return the bounds at the stable's own p50, p95 and p99, rising and without repeats.

    Each is a metric of its own against the stable, and they share one metric's weight.

    Args:
        cumulative: requests at or below each bucket's bound in the stable's history, with +Inf.

    """
    total = max(cumulative.values(), default=0.0)
    finite = sorted(bound for bound in cumulative if math.isfinite(bound))
    if total <= 0:
        return ()
    found = {
        next((bound for bound in finite if cumulative[bound] >= quantile * total), None)
        for quantile in QUANTILES
    }
    return tuple(sorted(bound for bound in found if bound is not None))
