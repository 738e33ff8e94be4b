"""What metrics tell of a run, by its Canary alone as the API server stores it.

So they say the same after a restart, and end with the object. What stands in a status was written
by anybody: what cannot be read is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import IntEnum, StrEnum
from typing import Final

from canary.contract import Reason
from canary.model.state import RUNNING_PHASES, Check, Phase, State
from canary.model.values import Json
from canary.objects import recorded
from canary.objects.status import state_from_status
from canary.rules.checks import HEALTH
from canary.rules.context import IDLE_PHASES

VERDICTS: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED})
_MOST_CHECKS: Final = 400
"""Checks of one Canary: twice as many as it can have metrics, far more than anyone has."""
_OTHER: Final = "Other"
"""A reason that no release of ours has written."""
_LONGEST: Final = 253
"""Characters of a label's value that a status fills."""


class Standing(IntEnum):
    """Flagger's numbers for how a Canary stands."""

    RUNNING = 0
    WELL = 1
    FAILED = 2


class Kind(StrEnum):
    """Flagger's words for what a Canary asks for, which it tells by the shape alone."""

    CANARY = "canary"
    AB_TESTING = "ab-testing"
    BLUE_GREEN = "blue-green"


class Analysis(StrEnum):
    """Flagger's words for whether there was one."""

    COMPLETED = "completed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a Canary stands now.

    `verdict` is what the evidence comes to, "" where there is none. `rests` is whether there is
    nothing of a run to look at.
    """

    phase: Phase
    weight: int
    failed_checks: int
    checks: tuple[Check, ...]
    verdict: str
    kind: Kind
    rests: bool

    @property
    def standing(self) -> Standing:
        """Return Flagger's number: here all that is not over runs, its promotion too."""
        if self.phase is Phase.FAILED:
            return Standing.FAILED
        return Standing.RUNNING if self.phase in RUNNING_PHASES else Standing.WELL

    @property
    def measured(self) -> Mapping[str, Check]:
        """Return the last check of each metric that had a value."""
        return {
            check.name: check
            for check in self.checks
            if check.value is not None and check.name != HEALTH
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that has just ended with a verdict; `lasted` is None where nobody knows."""

    reason: str
    succeeded: bool
    kind: Kind
    analysis: Analysis
    lasted: timedelta | None


def shown(canary: Json) -> Shown | None:
    """Return how a Canary stands; None for one of which nothing is known.

    Args:
        canary: the object, or as much of it as is kept.

    """
    status = canary.get("status") or {}
    if "run" not in status:
        return None
    state = state_from_status(status)
    named = (replace(it, name=it.name[:_LONGEST]) for it in state.checks[:_MOST_CHECKS])
    # Two series of one name would cost the whole page.
    checks = {check.name: check for check in named}
    return Shown(
        phase=state.phase,
        weight=state.weight,
        failed_checks=state.failed_checks,
        checks=tuple(checks.values()),
        verdict=recorded.text(state.evidence.get("verdict"))[:_LONGEST],
        kind=kind_of(canary["spec"]),
        rests=state.phase in IDLE_PHASES,
    )


def ended(old: Json | None, new: Json) -> Ended | None:
    """Return the verdict that a Canary carries from now on; None where it has no new one.

    Args:
        old: the object before; None where it was not there, or was not known: what it says then
            may have been told long ago.
        new: the object now.

    """
    if old is None or "run" not in (old.get("status") or {}):
        return None
    before, after = _state(old), _state(new)
    same = before.phase is after.phase and before.run == after.run
    if after.phase not in VERDICTS or same:
        return None
    spec = new["spec"]
    return Ended(
        reason=after.reason if after.reason in set(Reason) else _OTHER,
        succeeded=after.phase is Phase.SUCCEEDED,
        kind=kind_of(spec),
        analysis=Analysis.SKIPPED if spec.get("skipAnalysis") else Analysis.COMPLETED,
        lasted=_lasted(after),
    )


def kind_of(spec: Json) -> Kind:
    """Return which of Flagger's strategies a Canary asks for.

    Args:
        spec: `spec` of the Canary.

    """
    analysis = recorded.mapping(spec.get("analysis"))
    if not analysis.get("iterations"):
        return Kind.CANARY
    return Kind.AB_TESTING if analysis.get("match") else Kind.BLUE_GREEN


def _state(canary: Json) -> State:
    return state_from_status(canary.get("status") or {})


def _lasted(state: State) -> timedelta | None:
    if state.started_at is None or state.changed_at is None:
        return None
    return max(state.changed_at - state.started_at, timedelta(0))
