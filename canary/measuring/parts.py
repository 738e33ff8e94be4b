"""What a metric's counters count for, and what its query comes to where so much was counted."""

import math
from collections.abc import Mapping
from typing import Final

from canary.counting.derive import Derived, Quantile, Ratio
from canary.counting.series import LE, bound

_BAD: Final = -1.0
_ALL: Final = math.inf
"""Parts of a ratio: its bad requests, and all of them. Those of a quantile are buckets' bounds."""

Parts = dict[float, float]
"""What was counted, by part."""


def parts_of(
    side: Derived, labels: Mapping[str, str], given: frozenset[str] = frozenset()
) -> Parts:
    """Return what a series counts for, nothing where it plays no part.

    Args:
        side: the metric.
        labels: of the series, with its name.
        given: as in `SeriesSelector.accepts`.

    """
    match side:
        case Ratio():
            bad, requests = side.role(labels, given=given)
            return {_BAD: bad, _ALL: requests} if bad or requests else {}
        case Quantile():
            upper = bound(labels.get(LE, ""))
            taken = upper is not None and side.buckets.accepts(labels, given=given)
            return {upper: 1.0} if taken and upper is not None else {}


def value_of(side: Derived, counted: Parts) -> float | None:
    """Return what a query comes to where so much was counted, None without any request."""
    requests = counted.get(_ALL, 0.0)
    if requests <= 0:
        return None
    match side:
        case Ratio():
            share = min(1.0, max(0.0, counted.get(_BAD, 0.0) / requests))
            return side.healthy + (side.sick - side.healthy) * share
        case Quantile():
            return side.offset + side.scale * _quantile(side.quantile, counted)


def _quantile(quantile: float, cumulative: Parts) -> float:
    """Interpolate as `histogram_quantile` does (Prometheus, promql/quantile.go, bucketQuantile).

    Requests count as spread evenly in their bucket; the lowest one begins at 0 unless its bound is
    below. Beyond the last finite bound the value is that bound.
    """
    uppers = sorted(cumulative)
    counts: list[float] = []
    for upper in uppers:  # Counters of several pods are not read at one moment.
        counts.append(max(cumulative[upper], counts[-1] if counts else 0.0))
    rank = quantile * counts[-1]
    at = next(index for index, count in enumerate(counts) if count >= rank)
    if uppers[at] == math.inf:
        return uppers[at - 1] if at else math.inf
    low, below = (uppers[at - 1], counts[at - 1]) if at else (min(0.0, uppers[at]), 0.0)
    inside = counts[at] - below
    return low + (uppers[at] - low) * ((rank - below) / inside if inside > 0 else 1.0)
