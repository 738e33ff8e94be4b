"""All tests of one metric of counts, over one small state.

The step is what runs for every canary, metric and scrape, so it is written for speed: states are
tuples, and a scrape without a bad request only adds up totals.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import add
from typing import Final, NamedTuple, Self

from canary.evidence.bound import BoundTest
from canary.evidence.bursty import BurstEvidence, BurstTests
from canary.evidence.counters import Stratum
from canary.evidence.dispersion import Calibration, learned_bound, uncalibrated
from canary.evidence.mixture import NOTHING, PRIOR, Logs, log_mean, log_mixed, log_weighted
from canary.evidence.plan import CountPlan
from canary.evidence.policy import Policy
from canary.evidence.promotion import USUAL_RATE, against_rate, against_stable
from canary.evidence.rate import RateTest
from canary.evidence.ratio import Comparison, RatioTest, Split
from canary.evidence.starts import Start

AVERAGED = 60.0
"""Over how many seconds the present rate of requests is averaged."""

_PARTS: Final = {"learned": 6.0, "bursts": 2.0}
"""What these tests count for among those of a metric, others 1: they are the first to find what
fails plainly, one where the stable's past is known, the other where it is not."""


class CountEvidence(NamedTuple):
    """What the tests of one metric remember.

    `dues` are those of both ratio tests, `excess` is that of each rate test, `quiet` counts scrapes
    without a bad canary request. `bad` and `requests` are the canary's counts divided by its
    dispersion, the four that follow are what was really counted. `volume` is the present rate of
    canary requests per second, `bursty` what is kept where no history is known.
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
    bursty: BurstEvidence | None = None


class Values(NamedTuple):
    """Logarithms of evidence: of every test, of the metric, and of what the guard asks for."""

    tests: dict[str, float]
    metric: float
    guard: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CountTrial:
    """The tests of one metric with their constants.

    `rates` are the rate tests by name; `capped` is the one among them that a scrape takes to its
    cap first. `flat` is the dispersion where it is the same at every volume, `begun` how a pod's
    first requests are taken. `bursty` are the tests that take the place of those of a history.
    """

    plan: CountPlan
    calibration: Calibration
    comparison: Comparison | None
    worst: RateTest
    bound: BoundTest | None
    rates: tuple[tuple[str, RateTest], ...]
    flat: float | None
    capped: RateTest | None
    begun: Start
    bursty: BurstTests | None

    @classmethod
    def of(cls, plan: CountPlan, policy: Policy, share: float = 1.0) -> Self:
        """Lay out the tests that a plan asks for; `share` is its part in the mean over metrics."""
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
            begun=Start(
                rate=policy.start_rate,
                margin=calibration.margin,
                floor=policy.floor,
                learned=calibration.learned,
            ),
            bursty=_bursty(plan, policy, calibration, cap, share),
        )

    def start(self) -> CountEvidence:
        """Return the evidence before the first request."""
        return CountEvidence(
            dues=self.comparison.start() if self.comparison else (),
            bets=self.bound.start() if self.bound else (),
            excess=((),) * len(self.rates),
            bursty=self.bursty.start() if self.bursty else None,
        )

    def step(self, evidence: CountEvidence, stratum: Stratum) -> CountEvidence:
        """Add one stratum. Without canary requests it says nothing of the canary."""
        after = self._tested(evidence, stratum)
        if self.bursty and after.bursty:
            return after._replace(bursty=self.bursty.learn(after.bursty, stratum))
        return after

    def _tested(self, evidence: CountEvidence, stratum: Stratum) -> CountEvidence:
        if stratum.canary_all <= 0:
            return evidence
        if self.comparison and stratum.stable_all <= 0:
            return self._step_bound(evidence, stratum)
        return self._step_all(evidence, stratum)

    def _step_all(self, old: CountEvidence, stratum: Stratum) -> CountEvidence:
        # Taken apart and put together by position: this runs for every metric of every canary.
        canary_bad, canary_all, stable_bad, stable_all, seconds, starting, _, _ = stratum
        (dues, bets, excess, quiet, bads, requests, c_bad, c_all, s_bad, s_all, was, strata) = old[
            :12
        ]
        volume = _volume(was, canary_all, seconds)
        phi = self.flat or self.calibration.at(was or volume)
        bad, more = canary_bad / phi, canary_all / phi
        split = (
            bad,
            more,
            stable_bad / self.calibration.stable,
            stable_all / self.calibration.stable,
        )
        bursty = old.bursty
        if starting or bursty:
            dues, bets, excess, bursty = self._step_with_care(old, stratum, split, was or volume)
        else:
            if self.comparison and (canary_bad or stable_bad):
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
            bursty,
        )
        # What the class itself does with thirteen arguments, in half of its time.
        return tuple.__new__(CountEvidence, counted)

    def _step_with_care(
        self, old: CountEvidence, stratum: Stratum, split: Split, volume: float
    ) -> tuple[Logs, Logs, tuple[Logs, ...], BurstEvidence | None]:
        """Add a stratum of pods whose traffic has only begun, or of a stable that is not known."""
        dues, bets, excess, bursty = old.dues, old.bets, old.excess, old.bursty
        bad, requests, *_ = split
        most: Logs = ()
        if stratum.starting:
            most = self.begun.most(bad, requests, *_stable_so_far(old))
        if self.comparison:
            dues = self.comparison.step(dues, split, most)
        excess = self._excess(excess, bad, requests, starting=stratum.starting)
        adds = self._betted(stratum)
        if self.bursty and bursty:
            known = self.bursty.known(bursty)
            adds = self.bursty.tempered(known, adds, volume)
            bursty = self.bursty.step(bursty, known, stratum, volume, old.strata, most)
        bets = tuple(map(add, bets, adds))
        return dues, bets, excess, bursty

    def _betted(self, stratum: Stratum) -> Logs:
        """Return what a stratum adds to the bets against the bound."""
        if not self.bound:
            return ()
        fraction = stratum.canary_bad / stratum.canary_all
        if stratum.starting:
            return self.bound.growth_above(self.begun.rate, fraction)
        return self.bound.growth(fraction)

    def _excess(
        self, excess: tuple[Logs, ...], bad: float, requests: float, *, starting: bool = False
    ) -> tuple[Logs, ...]:
        found = []
        for (_, test), before in zip(self.rates, excess, strict=True):
            if starting:
                found.append(test.excess_above(before, self.begun.rate, bad, requests))
            else:
                found.append(test.excess(before, bad, requests))
        return tuple(found)

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
        if self.bursty and evidence.bursty:
            adds = self.bound.growth(stratum.canary_bad / stratum.canary_all)
            known = self.bursty.known(evidence.bursty)
            adds = self.bursty.tempered(known, adds, evidence.volume)
            return evidence._replace(bets=tuple(map(add, evidence.bets, adds)))
        if not stratum.canary_bad:
            return evidence._replace(quiet=evidence.quiet + 1)
        fraction = stratum.canary_bad / stratum.canary_all
        return evidence._replace(bets=self.bound.step(evidence.bets, fraction))

    def values(self, evidence: CountEvidence) -> Values:
        """Return how much there is against the candidate.

        The comparison with the stable also has to be beyond the floor, so the smaller of the two
        counts. The metric's evidence is the weighted mean of its tests. The guard asks for the one
        that holds without any assumption: the comparison, or the bound where there is no stable.
        """
        tests = {
            name: test.value(evidence.bad, evidence.requests, excess)
            for (name, test), excess in zip(self.rates, evidence.excess, strict=True)
        }
        floor = tests.pop("floor", math.inf)
        if self.comparison:
            ratio = log_mixed(self.comparison.against(evidence.dues, evidence.bad), PRIOR)
            tests["ratio"] = min(ratio, floor)
        guard = tests.get("ratio", NOTHING)
        if evidence.bursty:
            tests["ratio"] = min(log_mixed(evidence.bursty.ratio, PRIOR), floor)
            tests["bursts"] = log_mixed(evidence.bursty.bursts, PRIOR)
        if self.bound:
            tests["bound"] = self.bound.value(evidence.bets, evidence.quiet)
        if not self.comparison:
            guard = tests.get("bound", NOTHING)
        parts = shares(tests)
        metric = log_weighted((parts[name], log) for name, log in tests.items())
        return Values(tests, metric, guard)

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


def shares(names: Iterable[str]) -> Mapping[str, float]:
    """Return what each test counts for in the mean over those of a metric; they sum up to 1."""
    parts = {name: _PARTS.get(name, 1.0) for name in names}
    everything = sum(parts.values())
    return {name: part / everything for name, part in parts.items()}


def _stable_so_far(evidence: CountEvidence) -> tuple[float, float]:
    """Return bad and all requests of the stable, with what it had served before if that counts."""
    if evidence.bursty:
        return evidence.bursty.stable.bad, evidence.bursty.stable.requests
    return evidence.stable_bad, evidence.stable_all


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


def _bursty(
    plan: CountPlan, policy: Policy, calibration: Calibration, cap: float, share: float
) -> BurstTests | None:
    """Lay out the tests of a rate of errors without a history, unless it is to be independent."""
    if not plan.baseline or plan.floor is not None:
        return None
    if calibration.known or policy.unknown_dispersion <= 1:
        return None
    level = (policy.alpha_history or policy.alpha / 10) * (share or 1.0)
    ratio = RatioTest(margin=calibration.margin, cap=cap)
    return BurstTests(policy=policy, ratio=ratio, level=level)


def _volume(before: float, requests: float, seconds: float) -> float:
    """Return the present rate of canary requests per second, averaged over a minute."""
    if seconds <= 0:
        return before
    now = requests / seconds
    if not before:
        return now
    return before + (now - before) * (seconds / AVERAGED if seconds < AVERAGED else 1.0)
