"""`python -m certs`: keeps the webhook's certificates; with `--once` only makes sure of them."""

import argparse
import sys
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from certs.bootstrap import Bootstrap
from certs.rotate import Rotation
from certs.settings import Settings, read_settings
from runtime import logs, probes, supervisor
from runtime.errors import ConfigurationError
from runtime.kube import Cluster


async def serve(settings: Settings, *, once: bool) -> None:
    """Keep the certificates until a signal ends it, or make sure of them once.

    Args:
        settings: the settings of the process.
        once: return after the first success.

    """
    async with Cluster.connect() as cluster:
        bootstrap = Bootstrap(cluster, settings, lambda: datetime.now(UTC))
        if once:
            await bootstrap.ensure()
            return
        rotation, guard = Rotation(bootstrap), supervisor.Supervisor()
        ready = probes.Checks(
            certificates=lambda: rotation.done, running=lambda: not guard.stopping.is_set()
        )
        app = probes.application(ready=ready, registry=CollectorRegistry())

        def open_probes() -> AbstractAsyncContextManager[object]:
            return probes.serve(app, port=settings.probes_port)

        await guard.run(
            [
                supervisor.Listener("probes", open_probes),
                supervisor.RootTask("rotation", rotation.run),
            ]
        )


def main() -> None:
    """Read the command line, run the process and exit with its code."""
    parser = argparse.ArgumentParser(prog="python -m certs", description=__doc__)
    parser.add_argument("--once", action="store_true", help="make sure of everything, then end")
    once = parser.parse_args().once

    async def run() -> None:
        try:
            settings = read_settings()
            logs.configure(settings.log_level)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        await serve(settings, once=once)

    sys.exit(supervisor.run(run))


if __name__ == "__main__":
    main()
