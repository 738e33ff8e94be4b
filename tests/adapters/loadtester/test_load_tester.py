"""The load tester with real child processes: scripts that stand in for the programs."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import unused_port
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from loadtester.gates import Gates
from loadtester.jobs import JobRunner
from loadtester.runner import CommandRunner
from loadtester.server import create_app
from loadtester.settings import Settings, read_settings
from runtime.errors import ConfigurationError
from runtime.probes import serve
from tests.adapters.loadtester.load_tester_kit import LoadTester, load_tester

ROOT = Path(__file__).parents[3]
Program = Callable[[str, str], None]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Put a shell script in the place of a program."""

    def put(name: str, script: str) -> None:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return put


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        namespace="prod", path=f"{tmp_path}:/usr/bin:/bin", kill_after=timedelta(seconds=5)
    )


@pytest.fixture
async def tester(settings: Settings) -> AsyncIterator[LoadTester]:
    async with load_tester(settings) as tester:
        yield tester


# --- cmd: started, not waited for -------------------------------------------------------------


async def test_starts_a_command_and_answers_at_once(tester: LoadTester, program: Program) -> None:
    program("hey", 'printf "%s\\n" "$@" > "$(dirname "$0")/arguments"')

    status, text = await tester.hook(cmd="hey -z 1m -m 'a b' http://web-canary.prod:80/")

    assert (status, text) == (202, "started: hey -z 1m -m 'a b' http://web-canary.prod:80/\n")
    overview = await tester.idle()
    assert [(it["canary"], it["end"], it["code"]) for it in overview["ended"]] == [
        ("web.prod", "succeeded", 0)
    ]


async def test_passes_arguments_as_they_are(
    tester: LoadTester, program: Program, tmp_path: Path
) -> None:
    program("hey", 'printf "%s\\n" "$@" > "$(dirname "$0")/arguments"')

    await tester.hook(cmd="hey -d 'a b' -m '$HOME' -T '*' -A \"\"")
    await tester.idle()

    arguments = (tmp_path / "arguments").read_text()
    assert arguments == "-d\na b\n-m\n$HOME\n-T\n*\n-A\n\n"


async def test_runs_a_command_once_at_a_time_per_canary(
    tester: LoadTester, program: Program
) -> None:
    program("hey", "exec sleep 60")
    cmd = "hey http://x"

    answers = [
        await tester.hook(cmd=cmd),
        await tester.hook(cmd=cmd),
        await tester.hook("api", cmd=cmd),
        await tester.hook(cmd="hey http://y"),
    ]

    assert answers == [
        (202, "started: hey http://x\n"),
        (202, "runs already: hey http://x\n"),
        (202, "started: hey http://x\n"),
        (202, "started: hey http://y\n"),
    ]
    running = (await tester.overview())["running"]
    assert [(it["canary"], it["command"]) for it in running] == [
        ("web.prod", "hey http://x"),
        ("api.prod", "hey http://x"),
        ("web.prod", "hey http://y"),
    ]


async def test_runs_it_again_when_it_has_ended(tester: LoadTester, program: Program) -> None:
    program("hey", "true")

    await tester.hook(cmd="hey")
    await tester.idle()
    status, text = await tester.hook(cmd="hey")

    assert (status, text) == (202, "started: hey\n")


async def test_runs_no_more_at_once_than_it_may(settings: Settings, program: Program) -> None:
    program("hey", "exec sleep 60")
    async with load_tester(replace(settings, max_commands=1)) as tester:
        await tester.hook(cmd="hey http://x")

        status, text = await tester.hook(cmd="hey http://y")

    assert status == 429
    assert text.startswith("1 commands are running, which is the most that may")


async def test_ends_a_command_after_its_time_with_what_it_started(
    settings: Settings, program: Program, tmp_path: Path
) -> None:
    program("hey", f"(trap '' TERM; sleep 60) & echo $! > {tmp_path}/child; wait")
    async with load_tester(replace(settings, ttl=timedelta(seconds=1))) as tester:
        await tester.hook(cmd="hey")
        overview = await tester.idle()

    assert overview["ended"][0]["end"] == "timed-out"
    wait_for_end(int((tmp_path / "child").read_text()))


async def test_ends_a_command_that_does_not_want_to(settings: Settings, program: Program) -> None:
    program("hey", "trap '' TERM; while :; do sleep 0.05; done")
    impatient = replace(settings, ttl=timedelta(seconds=0.3), kill_after=timedelta(seconds=0.3))
    async with load_tester(impatient) as tester:
        await tester.hook(cmd="hey")
        overview = await tester.idle()

    assert overview["ended"][0]["end"] == "timed-out"


# --- bash: waited for -------------------------------------------------------------------------


async def test_waits_and_answers_the_output(tester: LoadTester, program: Program) -> None:
    program("curl", "echo token; echo warning >&2")

    assert await tester.hook(type="bash", cmd="curl http://x") == (200, "token\nwarning\n")


async def test_says_how_it_failed(tester: LoadTester, program: Program) -> None:
    program("curl", "echo no such host; exit 6")

    status, text = await tester.hook(type="bash", cmd="curl http://x")

    assert (status, text) == (500, "curl ended with code 6: no such host\n\n")


async def test_says_that_it_took_too_long(settings: Settings, program: Program) -> None:
    program("curl", "echo begun; exec sleep 60")
    async with load_tester(replace(settings, ttl=timedelta(seconds=1))) as tester:
        status, text = await tester.hook(type="bash", cmd="curl http://x")

    assert status == 500
    assert re.fullmatch(r"curl was ended, it ran for \d+s: begun\n\n", text)


async def test_says_that_it_cannot_be_started(tester: LoadTester, tmp_path: Path) -> None:
    (tmp_path / "curl").write_text("#!/no/such/shell\n")
    (tmp_path / "curl").chmod(0o755)

    status, text = await tester.hook(type="bash", cmd="curl http://x")

    assert (status, text) == (500, "curl did not start: No such file or directory\n")


async def test_keeps_the_end_of_a_long_output(settings: Settings, program: Program) -> None:
    program("curl", "seq 100000; echo end")
    async with load_tester(replace(settings, output_limit=20)) as tester:
        status, text = await tester.hook(type="bash", cmd="curl http://x")

    assert (status, text) == (200, "[the beginning was cut] 98\n99999\n100000\nend\n")


async def test_a_command_sees_nothing_of_our_environment(
    tester: LoadTester, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "abc")
    program("curl", "env")

    _, text = await tester.hook(type="bash", cmd="curl http://x")

    assert "SECRET" not in text
    assert set(re.findall(r"^(\w+)=", text, re.MULTILINE)) <= {
        *("PATH", "HOME", "TMPDIR", "LANG", "PWD")
    }


async def test_k6_is_told_to_report_to_nobody(tester: LoadTester, program: Program) -> None:
    program("k6", "env")

    _, text = await tester.hook(type="bash", cmd="k6 run x.js")

    told = [line for line in text.splitlines() if line.startswith("K6_")]
    assert sorted(told) == ["K6_AUTO_EXTENSION_RESOLUTION=false", "K6_NO_USAGE_REPORT=true"]


# --- what is wrong with a hook ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the payload is no JSON"),
        (b"\xff", "the payload is no JSON"),
        (b"[]", "the payload has no metadata"),
        (b'{"name": "web"}', "the payload has no metadata"),
        (b'{"metadata": {}}', "the payload has no metadata"),
        (b'{"metadata": {"type": "cmd"}}', "the payload has no metadata.cmd"),
        (b'{"metadata": {"cmd": 5}}', "the payload has no metadata.cmd"),
        (b'{"metadata": {"type": "helm", "cmd": "x"}}', "metadata.type 'helm' is not known"),
        (b'{"metadata": {"type": ["cmd"], "cmd": "x"}}', "metadata.type 'list' is not known"),
        (b"[" * 60_000, "the payload nests deeper than 20 levels"),
        (b'{"metadata": {"cmd": ' + b'{"a":' * 10_000, "the payload nests deeper than 20 levels"),
        (
            b'{"namespace": "prod", "metadata": {"type": "bash", "cmd": "curl x | grep y"}}',
            "'|' is for a shell",
        ),
        (b'{"namespace": "prod", "metadata": {"cmd": "rm -rf /"}}', "'rm' may not run"),
    ],
)
async def test_says_what_is_wrong(tester: LoadTester, body: bytes, message: str) -> None:
    status, text = await tester.post(body)

    assert status == 400
    assert text.startswith(message)
    assert not tester.runner.running


async def test_says_that_a_program_is_missing(settings: Settings, tmp_path: Path) -> None:
    async with load_tester(replace(settings, path=str(tmp_path))) as tester:
        status, text = await tester.hook(cmd="k6 run /scripts/x.js")

    assert status == 501
    assert text.startswith("k6 is not installed in this load tester's image")


async def test_reads_no_more_than_a_payload_can_be(tester: LoadTester) -> None:
    status, _ = await tester.post(b" " * (64 * 1024 + 1))

    assert status == 413


# --- around it --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log_output", "script", "logged"),
    [("true", "echo hi", "hi\n"), ("false", "echo hi", None), ("false", "echo hi; exit 1", "hi\n")],
)
async def test_logs_output_when_told_to_or_when_it_failed(
    tester: LoadTester, program: Program, log_output: str, script: str, logged: str | None
) -> None:
    program("hey", script)

    with capture_logs() as lines:
        await tester.hook(type="bash", cmd="hey -H 'X-Key: abc'", logCmdOutput=log_output)

    (line,) = [line for line in lines if line["event"] == "command_ended"]
    assert line.get("output") == logged
    assert (line["canary"], line["command"]) == ("web.prod", "hey -H '***'")


async def test_says_of_itself_how_it_is(tester: LoadTester, program: Program) -> None:
    program("hey", "true")
    await tester.hook(type="bash", cmd="hey")

    assert (await tester.get("healthz"))[0] == 200
    assert (await tester.get("readyz"))[0] == 200
    _, metrics = await tester.get("metrics")
    assert 'headgate_loadtester_commands_total{end="succeeded",program="hey"} 1.0' in metrics
    assert "headgate_loadtester_running 0.0" in metrics


async def test_takes_no_command_once_it_stops(settings: Settings, program: Program) -> None:
    program("hey", "true")
    registry = CollectorRegistry()
    runner = CommandRunner(settings, registry)
    gates, jobs = Gates("", registry), JobRunner(settings, registry, None)
    app = create_app(runner, settings, registry, gates=gates, jobs=jobs)
    async with serve(app, port=0, host="127.0.0.1") as port, aiohttp.ClientSession() as session:
        tester = LoadTester(f"http://127.0.0.1:{port}/", runner, session)
        assert (await tester.hook(cmd="hey"))[0] == 503
        assert (await tester.get("readyz"))[0] == 503


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_end(pid: int) -> None:
    """Return once a process that was sent a signal has ended, within the test's time."""
    while is_alive(pid):
        time.sleep(0.01)


def test_sigterm_ends_the_commands_and_then_the_process(program: Program, tmp_path: Path) -> None:
    program("hey", f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; sleep 60")
    port = unused_port()
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "HEADGATE_PORT": str(port),
        "POD_NAMESPACE": "prod",
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtester"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        post_when_it_listens(port, b'{"namespace": "prod", "metadata": {"cmd": "hey http://x"}}')
        while not (tmp_path / "pid").exists():
            assert process.poll() is None
            time.sleep(0.02)
        child = int((tmp_path / "pid").read_text())
        assert is_alive(child)

        os.kill(process.pid, signal.SIGTERM)
        _, log = process.communicate(timeout=8)

    assert process.returncode == 0
    wait_for_end(child)
    assert '"end":"stopped"' in log


def post_when_it_listens(port: int, body: bytes) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=body)
    while True:
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310  # loopback
                assert answer.status == 202
                return
        except OSError:
            # Not yet; the test's own time limit ends the wait.
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("HEADGATE_PORT", "http", "HEADGATE_PORT: 'http' must be a whole number from 1 to 65535"),
        ("HEADGATE_LOADTESTER_MAX_COMMANDS", "0", "HEADGATE_LOADTESTER_MAX_COMMANDS: '0' must be"),
        ("HEADGATE_LOADTESTER_OUTPUT_LIMIT", "-1", "HEADGATE_LOADTESTER_OUTPUT_LIMIT: '-1' must"),
        ("HEADGATE_LOADTESTER_TTL", "1d", "HEADGATE_LOADTESTER_TTL: '1d' is not a duration"),
    ],
)
def test_names_a_setting_that_cannot_be_read(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        read_settings({"POD_NAMESPACE": "prod", name: value})


def test_it_has_to_know_its_namespace() -> None:
    with pytest.raises(ConfigurationError, match="POD_NAMESPACE: the namespace of the pod is not"):
        read_settings({})


def test_settings_have_defaults() -> None:
    assert read_settings({"POD_NAMESPACE": "prod"}) == Settings(namespace="prod")
