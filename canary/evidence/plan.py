"""What is judged: one plan per metric, settled before the canary's first request."""

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from canary.evidence.dispersion import Calibration

PART: Final = ":"
"""Parts a metric's name from what one of its several plans is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountPlan:
    """A metric that counts bad requests among all.

    `maximum` is the bad fraction its own rule allows, None without one. With `baseline` it is also
    compared with the stable that serves at the same time. `independent` tests the maximum request
    by request instead of scrape by scrape: faster, and only as right as the dispersion is.
    `floor` is the bad fraction that is never held against a candidate, None for the policy's.
    `weight` is its part in the mean over metrics; `refuses` and `promotes` are what it may decide.
    """

    name: str
    maximum: float | None = None
    baseline: bool = True
    independent: bool = False
    weight: float = 1.0
    refuses: bool = True
    promotes: bool = True
    calibration: Calibration | None = None
    floor: float | None = None

    def __post_init__(self) -> None:
        """Refuse a plan that nothing could be tested by.

        Raises:
            ValueError: the maximum is no rate, or there is nothing to compare with.

        """
        if self.maximum is not None and not 0 < self.maximum < 1:
            raise ValueError(f"{self.name}: the maximum must lie between 0 and 1")
        if self.maximum is None and not self.baseline:
            raise ValueError(f"{self.name}: neither a maximum nor a baseline")
        if self.weight <= 0:
            raise ValueError(f"{self.name}: the weight must be positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarPlan:
    """A metric that is any number, one per pod.

    With `baseline` the canary's pods are ranked among the stable's, without one their mean is held
    against the bounds. It can refuse; it has no test of non-inferiority, and stops no promotion.
    `spacing` is the time in seconds between two samples that are used, None for the policy's.
    """

    name: str
    minimum: float | None = None
    maximum: float | None = None
    baseline: bool = True
    higher_is_worse: bool = True
    spacing: float | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a plan that nothing could be tested by.

        Raises:
            ValueError: there is nothing to compare with.

        """
        if self.minimum is None and self.maximum is None and not self.baseline:
            raise ValueError(f"{self.name}: neither a bound nor a baseline")
        if self.weight <= 0:
            raise ValueError(f"{self.name}: the weight must be positive")


Plan = CountPlan | ScalarPlan


def metric_of(plan: str, metrics: Container[str]) -> str:
    """Return the name of the metric that a plan judges.

    Args:
        plan: its name.
        metrics: the names of all metrics.

    """
    return plan if plan in metrics else plan.rpartition(PART)[0]
