"""An event loop whose time passes at once: a wait of an hour is over when nothing else is ready."""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any


class _Impatient(selectors.DefaultSelector):
    """Gives the time that a loop would wait to the loop's clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Look for what is ready; wait for threads only, which have no part in this time."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.threads or timeout is None:
            return super().select(None)
        self.now += timeout
        return ready


class ImpatientLoop(asyncio.SelectorEventLoop):
    """A loop that is never idle. What runs in a thread takes none of its time."""

    def __init__(self) -> None:
        self._impatient = _Impatient()
        super().__init__(self._impatient)

    def time(self) -> float:
        """Return the seconds since the loop began, as far as anybody has waited for them."""
        return self._impatient.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run a function in a thread, while time stands still."""
        self._impatient.threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._back)
        return future

    def _back(self, _: object) -> None:
        self._impatient.threads -= 1
