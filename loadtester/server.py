"""The load tester's API, as Flagger's load tester has it.

`POST /` takes a hook's payload. With `metadata.type: cmd`, which is the default, the command is
started and the answer is 202, also if it runs already. With `bash` the answer comes when the
command has ended: 200 or 500, with its output. The name is Flagger's; no shell is involved.
"""

import base64
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry

from loadtester.commands import PROGRAMS, Command, CommandError, parse_command
from loadtester.runner import (
    CommandRunner,
    End,
    MissingProgram,
    Outcome,
    RunnerError,
    TooManyCommands,
)
from loadtester.settings import Settings
from runtime.probes import Checks, application

MAX_BODY: Final = 64 * 1024
"""Bytes of a payload: a hook's metadata are a few short strings."""
START: Final = "cmd"
WAIT: Final = "bash"
_UNKNOWN: Final = (
    "this load tester takes hooks with its token only: let the hook's url be "
    "http://headgate:<token>@<its name>/"
)


class StrangerError(Exception):
    """The hook is another namespace's; the message is the answer to it."""


_STATUS: Final[Mapping[type[Exception], HTTPStatus]] = {
    CommandError: HTTPStatus.BAD_REQUEST,
    StrangerError: HTTPStatus.FORBIDDEN,
    TooManyCommands: HTTPStatus.TOO_MANY_REQUESTS,
    MissingProgram: HTTPStatus.NOT_IMPLEMENTED,
}
"""What an error is answered with; any other of a runner is its own state."""
_Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class _Order:
    """What a payload asks for; `wait` is whether the answer comes at the command's end."""

    command: Command
    wait: bool


def create_app(
    runner: CommandRunner, settings: Settings, registry: CollectorRegistry
) -> web.Application:
    """Return the application.

    Args:
        runner: runs the commands.
        settings: the load tester's settings.
        registry: metrics of /metrics.

    """

    async def take(request: web.Request) -> web.Response:
        body = await request.clone(client_max_size=MAX_BODY).read()
        try:
            return await _obey(_read_order(body, request.remote or "", settings), runner)
        except (CommandError, StrangerError, RunnerError) as error:
            return _say(_STATUS.get(type(error), HTTPStatus.SERVICE_UNAVAILABLE), str(error))

    async def show(_request: web.Request) -> web.Response:
        return web.json_response(_overview(runner, settings))

    ready = Checks(accepting=lambda: runner.accepting)
    app = application(ready=ready, registry=registry)
    app.router.add_post("/", _guarded(take, settings.token))
    app.router.add_get("/", _guarded(show, settings.token))
    return app


def _guarded(handler: _Handler, token: str) -> _Handler:
    async def answer(request: web.Request) -> web.Response:
        if _is_known(request, token):
            return await handler(request)
        return _say(HTTPStatus.UNAUTHORIZED, _UNKNOWN)

    return answer


def _is_known(request: web.Request, token: str) -> bool:
    """Tell whether a request brings the token, as bearer token or as the password of its URL."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        with suppress(ValueError):
            given = base64.b64decode(given).decode("utf-8", "replace").partition(":")[2]
    return not token or hmac.compare_digest(given.strip().encode(), token.encode())


def _read_order(body: bytes, caller: str, settings: Settings) -> _Order:
    try:
        payload = json.loads(body)
    except ValueError as error:
        raise CommandError(f"the payload is no JSON: {error}") from error
    metadata = payload.get("metadata") if isinstance(payload, dict) else None
    if not isinstance(metadata, dict) or not metadata:
        raise CommandError("the payload has no metadata; give the hook a metadata.cmd")
    kind = metadata.get("type", START)
    if kind not in {START, WAIT}:
        raise CommandError(f"metadata.type {kind!r} is not known; it is {START} or {WAIT}")
    text = metadata.get("cmd")
    if not isinstance(text, str):
        raise CommandError("the payload has no metadata.cmd, the command to run")
    namespace = payload.get("namespace")
    if namespace != settings.namespace:
        raise StrangerError(
            f"this load tester serves canaries of the namespace {settings.namespace}; install one "
            "in the canary's own namespace and let the hook name that"
        )
    canary = f"{payload.get('name', '')}.{namespace}"
    log_output = str(metadata.get("logCmdOutput", "")).lower() == "true"
    command = parse_command(
        canary, text, caller=caller, log_output=log_output, scripts=settings.scripts
    )
    return _Order(command, kind == WAIT)


async def _obey(order: _Order, runner: CommandRunner) -> web.Response:
    command = order.command
    if order.wait:
        return _tell(await runner.start_and_wait(command))
    if runner.is_running(command):
        return _say(HTTPStatus.ACCEPTED, f"runs already: {command.shown}")
    runner.start(command)
    return _say(HTTPStatus.ACCEPTED, f"started: {command.shown}")


def _tell(outcome: Outcome) -> web.Response:
    match outcome.end:
        case End.SUCCEEDED:
            return web.Response(text=outcome.output)
        case End.STOPPED:
            text = f"{outcome.command.program} was ended: the load tester stops"
            return _say(HTTPStatus.SERVICE_UNAVAILABLE, text)
        case End.TIMED_OUT | End.FAILED:
            text = f"{outcome.command.program} {_failure(outcome)}"
            return _say(HTTPStatus.INTERNAL_SERVER_ERROR, text)


def _failure(outcome: Outcome) -> str:
    if outcome.end is End.TIMED_OUT:
        return f"was ended, it ran for {outcome.seconds:.0f}s: {outcome.output}"
    if outcome.code is None:
        return f"did not start: {outcome.output}"
    return f"ended with code {outcome.code}: {outcome.output}"


def _say(status: HTTPStatus, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n")


def _overview(runner: CommandRunner, settings: Settings) -> dict[str, Any]:
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
    }
