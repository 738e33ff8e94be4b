"""`python -m webhook`: wires the admission process together."""

import gc
import sys
from contextlib import AbstractAsyncContextManager

import structlog
import uvloop
from prometheus_client import CollectorRegistry, ProcessCollector

from certs.reload import ServingCertificate
from runtime import logs, probes, supervisor
from runtime.errors import ConfigurationError
from webhook.server import Metrics, create_app
from webhook.settings import Settings, read_settings

DRAIN = 5.0
"""Seconds in which endpoints forget a pod that is not ready any more."""


async def serve(settings: Settings) -> None:
    """Serve reviews until a signal ends it.

    Args:
        settings: the webhook's settings.

    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    certificate = ServingCertificate(settings.tls_cert, settings.tls_key, registry=registry)
    guard = supervisor.Supervisor(drain=DRAIN)
    ready = probes.Checks(
        certificate=lambda: certificate.present, running=lambda: not guard.stopping.is_set()
    )
    app = create_app(settings, Metrics.create(registry))

    def open_probes() -> AbstractAsyncContextManager[object]:
        return probes.serve(
            probes.application(ready=ready, registry=registry), port=settings.probes_port
        )

    def open_reviews() -> AbstractAsyncContextManager[object]:
        return probes.serve(app, port=settings.port, ssl_context=certificate.context)

    # What was imported stays: every full collection would walk it, and reviews wait meanwhile.
    gc.collect()
    gc.freeze()
    await guard.run(
        [
            supervisor.Listener("probes", open_probes),
            supervisor.RootTask("certificate", certificate.follow),
            supervisor.Listener("reviews", open_reviews),
        ]
    )


async def _main() -> None:
    try:
        settings = read_settings()
        logs.configure(settings.log_level)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    structlog.get_logger("webhook").info("starting", port=settings.port)
    await serve(settings)


def main() -> None:
    """Run the process and exit with its code."""
    sys.exit(supervisor.run(_main, loop_factory=uvloop.new_event_loop))


if __name__ == "__main__":
    main()
