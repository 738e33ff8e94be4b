"""The process that works queries out: started when it is needed, and anew when it has ended."""

import asyncio
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack, cast

import structlog

from analyzer.deriving.frames import LENGTH, MOST_ANSWERED, MOST_ASKED, Done, packed
from analyzer.deriving.remembered import Remembered, digest
from analyzer.places import Places
from analyzer.ports import UnderivableError

log = structlog.get_logger("analyzer")
_T = TypeVar("_T")
_Given = TypeVarTuple("_Given")

_WORKER: Final = "analyzer.deriving.worker"
_NOT_ANSWERED: Final = (TimeoutError, OSError, EOFError, pickle.UnpicklingError)
_TOO_LONG: Final = "it takes too long to be read; make it simpler"
_ENDED: Final = "what reads it has ended over it; make it simpler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a task may take, and how long it is waited for.

    Times are in seconds: `deadline` is for one task, `start` for the process to come up, `wait` for
    others' tasks before it, `failures` how long a failure is remembered, `strikes_within` the time
    in which a namespace may have `strikes` of them. `memory` is in bytes, beyond what the process
    has before its first task.
    """

    deadline: float = 5.0
    start: float = 30.0
    wait: float = 20.0
    memory: int = 48 << 20
    failures: float = 600.0
    strikes: int = 10
    strikes_within: float = 600.0


class DerivingProcess:
    """Works out what queries mean, one at a time, each namespace in its turn.

    Nothing of a task outlives its deadline: the process is ended then, and the next task has a new
    one. What has failed is not tried again for a while; neither is anything new of a namespace
    whose tasks have failed again and again.

    Args:
        bounds: what a task may take.

    """

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._remembered = Remembered(self._bounds.failures)
        self._strikes: dict[str, deque[float]] = {}
        self._places = Places[str](per_owner=1, total=1)
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._ending: list[Process] = []

    @property
    def pid(self) -> int | None:
        """The process that is there for the next task; None where none is."""
        return None if self._process is None else self._process.pid

    async def derive(self, asker: str, work: Callable[[Unpack[_Given]], _T], *given: *_Given) -> _T:
        """Return what a function makes of what is given; see the port."""
        key = digest(work, given)
        done = self._remembered.get(key, _now())
        if done is None:
            try:
                done = await self._in_turn(asker, key, work, given)
            except OSError as error:  # a timeout too
                raise UnderivableError("others' queries are read; it is tried again") from error
        if done.failure:
            raise UnderivableError(f"its query cannot be worked out: {done.failure}")
        if done.error is not None:
            raise type(done.error)(*done.error.args)
        return cast("_T", done.value)

    async def aclose(self) -> None:
        """End the process, and wait until it has ended."""
        self._give_up()
        for process in self._ending:
            await process.wait()
        self._ending.clear()

    async def _in_turn(
        self, asker: str, key: bytes, work: Callable[..., Any], given: tuple[Any, ...]
    ) -> Done:
        """Work a task out, unless that was done while others had their turn."""
        taken = asyncio.timeout(self._bounds.wait)
        async with taken, self._places.take(asker), self._turn:
            # From here on it has deadlines of its own.
            taken.reschedule(None)
            done = self._remembered.get(key, _now())
            if done is None and self._has_failed_often(asker):
                return Done(failure=f"too many of {asker}'s queries could not be read of late")
            if done is None:
                done, size = await self._work_out(packed((work, given)))
                self._remembered.keep(key, done, size, _now())
                if done.failure:
                    self._strikes.setdefault(asker, deque()).append(_now())
                    log.warning("query not worked out", namespace=asker, why=done.failure)
            return done

    def _has_failed_often(self, asker: str) -> bool:
        since = _now() - self._bounds.strikes_within
        for name, times in list(self._strikes.items()):
            while times and times[0] < since:
                times.popleft()
            if not times:
                del self._strikes[name]
        return len(self._strikes.get(asker, ())) >= self._bounds.strikes

    async def _work_out(self, task: bytes) -> tuple[Done, int]:
        """Return what comes of a task, and how many bytes that takes."""
        if len(task) > MOST_ASKED:
            return Done(failure="it is too long"), 0
        had = self._process
        process = await self._started()
        answered = False
        try:
            async with asyncio.timeout(self._bounds.deadline):
                done, size = await _asked(process, task)
            answered = not done.last
        except TimeoutError:
            return Done(failure=_TOO_LONG), 0
        except _NOT_ANSWERED:
            if process is not had:
                return Done(failure=_ENDED), 0
        else:
            return done, size
        finally:
            # Else its answer would be taken for the next task's.
            if not answered:
                self._give_up()
        # It may have ended for another reason, before this task.
        return await self._work_out(task)

    async def _started(self) -> Process:
        """Return the process, started if it is not there.

        Raises:
            TimeoutError: it does not come up; this is no task's fault, and not remembered.

        """
        if self._process is not None and self._process.returncode is None:
            return self._process
        self._give_up()
        process = self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", _WORKER),
            *(str(self._bounds.deadline), str(self._bounds.memory)),
            stdin=PIPE,
            stdout=PIPE,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
            limit=2 * MOST_ANSWERED,
        )
        try:
            async with asyncio.timeout(self._bounds.start):
                await _read(process)
        except BaseException as error:
            self._give_up()
            if isinstance(error, _NOT_ANSWERED):
                raise TimeoutError("what reads queries does not start") from error
            raise
        return process

    def _give_up(self) -> None:
        """End the process without waiting for it."""
        self._ending = [one for one in self._ending if one.returncode is None]
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.kill()
        self._ending.append(self._process)
        self._process = None


@asynccontextmanager
async def open_deriver(bounds: Bounds | None = None) -> AsyncIterator[DerivingProcess]:
    """Work queries out until the block is left, by when the process has ended."""
    deriver = DerivingProcess(bounds)
    try:
        yield deriver
    finally:
        await deriver.aclose()


async def _asked(process: Process, task: bytes) -> tuple[Done, int]:
    if process.stdin is None:
        raise EOFError
    process.stdin.write(task)
    await process.stdin.drain()
    return await _read(process)


async def _read(process: Process) -> tuple[Any, int]:
    """Return what the process says next, and how many bytes that were.

    Raises:
        EOFError: it has ended, or says too much.

    """
    if process.stdout is None:
        raise EOFError
    size = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))[0]
    if size > MOST_ANSWERED:
        raise EOFError
    body = await process.stdout.readexactly(size)
    return pickle.loads(body), size  # noqa: S301 - from our own process


def _now() -> float:
    return asyncio.get_running_loop().time()
