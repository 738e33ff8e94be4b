"""Runs commands as child processes: so many at once, so long, and none after the process's end."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from loadtester.commands import Command
from loadtester.places import refusal
from loadtester.settings import Settings

_CHUNK: Final = 64 * 1024
_REMEMBERED: Final = 20
"""Ended commands that `GET /` still shows."""

log = structlog.get_logger("loadtester")


class RunnerError(Exception):
    """The command may run, but not here or not now; the message is the answer to the hook."""


class TooManyCommands(RunnerError):  # noqa: N818  # it names what happened
    """As many commands as may run are running."""


class MissingProgram(RunnerError):  # noqa: N818  # as above
    """The program is on the list, but not installed."""


class NotRunning(RunnerError):  # noqa: N818  # as above
    """The load tester is starting or stopping."""


class End(StrEnum):
    """How a command ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An ended command: `code` is its exit code, None if it never started or had to be ended.

    `output` is the end of what it wrote, `seconds` how long it ran.
    """

    command: Command
    end: End
    code: int | None
    output: str
    seconds: float


@dataclass(slots=True, eq=False)
class Running:
    """A command that runs; `started` is on the monotonic clock, in seconds."""

    command: Command
    started: float

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return time.monotonic() - self.started


class CommandRunner:
    """Starts commands while `run` runs, and ends them with it.

    Args:
        settings: the load tester's settings.
        registry: where commands are counted.

    """

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._group: asyncio.TaskGroup | None = None
        self._running: list[Running] = []
        self.ended: deque[Outcome] = deque(maxlen=_REMEMBERED)
        self._count = Counter(
            "headgate_loadtester_commands",
            "Commands by program and how they ended.",
            ["program", "end"],
            registry=registry,
        )
        gauge = Gauge("headgate_loadtester_running", "Commands that run.", registry=registry)
        gauge.set_function(lambda: len(self._running))

    @property
    def accepting(self) -> bool:
        """Whether commands can be started."""
        return self._group is not None

    @property
    def running(self) -> tuple[Running, ...]:
        """The commands that run, the oldest first."""
        return tuple(self._running)

    async def run(self) -> None:
        """Accept commands until cancelled; then end those that run."""
        try:
            async with asyncio.TaskGroup() as self._group:
                await asyncio.Event().wait()
        finally:
            self._group = None

    def start(self, command: Command) -> None:
        """Start a command and do not wait for it.

        Raises:
            RunnerError: it cannot be started, and why.

        """
        _ = self._launch(command)

    async def start_and_wait(self, command: Command) -> Outcome:
        """Start a command and return how it ended.

        Raises:
            RunnerError: it cannot be started, and why.

        """
        task = self._launch(command)
        await asyncio.wait({task})
        if not task.cancelled():
            return task.result()
        return Outcome(command=command, end=End.STOPPED, code=None, output="", seconds=0.0)

    def _launch(self, command: Command) -> asyncio.Task[Outcome]:
        if self._group is None:
            raise NotRunning("the load tester is starting or stopping; call again in a moment")
        if why := self._full(command):
            raise TooManyCommands(
                f"{why}; call again when one has ended, or let the load tester run more"
            )
        path = shutil.which(command.program, path=self._settings.path)
        if path is None:
            raise MissingProgram(
                f"{command.program} is not installed in this load tester's image; add it, or use "
                "another program"
            )
        running = Running(command, time.monotonic())
        self._running.append(running)
        return self._group.create_task(self._follow(running, path), name=command.shown)

    def _full(self, command: Command) -> str:
        return refusal(
            [(it.command.caller, it.command.canary) for it in self._running],
            command.caller,
            command.canary,
            total=self._settings.max_commands,
            per_canary=self._settings.max_per_canary,
        )

    def is_running(self, command: Command) -> bool:
        """Tell whether the same command of the same canary runs already."""
        return any(
            (it.command.canary, it.command.text) == (command.canary, command.text)
            for it in self._running
        )

    async def _follow(self, running: Running, path: str) -> Outcome:
        tail = _Tail(self._settings.output_limit)
        code: int | None = None
        end = End.STOPPED
        try:
            async with asyncio.timeout(self._settings.ttl.total_seconds()):
                code = await self._at_home(path, running.command, tail)
            end = End.FAILED if code else End.SUCCEEDED
        except TimeoutError:
            end = End.TIMED_OUT
        except OSError as error:
            end = End.FAILED
            tail.write((error.strerror or "").encode())
        finally:
            self._running.remove(running)
            outcome = Outcome(
                command=running.command,
                end=end,
                code=code,
                output=running.command.masked(str(tail)),
                seconds=round(running.seconds, 3),
            )
            self._report(outcome)
        return outcome

    async def _at_home(self, path: str, command: Command, tail: "_Tail") -> int:
        """Run a program in a home of its own, of which nothing is left for the next one."""
        home = await asyncio.to_thread(tempfile.mkdtemp, prefix="command-")
        try:
            return await self._execute(path, command, tail, home)
        finally:
            # Not awaited: a command that is cancelled a second time would leave its home.
            shutil.rmtree(home, ignore_errors=True)

    async def _execute(self, path: str, command: Command, tail: "_Tail", home: str) -> int:
        process = await asyncio.create_subprocess_exec(
            path,
            *command.arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment(home, command),
            cwd=home,
            # A group of its own, so that what it starts can be ended with it.
            start_new_session=True,
        )
        stdout = cast("asyncio.StreamReader", process.stdout)
        try:
            while chunk := await stdout.read(_CHUNK):
                tail.write(chunk)
            return await process.wait()
        finally:
            await self._stop(process)

    def _environment(self, home: str, command: Command) -> dict[str, str]:
        """Return what a command sees: nothing of this process's own environment but PATH."""
        return {
            **command.variables,
            "PATH": self._settings.path,
            "HOME": home,
            "TMPDIR": home,
            "LANG": "C.UTF-8",
        }

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        _signal_group(process, signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.kill_after.total_seconds()):
                await process.wait()
        # Also where it has ended: what it started may not have.
        _signal_group(process, signal.SIGKILL)
        await process.wait()

    def _report(self, outcome: Outcome) -> None:
        self.ended.append(outcome)
        self._count.labels(outcome.command.program, outcome.end).inc()
        tell = outcome.command.log_output or outcome.end is not End.SUCCEEDED
        log.info(
            "command_ended",
            canary=outcome.command.canary,
            command=outcome.command.shown,
            end=str(outcome.end),
            code=outcome.code,
            seconds=outcome.seconds,
            **({"output": outcome.output} if tell else {}),
        )


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


class _Tail:
    """The last bytes that were written."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._cut = False

    def write(self, chunk: bytes) -> None:
        self._kept += chunk
        self._cut = self._cut or len(self._kept) > self._limit
        del self._kept[: -self._limit]

    def __str__(self) -> str:
        text = self._kept.decode("utf-8", "replace")
        return f"[the beginning was cut] {text}" if self._cut else text
