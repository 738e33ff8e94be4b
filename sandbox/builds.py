"""Go builds: two at once, the longest first, into the cache, with progress."""

import json
import queue
import re
import shutil
import stat
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox import downloads, paths, shell
from sandbox.report import SandboxError, say
from sandbox.versions import GO, GO_PROGRAMS, GoProgram, Stub

WORKERS = 2
REPORT_EVERY_S = 15.0


@dataclass(slots=True)
class Progress:
    """One build's clock: not started, running since, or ended after."""

    program: GoProgram
    started: float | None = None
    seconds: float | None = None

    def left(self, now: float) -> float:
        """Estimated seconds of work that remain."""
        if self.seconds is not None:
            return 0.0
        if self.started is None:
            return float(self.program.expected_seconds)
        # A build that takes longer than expected is taken to be nearly done, never negative.
        return max(self.program.expected_seconds - (now - self.started), 5.0)


def longest_first(programs: Iterable[GoProgram]) -> list[GoProgram]:
    """The order that keeps two workers busy to the end."""
    return sorted(programs, key=lambda program: -program.expected_seconds)


def remaining(builds: Sequence[Progress], now: float, workers: int = WORKERS) -> float:
    """Estimated seconds until all are done, each worker taking the next in order."""
    lanes = sorted(b.left(now) for b in builds if b.started is not None and b.seconds is None)
    lanes = [0.0] * max(workers - len(lanes), 0) + lanes
    for build in builds:
        if build.started is None:
            lanes[0] += build.left(now)
            lanes.sort()
    return max(lanes, default=0.0)


def missing(programs: Iterable[GoProgram]) -> list[GoProgram]:
    """Those whose binaries are not in the cache."""
    return [program for program in programs if not _complete(program)]


def _complete(program: GoProgram) -> bool:
    return all(paths.binary(program, name).is_file() for name in program.programs)


def ensure(programs: Iterable[GoProgram] = GO_PROGRAMS) -> None:
    """Build what is missing; the first failure ends it with that build's log."""
    wanted = longest_first(missing(programs))
    if not wanted:
        return
    say(f"  building {', '.join(f'{p.name} {p.version}' for p in wanted)} (first time only)")
    todo: queue.SimpleQueue[Progress] = queue.SimpleQueue()
    progress = [Progress(program) for program in wanted]
    for entry in progress:
        todo.put(entry)
    failures: list[SandboxError] = []
    workers = [
        threading.Thread(target=_work, args=(todo, failures), daemon=True) for _ in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    _report_until_done(workers, progress)
    if failures:
        raise failures[0]


def _work(todo: "queue.SimpleQueue[Progress]", failures: list[SandboxError]) -> None:
    while not failures:
        try:
            entry = todo.get_nowait()
        except queue.Empty:
            return
        entry.started = time.monotonic()
        try:
            build(entry.program)
        except SandboxError as error:
            failures.append(error)
            return
        entry.seconds = time.monotonic() - entry.started
        say(f"  built {entry.program.name} {entry.program.version} ({entry.seconds:.0f} s)")


def _report_until_done(workers: Sequence[threading.Thread], progress: Sequence[Progress]) -> None:
    begun = last = time.monotonic()
    while any(worker.is_alive() for worker in workers):
        for worker in workers:
            worker.join(timeout=0.2)
        now = time.monotonic()
        if now - last >= REPORT_EVERY_S:
            last = now
            say(progress_line(progress, now, now - begun))


def progress_line(progress: Sequence[Progress], now: float, elapsed: float) -> str:
    """What is being built, for how long, and how far the whole is."""
    running = [
        f"{entry.program.name} {now - entry.started:.0f} of about"
        f" {entry.program.expected_seconds} s, {_compiled(entry.program)} packages"
        for entry in progress
        if entry.started is not None and entry.seconds is None
    ]
    done = sum(entry.seconds is not None for entry in progress)
    left = remaining(progress, now)
    return (
        f"  [{done}/{len(progress)} built, {elapsed:.0f} s, about {left:.0f} s left]"
        f" {'; '.join(running)}"
    )


def _log(program: GoProgram) -> Path:
    return paths.cache_logs() / f"{program.key}.log"


def _compiled(program: GoProgram) -> int:
    """`go build -v` prints one line for each package that it compiles."""
    try:
        lines = _log(program).read_text(errors="replace").splitlines()
    except OSError:
        return 0
    return sum(not line.startswith("go: ") for line in lines)


def build(program: GoProgram) -> None:
    """Make one module's binaries; they appear under their final name only when complete."""
    log = _log(program)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    work = paths.cache() / "work" / program.key
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "go.mod").write_text(go_mod(program), encoding="utf-8")
    if program.main:
        (work / "main.go").write_text(program.main, encoding="utf-8")
    for stub in program.stubs:
        write_stub(work, stub)
    fresh = work / "bin"
    fresh.mkdir()
    command: list[str | Path] = [
        go(),
        "build",
        "-v",
        "-ldflags",
        f"-s -w {program.ldflags}".strip(),
    ]
    if program.tags:
        command += ["-tags", ",".join(program.tags)]
    shell.run(
        [*command, "-o", f"{fresh}/", *program.packages],
        log,
        what=f"building {program.name} {program.version}",
        env=go_env(),
        cwd=work,
    )
    if program.main:
        next(fresh.iterdir()).rename(fresh / program.programs[0])
    target = paths.build_dir(program)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    shutil.rmtree(work, ignore_errors=True)


def go() -> Path:
    """The Go tool of the cache."""
    return downloads.tool_path(GO)


def go_env() -> dict[str, str]:
    """Everything Go writes goes to the cache; where it downloads from is the machine's choice."""
    root = paths.cache() / "go"
    return {
        "GOPATH": str(root / "path"),
        "GOMODCACHE": str(root / "path/pkg/mod"),
        "GOCACHE": str(root / "build"),
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def module(path: str, version: str) -> dict[str, str]:
    """Download one module; its folder is under `Dir`, its go.mod under `GoMod`."""
    command: list[str | Path] = [go(), "mod", "download", "-json", f"{path}@{version}"]
    printed = shell.output(
        command, what=f"downloading {path} {version}", env=go_env(), cwd=paths.cache()
    )
    found: dict[str, str] = json.loads(printed)
    return found


def go_mod(program: GoProgram) -> str:
    """A module of our own that requires the program's and repeats its replacements."""
    text = Path(module(program.module, program.version)["GoMod"]).read_text(encoding="utf-8")
    ours = [*program.replaced, *(f"{it.module} => ./{_folder(it)}" for it in program.stubs)]
    changed = {line.split()[0] for line in ours}
    theirs = [line for line in replacements(text) if line.split()[0] not in changed]
    lines = [f"replace {line}" for line in (*theirs, *ours)]
    if program.replace_staging:
        staged = f"v0{program.version.removeprefix('v1')}"
        lines += [f"replace {path} => {path} {staged}" for path in staging_modules(text)]
    language = re.search(r"^go (\S+)", text, re.MULTILINE)
    return "\n".join(
        (
            "module headgate.sandbox/build",
            f"go {language[1] if language else '1.26.0'}",
            f"require {program.module} {program.version}",
            *lines,
            "",
        )
    )


def _folder(stub: Stub) -> str:
    return f"stubs/{stub.module.replace('/', '_')}"


def write_stub(work: Path, stub: Stub) -> None:
    """Write a module as a build has it, beside its go.mod."""
    folder = work / _folder(stub)
    if stub.version:
        real = Path(module(stub.module, stub.version)["Dir"])
        left = {real / it for it in stub.without}
        shutil.copytree(real, folder, ignore=lambda at, names: _of(left, at, names))
        for path in (folder, *folder.rglob("*")):  # modules are kept read-only
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
    for name, text in stub.files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _of(left: set[Path], folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder) / name in left]


def replacements(text: str) -> list[str]:
    """The replace lines of a go.mod, without those that point into the module's own tree."""
    lines = (line.split("//")[0].strip().removeprefix("replace ") for line in text.splitlines())
    pairs = (line for line in lines if "=>" in line)
    return [line.strip() for line in pairs if not line.split("=>")[1].strip().startswith(".")]


def staging_modules(text: str) -> list[str]:
    """Modules that live in Kubernetes' own tree and are published with its releases."""
    replaced = re.findall(
        r"^\s*(?:replace )?(k8s\.io/[a-z0-9-]+) => \./staging", text, re.MULTILINE
    )
    required = re.findall(r"^\s*(k8s\.io/[a-z0-9-]+) v0\.0\.0", text, re.MULTILINE)
    return sorted(set(replaced) or set(required))
