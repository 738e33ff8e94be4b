"""The load tester's process."""

import sys

from prometheus_client import CollectorRegistry

from loadtester.runner import CommandRunner
from loadtester.server import create_app
from loadtester.settings import read_settings
from runtime import logs, probes
from runtime.supervisor import Listener, RootTask, Supervisor, run


async def _serve() -> None:
    settings = read_settings()
    logs.configure(settings.log_level)
    registry = CollectorRegistry()
    runner = CommandRunner(settings, registry)
    app = create_app(runner, settings, registry)
    await Supervisor().run(
        [
            RootTask("commands", runner.run),
            Listener("http", lambda: probes.serve(app, port=settings.port)),
        ]
    )


def main() -> int:
    """Run until a signal comes; return the exit code."""
    return run(_serve)


if __name__ == "__main__":
    sys.exit(main())
