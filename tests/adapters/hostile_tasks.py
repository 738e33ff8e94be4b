"""Tasks for the process that works queries out, as hostile as a query could be."""

import os
import signal
import sys
import time
from collections.abc import Callable

Task = Callable[[str], object]
_calls: list[str] = []


class Panic(BaseException):
    """As what a library in Rust raises where it panics."""


def counted_up(name: str) -> int:
    _calls.append(name)
    return len(_calls)


def for_ever(name: str) -> str:
    while name:
        pass
    return name


def of_all_memory(name: str) -> list[bytes]:
    kept = []
    while name:
        kept.append(bytes(1 << 20))
    return kept


def that_dies(name: str) -> None:
    os._exit(len(name))


def that_is_killed(name: str) -> None:
    assert name
    os.kill(os.getpid(), signal.SIGSEGV)


def that_panics(name: str) -> None:
    raise Panic(name)


def that_fails(name: str) -> float:
    return len(name) / 0


def too_deep(name: str) -> str:
    return too_deep(name)


def of_a_large_answer(name: str) -> str:
    return name * (2 << 20)


def that_prints(name: str) -> int:
    sys.stdout.write(name)
    sys.stdout.flush()
    return 7


def slow(name: str) -> str:
    time.sleep(0.5)
    return name


def of_a_size(size: int) -> str:
    return "x" * size
