"""What the mains share, with real processes, signals and ports."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import orjson
import pytest

from runtime.process import Process
from runtime.supervisor import Exit, RootTask

ROOT = Path(__file__).parents[3]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def started(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own programs
        [sys.executable, "-m", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("webhook", "HEADGATE_PROBES_PORT"),
        ("analyzer", "HEADGATE_PROBES_PORT"),
        ("certs", "HEADGATE_PROBES_PORT"),
        ("loadtester", "HEADGATE_PORT"),
    ],
)
def test_a_setting_that_cannot_be_read_ends_every_process_and_is_named(
    name: str, variable: str
) -> None:
    process = started(name, **{variable: "many"})
    _, errors = process.communicate(timeout=30)
    assert process.returncode == Exit.MISCONFIGURED
    assert variable in errors.decode()


@pytest.mark.parametrize("name", ["webhook", "analyzer", "certs", "loadtester"])
def test_an_unknown_log_level_is_a_setting_that_cannot_be_read(name: str) -> None:
    process = started(name, HEADGATE_LOG_LEVEL="chatty")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == Exit.MISCONFIGURED
    assert "chatty" in errors.decode()


async def answer(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def answer_in_time(url: str) -> tuple[int, str]:
    async with asyncio.timeout(30):
        while True:
            try:
                return await answer(url)
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


async def test_a_real_process_starts_answers_and_stops_by_a_signal() -> None:
    port = free_port()
    process = started("loadtester", HEADGATE_PORT=str(port), POD_NAMESPACE="prod")
    try:
        status, _ = await answer_in_time(f"http://127.0.0.1:{port}/readyz")
        assert status == 200
        _, metrics = await answer(f"http://127.0.0.1:{port}/metrics")
        assert "process_resident_memory_bytes" in metrics
        (tasks,) = re.findall(r"^headgate_tasks (\S+)$", metrics, re.MULTILINE)
        assert 1 <= float(tasks) < 50
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode == Exit.OK
    assert [orjson.loads(line)["event"] for line in errors.splitlines()][-1] == "stopped"


async def test_probes_tell_of_conditions_and_of_a_stop() -> None:
    port, ready = free_port(), False
    running = Process(drain=20)
    answers: list[tuple[int, str]] = []

    async def ask() -> None:
        nonlocal ready
        url = f"http://127.0.0.1:{port}/readyz"
        answers.append(await answer(url))
        ready = True
        answers.append(await answer(url))
        os.kill(os.getpid(), signal.SIGTERM)
        while answers[-1][0] == 200:
            answers.append(await answer(url))
        os.kill(os.getpid(), signal.SIGTERM)  # the second one ends the drain
        await asyncio.Event().wait()

    async with asyncio.timeout(15):
        await running.run(running.probes(port, ready=lambda: ready), RootTask("ask", ask))
    assert answers[0] == (503, "[-] ready\n[+] running\nfailing\n")
    assert answers[1] == (200, "[+] ready\n[+] running\nok\n")
    assert answers[-1] == (503, "[+] ready\n[-] running\nfailing\n")
