"""What a larger share of the traffic may cost: bad answers until the run is looked at again.

The share should rise only while

    U * v * s <= budget

where U is the upper confidence bound, at level 1 - beta, of the canary's bad rate given what it has
answered (Garwood, 1936; see `canary.evidence.learned`), v its requests per second at the larger
share and s the seconds until the next decision. Counts are those divided by their dispersion.
"""

import math
from dataclasses import dataclass

from canary.evidence.counted import CountEvidence
from canary.evidence.judge import Judge, State
from canary.evidence.learned import gamma_quantile
from canary.evidence.plan import CountPlan
from canary.evidence.verdict import Need


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """The bad answers of one metric at worst; infinite where nothing was counted.

    `missing` is how many good answers more would make them fit, None where no rate is known.
    """

    metric: str
    cost: float
    missing: Need | None = None


def exposure(
    judge: Judge, state: State, *, growth: float, seconds: float, budget: float
) -> Exposure | None:
    """Return what the metric that may cost most does cost; None where nothing is counted.

    Latencies without a limit are left out: half of all requests are slower than a median.

    Args:
        judge: the run's.
        state: what it has seen.
        growth: the larger share over the present one.
        seconds: until the next decision.
        budget: how many bad answers are to be risked.

    """
    found = [
        _cost(plan, evidence, judge.policy.beta, growth * seconds, budget)
        for plan, evidence in zip(judge.plans, state.metrics, strict=True)
        if isinstance(plan, CountPlan) and isinstance(evidence, CountEvidence)
        if plan.refuses and plan.floor is None
    ]
    return max(found, key=lambda one: one.cost, default=None)


def _cost(
    plan: CountPlan, evidence: CountEvidence, level: float, stretch: float, budget: float
) -> Exposure:
    if evidence.requests <= 0:
        return Exposure(metric=plan.name, cost=math.inf)
    upper = gamma_quantile(evidence.bad + 1, level)
    ahead = evidence.volume * stretch
    cost = min(1.0, upper / evidence.requests) * ahead
    scale = evidence.canary_all / evidence.requests
    missing = max(0.0, upper * ahead / budget - evidence.requests) * scale
    seconds = missing / evidence.volume if evidence.volume > 0 else None
    need = Need(metric=plan.name, requests=math.ceil(missing), seconds=seconds)
    return Exposure(metric=plan.name, cost=cost, missing=need)
