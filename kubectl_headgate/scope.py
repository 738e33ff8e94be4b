"""Whose counters of a window are judged: of several candidates in a row, one, and in its own time.

All of them have pods named `<target>-canary-...` and one Service, and a gateway counts by Service
alone. So the pods are told apart by the hash in their names, and the gateway's counts by time.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from canary.counting.series import may_be_in
from kubectl_headgate.candidate import Candidate
from kubectl_headgate.naming import Sides
from kubectl_headgate.traces import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """From when to when pods with one template hash were seen, in seconds since the epoch."""

    hash: str
    first: float
    last: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Who is judged, from `since` on and before `until`; `others` had canaries beside it.

    `instead` tells that the run on record has no pods in the window, and an earlier one is judged.
    """

    sides: Sides
    since: float = -math.inf
    until: float = math.inf
    others: tuple[Life, ...] = ()
    instead: bool = False

    def holds(self, time: float) -> bool:
        """Tell whether a moment is in it."""
        return self.since <= time < self.until


def scope_of(
    traces: Iterable[Trace], sides: Sides, candidate: Candidate, namespace: str, end: float
) -> Scope:
    """Return whose counters are judged.

    It is the run on record where the window has it, and else the candidate that came last in the
    window; with a revision, what that says.

    Args:
        traces: all series of the window.
        sides: as they were asked for.
        candidate: that of the run on record.
        namespace: of the target.
        end: of the window, in seconds since the epoch.

    """
    mine = [trace for trace in traces if may_be_in(trace.labels, namespace)]
    canaries, versions = _lives(mine, sides.candidate), _lives(mine, sides.of_target)
    on_record = candidate.since <= end
    if sides.revision:
        return _by_revision(sides, canaries, versions)
    if on_record and _is_there(candidate, canaries):
        return _on_record(sides, candidate, canaries, versions)
    last = max(canaries.values(), key=lambda life: life.first, default=None)
    if last is None:
        return Scope(sides=sides)
    alone = _alone(sides, last, canaries, versions)
    return replace(alone, instead=on_record)


def _is_there(candidate: Candidate, canaries: Mapping[str, Life]) -> bool:
    """Tell whether the run on record may have counters in the window.

    One that was refused before and came again has made no pods. Where no pods are known at all, a
    gateway has counted.
    """
    present = (life for life in canaries.values() if life.last >= candidate.since)
    return not canaries or bool(candidate.canary) or any(present)


def _by_revision(sides: Sides, canaries: Mapping[str, Life], versions: Mapping[str, Life]) -> Scope:
    """A revision of a canary's pods is judged as a run, one of the target's over the window."""
    life = canaries.get(sides.revision)
    return Scope(sides=sides) if life is None else _alone(sides, life, canaries, versions)


def _on_record(
    sides: Sides, candidate: Candidate, canaries: Mapping[str, Life], versions: Mapping[str, Life]
) -> Scope:
    since = candidate.since
    present = [life for life in canaries.values() if life.last >= since]
    # Of the candidate before some pods may be left, which leave while the next ones start.
    newest = max(present, key=lambda life: life.first, default=None)
    judged = candidate.canary or (newest.hash if newest else "")
    life = canaries.get(judged)
    promoted = candidate.promoted or (_rolled(life, versions, since) if life else frozenset())
    return Scope(
        sides=replace(sides, canary=judged, promoted=promoted),
        since=since,
        others=_others(judged, canaries),
    )


def _alone(
    sides: Sides, life: Life, canaries: Mapping[str, Life], versions: Mapping[str, Life]
) -> Scope:
    """Return the time in which a candidate was the only one."""
    later = [one.first for one in canaries.values() if one.first > life.first]
    return Scope(
        sides=replace(sides, canary=life.hash, promoted=_rolled(life, versions, life.first)),
        since=life.first,
        until=min(later, default=math.inf),
        others=_others(life.hash, canaries),
    )


def _rolled(life: Life, versions: Mapping[str, Life], since: float) -> frozenset[str]:
    """Return the hashes with which the target came to run a candidate: a held one gets no other."""
    return frozenset(
        one.hash for one in versions.values() if max(since, life.first) < one.first <= life.last
    )


def _others(judged: str, canaries: Mapping[str, Life]) -> tuple[Life, ...]:
    found = (life for life in canaries.values() if life.hash != judged)
    return tuple(sorted(found, key=lambda life: life.first))


def _lives(traces: Iterable[Trace], hash_of: Callable[[str], str | None]) -> dict[str, Life]:
    found: dict[str, Life] = {}
    for trace in traces:
        version = hash_of(trace.pod) if trace.pod else None
        if version:
            known = found.get(version, Life(hash=version, first=math.inf, last=-math.inf))
            first, last = min(known.first, trace.first), max(known.last, trace.points[-1][0])
            found[version] = Life(hash=version, first=first, last=last)
    return found
