"""Raw counters to counts: what each arm served between two scrapes.

The counters are read raw and subtracted here, series by series. A rate taken elsewhere is
extrapolated, and it loses what a series counted before its first sample: a series of errors is
born with its first error.

- A value below the last one is a reset, and counts in full.
- A series first seen on a pod that was born during the rollout, or was read before without it, had
  been 0 then, and counts in full. On a pod that is older and new to us it is where counting begins.
- A pod that misses a scrape is caught up with at its next one. When an arm is missing as a whole,
  the other arm waits for it too, so that both arms' counts cover the same time: a gap becomes one
  larger stratum.
- What a pod counted before its warm-up was over is left out, on both arms.
- What a canary pod counts in the first second of its traffic is marked as such, by the stratum.
- More bad requests than requests, as misaligned scrapes may show, are clamped and counted.

Everything is a function of the scrapes alone, so a replay of them gives the same state.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple

MOST: Final = 1e15
"""Requests of a million a second in thirty years; more than that is not told apart by one."""
LEAST: Final = 1e-6
"""Counters are whole numbers, but for what a rule has computed."""
_KEPT: Final = 600.0
"""For how many seconds a pod that is gone is remembered, should it only have been overlooked."""


class Arm(StrEnum):
    """The two sides of a comparison."""

    CANARY = "canary"
    STABLE = "stable"


class Stratum(NamedTuple):
    """What both arms counted over the same time. A tuple, for there are very many.

    Without stable requests it says nothing about the stable: traffic that a load test sends to
    the canary alone is such a stratum, and feeds the bound test only.

    `starting` is whether a canary pod's traffic has only begun. `before_bad` and `before_all` are
    what stable pods had counted when they were read for the first time.
    """

    canary_bad: float
    canary_all: float
    stable_bad: float = 0.0
    stable_all: float = 0.0
    seconds: float = 0.0
    starting: bool = False
    before_bad: float = 0.0
    before_all: float = 0.0


class Reading(NamedTuple):
    """The value of one series of one pod.

    `bad` and `requests` say how often the series counts in either sum: an error counter is 1 and 0
    beside a counter of all requests (0 and 1); one counter with a label of status is 1 and 1 where
    the status is bad and 0 and 1 elsewhere; a latency bucket of the good is -1 and 0 beside its
    `_count` of 1 and 1.
    """

    pod: str
    series: str
    value: float
    bad: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod that readings may come from, and when it was born, in seconds."""

    arm: Arm
    born: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """All readings of one metric at one moment. Readings of pods that are not known are ignored.

    `serving` is whether the canary gets a share of the traffic: what is counted before are probes.
    """

    time: float
    pods: Mapping[str, Pod]
    readings: tuple[Reading, ...]
    serving: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PodCounters:
    """Where the counters of one pod stood at its last scrape.

    `opened` is the time of the first scrape that found requests of its share in the traffic.
    """

    arm: Arm
    born: float
    time: float
    values: Mapping[str, float]
    opened: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Where all counters of a metric stand.

    `began` is when the rollout began. `lag` is how old a reading may be when it is read: the scrape
    interval of what is queried, 0 where the pods are read directly. With `alone` there is no stable
    to wait for. `start` is how long a canary pod's traffic has only begun. `past` is whether what
    the stable had counted before is still to be told. `clamped` counts the strata with more bad
    requests than requests.
    """

    began: float
    warmup: float = 30.0
    lag: float = 0.0
    alone: bool = False
    start: float = 0.0
    past: bool = True
    time: float = -math.inf
    seen: Mapping[str, PodCounters] = field(default_factory=dict)
    clamped: int = 0

    def warm(self, pod: PodCounters) -> float:
        """Return from when on a reading holds all of a pod's warm-up."""
        return pod.born + (self.warmup + self.lag if self.warmup else 0.0)


class Counted(NamedTuple):
    """What a scrape came to: the stratum, None where an arm was missing, and the split by pod."""

    counters: Counters
    stratum: Stratum | None
    pods: Mapping[str, tuple[float, float]]


def count(counters: Counters, scrape: Scrape) -> Counted:
    """Count one scrape. One that is not newer than the last changes nothing."""
    known = _known(counters, scrape)
    readings = _by_pod(scrape, known)
    arms = {known[name].arm for name in readings}
    needed = {Arm.CANARY} if counters.alone else {Arm.CANARY, Arm.STABLE}
    if scrape.time <= counters.time or not needed <= arms:
        return Counted(counters, None, {})
    seen = {name: pod for name, pod in counters.seen.items() if pod.time > scrape.time - _KEPT}
    pods: dict[str, tuple[float, float]] = {}
    starting = False
    for name, found in readings.items():
        before = counters.seen.get(name)
        counts = before is not None or known[name].born >= counters.began
        since = before or PodCounters(
            arm=known[name].arm, born=known[name].born, time=known[name].born, values={}
        )
        if counts and since.time >= counters.warm(since):
            fresh = before is not None or since.born >= counters.began
            pods[name] = _deltas(since, found, in_full=fresh)
            if since.arm is Arm.CANARY and pods[name][1] > 0:
                starting |= since.time < since.opened + counters.start
                since = _opened(since, scrape)
        values = {**since.values, **{one.series: one.value for one in found}}
        # What `replace` does, in a third of its time: this runs for every pod at every reading.
        seen[name] = PodCounters(
            arm=since.arm, born=since.born, time=scrape.time, values=values, opened=since.opened
        )
    stratum, clamped = _stratum(counters, scrape, pods, known)
    if starting and counters.start:
        stratum = stratum._replace(starting=True)
    if counters.past:
        bad, requests = _before(counters, readings, known)
        stratum = stratum._replace(before_bad=bad, before_all=requests)
    clamps = counters.clamped + clamped
    after = replace(counters, time=scrape.time, seen=seen, clamped=clamps, past=False)
    return Counted(after, stratum, pods)


def is_count(value: float) -> bool:
    """Tell whether a counter may stand at a value; beyond `MOST` it could not be counted on."""
    return value == 0 or LEAST <= value <= MOST


def gained(before: float, after: float) -> float:
    """Return what a counter counted between two readings; one that fell began again at 0."""
    return after - before if after >= before else after


def _opened(pod: PodCounters, scrape: Scrape) -> PodCounters:
    if pod.opened < math.inf or not scrape.serving:
        return pod
    return replace(pod, opened=scrape.time)


def _before(
    counters: Counters,
    readings: Mapping[str, list[Reading]],
    known: Mapping[str, Pod | PodCounters],
) -> tuple[float, float]:
    """Return what the stable's pods have counted since they began, at the first look at them."""
    bad = requests = 0.0
    for name, found in readings.items():
        if known[name].arm is Arm.STABLE and known[name].born < counters.began:
            bad += sum(one.bad * one.value for one in found)
            requests += sum(one.requests * one.value for one in found)
    return min(max(bad, 0.0), requests), requests


def _known(counters: Counters, scrape: Scrape) -> Mapping[str, Pod | PodCounters]:
    return {**counters.seen, **scrape.pods}


def _by_pod(scrape: Scrape, known: Mapping[str, Pod | PodCounters]) -> Mapping[str, list[Reading]]:
    """Group what can be counted: a count, and of a pod that is known."""
    found: dict[str, list[Reading]] = {}
    for reading in scrape.readings:
        if reading.pod in known and is_count(reading.value):
            found.setdefault(reading.pod, []).append(reading)
    return found


def _deltas(since: PodCounters, readings: list[Reading], *, in_full: bool) -> tuple[float, float]:
    bad = requests = 0.0
    for reading in readings:
        last = since.values.get(reading.series, 0.0 if in_full else reading.value)
        delta = gained(last, reading.value)
        bad += reading.bad * delta
        requests += reading.requests * delta
    return bad, requests


def _stratum(
    counters: Counters,
    scrape: Scrape,
    pods: Mapping[str, tuple[float, float]],
    known: Mapping[str, Pod | PodCounters],
) -> tuple[Stratum, bool]:
    sums = dict.fromkeys(Arm, (0.0, 0.0))
    for name, (bad, requests) in pods.items():
        arm = known[name].arm
        sums[arm] = (sums[arm][0] + bad, sums[arm][1] + requests)
    kept = {arm: (min(max(bad, 0.0), requests), requests) for arm, (bad, requests) in sums.items()}
    seconds = scrape.time - max(counters.time, counters.began)
    stratum = Stratum(*kept[Arm.CANARY], *kept[Arm.STABLE], max(0.0, seconds))
    return stratum, kept != sums
