"""The test of one scalar metric, over one small state."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

from canary.evidence.counted import Values
from canary.evidence.mixture import Logs, log_mean
from canary.evidence.plan import ScalarPlan
from canary.evidence.policy import Policy
from canary.evidence.scalar import RankTest, Scalars, SignTest


class ScalarEvidence(NamedTuple):
    """What the test of a scalar metric remembers: its bets, and the last sample that it used."""

    logs: Logs
    time: float | None = None
    canary: float = 0.0
    stable: float | None = None
    samples: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarTrial:
    """The test of one scalar metric with its constants."""

    plan: ScalarPlan
    test: RankTest | SignTest
    spacing: float

    @classmethod
    def of(cls, plan: ScalarPlan, policy: Policy) -> Self:
        """Choose the test that a plan asks for."""
        test: RankTest | SignTest = SignTest(minimum=plan.minimum, maximum=plan.maximum)
        if plan.baseline:
            test = RankTest(
                margin=policy.scalar_margin,
                cap=policy.cap_calm * policy.refuse_at,
                higher_is_worse=plan.higher_is_worse,
            )
        return cls(plan=plan, test=test, spacing=plan.spacing or policy.scalar_spacing)

    def start(self) -> ScalarEvidence:
        """Return the evidence before the first sample."""
        return ScalarEvidence(self.test.start())

    def step(self, evidence: ScalarEvidence, sample: Scalars) -> ScalarEvidence:
        """Add one sample, unless it comes too soon after the last or lacks a side."""
        canary = [value for value in sample.canary if math.isfinite(value)]
        stable = [value for value in sample.stable if math.isfinite(value)]
        early = evidence.time is not None and sample.time < evidence.time + self.spacing
        if early or not canary or (self.plan.baseline and not stable):
            return evidence
        if isinstance(self.test, RankTest):
            logs = self.test.step(evidence.logs, canary, stable)
        else:
            logs = self.test.step(evidence.logs, canary)
        return ScalarEvidence(
            logs=logs,
            time=sample.time,
            canary=sum(canary) / len(canary),
            stable=sum(stable) / len(stable) if stable else None,
            samples=evidence.samples + 1,
        )

    def values(self, evidence: ScalarEvidence) -> Values:
        """Return how much there is against the candidate; the one test is its own guard."""
        value = log_mean(evidence.logs)
        name = "rank" if isinstance(self.test, RankTest) else "sign"
        return Values({name: value}, value, value)

    def ceiling(self, evidence: ScalarEvidence) -> float:
        """Return what the logarithm of the evidence is not above."""
        return max(evidence.logs)
