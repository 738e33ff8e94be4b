"""What was worked out of queries is remembered for as many runs as are to be under way at once."""

from datetime import timedelta
from typing import Final

from analyzer.deriving.frames import packed, work_out
from analyzer.deriving.remembered import Remembered, digest
from canary.measuring.countable import count_of
from canary.model.strategy import Builtin, Metric, Strategy
from canary.model.values import Key
from canary.queries.builtin import SourceQuery
from canary.queries.metric import builtin_query
from canary.queries.provider import PROMETHEUS, ProviderSpec
from canary.spec.steps import linear

RUNS: Final = 1000
METRICS: Final = (
    Metric(name="request-success-rate", source=Builtin.SUCCESS_RATE, minimum=99),
    Metric(name="request-duration", source=Builtin.DURATION, maximum=500),
)
STRATEGY: Final = Strategy(
    interval=timedelta(seconds=5),
    threshold=1,
    steps=linear((50,)),
    service_name="web",
    metrics=METRICS,
)
Task = tuple[Metric, tuple[SourceQuery, ...], tuple[SourceQuery, ...], bool, bool]


def tasks(run: int) -> list[Task]:
    """Return what a reconcile of a run with two built-in metrics has worked out."""
    key = Key(namespace=f"team-{run // 10}", name=f"web-{run}")
    spec = ProviderSpec(type=PROMETHEUS, address="http://prometheus:9090", asker=key.namespace)
    queries = [builtin_query(key, STRATEGY, metric, spec) for metric in METRICS]
    return [(it.metric, it.texts, it.stable, False, False) for it in queries]


def test_a_thousand_runs_are_worked_out_once_however_often_they_are_looked_at() -> None:
    """Of what is asked for in turn nothing would be known, were there room for a little less."""
    remembered, worked_out = Remembered(failures=600.0), 0
    done = [work_out(count_of, it) for it in tasks(0)]
    sizes = [len(packed(it)) for it in done]
    for _ in range(2):
        for run in range(RUNS):
            for task, value, size in zip(tasks(run), done, sizes, strict=True):
                key = digest(count_of, task)
                if remembered.get(key, 0.0) is None:
                    worked_out += 1
                    remembered.keep(key, value, size, 0.0)
    assert worked_out == RUNS * len(METRICS)
