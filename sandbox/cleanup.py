"""`down`: nothing of a sandbox stays, whatever state it was left in."""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from sandbox import firewall, network, paths, processes, residue, shell
from sandbox.report import SandboxError

# Those that would start things again come first; etcd is the last to be missed.
STOP_ORDER = (
    "kubelet",
    "kube-proxy",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-apiserver",
    "etcd",
)
TASKS = "io.containerd.runtime.v2.task/k8s.io"
RUNTIME_ROOT = Path("/run/containerd")
CGROUPS = Path("/sys/fs/cgroup")
# Folders that the parts make outside the state folder, at places that cannot be chosen.
SHARED_FOLDERS = (
    RUNTIME_ROOT / "runc/k8s.io",
    RUNTIME_ROOT / "runc",
    RUNTIME_ROOT / "s",
    RUNTIME_ROOT,
    residue.CNI_RESULTS,
    residue.CNI_RESULTS.parent,
    residue.CONTAINER_LOGS,
    residue.NAMESPACES,
)
KUBELET_FIXED = Path("/var/lib/kubelet")
ATTEMPTS = 25


def down() -> None:
    """Remove the sandbox; called when there is none, it finds nothing to do."""
    containers = _containers()
    processes.stop(paths.PIDS, STOP_ORDER[0])
    _kill_containers()
    rest = (*STOP_ORDER[1:], "containerd")
    processes.ask(paths.PIDS, rest)
    for name in rest:
        processes.stop(paths.PIDS, name)
    _kill_containers()
    _unmount_all()
    _remove_pod_networks()
    firewall.remove()
    shell.quiet(["ip", "link", "delete", network.BRIDGE])
    _put_back()
    _remove_runtime_files(containers)
    _remove_state()
    _check()


def _containers() -> dict[str, Path | None]:
    """Our containers' ids and their shims' sockets: the runtime keeps some of it elsewhere.

    Read before anything is killed, because containerd tidies its folders at once.
    """
    tasks = paths.CONTAINERD_RUN / TASKS
    return {path.name: _socket(path) for path in tasks.iterdir()} if tasks.is_dir() else {}


def _socket(task: Path) -> Path | None:
    try:
        return Path((task / "address").read_text(encoding="utf-8").removeprefix("unix://"))
    except OSError:
        return None


def _kill_containers() -> None:
    for _ in range(ATTEMPTS):
        found = [*residue.shims(), *residue.container_processes()]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)


def _unmount_all() -> None:
    for lazily in ([], [], ["--lazy"]):
        for point in residue.mounts():
            shell.quiet(["umount", *lazily, str(point)])


def _remove_pod_networks() -> None:
    for path in residue.namespaces():
        shell.quiet(["umount", "--lazy", str(path)])
        path.unlink(missing_ok=True)
    for pod in residue.pod_networks():
        for device in pod.devices:
            shell.quiet(["ip", "link", "delete", device])
        _unlink(residue.CNI_RESULTS.glob(f"*-{pod.container}-*"))


def _unlink(files: Iterable[Path]) -> None:
    for path in list(files):
        path.unlink(missing_ok=True)


def _remove_runtime_files(containers: Mapping[str, Path | None]) -> None:
    """Sockets, runtime state and control groups of our containers only."""
    parents = [CGROUPS / "k8s.io", *CGROUPS.glob("*/k8s.io")]
    for container, address in containers.items():
        if address is not None:
            address.unlink(missing_ok=True)
        shutil.rmtree(RUNTIME_ROOT / "runc/k8s.io" / container, ignore_errors=True)
        for parent in parents:
            _remove_groups(parent / container)
    for group in parents:
        with contextlib.suppress(OSError):
            group.rmdir()
    _unlink(residue.log_links())
    for folder in SHARED_FOLDERS:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _remove_groups(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()


def remember() -> None:
    """Keep what `down` must restore; called before anything is changed."""
    if paths.BEFORE.exists():
        return
    content = {
        "settings": network.settings(),
        "kubelet_folder": KUBELET_FIXED.exists(),
        "namespaces": [path.name for path in residue.NAMESPACES.glob("*")],
    }
    paths.BEFORE.write_text(json.dumps(content), encoding="utf-8")


def _put_back() -> None:
    try:
        before = json.loads(paths.BEFORE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    network.put_back(before["settings"])
    if not before["kubelet_folder"]:
        shutil.rmtree(KUBELET_FIXED, ignore_errors=True)


def _remove_state() -> None:
    if residue.mounts():
        raise SandboxError(f"still mounted: {residue.mounts()[0]}; nothing was deleted")
    shutil.rmtree(paths.STATE, ignore_errors=True)


def _check() -> None:
    found = residue.leftovers()
    if found:
        raise SandboxError(f"`down` could not remove: {'; '.join(found)}")
