"""What is written of a run before anything is decided about it."""

from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from analyzer.loop.observe import Scene
from analyzer.loop.records import Records
from analyzer.ports import Announcer, Reporter
from canary.rules.ahead import in_step
from canary.spec.alerts import heard_by
from canary.spec.defaults import Defaults
from canary.spec.hooks import listeners_of

log = structlog.get_logger("analyzer")


@dataclass(frozen=True, slots=True)
class First:
    """Writes what has to be in the status first; what was read is not what is stored then.

    Args:
        records: the Canary objects.
        announcer: has announcements sent.
        reporter: has event hooks told.
        usual: the admin's alerts and event hook, for Canaries that have none of their own.

    """

    records: Records
    announcer: Announcer
    reporter: Reporter
    usual: Defaults

    async def written(self, scene: Scene, now: datetime) -> bool:
        """Write what is to be written, and tell whether it was anything.

        Args:
            scene: what was read.
            now: the time of this reconcile.

        Raises:
            Overtaken: what was read is not so any more; reconcile again.

        """
        return await self._brought_in_step(scene, now) or await self._handed_over(scene, now)

    async def _brought_in_step(self, scene: Scene, now: datetime) -> bool:
        """Move times that lie in the future to now."""
        state = in_step(scene.state, scene.observed.strategy, now)
        if state == scene.state:
            return False
        log.warning("the stored times were ahead", now=now.isoformat())
        await self.records.save(scene.canary, state, now)
        return True

    async def _handed_over(self, scene: Scene, now: datetime) -> bool:
        """Take what is to be said elsewhere out of the status, and only then have it sent.

        Whoever comes after a death finds what was not handed over, and nothing that was.
        """
        said, told = scene.state.alerts, scene.state.told
        if not said and not told:
            return False
        emptied = replace(scene.state, alerts=(), told=())
        saved = await self.records.save(scene.canary, emptied, now)
        self.announcer.put(saved, heard_by(saved, self.usual.alerts), said)
        self.reporter.tell(saved, listeners_of(saved, self.usual.event_webhook), told)
        return True
