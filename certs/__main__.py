"""`python -m certs`: keeps the webhook's certificates.

With `--once` it only makes sure of them. With `--replace-authority` it makes another authority and
has it trusted alone, which is what to do when a key has leaked.
"""

import argparse
import sys
from enum import StrEnum
from functools import partial

from certs.bootstrap import Bootstrap
from certs.rotate import Rotation
from certs.settings import Settings, read_settings
from runtime import process
from runtime.kube import Cluster
from runtime.supervisor import RootTask


class Job(StrEnum):
    """What is to be done."""

    KEEP = "keep"
    ONCE = "once"
    REPLACE = "replace-authority"


async def serve(settings: Settings, *, job: Job) -> None:
    """Keep the certificates until a signal ends it, or do something else once.

    Args:
        settings: the settings of the process.
        job: what to do.

    """
    async with Cluster.connect() as cluster:
        bootstrap = Bootstrap(cluster, settings, cluster.clock.shown)
        match job:
            case Job.ONCE:
                await bootstrap.ensure()
            case Job.REPLACE:
                await bootstrap.replace_authority()
            case Job.KEEP:
                await _keep(bootstrap, settings)


async def _keep(bootstrap: Bootstrap, settings: Settings) -> None:
    rotation, running = Rotation(bootstrap), process.Process()
    await running.run(
        running.probes(settings.probes_port, certificates=lambda: rotation.done),
        RootTask("rotation", rotation.run),
    )


def main() -> None:
    """Read the command line, run the process and exit with its code."""
    parser = argparse.ArgumentParser(prog="python -m certs", description=__doc__)
    only = parser.add_mutually_exclusive_group()
    for job, text in (
        (Job.ONCE, "make sure of everything, then end"),
        (Job.REPLACE, "make another authority and trust it alone, then end"),
    ):
        only.add_argument(f"--{job}", dest="job", action="store_const", const=job, help=text)
    job = parser.parse_args().job or Job.KEEP
    sys.exit(process.start(read_settings, partial(serve, job=job)))


if __name__ == "__main__":
    main()
