"""What a resting target's Canary names that is not there, and what its queries are found to be."""

from dataclasses import dataclass, field
from datetime import datetime

from analyzer.loop.sampling import Sampler
from canary.model.strategy import Builtin, InvalidStrategy, Strategy
from canary.model.values import Key
from canary.rules.context import RECHECK


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was found wrong in what a Canary asks for, and when."""

    strategy: Strategy
    at: datetime
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class References:
    """Looks once each time what a Canary asks for changes, and again while something is wrong.

    MetricTemplates are not watched: one that goes later is missed when a run starts.
    """

    _looked: dict[Key, _Looked] = field(default_factory=dict)

    async def followed(
        self,
        sampler: Sampler,
        key: Key,
        strategy: Strategy | InvalidStrategy,
        now: datetime,
    ) -> Strategy | InvalidStrategy:
        """Return a strategy that can be asked for, or every reason why not.

        Args:
            sampler: prepares its queries, as it does when a run starts.
            key: the target.
            strategy: what its Canary asks for, as far as that tells by itself.
            now: the time of this reconcile.

        Raises:
            ApiError: what it names cannot be read.

        """
        if isinstance(strategy, InvalidStrategy) or _is_plain(strategy):
            self.forget(key)
            return strategy
        found = self._looked.get(key)
        stale = found is not None and found.problems and now - found.at >= RECHECK
        if found is None or found.strategy != strategy or stale:
            _, problems = await sampler.prepare(key, strategy)
            found = self._looked[key] = _Looked(strategy, now, problems)
        if found.problems:
            return InvalidStrategy(problems=found.problems, alerts=strategy.alerts)
        return strategy

    def wrong(self, key: Key) -> bool:
        """Tell whether something is wrong, which others may mend."""
        found = self._looked.get(key)
        return found is not None and bool(found.problems)

    def forget(self, key: Key) -> None:
        """Forget a target, so that it is looked at anew."""
        self._looked.pop(key, None)


def _is_plain(strategy: Strategy) -> bool:
    """Tell whether a strategy names nothing but what is built in."""
    return all(isinstance(metric.source, Builtin) for metric in strategy.metrics)
