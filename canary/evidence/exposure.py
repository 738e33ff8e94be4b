"""What a larger share of the traffic may cost: bad answers until the run is looked at again.

The share should rise only while

    U * v * s <= budget

where v is the canary's requests per second at the larger share, s the seconds until the next
decision, and U the upper end of a confidence sequence for the canary's bad rate: all rates that the
promotion's own test (`canary.evidence.promotion.against_rate`) has refuted are above it. It is
looked at before every step, and holds at all of these looks together with a chance of 1 - beta
(Ville; Howard, Ramdas, McAuliffe, Sekhon, Annals of Statistics 49(2)). Counts are those divided by
their dispersion.
"""

import math
from dataclasses import dataclass
from typing import Final

from canary.evidence.counted import CountEvidence
from canary.evidence.judge import Judge, JudgeState
from canary.evidence.mixture import log_needed
from canary.evidence.plan import CountPlan
from canary.evidence.promotion import against_rate
from canary.evidence.verdict import Need

_ROUNDS: Final = 30
_HIGHEST: Final = 1 - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """The bad answers of one metric at worst; all that are served where nothing was counted.

    `missing` is how many good answers more would make them fit, None where no rate is known.
    """

    metric: str
    cost: float
    missing: Need | None = None


def exposure(
    judge: Judge, state: JudgeState, *, growth: float, seconds: float, budget: float
) -> Exposure | None:
    """Return the metric that may cost most; None where no metric's answers are bad or good.

    Latencies without a limit are left out: half of all requests are slower than a median.

    Args:
        judge: the run's.
        state: what it has seen.
        growth: the canary's requests per second at the larger share, over those so far.
        seconds: until the next decision.
        budget: how many bad answers are to be risked.

    """
    found = [
        _cost(plan, evidence, judge.policy.promote_at, growth * seconds, budget)
        for plan, evidence in zip(judge.plans, state.metrics, strict=True)
        if isinstance(plan, CountPlan) and isinstance(evidence, CountEvidence)
        if plan.refuses and plan.floor is None
    ]
    return max(found, key=lambda one: one.cost, default=None)


def upper_rate(bad: float, requests: float, refuted_at: float) -> float:
    """Return the least rate from which on all are refuted, given bad and all requests so far.

    Args:
        bad: divided by the dispersion, as requests are.
        requests: above 0.
        refuted_at: logarithm of the evidence that refutes a rate.

    """
    low, high = min(_HIGHEST, bad / requests), _HIGHEST
    if against_rate(high).value(bad, requests) < refuted_at:
        return 1.0
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        if against_rate(middle).value(bad, requests) < refuted_at:
            low = middle
        else:
            high = middle
    return high


def _cost(
    plan: CountPlan, evidence: CountEvidence, refuted_at: float, stretch: float, budget: float
) -> Exposure:
    if evidence.requests <= 0:
        return Exposure(metric=plan.name, cost=math.inf)
    ahead = evidence.volume * stretch
    cost = upper_rate(evidence.bad, evidence.requests, refuted_at) * ahead
    missing = _missing(evidence, refuted_at, min(_HIGHEST, budget / ahead) if ahead else _HIGHEST)
    seconds = missing / evidence.volume if evidence.volume > 0 else None
    need = Need(metric=plan.name, requests=math.ceil(missing), seconds=seconds)
    return Exposure(metric=plan.name, cost=cost, missing=need)


def _missing(evidence: CountEvidence, refuted_at: float, rate: float) -> float:
    """Return how many good answers more refute a rate; errs to the long side."""
    test = against_rate(rate)
    logs = test.logs(evidence.bad, evidence.requests)
    waits = log_needed(logs, test.growth(0.0), refuted_at) or 0.0
    return waits * evidence.canary_all / evidence.requests
