"""Settings that more than one process has."""

import logging
from typing import Final

from canary.contract import SYSTEM_NAMESPACE
from canary.spec import parsers
from canary.spec.sources import Setting


def _level(value: str) -> str:
    if value.upper() not in logging.getLevelNamesMapping():
        raise ValueError(f"{parsers.shown(value)} is not one of debug, info, warning, error")
    return value


LOG_LEVEL: Final = Setting(
    name="log_level",
    parse=_level,
    default="info",
    variable="HEADGATE_LOG_LEVEL",
    help="what is logged: debug, info, warning or error",
)
PROBES_PORT: Final = Setting(
    name="probes_port",
    parse=parsers.port,
    default=8080,
    variable="HEADGATE_PROBES_PORT",
    help="port of /healthz, /readyz and /metrics",
)
NAMESPACE: Final = Setting(
    name="namespace",
    parse=parsers.text,
    default=SYSTEM_NAMESPACE,
    variable="POD_NAMESPACE",
    help="namespace that the process runs in",
)
