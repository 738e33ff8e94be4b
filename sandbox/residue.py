"""What a sandbox has on the machine: found from the machine itself, not from memory.

So it is also found after a crash, when nobody remembers what was started.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox import firewall, network, paths, processes

CNI_RESULTS = Path("/var/lib/cni/results")
CONTAINER_LOGS = Path("/var/log/containers")
NAMESPACES = Path("/run/netns")
SHIM = "containerd-shim"


@dataclass(frozen=True, slots=True)
class PodNetwork:
    """What CNI made for one pod."""

    container: str
    namespaces: tuple[Path, ...]
    devices: tuple[str, ...]


def _numbers() -> Iterator[int]:
    yield from (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def shims() -> list[int]:
    """Parents of our containers: they know our containerd's socket."""
    return [pid for pid in _numbers() if is_shim(_read(Path(f"/proc/{pid}/cmdline")))]


def is_shim(cmdline: str) -> bool:
    """Whether a command line is that of a shim of our containerd."""
    words = cmdline.split("\0")
    return SHIM in Path(words[0]).name and str(paths.CONTAINERD_SOCKET) in words


def container_processes() -> list[int]:
    """Processes whose root file system is one of our containers'."""
    return [pid for pid in _numbers() if in_container(_read(Path(f"/proc/{pid}/mountinfo")))]


def in_container(mountinfo: str) -> bool:
    """Whether the root mount is an overlay in our state folder.

    Only the root counts: services with a mount table of their own hold copies of our mounts.
    """
    for line in mountinfo.splitlines():
        fields = line.split()
        if len(fields) > 4 and fields[4] == "/" and " - overlay " in line:  # noqa: PLR2004
            return f"{paths.STATE}/" in line
    return False


def mounts() -> list[Path]:
    """Mount points below the state folder, the innermost first."""
    return parse_mounts(_read(Path("/proc/self/mountinfo")))


def parse_mounts(mountinfo: str) -> list[Path]:
    """Mount points below the state folder; octal escapes are undone."""
    points = (line.split()[4] for line in mountinfo.splitlines() if line.strip())
    plain = (re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), point) for point in points)
    return [Path(p) for p in reversed(list(plain)) if p.startswith(f"{paths.STATE}/")]


def pod_networks() -> list[PodNetwork]:
    """Network namespaces and devices, as CNI recorded them."""
    files = CNI_RESULTS.glob(f"{network.CNI_NETWORK}-*")
    return [parse_pod_network(_read(path)) for path in sorted(files)]


def parse_pod_network(record: str) -> PodNetwork:
    """Read one of CNI's records; what is missing in a broken one is left out."""
    try:
        content = json.loads(record)
    except ValueError:
        return PodNetwork("", (), ())
    interfaces = content.get("result", {}).get("interfaces", [])
    inside = {entry["sandbox"] for entry in interfaces if entry.get("sandbox")}
    outside = {entry["name"] for entry in interfaces if not entry.get("sandbox")}
    return PodNetwork(
        content.get("containerId", ""),
        tuple(sorted(Path(path) for path in inside)),
        tuple(sorted(outside)),
    )


def namespaces() -> list[Path]:
    """Network namespaces of our pods that exist, also those that CNI had no time to record."""
    recorded = {NAMESPACES / p.name for pod in pod_networks() for p in pod.namespaces}
    return sorted(path for path in recorded | _unrecorded() if path.exists())


def _unrecorded() -> set[Path]:
    """Namespaces with the runtime's names that are younger than the sandbox and nobody else's."""
    before = earlier_namespaces()
    if before is None:
        return set()
    records = [parse_pod_network(_read(path)) for path in CNI_RESULTS.glob("*")]
    known = {p.name for pod in records for p in pod.namespaces}
    return {p for p in NAMESPACES.glob("cni-*") if p.name not in known and p.name not in before}


def earlier_namespaces() -> list[str] | None:
    """Names that were there before `up`; None if that is not known."""
    try:
        found: list[str] | None = json.loads(_read(paths.BEFORE)).get("namespaces")
    except ValueError:
        return None
    return found


def devices() -> list[str]:
    """Our network devices that exist."""
    wanted = [network.BRIDGE, *(d for pod in pod_networks() for d in pod.devices)]
    return [name for name in wanted if Path("/sys/class/net", name).exists()]


def log_links() -> list[Path]:
    """Links to our pods' logs in the machine's log folder."""
    if not CONTAINER_LOGS.is_dir():
        return []
    links = (path for path in CONTAINER_LOGS.iterdir() if path.is_symlink())
    return [path for path in links if str(path.readlink()).startswith(f"{paths.STATE}/")]


def leftovers() -> list[str]:
    """All that a sandbox has left on this machine, one line each; empty after `down`."""
    found = [f"process {name}" for name in processes.running(paths.PIDS)]
    found += [f"shim with pid {pid}" for pid in shims()]
    found += [f"container process with pid {pid}" for pid in container_processes()]
    found += [f"mount {path}" for path in mounts()]
    found += [f"device {name}" for name in devices()]
    found += [f"network namespace {path}" for path in namespaces()]
    found += [f"firewall chain {chain}" for chain in firewall.present()]
    found += [f"log link {path}" for path in log_links()]
    if os.path.lexists(paths.STATE):
        found.append(f"folder {paths.STATE}")
    return found
