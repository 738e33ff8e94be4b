"""Which of a query's values counts where it has several.

A query without an aggregation has a value for every series that it selects, in an order that
Prometheus does not promise (https://prometheus.io/docs/prometheus/latest/querying/api/). The
answer must not depend on it, so the worst counts, and for the stable the one that excuses least.

| the metric has | the worst value is |
| --- | --- |
| a maximum | the largest |
| a minimum | the smallest |
| both | the one furthest beyond either bound, or nearest to it |
| none | the largest: none can miss anything |
"""

import math
from collections.abc import Sequence

from canary.model.strategy import Metric


def worst(metric: Metric, values: Sequence[float]) -> float | None:
    """Return the canary's value: the worst of all; None where there is none."""
    return max(values, key=lambda value: (_badness(metric, value), value), default=None)


def least_excusing(metric: Metric, values: Sequence[float]) -> float | None:
    """Return the stable's value: the best of all, for it may excuse the canary.

    The worse the stable is, the more a miss of the canary's is forgiven.
    """
    return min(values, key=lambda value: (_badness(metric, value), value), default=None)


def told(metric: Metric, values: Sequence[float]) -> str:
    """Say which of several values was taken, and how the query is mended; "" for one or none."""
    if len(values) <= 1:
        return ""
    return (
        f"{_which(metric)} of the {len(values)} values that its query has; let it make one of "
        "all series, with sum() or the like"
    )


def _which(metric: Metric) -> str:
    match metric.minimum, metric.maximum:
        case None, None:
            return "without a bound to say which is worse, the largest"
        case None, _:
            return "the largest"
        case _, None:
            return "the smallest"
        case _:
            return "the one furthest beyond its bounds, or nearest to one,"


def _badness(metric: Metric, value: float) -> float:
    """Return how far a value is beyond its bounds, in the metric's unit; below 0 within them."""
    above = -math.inf if metric.maximum is None else value - metric.maximum
    below = -math.inf if metric.minimum is None else metric.minimum - value
    return max(above, below)
