"""`python -m analyzer.deriving.worker SECONDS BYTES`: works tasks out until its input ends."""

import math
import pickle
import resource
import signal
import sys
from pathlib import Path
from typing import BinaryIO, Final

# Before memory is bounded: what a task needs is there then.
import canary.counting.dealing
import canary.counting.joining
import canary.counting.zeros
import canary.measuring.countable
import canary.queries.own
import canary.queries.sides
import canary.queries.worn  # noqa: F401
from analyzer.deriving.frames import LENGTH, MOST_ANSWERED, Done, packed, work_out

READY: Final = "ready"
_SLACK: Final = 2.0
"""Seconds beyond the deadline, after which nobody waits any more: the process ends by itself."""


def serve(tasks: BinaryIO, answers: BinaryIO, seconds: float) -> None:
    """Work out what comes in, one task after the other, until nothing does.

    A task that has used all memory is the last one: what is kept of it cannot be told.
    """
    answers.write(packed(READY))
    answers.flush()
    last = False
    while header := tasks.read(LENGTH.size):
        body = tasks.read(LENGTH.unpack(header)[0])
        signal.setitimer(signal.ITIMER_REAL, seconds + _SLACK)
        try:
            work, given = pickle.loads(body)  # noqa: S301 - from the process that started this one
            answer = packed(work_out(work, given))
        except MemoryError:
            answer, last = packed(Done(failure="it takes too much memory", last=True)), True
        if len(answer) > MOST_ANSWERED:
            answer = packed(Done(failure="what it comes to is too large"))
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(answer)
        answers.flush()
        if last:
            return


def _bound(more: int) -> None:
    """Allow so many bytes beyond what the process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Run the process."""
    # Its end is the other process's business; the timer's signal ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    seconds, more = float(sys.argv[1]), math.ceil(float(sys.argv[2]))
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # what is printed is no answer
    _bound(more)
    serve(sys.stdin.buffer, answers, seconds)


if __name__ == "__main__":
    main()
