"""What would have changed a verdict, found by judging again what a run has stored.

The record of a run holds totals and products, not its scrapes. Two questions are answered from it:

- `strictest_alpha` judges the same evidence by other policies. What one scrape was allowed to add
  stays as it was, so the answer is exact for the evidence on record.
- `fewer_bad` puts a metric's totals, with fewer bad canary requests, into as many equal scrapes as
  there were (`_MOST_SCRAPES` at most), judges those, and takes off the record's evidence what the
  judged evidence lost. It is exact where the scrapes were equal. Where the bad requests came in
  bursts, or the weight was moved, it is only as right as the mean scrape stands for all: what a cap
  took from a burst, an even scrape may not have reached, and the other way round. Where no history
  is known all scrapes are judged by what was learned of the stable in the end.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from canary.evidence.counted import CountEvidence
from canary.evidence.counters import Stratum
from canary.evidence.judge import Judge, JudgeState
from canary.evidence.plan import CountPlan, Plan
from canary.evidence.policy import Policy
from canary.evidence.verdict import Finding, Refuse, Verdict

LEAST_ALPHA: Final = 1e-9
"""The smallest error probability that a policy takes."""
_MOST_ALPHA: Final = 1 - 1e-9
_HALVINGS: Final = 48
_MOST_SCRAPES: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricEvidence:
    """What one metric of a run says by itself.

    `value` is its e-value against the candidate, 1 where it is 1 or less, and `needed` is what it
    would have to reach to refuse alone: infinite for a plan that refuses nothing. `known` is
    whether the dispersion was learned from a history; it is assumed otherwise.
    """

    plan: Plan
    finding: Finding | None
    value: float
    needed: float
    known: bool


def total_evidence(judge: Judge, state: JudgeState) -> float:
    """Return the e-value of all metrics together, 1 where it is 1 or less.

    It is the weighted mean that `canary.evidence.judge` holds against `needed_evidence`.
    """
    return _value(_speaking(_with(judge).verdict(state)))


def needed_evidence(policy: Policy) -> float:
    """Return the e-value that a refusal takes: 1 / (alpha - alpha_history)."""
    return math.exp(policy.refuse_at)


def by_metric(judge: Judge, state: JudgeState) -> tuple[MetricEvidence, ...]:
    """Return what each plan of a run says when it is judged alone, in the judge's order."""
    everything = sum(_weight(plan) for plan in judge.plans)
    return tuple(
        _alone(judge, state, position, _weight(plan) / (everything or 1.0))
        for position, plan in enumerate(judge.plans)
    )


def strictest_alpha(judge: Judge, state: JudgeState) -> float | None:
    """Return the smallest error probability by which a refused candidate is refused.

    With a smaller one it would just not have been. The part of it that the learned bounds may use
    up stays the same share. None where even `LEAST_ALPHA` refuses it.

    Args:
        judge: of the run.
        state: one that this judge refuses.

    Raises:
        ValueError: it does not refuse it.

    """
    if not judge.refuses(state):
        raise ValueError("the candidate is not refused, so no smaller alpha could have kept it")
    if _refused_at(judge, state, LEAST_ALPHA):
        return None
    low, high = math.log(LEAST_ALPHA), math.log(judge.policy.alpha)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _refused_at(judge, state, math.exp(middle)):
            high = middle
        else:
            low = middle
    return min(judge.policy.alpha, math.exp(high))


def fewer_bad(judge: Judge, state: JudgeState) -> int | None:
    """Return how many fewer bad canary requests would have left a refused run open.

    They are those of the metric that refuses; all else stays. One fewer than this would still have
    been refused. None where no such number is in the record: the metric counts nothing, the others
    refuse as well, or its totals without their order do not.

    Args:
        judge: of the run.
        state: one that this judge refuses.

    Raises:
        ValueError: it does not refuse it.

    """
    verdict = _with(judge).verdict(state)
    if not judge.refuses(state) or not isinstance(verdict, Refuse):
        raise ValueError("the candidate is not refused, so no fewer bad requests are needed")
    position = [plan.name for plan in judge.plans].index(verdict.finding.metric)
    evidence = state.metrics[position]
    if not isinstance(evidence, CountEvidence) or evidence.strata < 1:
        return None
    counterfactual = partial(_log_after, judge, state, position)
    reached = math.log(_value(verdict.finding))
    return _fewest(judge.policy, reached, evidence.canary_bad, counterfactual)


def _fewest(
    policy: Policy, reached: float, bad: float, log_with: Callable[[float], float | None]
) -> int | None:
    """Search for the change; evidence never falls with a further bad request, so halving finds it.

    Args:
        policy: of the run.
        reached: logarithm of the evidence on record.
        bad: requests on record.
        log_with: logarithm of the evidence with so many bad requests, None where it refuses never.

    """
    whole = log_with(bad)
    if whole is None:
        return None

    def refused(fewer: int) -> bool:
        log = log_with(max(0.0, bad - fewer))
        return log is not None and reached - (whole - log) >= policy.refuse_at

    low, high = 0, math.ceil(bad)
    if refused(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if refused(middle) else (low, middle)
    return high


def _log_after(judge: Judge, state: JudgeState, position: int, bad: float) -> float | None:
    """Return the logarithm of the evidence after equal scrapes, None where the guard stops it."""
    plan, evidence = judge.plans[position], state.metrics[position]
    if not isinstance(evidence, CountEvidence):
        return None
    count = min(evidence.strata, _MOST_SCRAPES)
    part = evidence.canary_all / count
    scrape = Stratum(
        bad / count,
        part,
        evidence.stable_bad / count,
        evidence.stable_all / count,
        part / evidence.volume if evidence.volume > 0 else 0.0,
    )
    single = Judge(judge.policy, [plan])
    replayed = _knowing(single.start(), evidence)
    for _ in range(count):
        replayed = single.update(replayed, {plan.name: scrape})
    metrics = (*state.metrics[:position], replayed.metrics[0], *state.metrics[position + 1 :])
    # With the least that may be asked for, what is not refused is held up by the guard.
    verdict = _with(judge, alpha=_MOST_ALPHA).verdict(JudgeState(metrics))
    return math.log(_value(verdict.finding)) if isinstance(verdict, Refuse) else None


def _knowing(fresh: JudgeState, evidence: CountEvidence) -> JudgeState:
    """Return the state before a plan's first scrape, with what was learned in the end."""
    (first,) = fresh.metrics
    if not isinstance(first, CountEvidence) or not first.bursty or not evidence.bursty:
        return fresh
    known = first.bursty._replace(stable=evidence.bursty.stable)
    return JudgeState((first._replace(bursty=known),))


def _refused_at(judge: Judge, state: JudgeState, alpha: float) -> bool:
    share = judge.policy.alpha_history / judge.policy.alpha
    return _with(judge, alpha=alpha, history=alpha * share).refuses(state)


def _with(judge: Judge, *, alpha: float | None = None, history: float = 0.0) -> Judge:
    """Return the judge for other error probabilities and the same plans."""
    alpha = judge.policy.alpha if alpha is None else alpha
    return Judge(replace(judge.policy, alpha=alpha, alpha_history=history), judge.plans)


def _alone(judge: Judge, state: JudgeState, position: int, share: float) -> MetricEvidence:
    """Judge one plan alone; one that refuses nothing for its counts only."""
    plan = judge.plans[position]
    lone: Sequence[Plan] = [replace(plan, refuses=True) if isinstance(plan, CountPlan) else plan]
    verdict = Judge(replace(judge.policy, alpha_history=0.0), lone).verdict(
        JudgeState((state.metrics[position],))
    )
    finding = _speaking(verdict)
    return MetricEvidence(
        plan=plan,
        finding=finding,
        value=_value(finding),
        needed=needed_evidence(judge.policy) / share if share else math.inf,
        known=_known(plan),
    )


def _known(plan: Plan) -> bool:
    found = plan.calibration if isinstance(plan, CountPlan) else None
    return found is not None and found.known


def _weight(plan: Plan) -> float:
    return 0.0 if isinstance(plan, CountPlan) and not plan.refuses else plan.weight


def _speaking(verdict: Verdict) -> Finding | None:
    return verdict.finding if isinstance(verdict, Refuse) else verdict.outlook.leading


def _value(finding: Finding | None) -> float:
    """Return the e-value behind a finding that was made with `alpha_history` 0."""
    if finding is None:
        return 1.0
    return 1 / finding.error_probability if finding.error_probability else math.inf
