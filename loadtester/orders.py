"""What a hook's payload asks for: a command, or a Job from a template."""

from dataclasses import dataclass
from typing import Final

from loadtester import job_templates
from loadtester.commands import Command, CommandError, parse_command
from loadtester.job_templates import JobOrder
from loadtester.payload import Payload
from loadtester.settings import Settings

START: Final = "cmd"
WAIT: Final = "bash"
JOB: Final = "job"
_QUOTED: Final = 60
"""Characters of a payload that a message quotes."""


@dataclass(frozen=True, slots=True)
class CommandOrder:
    """A command to run; `wait` is whether the answer comes at its end."""

    command: Command
    wait: bool


@dataclass(frozen=True, slots=True)
class WaitedJob:
    """A Job to make; `wait` is whether the answer comes at its end."""

    order: JobOrder
    wait: bool


def read_hook(payload: Payload, caller: str, settings: Settings) -> CommandOrder | WaitedJob:
    """Read what is asked for.

    Args:
        payload: as it came.
        caller: the address that it came from.
        settings: the load tester's settings.

    Raises:
        CommandError, OrderError, PayloadError: it cannot be followed.
        StrangerError: it is another namespace's.

    """
    if not payload.metadata:
        raise CommandError("the payload has no metadata; give the hook a metadata.cmd")
    kind = payload.metadata.get("type", START)
    if kind == JOB:
        return _job(payload, caller, settings)
    if kind not in (START, WAIT):
        shown = repr(kind if isinstance(kind, str) else type(kind).__name__)[:_QUOTED]
        raise CommandError(f"metadata.type {shown} is not known; it is {START}, {WAIT} or {JOB}")
    text = payload.text("cmd")
    if text is None:
        raise CommandError("the payload has no metadata.cmd, the command to run")
    payload.check_namespace(settings.namespace)
    command = parse_command(
        payload.canary,
        text,
        caller=caller,
        log_output=payload.says("logCmdOutput", otherwise=False),
        scripts=settings.scripts,
    )
    return CommandOrder(command, kind == WAIT)


def _job(payload: Payload, caller: str, settings: Settings) -> WaitedJob:
    payload.check_namespace(settings.namespace)
    payload.check_name()
    order = job_templates.read_order(payload, caller)
    return WaitedJob(order, payload.says("wait", otherwise=True))
