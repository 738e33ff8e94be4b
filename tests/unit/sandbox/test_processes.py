"""A process is stopped only if it is the one that was started."""

import dataclasses
import fcntl
import os
from pathlib import Path

from sandbox import processes


def test_started_once_and_stopped_by_its_record(tmp_path: Path) -> None:
    pids, logs = tmp_path / "pids", tmp_path / "log"
    assert processes.ensure(pids, logs, "sleeper", ["sleep", "60"])
    assert not processes.ensure(pids, logs, "sleeper", ["sleep", "60"])
    assert processes.running(pids) == ["sleeper"]
    processes.stop(pids, "sleeper")
    assert processes.running(pids) == []


def test_what_a_caller_left_open_is_not_kept_open(tmp_path: Path) -> None:
    """Else a lock around `up` would be held for as long as the sandbox runs."""
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)  # noqa: FBT003 - its only form
        fcntl.flock(lock, fcntl.LOCK_EX)
        processes.ensure(tmp_path, tmp_path, "sleeper", ["sleep", "60"])
    try:
        with (tmp_path / "lock").open("w") as again:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        processes.stop(tmp_path, "sleeper")


def test_a_pid_that_was_used_again_is_left_alone(tmp_path: Path) -> None:
    me = processes.identify(os.getpid())
    earlier = dataclasses.replace(me, start=me.start - 1)
    processes.save(tmp_path / "old.json", earlier)
    assert me.alive()
    assert not earlier.alive()
    processes.stop(tmp_path, "old")
    assert me.alive()


def test_a_record_of_another_boot_names_nothing(tmp_path: Path) -> None:
    me = processes.identify(os.getpid())
    processes.save(tmp_path / "old.json", dataclasses.replace(me, boot="earlier"))
    assert processes.running(tmp_path) == []


def test_a_record_cut_short_is_no_process(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('{"pid": 1')
    assert processes.load(tmp_path / "cut.json") is None
    assert processes.running(tmp_path) == []


def test_several_are_asked_to_end_at_the_same_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        processes.ensure(tmp_path, tmp_path, name, ["sleep", "60"])
    processes.ask(tmp_path, ("one", "two", "never-started"))
    for name in ("one", "two"):
        processes.stop(tmp_path, name)
    assert processes.running(tmp_path) == []
