"""The webhook's settings: read once from the environment, frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from canary.admission import Policy
from canary.contract import ANALYZER_USER


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the manifests configure.

    `port` serves reviews over TLS, `probes_port` probes and metrics over HTTP. `analyzer_user` is
    who may take a split from a route.
    """

    port: int = 8443
    probes_port: int = 8080
    tls_cert: Path = Path("/tls/tls.crt")
    tls_key: Path = Path("/tls/tls.key")
    log_level: str = "info"
    analyzer_user: str = ANALYZER_USER
    policy: Policy = Policy()


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        ValueError: a value cannot be read; the message names the variable.

    """
    get = environment.get
    return Settings(
        port=_port(environment, "HEADGATE_PORT", 8443),
        probes_port=_port(environment, "HEADGATE_PROBES_PORT", 8080),
        tls_cert=Path(get("HEADGATE_TLS_CERT", "/tls/tls.crt")),
        tls_key=Path(get("HEADGATE_TLS_KEY", "/tls/tls.key")),
        log_level=get("HEADGATE_LOG_LEVEL", "info"),
        analyzer_user=get("HEADGATE_ANALYZER_USER", ANALYZER_USER),
        policy=Policy(allow_opt_out=get("HEADGATE_ALLOW_OPT_OUT", "false").lower() == "true"),
    )


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdigit():
        raise ValueError(f"{name} must be a port number, not {text!r}")
    return int(text)
