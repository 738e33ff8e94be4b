"""Starts the parts of a process in order, and stops them in stages.

A signal begins the stop: `stopping` is set, so that the process says it is not ready; requests
are still served while the endpoints that lead here are taken away (drain); root tasks are
cancelled, the last started first; listeners close. If all that takes longer than its time box,
the process ends all the same.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import structlog

from runtime.backoff import sleep_or
from runtime.errors import ConfigurationError, RootTaskEnded

_log = structlog.get_logger()


class Exit(IntEnum):
    """Exit codes of our processes."""

    OK = 0
    FAILED = 1
    MISCONFIGURED = 2
    STUCK = 3


@dataclass(frozen=True, slots=True)
class Listener:
    """A part that is up once its context is entered, such as `probes.serve`."""

    name: str
    open: Callable[[], AbstractAsyncContextManager[object]]


@dataclass(frozen=True, slots=True)
class RootTask:
    """A part that runs until it is cancelled; if it returns before, that is an error."""

    name: str
    run: Callable[[], Coroutine[Any, Any, object]]


class Supervisor:
    """Runs the parts of one process.

    Args:
        drain: seconds between "not ready" and the first cancellation; a second signal ends them.
        grace: seconds after that for all parts to end. Drain and grace together must stay below
            the pod's terminationGracePeriodSeconds.

    """

    def __init__(self, *, drain: float = 0.0, grace: float = 10.0) -> None:
        self.stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._drain = drain
        self._grace = grace
        self._box: asyncio.TimerHandle | None = None

    async def run(self, parts: Sequence[Listener | RootTask]) -> None:
        """Start the parts in the given order and run them until a signal has stopped them.

        Raises:
            ExceptionGroup: a root task failed, or returned (RootTaskEnded).

        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, number.name)
        try:
            async with AsyncExitStack() as listeners, asyncio.TaskGroup() as group:
                tasks = await self._start(parts, listeners, group)
                await self.stopping.wait()
                self._end_within(self._drain + self._grace)
                await sleep_or(self._hurry, self._drain)
                await _cancel_last_first(tasks)
        finally:
            if self._box is not None:
                self._box.cancel()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        _log.info("stopped")

    def stop(self, why: str) -> None:
        """Begin the stop; the second time, end the drain."""
        _log.info("stopping", why=why, again=self.stopping.is_set())
        if self.stopping.is_set():
            self._hurry.set()
        self.stopping.set()

    async def _start(
        self,
        parts: Sequence[Listener | RootTask],
        listeners: AsyncExitStack,
        group: asyncio.TaskGroup,
    ) -> list[asyncio.Task[None]]:
        tasks: list[asyncio.Task[None]] = []
        for part in parts:
            match part:
                case Listener():
                    await listeners.enter_async_context(part.open())
                case RootTask():
                    tasks.append(group.create_task(self._guard(part), name=part.name))
            _log.info("started", part=part.name)
        return tasks

    async def _guard(self, part: RootTask) -> None:
        try:
            await part.run()
        finally:
            # A failure cancels the other parts, and they have no more time than in a stop.
            if not self.stopping.is_set():
                self._end_within(self._grace)
        if not self.stopping.is_set():
            raise RootTaskEnded(f"root task {part.name} returned by itself")

    def _end_within(self, seconds: float) -> None:
        if self._box is None:
            self._box = asyncio.get_running_loop().call_later(seconds, _end_stuck_process)


async def _cancel_last_first(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in reversed(tasks):
        task.cancel()
        await asyncio.wait({task})


def _end_stuck_process() -> None:
    waiting = sorted(task.get_name() for task in asyncio.all_tasks())
    _log.critical("stop_overran", waiting=waiting)
    # Nothing in Python ends a task that does not end; the kubelet would kill us in a moment.
    os._exit(Exit.STUCK)


def run(
    main: Callable[[], Coroutine[Any, Any, object]],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """Run a process to its end and return its exit code.

    Args:
        main: what it does.
        loop_factory: such as `uvloop.new_event_loop`; None for asyncio's own loop.

    """
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())
    except ConfigurationError as error:
        _log.critical("misconfigured", error=str(error))
        return Exit.MISCONFIGURED
    except Exception:  # noqa: BLE001  # the top of the process: logged, and told by its exit code
        _log.critical("process_failed", exc_info=True)
        return Exit.FAILED
    return Exit.OK
