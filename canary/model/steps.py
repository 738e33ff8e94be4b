"""A strategy as data: the steps that a run takes, and where in them it stands.

Each step says which traffic the canary gets, how long that lasts at least, and what must hold
before the step is left. The rules take them in order and know no other kind of strategy.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from canary.model.traffic import Traffic
from canary.model.values import FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What must hold before a step is left, beside that all checks of an interval have passed.

    With `gate` the candidate must be shown to be no worse than the stable, and with `error_budget`
    so much must have been counted that the next step costs no more bad answers at worst.
    """

    gate: bool = False
    error_budget: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: it `lasts` at least so long, and one interval of checks in any case."""

    traffic: Traffic
    lasts: timedelta = timedelta(0)
    needs: Needs = Needs()


BEFORE_FIRST: Final = -1
"""The step of a run that has not taken its first one."""


def is_compared(traffic: Traffic) -> bool:
    """Tell whether the stable serves like requests beside the canary.

    Copies are the very same requests, and a share of all of them is drawn by chance. What matches
    is another population than what is left, and beside a canary with all of it nothing is left.
    """
    if traffic.match or traffic.weight == FULL:
        return False
    return not traffic.is_nothing


def is_everybody(traffic: Traffic) -> bool:
    """Tell whether the canary answers all users."""
    return traffic.weight == FULL and not traffic.match


def ahead(steps: Sequence[Step], at: int, had: Traffic, *, anew: bool = False) -> range:
    """Return the indexes of the steps that are still to be taken.

    A sequence may be edited while a run is under way: then the step at `at` has another traffic,
    and the run goes on with the first step that is larger than what it has, so that no weight
    falls. Where other requests match, it is about other users, and they begin with the first step;
    so does one whose strategy has become another.

    Args:
        steps: the present sequence.
        at: the step that the run is at.
        had: what its canary gets.
        anew: whether the sequence is of another strategy than what the run has taken so far.

    """
    if anew:
        return range(len(steps))
    if 0 <= at < len(steps) and _is_same(steps[at].traffic, had):
        return range(at + 1, len(steps))
    further = (i for i, step in enumerate(steps) if _is_further(step.traffic, had))
    return range(next(further, len(steps)), len(steps))


def _is_same(traffic: Traffic, had: Traffic) -> bool:
    """Tell whether the same users come to the canary; copies and cookies do not matter."""
    return (traffic.weight, traffic.match) == (had.weight, had.match)


def _is_further(traffic: Traffic, had: Traffic) -> bool:
    if not had.weight:
        return traffic.weight > 0
    return traffic.match != had.match or traffic.weight > had.weight


def place(steps: Sequence[Step], at: int, had: Traffic, *, anew: bool = False) -> int:
    """Return the step in the present sequence whose needs hold for a run that has begun.

    Args:
        steps: the present sequence.
        at: the step that the run is at, in the sequence that it took it from.
        had: what its canary gets.
        anew: as in `ahead`.

    """
    return max(0, ahead(steps, at, had, anew=anew).start - 1)


def canary_size(replicas: int, shares: Iterable[int]) -> int:
    """Return how many canary pods the largest share of the traffic needs.

    Where it gets none, what it is tried with may be anything: it is as large as the target.

    Args:
        replicas: pods of the target.
        shares: what it has to answer at each step, in percent.

    """
    return max(1, math.ceil(replicas * (max(shares) or FULL) / FULL))
