"""What a run is judged by, as its status shows it."""

from typing import Final

from canary.model.strategy import InvalidStrategy, Kind, Metric, Strategy
from canary.model.values import Json
from canary.spec.defaults import duration, said
from canary.spec.settings import tuning_of

_BOUNDS: Final = ("min", "max")


def in_force(strategy: Strategy | InvalidStrategy) -> Json:
    """Return a strategy in a Canary's own words, whoever has said what of it.

    Args:
        strategy: what the run follows; of an invalid one nothing is in force.

    """
    if isinstance(strategy, InvalidStrategy):
        return {}
    return {
        "interval": duration(strategy.interval),
        "threshold": strategy.threshold,
        **_steps(strategy),
        "metrics": [_metric(metric) for metric in strategy.metrics],
        **said(tuning_of(strategy)),
    }


def _steps(strategy: Strategy) -> Json:
    if strategy.kind.grows:
        said = {} if strategy.kind is Kind.CANARY else {"strategy": str(strategy.kind)}
        return {**said, "stepWeights": list(strategy.weights)}
    return {"strategy": str(strategy.kind), "iterations": strategy.iterations}


def _metric(metric: Metric) -> Json:
    bounds = dict(zip(_BOUNDS, (metric.minimum, metric.maximum), strict=True))
    shown = {name: bound for name, bound in bounds.items() if bound is not None}
    return {"name": metric.name, "thresholdRange": shown}
