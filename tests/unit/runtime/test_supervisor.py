"""Start in order, stop in stages, exit codes; with real signals, in this or in a real process."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from runtime.errors import ConfigurationError, RootTaskEnded
from runtime.supervisor import Exit, Listener, RootTask, Supervisor, run

ROOT = Path(__file__).parents[3]

STUBBORN = """
import asyncio, os, signal
from runtime.supervisor import RootTask, Supervisor

async def stubborn():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

async def main():
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
    await Supervisor(grace=0.1).run([RootTask("stubborn", stubborn)])

asyncio.run(main())
"""


class Diary:
    """What happened, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def listener(self, name: str) -> Listener:
        @asynccontextmanager
        async def opened() -> AsyncIterator[None]:
            self.lines.append(f"{name} up")
            try:
                yield
            finally:
                self.lines.append(f"{name} down")

        return Listener(name, opened)

    def task(self, name: str) -> RootTask:
        async def work() -> None:
            self.lines.append(f"{name} up")
            try:
                await asyncio.Event().wait()
            finally:
                self.lines.append(f"{name} down")

        return RootTask(name, work)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_parts_start_in_order_and_a_signal_stops_them_in_reverse(
    number: signal.Signals,
) -> None:
    diary = Diary()
    supervisor = Supervisor()

    async def stops() -> None:
        os.kill(os.getpid(), number)
        await supervisor.stopping.wait()
        diary.lines.append("not ready")
        await asyncio.Event().wait()

    listeners = [diary.listener("probes"), diary.listener("tls")]
    tasks = [diary.task("watch"), diary.task("leader"), RootTask("signal", stops)]
    await supervisor.run([*listeners, *tasks])
    assert diary.lines[:5] == ["probes up", "tls up", "watch up", "leader up", "not ready"]
    assert diary.lines[5:] == ["leader down", "watch down", "tls down", "probes down"]


async def test_drain_comes_before_cancellation_and_a_second_signal_ends_it() -> None:
    supervisor = Supervisor(drain=60)
    served_while_draining = False

    async def serving() -> None:
        nonlocal served_while_draining
        supervisor.stop("test")
        await asyncio.sleep(0)
        served_while_draining = supervisor.stopping.is_set()
        supervisor.stop("test")
        await asyncio.Event().wait()

    async with asyncio.timeout(5):
        await supervisor.run([RootTask("serving", serving)])
    assert served_while_draining


async def test_root_task_that_returns_ends_the_process_with_an_error() -> None:
    diary = Diary()

    async def returns() -> None:
        pass

    with pytest.raises(ExceptionGroup) as caught:
        await Supervisor().run(
            [diary.listener("probes"), diary.task("watch"), RootTask("brief", returns)]
        )
    (error,) = caught.value.exceptions
    assert isinstance(error, RootTaskEnded)
    assert "brief" in str(error)
    assert diary.lines[-1] == "probes down"


def test_part_that_does_not_end_is_given_up_after_the_grace() -> None:
    ended = subprocess.run(  # noqa: S603  # our own interpreter with our own text
        [sys.executable, "-c", STUBBORN],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=8,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == Exit.STUCK
    assert "stop_overran" in ended.stdout


def failing(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, Exit.OK),
        (ConfigurationError("no cluster"), Exit.MISCONFIGURED),
        (ExceptionGroup("tasks", [ValueError("bug")]), Exit.FAILED),
    ],
)
@pytest.mark.parametrize("loop_factory", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_exit_code(error: Exception | None, code: Exit, loop_factory: None) -> None:
    async def main() -> None:
        if error:
            failing(error)

    assert run(main, loop_factory=loop_factory) == code
