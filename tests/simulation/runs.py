"""Runs of the product's own judge over drawn traffic."""

import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from canary.evidence.counters import Stratum
from canary.evidence.dispersion import Calibration, calibrate
from canary.evidence.judge import Judge
from canary.evidence.plan import CountPlan
from canary.evidence.policy import Policy
from canary.evidence.verdict import NonInferior, Refuse
from tests.simulation.outcomes import LOOKS, PODS, SCRAPE, Array, Outcome
from tests.simulation.traffic import Service, history, pod_rates, strata

NAME = "errors"
_AT_ONCE = 50
"""Runs that are drawn together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What is known of a service before its canary: its pods' own rates, and the calibration."""

    spread: Array
    calibration: Calibration


def learn(
    service: Service, rng: np.random.Generator, histories: int, policy: Policy
) -> list[Learned]:
    """Draw histories long enough to be trusted, and calibrate by each."""
    errors_per_scrape = service.rps * PODS / (PODS + 1) * service.rate * SCRAPE
    longest = policy.history_longest / SCRAPE
    shortest = policy.history_seconds / SCRAPE
    scrapes = math.ceil(
        min(longest, max(shortest, 1.1 * policy.history_errors / errors_per_scrape))
    )
    learned = []
    for _ in range(histories):
        spread = pod_rates(service, rng, PODS)
        past = history(service, rng, scrapes, spread)
        learned.append(
            Learned(spread=spread, calibration=calibrate(past, step=SCRAPE, policy=policy))
        )
    return learned


def judge_of(policy: Policy, maximum: float | None, calibration: Calibration | None) -> Judge:
    """Return a judge without a gate, as by default: of what refuses it leaves out nothing."""
    plan = CountPlan(name=NAME, maximum=maximum, calibration=calibration, promotes=False)
    return Judge(policy, [plan])


def refused_after(judge: Judge, run: Iterable[Stratum]) -> Outcome:
    """Feed a run scrape by scrape and look after each: evidence rises with bad requests only."""
    state = judge.start()
    for index, stratum in enumerate(run, start=1):
        state = judge.update(state, {NAME: stratum})
        if stratum.canary_bad and judge.refuses(state):
            return Outcome(refused=index)
    return Outcome()


def decided_after(judge: Judge, run: Iterable[Stratum]) -> Outcome:
    """Feed a run until it is refused or shown to be non-inferior, whichever comes first."""
    state = judge.start()
    for index, stratum in enumerate(run, start=1):
        state = judge.update(state, {NAME: stratum})
        match judge.verdict(state):
            case Refuse():
                return Outcome(refused=index)
            case NonInferior():
                return Outcome(promoted=index)
            case _:
                pass
    return Outcome()


def healthy(
    service: Service,
    rng: np.random.Generator,
    *,
    runs: int,
    maximum: float,
    drift: float = 1.0,
    histories: int = 40,
) -> list[Outcome]:
    """Run healthy canaries, each looked at 360 times.

    `drift` is how many times worse both arms are than their history.
    """
    policy = Policy()
    known = learn(service, rng, histories, policy)
    judges = [judge_of(policy, maximum, one.calibration) for one in known]
    now = replace(service, rate=service.rate * drift)
    outcomes = []
    for first in range(0, runs, _AT_ONCE):
        places = [at % len(known) for at in range(first, min(runs, first + _AT_ONCE))]
        spreads = np.stack([known[at].spread for at in places])
        drawn = strata(now, rng, LOOKS, spreads, now.rate)
        outcomes += [refused_after(judges[at], run) for at, run in zip(places, drawn, strict=True)]
    return outcomes


def sick(
    service: Service,
    rng: np.random.Generator,
    *,
    rate: float,
    runs: int,
    maximum: float,
    scrapes: int = 1800,
    histories: int = 10,
) -> list[Outcome]:
    """Run canaries with a worse rate until they are refused."""
    policy = Policy()
    known = learn(service, rng, histories, policy)
    judges = [judge_of(policy, maximum, one.calibration) for one in known]

    outcomes = []
    for run in range(runs):
        at = run % len(known)
        drawn = lazily(service, rng, scrapes, known[at].spread, rate)
        outcomes.append(refused_after(judges[at], drawn))
    return outcomes


def gated(
    service: Service,
    rng: np.random.Generator,
    *,
    rate: float,
    runs: int,
    policy: Policy,
    refuses: bool = True,
) -> list[Outcome]:
    """Run canaries to non-inferiority, for four hours at most, or to a refusal if there are any."""
    calm = Calibration(levels=((math.inf, 1.0),), stable=1.0, margin=policy.margin, known=True)
    plan = CountPlan(name=NAME, maximum=0.01, calibration=calm, refuses=refuses)
    judge = Judge(policy, [plan])
    spread = np.ones(PODS)
    return [
        decided_after(judge, lazily(service, rng, 2880 if refuses else LOOKS, spread, rate))
        for _ in range(runs)
    ]


def lazily(
    service: Service, rng: np.random.Generator, scrapes: int, spread: Array, rate: float
) -> Iterator[Stratum]:
    """Draw a long run piece by piece, for most end early."""
    drawn = 0
    while drawn < scrapes:
        size = min(max(12, drawn), scrapes - drawn)
        yield from next(strata(service, rng, size, spread[None, :], rate))
        drawn += size


def requests_needed(
    stable: float, canary: float, rng: np.random.Generator, *, runs: int
) -> tuple[float, float]:
    """Return the mean canary requests to a refusal, decided after every request, and the bound.

    The comparison alone, without margin, floor, cap or dispersion, with nine stable requests for
    each of the canary. No two-sample test can need less than the bound.
    """
    policy = Policy(
        alpha_history=0.0, margin=1.0, floor=0.0, cap_calm=1e9, cap_bursty=1e9, unknown_dispersion=1
    )
    judge = judge_of(policy, None, None)
    bound = two_sample_bound(stable, canary, policy.alpha)
    longest = int(10 * bound) + 50
    needed = []
    for _ in range(runs):
        others = rng.poisson(9, longest)
        bad = rng.random(longest) < canary
        columns = zip(
            bad.tolist(), rng.binomial(others, stable).tolist(), others.tolist(), strict=True
        )
        run = (Stratum(float(one), 1.0, float(k), float(n)) for one, k, n in columns)
        needed.append(refused_after(judge, run).refused or longest)
    return statistics.fmean(needed), bound


def two_sample_bound(stable: float, canary: float, alpha: float) -> float:
    """Return the requests that no test can do without, nine stable ones for each of the canary."""
    pooled = (canary + 9 * stable) / 10
    return math.log(1 / alpha) / (_kl(canary, pooled) + 9 * _kl(stable, pooled))


def _kl(rate: float, other: float) -> float:
    return rate * math.log(rate / other) + (1 - rate) * math.log((1 - rate) / (1 - other))
