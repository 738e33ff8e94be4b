"""What the runs under way tell of pods they lost: the one place that sees them all.

Nothing of it is stored but what each run stores itself. A process that starts anew has seen no pod
serve, so it tells of no loss until one is lost under its eyes, except of those for which runs wait;
and it tells since when it has looked, so that nobody is judged before all were heard.
"""

from dataclasses import dataclass, field
from datetime import datetime

from canary.model.fates import Calm, Incident, Loss, Weather
from canary.model.state import Phase, State
from canary.model.values import Key
from canary.model.world import CanaryAbsent, CanaryPresent
from canary.rules.weather import lost_pods, still_counting, weather

_UNDER_WAY = frozenset({Phase.PROGRESSING, Phase.PROMOTING})


@dataclass(slots=True)
class Losses:
    """Compares each look at a run's pods with the one before, and counts over all runs."""

    _runs: dict[Key, tuple[str, CanaryPresent]] = field(default_factory=dict)
    _losses: tuple[Loss, ...] = ()
    _since: datetime | None = None

    def look(
        self, key: Key, state: State, canary: CanaryAbsent | CanaryPresent, now: datetime
    ) -> Weather:
        """Take in what one run's pods look like, and tell how the cluster is doing.

        Args:
            key: the target.
            state: what is known of its run; the pods of one that is not under way are nobody's.
            canary: its canary as it was read just now.
            now: when.

        """
        self._since = self._since or now
        if state.phase not in _UNDER_WAY or not state.begun:
            self.forget(key)
            return self._weather(now)
        run, before = self._runs.get(key, ("", canary))
        lost_since = state.lost_since if state.is_without_share and not run else None
        if lost_since is not None and lost_since < self._since:
            # Under the eyes of a process before this one.
            self._losses = (*self._losses, Loss(key=key, at=lost_since))
        if run == state.run and _has_lost(before, canary):
            self._losses = (*self._losses, Loss(key=key, at=now))
        if isinstance(canary, CanaryPresent):
            self._runs[key] = (state.run, canary)
        else:
            # Its Deployment was deleted, which is one person's doing and no news of the cluster.
            self._runs.pop(key, None)
        return self._weather(now)

    def forget(self, key: Key) -> None:
        """Leave out a target that has no run; what it lost of late still counts.

        Args:
            key: the target.

        """
        self._runs.pop(key, None)

    def _weather(self, now: datetime) -> Weather:
        self._losses = still_counting(self._losses, now)
        calm = Calm(since=self._since)
        found = weather(self._losses, len(self._runs), now) if self._losses else calm
        return found if isinstance(found, Incident) else calm


def _has_lost(before: CanaryAbsent | CanaryPresent, after: CanaryAbsent | CanaryPresent) -> bool:
    """Tell whether pods went that were wanted: a canary that was made smaller has lost none."""
    if isinstance(before, CanaryAbsent) or isinstance(after, CanaryAbsent):
        return False
    same = before.template_hash == after.template_hash and after.replicas >= before.replicas
    return same and bool(lost_pods(before.fates, after.fates))
