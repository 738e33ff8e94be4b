"""Runs that go through raw counters: late and missing scrapes, warm-up, restarts, churn.

Every second is drawn; each pod is scraped every 15 s at an offset of its own, and all its last
samples are read every 5 s, as an instant query sees them.
"""

import math
from dataclasses import dataclass

import numpy as np

from canary.evidence.counters import Arm, Counters, Pod, Reading, Scrape, count
from canary.evidence.dispersion import Calibration
from canary.evidence.policy import Policy
from tests.simulation.outcomes import Array, Outcome
from tests.simulation.runs import NAME, judge_of

SECONDS = 1800
PODS = 10
_EVERY = 15
_CANARY = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What goes wrong with the measuring, or with both arms at once.

    `cold` is how many times worse a pod is in its first 25 s, `tide` how far the rate of both arms
    swings within two minutes, `outage` the rate of a shared outage of 30 s. `missed` is the share
    of scrapes that fail, `restarts` how often a pod's counters begin anew, `churn` how many stable
    pods are replaced during the run.
    """

    name: str
    cold: float = 1.0
    tide: float = 0.0
    outage: float = 0.0
    missed: float = 0.0
    restarts: int = 0
    churn: int = 0


TROUBLES = (
    Trouble(name="misaligned scrapes"),
    Trouble(name="misaligned, cold start x 20", cold=20.0),
    Trouble(name="misaligned, swinging rate", tide=0.9),
    Trouble(name="30 % of scrapes missing", missed=0.3),
    Trouble(name="restarts and churn", restarts=4, churn=4, cold=5.0),
)
OUTAGE = Trouble(name="misaligned, outage on both", outage=0.2)


def healthy(
    trouble: Trouble, rng: np.random.Generator, *, runs: int, rps: float, rate: float
) -> list[Outcome]:
    """Run healthy canaries through the product's counters and its judge."""
    policy = Policy()
    calibration = Calibration(
        levels=((math.inf, 1.0),), stable=1.0, margin=policy.margin, known=True, learned=rate * 1.1
    )
    judge = judge_of(policy, 2 * rate, calibration)
    outcomes = []
    for _ in range(runs):
        state, counters, refused = (
            judge.start(),
            Counters(began=0.0, warmup=policy.warmup, lag=_EVERY),
            None,
        )
        for scrape in _scrapes(trouble, rng, rps, rate):
            counters, stratum, _ = count(counters, scrape)
            if stratum is not None:
                state = judge.update(state, {NAME: stratum})
                if stratum.canary_bad and judge.refuses(state):
                    refused = int(scrape.time / 5)
                    break
        outcomes.append(Outcome(refused=refused))
    return outcomes


def _scrapes(trouble: Trouble, rng: np.random.Generator, rps: float, rate: float) -> list[Scrape]:
    pods = {f"pod-{at}": Pod(arm=Arm.STABLE, born=-9999.0) for at in range(PODS)}
    pods["pod-0"] = Pod(arm=Arm.CANARY, born=0.0)
    replaced = rng.choice(np.arange(1, PODS), trouble.churn, replace=False)
    ends = dict(
        zip(replaced.tolist(), rng.integers(200, 1500, trouble.churn).tolist(), strict=True)
    )
    for at, end in ends.items():
        pods[f"pod-{at}-new"] = Pod(arm=Arm.STABLE, born=float(end))
    counted = _counted(trouble, rng, rps, rate, ends)
    seen = {name: _samples(trouble, rng) for name in pods}
    return [
        Scrape(time=float(now), pods=pods, readings=_readings(pods, counted, seen, now, ends))
        for now in range(5, SECONDS, 5)
    ]


def _counted(
    trouble: Trouble, rng: np.random.Generator, rps: float, rate: float, ends: dict[int, int]
) -> tuple[Array, Array]:
    """Draw the counters of every place for every second, zero again after each restart."""
    time = np.arange(SECONDS)
    both = rate * (1 + trouble.tide * np.sin(time / 19))
    if trouble.outage:
        start = int(rng.integers(60, SECONDS - 60))
        both[start : start + 30] = trouble.outage
    rates = np.repeat(both[:, None], PODS, axis=1)
    births = {_CANARY: 0, **ends}
    for at, born in births.items():
        rates[born : born + 25, at] = np.minimum(1.0, rates[born : born + 25, at] * trouble.cold)
    requests = rng.poisson(rps / PODS, (SECONDS, PODS))
    bad = rng.binomial(requests, rates).cumsum(0)
    total = requests.cumsum(0)
    anew = [*ends.items()]
    anew += [
        (int(rng.integers(0, PODS)), int(rng.integers(1, SECONDS))) for _ in range(trouble.restarts)
    ]
    for at, when in sorted(anew, key=lambda one: one[1]):
        bad[when:, at] -= bad[when, at]
        total[when:, at] -= total[when, at]
    return bad.astype(np.float64), total.astype(np.float64)


def _samples(trouble: Trouble, rng: np.random.Generator) -> list[int]:
    """Return for every second when a pod was last scraped."""
    due = np.arange(int(rng.integers(0, _EVERY)), SECONDS, _EVERY)
    taken = due[rng.random(len(due)) >= trouble.missed]
    last = np.full(SECONDS, -1)
    last[taken] = taken
    return [int(one) for one in np.maximum.accumulate(last)]


def _readings(
    pods: dict[str, Pod],
    counted: tuple[Array, Array],
    seen: dict[str, list[int]],
    now: int,
    ends: dict[int, int],
) -> tuple[Reading, ...]:
    readings = []
    for name, pod in pods.items():
        at, when = int(name.split("-")[1]), seen[name][now]
        gone = at in ends and not name.endswith("new") and when >= ends[at]
        if when < 0 or when < pod.born or gone:
            continue
        bad, total = float(counted[0][when, at]), float(counted[1][when, at])
        readings.append(Reading(name, "all", total, 0, 1))
        if bad:
            readings.append(Reading(name, "bad", bad, 1, 0))
    return tuple(readings)
