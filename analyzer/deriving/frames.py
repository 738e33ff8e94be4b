"""What the two processes send each other: a length, and what it is the length of."""

import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

LENGTH: Final = struct.Struct(">I")
MOST_ASKED: Final = 4 << 20
"""Bytes of a task: an object of the API server has a million and a half at most."""
MOST_ANSWERED: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a task: `value`, or an error of `canary/`'s own, or why there is neither.

    `last` says that the process takes no other one.
    """

    value: Any = None
    error: Exception | None = None
    failure: str = ""
    last: bool = False


def packed(content: object) -> bytes:
    """Return a frame."""
    body = pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


def work_out(work: Callable[..., Any], given: tuple[Any, ...]) -> Done:
    """Carry out a task, whatever comes of it.

    Args:
        work: what is to be called.
        given: its arguments.

    Raises:
        MemoryError: there is not enough of it.

    """
    try:
        return Done(value=work(*given))
    except MemoryError:
        raise
    except ValueError as error:
        if type(error).__module__.startswith("canary."):
            return Done(error=type(error)(*error.args))
        return Done(failure=f"it cannot be read: {error!r:.200}")
    except RecursionError:
        return Done(failure="it is too deep to be read")
    except BaseException as error:  # noqa: BLE001 - also of libraries that derive from no Exception
        return Done(failure=f"it cannot be read: {error!r:.200}")
