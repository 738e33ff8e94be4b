"""Runs of several metrics under one judge."""

import statistics

import numpy as np

from canary.evidence.counters import Stratum
from canary.evidence.judge import Judge
from canary.evidence.plan import CountPlan
from canary.evidence.policy import Policy

_BARE = Policy(
    alpha_history=0.0, margin=1.0, floor=0.0, cap_calm=1e9, cap_bursty=1e9, unknown_dispersion=1
)


def requests_needed(metrics: int, rng: np.random.Generator, *, runs: int) -> float:
    """Return the mean requests to a refusal where one metric of several goes from 0.1 % to 5 %."""
    judge = Judge(_BARE, [CountPlan(name=f"m{at}", promotes=False) for at in range(metrics)])
    return statistics.fmean(_one(judge, metrics, rng) for _ in range(runs))


def _one(judge: Judge, metrics: int, rng: np.random.Generator) -> float:
    state, requests = judge.start(), 0
    rates = np.full(metrics, 0.001)
    rates[0] = 0.05
    while requests < 2000:
        requests += 2
        others = rng.poisson(18, metrics)
        bad, good = rng.binomial(2, rates).tolist(), rng.binomial(others, 0.001).tolist()
        totals = others.tolist()
        state = judge.update(
            state,
            {
                f"m{at}": Stratum(float(bad[at]), 2.0, float(good[at]), float(totals[at]))
                for at in range(metrics)
            },
        )
        if bad[0] and judge.refuses(state):
            break
    return float(requests)


def false_refusals(metrics: int, rng: np.random.Generator, *, runs: int) -> int:
    """Count the healthy runs of several metrics that are refused within 360 looks."""
    judge = Judge(_BARE, [CountPlan(name=f"m{at}", promotes=False) for at in range(metrics)])
    refused = 0
    for _ in range(runs):
        canary, stable = rng.poisson(25, (360, metrics)), rng.poisson(225, (360, metrics))
        columns = (rng.binomial(canary, 0.001), canary, rng.binomial(stable, 0.001), stable)
        rows = np.stack(columns, axis=2).astype(np.float64).tolist()
        state = judge.start()
        for row in rows:
            samples = {f"m{at}": Stratum(*counts) for at, counts in enumerate(row)}
            state = judge.update(state, samples)
            if any(counts[0] for counts in row) and judge.refuses(state):
                refused += 1
                break
    return refused
