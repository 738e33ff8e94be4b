"""What the mains of our processes share: settings, logs, metrics, probes, a supervisor, exit codes.

`start` reads the settings and configures the logs before anything else; a setting that cannot be
read ends the process with `Exit.MISCONFIGURED` and one line that names it. A `Process` is what its
parts are then run in.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from runtime import logs, probes, supervisor
from runtime.errors import ConfigurationError
from runtime.supervisor import Listener, RootTask


class Configured(Protocol):
    """What the settings of every process have."""

    @property
    def log_level(self) -> str:
        """Return the name of the lowest level that is written."""


S = TypeVar("S", bound=Configured)


def start(
    read_settings: Callable[[], S],
    serve: Callable[[S], Coroutine[Any, Any, object]],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    """Run a process to its end and return its exit code.

    Args:
        read_settings: reads them from the environment; a ValueError or a ConfigurationError says
            which value cannot be read.
        serve: what the process does.
        loop_factory: such as `uvloop.new_event_loop`; None for asyncio's own loop.

    """

    async def main() -> None:
        # A setting that cannot be read is said where everything else is said.
        logs.configure("info")
        try:
            settings = read_settings()
            logs.configure(settings.log_level)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        await serve(settings)

    return supervisor.run(main, loop_factory=loop_factory)


class Process:
    """One running process: its metrics, its supervisor, and the probes that tell of both.

    Args:
        drain: seconds between "not ready" and the end, as `Supervisor` has it.

    """

    def __init__(self, *, drain: float = 0.0) -> None:
        self.registry = CollectorRegistry()
        """Metrics of /metrics, with the process's own memory, CPU time and tasks."""
        ProcessCollector(registry=self.registry)
        tasks = Gauge(
            "headgate_tasks", "Tasks of the event loop that have not ended.", registry=self.registry
        )
        tasks.set_function(lambda: float(len(asyncio.all_tasks())))
        self._guard = supervisor.Supervisor(drain=drain)

    def probes(self, port: int, **ready: probes.Check) -> Listener:
        """Return the listener of /healthz, /readyz and /metrics.

        Args:
            port: where it listens.
            ready: name and condition of all that must hold; that the process is not stopping is
                added to them.

        """
        checks = probes.Checks(**ready, running=lambda: not self._guard.stopping.is_set())
        app = probes.application(ready=checks, registry=self.registry)
        return Listener("probes", lambda: probes.serve(app, port=port))

    async def run(self, *parts: Listener | RootTask) -> None:
        """Start the parts in the given order and run them until a signal has stopped them.

        Raises:
            ExceptionGroup: a root task failed, or returned (RootTaskEnded).

        """
        await self._guard.run(parts)
