"""Runs in which every half second is drawn, and read in the rhythm of the product.

Requests come as a Poisson process, a tenth of them to the canary unless said otherwise. Pages are
read after a tenth of the time since the canary's traffic began, every quarter of a second at first
and every two seconds at last; the traffic begins at any moment between two readings. A refusal
takes effect some time after the reading that it rests on.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np

from analyzer.gathering.pace import Pace
from canary.evidence.counters import Stratum
from canary.evidence.dispersion import Calibration
from canary.evidence.judge import Judge, Samples
from canary.evidence.plan import CountPlan
from canary.evidence.policy import Policy
from tests.simulation.outcomes import PODS, Array

NAME: Final = "errors"
STEP: Final = 0.1
"""Seconds that are drawn at once."""
LEARNED: Final = 1.1
"""Times the stable's rate: how high a history takes it to be."""
ACTING: Final = 0.3
"""Seconds from a reading to weight 0 on the route: what the sandbox takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """When pages are read, in seconds, and how long a pod's requests are left out."""

    pace: Pace = Pace()
    warmup: float = 0.0

    def readings(self, offset: float, seconds: float) -> Iterator[float]:
        """Return the times of all readings, given the part of a pause that is left at 0."""
        time = offset * self.pace.after(0.0)
        while time <= seconds:
            if time >= self.warmup:
                yield time
            time += self.pace.after(time)


NOW: Final = Rhythm()
BEFORE: Final = Rhythm(pace=Pace(hurried=Pace().pods), warmup=5.0)
"""As it was before a weight's rise was heard of: a warm-up of 5 s, then every 2 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bursts:
    """A rate with two states: `high` times the mean for `share` of the time, `dwell` s at once."""

    high: float
    share: float = 0.1
    dwell: float = 20.0
    by_pod: bool = False

    def factors(self, rng: np.random.Generator, seconds: int) -> tuple[Array, Array]:
        """Draw for every second how many times the mean both arms' rates are."""
        size = 1 + (PODS if self.by_pod else 1)
        low = (1 - self.share * self.high) / (1 - self.share)
        ends, begins = 1 / self.dwell, self.share / (self.dwell * (1 - self.share))
        drawn = rng.random((seconds, size))
        factors = np.empty((seconds, size))
        for column, first in enumerate(rng.random(size).tolist()):
            high = first < self.share
            states = [high]
            for one in drawn[1:, column].tolist():
                high = one >= ends if high else one < begins
                states.append(high)
            factors[:, column] = np.where(states, self.high, low)
        return factors[:, 0], factors[:, 1:].mean(axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of run.

    `rps` are all requests per second, `share` the canary's part of them. `first` is what its bad
    rate is in its first second at least. With `cluster` bad requests come in clusters of this mean
    size, spread over two seconds. `known` is whether a history was learned from, `lived` for how
    many seconds the stable's pods had served before.
    """

    rps: float
    stable: float
    canary: float | None = None
    share: float = 0.1
    first: float = 0.0
    bursts: Bursts | None = None
    cluster: float = 1.0
    known: bool = True
    lived: float = 0.0
    maximum: float = 0.01
    seconds: int = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended: seconds of canary traffic until weight 0, and its failed answers."""

    seconds: float = math.inf
    failed: float = math.inf


class Test(Protocol):
    """What judges a run, with a state of its own kind."""

    @property
    def policy(self) -> Policy: ...

    def start(self) -> Any: ...

    def update(self, state: Any, samples: Samples) -> Any: ...

    def refuses(self, state: Any) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowing:
    """A test that knows both rates beforehand: at its chance of an error none is sooner.

    By Wald and Wolfowitz (1948). `healthy` is what the learned bound allows.
    """

    policy: Policy
    healthy: float
    failing: float

    def start(self) -> float:
        return 0.0

    def update(self, state: float, samples: Samples) -> float:
        stratum = samples[NAME]
        assert isinstance(stratum, Stratum)
        allowed = self.healthy
        if stratum.starting:
            allowed = max(allowed, self.policy.start_rate)
        good = stratum.canary_all - stratum.canary_bad
        return (
            state
            + stratum.canary_bad * math.log(self.failing / allowed)
            + good * math.log((1 - self.failing) / (1 - allowed))
        )

    def refuses(self, state: float) -> bool:
        return state >= self.policy.refuse_at


def judge_of(case: Case, policy: Policy) -> Judge:
    """Return the judge of a case; a history is one of independent requests."""
    calibration = Calibration(
        levels=((math.inf, 1.0),),
        stable=1.0,
        margin=policy.margin,
        known=True,
        learned=LEARNED * case.stable,
    )
    learned = calibration if case.known else None
    # No gate, as by default.
    plan = CountPlan(name=NAME, maximum=case.maximum, calibration=learned, promotes=False)
    return Judge(policy, [plan])


def runs_of(
    case: Case, rng: np.random.Generator, *, runs: int, rhythm: Rhythm = NOW
) -> list[Ended]:
    """Run canaries of a case until they are refused, or to its end."""
    policy = Policy()
    if rhythm.warmup:
        policy = replace(policy, start=0.0)
    judge = judge_of(case, policy)
    return [_one(case, judge, rng, rhythm) for _ in range(runs)]


def least_of(case: Case, rng: np.random.Generator, *, runs: int) -> list[Ended]:
    """Run the same canaries by a test that knows both rates, and needs no other's word."""
    policy = Policy()
    healthy = policy.margin * LEARNED * case.stable
    test = Knowing(policy=policy, healthy=healthy, failing=case.canary or case.stable)
    return [_one(case, test, rng, NOW) for _ in range(runs)]


def _at(totals: Array, times: Sequence[float]) -> Array:
    """Return what both arms have counted at these times."""
    steps = np.asarray([int(time / STEP) for time in times])
    return np.asarray(totals[np.minimum(steps, len(totals) - 1)])


def _one(case: Case, judge: Test, rng: np.random.Generator, rhythm: Rhythm) -> Ended:
    totals = _totals(case, rng)
    state = judge.start()
    if case.lived:
        served = case.rps * case.lived
        before = Stratum(
            0, 0, before_bad=float(rng.poisson(served * case.stable)), before_all=served
        )
        state = judge.update(state, {NAME: before})
    then, opened, start = 0.0, math.inf, judge.policy.start
    times = list(rhythm.readings(float(rng.random()), case.seconds))
    counted = np.diff(_at(totals, [rhythm.warmup, *times]), axis=0).tolist()
    for time, (bad, requests, stable_bad, stable_all) in zip(times, counted, strict=True):
        starting = False
        if requests and start:
            starting, opened = then < opened + start, min(opened, time)
        stratum = Stratum(bad, requests, stable_bad, stable_all, time - then, starting)
        state = judge.update(state, {NAME: stratum})
        then = time
        if bad and judge.refuses(state):
            ended = time + ACTING
            return Ended(seconds=ended, failed=float(_at(totals, [ended])[0, 0]))
    return Ended()


def _totals(case: Case, rng: np.random.Generator) -> Array:
    """Draw what both arms have counted up to every step: bad and all of the canary, the stable."""
    steps = round(case.seconds / STEP)
    canary, stable = np.ones(case.seconds), np.ones(case.seconds)
    if case.bursts:
        canary, stable = case.bursts.factors(rng, case.seconds)
    every = round(1 / STEP)
    ours = (case.stable if case.canary is None else case.canary) * np.repeat(canary, every)
    ours[:every] = np.maximum(ours[:every], case.first)
    columns: list[Array] = []
    for rates, share in (
        (ours, case.share),
        (case.stable * np.repeat(stable, every), 1 - case.share),
    ):
        requests = rng.poisson(case.rps * share * STEP, steps).astype(np.float64)
        columns += [_bad(case, rng, requests, rates), requests]
    return np.vstack([np.zeros(4), np.stack(columns, axis=1).cumsum(0)])


def _bad(case: Case, rng: np.random.Generator, requests: Array, rates: Array) -> Array:
    if case.cluster <= 1:
        return rng.binomial(requests.astype(np.int64), rates).astype(np.float64)
    bad = np.zeros(len(requests))
    for at in np.flatnonzero(rng.random(len(bad)) < requests * rates / case.cluster):
        size = rng.geometric(1 / case.cluster)
        np.add.at(bad, np.minimum(at + rng.integers(0, round(2 / STEP), size), len(bad) - 1), 1)
    return np.minimum(bad, requests)


def quantiles(ended: Sequence[Ended]) -> tuple[float, float, float]:
    """Return the median and 90 % of the times, and the median of the failed answers."""
    times, failed = sorted(one.seconds for one in ended), sorted(one.failed for one in ended)
    return times[len(times) // 2], times[int(0.9 * len(times))], failed[len(failed) // 2]
