"""Runs of scalar metrics: a lognormal value per scrape of one canary and nine stable pods."""

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from canary.evidence.judge import Judge
from canary.evidence.plan import ScalarPlan
from canary.evidence.policy import Policy
from canary.evidence.scalar import Scalars
from tests.simulation.outcomes import LOOKS, SCRAPE, Array, Outcome

_SHAPE: Final = (LOOKS, 10)
Noise = Callable[[np.random.Generator], Array]


def calm(rng: np.random.Generator) -> Array:
    return rng.standard_normal(_SHAPE)


def heavy(rng: np.random.Generator) -> Array:
    return np.asarray(rng.standard_t(2, _SHAPE), dtype=np.float64)


def shocks(rng: np.random.Generator) -> Array:
    return np.asarray(calm(rng) + 3 * rng.standard_t(2, (LOOKS, 1)), dtype=np.float64)


def slow(rng: np.random.Generator) -> Array:
    """Values that remember: autoregressive, .9 from scrape to scrape."""
    fresh = rng.standard_normal(_SHAPE) * math.sqrt(1 - 0.81)
    values = np.empty(_SHAPE)
    values[0] = rng.standard_normal(10)
    for at in range(1, LOOKS):
        values[at] = 0.9 * values[at - 1] + fresh[at]
    return values


def runs_of(
    noise: Noise, rng: np.random.Generator, *, runs: int, policy: Policy, shift: float = 1.0
) -> list[Outcome]:
    """Run canaries whose values are `shift` times the stable's."""
    judge = Judge(policy, [ScalarPlan(name="latency")])
    outcomes = []
    for _ in range(runs):
        # A heavy tail reaches beyond what a float can be the exponential of.
        values = np.exp(np.clip(0.5 * noise(rng), -300, 300))
        values[:, 0] *= shift
        state, refused = judge.start(), None
        for at, row in enumerate(values.tolist(), start=1):
            sample = Scalars(at * SCRAPE, (row[0],), tuple(row[1:]))
            after = judge.update(state, {"latency": sample})
            if after != state and judge.refuses(after):
                refused = at
                break
            state = after
        outcomes.append(Outcome(refused=refused))
    return outcomes
