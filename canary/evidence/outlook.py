"""What one metric's evidence amounts to, and how far it still has to go."""

import math
from typing import Final

from canary.evidence.bursty import BurstTests
from canary.evidence.counted import CountEvidence, CountTrial, Values, shares
from canary.evidence.mixture import log_needed
from canary.evidence.ranked import ScalarEvidence, ScalarTrial
from canary.evidence.rate import RateTest
from canary.evidence.verdict import Finding, Need

_GUARD: Final = "guard"
"""Names the comparison that the guard asks for."""


def count_finding(
    trial: CountTrial, evidence: CountEvidence, values: Values, error_probability: float
) -> Finding:
    """Describe the evidence of a metric of counts."""
    test = max(values.tests, key=lambda name: values.tests[name])
    stable = evidence.stable_bad / evidence.stable_all if evidence.stable_all else None
    canary = evidence.canary_bad / evidence.canary_all if evidence.canary_all else 0.0
    bound = _bound(trial, evidence, test, stable)
    against = stable if stable is not None else trial.plan.maximum
    return Finding(
        metric=trial.plan.name,
        test=test,
        bound=bound,
        effect=canary / against if against else None,
        error_probability=error_probability,
        dispersion=_dispersion(trial, evidence, test),
        canary=canary,
        stable=stable,
        canary_bad=evidence.canary_bad,
        canary_all=evidence.canary_all,
        stable_bad=evidence.stable_bad,
        stable_all=evidence.stable_all,
    )


def scalar_finding(
    trial: ScalarTrial, evidence: ScalarEvidence, values: Values, error_probability: float
) -> Finding:
    """Describe the evidence of a scalar metric."""
    plan = trial.plan
    high = plan.maximum is not None and evidence.canary > plan.maximum
    bound = None
    if not plan.baseline:
        bound = plan.maximum if high or plan.minimum is None else plan.minimum
    against = evidence.stable if plan.baseline else bound
    return Finding(
        metric=plan.name,
        test=next(iter(values.tests)),
        bound=bound,
        effect=evidence.canary / against if against else None,
        error_probability=error_probability,
        canary=evidence.canary,
        stable=evidence.stable,
    )


def need_to_refuse(
    trial: CountTrial, evidence: CountEvidence, target: float, guard: float
) -> Need | None:
    """Return how many more canary requests refuse the candidate if they are like those so far.

    None where they do not point to a refusal. `target` and `guard` are logarithms of the evidence
    that the metric has to reach alone.
    """
    if not evidence.canary_bad:
        return None
    names = {name for name, _ in trial.rates if name != "floor"}
    names |= {"ratio"} if trial.comparison else set()
    names |= {"bound"} if trial.bound else set()
    names |= {"bursts"} if trial.bursty else set()
    waits = [
        _wait(trial, evidence, name, target - math.log(part))
        for name, part in shares(names).items()
    ]
    found = [wait for wait in waits if wait is not None]
    guarded = _wait(trial, evidence, _GUARD if trial.comparison else "bound", guard)
    if not found or guarded is None:
        return None
    return _need(trial, evidence, max(min(found), guarded))


def need_to_promote(trial: CountTrial, evidence: CountEvidence, target: float) -> Need | None:
    """Return how many more canary requests show non-inferiority if they are like those so far.

    None where they do not point to it.
    """
    if not evidence.requests:
        return None
    scale = evidence.requests / evidence.canary_all
    alone = target + (math.log(2) if trial.comparison else 0.0)
    logs = trial.worst.logs(evidence.bad, evidence.requests)
    rate = evidence.canary_bad / evidence.canary_all
    waits = [_scaled(log_needed(logs, trial.worst.growth(rate), alone), scale)]
    inferior = trial.comparison.inferior if trial.comparison else None
    if trial.comparison and inferior and evidence.stable_all:
        logs = trial.comparison.passing(evidence.dues, evidence.bad)
        growth = inferior.growth(*_pace(trial, evidence))
        waits.append(_scaled(log_needed(logs, growth, alone), scale))
    found = [wait for wait in waits if wait is not None]
    return _need(trial, evidence, min(found)) if found else None


def _wait(trial: CountTrial, evidence: CountEvidence, name: str, target: float) -> float | None:
    """Return how many more canary requests take one test to a target."""
    rate = evidence.canary_bad / evidence.canary_all
    if name == "bound" and trial.bound:
        logs = trial.bound.logs(evidence.bets, evidence.quiet)
        growth = trial.bound.growth(rate)
        if trial.bursty and evidence.bursty:
            growth = trial.bursty.tempered(
                trial.bursty.known(evidence.bursty), growth, evidence.volume
            )
        strata = log_needed(logs, growth, target)
        return _scaled(strata, evidence.strata / evidence.canary_all)
    if not evidence.requests:
        return None
    if trial.bursty and evidence.bursty and name != _GUARD:
        return _wait_in_bursts(trial.bursty, evidence, name, target)
    scale = evidence.requests / evidence.canary_all
    waits: list[float | None] = []
    for (label, test), excess in zip(trial.rates, evidence.excess, strict=True):
        if label == name or (label == "floor" and name in {"ratio", _GUARD}):
            logs = test.logs(evidence.bad, evidence.requests, excess)
            waits.append(log_needed(logs, test.growth(rate), target, test.prior))
    if name in {"ratio", _GUARD} and trial.comparison:
        logs = trial.comparison.against(evidence.dues, evidence.bad)
        worse = trial.comparison.worse
        growth = worse.growth(*_pace(trial, evidence))
        waits.append(log_needed(logs, growth, target, worse.prior))
    known = [wait for wait in waits if wait is not None]
    return _scaled(max(known), scale) if len(known) == len(waits) else None


def _wait_in_bursts(
    tests: BurstTests, evidence: CountEvidence, name: str, target: float
) -> float | None:
    """Return the same for a test of a metric whose bursts are not known."""
    if evidence.bursty is None:
        return None
    rate, other = evidence.canary_bad / evidence.canary_all, _stable_volume(evidence)
    if name == "bursts":
        phi = tests.policy.unknown_dispersion
        test = RateTest(bound=tests.highest(evidence.bursty, other))
        needed = log_needed(evidence.bursty.bursts, test.growth(rate), target, test.prior)
        return _scaled(needed, 1 / phi)
    ours = tests.dispersion(evidence.bursty, evidence.volume)
    theirs = tests.dispersion(evidence.bursty, other)
    stable = evidence.stable_bad / evidence.stable_all
    growth = tests.ratio.growth(
        rate, stable, evidence.canary_all / ours, evidence.stable_all / theirs
    )
    needed = log_needed(evidence.bursty.ratio, growth, target, tests.ratio.prior)
    return _scaled(needed, 1 / ours)


def _stable_volume(evidence: CountEvidence) -> float:
    """Return the stable's requests per second, by the canary's."""
    return evidence.volume * evidence.stable_all / evidence.canary_all


def _dispersion(trial: CountTrial, evidence: CountEvidence, test: str) -> float:
    """Return by what a test takes the canary's counts to be dispersed."""
    if trial.bursty and evidence.bursty and test != "bursts":
        return trial.bursty.dispersion(evidence.bursty, evidence.volume)
    return trial.calibration.at(evidence.volume)


def _pace(trial: CountTrial, evidence: CountEvidence) -> tuple[float, float, float, float]:
    """Return both arms' rates, and their requests without what correlation takes away."""
    stable = evidence.stable_all / trial.calibration.stable
    return (
        evidence.canary_bad / evidence.canary_all,
        evidence.stable_bad / evidence.stable_all,
        evidence.requests,
        stable,
    )


def _scaled(wait: float | None, per_request: float) -> float | None:
    return None if wait is None else wait / per_request


def _need(trial: CountTrial, evidence: CountEvidence, requests: float) -> Need:
    needed = math.ceil(requests)
    seconds = needed / evidence.volume if evidence.volume > 0 else None
    return Need(metric=trial.plan.name, requests=needed, seconds=seconds)


def _bound(
    trial: CountTrial, evidence: CountEvidence, test: str, stable: float | None
) -> float | None:
    """Return the rate that a test allows the canary."""
    if test == "bursts" and trial.bursty and evidence.bursty:
        return trial.bursty.highest(evidence.bursty, _stable_volume(evidence))
    for name, rate_test in trial.rates:
        if name == test:
            return rate_test.bound
    if test == "bound":
        return trial.plan.maximum
    floor = next((rate_test.bound for name, rate_test in trial.rates if name == "floor"), 0.0)
    return None if stable is None else max(trial.calibration.margin * stable, floor)
