"""Gates, asked and moved by the hooks and the curl of Flagger's users."""

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from loadtester.gates import MOST_GATES, Gates, GatesError, Kind, Position
from loadtester.settings import Settings
from loadtester.state_file import StateFile
from tests.adapters.loadtester.load_tester_kit import load_tester

KINDS = pytest.mark.parametrize("kind", ["gate", "rollback"])
BROKEN = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b'{"version": 2, "gates": {}}',
    b'{"version": 1}',
    b'{"version": 1, "gates": []}',
    b'{"version": 1, "gates": {"gate/web.prod": "yes"}}',
    b'{"version": 1, "gates": {"' + b"x" * 401 + b'": true}}',
    b" " * (2**20 + 1),
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(namespace="prod", path=os.defpath, state=str(tmp_path))


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@KINDS
async def test_a_gate_is_shut_until_somebody_opens_it(settings: Settings, kind: str) -> None:
    async with load_tester(settings) as tester:
        said = [
            await tester.gate(f"{kind}/{verb}")
            for verb in ("check", "open", "check", "close", "check")
        ]

    assert [status for status, _ in said] == [403, 202, 200, 202, 403]
    assert said[0][1] == f"Forbidden: web.prod has its {kind} shut; POST /{kind}/open opens it\n"
    assert said[2][1] == "Approved\n"


async def test_a_gate_is_of_one_canary_and_one_kind(settings: Settings) -> None:
    async with load_tester(settings) as tester:
        await tester.gate("gate/open")

        assert (await tester.gate("gate/check", "api"))[0] == 403
        assert (await tester.gate("rollback/check"))[0] == 403
        assert (await tester.overview())["gates"] == {"open": ["gate/web.prod"], "inDoubt": ""}
        assert "headgate_loadtester_gates_open 1.0" in (await tester.get("metrics"))[1]


async def test_approve_is_always_open_and_halt_always_shut(settings: Settings) -> None:
    async with load_tester(settings) as tester:
        await tester.gate("gate/open")
        await tester.gate("gate/close", "api")

        assert (await tester.gate("gate/halt"))[0] == 403
        assert (await tester.gate("gate/approve", "api"))[0] == 200


async def test_gates_stay_as_they_are_over_a_restart(settings: Settings) -> None:
    async with load_tester(settings) as tester:
        for name in ("web", "api", "shop"):
            await tester.gate("gate/open", name)
        await tester.gate("rollback/open")
        await tester.gate("gate/close", "api")

    async with load_tester(settings) as tester:
        said = [(await tester.gate("gate/check", name))[0] for name in ("web", "api", "shop")]
        rollback, _ = await tester.gate("rollback/check")

    assert (said, rollback) == ([200, 403, 200], 200)


async def test_without_a_folder_they_are_kept_in_memory(settings: Settings, tmp_path: Path) -> None:
    async with load_tester(replace(settings, state="")) as tester:
        assert (await tester.gate("gate/open"))[0] == 202
        assert (await tester.gate("gate/check"))[0] == 200

    assert listed(tmp_path) == []


async def test_what_cannot_be_stored_is_not_done(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    async with load_tester(replace(settings, state=str(folder))) as tester:
        status, text = await tester.gate("gate/open")
        assert status == 503
        assert text.endswith("(No such file or directory): the gate stays as it was\n")
        assert (await tester.gate("gate/check"))[0] == 403

        folder.mkdir()
        await tester.gate("gate/open")
        shutil.rmtree(folder)
        assert (await tester.gate("gate/close"))[0] == 503
        assert (await tester.gate("gate/check"))[0] == 200


# --- whose it is ------------------------------------------------------------------------------

PATHS = [
    *(f"{kind}/{verb}" for kind in ("gate", "rollback") for verb in ("check", "open", "close")),
    "gate/approve",
    "gate/halt",
]


@pytest.mark.parametrize("path", PATHS)
async def test_a_gate_is_asked_and_moved_within_the_namespace_and_with_the_token_alone(
    settings: Settings, path: str
) -> None:
    async with load_tester(settings) as tester:
        status, text = await tester.gate(path, namespace="test")
        assert status == 403
        assert text.startswith("this load tester serves canaries of the namespace prod")
        assert (await tester.overview())["gates"]["open"] == []

    async with load_tester(replace(settings, token="s3cret")) as tester:  # noqa: S106
        assert (await tester.gate(path))[0] == 401
        url, tester.url = tester.url, tester.url.replace("//", "//headgate:s3cret@")
        assert (await tester.gate(path))[0] in {200, 202, 403}
        tester.url = url


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "the payload is no JSON"),
        (b"[]", 403, "this load tester serves"),
        (b"[" * 1000, 400, "the payload nests deeper"),
        (b'{"namespace": "prod"}', 400, "the payload has no name of a Canary"),
        (b'{"namespace": "prod", "name": 5}', 400, "the payload has no name of a Canary"),
        (b'{"namespace": "prod", "name": "a/../b"}', 400, "the payload has no name of a Canary"),
        (b'{"namespace": "prod", "name": "A"}', 400, "the payload has no name of a Canary"),
        (b'{"namespace": "prod", "name": "' + b"a" * 254 + b'"}', 400, "the payload has no name"),
        (b" " * (64 * 1024 + 1), 413, ""),
    ],
)
async def test_a_payload_that_says_nothing_moves_nothing(
    settings: Settings, path: str, body: bytes, status: int, message: str
) -> None:
    async with load_tester(settings) as tester:
        answered, text = await tester.post(body, path)

        assert answered == status
        assert text.startswith(message)
        assert (await tester.overview())["gates"]["open"] == []


async def test_a_gate_is_moved_by_a_post_alone(settings: Settings) -> None:
    async with load_tester(settings) as tester:
        assert (await tester.get("gate/open"))[0] == 405


async def test_who_moved_it_is_in_the_log(settings: Settings) -> None:
    with capture_logs() as lines:
        async with load_tester(settings) as tester:
            await tester.gate("rollback/open")

    (line,) = [line for line in lines if line["event"] == "gate_moved"]
    assert (line["gate"], line["canary"], line["open"]) == ("rollback", "web.prod", True)
    assert line["caller"] == "127.0.0.1"


# --- the file ---------------------------------------------------------------------------------


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(str(tmp_path), CollectorRegistry())


async def test_so_many_gates_are_remembered(gates: Gates, tmp_path: Path) -> None:
    open_ones = {f"gate/c{number}.prod": True for number in range(MOST_GATES)}
    (tmp_path / "gates.json").write_text(json.dumps({"version": 1, "gates": open_ones}))
    gates.load()

    with pytest.raises(GatesError, match="1000 gates are remembered, which is the most"):
        await gates.move(Kind.GATE, "web.prod", is_open=True)
    await gates.move(Kind.GATE, "c0.prod", is_open=False)
    await gates.move(Kind.GATE, "web.prod", is_open=True)

    assert gates.position(Kind.GATE, "web.prod") is Position.OPEN
    assert len(gates.open) == MOST_GATES


async def test_as_many_as_there_may_be_of_the_longest_names_can_be_read_again(
    gates: Gates, tmp_path: Path
) -> None:
    names = [f"{number:04}{'a' * 249}.{'b' * 63}" for number in range(MOST_GATES)]
    open_ones = {f"rollback/{name}": True for name in names[:-1]}
    (tmp_path / "gates.json").write_text(json.dumps({"version": 1, "gates": open_ones}))
    gates.load()
    await gates.move(Kind.ROLLBACK, names[-1], is_open=True)

    again = Gates(str(tmp_path), CollectorRegistry())
    again.load()

    assert len(again.open) == MOST_GATES
    assert not again.why_in_doubt


@pytest.mark.parametrize("content", BROKEN, ids=lambda content: str(content[:40]))
async def test_a_file_that_cannot_be_read_leaves_gates_in_doubt(
    settings: Settings, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "gates.json").write_bytes(content)
    with capture_logs() as lines:
        async with load_tester(settings) as tester:
            in_doubt = await tester.gate("gate/check")
            opened = await tester.gate("gate/open")
            shut = await tester.gate("rollback/close")
            said = [(await tester.gate(f"{kind}/check"))[0] for kind in ("gate", "rollback")]
            other, _ = await tester.gate("gate/check", "api")
            _, metrics = await tester.get("metrics")

    assert in_doubt[0] == 503
    assert in_doubt[1].startswith("nobody knows whether web.prod has its gate open: ")
    assert (opened[0], shut[0], said, other) == (202, 202, [200, 403], 503)
    assert (tmp_path / "gates.json.unreadable").read_bytes() == content
    (line,) = [line for line in lines if line["event"] == "gates_in_doubt"]
    assert line["log_level"] == "error"
    assert line["set_aside"] == [str(tmp_path / "gates.json.unreadable")]
    assert "headgate_loadtester_gates_in_doubt 1.0" in metrics


async def test_the_doubt_lasts_until_somebody_takes_the_file_away(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "gates.json").write_bytes(b"{")
    async with load_tester(settings) as tester:
        await tester.gate("gate/close")
    async with load_tester(settings) as tester:
        assert (await tester.gate("gate/check"))[0] == 403
        status, text = await tester.gate("gate/check", "api")
        assert status == 503
        assert "gates.json.unreadable is there, which could not be read once" in text
    (tmp_path / "gates.json.unreadable").unlink()
    async with load_tester(settings) as tester:
        assert (await tester.gate("gate/check", "api"))[0] == 403


def test_no_file_that_could_not_be_read_is_lost_to_the_next(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "gates.json").write_bytes(b"broken %d" % number)
        Gates(str(tmp_path), CollectorRegistry()).load()

    kept = [path.read_bytes() for path in sorted(tmp_path.glob("gates.json.unreadable*"))]
    assert kept == [b"broken 0", b"broken 1", b"broken 2"]


class Disk(StateFile):
    """A disk that fails for a while."""

    fails = True

    def set_aside(self) -> None:
        if self.fails:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        super().set_aside()


async def test_what_cannot_be_set_aside_is_not_written_over(tmp_path: Path) -> None:
    file = tmp_path / "gates.json"
    file.write_bytes(b"{")
    disk = Disk(str(tmp_path), "gates.json", largest=1024)
    gates = Gates("", CollectorRegistry(), file=disk)
    gates.load()
    with pytest.raises(GatesError, match="Read-only file system"):
        await gates.move(Kind.GATE, "web.prod", is_open=True)
    assert file.read_bytes() == b"{"

    disk.fails = False
    await gates.move(Kind.GATE, "web.prod", is_open=True)

    assert (tmp_path / "gates.json.unreadable").read_bytes() == b"{"
    assert b'"gate/web.prod": true' in file.read_bytes()


async def test_a_death_in_the_middle_of_a_write_leaves_the_old_file(tmp_path: Path) -> None:
    """What is written first is another file, which nobody reads."""
    gates = Gates(str(tmp_path), CollectorRegistry())
    await gates.move(Kind.GATE, "web.prod", is_open=True)
    (tmp_path / "gates.json.new").write_bytes(b'{"version": 1, "gates": {"gate/we')

    again = Gates(str(tmp_path), CollectorRegistry())
    again.load()

    assert again.open == ["gate/web.prod"]
    await again.move(Kind.GATE, "api.prod", is_open=True)
    assert listed(tmp_path) == ["gates.json"]
