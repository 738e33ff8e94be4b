"""Makes Jobs from templates and tells how they ended: so many at once, so long.

A Job goes on where this process ends, within its own deadline, and goes with the process's pod. Its
output stays in its log.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter

from loadtester import job_templates
from loadtester.job_templates import JobOrder, Json, Owner
from loadtester.places import refusal
from loadtester.runner import NotRunning, TooManyCommands
from loadtester.settings import Settings
from runtime.errors import ApiError, NotFound, Throttled, Unavailable, patience_of
from runtime.resources import JOBS, Resource

_MOST_WAITING: Final = 10
"""Hooks that wait for one Job."""

log = structlog.get_logger("loadtester")


class NoJobs(Exception):  # noqa: N818 - it names what happened
    """No Jobs are made by this load tester; the message is the answer to the hook."""


class Api(Protocol):
    """What is asked of the API server; `runtime.kube.Cluster` has it."""

    async def create(self, resource: Resource, obj: Json) -> Json:
        """Create an object and return it as stored."""

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        """Return one object."""


class JobEnd(StrEnum):
    """How a Job ended, as far as it is known."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    NOT_MADE = "not-made"
    NOT_SEEN = "not-seen"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """What came of an order: `message` says more of the end, for a reader."""

    name: str
    end: JobEnd
    message: str = ""


@dataclass(slots=True, eq=False)
class _Running:
    order: JobOrder
    name: str
    started: float = field(default_factory=time.monotonic)
    made: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0


class JobRunner:
    """Makes Jobs while `run` runs.

    Args:
        settings: the load tester's settings.
        registry: where Jobs are counted.
        api: the API server, None where no Jobs are made.

    """

    def __init__(self, settings: Settings, registry: CollectorRegistry, api: Api | None) -> None:
        self._settings = settings
        self._api = api
        self._group: asyncio.TaskGroup | None = None
        self._running: dict[asyncio.Task[JobOutcome], _Running] = {}
        self._count = Counter(
            "headgate_loadtester_jobs",
            "Jobs by template and how they ended.",
            ["template", "end"],
            registry=registry,
        )

    @property
    def accepting(self) -> bool:
        """Whether Jobs can be made, if this load tester makes any."""
        return self._api is None or self._group is not None

    @property
    def running(self) -> list[tuple[str, JobOrder, float]]:
        """Name, order and seconds of every Job whose end is waited for."""
        now = time.monotonic()
        return [(it.name, it.order, now - it.started) for it in self._running.values()]

    async def run(self) -> None:
        """Accept orders until cancelled; Jobs that run go on."""
        try:
            async with asyncio.TaskGroup() as self._group:
                await asyncio.Event().wait()
        finally:
            self._group = None

    async def start(self, order: JobOrder) -> JobOutcome | str:
        """Make a Job, unless the same one runs, and return its name, or that it ended already.

        Raises: as `start_and_wait`.

        """
        task, running = await self._launch(order)
        await running.made.wait()
        return task.result() if task.done() and not task.cancelled() else running.name

    async def start_and_wait(self, order: JobOrder) -> JobOutcome:
        """Make a Job, or find that the same one runs, and return how it ended.

        Raises:
            NoJobs: this load tester makes none.
            RunnerError: it cannot be made now, and why.
            OrderError, TemplateError: as `job_templates.read_template`.

        """
        task, running = await self._launch(order)
        if running.waiting >= _MOST_WAITING:
            raise TooManyCommands(f"{running.waiting} hooks wait for the Job {running.name}")
        running.waiting += 1
        try:
            await asyncio.wait({task})
        finally:
            running.waiting -= 1
        if not task.cancelled():
            return task.result()
        return JobOutcome(name=running.name, end=JobEnd.STOPPED)

    async def _launch(self, order: JobOrder) -> tuple[asyncio.Task[JobOutcome], _Running]:
        api = self._api
        if api is None:
            raise NoJobs(
                "this load tester makes no Jobs; the admin may add the component "
                "manifests/loadtester/jobs"
            )
        template = await asyncio.to_thread(
            job_templates.read_template, self._settings.jobs, order.template
        )
        if self._group is None:
            raise NotRunning("the load tester is starting or stopping; call again in a moment")
        for task, running in self._running.items():
            if running.order.key == order.key and not task.done():
                return task, running
        if why := self._full(order):
            raise TooManyCommands(f"{why}; call again when one has ended")
        running = _Running(order, f"{order.template}-{secrets.token_hex(4)}")
        # Made out here: what went wrong with it in the group would end all that is in it.
        job = job_templates.job_of(
            template, order, name=running.name, longest=self._settings.ttl, owner=self._owner()
        )
        task = self._group.create_task(self._follow(api, running, job), name=running.name)
        self._running[task] = running
        task.add_done_callback(self._forget)
        return task, running

    def _forget(self, task: asyncio.Task[JobOutcome]) -> None:
        running = self._running.pop(task)
        # Also where it was cancelled before it began.
        running.made.set()

    def _full(self, order: JobOrder) -> str:
        return refusal(
            [(it.order.caller, it.order.canary) for it in self._running.values()],
            order.caller,
            order.canary,
            total=self._settings.max_jobs,
            per_canary=self._settings.max_per_canary,
            things="Jobs",
        )

    async def _follow(self, api: Api, running: _Running, job: Json) -> JobOutcome:
        seconds = timedelta(seconds=job["spec"]["activeDeadlineSeconds"]) + self._settings.job_grace
        outcome = JobOutcome(
            name=running.name, end=JobEnd.NOT_SEEN, message=f"no end of it was seen in {seconds}"
        )
        try:
            async with asyncio.timeout(seconds.total_seconds()):
                outcome = await self._made_and_ended(api, running, job)
        except TimeoutError:
            pass
        except ApiError as error:
            end = JobEnd.NOT_SEEN if running.made.is_set() else JobEnd.NOT_MADE
            outcome = JobOutcome(name=running.name, end=end, message=str(error))
        self._report(running, outcome)
        return outcome

    def _owner(self) -> Owner | None:
        pod, uid = self._settings.pod_name, self._settings.pod_uid
        return Owner(name=pod, uid=uid) if pod and uid else None

    async def _made_and_ended(self, api: Api, running: _Running, job: Json) -> JobOutcome:
        name, namespace = running.name, self._settings.namespace
        try:
            await api.create(JOBS, job)
        except Unavailable as error:
            # The answer was lost, and not the Job, perhaps.
            if not (error.reached and await self._is_there(api, name)):
                raise
        running.made.set()
        pace = self._settings.job_pace.total_seconds()
        while True:
            await asyncio.sleep(pace)
            try:
                found = await api.get(JOBS, namespace, name)
            except NotFound:
                return JobOutcome(name=name, end=JobEnd.FAILED, message="it was deleted")
            except (Unavailable, Throttled) as error:
                await asyncio.sleep(patience_of(error))
                continue
            if ended := _ended(found):
                end, message = ended
                return JobOutcome(name=name, end=end, message=message)

    async def _is_there(self, api: Api, name: str) -> bool:
        try:
            await api.get(JOBS, self._settings.namespace, name)
        except NotFound:
            return False
        return True

    def _report(self, running: _Running, outcome: JobOutcome) -> None:
        self._count.labels(running.order.template, outcome.end).inc()
        log.info(
            "job_ended",
            canary=running.order.canary,
            template=running.order.template,
            job=outcome.name,
            end=str(outcome.end),
            message=outcome.message,
            seconds=round(time.monotonic() - running.started, 3),
        )


def _ended(job: Json) -> tuple[JobEnd, str] | None:
    """Return how a Job ended, None where it runs."""
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("status") != "True":
            continue
        if condition.get("type") == "Complete":
            return JobEnd.SUCCEEDED, ""
        if condition.get("type") == "Failed":
            said = (condition.get("reason"), condition.get("message"))
            return JobEnd.FAILED, ": ".join(str(it) for it in said if it)
    return None
