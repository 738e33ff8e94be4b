"""One machine has one sandbox; the owner file tells whose it is."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO

from sandbox.report import SandboxError, say

# A first build takes a quarter of an hour.
PATIENCE_S = 2400.0
POLL_S = 0.5


class Claim(Enum):
    """What `up` finds."""

    FREE = "nobody's"
    OURS = "ours"
    STALE = "left behind"


@dataclass(frozen=True, slots=True)
class Owner:
    """The checkout that started the sandbox, and in which boot."""

    checkout: str
    boot: str


def load(path: Path) -> Owner | None:
    """Read the owner file; None if there is none that can be read."""
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def save(path: Path, owner: Owner) -> None:
    """Write the owner file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    content = {"checkout": owner.checkout, "boot": owner.boot}
    fresh.write_text(json.dumps(content), encoding="utf-8")
    fresh.rename(path)


def claim(recorded: Owner | None, mine: Owner, *, alive: bool) -> Claim:
    """Decide whether `mine` may use the sandbox; another's that runs is refused.

    State of an earlier boot, or of a checkout whose processes have all ended, is stale:
    whoever comes next cleans up and takes over.
    """
    if recorded is None:
        return Claim.STALE if alive else Claim.FREE
    if recorded.boot != mine.boot:
        return Claim.STALE
    if recorded.checkout == mine.checkout:
        return Claim.OURS if alive else Claim.STALE
    if not alive:
        return Claim.STALE
    raise SandboxError(refusal(recorded))


def refusal(holder: Owner) -> str:
    """The sentence a second checkout reads."""
    return (
        f"the sandbox of this machine belongs to the checkout {holder.checkout} and is up;"
        f" end it with: cd {holder.checkout} && python -m sandbox down"
    )


@contextmanager
def exclusive(lock: Path, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Only one command that changes something at a time; a second one waits and says so."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+", encoding="ascii") as file:
        if not _locked(file):
            file.seek(0)
            holder = f"another `python -m sandbox` (pid {file.read().strip()}) is at work"
            say(f"  {holder}; waiting for it")
            deadline = time.monotonic() + patience_s
            while not _locked(file):
                if time.monotonic() > deadline:
                    raise SandboxError(f"{holder}, still after {patience_s:.0f} s")
                time.sleep(POLL_S)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
