"""The admin's defaults, and how a run remembers those that were in force when it began."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeVar

from canary.model.announcement import Alert
from canary.model.strategy import Builtin
from canary.model.values import FULL, Json
from canary.model.world import OnUnsuitable
from canary.spec import settings
from canary.spec.problems import Problems
from canary.spec.settings import Tuning, from_environment, from_record
from canary.spec.sources import Setting, environment, record

T = TypeVar("T")
_KINDS: Final = ("stepWeight", "stepWeights", "iterations")
"""Of these an analysis has exactly one, or none and follows the defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What the admin sets for targets whose Canary leaves it open, or that have none of their own.

    `min_success_rate` is in percent, `max_duration_ms` in milliseconds (P99); a stable that is
    worse already sets the bound itself. `min_interval` is the shortest analysis interval taken.
    `tuning` holds for every Canary that does not say otherwise. `on_unsuitable` is about targets
    that can have no canary. `alerts` are for Canaries that have none of their own, and so is
    `event_webhook`, a URL or "".
    """

    weights: tuple[int, ...] = settings.WEIGHTS.default
    interval: timedelta = settings.INTERVAL.default
    threshold: int = settings.THRESHOLD.default
    min_success_rate: float = settings.MIN_SUCCESS_RATE.default
    max_duration_ms: float = settings.MAX_DURATION_MS.default
    min_interval: timedelta = settings.MIN_INTERVAL.default
    tuning: Tuning = Tuning()
    on_unsuitable: OnUnsuitable = settings.ON_UNSUITABLE.default
    alerts: tuple[Alert, ...] = ()
    event_webhook: str = field(default="", repr=False)


def defaults_from(variables: Mapping[str, str], problems: Problems) -> Defaults:
    """Return what the admin sets, but for who hears of it.

    Args:
        variables: texts by environment variable.
        problems: where mistakes are noted.

    """
    get = environment(variables, problems).value
    return Defaults(
        weights=get(settings.WEIGHTS),
        interval=get(settings.INTERVAL),
        threshold=get(settings.THRESHOLD),
        min_success_rate=get(settings.MIN_SUCCESS_RATE),
        max_duration_ms=get(settings.MAX_DURATION_MS),
        min_interval=get(settings.MIN_INTERVAL),
        tuning=from_environment(variables, problems),
        on_unsuitable=get(settings.ON_UNSUITABLE),
    )


def recorded(defaults: Defaults) -> dict[str, str]:
    """Return what a run remembers of the defaults: every value in the words in which it is set.

    What becomes of a target that can have no canary, and who hears of it, is no part of a run.

    Args:
        defaults: those that are in force when it begins.

    """
    return {
        **_said(settings.WEIGHTS, defaults.weights, lambda found: ",".join(map(str, found))),
        **_said(settings.INTERVAL, defaults.interval, duration),
        **_said(settings.THRESHOLD, defaults.threshold, str),
        **_said(settings.MIN_SUCCESS_RATE, defaults.min_success_rate, repr),
        **_said(settings.MAX_DURATION_MS, defaults.max_duration_ms, repr),
        **_said(settings.MIN_INTERVAL, defaults.min_interval, duration),
        **said(defaults.tuning),
    }


def remembered(texts: Mapping[str, str], now: Defaults) -> Defaults:
    """Return the defaults that a run began with.

    Args:
        texts: what it remembers; empty where it began under a release that stored nothing.
        now: what holds where nothing, or nothing that can be read, is remembered.

    """
    # What another release wrote in words of its own is no fault of anybody's.
    source = record(texts, Problems())
    return Defaults(
        weights=source.read(settings.WEIGHTS, now.weights),
        interval=source.read(settings.INTERVAL, now.interval),
        threshold=source.read(settings.THRESHOLD, now.threshold),
        min_success_rate=source.read(settings.MIN_SUCCESS_RATE, now.min_success_rate),
        max_duration_ms=source.read(settings.MAX_DURATION_MS, now.max_duration_ms),
        min_interval=source.read(settings.MIN_INTERVAL, now.min_interval),
        tuning=from_record(texts, now.tuning),
        on_unsuitable=now.on_unsuitable,
        alerts=now.alerts,
        event_webhook=now.event_webhook,
    )


def said(tuning: Tuning) -> dict[str, str]:
    """Return how a run is judged, every value in the words in which it is set."""
    budget = tuning.error_budget
    return {
        **_said(settings.JUDGED, tuning.evidence, lambda on: "on" if on else "off"),
        **_said(settings.ALPHA, tuning.alpha, _percent),
        **_said(settings.BETA, tuning.beta, _percent),
        **_said(settings.GATE, tuning.gate, lambda on: "non-inferiority" if on else "none"),
        **({} if budget is None else _said(settings.BUDGET, budget, str)),
        **_said(settings.WITHIN, tuning.decide_within, duration),
        **_said(settings.INCONCLUSIVE, tuning.on_inconclusive, _word),
        **_said(settings.BAKING, tuning.bake, duration),
        **_said(settings.NO_DATA, tuning.no_data, _word),
        **_said(settings.NO_DATA_AFTER, tuning.no_data_after, duration),
        **_said(settings.FAILURES, tuning.failure_count, _word),
        **_said(settings.RECORDED, tuning.recorded_window, duration),
        **_said(settings.BY_PODS, tuning.by_pods, lambda on: "on" if on else "off"),
    }


def leaves_open(analysis: Json) -> bool:
    """Tell whether an analysis leaves its kind open, so that the defaults hold where it is silent.

    One that says how its traffic grows is Flagger's: what it does not say has Flagger's defaults.
    """
    return not any(name in analysis for name in _KINDS)


def completed(analysis: Json, defaults: Defaults) -> Json:
    """Return an analysis with the defaults where it is silent, in a Canary's own words.

    Args:
        analysis: `spec.analysis` of a Canary, which leaves its kind open.
        defaults: those that are in force.

    """
    top = min(FULL, int(analysis.get("maxWeight") or FULL))
    return {
        "interval": duration(defaults.interval),
        "threshold": defaults.threshold,
        "metrics": _metrics(defaults),
        **analysis,
        "stepWeights": sorted({min(weight, top) for weight in defaults.weights}),
    }


def _metrics(defaults: Defaults) -> list[Json]:
    bounds = (
        (str(Builtin.SUCCESS_RATE), {"min": defaults.min_success_rate}),
        (str(Builtin.DURATION), {"max": defaults.max_duration_ms}),
    )
    return [{"name": name, "interval": "1m", "thresholdRange": bound} for name, bound in bounds]


def _said(setting: Setting[object], value: T, write: Callable[[T], str]) -> dict[str, str]:
    return {setting.key: write(value)}


def duration(value: timedelta) -> str:
    """Write a duration in seconds, or in milliseconds where it is none of whole seconds."""
    milliseconds = value // timedelta(milliseconds=1)
    seconds, rest = divmod(milliseconds, 1000)
    return f"{milliseconds}ms" if rest else f"{seconds}s"


def _percent(value: float) -> str:
    return f"{value * 100:.12g}"


def _word(value: StrEnum) -> str:
    return str(value)
