"""The load tester's settings: read once from the environment, frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from canary.spec import parsers
from canary.spec.problems import Problems
from canary.spec.sources import Setting, environment
from loadtester.commands import SCRIPTS
from runtime.errors import ConfigurationError
from runtime.settings import LOG_LEVEL

PORT: Final = Setting(
    name="port",
    parse=parsers.port,
    default=8080,
    variable="HEADGATE_PORT",
    help="port that takes hooks",
)
TTL: Final = Setting(
    name="ttl",
    parse=parsers.duration,
    default=timedelta(hours=1),
    variable="HEADGATE_LOADTESTER_TTL",
    help="how long a command may run",
)
MAX_COMMANDS: Final = Setting(
    name="max_commands",
    parse=parsers.whole(1, such_as="20"),
    default=20,
    variable="HEADGATE_LOADTESTER_MAX_COMMANDS",
    help="how many commands run at the same time",
)
MAX_PER_CANARY: Final = Setting(
    name="max_per_canary",
    parse=parsers.whole(1, such_as="5"),
    default=5,
    variable="HEADGATE_LOADTESTER_MAX_PER_CANARY",
    help="how many of them an address may have run for one canary",
)
OUTPUT_LIMIT: Final = Setting(
    name="output_limit",
    parse=parsers.whole(1, such_as="16384"),
    default=16 * 1024,
    variable="HEADGATE_LOADTESTER_OUTPUT_LIMIT",
    help="bytes of a command's output that are kept, the last ones",
)
SCRIPTS_FOLDER: Final = Setting(
    name="scripts",
    parse=parsers.text,
    default=SCRIPTS,
    variable="HEADGATE_LOADTESTER_SCRIPTS",
    help="the only folder whose files a program may read, such as scripts of wrk and k6",
)
TOKEN: Final = Setting(
    name="token",
    parse=parsers.text,
    default="",
    variable="HEADGATE_LOADTESTER_TOKEN",
    help="what a hook has to bring, as bearer token or as password of its URL; empty: nothing",
)
OWN_NAMESPACE: Final = Setting(
    name="namespace",
    parse=parsers.text,
    default="",
    variable="POD_NAMESPACE",
    help="namespace that the process runs in, the only one whose canaries it serves",
)
PATH: Final = Setting(
    name="path",
    parse=parsers.text,
    default=os.defpath,
    variable="PATH",
    help="where programs are looked for",
)
TABLE: Final = (
    PORT,
    LOG_LEVEL,
    TTL,
    MAX_COMMANDS,
    MAX_PER_CANARY,
    OUTPUT_LIMIT,
    SCRIPTS_FOLDER,
    TOKEN,
    OWN_NAMESPACE,
    PATH,
)
"""Everything that the process reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the manifest configures.

    `namespace` is the one whose canaries are served. `ttl` is how long a command may run, as
    Flagger's `-timeout`. `max_commands` run at the same time, `max_per_canary` of them from one
    address for one canary. A program reads files of the folder `scripts` only. Where there is a
    `token`, every hook has to bring it. `output_limit` is how many bytes of a command's output are
    kept, the last ones. `kill_after` is how long a command has to end by itself once it was asked
    to. `path` is where programs are looked for, in the form of PATH.
    """

    namespace: str
    port: int = PORT.default
    log_level: str = LOG_LEVEL.default
    ttl: timedelta = TTL.default
    max_commands: int = MAX_COMMANDS.default
    max_per_canary: int = MAX_PER_CANARY.default
    output_limit: int = OUTPUT_LIMIT.default
    kill_after: timedelta = timedelta(seconds=3)
    scripts: str = SCRIPTS_FOLDER.default
    token: str = field(default=TOKEN.default, repr=False)
    path: str = PATH.default


def read_settings(variables: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: values cannot be read; the message names every such variable, its value
            and how to mend it.

    """
    problems = Problems()
    get = environment(variables, problems).value
    settings = Settings(
        namespace=get(OWN_NAMESPACE),
        port=get(PORT),
        log_level=get(LOG_LEVEL),
        ttl=get(TTL),
        max_commands=get(MAX_COMMANDS),
        max_per_canary=get(MAX_PER_CANARY),
        output_limit=get(OUTPUT_LIMIT),
        scripts=get(SCRIPTS_FOLDER),
        token=get(TOKEN),
        path=get(PATH),
    )
    if not settings.namespace:
        problems.found.append(
            f"{OWN_NAMESPACE.variable}: the namespace of the pod is not given; take it from the "
            "field metadata.namespace, as manifests/loadtester/deployment.yaml does"
        )
    try:
        problems.check()
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    return settings
