"""Command line: `python -m sandbox up|down|status|kubeconfig|kubectl|images|build|demo`."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence

from sandbox import (
    cleanup,
    cluster,
    demo,
    downloads,
    external,
    images,
    owner,
    paths,
    processes,
    residue,
)
from sandbox.report import SandboxError, explain, say, step
from sandbox.versions import KUBECTL


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="python -m sandbox", description="A Kubernetes for tests.")
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start what does not run; return when all of it works")
    commands.add_parser("down", help="end it and leave nothing behind")
    commands.add_parser("status", help="what runs, for which checkout")
    commands.add_parser("kubeconfig", help="print the path of the kubeconfig")
    commands.add_parser("kubectl", help="print the path of kubectl")
    commands.add_parser("demo", help="bring all up, then a good and a bad release")
    commands.add_parser("build", help="download and build everything, start nothing")
    made = commands.add_parser("images", help="build the images of this checkout and load them")
    made.add_argument(
        "--demo",
        action="append",
        default=[],
        metavar="VERSION[=KEY:VALUE,...]",
        help="a demo version with its behaviour, such as 2.0=ERROR_SHARE:0.1 (or 2.0=0.1)",
    )
    made.add_argument("--only-demo", action="store_true", help="leave the project's images out")
    return top


def _up(_: argparse.Namespace) -> None:
    kubeconfig = external.chosen()
    if kubeconfig is not None:
        say(f"using the cluster of {kubeconfig}: Kubernetes {external.check(kubeconfig)}")
        return
    cluster.require_root()
    with owner.exclusive(paths.LOCK), step("sandbox is up"):
        cluster.up()
    say(f"export KUBECONFIG={paths.KUBECONFIG}")


def _down(_: argparse.Namespace) -> None:
    cluster.require_root()
    with owner.exclusive(paths.LOCK):
        holder = owner.load(paths.OWNER)
        if holder is not None and holder.checkout != str(paths.CHECKOUT):
            mine = owner.Owner(str(paths.CHECKOUT), processes.boot_id())
            owner.claim(holder, mine, alive=bool(processes.running(paths.PIDS)))
        if not residue.leftovers():
            say("nothing to end")
            return
        with step("sandbox is down"):
            cleanup.down()


def _status(_: argparse.Namespace) -> None:
    for line in cluster.status():
        say(line)


def _kubeconfig(_: argparse.Namespace) -> None:
    chosen = external.chosen()
    if chosen is None and not paths.KUBECONFIG.exists():
        raise SandboxError("the sandbox is down: python -m sandbox up")
    say(chosen or str(paths.KUBECONFIG))


def _build(_: argparse.Namespace) -> None:
    cluster.require_root()
    with owner.exclusive(paths.LOCK), step("everything is built"):
        cluster.prepare()


def _kubectl(_: argparse.Namespace) -> None:
    # Callers read the path from standard output, so a download is told elsewhere.
    with contextlib.redirect_stdout(sys.stderr):
        downloads.ensure_python_tools((KUBECTL,))
    say(str(downloads.tool_path(KUBECTL)))


def _images(arguments: argparse.Namespace) -> None:
    if external.chosen() is not None:
        raise SandboxError("images are loaded into the sandbox only: push yours to a registry")
    cluster.require_root()
    demos = dict(map(images.parse_demo, arguments.demo)) or images.DEMOS
    recipes = [images.demo_recipe(version, how) for version, how in demos.items()]
    if not arguments.only_demo:
        recipes = [*images.project_recipes(), *recipes]
    with owner.exclusive(paths.LOCK):
        names = cluster.load_images(recipes)
    for name in names:
        say(name.removeprefix("docker.io/"))


def _demo(_: argparse.Namespace) -> None:
    if external.chosen() is not None:
        raise SandboxError("the demo runs in the sandbox: unset KUBECONFIG")
    cluster.require_root()
    recipes = images.project_recipes()
    recipes += [images.demo_recipe(version, how) for version, how in images.DEMOS.items()]
    with owner.exclusive(paths.LOCK), step("sandbox is up"):
        cluster.up()
        cluster.load_images(recipes)
    demo.run()


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "kubeconfig": _kubeconfig,
    "build": _build,
    "kubectl": _kubectl,
    "images": _images,
    "demo": _demo,
}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; a failure is one sentence and the end of a log."""
    arguments = parser().parse_args(words)
    try:
        COMMANDS[arguments.command](arguments)
    except SandboxError as error:
        explain(error)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
