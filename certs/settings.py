"""The settings of the certificate process: read once from the environment, frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from canary.contract import SYSTEM_NAMESPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the certificates are kept, and how long they live."""

    namespace: str = SYSTEM_NAMESPACE
    service: str = "headgate-webhook"
    webhook_configuration: str = "headgate"
    ca_secret: str = "headgate-ca"  # noqa: S105 - the name of one
    serving_secret: str = "headgate-webhook-tls"  # noqa: S105 - the name of one
    ca_lifetime: timedelta = timedelta(days=3650)
    serving_lifetime: timedelta = timedelta(days=90)
    probes_port: int = 8080
    log_level: str = "info"

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The names by which API servers reach the Service."""
        name = f"{self.service}.{self.namespace}"
        return (f"{name}.svc", name, f"{name}.svc.cluster.local")


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        ValueError: a value cannot be read; the message names the variable.

    """
    port = environment.get("HEADGATE_PROBES_PORT", "8080")
    if not port.isdigit():
        raise ValueError(f"HEADGATE_PROBES_PORT must be a port number, not {port!r}")
    return Settings(
        namespace=environment.get("POD_NAMESPACE", SYSTEM_NAMESPACE),
        probes_port=int(port),
        log_level=environment.get("HEADGATE_LOG_LEVEL", "info"),
    )
