"""The load tester's process."""

import sys

from loadtester.runner import CommandRunner
from loadtester.server import create_app
from loadtester.settings import Settings, read_settings
from runtime import probes, process
from runtime.supervisor import Listener, RootTask


async def serve(settings: Settings) -> None:
    """Take commands until a signal ends it.

    Args:
        settings: the load tester's settings.

    """
    running = process.Process()
    runner = CommandRunner(settings, running.registry)
    app = create_app(runner, settings, running.registry)
    await running.run(
        RootTask("commands", runner.run),
        Listener("http", lambda: probes.serve(app, port=settings.port)),
    )


def main() -> int:
    """Run until a signal comes; return the exit code."""
    return process.start(read_settings, serve)


if __name__ == "__main__":
    sys.exit(main())
