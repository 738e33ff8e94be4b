"""Long-running processes: started in a session of their own, known by pid and start time.

A pid alone is not an identity: it is used again after a crash or a reboot. So a process is
only ever stopped when boot, pid and start time are those that were recorded.
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox import shell

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
STOP_S = 3.0
STDERR = 2


@dataclass(frozen=True, slots=True)
class Process:
    """One process of one boot."""

    pid: int
    start: int
    boot: str

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return self.boot == boot_id() and start_time(self.pid) == self.start


def boot_id() -> str:
    """Which boot this is."""
    return BOOT_ID.read_text(encoding="ascii").strip()


def start_time(pid: int) -> int | None:
    """Start of a process in ticks since boot; None if it does not run (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return parse_start_time(stat)


def parse_start_time(stat: str) -> int | None:
    """Field 22 of /proc/PID/stat; the name in field 2 may hold spaces and parentheses."""
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def identify(pid: int) -> Process:
    """Record of a process that runs now."""
    return Process(pid, start_time(pid) or 0, boot_id())


def load(record: Path) -> Process | None:
    """Read a record; None if it is absent or cut short by a crash."""
    try:
        return Process(**json.loads(record.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def save(record: Path, process: Process) -> None:
    """Write a record whole or not at all."""
    record.parent.mkdir(parents=True, exist_ok=True)
    fresh = record.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(process)), encoding="utf-8")
    fresh.rename(record)


def running(pids: Path) -> list[str]:
    """Names of the recorded processes that are alive."""
    records = ((path.stem, load(path)) for path in sorted(pids.glob("*.json")))
    return [name for name, process in records if process is not None and process.alive()]


def ensure(
    pids: Path,
    logs: Path,
    name: str,
    command: Sequence[str | Path],
    env: Mapping[str, str] | None = None,
) -> bool:
    """Start `name` unless it runs; True if it was started."""
    recorded = load(pids / f"{name}.json")
    if recorded is not None and recorded.alive():
        return False
    logs.mkdir(parents=True, exist_ok=True)
    save(pids / f"{name}.json", identify(_spawn(command, logs / f"{name}.log", env)))
    return True


def _spawn(command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None) -> int:
    """Start with no terminal and no parent's session, away from any folder that may go."""
    words = ["env", "--chdir=/", *(str(part) for part in command)]
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawnp(
        words[0],
        words,
        shell.merged(env),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, append, 0o640),
            (os.POSIX_SPAWN_DUP2, 1, STDERR),
            *((os.POSIX_SPAWN_CLOSE, number) for number in _inherited()),
        ],
        setsid=True,
    )


def _inherited() -> list[int]:
    """Return what a caller left open for its children, such as a lock, which would be held on."""
    found = []
    for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        # The folder's own descriptor is closed by now.
        with contextlib.suppress(OSError):
            if number > STDERR and os.get_inheritable(number):
                found.append(number)
    return found


def stop(pids: Path, name: str, patience_s: float = STOP_S) -> None:
    """End the recorded process, kindly and then by force; forget the record."""
    record = pids / f"{name}.json"
    process = load(record)
    if process is not None:
        end(process, patience_s)
    record.unlink(missing_ok=True)


def ask(pids: Path, names: Sequence[str]) -> None:
    """Ask several to end, so that they do so at the same time; waits for none."""
    for name in names:
        process = load(pids / f"{name}.json")
        if process is not None:
            _signal(process, signal.SIGTERM)


def end(process: Process, patience_s: float) -> None:
    """Signal one process until it is gone."""
    for number, patience in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience
        _signal(process, number)
        while process.alive() and time.monotonic() < deadline:
            _reap(process.pid)
            time.sleep(0.05)


def _signal(process: Process, number: signal.Signals) -> None:
    if process.alive():
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
