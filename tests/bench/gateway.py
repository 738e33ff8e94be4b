"""Runs whose requests a gateway counts, and what a metrics server has of them."""

from collections.abc import Mapping
from typing import Final

from canary.counting.series import NAME, Series
from canary.evidence.counters import Arm
from canary.measuring.pods import ArmPod
from canary.measuring.run import Run
from canary.model.strategy import Metric
from canary.model.values import Key
from tests.fakes.evidence import BEGAN, counted, watch

SPACING: Final = 5.0
_PREFIX: Final = "envoy_cluster_upstream_rq"
_BUCKETS: Final = ("0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000")
_UPPER: Final = ("10000", "30000", "60000", "300000", "600000", "1.8e+06", "3.6e+06", "+Inf")
_BELOW: Final = {le: (at + 1) / 20 for at, le in enumerate((*_BUCKETS, *_UPPER))}
_CODES: Final = {"200": 1.0, "404": 0.01, "500": 0.01}


def run_of(number: int, *metrics: Metric) -> Run:
    """Return a run of one pod each, judged by these metrics, of a server asked every 5 s."""
    key = Key(namespace=f"team-{number % 30}", name=f"web-{number}")
    run = Run.start(watch(*(counted(one, key=key) for one in metrics), key=key), BEGAN, SPACING)
    run.pods = tuple(
        ArmPod(name=f"{key.name}{middle}-5d9f-a", arm=arm, born=BEGAN, created=BEGAN, url=None)
        for middle, arm in (("-canary", Arm.CANARY), ("", Arm.STABLE))
    )
    return run


def requests(key: Key, count: float) -> list[Series]:
    """Return what an Envoy counts of both sides by code: three of each."""
    return _of_both(key, _PREFIX, "envoy_response_code", _CODES, count)


def durations(key: Key, count: float) -> list[Series]:
    """Return the same by duration, in the buckets that an Envoy is born with."""
    return _of_both(key, f"{_PREFIX}_time_bucket", "le", _BELOW, count)


def _of_both(
    key: Key, name: str, label: str, shares: Mapping[str, float], count: float
) -> list[Series]:
    return [
        Series(
            {NAME: name, "envoy_cluster_name": f"{key.namespace}_{service}_80", label: value},
            count * share,
        )
        for service in (key.name, f"{key.name}-canary")
        for value, share in shares.items()
    ]
