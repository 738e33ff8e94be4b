"""All tests of one metric of counts, over one small state.

The step is what runs for every canary, metric and scrape, so it is written for speed: states are
tuples, and a scrape without a bad request only adds up totals.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

from canary.evidence.bound import BoundTest
from canary.evidence.counters import Stratum
from canary.evidence.dispersion import Calibration, learned_bound, uncalibrated
from canary.evidence.mixture import NOTHING, Logs, log_mean
from canary.evidence.plan import CountPlan
from canary.evidence.policy import Policy
from canary.evidence.promotion import USUAL_RATE, against_rate, against_stable
from canary.evidence.rate import RateTest
from canary.evidence.ratio import Comparison, RatioTest

AVERAGED = 60.0
"""Over how many seconds the present rate of requests is averaged."""


class CountEvidence(NamedTuple):
    """What the tests of one metric remember.

    `dues` are those of both ratio tests, `excess` is that of each rate test, `quiet` counts scrapes
    without a bad canary request. `bad` and `requests` are the canary's counts divided by its
    dispersion, the four that follow are what was really counted. `volume` is the present rate of
    canary requests per second.
    """

    dues: Logs
    bets: Logs
    excess: tuple[Logs, ...]
    quiet: int = 0
    bad: float = 0.0
    requests: float = 0.0
    canary_bad: float = 0.0
    canary_all: float = 0.0
    stable_bad: float = 0.0
    stable_all: float = 0.0
    volume: float = 0.0
    strata: int = 0


class Values(NamedTuple):
    """Logarithms of evidence: of every test, of the metric, and of what the guard asks for."""

    tests: dict[str, float]
    metric: float
    guard: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CountTrial:
    """The tests of one metric with their constants.

    `rates` are the rate tests by name; `capped` is the one among them that a scrape takes to its
    cap first. `flat` is the dispersion where it is the same at every volume.
    """

    plan: CountPlan
    calibration: Calibration
    comparison: Comparison | None
    worst: RateTest
    bound: BoundTest | None
    rates: tuple[tuple[str, RateTest], ...]
    flat: float | None
    capped: RateTest | None

    @classmethod
    def of(cls, plan: CountPlan, policy: Policy) -> Self:
        """Lay out the tests that a plan asks for."""
        calibration = plan.calibration or uncalibrated(policy)
        cap = policy.cap(calibration.levels[0][1], known=calibration.known)
        betting = plan.maximum is not None and not plan.independent
        rate = policy.inferior_rate or plan.maximum or USUAL_RATE
        comparison = Comparison(
            worse=RatioTest(margin=calibration.margin, cap=cap),
            inferior=against_stable(policy.inferior_margin) if plan.promotes else None,
        )
        rates = tuple(_rates(plan, policy, calibration, cap))
        flat = calibration.levels[0][1] if len(calibration.levels) == 1 else None
        return cls(
            plan=plan,
            calibration=calibration,
            comparison=comparison if plan.baseline else None,
            worst=against_rate(rate),
            bound=BoundTest(maximum=plan.maximum or 1.0, cap=cap) if betting else None,
            rates=rates,
            flat=flat if flat is None or math.isfinite(flat) else None,
            capped=min(
                [test for _, test in rates if test.cap < math.inf],
                key=lambda test: test.bound,
                default=None,
            ),
        )

    def start(self) -> CountEvidence:
        """Return the evidence before the first request."""
        return CountEvidence(
            dues=self.comparison.start() if self.comparison else (),
            bets=self.bound.start() if self.bound else (),
            excess=((),) * len(self.rates),
        )

    def step(self, evidence: CountEvidence, stratum: Stratum) -> CountEvidence:
        """Add one stratum. Without canary requests it says nothing."""
        if stratum.canary_all <= 0:
            return evidence
        if self.comparison and stratum.stable_all <= 0:
            return self._step_bound(evidence, stratum)
        return self._step_all(evidence, stratum)

    def _step_all(self, old: CountEvidence, stratum: Stratum) -> CountEvidence:
        # Taken apart and put together by position: this runs for every metric of every canary.
        canary_bad, canary_all, stable_bad, stable_all, seconds = stratum
        (dues, bets, excess, quiet, bads, requests, c_bad, c_all, s_bad, s_all, was, strata) = old
        volume = _volume(was, canary_all, seconds)
        phi = self.flat or self.calibration.at(was or volume)
        bad, more = canary_bad / phi, canary_all / phi
        if self.comparison and (canary_bad or stable_bad):
            other = self.calibration.stable
            split = bad, more, stable_bad / other, stable_all / other
            dues = self.comparison.step(dues, split)
        if not canary_bad:
            quiet += 1
        else:
            if self.bound:
                bets = self.bound.step(bets, canary_bad / canary_all)
            if self.capped and self.capped.exceeds(bad, more):
                excess = self._excess(excess, bad, more)
        counted = (
            dues,
            bets,
            excess,
            quiet,
            bads + bad,
            requests + more,
            c_bad + canary_bad,
            c_all + canary_all,
            s_bad + stable_bad,
            s_all + stable_all,
            volume,
            strata + 1,
        )
        # What the class itself does with twelve arguments, in half of its time.
        return tuple.__new__(CountEvidence, counted)

    def _excess(self, excess: tuple[Logs, ...], bad: float, requests: float) -> tuple[Logs, ...]:
        return tuple(
            [
                test.excess(before, bad, requests)
                for (_, test), before in zip(self.rates, excess, strict=True)
            ]
        )

    def _step_bound(self, evidence: CountEvidence, stratum: Stratum) -> CountEvidence:
        """Add a stratum without the stable: only the bound is held against it."""
        if not self.bound:
            return evidence
        evidence = evidence._replace(
            canary_bad=evidence.canary_bad + stratum.canary_bad,
            canary_all=evidence.canary_all + stratum.canary_all,
            volume=_volume(evidence.volume, stratum.canary_all, stratum.seconds),
            strata=evidence.strata + 1,
        )
        if not stratum.canary_bad:
            return evidence._replace(quiet=evidence.quiet + 1)
        fraction = stratum.canary_bad / stratum.canary_all
        return evidence._replace(bets=self.bound.step(evidence.bets, fraction))

    def values(self, evidence: CountEvidence) -> Values:
        """Return how much there is against the candidate.

        The comparison with the stable also has to be beyond the floor, so the smaller of the two
        counts. The metric's evidence is the mean of its tests. The guard asks for the one that
        holds without any assumption: the comparison, or the bound where there is no stable.
        """
        tests = {
            name: test.value(evidence.bad, evidence.requests, excess)
            for (name, test), excess in zip(self.rates, evidence.excess, strict=True)
        }
        floor = tests.pop("floor", math.inf)
        if self.comparison:
            ratio = log_mean(self.comparison.against(evidence.dues, evidence.bad))
            tests["ratio"] = min(ratio, floor)
        if self.bound:
            tests["bound"] = self.bound.value(evidence.bets, evidence.quiet)
        guard = tests["ratio"] if self.comparison else tests.get("bound", NOTHING)
        return Values(tests, log_mean(tuple(tests.values())), guard)

    def ceiling(self, evidence: CountEvidence) -> float:
        """Return what the guard's logarithm is not above: no mean is above its largest part."""
        if not self.comparison:
            return self.values(evidence).guard
        if not evidence.bad:
            return NOTHING
        return max(self.comparison.against(evidence.dues, evidence.bad))

    def passing(self, evidence: CountEvidence) -> float:
        """Return the logarithm of the evidence that the candidate is not inferior."""
        worst = self.worst.value(evidence.bad, evidence.requests)
        if not self.comparison:
            return worst
        ratio = log_mean(self.comparison.passing(evidence.dues, evidence.bad))
        return log_mean((worst, ratio))


def _rates(
    plan: CountPlan, policy: Policy, calibration: Calibration, cap: float
) -> list[tuple[str, RateTest]]:
    floor = min(policy.floor, plan.maximum or 1.0) if plan.floor is None else plan.floor
    tests = []
    if plan.baseline and floor > 0:
        # The comparison is capped, and the smaller of the two counts: the floor needs no cap.
        tests.append(("floor", RateTest(bound=floor)))
    learned = learned_bound(calibration, floor)
    # A share that is large by nature is no rate of errors, which the learned bound is made for.
    if plan.baseline and learned is not None and plan.floor is None:
        tests.append(("learned", RateTest(bound=learned, cap=cap)))
    if plan.maximum is not None and plan.independent:
        tests.append(("bound", RateTest(bound=plan.maximum, cap=cap)))
    return tests


def _volume(before: float, requests: float, seconds: float) -> float:
    """Return the present rate of canary requests per second, averaged over a minute."""
    if seconds <= 0:
        return before
    now = requests / seconds
    if not before:
        return now
    return before + (now - before) * (seconds / AVERAGED if seconds < AVERAGED else 1.0)
