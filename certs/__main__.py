"""`python -m certs`: keeps the webhook's certificates; with `--once` only makes sure of them."""

import argparse
import sys
from datetime import UTC, datetime
from functools import partial

from certs.bootstrap import Bootstrap
from certs.rotate import Rotation
from certs.settings import Settings, read_settings
from runtime import process
from runtime.kube import Cluster
from runtime.supervisor import RootTask


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
        rotation, running = Rotation(bootstrap), process.Process()
        await running.run(
            running.probes(settings.probes_port, certificates=lambda: rotation.done),
            RootTask("rotation", rotation.run),
        )


def main() -> None:
    """Read the command line, run the process and exit with its code."""
    parser = argparse.ArgumentParser(prog="python -m certs", description=__doc__)
    parser.add_argument("--once", action="store_true", help="make sure of everything, then end")
    once = parser.parse_args().once
    sys.exit(process.start(read_settings, partial(serve, once=once)))


if __name__ == "__main__":
    main()
