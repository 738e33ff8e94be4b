"""What the person at the terminal sees: steps, failures with the end of a log."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TAIL_LINES = 25


class SandboxError(Exception):
    """A failure told in one sentence; `log` is the file whose end explains it."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


def say(text: str) -> None:
    """Print one line at once, also into a pipe."""
    print(text, flush=True)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log; empty if it cannot be read."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def explain(error: SandboxError) -> None:
    """Print the failure and the end of its log to standard error."""
    print(f"sandbox: {error}", file=sys.stderr)
    if error.log is not None:
        print(f"--- end of {error.log} ---\n{tail(error.log)}", file=sys.stderr)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step by its time when it ends."""
    started = time.monotonic()
    yield
    say(f"  {title} ({time.monotonic() - started:.1f} s)")
