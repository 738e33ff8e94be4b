"""Whose sandbox it is: two checkouts never share one without a word."""

from pathlib import Path

import pytest

from sandbox import owner
from sandbox.owner import Claim, Owner
from sandbox.report import SandboxError

MINE = Owner("/src/mine", "boot-2")
OTHER = Owner("/src/other", "boot-2")


@pytest.mark.parametrize(
    ("recorded", "alive", "expected"),
    [
        pytest.param(None, False, Claim.FREE, id="nothing recorded, nothing runs"),
        pytest.param(None, True, Claim.STALE, id="something runs that nobody owns"),
        pytest.param(MINE, True, Claim.OURS, id="my own runs"),
        pytest.param(MINE, False, Claim.STALE, id="my own has crashed"),
        pytest.param(OTHER, False, Claim.STALE, id="another's has crashed"),
        pytest.param(Owner("/src/mine", "boot-1"), False, Claim.STALE, id="before a reboot"),
        pytest.param(Owner("/src/other", "boot-1"), True, Claim.STALE, id="pids of another boot"),
    ],
)
def test_claim(recorded: Owner | None, *, alive: bool, expected: Claim) -> None:
    assert owner.claim(recorded, MINE, alive=alive) is expected


def test_another_checkouts_running_sandbox_is_refused_with_the_way_out() -> None:
    with pytest.raises(SandboxError, match="/src/other") as refused:
        owner.claim(OTHER, MINE, alive=True)
    assert "cd /src/other && python -m sandbox down" in str(refused.value)


def test_owner_file_survives_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "state/owner.json"
    owner.save(path, MINE)
    assert owner.load(path) == MINE


@pytest.mark.parametrize("content", ["", "{", "[]", '{"checkout": "/x"}'])
def test_broken_owner_file_counts_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "owner.json"
    path.write_text(content)
    assert owner.load(path) is None


def test_a_second_command_is_told_who_is_at_work(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with (
        owner.exclusive(lock),
        pytest.raises(SandboxError, match="is at work"),
        owner.exclusive(lock, patience_s=0),
    ):
        pytest.fail("two commands hold the lock")
    with owner.exclusive(lock):
        pass
