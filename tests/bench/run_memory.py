"""What one run's evidence holds in memory: two built-in metrics of a gateway, read of a server."""

import gc
import tracemalloc
from dataclasses import replace
from typing import Final

from canary.counting.series import NAME, Series
from canary.evidence.counters import Arm
from canary.measuring.pods import ArmPod
from canary.measuring.run import Run
from canary.model.values import Key
from tests.bench.figures import Figure
from tests.fakes.evidence import BEGAN, DURATION, SUCCESS, counted, watch

RUNS: Final = 50
SPACING: Final = 5.0
READINGS: Final = 24
"""Two minutes, twice what a metric's window of a minute holds."""
AIM_KILOBYTES: Final = 50.0
_KILO: Final = 1e3
_BUCKETS: Final = ("0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000")
_UPPER: Final = ("10000", "30000", "60000", "300000", "600000", "1.8e+06", "3.6e+06", "+Inf")
_SHARES: Final = {le: (at + 1) / 20 for at, le in enumerate((*_BUCKETS, *_UPPER))}
_CODES: Final = {"200": 0.98, "404": 0.01, "500": 0.01}


def figures() -> list[Figure]:
    """Measure it as Python's allocator sees it; what all runs share is there before."""
    _played([_run(RUNS + at) for at in range(RUNS)])
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = _played([_run(at) for at in range(RUNS)])
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / len(kept) / _KILO
    finally:
        tracemalloc.stop()
    note = "two metrics of a gateway, every 5 s for two minutes, with what is asked for them"
    name = "memory of a run's evidence"
    return [Figure(name=name, value=each, unit="kB", aim=AIM_KILOBYTES, note=note)]


def _run(number: int) -> Run:
    key = Key(namespace=f"team-{number % 30}", name=f"web-{number}")
    seen = watch(counted(SUCCESS, key=key), counted(DURATION, key=key), key=key)
    run = Run.start(replace(seen, traffic_since=BEGAN), BEGAN, SPACING)
    run.pods = tuple(
        ArmPod(name=f"{key.name}{middle}-5d9f-a", arm=arm, born=BEGAN, created=BEGAN, url=None)
        for middle, arm in (("-canary", Arm.CANARY), ("", Arm.STABLE))
    )
    return run


def _played(runs: list[Run]) -> list[Run]:
    metrics = frozenset({SUCCESS.name, DURATION.name})
    for at in range(1, READINGS + 1):
        for run in runs:
            run.read_server(_answer(run.watch.key, 100.0 * at), metrics, BEGAN + SPACING * at)
            run.judge_now()
    return runs


def _answer(key: Key, count: float) -> list[Series]:
    """Return what an Envoy counts of both sides: three codes, and the buckets it is born with."""
    prefix = "envoy_cluster_upstream_rq"
    found = []
    for service in (key.name, f"{key.name}-canary"):
        cluster = {"envoy_cluster_name": f"{key.namespace}_{service}_80"}
        found += [
            Series({NAME: prefix, **cluster, "envoy_response_code": code}, count * share)
            for code, share in _CODES.items()
        ]
        found += [
            Series({NAME: f"{prefix}_time_bucket", **cluster, "le": le}, count * share)
            for le, share in _SHARES.items()
        ]
    return found
