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
STATE_FOLDER: Final = Setting(
    name="state",
    parse=parsers.text,
    default="/state",
    variable="HEADGATE_LOADTESTER_STATE",
    help="the folder in which gates are kept over a restart; empty: in memory alone",
)
JOBS_FOLDER: Final = Setting(
    name="jobs",
    parse=parsers.text,
    default="",
    variable="HEADGATE_LOADTESTER_JOBS",
    help="the folder of the templates that Jobs are made from; empty: none are made",
)
MAX_JOBS: Final = Setting(
    name="max_jobs",
    parse=parsers.whole(1, such_as="5"),
    default=5,
    variable="HEADGATE_LOADTESTER_MAX_JOBS",
    help="how many Jobs run at the same time",
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
POD_NAME: Final = Setting(
    name="pod_name",
    parse=parsers.text,
    default="",
    variable="POD_NAME",
    help="the pod that the process runs in, the owner of its Jobs",
)
POD_UID: Final = Setting(
    name="pod_uid",
    parse=parsers.text,
    default="",
    variable="POD_UID",
    help="its uid; without it Jobs have no owner",
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
    STATE_FOLDER,
    JOBS_FOLDER,
    MAX_JOBS,
    TOKEN,
    OWN_NAMESPACE,
    POD_NAME,
    POD_UID,
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
    Gates are kept in the folder `state`. Templates of Jobs lie in the folder `jobs`, "" where none
    are made. `max_jobs` run at the same time, each for `ttl` at most; one is looked at every
    `job_pace`, and for `job_grace` longer, as its controller takes a while to say that it has
    ended. It goes with the pod `pod_name` of the uid `pod_uid`.
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
    state: str = STATE_FOLDER.default
    jobs: str = JOBS_FOLDER.default
    max_jobs: int = MAX_JOBS.default
    job_pace: timedelta = timedelta(seconds=1)
    job_grace: timedelta = timedelta(seconds=60)
    pod_name: str = POD_NAME.default
    pod_uid: str = POD_UID.default
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
        state=get(STATE_FOLDER),
        jobs=get(JOBS_FOLDER),
        max_jobs=get(MAX_JOBS),
        pod_name=get(POD_NAME),
        pod_uid=get(POD_UID),
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
