"""What one run's evidence holds in memory: two built-in metrics of a gateway, read of a server."""

import gc
import tracemalloc
from dataclasses import replace
from typing import Final

from canary.measuring.run import Run
from tests.bench.figures import Figure
from tests.bench.gateway import SPACING, durations, requests, run_of
from tests.fakes.evidence import BEGAN, DURATION, SUCCESS

RUNS: Final = 50
READINGS: Final = 24
"""Two minutes, twice what a metric's window of a minute holds."""
AIM_KILOBYTES: Final = 50.0
_KILO: Final = 1e3


def figures() -> list[Figure]:
    """Measure it as Python's allocator sees it; what all runs share is there before."""
    tracemalloc.start()
    try:
        # Within the trace: what of it the second half pushes out of a cache is no growth.
        _played([_run(RUNS + at) for at in range(RUNS)])
        gc.collect()
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
    run = run_of(number, SUCCESS, DURATION)
    run.watch = replace(run.watch, traffic_since=BEGAN)
    return run


def _played(runs: list[Run]) -> list[Run]:
    metrics = frozenset({SUCCESS.name, DURATION.name})
    for at in range(1, READINGS + 1):
        for run in runs:
            key, count = run.watch.key, 100.0 * at
            answer = [*requests(key, count), *durations(key, count)]
            run.read_server(answer, metrics, BEGAN + SPACING * at)
            run.judge_now()
    return runs
