"""Releases on top of each other: what has to become of each push.

Pure: `tests/cluster/releases.py` plays a plan (`tests/cluster/plans.py`) on a cluster and writes
down what it saw. What is right is decided here, from that record alone:

- A good version is never refused. Left alone it becomes what serves; superseded it may end in any
  other way.
- A bad version never becomes what serves. Left alone it is refused. Pushed again while it is
  remembered it is refused without a share of the traffic. Only the version refused last is
  remembered, and until another one is promoted (`headgate.dev/refused`).
- The stable's own template ends whatever is under way.
- Every answer is 200, or 500 from a bad version; and a version answers only while it serves, has a
  share or rolls, and a moment longer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

_LOOK: Final = 1.0
"""Seconds by which the record of a change may come later than the change."""
_ROUTE: Final = 3.0
"""Seconds that a gateway may take to carry out a route."""
_PODS: Final = 25.0
"""Seconds after which the pods of a version that served or rolled are gone at the latest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of the app, and the hash of its template."""

    name: str
    good: bool
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A version that was written into the target.

    `order` is the resource version that the write got, `at` in seconds since the traffic began.
    `changed` tells whether the target had another template before.
    """

    version: Version
    order: int
    at: float
    changed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One stored status of the Canary, in the order of its resource version."""

    order: int
    at: float
    phase: str
    candidate: str
    stable: str
    weight: int
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One request: when it was sent, its status (0: none came) and the version that answered."""

    at: float
    status: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything that was seen; each in its order."""

    pushes: tuple[Push, ...]
    looks: tuple[Look, ...]
    answers: tuple[Answer, ...]
    first: Version


class Verdict(StrEnum):
    """What became of a push."""

    PROMOTED = "promoted"
    REVERTED = "reverted to"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    OPEN = "open"


_IS_RIGHT: Final = {
    True: {Verdict.PROMOTED, Verdict.REVERTED, Verdict.SUPERSEDED},
    False: {Verdict.REFUSED, Verdict.SUPERSEDED},
}
"""By whether a version is good."""


# --- what became of a push ----------------------------------------------------------------------


def verdict_of(position: int, record: Record) -> Verdict:
    """Return what became of a push; OPEN where nothing has so far.

    Args:
        position: of the push.
        record: so far.

    """
    own = list(_looks_of(position, record))
    version = record.pushes[position].version
    if any(look.stable == version.hash and look.phase == "Initialized" for look in own):
        return Verdict.REVERTED
    about = [look for look in own if look.candidate == version.hash]
    phases = {look.phase for look in about}
    if phases & {"Finalising", "Succeeded"}:
        return Verdict.PROMOTED
    if "Failed" in phases:
        return Verdict.REFUSED
    return Verdict.SUPERSEDED if _next(position, record) is not None else Verdict.OPEN


def has_ended(position: int, record: Record) -> bool:
    """Tell whether nothing more becomes of the last push but a clean-up.

    A push that changed nothing goes on with the one before it.
    """
    if not record.pushes[position].changed:
        return position == 0 or has_ended(position - 1, record)
    looks = list(_looks_of(position, record))
    verdict = verdict_of(position, record)
    last = looks[-1].phase if looks else ""
    return verdict is not Verdict.OPEN and last in {"Initialized", "Succeeded", "Failed"}


def has_reached(position: int, record: Record, phase: str, weight: int = 0) -> bool:
    """Tell whether the candidate of a push came to a phase, with this share at least."""
    version = record.pushes[position].version
    return any(
        look.candidate == version.hash and look.phase == phase and look.weight >= weight
        for look in _looks_of(position, record)
    )


def _next(position: int, record: Record) -> Push | None:
    """Return the push that superseded one."""
    return next((push for push in record.pushes[position + 1 :] if push.changed), None)


def _looks_of(position: int, record: Record) -> Iterator[Look]:
    """Return the looks at one push: until the next, and as long after it as nobody had noticed."""
    push, following = record.pushes[position], _next(position, record)
    for look in record.looks:
        if look.order <= push.order:
            continue
        late = following is not None and look.order > following.order
        if late and look.candidate != push.version.hash:
            return
        yield look


# --- what is wrong ------------------------------------------------------------------------------


def wrongs(record: Record) -> list[str]:
    """Return everything in a record that must not be, in words; nothing if all is right."""
    return [*_wrong_verdicts(record), *_wrong_stables(record), *_wrong_answers(record)]


def _wrong_verdicts(record: Record) -> Iterator[str]:
    for position, push in enumerate(record.pushes):
        if not push.changed:
            continue
        verdict, name = verdict_of(position, record), push.version.name
        looks = [one for one in _looks_of(position, record) if one.candidate == push.version.hash]
        if verdict not in _IS_RIGHT[push.version.good]:
            why = next((one.message for one in looks if one.phase == "Failed"), "")
            yield f"push {position + 1}: {name} is {verdict} {why}".rstrip()
        # A run that nobody could judge is no verdict on a version.
        # By `Held` the condition is the next version's already, before its run is stored.
        strange = {one.reason for one in looks if one.phase == "Failed"} - {"Refused", "Held"}
        if strange:
            yield f"push {position + 1}: {name} failed for {', '.join(sorted(strange))}"
        if _remembered(push, record) == push.version.hash and any(one.weight for one in looks):
            yield f"push {position + 1}: {name} was refused before and got a share"


def _remembered(push: Push, record: Record) -> str:
    """Return the candidate that was refused last when a push came, "" where none is remembered."""
    found = ""
    for look in record.looks:
        if look.order > push.order:
            break
        if look.phase == "Failed" and look.reason == "Refused":
            found = look.candidate
        elif look.phase == "Finalising":
            found = ""
    return found


def _wrong_stables(record: Record) -> Iterator[str]:
    versions = _versions(record)
    for before, look in pairwise(record.looks):
        if look.stable == before.stable or look.stable in {"", record.first.hash}:
            continue
        version = versions.get(look.stable)
        if version is None or not version.good:
            name = version.name if version else look.stable
            yield f"at {look.at:.1f} s: {name} became what serves"


def _wrong_answers(record: Record) -> Iterator[str]:
    """Return at most one line for each way in which answers are wrong."""
    bad = {push.version.name for push in record.pushes if not push.version.good}
    serves = serving_times(record)
    seen: dict[str, list[float]] = {}
    for answer in record.answers:
        known = answer.version in serves
        if answer.status != 200 and not (answer.status == 500 and answer.version in bad):
            seen.setdefault(f"status {answer.status} by {answer.version}", []).append(answer.at)
        elif not any(begin <= answer.at <= end for begin, end in serves.get(answer.version, ())):
            how = "outside of its time" if known else "which nobody pushed"
            seen.setdefault(f"an answer by {answer.version} {how}", []).append(answer.at)
    for what, times in seen.items():
        yield f"{len(times)} times {what}, from {times[0]:.1f} s to {times[-1]:.1f} s"


def serving_times(record: Record) -> Mapping[str, list[tuple[float, float]]]:
    """Return by version's name when it may answer, in seconds since the traffic began."""
    versions = {**_versions(record), record.first.hash: record.first}
    end = float("inf")
    begin = record.looks[0].at if record.looks else end
    found: dict[str, list[tuple[float, float]]] = {record.first.name: [(-end, begin)]}
    for look, until in zip(record.looks, [*(one.at for one in record.looks[1:]), end], strict=True):
        for version_hash, tail in _allowed(look).items():
            if (version := versions.get(version_hash)) is not None:
                # What serves in the end has pods for ever.
                found.setdefault(version.name, []).append((look.at - _LOOK, until + tail))
    return found


def _allowed(look: Look) -> dict[str, float]:
    """Return who may answer after a look, each with the seconds by which it lasts longer."""
    found: dict[str, float] = {}
    if look.weight:
        found[look.candidate] = _ROUTE
    if look.phase in {"Promoting", "Finalising", "Succeeded"}:
        found[look.candidate] = _PODS
    if look.stable:
        found[look.stable] = _PODS
    return found


def _versions(record: Record) -> dict[str, Version]:
    return {push.version.hash: push.version for push in record.pushes}


# --- for the reader -----------------------------------------------------------------------------


def told(record: Record) -> str:
    """Return pushes and looks as one story, line by line, in the order of the API server."""
    names = {key: one.name for key, one in _versions(record).items()}
    names[record.first.hash] = record.first.name
    lines = [(push.order, _told_push(push)) for push in record.pushes]
    said = ""
    for look in record.looks:
        text = (
            f"{look.phase} {names.get(look.candidate, look.candidate or '-')} at {look.weight} % "
            f"over {names.get(look.stable, look.stable or '-')}: {look.reason}: {look.message}"
        )
        if text != said:
            lines.append((look.order, f"{look.at:7.1f} s   {text}"))
        said = text
    return "\n".join(text for _, text in sorted(lines, key=lambda line: line[0]))


def _told_push(push: Push) -> str:
    same = "" if push.changed else ", which is there already"
    return f"{push.at:7.1f} s push {push.version.name}{same}"


def figures(record: Record) -> str:
    """Return in one line how many pushes came to which verdict, and whose requests failed."""
    verdicts: dict[str, int] = {}
    for position, push in enumerate(record.pushes):
        kind = "good" if push.version.good else "bad"
        verdict = verdict_of(position, record) if push.changed else "the same again"
        verdicts[f"{kind} {verdict}"] = verdicts.get(f"{kind} {verdict}", 0) + 1
    bad = {push.version.name for push in record.pushes if not push.version.good}
    failed = [one for one in record.answers if one.status != 200]
    theirs = sum(one.version in bad and one.status == 500 for one in failed)
    counts = ", ".join(f"{count} {what}" for what, count in sorted(verdicts.items()))
    return (
        f"{len(record.pushes)} pushes: {counts}; {len(record.answers)} requests, "
        f"{theirs} failed on bad versions, {len(failed) - theirs} on others"
    )
