"""Which images the sandbox runs, when they are made again, and their import into the node."""

import json
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from sandbox import base_image, dockerfiles, downloads, node, oci, paths, shell
from sandbox.report import SandboxError, step
from sandbox.versions import CONTOUR_BUILD, COREDNS_BUILD, ENVOY, PROMETHEUS_BUILD, GoProgram

PREFIX = "docker.io/headgate"
NOBODY = "65532:65532"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
SYSTEM_PROGRAMS = (COREDNS_BUILD, CONTOUR_BUILD, PROMETHEUS_BUILD)
ENVOY_IMAGE = f"{PREFIX}/envoy:{ENVOY.version}"

# Demo version -> behaviour baked into the image.
DEMOS: dict[str, dict[str, str]] = {
    "1.0": {},
    "1.1": {},
    "1.2": {},
    "bad": {"ERROR_SHARE": "0.2"},
    "slow": {"LATENCY_MS": "800"},
    "crash": {"CRASH_AFTER_S": "2"},
    "never-ready": {"NEVER_READY": "1"},
}


def system_image(program: GoProgram) -> str:
    """Name of the image of one Go program."""
    return f"{PREFIX}/{program.name}:{program.version}"


class Store:
    """The images in the cache, each with the key of what it was made from."""

    def __init__(self) -> None:
        self.layout = oci.Layout(paths.cache() / "images")
        self.layout.ensure()
        self._keys_file = self.layout.folder / "keys.json"

    def _keys(self) -> dict[str, str]:
        try:
            keys: dict[str, str] = json.loads(self._keys_file.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return keys

    def ensure(self, name: str, key: str, make: Callable[[], None]) -> bool:
        """Make the image unless it was made from the same inputs; True if it was made."""
        if self._keys().get(name) == key and name in self.layout.digests():
            return False
        make()
        fresh = self._keys_file.with_suffix(".new")
        fresh.write_text(json.dumps({**self._keys(), name: key}), encoding="utf-8")
        fresh.rename(self._keys_file)
        return True

    def base_key(self) -> str:
        """The base image's identity, part of every key of an image on top of it."""
        return self.layout.digests()[base_image.NAME]

    def base_layer(self) -> str:
        """The base image's one layer."""
        manifest = json.loads(self.layout.blob(self.base_key()).read_text("utf-8"))
        layer: str = manifest["layers"][0]["digest"]
        return layer

    def base_python(self) -> str:
        """The base image's Python version."""
        manifest = json.loads(self.layout.blob(self.base_key()).read_text("utf-8"))
        config = json.loads(self.layout.blob(manifest["config"]["digest"]).read_text("utf-8"))
        version: str = config["config"]["Labels"]["python"]
        return version


def ensure_base(store: Store) -> None:
    """The image below those that need more than one static program."""
    key = base_image.key(base_image.release())
    store.ensure(base_image.NAME, key, lambda: base_image.build(store.layout))


def system_names() -> list[str]:
    """Names of the images of the node and its add-ons."""
    return [node.PAUSE_IMAGE, *map(system_image, SYSTEM_PROGRAMS), ENVOY_IMAGE]


def ensure_system(store: Store) -> None:
    """Make the images of the node and its add-ons, on top of the base image."""
    store.ensure(node.PAUSE_IMAGE, "catatonit", lambda: _make_pause(store.layout))
    for program in SYSTEM_PROGRAMS:
        name = system_image(program)
        store.ensure(name, program.key, partial(_make_static, store.layout, program))
    store.ensure(ENVOY_IMAGE, f"{ENVOY.key}|{store.base_key()}", lambda: _make_envoy(store))


def _make_pause(layout: oci.Layout) -> None:
    program = shell.output(["sh", "-c", "command -v catatonit"], what="finding catatonit").strip()
    layer = layout.add_files([oci.Entry("pause", Path(program), 0o755)])
    layout.add_image(node.PAUSE_IMAGE, [layer], {"Entrypoint": ["/pause", "-P"], "User": NOBODY})


def _make_static(layout: oci.Layout, program: GoProgram) -> None:
    entries = [
        oci.Entry(f"bin/{name}", paths.binary(program, name), 0o755) for name in program.programs
    ]
    if CERTIFICATES.exists():
        entries.append(oci.Entry(str(CERTIFICATES), CERTIFICATES))
    config = {"Entrypoint": [f"/bin/{program.programs[0]}"], "User": NOBODY, "Env": ["PATH=/bin"]}
    layout.add_image(system_image(program), [layout.add_files(entries)], config)


def _make_envoy(store: Store) -> None:
    entry = oci.Entry("usr/local/bin/envoy", downloads.tool_path(ENVOY), 0o755)
    layers = [store.base_layer(), store.layout.add_files([entry])]
    config = {"Entrypoint": ["/usr/local/bin/envoy"], "User": NOBODY}
    store.layout.add_image(ENVOY_IMAGE, layers, config)


def demo_recipe(version: str, behaviour: dict[str, str]) -> dockerfiles.Recipe:
    """The demo app, with a behaviour."""
    return dockerfiles.Recipe(
        name=f"{PREFIX}/demo:{version}",
        context=paths.CHECKOUT / "sandbox/demoapp",
        arguments={"VERSION": version, **behaviour},
    )


def parse_demo(text: str) -> tuple[str, dict[str, str]]:
    """Read VERSION, VERSION=SHARE or VERSION=KEY:VALUE,KEY:VALUE."""
    version, _, rest = text.partition("=")
    if not rest:
        return version, DEMOS.get(version, {})
    if ":" not in rest:
        return version, {"ERROR_SHARE": rest}
    return version, dict(pair.split(":", 1) for pair in rest.split(","))


def project_recipes() -> list[dockerfiles.Recipe]:
    """The images that users build from the Dockerfile at the root; none before it exists.

    The load tester is the lean one: an image with Go, which its other programs are built with, is
    at a registry, and there is none here. `make peers` tries those programs.
    """
    if not (paths.CHECKOUT / "Dockerfile").exists():
        return []
    return [
        dockerfiles.Recipe(
            name=f"{PREFIX}/{name}:dev",
            context=paths.CHECKOUT,
            target=target,
            wheels_for="requirements.lock",
        )
        for name, target in (("headgate", "headgate"), ("loadtester", "loadtester-lean"))
    ]


def ensure_built(store: Store, recipes: Sequence[dockerfiles.Recipe]) -> list[str]:
    """Build those whose inputs changed; returns the names of all."""
    base = store.base_key()
    builder = dockerfiles.Builder(store.layout, base, store.base_python())
    built = [
        store.ensure(recipe.name, dockerfiles.key(recipe, base), partial(builder.build, recipe))
        for recipe in recipes
    ]
    if any(built):
        builder.close()
        store.layout.prune()
    return [recipe.name for recipe in recipes]


def load(store: Store, names: Sequence[str]) -> None:
    """Import into the node what it does not hold in this very form."""
    present = imported()
    digests = store.layout.digests()
    wanted = [name for name in names if present.get(name) != digests[name]]
    if not wanted:
        return
    with step(f"imported {len(wanted)} images"):
        _import(store.layout, wanted)


def _import(layout: oci.Layout, names: Sequence[str]) -> None:
    log = paths.LOGS / "image-import.log"
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [*node.ctr(), "image", "import", "-"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        if process.stdin is None:
            raise SandboxError("ctr was started without an input")
        try:
            layout.send(names, process.stdin)
            process.stdin.close()
        except BrokenPipeError:
            process.wait()
    if process.returncode != 0:
        raise SandboxError(f"importing {', '.join(names)} failed", log)


def imported() -> dict[str, str]:
    """Image name -> digest, as the node has them."""
    return parse_images(shell.output([*node.ctr(), "image", "ls"], what="listing images"))


def parse_images(listing: str) -> dict[str, str]:
    """Read `ctr image ls`: name, type, digest, then more."""
    rows = (line.split() for line in listing.splitlines()[1:] if line.strip())
    return {name: digest for name, _, digest, *_ in rows}
