"""What the sandbox's node asks of the machine."""

from pathlib import Path

import pytest

from sandbox.node import weigh_pods


@pytest.mark.parametrize(
    ("root", "setting", "shares"),
    [("cpu", "cpu.shares", "8192"), (".", "cpu.weight", "800")],
    ids=["version 1", "version 2"],
)
def test_pods_weigh_more_than_one_process(
    tmp_path: Path, root: str, setting: str, shares: str
) -> None:
    group = tmp_path / root / "k8s.io"
    group.mkdir(parents=True)
    (tmp_path / root / "cgroup.procs").touch()
    (group / setting).write_text("1024")
    weigh_pods(tmp_path)
    assert (group / setting).read_text() == shares


def test_a_machine_without_control_groups_is_left_as_it_is(tmp_path: Path) -> None:
    weigh_pods(tmp_path)
    assert list(tmp_path.iterdir()) == []
