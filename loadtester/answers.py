"""What a hook is answered, and what `GET /` shows."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from loadtester.commands import PROGRAMS, CommandError
from loadtester.gates import Gates
from loadtester.job_templates import OrderError, TemplateError
from loadtester.jobs import JobEnd, JobOutcome, JobRunner, NoJobs
from loadtester.payload import PayloadError, StrangerError
from loadtester.runner import (
    CommandRunner,
    End,
    MissingProgram,
    Outcome,
    RunnerError,
    TooManyCommands,
)
from loadtester.settings import Settings

_STATUS: Final[Mapping[type[Exception], HTTPStatus]] = {
    PayloadError: HTTPStatus.BAD_REQUEST,
    CommandError: HTTPStatus.BAD_REQUEST,
    OrderError: HTTPStatus.BAD_REQUEST,
    StrangerError: HTTPStatus.FORBIDDEN,
    TooManyCommands: HTTPStatus.TOO_MANY_REQUESTS,
    TemplateError: HTTPStatus.INTERNAL_SERVER_ERROR,
    MissingProgram: HTTPStatus.NOT_IMPLEMENTED,
    NoJobs: HTTPStatus.NOT_IMPLEMENTED,
}
"""What an error is answered with; any other of a runner is its own state."""
FAULTS: Final = (
    PayloadError,
    CommandError,
    OrderError,
    StrangerError,
    TemplateError,
    NoJobs,
    RunnerError,
)
"""What a hook is told, whoever's fault it is."""


def of_fault(error: Exception) -> web.Response:
    """Answer one of `FAULTS`."""
    return say(_STATUS.get(type(error), HTTPStatus.SERVICE_UNAVAILABLE), str(error))


def of_command(outcome: Outcome) -> web.Response:
    """Answer that a command has ended."""
    match outcome.end:
        case End.SUCCEEDED:
            return web.Response(text=outcome.output)
        case End.STOPPED:
            text = f"{outcome.command.program} was ended: the load tester stops"
            return say(HTTPStatus.SERVICE_UNAVAILABLE, text)
        case End.TIMED_OUT | End.FAILED:
            text = f"{outcome.command.program} {_failure(outcome)}"
            return say(HTTPStatus.INTERNAL_SERVER_ERROR, text)


def _failure(outcome: Outcome) -> str:
    if outcome.end is End.TIMED_OUT:
        return f"was ended, it ran for {outcome.seconds:.0f}s: {outcome.output}"
    if outcome.code is None:
        return f"did not start: {outcome.output}"
    return f"ended with code {outcome.code}: {outcome.output}"


def of_job(outcome: JobOutcome | str, namespace: str) -> web.Response:
    """Answer how a Job ended, or, by its name, that it runs."""
    if isinstance(outcome, str):
        return say(HTTPStatus.ACCEPTED, f"the Job {outcome} runs")
    job = f"the Job {outcome.name}"
    match outcome.end:
        case JobEnd.SUCCEEDED:
            return say(HTTPStatus.OK, f"{job} succeeded")
        case JobEnd.FAILED:
            log = f"kubectl -n {namespace} logs job/{outcome.name}"
            text = f"{job} failed: {outcome.message}; its output: {log}"
            return say(HTTPStatus.INTERNAL_SERVER_ERROR, text)
        case JobEnd.NOT_MADE:
            return say(HTTPStatus.BAD_GATEWAY, f"{job} could not be made: {outcome.message}")
        case JobEnd.NOT_SEEN:
            text = f"{job} was made, and how it ended is not known: {outcome.message}"
            return say(HTTPStatus.BAD_GATEWAY, text)
        case JobEnd.STOPPED:
            text = f"{job} may go on; the load tester stops and waits for it no longer"
            return say(HTTPStatus.SERVICE_UNAVAILABLE, text)


def say(status: HTTPStatus, text: str) -> web.Response:
    """Answer one line."""
    return web.Response(status=status, text=f"{text}\n")


def overview(
    runner: CommandRunner, gates: Gates, jobs: JobRunner, settings: Settings
) -> dict[str, Any]:
    """Return what `GET /` shows."""
    return {
        "programs": PROGRAMS,
        "maxCommands": settings.max_commands,
        "maxPerCanary": settings.max_per_canary,
        "running": [
            {
                "canary": running.command.canary,
                "command": running.command.shown,
                "seconds": round(running.seconds, 3),
            }
            for running in runner.running
        ],
        "ended": [
            {
                "canary": outcome.command.canary,
                "command": outcome.command.shown,
                "seconds": outcome.seconds,
                "end": str(outcome.end),
                "code": outcome.code,
            }
            for outcome in runner.ended
        ],
        "gates": {"open": gates.open, "inDoubt": gates.why_in_doubt},
        "jobs": [
            {"job": name, "canary": order.canary, "seconds": round(seconds, 3)}
            for name, order, seconds in jobs.running
        ],
    }
