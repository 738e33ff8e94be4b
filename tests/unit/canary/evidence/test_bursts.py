"""What the stable says of its bursts, and what is made of it where no history is known."""

import math
from dataclasses import replace

import pytest

from canary.evidence.bursts import (
    Bursts,
    counted,
    counted_before,
    dispersion,
    highest,
    nothing_seen,
    rate,
)
from canary.evidence.counted import CountEvidence, CountTrial
from canary.evidence.counters import Stratum
from canary.evidence.dispersion import Calibration
from canary.evidence.judge import Judge
from canary.evidence.learned import quick_upper_rate, upper_rate
from canary.evidence.plan import CountPlan
from canary.evidence.policy import Policy
from canary.evidence.verdict import Continue

POLICY = Policy()
USUAL = 0.01
CALM = Calibration(levels=((math.inf, 1.0),), stable=1.0, margin=1.5, known=True, learned=0.0012)
UNKNOWN = CountPlan(name="errors", maximum=0.01)
KNOWN = CountPlan(name="errors", maximum=0.01, calibration=CALM)


def seen(*bad: float, requests: float = 900.0, seconds: float = 20.0) -> Bursts:
    """Return what was learned of a stable that failed so often in each 20 s."""
    bursts = counted_before(nothing_seen(POLICY), 3600.0, 3.6e5)
    for one in bad:
        bursts = counted(bursts, POLICY, one, requests, seconds)
    return bursts


def upper(bursts: Bursts) -> float:
    return highest(bursts, POLICY, margin=1.5, level=0.001, usual=USUAL)


def test_a_stable_that_nothing_is_known_of_allows_everything() -> None:
    assert rate(nothing_seen(POLICY), POLICY, USUAL) == 0.5
    assert upper(nothing_seen(POLICY)) == 0.5


def served(seconds: float, *, bad: float = 0.0) -> Bursts:
    """Return what is known of a stable of 45 requests per second, half of it from before."""
    half = 45.0 * seconds / 2
    before = counted_before(nothing_seen(POLICY), bad / 2, half)
    return counted(before, POLICY, bad / 2, half, seconds / 2)


def test_the_longer_the_stable_has_served_the_less_a_healthy_canary_may_fail() -> None:
    found = [upper(served(seconds)) for seconds in (1.0, 600.0, 6000.0, 1e6)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.3
    assert found[-1] < POLICY.floor


def test_a_stable_in_a_quiet_hour_may_have_bursts_that_it_did_not_show() -> None:
    """Bursts x 12 of a mean of 1 %, for 60 s, a twentieth of the time: none in ten minutes."""
    quiet = served(600.0, bad=0.0042 * 45 * 600)
    assert 1.4 * upper(quiet) > 0.12
    assert dispersion(quiet, POLICY, 20.0, usual=USUAL) > 20


def test_what_was_not_seen_for_long_is_rarer_too() -> None:
    quiet = served(3600.0, bad=45.0)
    thinner = rate(quiet, POLICY, USUAL, rarer=2)
    assert 45 / (45 * 3600) < thinner < rate(quiet, POLICY, USUAL) < USUAL


def test_a_burst_may_be_nine_times_the_mean() -> None:
    long = counted_before(nothing_seen(POLICY), 1e6, 1e8)
    assert upper(long) == pytest.approx(0.09, rel=0.01)


def test_a_burst_of_the_stable_s_is_one_that_the_canary_may_have() -> None:
    assert upper(seen(270.0)) > 1.3 * 0.27 > upper(seen(9.0))


def test_bursts_of_the_stable_raise_the_dispersion_and_calm_lowers_it() -> None:
    believed = dispersion(seen(), POLICY, 5.0, usual=USUAL)
    assert believed == pytest.approx(1 + 5 * POLICY.burst_longest)
    assert dispersion(seen(*[9.0] * 30), POLICY, 5.0, usual=USUAL) < believed
    assert dispersion(seen(*[4.0, 4.0, 4.0, 108.0] * 8), POLICY, 5.0, usual=USUAL) > believed


def test_no_error_at_all_says_nothing_of_how_errors_come() -> None:
    silent = seen(*[0.0] * 30)
    assert dispersion(silent, POLICY, 5.0, usual=USUAL) == pytest.approx(
        1 + 5 * POLICY.burst_seconds * min(0.01, rate(silent, POLICY, USUAL, rarer=2))
    )


def test_a_stratum_is_judged_by_what_was_counted_before_it() -> None:
    trial = CountTrial.of(UNKNOWN, POLICY)
    begun = trial.step(trial.start(), Stratum(0, 0, before_bad=10.0, before_all=1e4))
    calm, bad = (
        trial.step(begun, Stratum(5.0, 50.0, stable_bad, 450.0, 2.0)) for stable_bad in (0.0, 99.0)
    )
    assert calm.bursty is not None
    assert bad.bursty is not None
    assert calm.bursty.bursts == bad.bursty.bursts
    assert calm.bursty.stable != bad.bursty.stable


def test_the_quick_upper_bound_is_the_upper_bound() -> None:
    for bad in (0.0, 1.0, 10.0, 1000.0):
        exact = upper_rate(bad, 1e4, 1.0, 0.001)
        assert quick_upper_rate(bad, 1e4, 1.0, 0.001) == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize("plan", [KNOWN, UNKNOWN])
@pytest.mark.parametrize("bad_rate", [0.0, 0.001, 0.005, 0.01, 0.02, 0.03])
def test_a_pod_that_fails_as_starts_may_gives_no_evidence(plan: CountPlan, bad_rate: float) -> None:
    """The mean over all outcomes of what the first requests add is at most 1, for every test."""
    trial, requests = CountTrial.of(plan, POLICY), 20
    begun = trial.step(trial.start(), Stratum(0, 0, before_bad=10.0, before_all=1e5))
    totals: dict[str, float] = {}
    for bad in range(requests + 1):
        chance = math.comb(requests, bad) * bad_rate**bad * (1 - bad_rate) ** (requests - bad)
        stratum = Stratum(float(bad), float(requests), 0.0, 180.0, 0.5, starting=True)
        for name, log in _by_alternative(trial, trial.step(begun, stratum)).items():
            totals[name] = totals.get(name, 0.0) + chance * math.exp(log)
    assert len(totals) > 8
    assert max(totals.values()) <= 1 + 1e-9


def _by_alternative(trial: CountTrial, evidence: CountEvidence) -> dict[str, float]:
    found: dict[str, float] = {}
    assert trial.comparison is not None
    logs = {"ratio": trial.comparison.against(evidence.dues, evidence.bad), "bets": evidence.bets}
    for (name, test), excess in zip(trial.rates, evidence.excess, strict=True):
        logs[name] = test.logs(evidence.bad, evidence.requests, excess)
    if evidence.bursty:
        logs |= {"bursts": evidence.bursty.bursts, "tempered": evidence.bursty.ratio}
    for name, many in logs.items():
        found |= {f"{name} {at}": log for at, log in enumerate(many)}
    return found


def test_good_first_requests_cost_little_of_what_follows() -> None:
    trial = CountTrial.of(KNOWN, POLICY)
    good = Stratum(0.0, 500.0, 5.0, 4500.0, 0.5)
    started = trial.step(trial.start(), good._replace(starting=True))
    plain = trial.step(trial.start(), good)
    assert trial.values(started).metric >= trial.values(plain).metric - math.log(4) - 1e-9


def test_a_version_that_fails_by_half_is_found_in_its_first_second() -> None:
    trial = CountTrial.of(KNOWN, POLICY)
    evidence = trial.start()
    for _ in range(2):
        evidence = trial.step(evidence, Stratum(12.0, 25.0, 0.0, 225.0, 0.5, starting=True))
    values = trial.values(evidence)
    assert values.metric > POLICY.refuse_at
    assert values.guard > POLICY.guard_at


@pytest.mark.parametrize("good", [20, 100, 400])
def test_good_answers_of_before_hide_no_change(good: int) -> None:
    """A candidate that fails only as it rolls is found within a few readings."""
    trial = CountTrial.of(UNKNOWN, POLICY)
    evidence = trial.start()
    for _ in range(good):
        evidence = trial.step(evidence, _stratum(bad=0))
    for _ in range(12):
        evidence = trial.step(evidence, _stratum(bad=20))
    assert trial.values(evidence).tests["bursts"] > math.log(3 / POLICY.alpha)


@pytest.mark.parametrize("lived", [0.0, 3600.0])
@pytest.mark.parametrize(("rps", "good"), [(5.0, 30), (10.0, 10), (20.0, 60)])
def test_a_candidate_that_fails_by_half_while_it_rolls_is_found_in_time(
    lived: float, rps: float, good: int
) -> None:
    """Five pods roll in 25 s, and the pages are read every two."""
    judge = Judge(POLICY, [UNKNOWN])
    state = judge.start()
    before = Stratum(0, 0, before_bad=0.001 * rps * lived, before_all=rps * lived)
    state = judge.update(state, {"errors": before})
    for _ in range(good):
        well = Stratum(canary_bad=0.0, canary_all=rps, stable_all=rps, seconds=1.0)
        state = judge.update(state, {"errors": well})
    for read in range(1, 12):
        left = 2 * rps * (1 - 2 * read / 25)
        rolling = Stratum(canary_bad=rps, canary_all=2 * rps, stable_all=left, seconds=2.0)
        state = judge.update(state, {"errors": rolling})
        if judge.refuses(state):
            break
    assert judge.refuses(state)


def test_a_quiet_time_between_two_bursts_does_not_pass_the_gate() -> None:
    """Five minutes without an error at five requests per second say little of bursts."""
    judge = Judge(replace(POLICY, inferior_rate=0.01), [UNKNOWN])
    before = Stratum(0, 0, before_bad=160.0, before_all=160e3)
    state = judge.update(judge.start(), {"errors": before})
    need = []
    for _ in range(150):
        state = judge.update(state, {"errors": Stratum(0.0, 10.0, 0.1, 90.0, 2.0)})
        verdict = judge.verdict(state)
        assert isinstance(verdict, Continue)
        assert verdict.outlook.to_promote is not None
        need.append(verdict.outlook.to_promote.requests)
    assert need[-1] < need[0]


def _stratum(bad: float) -> Stratum:
    return Stratum(canary_bad=bad, canary_all=20.0, stable_bad=0.0, stable_all=20.0, seconds=1.0)
