"""The one guard: what fails inside of it is told, and ends nothing else.

What teams write, and what their pods and servers answer, runs in everybody's loop. So whatever is
done for one of them stands in a guard of its own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog

from runtime.errors import HeadgateError

log = structlog.get_logger("analyzer")
_ENDINGS = (KeyboardInterrupt, SystemExit, GeneratorExit)


@dataclass(slots=True)
class Guarded:
    """A block that nothing leaves but a cancellation of the task itself.

    It has `failed` once something would have left it.
    """

    tell: Callable[[BaseException], None]
    failed: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        del kind, trace
        if isinstance(error, asyncio.CancelledError) and _is_cancelled():
            return False
        if error is None or isinstance(error, _ENDINGS):
            return False
        self.failed = True
        self.tell(error)
        return True


def guarded(tell: Callable[[BaseException], None]) -> Guarded:
    """Let nothing that fails in a block end more than the block.

    A cancellation that nobody asked this task for has come from something that was waited for, and
    is a failure too: it would end the task without a word. So are errors of libraries that derive
    from no `Exception`, as what a library in Rust raises where it panics.

    Args:
        tell: called with what failed.

    """
    return Guarded(tell)


def told(event: str, error: BaseException, **what: object) -> None:
    """Log what failed, with its trace where nobody expects it.

    Args:
        event: what could not be done.
        error: why.
        what: of what it could not be done.

    """
    shown = None if isinstance(error, HeadgateError) else error
    log.warning(event, why=str(error) or repr(error), exc_info=shown, **what)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
