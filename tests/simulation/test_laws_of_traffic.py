"""A stable that is drawn at once counts as its pods do that are drawn one by one."""

from dataclasses import replace

import numpy as np
import pytest

from tests.simulation.outcomes import LOOKS, PODS, Array
from tests.simulation.row import seeded
from tests.simulation.traffic import (
    CORRELATED,
    IID,
    INCIDENT,
    UNSEEN,
    Kind,
    Service,
    history,
    pod_rates,
    strata,
)

RUNS = 300
BLOCK = 12
"""Scrapes: a minute, which is longer than any burst."""
KINDS = (IID, *CORRELATED, *UNSEEN, INCIDENT)
AT_ONCE = [kind for kind in KINDS if kind.pods == 1]


def _counts(kind: Kind, rate: float = 0.02, runs: int = RUNS) -> Array:
    """Return what runs count in blocks, of shape (runs, blocks, counts of a stratum)."""
    service, rng = Service(rps=50, rate=rate, kind=kind), seeded()
    spreads = pod_rates(service, rng, (runs, PODS))
    drawn = np.array(
        [[one[:4] for one in run] for run in strata(service, rng, LOOKS, spreads, rate)]
    )
    return np.asarray(drawn.reshape(runs, LOOKS // BLOCK, BLOCK, 4).sum(2))


@pytest.mark.parametrize("kind", AT_ONCE, ids=lambda kind: kind.name)
def test_what_is_drawn_at_once_has_the_law_of_single_pods(kind: Kind) -> None:
    once, single = _counts(kind), _counts(replace(kind, by_pod=True))
    means = once.mean(axis=(0, 1)), single.mean(axis=(0, 1))
    # Runs are independent of each other, blocks of one may not be.
    spread = np.sqrt((once.mean(axis=1).var(axis=0) + single.mean(axis=1).var(axis=0)) / RUNS)
    assert (np.abs(means[0] - means[1]) <= 4 * spread).all()
    # Around its time of the run, for weights and tides move the mean.
    spreads = [(drawn - drawn.mean(axis=0)).std(axis=(0, 1)) for drawn in (once, single)]
    assert spreads[0] == pytest.approx(spreads[1], rel=0.1)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_both_arms_fail_as_often_as_is_said(kind: Kind) -> None:
    counts = _counts(kind).sum(axis=(0, 1))
    weights = np.mean(kind.weights)
    assert counts[1] / (counts[1] + counts[3]) == pytest.approx(weights, rel=0.01)
    assert counts[1] + counts[3] == pytest.approx(50 * 1800 * RUNS, rel=0.001)
    # An incident adds 24 scrapes of 18 % more. A cluster holds no more than a pod has requests.
    rate = 0.02 + (0.18 * 24 / LOOKS if kind is INCIDENT else 0)
    for bad, requests in ((counts[0], counts[1]), (counts[2], counts[3])):
        assert (0.7 if kind.by_pod else 0.94) * rate <= bad / requests <= 1.06 * rate


def test_a_history_and_a_run_are_of_the_same_pods() -> None:
    kind = next(kind for kind in KINDS if kind.pod_spread == pytest.approx(0.3))
    service, rng = Service(rps=500, rate=0.02, kind=kind), seeded()
    spread = pod_rates(service, rng, PODS)
    pods = history(service, rng, 2000, spread)
    rates = [sum(pod.bad) / sum(pod.requests) / 0.02 for pod in pods]
    assert rates == pytest.approx(spread.tolist(), rel=0.05)
    runs = np.array(list(strata(service, rng, LOOKS, np.stack([spread] * 20), 0.02)))
    assert runs[:, :, 2].sum() / runs[:, :, 3].sum() / 0.02 == pytest.approx(
        spread.mean(), rel=0.01
    )
    own = runs[:, :, 0].sum(axis=1) / runs[:, :, 1].sum(axis=1) / 0.02
    assert own.std() > 0.15, "each run has a canary pod of its own"
