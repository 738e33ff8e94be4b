"""The settings of the certificate process: read once from the environment, frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from canary.spec.problems import Problems
from canary.spec.sources import environment
from runtime.settings import LOG_LEVEL, NAMESPACE, PROBES_PORT

TABLE: Final = (NAMESPACE, PROBES_PORT, LOG_LEVEL)
"""Everything that the process reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the certificates are kept, and how long they live."""

    namespace: str = NAMESPACE.default
    service: str = "headgate-webhook"
    webhook_configuration: str = "headgate"
    ca_secret: str = "headgate-ca"  # noqa: S105 - the name of one
    serving_secret: str = "headgate-webhook-tls"  # noqa: S105 - the name of one
    ca_lifetime: timedelta = timedelta(days=3650)
    serving_lifetime: timedelta = timedelta(days=90)
    probes_port: int = PROBES_PORT.default
    log_level: str = LOG_LEVEL.default

    @property
    def dns_names(self) -> tuple[str, ...]:
        """The names by which API servers reach the Service."""
        name = f"{self.service}.{self.namespace}"
        return (f"{name}.svc", name, f"{name}.svc.cluster.local")


def read_settings(variables: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        ValueError: values cannot be read; the message names every such variable, its value and
            how to mend it.

    """
    problems = Problems()
    get = environment(variables, problems).value
    settings = Settings(
        namespace=get(NAMESPACE), probes_port=get(PROBES_PORT), log_level=get(LOG_LEVEL)
    )
    problems.check()
    return settings
