"""What annotations of a Canary say: settings that Flagger's fields have no place for."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from canary.contract import (
    BAKE,
    DECIDE_WITHIN,
    ERROR_BUDGET,
    EVIDENCE,
    EVIDENCE_ALPHA,
    EVIDENCE_BETA,
    FAILURES_COUNT,
    ON_INCONCLUSIVE,
    ON_NO_DATA,
    ON_NO_DATA_AFTER,
    PROMOTION_GATE,
)
from canary.durations import parse_duration
from canary.evidence.policy import Inconclusive, Policy
from canary.model.strategy import FailureCount, NoDataPolicy
from canary.model.values import Json

_SWITCH: Final = {"on": True, "off": False}
_GATES: Final = {"non-inferiority": True, "none": False}


@dataclass(slots=True)
class Problems:
    """Collects what is wrong, so that a team mends it in one go."""

    found: list[str] = field(default_factory=list)

    def read(self, where: str, parse: Callable[[Any], Any], value: Any, default: Any) -> Any:
        """Parse a value or note why it cannot be."""
        try:
            return default if value is None else parse(value)
        except ValueError as error:
            self.found.append(f"{where}: {error}")
            return default


def annotated(canary: Json, problems: Problems, *, policy: Policy, gate: bool) -> dict[str, Any]:
    """Return the fields of a strategy that annotations set.

    Args:
        canary: the object.
        problems: where mistakes are noted.
        policy: the admin's.
        gate: whether the admin's promotions ask for non-inferiority.

    """
    notes = canary["metadata"].get("annotations") or {}

    def read(name: str, parse: Callable[[Any], Any], default: Any) -> Any:
        return problems.read(f"annotation {name}", parse, notes.get(name), default)

    return {
        "no_data": read(ON_NO_DATA, NoDataPolicy, NoDataPolicy.HOLD),
        "no_data_after": read(ON_NO_DATA_AFTER, parse_duration, timedelta(minutes=10)),
        "failure_count": read(FAILURES_COUNT, FailureCount, FailureCount.CONSECUTIVE),
        "gate": read(PROMOTION_GATE, promotion_gate, gate),
        "error_budget": read(ERROR_BUDGET, answers, None),
        "decide_within": read(DECIDE_WITHIN, parse_duration, timedelta(hours=1)),
        "bake": read(BAKE, parse_duration, timedelta(0)),
        "policy": replace(
            sure(
                policy,
                alpha=read(EVIDENCE_ALPHA, percent, policy.alpha),
                beta=read(EVIDENCE_BETA, percent, policy.beta),
            ),
            enabled=read(EVIDENCE, switch, policy.enabled),
            on_inconclusive=read(ON_INCONCLUSIVE, Inconclusive, policy.on_inconclusive),
        ),
    }


def sure(policy: Policy, *, alpha: float, beta: float) -> Policy:
    """Return the policy with other error rates; a tenth of alpha stays with the learned bounds.

    Args:
        policy: what else is set.
        alpha: chance that a healthy candidate is refused, as a fraction.
        beta: chance that an inferior one passes the gate, as a fraction.

    """
    return replace(policy, alpha=alpha, alpha_history=alpha / 10, beta=beta)


def percent(text: str) -> float:
    """Read a share in percent as a fraction.

    Raises:
        ValueError: it is no number above 0 and below 50.

    """
    value = float(text.removesuffix("%"))
    if not 0 < value < 50:  # noqa: PLR2004 - a coin is no judge
        raise ValueError(f"{text} must be a percentage above 0 and below 50, as in 1")
    return value / 100


def answers(text: str) -> int:
    """Read a number of answers.

    Raises:
        ValueError: it is no whole number above 0.

    """
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"{text} must be a whole number above 0, as in 50")
    return int(text)


def switch(text: str) -> bool:
    """Read on or off.

    Raises:
        ValueError: it is neither.

    """
    return _one_of(_SWITCH, text)


def promotion_gate(text: str) -> bool:
    """Read whether a promotion asks for non-inferiority.

    Raises:
        ValueError: it names no gate.

    """
    return _one_of(_GATES, text)


def _one_of(choices: dict[str, bool], text: str) -> bool:
    if text not in choices:
        raise ValueError(f"{text} is not one of {', '.join(choices)}")
    return choices[text]
