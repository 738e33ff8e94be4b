"""The analyzer's settings: read once from the environment, frozen."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from analyzer.pace import Pace
from canary.annotated import percent, promotion_gate, sure, switch
from canary.contract import SYSTEM_NAMESPACE
from canary.durations import parse_duration
from canary.model.world import Timing
from canary.strategy import MIN_INTERVAL, Defaults

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the manifests configure.

    `identity` names this process in the lease; `metrics_server` is the Prometheus that is asked
    where a Canary names none.
    """

    identity: str
    namespace: str = SYSTEM_NAMESPACE
    probes_port: int = 8080
    log_level: str = "info"
    metrics_server: str = "http://prometheus.monitoring:9090"
    defaults: Defaults = Defaults()
    timing: Timing = Timing()
    pace: Pace = Pace()


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        ValueError: a value cannot be read; the message names the variable.

    """

    def get(name: str, parse: Callable[[str], T], default: T) -> T:
        text = environment.get(name)
        try:
            return default if text is None or text == "" else parse(text)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    defaults, timing, pace = Defaults(), Timing(), Pace()
    policy = defaults.policy
    return Settings(
        identity=environment.get("POD_NAME", "headgate-analyzer"),
        namespace=environment.get("POD_NAMESPACE", SYSTEM_NAMESPACE),
        probes_port=get("HEADGATE_PROBES_PORT", int, 8080),
        log_level=environment.get("HEADGATE_LOG_LEVEL", "info"),
        metrics_server=environment.get(
            "HEADGATE_METRICS_SERVER", "http://prometheus.monitoring:9090"
        ),
        defaults=Defaults(
            weights=get("HEADGATE_DEFAULT_STEP_WEIGHTS", _weights, defaults.weights),
            interval=get("HEADGATE_DEFAULT_INTERVAL", parse_duration, defaults.interval),
            threshold=get("HEADGATE_DEFAULT_THRESHOLD", int, defaults.threshold),
            min_success_rate=get(
                "HEADGATE_DEFAULT_MIN_SUCCESS_RATE", float, defaults.min_success_rate
            ),
            max_duration_ms=get(
                "HEADGATE_DEFAULT_MAX_DURATION_MS", float, defaults.max_duration_ms
            ),
            min_interval=get("HEADGATE_MIN_INTERVAL", _interval, MIN_INTERVAL),
            policy=replace(
                sure(
                    policy,
                    alpha=get("HEADGATE_EVIDENCE_ALPHA", percent, policy.alpha),
                    beta=get("HEADGATE_EVIDENCE_BETA", percent, policy.beta),
                ),
                enabled=get("HEADGATE_EVIDENCE", switch, policy.enabled),
            ),
            gate=get("HEADGATE_PROMOTION_GATE", promotion_gate, defaults.gate),
        ),
        timing=Timing(drain=get("HEADGATE_DRAIN", parse_duration, timing.drain)),
        pace=Pace(
            pods=get("HEADGATE_EVIDENCE_INTERVAL", _interval, pace.pods),
            server=get("HEADGATE_METRICS_SCRAPE_INTERVAL", _interval, pace.server),
        ),
    )


def _weights(text: str) -> tuple[int, ...]:
    weights = tuple(int(part) for part in text.split(","))
    if list(weights) != sorted(set(weights)) or weights[0] < 1 or weights[-1] > 100:  # noqa: PLR2004
        raise ValueError("weights must rise from 1 to 100, as in 5,10,25,50")
    return weights


def _interval(text: str) -> timedelta:
    interval = parse_duration(text)
    if interval < timedelta(seconds=1):
        raise ValueError("the shortest interval is 1s")
    return interval
