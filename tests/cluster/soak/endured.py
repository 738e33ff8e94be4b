"""Many releases side by side while parts of the cluster end: what is played, and what is right.

Pure: `test_endurance_soak.py` plays it and writes down what it saw. What is wrong, and how fast
something grows, is said here from that record alone.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain, combinations, repeat
from statistics import median
from typing import Final

BOUND: Final = 10.0
"""Seconds after a refusal, or after the gateway's return, by which a split is carried out."""
SLACK: Final = 15.0
"""Seconds around an absence in which gateways may know of pods too late."""
LAG: Final = 3.0
"""Seconds from which on a gateway that has not seen a write is behind."""
WARM: Final = 120.0
"""Seconds of a life that tell nothing: caches fill, and the allocator takes what it needs."""
WARM_LEADING: Final = 300.0
"""The same of one that leads: 95 MiB at first, 104 after this, on the sandbox."""
LONG: Final = 240.0
"""Seconds after these that a life has to be measured for its slopes to be held against it."""


# --- releases -----------------------------------------------------------------------------------


class Kind(StrEnum):
    """What a version does."""

    GOOD = "good"
    ERRORS = "errors"
    SLOW = "slow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version that is pushed; `left` is for how long where it is not left to its verdict."""

    kind: Kind
    errors: str = ""
    left: float | None = None

    @property
    def good(self) -> bool:
        """Whether it is to be promoted."""
        return self.kind is Kind.GOOD


def releases(chance: random.Random, number: int) -> tuple[Release, ...]:
    """Return what one team pushes: each bad version is followed by its fix.

    Every fifth bad one, and one in five good ones, is superseded before its verdict. The last
    release is left to its verdict.
    """
    found: list[Release] = []
    while len(found) < number:
        if chance.random() < 0.4:
            found.append(_bad(chance))
        found.append(Release(kind=Kind.GOOD, left=_left(chance)))
    found[number - 1 :] = [Release(kind=Kind.GOOD)]
    return tuple(found)


def _bad(chance: random.Random) -> Release:
    if chance.random() < 0.25:
        return Release(kind=Kind.SLOW, left=_left(chance))
    return Release(kind=Kind.ERRORS, errors=chance.choice(("0.2", "0.5")), left=_left(chance))


def _left(chance: random.Random) -> float | None:
    return chance.uniform(1, 15) if chance.random() < 0.2 else None


class Verdict(StrEnum):
    """What became of a release."""

    PROMOTED = "promoted"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A release, what became of it and when, in seconds since the team's traffic began.

    `why` is the condition's reason and message.
    """

    name: str
    release: Release
    pushed: float
    at: float
    verdict: Verdict
    why: str = ""

    @property
    def wrong(self) -> str:
        """What is wrong with the verdict, "" if nothing is."""
        right = {Verdict.PROMOTED if self.release.good else Verdict.REFUSED}
        if self.release.left is not None:
            right.add(Verdict.SUPERSEDED)
        if self.verdict in right and self._is_judged:
            return ""
        return (
            f"{self.name} ({self.release.kind}) is {self.verdict}, "
            f"{self.at - self.pushed:.0f} s after its push: {self.why}"
        )

    @property
    def _is_judged(self) -> bool:
        """Whether a refusal is one, and no run that nobody could judge."""
        return self.verdict is not Verdict.REFUSED or self.why.startswith("Refused:")


Span = tuple[float, float]
"""From and to, in seconds on a team's clock."""


def wrong_answers(
    ended: Sequence[Ended], answers: Iterable[tuple[float, int, str]], outages: Sequence[Span]
) -> list[str]:
    """Return what users must not have seen, at most one line for each way.

    Args:
        ended: a team's releases.
        answers: when each request was sent, its status (0: no answer) and the version.
        outages: when the API server was away, or the gateway behind: pods of a rollout may be gone
            meanwhile without the gateway knowing.

    """
    bad = {one.name for one in ended if not one.release.good}
    over = {one.name: _over(one.at, outages) for one in ended if one.verdict is Verdict.REFUSED}
    seen: dict[str, list[float]] = {}
    for at, status, version in answers:
        if at > over.get(version, at):
            what = f"an answer by {version} after its refusal"
        elif status == 200 or (status == 500 and version in bad) or _away(at, outages):
            continue
        else:
            what = f"status {status} by {version}"
        seen.setdefault(what, []).append(at)
    return [
        f"{len(times)} times {what}, {times[0]:.1f} to {times[-1]:.1f} s"
        for what, times in seen.items()
    ]


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans in their order; those between which a gateway was not seen to follow are one."""
    found: list[Span] = []
    for span in sorted(spans):
        before = found.pop() if found and span[0] - found[-1][1] <= LAG else span
        found.append((before[0], max(before[1], span[1])))
    return tuple(found)


def _away(at: float, outages: Sequence[Span]) -> bool:
    return any(begin - SLACK <= at <= end + SLACK for begin, end in outages)


def _over(refused: float, outages: Sequence[Span]) -> float:
    """Return from when on a refused version has to be silent."""
    late = [end for begin, end in outages if begin - SLACK <= refused <= end + SLACK]
    return max([refused, *late]) + BOUND


# --- deaths -------------------------------------------------------------------------------------


class Victim(StrEnum):
    """What ends."""

    ANALYZER = "the analyzer that leads"
    STANDBY = "the analyzer that waits"
    WEBHOOK = "a webhook pod"
    API_SERVER = "the API server"
    PROMETHEUS = "Prometheus"


class Way(StrEnum):
    """How it ends."""

    KILLED = "killed"
    ASKED = "asked to end"
    DELETED = "its pod deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One end: seconds after the start, and for the API server how long it stays away."""

    at: float
    victim: Victim
    way: Way
    away: float = 0.0


_FIRST: Final = (
    *(2 * (Victim.ANALYZER,)),
    Victim.STANDBY,
    Victim.API_SERVER,
    Victim.PROMETHEUS,
    Victim.WEBHOOK,
)
"""What ends first: an analyzer's life after that is long enough to be measured."""
_THEN: Final = (*(2 * (Victim.API_SERVER,)), *(4 * (Victim.PROMETHEUS,)), Victim.WEBHOOK)
"""What ends of every seven from then on."""
_EVERY: Final = (25.0, 55.0)
"""Seconds between two ends."""


def deaths(chance: random.Random, seconds: float) -> Iterator[Death]:
    """Yield what ends within so many seconds; the last half minute is left to mend."""
    at = 0.0
    for deck in chain([_FIRST], repeat(_THEN)):
        for victim in chance.sample(deck, len(deck)):
            at += chance.uniform(*_EVERY)
            if at > seconds - 30:
                return
            is_process = victim is Victim.API_SERVER
            ways = (Way.KILLED, Way.ASKED) if is_process else tuple(Way)
            away = chance.choice((0.0, 3.0, 8.0, 20.0)) if is_process else 0.0
            yield Death(at=at, victim=victim, way=chance.choice(ways), away=away)


# --- growth -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bound:
    """What may grow by how much in ten minutes, and how it is written.

    What is `kept` a process has whatever part it plays.
    """

    name: str
    unit: str
    most: float
    kept: bool = False


LEADS: Final = "analyzer, leads"
BOUNDS: Final = (
    Bound("memory", "MiB", 2.0, kept=True),
    Bound("children", "MiB", 2.0, kept=True),
    Bound("descriptors", "", 5.0),
    Bound("sockets", "", 5.0),
    Bound("tasks", "", 5.0),
)


@dataclass(frozen=True, slots=True)
class Life:
    """One process, while it has one part to play, such as `analyzer, leads`."""

    name: str
    part: str
    born: float


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process had at one moment, by the names of `BOUNDS`."""

    at: float
    values: dict[str, float]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the Theil-Sen slope, the median over all pairs; 0 where there are no two points."""
    pairs = combinations(points, 2)
    return median([(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in pairs if x1 != x2] or [0.0])


@dataclass(frozen=True, slots=True)
class Growth:
    """How a life grew: first and last level (medians of a minute) and slope per ten minutes."""

    life: Life
    bound: Bound
    seconds: float
    first: float
    last: float
    slope: float

    @property
    def counts(self) -> bool:
        """Whether the life was long enough to be held to its bound."""
        return self.seconds >= LONG

    @property
    def wrong(self) -> bool:
        """Whether it grew by more than its bound, and by what is seen over its own time too."""
        grown = self.slope * self.seconds / 600
        return self.counts and self.slope > self.bound.most and grown > self.bound.most / 2

    def __str__(self) -> str:
        """Write a row of the table."""
        mark = "GROWS" if self.wrong else "" if self.counts else "short"
        return (
            f"{self.life.part:18} {self.life.name:38} {self.bound.name:12}"
            f"{self.seconds:6.0f} s {self.first:9.1f} {self.last:9.1f} {self.bound.unit:4}"
            f"{self.slope:+9.2f} / 10 min {mark}"
        ).rstrip()


def growths(lives: dict[Life, list[Sample]], since: float) -> list[Growth]:
    """Return how each life grew in each respect, once it was warm and not before `since`.

    The memory of a process that has led is measured whether it leads on or not: leadership goes to
    and fro with the API server, and what was taken is kept.
    """
    found = []
    for life in sorted(lives, key=lambda one: (one.part, one.born)):
        for bound in BOUNDS:
            warm = [one for one in _warm(lives, life, bound) if one.at >= since]
            if len(warm) >= 6:
                found.append(_growth(life, bound, warm))
    return found


def _warm(lives: dict[Life, list[Sample]], life: Life, bound: Bound) -> list[Sample]:
    """Return by which samples a life is held to a bound: none of what its leading part tells."""
    began = lives[life][0].at
    if bound.kept and life.part == LEADS:
        of_process = _of_process(lives, life.name)
        return [one for one in of_process if one.at >= began + WARM_LEADING]
    if bound.kept and _has_led(lives, life.name):
        return []
    return [one for one in lives[life] if one.at >= began + WARM]


def _of_process(lives: dict[Life, list[Sample]], name: str) -> list[Sample]:
    samples = (one for life, its in lives.items() if life.name == name for one in its)
    return sorted(samples, key=lambda one: one.at)


def _has_led(lives: dict[Life, list[Sample]], name: str) -> bool:
    return any((life.name, life.part) == (name, LEADS) for life in lives)


def measured(found: Iterable[Growth]) -> set[str]:
    """Return the parts of which some memory was seen for long enough."""
    return {one.life.part for one in found if one.counts and one.bound.name == "memory"}


def _growth(life: Life, bound: Bound, samples: Sequence[Sample]) -> Growth:
    points = [(one.at, one.values[bound.name]) for one in samples if bound.name in one.values]
    levels = [value for _, value in points] or [0.0]
    return Growth(
        life=life,
        bound=bound,
        seconds=samples[-1].at - samples[0].at,
        first=median(levels[:6]),
        last=median(levels[-6:]),
        slope=600 * slope(points),
    )
