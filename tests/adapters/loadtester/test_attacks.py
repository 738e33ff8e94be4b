"""What a hook's author must not get out of a load tester, tried with the real programs.

Those that are not installed on this machine are left out; the load tester's image has hey, wrk and
curl.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from loadtester.places import refusal
from loadtester.settings import Settings
from runtime.probes import serve
from tests.adapters.loadtester.load_tester_kit import LoadTester, load_tester

CURL = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
HEY = pytest.mark.skipif(not shutil.which("hey"), reason="hey is not installed")
WRK = pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
RUNS_CODE = """
function init(args) os.execute("echo run > %s") end
"""


@pytest.fixture
def settings() -> Settings:
    return Settings(namespace="prod", path=os.environ["PATH"])


@pytest.fixture
async def tester(settings: Settings) -> AsyncIterator[LoadTester]:
    async with load_tester(settings) as tester:
        yield tester


class Site:
    """A server that a hook names; `seen` is the headers of the last request."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}
        self.body = "fine"
        self.leads_to = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.seen = dict(request.headers)
        if self.leads_to and request.path == "/redirect":
            return web.Response(status=302, headers={"Location": self.leads_to})
        return web.Response(text=self.body)


@asynccontextmanager
async def site() -> AsyncIterator[tuple[Site, str]]:
    it = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", it.answer)
    async with serve(app, port=0, host="127.0.0.1") as port:
        yield it, f"http://127.0.0.1:{port}/"


@CURL
async def test_a_page_cannot_be_written_and_then_run(tester: LoadTester, tmp_path: Path) -> None:
    async with site() as (it, url):
        it.body = RUNS_CODE % (tmp_path / "ran")
        script = tmp_path / "x.lua"

        written = await tester.hook(type="bash", cmd=f"curl -s -o {script} {url}")
        ran = await tester.hook(type="bash", cmd=f"wrk -d 1s -s {script} {url}")

    assert (written[0], ran[0]) == (400, 400)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - pathlib's way is not for coroutines


@WRK
async def test_a_script_runs_from_the_admin_s_folder_alone(
    settings: Settings, tmp_path: Path
) -> None:
    scripts, foreign = tmp_path / "scripts", tmp_path / "x.lua"
    scripts.mkdir()
    for name, path in (("theirs", foreign), ("ours", scripts / "x.lua")):
        path.write_text(RUNS_CODE % (tmp_path / name))
    async with load_tester(replace(settings, scripts=str(scripts))) as tester, site() as (_, url):
        refused = await tester.hook(type="bash", cmd=f"wrk -d 1s -s {foreign} {url}")
        done = await tester.hook(type="bash", cmd=f"wrk -t1 -c1 -d 1s -s {scripts}/x.lua {url}")

    assert refused[0] == 400
    assert done[0] == 200, done[1]
    assert (tmp_path / "ours").exists()
    assert not (tmp_path / "theirs").exists()


@CURL
@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "FILE:/etc/passwd", "file://localhost/etc/passwd"]
)
async def test_a_file_cannot_be_read(tester: LoadTester, url: str) -> None:
    status, text = await tester.hook(type="bash", cmd=f"curl -s {url}")

    assert status == 400
    assert "root:" not in text


@CURL
@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://127.0.0.1:1/x", "gopher://127.0.0.1:1"]
)
async def test_a_redirect_leads_to_http_alone(tester: LoadTester, to: str) -> None:
    async with site() as (it, url):
        it.leads_to = to
        status, text = await tester.hook(type="bash", cmd=f"curl -sSL {url}redirect")

    assert status == 500
    assert text.startswith("curl ended with code 1:"), text


@CURL
async def test_a_file_of_options_in_a_home_changes_no_command(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / ".curlrc").write_text(f"output = {tmp_path}/written\n")
    async with load_tester(settings) as tester, site() as (_, url):
        assert await tester.hook(type="bash", cmd=f"curl -s {url}") == (200, "fine")

    assert not (tmp_path / "written").exists()


async def test_each_command_has_a_home_of_its_own_that_is_gone_with_it(
    settings: Settings, tmp_path: Path
) -> None:
    program = tmp_path / "curl"
    program.write_text('#!/bin/sh\nls -A "$HOME"; pwd; echo "$HOME"; touch "$HOME/.curlrc" x\n')
    program.chmod(0o755)
    homes = []
    async with load_tester(replace(settings, path=f"{tmp_path}:/usr/bin:/bin")) as tester:
        for _ in range(2):
            _, text = await tester.hook(type="bash", cmd="curl http://x")
            worked_in, home = text.splitlines()
            assert worked_in == home
            homes.append(Path(home))

    assert homes[0] != homes[1]
    assert not any(home.exists() for home in homes)


@pytest.mark.parametrize("namespace", ["", "test", "PROD", "prod "])
async def test_another_namespace_is_not_served(tester: LoadTester, namespace: str) -> None:
    status, text = await tester.hook(namespace=namespace, type="bash", cmd="curl http://x")

    assert status == 403
    assert text.startswith("this load tester serves canaries of the namespace prod")


@pytest.mark.parametrize(
    ("user", "status"),
    [("", 401), ("headgate:wrong@", 401), ("s3cret@", 401), ("headgate:s3cret@", 400)],
)
async def test_a_token_is_asked_for_where_there_is_one(
    settings: Settings, user: str, status: int
) -> None:
    async with load_tester(replace(settings, token="s3cret")) as tester:  # noqa: S106
        url = tester.url.replace("//", f"//{user}")
        assert (await tester.hook(url=url, cmd="rm"))[0] == status
        async with tester.session.get(url) as shown:
            assert shown.status == (200 if status == 400 else 401)
        assert (await tester.get("healthz"))[0] == 200


async def test_a_bearer_token_is_taken_too(settings: Settings) -> None:
    async with load_tester(replace(settings, token="s3cret")) as tester:  # noqa: S106
        for given, status in (("Bearer s3cret", 200), ("Bearer s3cre", 401), ("\xe9", 401)):
            headers = {"Authorization": given}
            async with tester.session.get(tester.url, headers=headers) as answer:
                assert answer.status == status


@CURL
async def test_credentials_are_sent_and_shown_to_nobody(tester: LoadTester) -> None:
    with capture_logs() as lines:
        async with site() as (it, url):
            named = url.replace("//", "//me:hidden-1@")
            cmd = f"curl -sf -H 'X-Key: hidden-2' '{named}?token=hidden-3'"
            await tester.hook(type="bash", cmd=cmd)
            sent = it.seen
            answers = [
                await tester.hook(cmd=cmd),
                await tester.hook(type="bash", cmd=cmd + " http://me:hidden-1@127.0.0.1:1"),
            ]
            overview = await tester.idle()

    assert sent["X-Key"] == "hidden-2"
    assert sent["Authorization"].startswith("Basic ")
    assert "hidden" not in f"{lines}{answers}{overview}"


@HEY
async def test_hey_sends_what_it_is_told(tester: LoadTester) -> None:
    async with site() as (it, url):
        status, text = await tester.hook(type="bash", cmd=f"hey -n 2 -c 1 -H 'X-Key: a' {url}")

    assert status == 200
    assert "[200]\t2 responses" in text
    assert it.seen["X-Key"] == "a"


async def test_one_canary_s_commands_leave_places_for_others(
    settings: Settings, tmp_path: Path
) -> None:
    program = tmp_path / "hey"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    async with load_tester(replace(settings, path=f"{tmp_path}:/usr/bin:/bin")) as tester:
        statuses = [(await tester.hook(cmd=f"hey http://x/{n}"))[0] for n in range(20)]
        other, _ = await tester.hook("api", cmd="hey http://x")
        _, text = await tester.hook(cmd="hey http://y")

    assert statuses == [202] * 5 + [429] * 15
    assert other == 202
    assert text.startswith("5 commands of this canary are running, which is the most that one may")


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ([], ""),
        ([("a", "web")] * 4, ""),
        ([("a", "web")] * 5, "5 commands of this canary are running"),
        ([("b", "web")] * 5, ""),
        ([("a", f"x{n}") for n in range(14)], ""),
        ([("a", f"x{n}") for n in range(15)], "15 commands from this address are running"),
        ([("b", f"x{n}") for n in range(15)], ""),
        ([("b", f"x{n}") for n in range(20)], "20 commands are running, which is the most"),
    ],
)
def test_places_are_by_address_and_canary(held: list[tuple[str, str]], message: str) -> None:
    said = refusal(held, "a", "web", total=20, per_canary=5)

    assert said.startswith(message)
    assert bool(said) == bool(message)
