"""On what the figures were taken, and what a process of this machine uses."""

import os
import platform
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROC = Path("/proc")
KIB_PER_MIB = 1024


def describe() -> list[str]:
    """Return the lines above the table: version, machine, and how busy it is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    load = os.getloadavg()[0]
    return [
        f"version  {project['name']} {project['version']}, commit {commit()}",
        f"machine  {os.cpu_count()} cores, {_cpu_model()}, {_memory_gib():.0f} GiB",
        f"system   Linux {platform.release()}, Python {platform.python_version()}",
        f"before   {load:.1f} processes ran or waited (load average of the last minute)",
    ]


def commit() -> str:
    """Return what is checked out, `-dirty` where files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--tags"],  # noqa: S607 - whichever git there is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _cpu_model() -> str:
    for line in (PROC / "cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def resident_mib(pid: int) -> float:
    """Return the memory of a process that is in RAM now.

    Raises:
        OSError: it has ended.

    """
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / KIB_PER_MIB
    return 0.0


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used.

    Raises:
        OSError: it has ended.

    """
    # The name, in brackets, may have spaces; utime and stime are fields 14 and 15 of proc(5).
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def processes_of(container: str) -> list[int]:
    """Return the processes in a container; none if it runs on another machine."""
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            groups = (entry / "cgroup").read_text()
        except OSError:
            continue
        if container in groups:
            found.append(int(entry.name))
    return found


def pin(pid: int, cores: set[int]) -> None:
    """Let a process run on these cores only, as far as this machine has them."""
    usable = cores & os.sched_getaffinity(0)
    if usable:
        os.sched_setaffinity(pid, usable)
