"""Latency quantiles as counts: "the p99 is at most X" is "at most 1 % are slower than X".

With a histogram's buckets the requests slower than a bucket's bound are counted exactly, so the
tests of counts apply. Where X lies between two bounds each side errs in its own cautious
direction: a refusal counts what is slower than the next bound above, a promotion what is slower
than the next one below.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

QUANTILES: Final = (0.5, 0.95, 0.99)
"""Where the stable's own latency is held fast when no bound is given."""

ENOUGH: Final = 500.0
"""Requests of the stable that tell its own p99: five of them are above it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyBounds:
    """The bucket bounds to count against: None where the histogram has none on that side."""

    refuse: float | None
    promote: float | None


class Frozen(NamedTuple):
    """Where the stable's own latency was held fast: how it was read, and the bounds by plan."""

    way: str
    bounds: Mapping[str, float]


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


def usual_bound(cumulative: Mapping[float, float], quantile: float) -> float | None:
    """Return the bucket bound at one of the stable's own quantiles, where no limit is given.

    Where even the last finite bucket holds less than the quantile, it stands in: more requests are
    slower than it then, on both sides.

    Args:
        cumulative: requests at or below each bucket's bound in the stable's history, with +Inf.
        quantile: between 0 and 1.

    Returns:
        None while the history has fewer than `ENOUGH` requests, or no finite bucket.

    """
    total = max(cumulative.values(), default=0.0)
    finite = sorted(bound for bound in cumulative if math.isfinite(bound))
    if total < ENOUGH or not finite:
        return None
    return next((bound for bound in finite if cumulative[bound] >= quantile * total), finite[-1])
