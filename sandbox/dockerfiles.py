"""Images built from a Dockerfile, the way users build it, with no daemon and no network."""

import hashlib
import json
import re
import shlex
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import base_image, oci, paths, shell
from sandbox.report import step

WHEELS_IN_BUILD = "/wheels"
KEPT_LAYERS = 400
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


@dataclass(frozen=True, slots=True)
class Recipe:
    """One image of one Dockerfile."""

    name: str
    context: Path
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    wheels_for: str = ""

    @property
    def dockerfile(self) -> Path:
        """The Dockerfile lies at the root of its context."""
        return self.context / "Dockerfile"


def key(recipe: Recipe, base: str) -> str:
    """Hash of all that goes into the image: equal key, nothing to build."""
    digest = hashlib.sha256(f"{base}|{recipe.target}".encode())
    digest.update(json.dumps(dict(recipe.arguments), sort_keys=True).encode())
    text = recipe.dockerfile.read_text(encoding="utf-8")
    digest.update(text.encode())
    for source in copied(text):
        for path in inputs(recipe.context, source):
            digest.update(str(path.relative_to(recipe.context)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def copied(dockerfile: str) -> list[str]:
    """What the Dockerfile copies from its context, in order."""
    joined = re.sub(r"\\\n", " ", dockerfile)
    sources: list[str] = []
    for line in joined.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] in (["COPY"], ["ADD"]) and not any(w.startswith("--from=") for w in words):
            sources += [word for word in words[1:-1] if not word.startswith("--")]
    return sources


def inputs(context: Path, source: str) -> Iterator[Path]:
    """Files that one source of a COPY stands for."""
    for match in sorted(context.glob(source.strip("/") or ".")):
        candidates = sorted(match.rglob("*")) if match.is_dir() else [match]
        yield from (p for p in candidates if p.is_file() and "__pycache__" not in p.parts)


def wheels(requirements: Path, python: str) -> Path:
    """Wheels of a lock file and of the build system, fetched once by the machine's own pip."""
    build_system = tomllib.loads((requirements.parent / "pyproject.toml").read_text("utf-8"))
    backend: list[str] = build_system["build-system"]["requires"]
    content = f"{requirements.read_text('utf-8')}|{backend}|{python}"
    folder = paths.cache() / "wheels" / hashlib.sha256(content.encode()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    log = paths.cache_logs() / "wheels.log"
    with (
        step(f"downloaded the wheels of {requirements.name}"),
        tempfile.TemporaryDirectory(dir=folder.parent) as scratch,
    ):
        fresh = Path(scratch) / "wheels"
        into: list[str | Path] = [*pip, f"--python-version={python}", "--dest", fresh]
        locked: list[str | Path] = ["--require-hashes", "--no-deps", "--requirement", requirements]
        shell.run([*into, *locked], log, what="downloading wheels")
        shell.run([*into, "--no-deps", *backend], log, what="downloading the build system")
        fresh.chmod(0o755)
        fresh.rename(folder)
    return folder


class Builder:
    """buildah with its storage in the cache."""

    def __init__(self, layout: oci.Layout, base: str, python: str) -> None:
        self._layout = layout
        self._python = python
        self._log = paths.cache_logs() / "buildah.log"
        self._base = f"localhost/headgate-base:{hashlib.sha256(base.encode()).hexdigest()[:12]}"
        self._policy = paths.cache() / "buildah/policy.json"
        self._policy.parent.mkdir(parents=True, exist_ok=True)
        self._policy.write_text(POLICY, encoding="utf-8")

    def build(self, recipe: Recipe) -> None:
        """Build and put the image into the layout under its name."""
        self._ensure_base()
        # Steps that differ by a build argument only are one step to the layer cache of buildah.
        layers = f"--layers={'false' if recipe.arguments else 'true'}"
        command = ["build", layers, "--pull-never", "--isolation=chroot", "--network=host"]
        if recipe.target:
            command.append(f"--target={recipe.target}")
        arguments = {"BASE_IMAGE": self._base, **recipe.arguments}
        if recipe.wheels_for:
            folder = wheels(recipe.context / recipe.wheels_for, self._python)
            command.append(f"--volume={folder}:{WHEELS_IN_BUILD}:ro")
            arguments["PIP_OPTIONS"] = f"--no-index --find-links {WHEELS_IN_BUILD}"
        command += [f"--build-arg={name}={value}" for name, value in arguments.items()]
        command += [f"--tag={recipe.name}", f"--file={recipe.dockerfile}"]
        with step(f"built {recipe.name}"):
            self._run([*command, str(recipe.context)], f"building {recipe.name}")
            target = f"oci:{self._layout.folder.name}:{recipe.name}"
            self._run(["push", "--disable-compression", recipe.name, target], "exporting an image")

    def _ensure_base(self) -> None:
        known = shell.quiet([*self._buildah(), "images", "--quiet", self._base]).strip()
        if known:
            return
        # buildah names the image after the path it is given, so that must be a plain word.
        source = f"oci:{self._layout.folder.name}:{base_image.NAME}"
        self._run(["pull", source], "reading the base image")
        listed = shell.output(
            [*self._buildah(), "images", "--quiet", "--no-trunc"], what="listing images"
        )
        newest = listed.split()[0]
        self._run(["tag", newest, self._base], "naming the base image")

    def _buildah(self) -> list[str]:
        root = paths.cache() / "buildah"
        stores = [f"--root={root / 'storage'}", f"--runroot={root / 'run'}"]
        return ["buildah", *stores, "--storage-driver=overlay"]

    def _run(self, arguments: Sequence[str | Path], what: str) -> None:
        command, *rest = arguments
        policy = f"--signature-policy={self._policy}"
        takes_policy = command in {"build", "pull", "push"}
        words = [command, *([policy] if takes_policy else []), *rest]
        shell.run([*self._buildah(), *words], self._log, what=what, cwd=self._layout.folder.parent)

    def close(self) -> None:
        """Unmount what the storage driver left; drop old layers when there are very many.

        Not after each build: the layers that make the next build quick have no name either.
        """
        known = shell.quiet([*self._buildah(), "images", "--all", "--quiet"])
        if len(known.split()) > KEPT_LAYERS:
            shell.quiet([*self._buildah(), "rmi", "--prune"])
        shell.quiet(["umount", "--lazy", str(paths.cache() / "buildah/storage/overlay")])
