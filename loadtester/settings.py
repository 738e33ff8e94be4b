"""The load tester's settings: read once from the environment, frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from canary.spec import parsers
from canary.spec.problems import Problems
from canary.spec.sources import Setting, environment
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
OUTPUT_LIMIT: Final = Setting(
    name="output_limit",
    parse=parsers.whole(1, such_as="16384"),
    default=16 * 1024,
    variable="HEADGATE_LOADTESTER_OUTPUT_LIMIT",
    help="bytes of a command's output that are kept, the last ones",
)
PATH: Final = Setting(
    name="path",
    parse=parsers.text,
    default=os.defpath,
    variable="PATH",
    help="where programs are looked for",
)
TABLE: Final = (PORT, LOG_LEVEL, TTL, MAX_COMMANDS, OUTPUT_LIMIT, PATH)
"""Everything that the process reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the manifest configures.

    `ttl` is how long a command may run, as Flagger's `-timeout`. `max_commands` run at the same
    time. `output_limit` is how many bytes of a command's output are kept, the last ones.
    `kill_after` is how long a command has to end by itself once it was asked to. `path` is where
    programs are looked for, in the form of PATH.
    """

    port: int = PORT.default
    log_level: str = LOG_LEVEL.default
    ttl: timedelta = TTL.default
    max_commands: int = MAX_COMMANDS.default
    output_limit: int = OUTPUT_LIMIT.default
    kill_after: timedelta = timedelta(seconds=3)
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
        port=get(PORT),
        log_level=get(LOG_LEVEL),
        ttl=get(TTL),
        max_commands=get(MAX_COMMANDS),
        output_limit=get(OUTPUT_LIMIT),
        path=get(PATH),
    )
    try:
        problems.check()
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    return settings
