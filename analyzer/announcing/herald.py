"""Sends announcements, a bounded number of times, beside everything else."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Never

import structlog
from prometheus_client import CollectorRegistry

from analyzer.announcing.lines import Lines
from analyzer.announcing.rooms import Rooms
from analyzer.announcing.telemetry import AlertMetrics, Fate
from analyzer.guards import guarded
from analyzer.places import Places
from analyzer.ports import AlertError, AlertService, Cluster
from canary.contract import Reason
from canary.model.announcement import Alert, Announcement, Room
from canary.model.values import Json
from canary.objects.events import event_of
from canary.rules.actions import Emit
from runtime.backoff import Backoff
from runtime.resources import EVENTS

PER_NAMESPACE: Final = 8
"""Messages that one namespace sends at a time; of receivers that hang, so many hang."""
TOGETHER: Final = 64
HIDDEN: Final = "(hidden)"

log = structlog.get_logger("analyzer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long and how often a message is tried.

    `tries` are all of them, `each` bounds one of them with all reads. Between two are at most
    `first` at first, then growing up to `longest`; a service that asks for more time gets `asked`
    at most.
    """

    tries: int = 5
    each: timedelta = timedelta(seconds=30)
    first: timedelta = timedelta(seconds=4)
    longest: timedelta = timedelta(minutes=1)
    asked: timedelta = timedelta(minutes=2)


@dataclass(eq=False, slots=True)
class _Job:
    """One announcement for one alert."""

    canary: Json
    alert: Alert
    said: Announcement


class Herald:
    """Sends announcements, those for one alert in order, each line in a task of its own.

    Nothing is stored: what it was given is not given to a successor. So nothing is sent twice after
    a restart, and what was still being tried is lost with the process.

    Args:
        cluster: where AlertProviders and Secrets are, and where it is said what cannot be sent.
        services: by the type of an AlertProvider.
        registry: where it counts.
        clock: the time.
        cross_namespace: whether AlertProviders of other namespaces may be named.
        cluster_name: what the admin calls the cluster, said beside every message; "" for nothing.
        patience: how long and how often it tries.

    """

    def __init__(
        self,
        cluster: Cluster,
        services: Mapping[str, AlertService],
        *,
        registry: CollectorRegistry,
        clock: Callable[[], datetime],
        cross_namespace: bool = False,
        cluster_name: str = "",
        patience: Patience | None = None,
    ) -> None:
        self._cluster = cluster
        self._services = services
        self._rooms = Rooms(cluster, services.keys(), cross_namespace)
        self._clock = clock
        self._beside = (("Cluster", cluster_name),) if cluster_name else ()
        self._patience = patience or Patience()
        self._places: Places[str] = Places(per_owner=PER_NAMESPACE, total=TOGETHER)
        self._lines: Lines[_Job] = Lines(self._send, self._left_out, "alert")
        self._metrics = AlertMetrics.create(registry, self._lines.waiting)

    async def run(self) -> Never:
        """Send until cancelled, by which all that waits is given up."""
        await self._lines.run()

    def put(self, canary: Json, alerts: Sequence[Alert], said: Sequence[Announcement]) -> None:
        """Send each announcement to each alert that wants to hear it; see the port.

        Until `run` takes them up they are kept.
        """
        metadata = canary["metadata"]
        for alert in alerts:
            line = (metadata["namespace"], metadata["name"], alert.name)
            for one in said:
                if alert.hears(one.severity):
                    told = replace(one, fields=(*self._beside, *one.fields))
                    self._lines.put(line, _Job(canary, alert, told))

    def _left_out(self, job: _Job) -> None:
        self._metrics.alerts.labels(Fate.DROPPED).inc()
        log.warning("alert left out: too many wait", reason=job.said.reason)

    async def _send(self, job: _Job) -> None:
        why = await self._insist(job)
        self._metrics.alerts.labels(Fate.FAILED if why else Fate.SENT).inc()
        if why:
            await self._tell(job, why)

    async def _insist(self, job: _Job) -> str:
        """Send a message, and say why it could not be in the end, "" where it was."""
        backoff = Backoff(
            first=self._patience.first.total_seconds(), cap=self._patience.longest.total_seconds()
        )
        namespace = job.canary["metadata"]["namespace"]
        tried = 0
        while True:
            async with self._places.take(namespace):
                failed = await self._try(job, namespace)
            tried += 1
            if failed is None:
                return ""
            if not failed.again or tried >= self._patience.tries:
                return f"{failed} (after {tried} tries)" if tried > 1 else str(failed)
            log.info("alert is tried again", alert=job.alert.name, why=str(failed))
            asked = min(failed.after or 0.0, self._patience.asked.total_seconds())
            await asyncio.sleep(max(asked, backoff.next()))

    async def _try(self, job: _Job, namespace: str) -> AlertError | None:
        """Return what failed. The guard per message: neither another nor the process is hurt."""
        rooms: list[Room] = []
        failed: list[BaseException] = []
        with guarded(failed.append):
            async with asyncio.timeout(self._patience.each.total_seconds()):
                rooms.append(await self._rooms.of(job.alert, namespace))
                await self._services[rooms[0].type].say(rooms[0], job.said)
            return None
        return _as_alert_error(failed[0], rooms)

    async def _tell(self, job: _Job, why: str) -> None:
        """Say on the Canary and in the log what could not be sent."""
        message = f"alert {job.alert.name} ({job.said.reason}) was not sent: {why}"
        log.warning("alert not sent", alert=job.alert.name, reason=job.said.reason, why=why)
        if job.alert.admins:
            return  # No team can mend it.
        event = Emit(str(Reason.ALERT_NOT_SENT), message, warning=True)
        with guarded(lambda error: log.info("event not written", why=repr(error))):
            await self._cluster.create(EVENTS, event_of(job.canary, event, self._clock(), ""))


def _as_alert_error(error: BaseException, rooms: Sequence[Room]) -> AlertError:
    match error:
        case AlertError():
            return error
        case TimeoutError():
            return AlertError("no answer in time", again=True)
        case asyncio.CancelledError():
            return AlertError("what was to send it has been cancelled", again=True)
        case _:
            text = f"{type(error).__name__}: {error}"
            for room in rooms:
                for secret in filter(None, (room.address, room.token, room.proxy)):
                    text = text.replace(secret, HIDDEN)
            return AlertError(text)
