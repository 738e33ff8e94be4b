"""The contract of the `AlertService` port, over all services, against a server that listens."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from analyzer.adapters import services
from analyzer.addresses import EVERYWHERE, Guard
from analyzer.ports import AlertError, AlertService
from analyzer.posting import Poster
from canary.model.announcement import Announcement, Room, Severity
from tests.fakes.listening import TestServer
from tests.fakes.receiver import silent

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "T0123/B4567/very-secret"  # noqa: S105 - of nobody
SAID = Announcement(
    subject="web.prod",
    reason="Refused",
    message="Rolling back web.prod",
    severity=Severity.ERROR,
    fields=(("errors", "failed: 7.5, bound 1"),),
)
TYPES = tuple(services(Poster(EVERYWHERE)))


@dataclass
class Answer:
    status: int = 200
    text: str = "ok"
    headers: dict[str, str] = field(default_factory=dict)
    endless: bool = False


@dataclass
class Chat:
    """Answers as it is told, and keeps what it was sent."""

    answers: deque[Answer] = field(default_factory=deque)
    bodies: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    sent: int = 0

    async def receive(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        self.paths.append(request.raw_path)
        self.tokens.append(request.headers.get("Authorization"))
        answer = self.answers.popleft() if self.answers else Answer()
        if not answer.endless:
            return web.Response(status=answer.status, text=answer.text, headers=answer.headers)
        response = web.StreamResponse(status=answer.status)
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)
            self.sent += 65536


@dataclass
class World:
    chat: Chat
    room: Room
    service: AlertService

    async def fails(self) -> AlertError:
        with pytest.raises(AlertError) as found:
            await self.service.say(self.room, SAID)
        for secret in (*SECRET.split("/"), "user", "pass"):
            assert secret not in repr(found.value) + repr(found.value.__cause__)
        return found.value


@asynccontextmanager
async def world_of(kind: str, poster: Poster) -> AsyncIterator[World]:
    chat, application = Chat(), web.Application()
    application.router.add_route("*", "/{path:.*}", chat.receive)
    server = TestServer(application)
    await server.start_server()
    try:
        room = Room(type=kind, address=str(server.make_url(f"/hook/{SECRET}")), username="headgate")
        yield World(chat, room, services(poster)[kind])
    finally:
        await server.close()


@pytest.fixture(params=TYPES)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    poster = Poster(EVERYWHERE, answer=timedelta(seconds=5), clock=lambda: NOW)
    async with world_of(request.param, poster) as world:
        yield world


def test_there_is_a_service_for_each_type_that_an_alert_provider_may_have() -> None:
    assert set(TYPES) == {"slack", "msteams", "discord", "rocket", "gchat"}


async def test_says_it_once(world: World) -> None:
    await world.service.say(world.room, SAID)
    (body,) = world.chat.bodies
    assert SAID.message in repr(body)
    assert "7.5" in repr(body)
    assert world.chat.paths[0].startswith(f"/hook/{SECRET}")
    assert world.chat.tokens == [None]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_every_success_is_one(world: World, status: int) -> None:
    world.chat.answers.append(Answer(status, text=""))
    await world.service.say(world.room, SAID)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
async def test_a_refusal_is_not_tried_again(world: World, status: int) -> None:
    world.chat.answers.append(Answer(status, text=f"no such hook {SECRET}"))
    error = await world.fails()
    assert (str(error), error.again) == (f"answered {status}", False)


async def test_a_reason_that_is_a_plain_word_is_passed_on(world: World) -> None:
    world.chat.answers.append(Answer(404, text="channel_not_found"))
    assert str(await world.fails()) == "answered 404: channel_not_found"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_fault_of_the_service_may_be_tried_again(world: World, status: int) -> None:
    world.chat.answers.append(Answer(status))
    error = await world.fails()
    assert (error.again, error.after) == (True, None)


@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("-3", 0.0),
        ("soon", None),
        ("nan", None),
    ],
)
async def test_who_is_too_fast_hears_how_long_to_wait(
    world: World, header: str, after: float | None
) -> None:
    world.chat.answers.append(Answer(429, headers={"Retry-After": header}))
    error = await world.fails()
    assert (error.again, error.after) == (True, after)


async def test_a_service_that_hangs_is_given_up(world: World) -> None:
    async with silent() as hung:
        world.room = replace(world.room, address=f"{hung.url}{SECRET}")
        name = world.room.type
        world.service = services(Poster(EVERYWHERE, answer=timedelta(seconds=0.2)))[name]
        error = await world.fails()
        assert (str(error), error.again) == ("no answer within 0s", True)
        await hung.until(lambda it: it.ended == 1)


@pytest.mark.parametrize("status", [200, 404])
async def test_of_an_answer_without_an_end_little_is_read(world: World, status: int) -> None:
    world.chat.answers.append(Answer(status, endless=True))
    async with asyncio.timeout(5):
        if status == 200:
            await world.service.say(world.room, SAID)
        else:
            assert str(await world.fails()) == "answered 404"


@pytest.mark.parametrize(
    ("status", "location"),
    [
        (302, f"/other/{SECRET}"),
        (307, f"http://other.invalid/{SECRET}"),
        (308, "//user:pass@other.invalid/"),
    ],
)
async def test_no_redirect_to_elsewhere_is_followed(
    world: World, status: int, location: str
) -> None:
    world.chat.answers.append(Answer(status, headers={"Location": location}))
    error = await world.fails()
    assert str(error) == "it answered with a redirect, which is not followed"
    assert not error.again
    assert len(world.chat.bodies) == 1


async def test_that_nobody_listens_may_be_tried_again(world: World) -> None:
    address = f"http://user:pass@127.0.0.1:{unused_port()}/{SECRET}"
    world.room = replace(world.room, address=address)
    error = await world.fails()
    assert (str(error), error.again) == ("no connection: Connection refused", True)


@pytest.mark.parametrize(
    "address", [f"hooks/{SECRET}", f"ftp://x/{SECRET}", f"http://[::1/{SECRET}"]
)
async def test_what_is_no_url_is_said_and_not_shown(world: World, address: str) -> None:
    world.room = replace(world.room, address=address)
    error = await world.fails()
    assert str(error) == "not a URL that can be called; it begins with http://"
    assert not error.again


async def test_an_address_that_teams_may_not_name_is_not_asked(world: World) -> None:
    world.service = services(Poster(Guard()))[world.room.type]
    error = await world.fails()
    assert "is the analyzer's own (loopback)" in str(error)
    assert world.chat.bodies == []


async def test_a_proxy_is_what_is_connected_to(world: World) -> None:
    proxied = replace(world.room, address=f"http://chat.invalid/{SECRET}", proxy=world.room.address)
    await world.service.say(proxied, SAID)
    assert world.chat.paths[0].startswith(f"http://chat.invalid/{SECRET}")
    world.service = services(Poster(Guard()))[world.room.type]
    world.room = proxied
    assert "is the analyzer's own (loopback)" in str(await world.fails())
    assert len(world.chat.bodies) == 1


async def test_a_proxy_that_is_away_is_not_gone_around(world: World) -> None:
    proxy = f"http://user:pass@127.0.0.1:{unused_port()}"
    world.room = replace(world.room, proxy=proxy)
    error = await world.fails()
    assert error.again
    assert world.chat.bodies == []


async def test_slack_s_api_says_no_with_a_success() -> None:
    poster = Poster(EVERYWHERE)
    async with world_of("slack", poster) as world:
        world.room = replace(world.room, token="xoxb-secret")  # noqa: S106 - of nobody
        world.chat.answers += [
            Answer(text='{"ok": false, "error": "channel_not_found"}'),
            Answer(text='{"ok":true,"channel":"C1","message":{"text":"\\"ok\\":false"}}'),
        ]
        error = await world.fails()
        assert (str(error), error.again) == ("it was refused: channel_not_found", False)
        assert "xoxb" not in repr(error)
        await world.service.say(world.room, SAID)
        assert world.chat.tokens == ["Bearer xoxb-secret"] * 2


async def test_a_token_that_no_header_can_have_is_said_and_not_shown() -> None:
    async with world_of("slack", Poster(EVERYWHERE)) as world:
        world.room = replace(world.room, token="xoxb\nsecret")  # noqa: S106 - of nobody
        error = await world.fails()
        assert not error.again
        assert "xoxb" not in repr(error)


async def test_a_cancelled_message_ends_its_connection() -> None:
    async with world_of("slack", Poster(EVERYWHERE)) as world, silent() as hung:
        room = replace(world.room, address=hung.url)
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(world.service.say(room, SAID))
            await hung.until(lambda it: it.open == 1)
            sending.cancel()
        assert sending.cancelled()
        await hung.until(lambda it: it.ended == 1)
