"""What a resting target's Canary names that is not there, and what its queries are found to be."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from analyzer.loop.sampling import Sampler
from analyzer.ports import AlertError
from canary.model.announcement import Alert, Room
from canary.model.strategy import Builtin, InvalidStrategy, Strategy
from canary.model.values import Key
from canary.rules.context import RECHECK

Find = Callable[[Alert, str], Awaitable[Room]]
"""Tells where an alert of a namespace's Canary goes, or raises an AlertError that says why not."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was found wrong in what a Canary asks for, and when.

    `problems` hold the next version, `unheard` are alerts that nobody would hear of.
    """

    strategy: Strategy
    at: datetime
    problems: tuple[str, ...]
    unheard: tuple[str, ...]

    @property
    def is_wrong(self) -> bool:
        """Whether there is anything that others may mend."""
        return bool(self.problems or self.unheard)


@dataclass(frozen=True, slots=True)
class References:
    """Looks once each time what a Canary asks for changes, and again while something is wrong.

    MetricTemplates and AlertProviders are not watched: one that goes later is missed when a run
    starts, or has something to say.

    Args:
        find: finds AlertProviders; where it is None nobody is missed.

    """

    find: Find | None = None
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
        if isinstance(strategy, InvalidStrategy) or self._is_plain(strategy):
            self.forget(key)
            return strategy
        found = self._looked.get(key)
        stale = found is not None and found.is_wrong and now - found.at >= RECHECK
        if found is None or found.strategy != strategy or stale:
            _, problems = await sampler.prepare(key, strategy)
            unheard = await self._unheard(key.namespace, strategy)
            found = self._looked[key] = _Looked(strategy, now, problems, unheard)
        if found.problems:
            return InvalidStrategy(problems=found.problems, alerts=strategy.alerts)
        return replace(strategy, unknown=(*strategy.unknown, *found.unheard))

    async def _unheard(self, namespace: str, strategy: Strategy) -> tuple[str, ...]:
        """Say which alerts of a team cannot be told, and why; what is over in a moment is not."""
        said: list[str] = []
        for alert in strategy.alerts:
            try:
                if self.find is not None and not alert.admins:
                    await self.find(alert, namespace)
            except AlertError as error:
                if not error.again:
                    said.append(f"analysis.alerts {alert.name} ({error})")
        return tuple(said)

    def _is_plain(self, strategy: Strategy) -> bool:
        """Tell whether a strategy names nothing but what is built in."""
        heard = self.find is not None and any(not alert.admins for alert in strategy.alerts)
        return not heard and all(isinstance(it.source, Builtin) for it in strategy.metrics)

    def wrong(self, key: Key) -> bool:
        """Tell whether something is wrong, which others may mend."""
        found = self._looked.get(key)
        return found is not None and found.is_wrong

    def forget(self, key: Key) -> None:
        """Forget a target, so that it is looked at anew."""
        self._looked.pop(key, None)
