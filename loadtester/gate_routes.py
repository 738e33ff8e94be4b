"""The gates' API, as Flagger's load tester has it.

`POST /gate/check` answers 200 where the gate of the payload's Canary is open and 403 where it is
shut; `/gate/open` and `/gate/close` move it, and answer 202 once that is stored. `/rollback/...` is
a second gate of each Canary. `/gate/approve` is always open and `/gate/halt` always shut.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web

from loadtester.gates import Gates, GatesError, Kind, Position, TooManyGates
from loadtester.payload import MAX_BODY, Payload, PayloadError, StrangerError, read_payload
from loadtester.settings import Settings

Handler = Callable[[web.Request], Awaitable[web.Response]]
APPROVED: Final = "Approved"
FORBIDDEN: Final = "Forbidden"
"""What Flagger's answers begin with."""
_STATUS: Final[Mapping[type[Exception], HTTPStatus]] = {
    PayloadError: HTTPStatus.BAD_REQUEST,
    StrangerError: HTTPStatus.FORBIDDEN,
    TooManyGates: HTTPStatus.INSUFFICIENT_STORAGE,
    GatesError: HTTPStatus.SERVICE_UNAVAILABLE,
}

log = structlog.get_logger("loadtester")


def routes(gates: Gates, settings: Settings) -> dict[str, Handler]:
    """Return what answers a POST, by path."""
    api = _Api(gates, settings)
    found = {
        "/gate/approve": api.answering(_approve),
        "/gate/halt": api.answering(_halt),
    }
    for kind in Kind:
        found |= {
            f"/{kind}/check": api.answering(api.check(kind)),
            f"/{kind}/open": api.answering(api.move(kind, is_open=True)),
            f"/{kind}/close": api.answering(api.move(kind, is_open=False)),
        }
    return found


_Step = Callable[[Payload, str], Awaitable[web.Response]]


async def _approve(_payload: Payload, _caller: str) -> web.Response:
    return _say(HTTPStatus.OK, APPROVED)


async def _halt(_payload: Payload, _caller: str) -> web.Response:
    return _say(HTTPStatus.FORBIDDEN, f"{FORBIDDEN}: this gate is always shut")


class _Api:
    def __init__(self, gates: Gates, settings: Settings) -> None:
        self._gates = gates
        self._namespace = settings.namespace

    def answering(self, step: _Step) -> Handler:
        async def answer(request: web.Request) -> web.Response:
            body = await request.clone(client_max_size=MAX_BODY).read()
            try:
                payload = read_payload(body)
                payload.check_namespace(self._namespace)
                payload.check_name()
                return await step(payload, request.remote or "")
            except (PayloadError, StrangerError, GatesError) as error:
                return _say(_STATUS[type(error)], str(error))

        return answer

    def check(self, kind: Kind) -> _Step:
        async def step(payload: Payload, _caller: str) -> web.Response:
            canary = payload.canary
            match self._gates.position(kind, canary):
                case Position.OPEN:
                    return _say(HTTPStatus.OK, APPROVED)
                case Position.SHUT:
                    text = f"{FORBIDDEN}: {canary} has its {kind} shut; POST /{kind}/open opens it"
                    return _say(HTTPStatus.FORBIDDEN, text)
                case Position.IN_DOUBT:
                    return _say(
                        HTTPStatus.SERVICE_UNAVAILABLE,
                        f"nobody knows whether {canary} has its {kind} open: "
                        f"{self._gates.why_in_doubt}; say it anew, POST /{kind}/open or "
                        f"/{kind}/close",
                    )

        return step

    def move(self, kind: Kind, *, is_open: bool) -> _Step:
        async def step(payload: Payload, caller: str) -> web.Response:
            await self._gates.move(kind, payload.canary, is_open=is_open)
            log.info(
                "gate_moved", gate=str(kind), canary=payload.canary, open=is_open, caller=caller
            )
            word = "open" if is_open else "shut"
            return _say(HTTPStatus.ACCEPTED, f"{payload.canary} has its {kind} {word}")

        return step


def _say(status: HTTPStatus, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n")
