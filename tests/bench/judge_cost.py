"""What the judge costs: time per update of one metric of one canary, and memory per run."""

import math
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from canary.evidence.counters import Stratum
from canary.evidence.dispersion import Calibration
from canary.evidence.judge import Judge, JudgeState, Samples
from canary.evidence.plan import CountPlan
from canary.evidence.policy import Policy
from tests.bench.figures import Figure
from tests.bench.machine import ROOT

METRICS = 5
ROUNDS = 5
RUNS = 40
MICRO = 1e6
KILO = 1000
AIM_MICROSECONDS = 5
AIM_KILOBYTES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Bad requests that are usual in a scrape, where the canary has 250 of 2500 requests."""

    name: str
    canary: int
    stable: int
    gate: bool = True
    aim: float | None = AIM_MICROSECONDS


QUIET = Case(name="no bad request", canary=0, stable=0)
BOTH = Case(name="bad requests on both arms", canary=2, stable=20, gate=False)
GATED = Case(name="bad requests on both arms, with a gate", canary=2, stable=20)
CASES = (
    QUIET,
    Case(name="bad requests on the stable", canary=0, stable=20),
    BOTH,
    GATED,
    Case(name="a sick canary, until it is refused", canary=25, stable=20, aim=None),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The best of several rounds, in seconds, and how far the worst of them was from it."""

    seconds: float
    noise: float


def figures() -> list[Figure]:
    """Measure an update, an update with the look that follows it, and the memory of a run."""
    found = [_figure(f"update, {case.name}", update(case), case.aim) for case in CASES]
    found.append(_figure(f"update and look, {BOTH.name}", update(BOTH, look=True), None))
    size = memory() / KILO
    name = f"memory of a run of {METRICS} metrics"
    return [*found, Figure(name=name, value=size, unit="kB", aim=AIM_KILOBYTES)]


def _figure(name: str, cost: Cost, aim: float | None) -> Figure:
    noise = cost.noise * MICRO
    return Figure(
        name=name,
        value=cost.seconds * MICRO,
        unit="us",
        aim=aim,
        noise=noise,
        note=f"per metric; best of {ROUNDS} rounds, the worst was {noise:.2f} us slower",
    )


def update(case: Case, *, look: bool = False) -> Cost:
    """Return what one update of one metric takes, with the question for a refusal or without."""
    judge, samples = judge_of(1.5, gate=case.gate), list(drawn(case))
    rounds = [min(_batch(judge, samples, look=look) for _ in range(RUNS)) for _ in range(ROUNDS)]
    return Cost(seconds=min(rounds), noise=max(rounds) - min(rounds))


def _batch(judge: Judge, samples: Sequence[Samples], *, look: bool) -> float:
    state, began = judge.start(), time.perf_counter()
    for one in samples:
        state = judge.update(state, one)
        if look:
            judge.refuses(state)
    return (time.perf_counter() - began) / len(samples) / METRICS


def memory() -> float:
    """Return the bytes that one more run takes: its judge, what that has learned, and its state.

    Measured in a process of its own: caches that others have filled would give way to new entries,
    and only those would be counted.
    """
    code = f"from {__name__} import traced; print(traced())"
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return float(done.stdout)


def traced() -> float:
    """Measure the same here: the tables that all runs share are filled before.

    Every run has a margin of its own.
    """
    samples = list(drawn(GATED))
    for at in range(RUNS):
        _ended(at + 0.5, samples)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [_ended(at, samples) for at in range(RUNS)]
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    return (after - before) / len(kept)


def _ended(at: float, samples: Sequence[Samples]) -> tuple[Judge, JudgeState]:
    judge = judge_of(1.5 + at / KILO)
    state = judge.start()
    for one in samples:
        state = judge.update(state, one)
    return judge, state


def judge_of(margin: float, *, gate: bool = True) -> Judge:
    """Return a judge of metrics with a history: 1 % of 500 requests per second are bad.

    With a gate, which is not the default, every metric is also tested for non-inferiority.
    """
    levels = tuple((50.0 * 2**at, 1.1 + at / 20) for at in range(4))
    calibration = Calibration(levels=levels, stable=1.2, margin=margin, known=True, learned=0.0105)
    return Judge(
        Policy(),
        [
            CountPlan(name=f"metric {at}", maximum=0.02, promotes=gate, calibration=calibration)
            for at in range(METRICS)
        ],
    )


def drawn(case: Case, scrapes: int = 60) -> Iterator[Samples]:
    """Draw scrapes of a canary with a tenth of the traffic: five minutes at one every 5 s."""
    draw = random.Random(9)  # noqa: S311 - a fixed seed, no secret
    for _ in range(scrapes):
        requests, others = round(draw.gauss(250, 16)), round(draw.gauss(2250, 47))
        bad, stable_bad = _about(draw, case.canary), _about(draw, case.stable)
        stratum = Stratum(bad, float(requests), stable_bad, float(others), 5.0)
        yield {f"metric {at}": stratum for at in range(METRICS)}


def _about(draw: random.Random, mean: int) -> float:
    """Draw a count around its mean that is at least 1, so that every scrape has bad requests."""
    return float(max(1, round(draw.gauss(mean, math.sqrt(mean))))) if mean else 0.0
