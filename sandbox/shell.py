"""Programs that run and end: their output goes to a log, a failure carries that log."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.report import SandboxError


def run(
    command: Sequence[str | Path],
    log: Path,
    *,
    what: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run to the end with the output in `log`; `what` names it in the failure."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        code = subprocess.call(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=merged(env),
            cwd=cwd,
        )
    if code != 0:
        raise SandboxError(f"{what} failed (exit code {code})", log)


def output(
    command: Sequence[str | Path],
    *,
    what: str,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    cwd: Path | None = None,
) -> str:
    """Run to the end and return standard output; the failure quotes standard error."""
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        capture_output=True,
        text=True,
        env=merged(env),
        cwd=cwd,
        check=False,
    )
    if done.returncode != 0:
        detail = " ".join(done.stderr.split())[-600:]
        raise SandboxError(f"{what} failed (exit code {done.returncode}): {detail}")
    return done.stdout


def output_json(command: Sequence[str | Path], *, what: str, cwd: Path | None = None) -> Any:
    """Run to the end and parse standard output."""
    return json.loads(output(command, what=what, cwd=cwd))


def quiet(command: Sequence[str | Path]) -> str:
    """Run for cleaning up: a failure is normal there; returns what was printed."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def wait_for(ready: Callable[[], bool], *, what: str, seconds: float, log: Path | None) -> None:
    """Poll until `ready` or fail, saying what was waited for."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise SandboxError(f"{what}: not ready after {seconds:.0f} s", log)
        time.sleep(0.2)


def merged(env: Mapping[str, str] | None) -> dict[str, str]:
    """The machine's environment with ours on top."""
    return {**os.environ, **(env or {})}
