"""The load tester's process."""

import asyncio
import sys
from contextlib import AsyncExitStack

from loadtester.gates import Gates
from loadtester.jobs import JobRunner
from loadtester.runner import CommandRunner
from loadtester.server import create_app
from loadtester.settings import Settings, read_settings
from runtime import probes, process
from runtime.kube import Cluster
from runtime.supervisor import Listener, RootTask


async def serve(settings: Settings) -> None:
    """Take hooks until a signal ends it.

    Args:
        settings: the load tester's settings.

    """
    running = process.Process()
    gates = Gates(settings.state, running.registry)
    await asyncio.to_thread(gates.load)
    runner = CommandRunner(settings, running.registry)
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Cluster.connect()) if settings.jobs else None
        jobs = JobRunner(settings, running.registry, api)
        app = create_app(runner, settings, running.registry, gates=gates, jobs=jobs)
        await running.run(
            RootTask("commands", runner.run),
            RootTask("jobs", jobs.run),
            Listener("http", lambda: probes.serve(app, port=settings.port)),
        )


def main() -> int:
    """Run until a signal comes; return the exit code."""
    return process.start(read_settings, serve)


if __name__ == "__main__":
    sys.exit(main())
