"""Layer 1 of the judge: the Canary's own rules, one check per metric, hook and health rule."""

from dataclasses import replace
from datetime import MAXYEAR, datetime
from typing import Final

from canary.model.asking import Sample
from canary.model.state import Check, Outcome
from canary.model.strategy import Builtin, Metric, NoDataPolicy, Strategy
from canary.model.values import FULL
from canary.model.world import CanaryAbsent, CanaryPresent

HEALTH = "canary-health"
_BEFORE_PASSED: Final = (
    Outcome.FAILED,
    Outcome.LOST,
    Outcome.SHARED,
    Outcome.NO_DATA,
    Outcome.WAITING,
)
_ALL: Final = 100.0
"""Percent: what a rate of success is measured against."""
_UNITS = {Builtin.SUCCESS_RATE: "%", Builtin.DURATION: "ms"}


def check_all(
    canary: CanaryAbsent | CanaryPresent,
    samples: tuple[Sample, ...],
    strategy: Strategy,
    restarts_before: int,
    *,
    comparable: bool = False,
    untried: bool = False,
) -> tuple[Check, ...]:
    """Hold the canary's health and everything that was read against its bound.

    Args:
        canary: the canary Deployment and its pods.
        samples: what was read of its metrics.
        strategy: what the Canary asks for.
        restarts_before: container restarts of the canary at the tick before.
        comparable: whether the stable serves enough for its own value to mean something.
        untried: whether nothing is sent to the canary yet, so that there is nothing to measure.

    """
    margin = strategy.policy.margin if comparable else None
    return (
        check_health(canary, restarts_before, strategy.ready_percent),
        *(
            _not_tried(sample)
            if untried and sample.value is None and not sample.problem
            else check_sample(sample, health_is_enough=strategy.health_is_enough, margin=margin)
            for sample in samples
        ),
    )


def _not_tried(sample: Sample) -> Check:
    """A canary to which nothing is sent has no values: that says nothing, and is not waited for."""
    name = sample.metric.name
    message = f"{name} has no value: nothing is sent to the canary in this step"
    return Check(name=name, outcome=Outcome.PASSED, message=message, query=sample.query)


def overall(checks: tuple[Check, ...]) -> Outcome:
    """A failure outweighs pods that were lost, they an incident of both, that missing data.

    What is still to be waited for comes last: it is over by itself.
    """
    outcomes = {check.outcome for check in checks}
    for outcome in _BEFORE_PASSED:
        if outcome in outcomes:
            return outcome
    return Outcome.PASSED


def summary(checks: tuple[Check, ...], outcome: Outcome) -> str:
    """Join the messages of the checks that had this outcome."""
    return "; ".join(check.message for check in checks if check.outcome is outcome)


def measurements(checks: tuple[Check, ...]) -> str:
    """Return each measurement with its bound, in brackets; "" where nothing was measured."""
    found = [
        f"{check.name} {check.value:g}, bound {check.bound:g}"
        for check in checks
        if check.value is not None and check.bound is not None and check.name != HEALTH
    ]
    return f" ({'; '.join(found)})" if found else ""


def check_health(
    canary: CanaryAbsent | CanaryPresent, restarts_before: int, ready_percent: int = FULL
) -> Check:
    """Judge the canary's pods themselves: so many ready, no restart, no crash.

    Args:
        canary: the canary Deployment and its pods.
        restarts_before: container restarts at the tick before.
        ready_percent: the share of its pods that must be ready.

    """
    match canary:
        case CanaryAbsent():
            return Check(name=HEALTH, outcome=Outcome.FAILED, message="the canary has no pods")
        case CanaryPresent():
            return _check_pods(canary, restarts_before, ready_percent)


def _check_pods(canary: CanaryPresent, restarts_before: int, ready_percent: int) -> Check:
    outcome, message = Outcome.PASSED, f"{canary.ready} of {canary.replicas} canary pods are ready"
    if canary.trouble:
        outcome, message = Outcome.FAILED, canary.trouble
    elif canary.restarts > restarts_before:
        outcome = Outcome.FAILED
        message = f"canary containers restarted {canary.restarts - restarts_before} times"
    elif canary.ready * FULL < canary.replicas * ready_percent or not canary.ready:
        outcome = Outcome.LOST if canary.misses_by_no_fault else Outcome.FAILED
    return Check(
        name=HEALTH,
        outcome=outcome,
        message=message,
        value=float(canary.ready),
        bound=float(canary.replicas),
    )


def check_sample(
    sample: Sample, *, health_is_enough: bool = False, margin: float | None = None
) -> Check:
    """Hold one metric against its bounds, and say where its value is from; see `_held`."""
    found = _held(sample, health_is_enough=health_is_enough, margin=margin)
    return replace(found, source=sample.source, query=sample.query)


def _held(sample: Sample, *, health_is_enough: bool, margin: float | None) -> Check:
    """Hold one metric against its bounds; both are inclusive.

    Args:
        sample: what was read.
        health_is_enough: whether a metric that neither arm has may be passed over, in which case
            the canary's health is all that is judged and the message says so.
        margin: how many times as bad as the stable the canary may be in an incident that hits
            both, so that the miss is not the canary's; None blames the canary for every miss.

    """
    if sample.value is None:
        return _no_value(sample, health_is_enough=health_is_enough)
    check = _held_against(sample, sample.value, margin)
    return replace(check, message=f"{check.message} ({sample.note})") if sample.note else check


def _held_against(sample: Sample, value: float, margin: float | None) -> Check:
    metric = sample.metric
    floor, ceiling = _laxer_floor(metric, sample.baseline), _laxer_ceiling(metric, sample.baseline)
    if floor is not None and value < floor:
        missed = _missed(metric, value, floor, f"< {_show(metric, floor)}, below")
        return _shared(sample, missed, margin) or missed
    if ceiling is not None and value > ceiling:
        missed = _missed(metric, value, ceiling, f"> {_show(metric, ceiling)}, above")
        return _shared(sample, missed, margin) or missed
    bound = ceiling if ceiling is not None else floor
    return Check(
        name=metric.name,
        outcome=Outcome.PASSED,
        message=f"{metric.name} {_show(metric, value)} is within its bound",
        value=value,
        bound=bound,
    )


def misses(metric: Metric, value: float) -> bool:
    """Tell whether a value is outside of the bounds that a metric itself names."""
    low = metric.minimum is not None and value < metric.minimum
    return low or (metric.maximum is not None and value > metric.maximum)


def _missed(metric: Metric, value: float, bound: float, how: str) -> Check:
    by = _show(metric, abs(value - bound))
    return Check(
        name=metric.name,
        outcome=Outcome.FAILED,
        message=f"{metric.name} {_show(metric, value)} {how} its bound by {by}",
        value=value,
        bound=bound,
    )


def _shared(sample: Sample, missed: Check, margin: float | None) -> Check | None:
    """Say that the stable misses the bound too, unless the canary is plainly the worse one."""
    metric, value, stable = sample.metric, sample.value, sample.baseline
    if margin is None or value is None or stable is None or not misses(metric, stable):
        return None
    if _is_worse(metric, value, stable, margin):
        return None
    message = f"{missed.message}; the stable is at {_show(metric, stable)}, it misses it too"
    return replace(missed, outcome=Outcome.SHARED, message=message)


def _is_worse(metric: Metric, value: float, stable: float, margin: float) -> bool:
    if metric.source is Builtin.SUCCESS_RATE:
        # What is lacking is compared: two rates near 100 % are never 1.5 times each other.
        return _ALL - value > margin * (_ALL - stable)
    if metric.maximum is not None and value > metric.maximum:
        return value > margin * stable
    # A share of good answers is hardly ever 1.5 times another: what it falls short by may be.
    short, stable_short = (metric.minimum or 0.0) - value, (metric.minimum or 0.0) - stable
    return value * margin < stable or short > margin * stable_short


def _no_value(sample: Sample, *, health_is_enough: bool) -> Check:
    name = sample.metric.name
    if sample.waits_until is not None:
        return Check(name=name, outcome=Outcome.WAITING, message=_waiting(sample.waits_until, name))
    if health_is_enough and sample.baseline is None and not sample.problem:
        return Check(
            name=name,
            outcome=Outcome.PASSED,
            message=f"{name} was found for neither version: judged by the canary's health alone",
        )
    why = sample.problem or "no values found; is there traffic to the canary?"
    return Check(name=name, outcome=Outcome.NO_DATA, message=f"{name}: {why}")


def _waiting(until: datetime, name: str) -> str:
    if until.year == MAXYEAR:
        return f"{name} reads a fixed time, before this canary was there; leave its @ out"
    when = until.strftime("%H:%M:%S")
    return f"{name} still finds samples of the canary before, until {when} UTC; no check meanwhile"


def _laxer_floor(metric: Metric, baseline: float | None) -> float | None:
    if metric.minimum is None or metric.leeway is None or baseline is None:
        return metric.minimum
    return min(metric.minimum, baseline * (1 - _share(metric)))


def _laxer_ceiling(metric: Metric, baseline: float | None) -> float | None:
    if metric.maximum is None or metric.leeway is None or baseline is None:
        return metric.maximum
    return max(metric.maximum, baseline * (1 + _share(metric)))


def _share(metric: Metric) -> float:
    """A success rate has no room for a quarter less; one percent of it is the same leniency."""
    leeway = metric.leeway or 0.0
    return leeway / 25 if metric.source is Builtin.SUCCESS_RATE else leeway


def _show(metric: Metric, value: float) -> str:
    unit = _UNITS[metric.source] if isinstance(metric.source, Builtin) else ""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{text or '0'}{unit}"


def patience(strategy: Strategy, since: datetime) -> str:
    """Say until when a metric without a value is waited for.

    Args:
        strategy: what the Canary asks for.
        since: since when there has been none.

    """
    if strategy.no_data is NoDataPolicy.HOLD:
        return "; waiting until there is one"
    until = (since + strategy.no_data_after).strftime("%H:%M:%S")
    then = "refused" if strategy.no_data is NoDataPolicy.FAIL else "passed over"
    return f"; waiting until {until} UTC, then it is {then}"
