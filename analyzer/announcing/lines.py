"""Jobs in lines: those of one line are done in order, each line in a task of its own."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Generic, Never, TypeVar

MOST_WAITING: Final = 20
"""Jobs that wait in one line; the oldest of more are left out."""
Line = tuple[str, str, str]
"""Whose jobs wait for each other: namespace and name of a Canary, name of its alert or hook."""
J = TypeVar("J")


@dataclass(eq=False, slots=True)
class _Queue(Generic[J]):
    """What waits in one line, in order, and what does it."""

    jobs: deque[J] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class Lines(Generic[J]):
    """Lines of jobs. Nothing is stored: what it was given is lost with the process.

    Args:
        do: does one job; it never raises.
        left_out: called with each job that is left out because too many wait.
        kind: what the jobs are, for the names of tasks.

    """

    def __init__(
        self, do: Callable[[J], Awaitable[None]], left_out: Callable[[J], None], kind: str
    ) -> None:
        self._do = do
        self._left_out = left_out
        self._kind = kind
        self._queues: dict[Line, _Queue[J]] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> Never:
        """Do what is put until cancelled, by which all that waits is given up."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for line in list(self._queues):
                    self._take_up(line)
                await asyncio.Event().wait()
            finally:
                self._group = None
                for queue in self._queues.values():
                    if queue.task is not None:
                        queue.task.cancel()
                self._queues.clear()
        raise AssertionError("nothing ends this but a cancellation")

    def put(self, line: Line, job: J) -> None:
        """Let a job wait at the end of a line; until `run` takes it up it is kept."""
        queue = self._queues.setdefault(line, _Queue())
        queue.jobs.append(job)
        while len(queue.jobs) > MOST_WAITING:
            self._left_out(queue.jobs.popleft())
        self._take_up(line)

    def waiting(self) -> float:
        """Return how many jobs wait or are being done."""
        return sum(len(queue.jobs) + (queue.task is not None) for queue in self._queues.values())

    def _take_up(self, line: Line) -> None:
        queue = self._queues[line]
        if self._group is not None and queue.task is None:
            name = f"{self._kind} {'/'.join(line)}"
            queue.task = self._group.create_task(self._do_all(line, queue), name=name)

    async def _do_all(self, line: Line, queue: _Queue[J]) -> None:
        while queue.jobs:
            await self._do(queue.jobs.popleft())
        if self._queues.get(line) is queue:
            del self._queues[line]
