"""Tells event hooks of the events of runs, beside everything else."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Never

import structlog
from prometheus_client import CollectorRegistry

from analyzer.announcing.herald import PER_NAMESPACE, TOGETHER
from analyzer.announcing.lines import Lines
from analyzer.announcing.telemetry import EventMetrics, Fate
from analyzer.guards import guarded
from analyzer.places import Places
from analyzer.ports import Cluster, HookCaller
from canary.contract import Reason
from canary.model.announcement import Told
from canary.model.strategy import Hook
from canary.model.values import Json
from canary.objects.events import event_of
from canary.rules.actions import Emit
from runtime.resources import EVENTS

SLACK: Final = timedelta(minutes=1)
"""What a try of a hook may take beyond its timeout: the wait between two tries."""

log = structlog.get_logger("analyzer")


@dataclass(eq=False, slots=True)
class _Job:
    """One event for one hook."""

    canary: Json
    hook: Hook
    said: Told


class Teller:
    """Tells event hooks of events, each hook of a Canary in order; see the port.

    A hook is called as often as its `retries` say. What it was given is not given to a successor,
    so that nothing is told twice after a restart.

    Args:
        cluster: where it is said that a hook was not reached.
        hooks: calls what teams name.
        admins_hooks: calls what the admin names, wherever it is.
        registry: where it counts.
        clock: the time.

    """

    def __init__(
        self,
        cluster: Cluster,
        hooks: HookCaller,
        admins_hooks: HookCaller,
        *,
        registry: CollectorRegistry,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster = cluster
        self._hooks = hooks
        self._admins_hooks = admins_hooks
        self._clock = clock
        self._places: Places[str] = Places(per_owner=PER_NAMESPACE, total=TOGETHER)
        self._lines: Lines[_Job] = Lines(self._send, self._left_out, "event")
        self._metrics = EventMetrics.create(registry, self._lines.waiting)

    async def run(self) -> Never:
        """Tell until cancelled, by which all that waits is given up."""
        await self._lines.run()

    def tell(self, canary: Json, hooks: Sequence[Hook], said: Sequence[Told]) -> None:
        """Tell each hook of each event, in order; see the port."""
        metadata = canary["metadata"]
        for hook in hooks:
            line = (metadata["namespace"], metadata["name"], hook.name)
            for one in said:
                self._lines.put(line, _Job(canary, hook, one))

    async def _send(self, job: _Job) -> None:
        async with self._places.take(job.canary["metadata"]["namespace"]):
            why = await self._called(job)
        self._metrics.events.labels(Fate.FAILED if why else Fate.SENT).inc()
        if why:
            await self._say(job, why)

    async def _called(self, job: _Job) -> str:
        """Call a hook, and say why it was not told, "" where it was.

        The guard per event: neither another nor the process is hurt.
        """
        hook = job.hook
        caller = self._admins_hooks if hook.admins else self._hooks
        longest = (hook.timeout + SLACK) * (hook.retries + 1)
        failed: list[BaseException] = []
        with guarded(failed.append):
            async with asyncio.timeout(longest.total_seconds()):
                result = await caller.call(hook, payload_of(job.canary, hook, job.said))
            return "" if result.ok else result.message or "it did not agree"
        error = failed[0]
        return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__

    async def _say(self, job: _Job, why: str) -> None:
        """Say on the Canary and in the log that a hook was not told; once for the same reason."""
        if job.hook.admins:
            # Its URL is the admin's to know, and no team can mend it.
            log.warning("event hook of the admin not told", namespace=_namespace(job.canary))
            return
        log.warning("event hook not told", hook=job.hook.name, why=why)
        message = f"event hook {job.hook.name} was not told: {why}"
        event = Emit(str(Reason.EVENT_NOT_TOLD), message, warning=True)
        with guarded(lambda error: log.info("event not written", why=repr(error))):
            await self._cluster.create(EVENTS, event_of(job.canary, event, self._clock(), ""))

    def _left_out(self, job: _Job) -> None:
        self._metrics.events.labels(Fate.DROPPED).inc()
        log.warning("event left out: too many wait", hook=job.hook.name)


def payload_of(canary: Json, hook: Hook, said: Told) -> Mapping[str, Any]:
    """Return what a hook is told of an event, in Flagger's fields.

    The facts of the event come before a fact of the same name in the hook's own metadata.

    Args:
        canary: the Canary.
        hook: whom it is told.
        said: the event.

    """
    facts = {
        "eventMessage": said.message,
        "eventType": "Warning" if said.warning else "Normal",
        "timestamp": str(int(said.at.timestamp() * 1000)),
    }
    return {
        "name": canary["metadata"]["name"],
        "namespace": _namespace(canary),
        "phase": said.phase,
        "checksum": said.checksum,
        "metadata": {**hook.metadata, **facts},
    }


def _namespace(canary: Json) -> str:
    return str(canary["metadata"]["namespace"])
