"""The webhook's settings: read once from the environment, frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from canary.admission.facts import Allowances
from canary.contract import ANALYZER_USER
from canary.spec import parsers
from canary.spec.problems import Problems
from canary.spec.sources import Setting, environment
from canary.validation.terms import UNPARSED_QUERIES, terms_from
from canary.validation.verdict import Terms
from runtime.settings import LOG_LEVEL, PROBES_PORT

PORT: Final = Setting(
    name="port",
    parse=parsers.port,
    default=8443,
    variable="HEADGATE_PORT",
    help="port of the TLS listener",
)
TLS_CERT: Final = Setting(
    name="tls_cert",
    parse=Path,
    default=Path("/tls/tls.crt"),
    variable="HEADGATE_TLS_CERT",
    help="file of the serving certificate",
)
TLS_KEY: Final = Setting(
    name="tls_key",
    parse=Path,
    default=Path("/tls/tls.key"),
    variable="HEADGATE_TLS_KEY",
    help="file of its private key",
)
ANALYZER: Final = Setting(
    name="analyzer_user",
    parse=parsers.text,
    default=ANALYZER_USER,
    variable="HEADGATE_ANALYZER_USER",
    help="the one user whose writes are never gated",
)
ALLOW_OPT_OUT: Final = Setting(
    name="allow_opt_out",
    parse=parsers.truth,
    default=False,
    variable="HEADGATE_ALLOW_OPT_OUT",
    help="true lets a team take a Deployment out by annotation",
)


def _file(value: str) -> Path | None:
    return Path(value) if value else None


def _names(value: str) -> frozenset[str]:
    return frozenset(name.strip() for name in value.split(",") if name.strip())


CLIENT_CA: Final = Setting(
    name="client_ca",
    parse=_file,
    default=None,
    variable="HEADGATE_CLIENT_CA",
    help="file of the authorities that sign for clients; none asks nobody for a certificate",
)
CLIENT_NAMES: Final = Setting(
    name="client_names",
    parse=_names,
    default=frozenset[str](),
    variable="HEADGATE_CLIENT_NAMES",
    help="names of clients, with commas between them; none takes all that the authorities sign",
)
TABLE: Final = (
    PORT,
    PROBES_PORT,
    TLS_CERT,
    TLS_KEY,
    CLIENT_CA,
    CLIENT_NAMES,
    LOG_LEVEL,
    ANALYZER,
    ALLOW_OPT_OUT,
    UNPARSED_QUERIES,
)
"""Everything that the process reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the manifests configure.

    `port` serves reviews over TLS, `probes_port` probes and metrics over HTTP. `analyzer_user` is
    who may take a split from a route. `client_ca` signs for those who may send reviews, anybody may
    where it is None; `client_names` are theirs, all that it signs where there is none. By `terms`
    teams' objects are judged; `misread` says what of them could not be read and has its default.
    """

    port: int = PORT.default
    probes_port: int = PROBES_PORT.default
    tls_cert: Path = TLS_CERT.default
    tls_key: Path = TLS_KEY.default
    client_ca: Path | None = None
    client_names: frozenset[str] = CLIENT_NAMES.default
    log_level: str = LOG_LEVEL.default
    analyzer_user: str = ANALYZER.default
    allowances: Allowances = Allowances()
    terms: Terms = Terms()
    misread: tuple[str, ...] = ()


def read_settings(variables: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        ValueError: values cannot be read; the message names every such variable, its value and
            how to mend it.

    """
    # The analyzer does not start with these; what gates updates has to all the same.
    problems, misread = Problems(), Problems()
    get = environment(variables, problems).value
    settings = Settings(
        port=get(PORT),
        probes_port=get(PROBES_PORT),
        tls_cert=get(TLS_CERT),
        tls_key=get(TLS_KEY),
        client_ca=get(CLIENT_CA),
        client_names=get(CLIENT_NAMES),
        log_level=get(LOG_LEVEL),
        analyzer_user=get(ANALYZER),
        allowances=Allowances(allow_opt_out=get(ALLOW_OPT_OUT)),
        terms=terms_from(variables, misread),
        misread=tuple(misread.found),
    )
    if settings.client_names and settings.client_ca is None:
        problems.found.append(
            f"{CLIENT_NAMES.variable} needs {CLIENT_CA.variable}: without it nobody is asked for a "
            "certificate"
        )
    problems.check()
    return settings
