"""Where things lie: what may be kept (cache) and what a running sandbox owns (state)."""

import os
from pathlib import Path

from sandbox.versions import GoProgram, PythonTool

CHECKOUT = Path(__file__).resolve().parent.parent
STATE = Path("/var/lib/headgate-sandbox")
LOCK = Path("/run/lock/headgate-sandbox.lock")

OWNER = STATE / "owner.json"
PIDS = STATE / "pids"
PKI = STATE / "pki"
LOGS = STATE / "log"
BEFORE = STATE / "before.json"
KUBECONFIG = STATE / "admin.kubeconfig"
CONTAINERD_ROOT = STATE / "containerd"
CONTAINERD_RUN = STATE / "containerd-run"
CONTAINERD_SOCKET = STATE / "containerd.sock"
CNI_CONFIG = STATE / "cni"
KUBELET_ROOT = STATE / "kubelet"


def cache() -> Path:
    """The one folder whose removal gives a cold start."""
    chosen = os.environ.get("HEADGATE_CACHE")
    return Path(chosen).resolve() if chosen else Path.home() / ".cache" / "headgate"


def cache_logs() -> Path:
    """Logs of downloads and builds."""
    return cache() / "logs"


def tool_dir(tool: PythonTool) -> Path:
    """Where a wheel is unpacked."""
    return cache() / "tools" / tool.key


def build_dir(program: GoProgram) -> Path:
    """Where the binaries of one Go build lie."""
    return cache() / "bin" / program.key


def binary(program: GoProgram, name: str) -> Path:
    """One built binary."""
    return build_dir(program) / name
