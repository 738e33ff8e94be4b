"""`python -m webhook`: wires the admission process together."""

import gc
import sys
from typing import Final

import structlog
import uvloop

from certs.reload import ServingCertificate
from runtime import probes, process
from runtime.supervisor import Listener, RootTask
from webhook.clients import Clients
from webhook.doors import Doors
from webhook.server import Metrics, create_app
from webhook.settings import Settings, read_settings

DRAIN: Final = 5.0
"""Seconds in which endpoints forget a pod that is not ready any more."""

log = structlog.get_logger("webhook")


async def serve(settings: Settings) -> None:
    """Serve reviews until a signal ends it.

    Args:
        settings: the webhook's settings.

    """
    log.info("starting", port=settings.port)
    for problem in settings.misread:
        log.warning("setting not read, objects are checked by its default", problem=problem)
    running = process.Process(drain=DRAIN)
    certificate = ServingCertificate(
        settings.tls_cert, settings.tls_key, registry=running.registry, clients=settings.client_ca
    )
    doors = Doors()
    clients = Clients(settings.client_names, lambda: certificate.current)
    app = create_app(settings, Metrics.create(running.registry), doors=doors, clients=clients)
    # What was imported stays: every full collection would walk it, and reviews wait meanwhile.
    gc.collect()
    gc.freeze()
    await running.run(
        running.probes(settings.probes_port, certificate=lambda: certificate.present),
        RootTask("certificate", certificate.follow),
        Listener(
            "reviews",
            lambda: probes.serve(
                app, port=settings.port, ssl_context=certificate.context, guard=doors.guarding
            ),
        ),
    )


def main() -> None:
    """Run the process and exit with its code."""
    sys.exit(process.start(read_settings, serve, loop_factory=uvloop.new_event_loop))


if __name__ == "__main__":
    main()
