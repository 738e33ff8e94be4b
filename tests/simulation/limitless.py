"""Runs of a latency that has no limit: lognormal, counted at the stable's own quantiles."""

import math
from typing import Final

import numpy as np

from canary.counting.series import Series
from canary.evidence.counters import Stratum
from canary.evidence.judge import Judge
from canary.evidence.latency import ENOUGH
from canary.evidence.policy import Policy
from canary.measuring.countable import Countable, countable
from canary.measuring.settling import frozen_bounds
from canary.model.strategy import Metric
from canary.queries.builtin import SourceQuery
from tests.simulation.outcomes import LOOKS, SCRAPE, Array, Outcome

_QUERY: Final = "histogram_quantile(0.99, sum(rate(latency_bucket[1m])) by (le))"
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)
_MEDIAN, _SPREAD = 0.1, 0.5


def _metric() -> Countable:
    sides = tuple((SourceQuery(source="query", query=_QUERY),) for _ in range(2))
    found = countable(Metric(name="latency", source=_QUERY), *sides, alone=False, gate=False)
    if not isinstance(found, Countable):
        raise TypeError(found)
    return found


def _drawn(rng: np.random.Generator, requests: int, median: float) -> Array:
    return np.asarray(rng.lognormal(math.log(median), _SPREAD, requests), dtype=np.float64)


def _past(times: Array) -> list[Series]:
    """Return what a stable that has served these has on its page."""
    return [
        Series({"__name__": "latency_bucket", "le": f"{bound:g}"}, float((times <= bound).sum()))
        for bound in _BUCKETS
    ]


def runs_of(
    rng: np.random.Generator, *, runs: int, rps: float, slower: float = 1.0
) -> list[Outcome]:
    """Run canaries with a tenth of the traffic whose latencies are so many times the stable's."""
    metric = _metric()
    judge = Judge(Policy(unknown_dispersion=1.0), metric.plans)
    return [_one(judge, metric, rng, rps, slower) for _ in range(runs)]


def _one(
    judge: Judge, metric: Countable, rng: np.random.Generator, rps: float, slower: float
) -> Outcome:
    bounds = frozen_bounds(metric, metric.ways[0], _past(_drawn(rng, int(ENOUGH), _MEDIAN)))
    assert bounds
    state = judge.start()
    for at in range(1, LOOKS + 1):
        canary = _drawn(rng, rng.poisson(rps * SCRAPE / 10), _MEDIAN * slower)
        stable = _drawn(rng, rng.poisson(rps * SCRAPE * 9 / 10), _MEDIAN)
        samples = {
            name: Stratum(
                float((canary > bound).sum()),
                float(canary.size),
                float((stable > bound).sum()),
                float(stable.size),
                SCRAPE,
            )
            for name, bound in bounds.items()
        }
        state = judge.update(state, samples)
        if judge.refuses(state):
            return Outcome(refused=at)
    return Outcome(refused=None)
