"""The base image: a small root file system with Python, made from the machine's own packages."""

import re
import shutil
import tarfile
import tempfile
from pathlib import Path

from sandbox import oci, paths, shell
from sandbox.report import SandboxError, step
from sandbox.versions import BASE_IMAGE_PACKAGES

NAME = "docker.io/headgate/base:dev"
UNUSED = ("usr/share/man", "usr/share/doc", "usr/share/locale", "usr/share/info")
SOURCE_FOLDERS = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))


def codename(os_release: str) -> str:
    """The machine's release, such as bookworm: the image is made of the same one."""
    found = re.search(r"^VERSION_CODENAME=\"?(\w+)", os_release, re.MULTILINE)
    if found is None:
        raise SandboxError("/etc/os-release names no release: Debian or Ubuntu is needed")
    return found[1]


def serves(source: str, release: str) -> bool:
    """Whether a source list offers the distribution itself, not a third party's packages."""
    lines = (line for line in source.splitlines() if not line.lstrip().startswith("#"))
    words = {word for line in lines for word in line.split()}
    return release in words and "main" in words


def key(release: str) -> str:
    """Same key, same image."""
    return f"{release}:{','.join(BASE_IMAGE_PACKAGES)}"


def release() -> str:
    """The machine's release."""
    return codename(Path("/etc/os-release").read_text(encoding="utf-8"))


def source_lists(name: str) -> list[Path]:
    """The machine's own source lists for the release: its mirrors are used, no others."""
    single, folder = SOURCE_FOLDERS
    files = [single, *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))]
    return [f for f in files if f.is_file() and serves(f.read_text("utf-8"), name)]


def build(layout: oci.Layout) -> None:
    """Make the image; takes a minute, once."""
    name = release()
    lists = source_lists(name)
    if not lists:
        raise SandboxError(f"no source list of this machine offers {name}")
    with (
        step(f"made the base image ({name}: {' '.join(BASE_IMAGE_PACKAGES)})"),
        tempfile.TemporaryDirectory(dir=paths.cache()) as scratch,
    ):
        # The builder drops its privileges while it fetches and must be able to enter.
        Path(scratch).chmod(0o755)
        archive = Path(scratch) / "base.tar"
        shell.run(
            [
                "mmdebstrap",
                "--mode=root",
                "--variant=minbase",
                f"--include={','.join(BASE_IMAGE_PACKAGES)}",
                *(f"--dpkgopt=path-exclude=/{folder}/*" for folder in UNUSED),
                *_apt_options(),
                name,
                archive,
                *lists,
            ],
            paths.cache_logs() / "base-image.log",
            what="making the base image",
        )
        _without_devices(archive)
        python = python_version(archive)
        layer = layout.add_layer(archive)
    config = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    layout.add_image(NAME, [layer], {**config, "Labels": {"python": python}, "Cmd": ["bash"]})


def _apt_options() -> list[str]:
    """Proxies and certificates that the machine's apt uses."""
    printed = shell.output(["apt-config", "dump", "Acquire"], what="apt-config dump")
    wanted = [line for line in printed.splitlines() if line.startswith("Acquire::http")]
    return [f"--aptopt={line.rstrip(';')}" for line in wanted if not line.endswith('"";')]


def _without_devices(archive: Path) -> None:
    """Device files of the root file system come from the container runtime."""
    fresh = archive.with_suffix(".clean")
    with tarfile.open(archive) as source, tarfile.open(fresh, "w") as target:
        for member in source:
            if member.ischr() or member.isblk():
                continue
            target.addfile(member, source.extractfile(member) if member.isreg() else None)
    shutil.move(fresh, archive)


def python_version(archive: Path) -> str:
    """The Python in the image, such as 3.11: wheels are chosen for it."""
    with tarfile.open(archive) as tar:
        for member in tar:
            found = re.fullmatch(r"(?:\./)?usr/bin/python(3\.\d+)", member.name)
            if found is not None:
                return found[1]
    raise SandboxError("the base image holds no Python")
