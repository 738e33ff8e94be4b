"""What the stable says of its bursts, and what is made of it where no history is known."""

import math
from itertools import product

import pytest

from canary.evidence.bursts import (
    Bursts,
    counted,
    counted_before,
    dispersion,
    highest,
    nothing_seen,
    rate,
    watched,
)
from canary.evidence.bursty import BurstEvidence
from canary.evidence.counted import CountEvidence, CountTrial
from canary.evidence.counters import Stratum
from canary.evidence.dispersion import Calibration
from canary.evidence.judge import Judge
from canary.evidence.learned import quick_upper_rate, upper_rate
from canary.evidence.plan import CountPlan
from canary.evidence.policy import Policy

POLICY = Policy()
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
    return highest(bursts, POLICY, 45.0, margin=1.5, level=0.001)


def test_a_stable_that_nothing_is_known_of_allows_everything() -> None:
    assert rate(nothing_seen(POLICY), POLICY) == 0.5
    assert upper(nothing_seen(POLICY)) == 0.5


def test_the_longer_the_stable_has_served_the_less_a_healthy_canary_may_fail() -> None:
    found = [
        upper(counted_before(nothing_seen(POLICY), 0.0, requests))
        for requests in (100.0, 1000.0, 1e4, 1e6)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] == 0.5
    assert found[-1] < POLICY.floor


def test_a_burst_may_be_ten_times_the_mean() -> None:
    long = counted_before(nothing_seen(POLICY), 1e6, 1e8)
    assert upper(long) == pytest.approx(0.1, rel=0.01)


def between_bursts(seconds: float, bad: float, requests: float = 4500.0) -> Bursts:
    """Return what was learned of new pods that failed evenly, so often in each 100 s."""
    bursts = nothing_seen(POLICY)
    for _ in range(round(seconds / 2)):
        bursts = counted(bursts, POLICY, bad / 50, requests / 50, 2.0, requests / 450)
    return bursts


@pytest.mark.parametrize("seconds", [300.0, 900.0])
def test_a_new_stable_that_fails_rarely_may_be_between_two_bursts(seconds: float) -> None:
    """Its mean is 1 %: nine times that for a tenth of the time, and 0.11 % in between."""
    new = between_bursts(seconds, bad=5.0)
    assert upper(new) > 0.09
    assert dispersion(new, POLICY, 5.0) > 1 + 5 * 2


def test_a_new_stable_that_never_failed_allows_no_more_than_an_old_one() -> None:
    new = between_bursts(300, bad=0.0)
    assert rate(new, POLICY) == pytest.approx(1 / 13501)
    old = counted_before(nothing_seen(POLICY), 0.0, 13500.0)
    assert upper(new) == pytest.approx(upper(old), rel=0.01)


def test_what_bursts_may_have_been_missed_is_less_the_longer_a_stable_is_watched() -> None:
    found = [rate(between_bursts(at, bad=4.5), POLICY) for at in (300, 900, 1800, 3600)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 8 * 0.001
    assert found[-1] == pytest.approx(0.001, rel=0.01)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_how_long_a_stable_has_served_does_not_rest_on_the_canary_s_share(share: float) -> None:
    bursts = counted_before(nothing_seen(POLICY), 0.0, 100 * 600.0)
    for _ in range(30):
        bursts = counted(bursts, POLICY, 0.0, 200 * (1 - share), 2.0, 200 * share)
    assert watched(bursts) == pytest.approx(660, rel=0.01)


@pytest.mark.parametrize(("share", "within"), [(0.05, 120), (0.01, 300)])
def test_new_pods_that_never_failed_are_known_soon_enough(share: float, within: float) -> None:
    """What the tests on a cluster ask for, in expectation: 40 requests/s on each side."""
    judge = Judge(POLICY, [UNKNOWN, CountPlan(name="slow", maximum=0.01)])
    samples = {
        "errors": Stratum(80 * share, 80.0, 0.0, 80.0, 2.0),
        "slow": Stratum(0.0, 80.0, 0.0, 80.0, 2.0),
    }
    state, seconds = judge.start(), 0.0
    while not judge.refuses(state) and seconds < 2 * within:
        state, seconds = judge.update(state, samples), seconds + 2
    assert seconds < within


def test_what_was_stored_before_the_time_was_watched_is_read() -> None:
    trial = CountTrial.of(UNKNOWN, POLICY)
    evidence = trial.step(trial.start(), Stratum(0.0, 20.0, 1.0, 180.0, 2.0)).bursty
    assert evidence is not None
    (bad, requests, blocks, *_), *rest = evidence
    found = BurstEvidence.of(((bad, requests, blocks), *rest))
    assert watched(found.stable) == math.inf
    assert found.stable[:3] == evidence.stable[:3]
    assert BurstEvidence.of(tuple(evidence)) == evidence


def test_a_burst_of_the_stable_s_is_one_that_the_canary_may_have() -> None:
    assert upper(seen(270.0)) > 1.3 * 0.27 > upper(seen(9.0))


def test_bursts_of_the_stable_raise_the_dispersion_and_calm_lowers_it() -> None:
    believed = dispersion(seen(), POLICY, 5.0)
    assert believed == pytest.approx(1 + 5 * 3)
    assert dispersion(seen(*[9.0] * 30), POLICY, 5.0) < believed
    assert dispersion(seen(*[4.0, 4.0, 4.0, 54.0] * 8), POLICY, 5.0) > believed


def test_no_error_at_all_says_nothing_of_how_errors_come() -> None:
    silent = seen(*[0.0] * 30)
    assert dispersion(silent, POLICY, 5.0) == pytest.approx(
        1 + 5 * POLICY.burst_seconds * min(0.01, rate(silent, POLICY))
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


def test_what_both_arms_share_in_the_first_second_gives_no_evidence() -> None:
    """An incident that began with the canary's traffic is not blamed on it."""
    trial, sizes = CountTrial.of(KNOWN, POLICY), (6, 12)
    totals = [0.0] * 8
    for bad, stable_bad in product(range(sizes[0] + 1), range(sizes[1] + 1)):
        chance = math.prod(
            math.comb(size, of) * 0.3**of * 0.7 ** (size - of)
            for of, size in zip((bad, stable_bad), sizes, strict=True)
        )
        stratum = Stratum(bad, sizes[0], stable_bad, sizes[1], 0.5, starting=True)
        evidence = trial.step(trial.start(), stratum)
        assert trial.comparison is not None
        for at, log in enumerate(trial.comparison.against(evidence.dues, evidence.bad)):
            totals[at] += chance * math.exp(log)
    assert max(totals) <= 1 + 1e-9


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


def _stratum(bad: float) -> Stratum:
    return Stratum(canary_bad=bad, canary_all=20.0, stable_bad=0.0, stable_all=20.0, seconds=1.0)
