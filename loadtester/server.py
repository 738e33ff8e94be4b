"""The load tester's API, as Flagger's load tester has it.

`POST /` takes a hook's payload. With `metadata.type: cmd`, which is the default, the command is
started and the answer is 202, also if it runs already. With `bash` the answer comes when the
command has ended: 200 or 500, with its output. The name is Flagger's; no shell is involved. With
`job` a Job is made from an admin's template, and the answer comes at its end, unless `wait` is
"false". Gates are in `loadtester/gate_routes.py`.
"""

import base64
import hmac
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry

from loadtester import answers, gate_routes
from loadtester.gates import Gates
from loadtester.jobs import JobRunner
from loadtester.orders import CommandOrder, WaitedJob, read_hook
from loadtester.payload import MAX_BODY, read_payload
from loadtester.runner import CommandRunner
from loadtester.settings import Settings
from runtime.probes import Checks, application

_UNKNOWN: Final = (
    "this load tester takes hooks with its token only: let the hook's url be "
    "http://headgate:<token>@<its name>/"
)
_Handler = Callable[[web.Request], Awaitable[web.Response]]


def create_app(
    runner: CommandRunner,
    settings: Settings,
    registry: CollectorRegistry,
    *,
    gates: Gates,
    jobs: JobRunner,
) -> web.Application:
    """Return the application.

    Args:
        runner: runs the commands.
        settings: the load tester's settings.
        registry: metrics of /metrics.
        gates: what was said of gates.
        jobs: makes Jobs.

    """

    async def take(request: web.Request) -> web.Response:
        body = await request.clone(client_max_size=MAX_BODY).read()
        try:
            order = read_hook(read_payload(body), request.remote or "", settings)
            if isinstance(order, WaitedJob):
                return await _make(order, jobs, settings)
            return await _obey(order, runner)
        except answers.FAULTS as error:
            return answers.of_fault(error)

    async def show(_request: web.Request) -> web.Response:
        return web.json_response(answers.overview(runner, gates, jobs, settings))

    ready = Checks(accepting=lambda: runner.accepting, jobs=lambda: jobs.accepting)
    app = application(ready=ready, registry=registry)
    app.router.add_post("/", _guarded(take, settings.token))
    app.router.add_get("/", _guarded(show, settings.token))
    for path, handler in gate_routes.routes(gates, settings).items():
        app.router.add_post(path, _guarded(handler, settings.token))
    return app


def _guarded(handler: _Handler, token: str) -> _Handler:
    async def answer(request: web.Request) -> web.Response:
        if _is_known(request, token):
            return await handler(request)
        return answers.say(HTTPStatus.UNAUTHORIZED, _UNKNOWN)

    return answer


def _is_known(request: web.Request, token: str) -> bool:
    """Tell whether a request brings the token, as bearer token or as the password of its URL."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        with suppress(ValueError):
            given = base64.b64decode(given).decode("utf-8", "replace").partition(":")[2]
    return not token or hmac.compare_digest(given.strip().encode(), token.encode())


async def _obey(order: CommandOrder, runner: CommandRunner) -> web.Response:
    command = order.command
    if order.wait:
        return answers.of_command(await runner.start_and_wait(command))
    if runner.is_running(command):
        return answers.say(HTTPStatus.ACCEPTED, f"runs already: {command.shown}")
    runner.start(command)
    return answers.say(HTTPStatus.ACCEPTED, f"started: {command.shown}")


async def _make(waited: WaitedJob, jobs: JobRunner, settings: Settings) -> web.Response:
    made = jobs.start_and_wait if waited.wait else jobs.start
    return answers.of_job(await made(waited.order), settings.namespace)
