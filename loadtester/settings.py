"""The load tester's settings: read once from the environment, frozen."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from canary.durations import parse_duration
from runtime.errors import ConfigurationError

PREFIX = "HEADGATE_LOADTESTER_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the manifest configures.

    `ttl` is how long a command may run, as Flagger's `-timeout`. `max_commands` run at the same
    time. `output_limit` is how many bytes of a command's output are kept, the last ones.
    `kill_after` is how long a command has to end by itself once it was asked to. `path` is where
    programs are looked for, in the form of PATH.
    """

    port: int = 8080
    log_level: str = "info"
    ttl: timedelta = timedelta(hours=1)
    max_commands: int = 20
    output_limit: int = 16 * 1024
    kill_after: timedelta = timedelta(seconds=3)
    path: str = os.defpath


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: a value cannot be read; the message names the variable.

    """
    get = environment.get
    return Settings(
        port=_count(environment, "HEADGATE_PORT", 8080),
        log_level=get("HEADGATE_LOG_LEVEL", "info"),
        ttl=_duration(environment, f"{PREFIX}TTL", "1h"),
        max_commands=_count(environment, f"{PREFIX}MAX_COMMANDS", 20),
        output_limit=_count(environment, f"{PREFIX}OUTPUT_LIMIT", 16 * 1024),
        path=get("PATH", os.defpath),
    )


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise ConfigurationError(f"{name} must be a number of at least 1, not {text!r}")
    return int(text)


def _duration(environment: Mapping[str, str], name: str, default: str) -> timedelta:
    try:
        return parse_duration(environment.get(name, default))
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}") from error
