"""The judge: what it says, what it never does, and that restarts change nothing."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.evidence.counted import CountTrial
from canary.evidence.counters import Counters, Stratum
from canary.evidence.dispersion import Calibration
from canary.evidence.judge import Judge, JudgeState, Samples
from canary.evidence.plan import CountPlan, ScalarPlan
from canary.evidence.policy import Inconclusive, Policy
from canary.evidence.record import (
    dump_counters,
    dump_judge,
    dump_state,
    load_counters,
    load_judge,
    load_state,
)
from canary.evidence.scalar import Scalars
from canary.evidence.verdict import Continue, NonInferior, Refuse, Undecided, describe

POLICY = Policy()
CALM = Calibration(
    levels=((50.0, 1.0), (100.0, 1.2)), stable=1.0, margin=1.5, known=True, learned=0.0012
)
ERRORS = CountPlan(name="errors", maximum=0.01, calibration=CALM)
SLOW = CountPlan(name="slow", maximum=0.05, weight=2.0)
QUEUE = ScalarPlan(name="queue")
HEAP = ScalarPlan(name="heap", maximum=1e9, baseline=False)
HEALTHY = Stratum(0.0, 250.0, 2.0, 2250.0, 5.0)
SICK = Stratum(60.0, 250.0, 2.0, 2250.0, 5.0)
KNOWN_FOR_LONG = Stratum(0.0, 0.0, before_bad=900.0, before_all=1e6)


def _feed(judge: Judge, *samples: Samples) -> JudgeState:
    state = judge.start()
    for one in samples:
        state = judge.update(state, one)
    return state


def _errors(*strata: Stratum) -> list[Samples]:
    return [{"errors": stratum} for stratum in strata]


JUDGE = Judge(POLICY, [ERRORS])


def test_sick_canary_is_refused_by_its_second_scrape_and_never_by_its_first() -> None:
    worst = Stratum(250.0, 250.0, 0.0, 2250.0, 5.0)
    assert isinstance(JUDGE.verdict(_feed(JUDGE, *_errors(worst))), Continue)
    verdict = JUDGE.verdict(_feed(JUDGE, *_errors(SICK, SICK)))
    assert isinstance(verdict, Refuse)
    finding = verdict.finding
    assert (finding.metric, finding.canary_bad, finding.stable_all) == ("errors", 120.0, 4500.0)
    assert finding.error_probability <= POLICY.alpha
    assert finding.effect == pytest.approx(0.24 / (4 / 4500))
    assert "120 of 500 (24 %)" in describe(finding)


def test_huge_first_scrape_does_not_decide_whatever_the_maximum() -> None:
    for maximum in (0.0001, 0.001, 0.5):
        judge = Judge(POLICY, [replace(ERRORS, maximum=maximum)])
        worst = Stratum(1e6, 1e6, 0.0, 9e6, 5.0)
        assert not judge.refuses(_feed(judge, *_errors(worst)))


def test_healthy_canary_is_shown_to_be_non_inferior() -> None:
    verdict = JUDGE.verdict(_feed(JUDGE, *_errors(*[HEALTHY] * 4)))
    assert isinstance(verdict, NonInferior)
    assert verdict.error_probability == POLICY.beta


def test_shared_incident_is_not_blamed_on_the_candidate() -> None:
    incident = Stratum(50.0, 250.0, 450.0, 2250.0, 5.0)
    verdict = JUDGE.verdict(_feed(JUDGE, *_errors(*[incident] * 10)))
    assert isinstance(verdict, Continue)
    assert verdict.outlook.shared == ("errors",)


def test_driven_traffic_feeds_the_bound_alone() -> None:
    driven = Stratum(20.0, 250.0, 0.0, 0.0, 5.0)
    state = _feed(JUDGE, *_errors(*[driven] * 20))
    assert not JUDGE.refuses(state)
    alone = Judge(POLICY, [CountPlan(name="errors", maximum=0.01, baseline=False)])
    assert alone.refuses(_feed(alone, *_errors(*[driven] * 20)))


def test_what_is_below_the_floor_is_never_held_against_it() -> None:
    tiny = Stratum(2.0, 2500.0, 0.0, 22500.0, 5.0)
    assert not JUDGE.refuses(_feed(JUDGE, *_errors(*[tiny] * 50)))
    strict = Judge(replace(POLICY, floor=0.0), [replace(ERRORS, calibration=None)])
    assert strict.refuses(_feed(strict, *_errors(*[tiny] * 50)))


def test_no_traffic_is_no_evidence() -> None:
    nothing = Stratum(0.0, 0.0, 5.0, 100.0, 5.0)
    state = _feed(JUDGE, *_errors(nothing), {})
    assert state == JUDGE.start()
    verdict = JUDGE.verdict(state)
    assert isinstance(verdict, Continue)
    assert verdict.outlook.silent == ("errors",)


def test_open_run_tells_what_it_still_needs() -> None:
    state = _feed(JUDGE, *_errors(Stratum(1.0, 25.0, 2.0, 225.0, 5.0), HEALTHY))
    verdict = JUDGE.verdict(state)
    assert isinstance(verdict, Continue)
    assert verdict.outlook.to_promote is not None
    assert verdict.outlook.to_promote.requests > 0
    bad = JUDGE.verdict(_feed(JUDGE, *_errors(Stratum(1.0, 25.0, 0.0, 225.0, 5.0))))
    assert isinstance(bad, Continue)
    need = bad.outlook.to_refuse
    assert need is not None
    assert need.seconds == pytest.approx(need.requests / 5.0)
    more = [Stratum(1.0, 25.0, 0.0, 225.0, 5.0)] * math.ceil(need.requests / 25)
    assert JUDGE.refuses(_feed(JUDGE, *_errors(Stratum(1.0, 25.0, 0.0, 225.0, 5.0), *more)))


def test_promotion_needs_no_more_than_was_said() -> None:
    state = _feed(JUDGE, *_errors(Stratum(0.0, 25.0, 0.0, 225.0, 5.0)))
    verdict = JUDGE.verdict(state)
    assert isinstance(verdict, Continue)
    need = verdict.outlook.to_promote
    assert need is not None
    more = Stratum(0.0, float(need.requests), 0.0, 9.0 * need.requests, 5.0)
    assert isinstance(JUDGE.verdict(JUDGE.update(state, {"errors": more})), NonInferior)


@pytest.mark.parametrize("then", list(Inconclusive))
def test_deadline_gives_the_policys_answer(then: Inconclusive) -> None:
    judge = Judge(replace(POLICY, on_inconclusive=then), [ERRORS])
    verdict = judge.verdict(judge.start(), final=True)
    assert isinstance(verdict, Undecided)
    assert verdict.then is then


def test_switched_off_it_says_nothing() -> None:
    judge = Judge(replace(POLICY, enabled=False), [ERRORS])
    state = _feed(judge, *_errors(*[SICK] * 9))
    assert state == judge.start()
    assert isinstance(judge.verdict(state, final=True), Continue)
    assert not judge.refuses(state)


def test_reason_is_the_metric_that_speaks_loudest() -> None:
    judge = Judge(POLICY, [ERRORS, SLOW, QUEUE])
    sick = {"errors": HEALTHY, "slow": SICK}
    verdict = judge.verdict(_feed(judge, {"slow": KNOWN_FOR_LONG}, *[sick] * 5))
    assert isinstance(verdict, Refuse)
    assert verdict.finding.metric == "slow"


def test_promote_only_metric_never_refuses_and_refuse_only_never_promotes() -> None:
    judge = Judge(POLICY, [replace(ERRORS, refuses=False)])
    assert not judge.refuses(_feed(judge, *_errors(*[SICK] * 9)))
    judge = Judge(POLICY, [replace(ERRORS, promotes=False)])
    assert isinstance(judge.verdict(_feed(judge, *_errors(*[HEALTHY] * 9))), Continue)


def test_independent_requests_are_judged_one_by_one() -> None:
    plan = CountPlan(name="errors", maximum=0.01, baseline=False, independent=True)
    judge = Judge(POLICY, [plan])
    verdict = judge.verdict(_feed(judge, *_errors(*[SICK] * 4)))
    assert isinstance(verdict, Refuse)
    assert (verdict.finding.test, verdict.finding.bound) == ("bound", 0.01)


def test_scalars_are_ranked_at_their_spacing() -> None:
    judge = Judge(POLICY, [QUEUE])
    worse = [{"queue": Scalars(5.0 * at, (9.0,), (1.0, 2.0, 3.0) * 3)} for at in range(24)]
    assert judge.update(_feed(judge, worse[0]), worse[1]) == _feed(judge, worse[0])
    assert not judge.refuses(_feed(judge, *worse))
    apart = [{"queue": Scalars(120.0 * at, (9.0,), (1.0, 2.0, 3.0) * 3)} for at in range(4)]
    verdict = judge.verdict(_feed(judge, *apart))
    assert isinstance(verdict, Refuse)
    assert verdict.finding.test == "rank"
    assert "against 2 of the stable" in describe(verdict.finding)


def test_scalar_without_baseline_takes_breaches_in_a_row() -> None:
    judge = Judge(POLICY, [HEAP])
    samples = [{"heap": Scalars(120.0 * at, (2e9,))} for at in range(10)]
    assert not judge.refuses(_feed(judge, *samples[:6]))
    assert judge.refuses(_feed(judge, *samples))
    broken = {"heap": Scalars(0.0, (math.nan,))}
    assert judge.update(judge.start(), broken) == judge.start()


@pytest.mark.parametrize(
    "make",
    [
        lambda: CountPlan(name="m", maximum=1.5),
        lambda: CountPlan(name="m", baseline=False),
        lambda: CountPlan(name="m", weight=0.0),
        lambda: ScalarPlan(name="m", baseline=False),
        lambda: ScalarPlan(name="m", weight=-1.0),
        lambda: Judge(POLICY, [ERRORS, ERRORS]),
    ],
)
def test_plans_that_cannot_be_judged_are_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"\w"):
        make()


# --- records ---------------------------------------------------------------------------------

COUNTS = st.builds(
    lambda n, k, m, j: Stratum(float(min(k, n)), float(n), float(min(j, m)), float(m), 5.0),
    *[st.integers(0, 300), st.integers(0, 20)] * 2,
)
VALUES = st.floats(0.1, 1e6)
SCALARS = st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=1)
RUNS = st.lists(st.tuples(COUNTS, COUNTS, VALUES, VALUES), max_size=20)
ALL = Judge(POLICY, [ERRORS, SLOW, QUEUE, HEAP])


def _samples(run: Sequence[tuple[Stratum, Stratum, float, float]]) -> list[Samples]:
    return [
        {
            "errors": errors,
            "slow": slow,
            "queue": Scalars(60.0 * at, (one,), (other, 5.0)),
            "heap": Scalars(60.0 * at, (one * other,)),
        }
        for at, (errors, slow, one, other) in enumerate(run)
    ]


@given(run=RUNS, at=st.integers(0, 20))
def test_restart_changes_nothing(run: list[tuple[Stratum, Stratum, float, float]], at: int) -> None:
    samples = _samples(run)
    record = json.loads(json.dumps(dump_state(_feed(ALL, *samples[:at]))))
    again = load_judge(json.loads(json.dumps(dump_judge(ALL), allow_nan=False)))
    state = load_state(record, again)
    for one in samples[at:]:
        state = again.update(state, one)
    assert state == _feed(ALL, *samples)
    assert again.verdict(state) == ALL.verdict(state)


@given(run=RUNS)
def test_short_form_agrees_with_the_verdict(
    run: list[tuple[Stratum, Stratum, float, float]],
) -> None:
    state = _feed(ALL, *_samples(run))
    assert ALL.refuses(state) == isinstance(ALL.verdict(state), Refuse)


@given(run=RUNS)
def test_no_guard_is_above_its_ceiling(
    run: list[tuple[Stratum, Stratum, float, float]],
) -> None:
    driven = CountPlan(name="slow", maximum=0.05, baseline=False)
    for plan in (ERRORS, SLOW, driven, replace(driven, independent=True)):
        trial = CountTrial.of(plan, POLICY)
        evidence = trial.start()
        for one in run:
            evidence = trial.step(evidence, one[0])
            assert trial.ceiling(evidence) >= trial.values(evidence).guard


def test_state_of_another_version_is_not_taken() -> None:
    record = dump_state(JUDGE.start())
    record["metrics"][0]["promotion"] = []
    with pytest.raises(ValueError, match="another version"):
        load_state(record, JUDGE)


def test_state_of_the_version_before_is_read_without_what_has_gone_since() -> None:
    state = JUDGE.update(JUDGE.start(), {ERRORS.name: Stratum(3.0, 40.0, 1.0, 360.0, 2.0)})
    record = dump_state(state)
    record["metrics"][0] |= {"start_bad": 1.5, "start_all": 20.0}
    assert load_state(record, JUDGE) == state


def test_state_of_other_plans_is_not_taken() -> None:
    with pytest.raises(ValueError, match="other plans"):
        load_state(dump_state(ALL.start()), JUDGE)


def test_run_of_ten_metrics_stays_small() -> None:
    judge = Judge(POLICY, [replace(ERRORS, name=f"m{at}") for at in range(10)])
    draw = random.Random(5)  # noqa: S311 - a fixed seed, no secret
    state = judge.start()
    for _ in range(50):
        drawn = Stratum(draw.random() * 9, 25 + draw.random(), draw.random(), 225.0, 5.0)
        state = judge.update(state, {f"m{at}": drawn for at in range(10)})
    assert len(json.dumps(dump_state(state))) <= 20_000


def test_counters_are_recorded_without_loss() -> None:
    counters = Counters(began=0.0)
    assert load_counters(json.loads(json.dumps(dump_counters(counters)))) == counters


# --- optional stopping -----------------------------------------------------------------------


def test_looking_after_every_scrape_refuses_few_healthy_canaries() -> None:
    draw = random.Random(7)  # noqa: S311 - a fixed seed, no secret
    judge = Judge(POLICY, [replace(ERRORS, calibration=replace(CALM, margin=1.0))])
    refused = 0
    for _ in range(150):
        state = judge.start()
        for _ in range(60):
            bad = sum(draw.random() < 0.02 for _ in range(25))
            others = sum(draw.random() < 0.02 for _ in range(50))
            state = judge.update(state, {"errors": Stratum(bad, 25.0, others, 50.0, 5.0)})
            if bad and judge.refuses(state):
                refused += 1
                break
    # The learned bound and the maximum are both broken: only the guard, 10 %, stands in the way.
    assert refused <= 15
