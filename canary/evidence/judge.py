"""The judge: one sequential test over all metrics of one run, pure and without a clock.

A candidate is refused as soon as

    sum_m w_m E_m >= 1 / (alpha - alpha_history)   over the metrics whose guard has been passed, and
    sum_m w_m G_m >= 1 / alpha_guard               over all metrics,

where E_m is a metric's weighted mean over its tests and G_m the one of them that assumes nothing
(the comparison with the stable of the same moment, or the bound where there is none). The first
keeps false refusals below alpha while the stable's rate stands still; the second below alpha_guard
whatever the stable does, so that an incident that hits both is not blamed on the candidate. Both
hold over all metrics, steps and looks together (Ville; Vovk and Wang, Annals of Statistics 49(3)).
A candidate is non-inferior once every metric that has a say has shown it, and while none is bad on
both arms: an incident is no time to promote, whoever's fault it is.

The judge holds only constants. The state goes in and comes out, so the same strata give the same
state, after a restart too.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from canary.evidence.counted import CountEvidence, CountTrial, Values
from canary.evidence.counters import Stratum
from canary.evidence.mixture import log_weighted
from canary.evidence.outlook import count_finding, need_to_promote, need_to_refuse, scalar_finding
from canary.evidence.plan import CountPlan, Plan
from canary.evidence.policy import Policy
from canary.evidence.ranked import ScalarEvidence, ScalarTrial
from canary.evidence.scalar import Scalars
from canary.evidence.verdict import (
    Continue,
    Finding,
    Need,
    NonInferior,
    Outlook,
    Refuse,
    Undecided,
    Verdict,
)

Samples = Mapping[str, Stratum | Scalars]
"""What was read at one moment, by the metrics' names. What could not be read is left out."""


_Step = tuple[str, Callable[[Any, Any], Any]]
"""A metric's name and the step of its trial, which takes and gives its own kind of evidence."""

_Ceiling = Callable[[Any], float]
"""What a trial says that the guard's evidence is not above, given its own kind of evidence."""


class JudgeState(NamedTuple):
    """What a run remembers of its evidence: one entry per plan, in their order."""

    metrics: tuple[CountEvidence | ScalarEvidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """One metric at the moment of a verdict."""

    weight: float
    trial: CountTrial | ScalarTrial
    evidence: CountEvidence | ScalarEvidence
    values: Values


class Judge:
    """Judges one run. Made of the policy and the plans, which stay what they are for the run."""

    def __init__(self, policy: Policy, plans: Sequence[Plan]) -> None:
        if len({plan.name for plan in plans}) < len(plans):
            raise ValueError("two plans have the same name")
        self.policy = policy
        self.plans = tuple(plans)
        heavy = [_weight(plan) for plan in plans]
        self._weights = tuple(weight / (sum(heavy) or 1.0) for weight in heavy)
        self._trials = tuple(
            CountTrial.of(plan, policy, weight)
            if isinstance(plan, CountPlan)
            else ScalarTrial.of(plan, policy)
            for plan, weight in zip(plans, self._weights, strict=True)
        )
        self._steps: tuple[_Step, ...] = tuple(
            (trial.plan.name, trial.step) for trial in self._trials
        )
        self._ceilings: tuple[_Ceiling, ...] = tuple(trial.ceiling for trial in self._trials)

    def start(self) -> JudgeState:
        """Return the state before the first sample."""
        return JudgeState(tuple([trial.start() for trial in self._trials]))

    def update(self, state: JudgeState, samples: Samples) -> JudgeState:
        """Add what was read at one moment. A metric without a sample stays as it is."""
        if not self.policy.enabled:
            return state
        metrics = list(state.metrics)
        for at, (name, step) in enumerate(self._steps):
            if (sample := samples.get(name)) is not None:
                metrics[at] = step(metrics[at], sample)
        return JudgeState(tuple(metrics))

    def verdict(self, state: JudgeState, *, final: bool = False) -> Verdict:
        """Say what the evidence amounts to. `final` is whether the deadline has come."""
        if not self.policy.enabled:
            return Continue(outlook=Outlook())
        standings = self._standings(state)
        if self._may_refuse(state) and (refused := self._refusal(standings)):
            return Refuse(finding=refused)
        outlook = self._outlook(standings)
        if self._passes(standings) and not outlook.shared:
            return NonInferior(error_probability=self.policy.beta, outlook=outlook)
        if final:
            return Undecided(outlook=outlook, then=self.policy.on_inconclusive)
        return Continue(outlook=outlook)

    def refuses(self, state: JudgeState) -> bool:
        """Tell whether the evidence refuses the candidate: the short form of `verdict`."""
        if not self.policy.enabled or not self._may_refuse(state):
            return False
        return self._refusal(self._standings(state)) is not None

    def _may_refuse(self, state: JudgeState) -> bool:
        """Tell whether the guard can be passed at all; most updates leave it far away.

        The weights sum to 1, so the guard is not above the largest of its metrics.
        """
        guard_at = self.policy.guard_at
        pairs = zip(self._ceilings, state.metrics, strict=True)
        return any(ceiling(evidence) >= guard_at for ceiling, evidence in pairs)

    def _standings(self, state: JudgeState) -> tuple[_Standing, ...]:
        return tuple(
            _Standing(
                weight=weight, trial=trial, evidence=evidence, values=_values(trial, evidence)
            )
            for weight, trial, evidence in zip(
                self._weights, self._trials, state.metrics, strict=True
            )
        )

    def _refusal(self, standings: Sequence[_Standing]) -> Finding | None:
        guarded = [one for one in standings if self._guarded(one)]
        total = log_weighted((one.weight, one.values.metric) for one in guarded)
        guard = log_weighted((one.weight, one.values.guard) for one in standings)
        if total < self.policy.refuse_at or guard < self.policy.guard_at:
            return None
        leading = max(guarded, key=_pull)
        return _finding(leading, self._chance(total))

    def _chance(self, total: float) -> float:
        """Bound the chance to see this much evidence against a healthy candidate."""
        return min(1.0, math.exp(-max(0.0, total)) + self.policy.alpha_history)

    def _guarded(self, one: _Standing) -> bool:
        return one.weight > 0 and one.values.guard >= self.policy.guard_at

    def _passes(self, standings: Sequence[_Standing]) -> bool:
        gates = [one for one in standings if _promotes(one.trial)]
        return bool(gates) and all(_passing(one) >= self.policy.promote_at for one in gates)

    def _outlook(self, standings: Sequence[_Standing]) -> Outlook:
        against = [one for one in standings if one.weight > 0]
        if not against:
            return Outlook(to_promote=self._to_promote(standings), silent=_silent(standings))
        total = log_weighted((one.weight, one.values.metric) for one in against)
        leading = max(against, key=_pull)
        return Outlook(
            leading=_finding(leading, self._chance(total)),
            to_refuse=self._to_refuse(against),
            to_promote=self._to_promote(standings),
            silent=_silent(standings),
            shared=tuple(
                one.trial.plan.name
                for one in against
                if _pull(one) >= self.policy.refuse_at and not self._guarded(one)
            ),
        )

    def _to_refuse(self, standings: Sequence[_Standing]) -> Need | None:
        needs = [
            need_to_refuse(
                one.trial,
                one.evidence,
                self.policy.refuse_at - math.log(one.weight),
                self.policy.guard_at - math.log(one.weight),
            )
            for one in standings
            if isinstance(one.trial, CountTrial) and isinstance(one.evidence, CountEvidence)
        ]
        return min((need for need in needs if need), key=_requests, default=None)

    def _to_promote(self, standings: Sequence[_Standing]) -> Need | None:
        needs = [
            need_to_promote(one.trial, one.evidence, self.policy.promote_at)
            for one in standings
            if isinstance(one.trial, CountTrial)
            and isinstance(one.evidence, CountEvidence)
            and _promotes(one.trial)
        ]
        found = [need for need in needs if need]
        return max(found, key=_requests, default=None) if len(found) == len(needs) else None


def _weight(plan: Plan) -> float:
    return plan.weight if not isinstance(plan, CountPlan) or plan.refuses else 0.0


def _promotes(trial: CountTrial | ScalarTrial) -> bool:
    return isinstance(trial, CountTrial) and trial.plan.promotes


def _pull(one: _Standing) -> float:
    return math.log(one.weight) + one.values.metric


def _requests(need: Need) -> float:
    return need.requests


def _values(trial: CountTrial | ScalarTrial, evidence: CountEvidence | ScalarEvidence) -> Values:
    if isinstance(trial, CountTrial) and isinstance(evidence, CountEvidence):
        return trial.values(evidence)
    if isinstance(trial, ScalarTrial) and isinstance(evidence, ScalarEvidence):
        return trial.values(evidence)
    raise TypeError(f"{trial.plan.name}: the state belongs to other plans")


def _passing(one: _Standing) -> float:
    if isinstance(one.trial, CountTrial) and isinstance(one.evidence, CountEvidence):
        return one.trial.passing(one.evidence)
    return math.inf


def _finding(one: _Standing, error_probability: float) -> Finding:
    if isinstance(one.trial, CountTrial) and isinstance(one.evidence, CountEvidence):
        return count_finding(one.trial, one.evidence, one.values, error_probability)
    if isinstance(one.trial, ScalarTrial) and isinstance(one.evidence, ScalarEvidence):
        return scalar_finding(one.trial, one.evidence, one.values, error_probability)
    raise TypeError(f"{one.trial.plan.name}: the state belongs to other plans")


def _silent(standings: Sequence[_Standing]) -> tuple[str, ...]:
    """Return the metrics that no sample has said anything about."""
    quiet = []
    for one in standings:
        evidence = one.evidence
        seen = evidence.strata if isinstance(evidence, CountEvidence) else evidence.samples
        if not seen:
            quiet.append(one.trial.plan.name)
    return tuple(quiet)
