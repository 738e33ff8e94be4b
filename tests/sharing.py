"""What the workers of one test run share: a folder for their locks, and the sandbox."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
START_DEADLINE = 3000
"""Seconds: a cold cache means building Kubernetes from source."""
RUN = "HEADGATE_TEST_RUN"
"""Names the folder that the workers of one test run share."""


def begin(config: pytest.Config) -> None:
    """Make the shared folder; workers inherit its name.

    Args:
        config: of the process that starts.

    Raises:
        UsageError: a worker was started by a process that had made none, and would share nothing.

    """
    if RUN in os.environ:
        return
    if hasattr(config, "workerinput"):
        raise pytest.UsageError("tests/conftest.py was not loaded by the process of the workers")
    os.environ[RUN] = tempfile.mkdtemp(prefix="headgate-tests-")


def end() -> None:
    """End a sandbox that this run has started, once all workers have ended."""
    if shared("started").exists():
        in_sandbox("down")
    shutil.rmtree(os.environ.pop(RUN), ignore_errors=True)


def shared(name: str) -> Path:
    """Return a file that all workers of this run see."""
    return Path(os.environ[RUN]) / name


def in_sandbox(*arguments: str) -> str:
    """Run `python -m sandbox` of this checkout and return what it prints."""
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=START_DEADLINE,
    )
    return done.stdout.strip()
