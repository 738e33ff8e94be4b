"""The load tester with the real programs: what they send, and that what it lets them do is all.

k6, ghz and a gRPC server are built once, into the sandbox's cache; hey, wrk and curl are the
machine's own.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from loadtester.options import GRAMMARS
from loadtester.settings import Settings
from runtime.probes import serve
from sandbox import builds, downloads, paths
from sandbox.versions import GHZ_BUILD, GO, HEALTH_BUILD, K6_BUILD, PEERS, GoProgram
from tests.adapters.loadtester.load_tester_kit import LoadTester, load_tester

# They are built with the first test.
pytestmark = [pytest.mark.peer, pytest.mark.timeout(1800)]

HELP = {
    "hey": ("-h",),
    "wrk": ("-h",),
    "curl": ("--help", "all"),
    "k6": ("run", "--help"),
    "ghz": ("--help",),
}
NOT_IN_ITS_HELP = {
    # Deprecated, and works.
    "k6": {"--no-summary"},
    # What an older ghz has, and this one has under another name.
    "ghz": {"-q"},
}
SMOKE = """
import http from "k6/http";
import { check } from "k6";
export const options = { thresholds: { checks: ["rate==1"] } };
export default function () {
    const answer = http.get(`${__ENV.URL}k6`);
    check(answer, { fine: (it) => it.body === "fine" });
}
"""
ONCE = "import http from 'k6/http'; export default function () { http.get(__ENV.URL); }"
EXTENSION = "import { Faker } from 'k6/x/faker'; export default function () { Faker(); }"
HEALTH = """
syntax = "proto3";
package grpc.health.v1;
message HealthCheckRequest { string service = 1; }
message HealthCheckResponse { enum S { UNKNOWN = 0; SERVING = 1; } S status = 1; }
service Health { rpc Check(HealthCheckRequest) returns (HealthCheckResponse); }
"""
WRK = "function request() return wrk.format('GET', '/wrk') end"


@pytest.fixture(scope="session")
def built() -> None:
    downloads.ensure_python_tools((GO,))
    builds.ensure(PEERS)


def program(of: GoProgram) -> Path:
    return paths.binary(of, of.programs[0])


@pytest.fixture
def settings(tmp_path: Path, built: None) -> Settings:  # noqa: ARG001 - what lies in the PATH
    folders = [str(program(it).parent) for it in (K6_BUILD, GHZ_BUILD)]
    scripts = {
        "smoke.js": SMOKE,
        "once.js": ONCE,
        "extension.js": EXTENSION,
        "health.proto": HEALTH,
        "load.lua": WRK,
    }
    for name, text in scripts.items():
        (tmp_path / name).write_text(text)
    path = ":".join([*folders, os.environ["PATH"]])
    return Settings(namespace="prod", path=path, scripts=str(tmp_path), state="")


@pytest.fixture
async def tester(settings: Settings) -> AsyncIterator[LoadTester]:
    async with load_tester(settings) as tester:
        yield tester


class Site:
    """A server that counts requests by path, and answers while it may."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}
        self.body = "fine"
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def answer(self, request: web.Request) -> web.Response:
        self.seen[request.path] = self.seen.get(request.path, 0) + 1
        self.asked.set()
        await self.may_answer.wait()
        return web.Response(text=self.body)


@asynccontextmanager
async def site() -> AsyncIterator[tuple[Site, str]]:
    it = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", it.answer)
    async with serve(app, port=0, host="127.0.0.1") as port:
        yield it, f"http://127.0.0.1:{port}/"


@pytest.fixture
def health(built: None) -> Iterator[str]:  # noqa: ARG001 - what is started
    """Return where a gRPC server listens that has reflection and the health service."""
    with subprocess.Popen(  # noqa: S603 - built above
        [program(HEALTH_BUILD)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed")


# --- what they send ---------------------------------------------------------------------------


async def test_k6_runs_a_script_of_the_admin_s_by_its_name(tester: LoadTester) -> None:
    async with site() as (it, url):
        hook = {"type": "bash", "cmd": f"k6 run -q -i 3 -e URL={url} smoke.js"}
        passed, text = await tester.hook(**hook)
        it.body = "broken"
        failed, why = await tester.hook(**hook)

    assert passed == 200, text
    assert it.seen == {"/k6": 6}
    assert failed == 500
    assert why.startswith("k6 ended with code 99:")


async def test_k6_listens_nowhere(tester: LoadTester) -> None:
    async with site() as (it, url):
        it.may_answer.clear()
        assert (await tester.hook(cmd=f"k6 run -q -e URL={url} once.js"))[0] == 202
        await it.asked.wait()
        (pid,) = _children()
        listening = _listening(pid)
        it.may_answer.set()
        overview = await tester.idle()

    assert overview["ended"][0]["end"] == "succeeded"
    assert listening == []


def _children() -> list[int]:
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in found if _name(int(pid)) == "k6"]


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _listening(pid: int) -> list[str]:
    """Addresses on which a process listens."""
    opened = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in opened]


async def test_k6_fetches_no_extension(tester: LoadTester) -> None:
    status, text = await tester.hook(type="bash", cmd="k6 run -q extension.js")

    assert status == 500
    assert "automatic extension resolution is required" in text


async def test_ghz_finds_a_method_by_reflection(tester: LoadTester, health: str) -> None:
    status, text = await tester.hook(
        type="bash",
        cmd=f"ghz -n 20 -c 2 -q 1000 --insecure --call grpc.health.v1.Health/Check {health}",
    )

    assert status == 200, text
    assert "[OK]   20 responses" in text


async def test_ghz_reads_a_method_of_the_admin_s_by_its_file_s_name(
    tester: LoadTester, health: str
) -> None:
    status, text = await tester.hook(
        type="bash",
        cmd="ghz -n 10 -c 2 --insecure --proto=health.proto "
        f"--call=grpc.health.v1.Health/Check -d '{{}}' {health}",
    )

    assert status == 200, text
    assert "[OK]   10 responses" in text


@needs("hey")
async def test_hey_sends_so_many_requests(tester: LoadTester) -> None:
    async with site() as (it, url):
        status, text = await tester.hook(type="bash", cmd=f"hey -n 20 -c 2 {url}hey")

    assert status == 200, text
    assert it.seen == {"/hey": 20}


@needs("wrk")
async def test_wrk_runs_a_script_of_the_admin_s_by_its_name(tester: LoadTester) -> None:
    async with site() as (it, url):
        status, text = await tester.hook(type="bash", cmd=f"wrk -t1 -c1 -d1s -s load.lua {url}")

    assert status == 200, text
    assert set(it.seen) == {"/wrk"}


# --- what they know ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRAMMARS)
def test_every_option_that_may_be_used_is_one_of_the_program_s(
    settings: Settings, name: str
) -> None:
    path = shutil.which(name, path=settings.path)
    if path is None:
        pytest.skip(f"{name} is not installed")
    shown = subprocess.run(  # noqa: S603 - of the list of programs
        [path, *HELP[name]], capture_output=True, text=True, check=False, timeout=30
    )
    words = {
        word.split("=")[0].rstrip(",")
        for word in (shown.stdout + shown.stderr).replace("[", " ").split()
        if word.startswith("-")
    }

    unknown = set(GRAMMARS[name].options) - words - NOT_IN_ITS_HELP.get(name, set())
    assert unknown == set()
