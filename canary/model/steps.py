"""A strategy as data: the steps that a run takes, and where in them it stands.

Each step says which traffic the canary gets, how long that lasts at least, and what must hold
before the step is left. The rules take them in order and know no other kind of strategy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from canary.model.traffic import Traffic


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


def ahead(steps: Sequence[Step], at: int, weight: int) -> range:
    """Return the indexes of the steps that are still to be taken.

    A sequence may be edited while a run is under way: then the step at `at` has another weight, and
    the run goes on with the first step that is larger than what it has, so that no weight falls.

    Args:
        steps: the present sequence.
        at: the step that the run is at.
        weight: the share that its canary has, in percent.

    """
    if 0 <= at < len(steps) and steps[at].traffic.weight == weight:
        return range(at + 1, len(steps))
    larger = (i for i, step in enumerate(steps) if step.traffic.weight > weight)
    return range(next(larger, len(steps)), len(steps))


def place(steps: Sequence[Step], at: int, weight: int) -> int:
    """Return the step in the present sequence whose needs hold for a run that has begun.

    Args:
        steps: the present sequence.
        at: the step that the run is at, in the sequence that it took it from.
        weight: the share that its canary has, in percent.

    """
    return max(0, ahead(steps, at, weight).start - 1)


def canary_size(replicas: int, weights: tuple[int, ...]) -> int:
    """Return how many canary pods the largest share of the traffic needs.

    Args:
        replicas: pods of the target.
        weights: the canary's shares in percent.

    """
    return max(1, math.ceil(replicas * max(weights) / 100))
