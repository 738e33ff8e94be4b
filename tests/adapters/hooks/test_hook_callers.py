"""The contract of a HookCaller, for the real one and the fake, and what only the real one meets."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import unused_port

from analyzer.addresses import EVERYWHERE
from analyzer.hooks.http import HttpHookCaller
from analyzer.ports import HookCaller
from canary.model.strategy import Hook, HookType
from tests.fakes.hook_caller import FakeHookCaller
from tests.fakes.listening import TestServer

PAYLOAD = {"name": "web", "namespace": "prod", "phase": "Progressing", "checksum": "abc"}
HOOK = Hook(
    name="load-test",
    type=HookType.ROLLOUT,
    url="http://loadtester.prod/",
    metadata={"cmd": "hey http://web-canary.prod"},
)


@dataclass(frozen=True)
class Answer:
    """What the other side says, if anything."""

    status: int = 200
    text: str = ""
    location: str = ""
    silent: bool = False


@dataclass
class Receiver:
    """The other side of a hook: answers in order, the last answer again and again."""

    answers: deque[Answer] = field(default_factory=deque)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{path:.*}", self.receive)
        return app

    async def receive(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if answer.silent:
            await asyncio.Event().wait()
        headers = {"Location": answer.location} if answer.location else {}
        return web.Response(status=answer.status, text=answer.text, headers=headers)


class World:
    """A HookCaller and the other side of its calls."""

    def __init__(self, caller: HookCaller, hook: Hook, receiver: Receiver | None = None) -> None:
        self.caller = caller
        self.hook = hook
        self.receiver = receiver or Receiver()

    def answers(self, *statuses: int) -> None:
        if isinstance(self.caller, FakeHookCaller):
            self.caller.script(self.hook.name, *statuses)
        self.receiver.answers = deque(Answer(status) for status in statuses)

    def bodies(self) -> list[dict[str, Any]]:
        if isinstance(self.caller, FakeHookCaller):
            return [body for _, body in self.caller.calls]
        return self.receiver.bodies


@asynccontextmanager
async def real_world(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[World]:
    receiver = Receiver()
    server = TestServer(receiver.application(), scheme="https" if tls else "http")
    await server.start_server(ssl=tls)
    try:
        caller = HttpHookCaller(EVERYWHERE, first_delay=0.0)
        yield World(caller, replace(HOOK, url=str(server.make_url("/"))), receiver)
    finally:
        await server.close()


@pytest.fixture
async def real() -> AsyncIterator[World]:
    async with real_world() as world:
        yield world


@pytest.fixture(params=["real", "fake"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "fake":
        yield World(FakeHookCaller(), HOOK)
        return
    async with real_world() as world:
        yield world


# --- the contract -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_passes_up_to_202(world: World, status: int) -> None:
    world.answers(status)

    result = await world.caller.call(world.hook, PAYLOAD)

    assert (result.ok, result.message, result.hook) == (True, "", world.hook)


@pytest.mark.parametrize("status", [203, 204, 400, 403, 404, 500, 503])
async def test_fails_above_202_and_says_which_hook_and_status(world: World, status: int) -> None:
    world.answers(status)

    result = await world.caller.call(world.hook, PAYLOAD)

    assert not result.ok
    assert result.faulty is (status >= 500)
    assert result.message.startswith(f"hook load-test, POST {world.hook.url}: answered {status}")


async def test_adds_the_hooks_metadata(world: World) -> None:
    world.answers(200)

    await world.caller.call(world.hook, PAYLOAD)

    assert world.bodies() == [{**PAYLOAD, "metadata": {"cmd": "hey http://web-canary.prod"}}]


async def test_leaves_metadata_of_the_payload(world: World) -> None:
    world.answers(200)

    await world.caller.call(world.hook, {**PAYLOAD, "metadata": {"eventMessage": "held"}})

    assert world.bodies() == [{**PAYLOAD, "metadata": {"eventMessage": "held"}}]


async def test_repeats_a_fault_of_the_server_as_often_as_the_hook_says(world: World) -> None:
    world.answers(500, 503, 200)

    result = await world.caller.call(replace(world.hook, retries=2), PAYLOAD)

    assert result.ok
    assert len(world.bodies()) == 3


async def test_gives_up_after_the_retries(world: World) -> None:
    world.answers(500, 500, 200)

    result = await world.caller.call(replace(world.hook, retries=1), PAYLOAD)

    assert not result.ok
    assert len(world.bodies()) == 2


async def test_does_not_repeat_a_refusal(world: World) -> None:
    world.answers(403, 200)

    result = await world.caller.call(replace(world.hook, retries=3), PAYLOAD)

    assert not result.ok
    assert len(world.bodies()) == 1


# --- what only a network can do ---------------------------------------------------------------


async def test_quotes_the_beginning_of_the_answer(real: World) -> None:
    real.receiver.answers.append(Answer(500, "not\n ready: " + "x" * 5000))

    result = await real.caller.call(real.hook, PAYLOAD)

    said = result.message.partition("answered 500: ")[2]
    assert said == "not ready: " + "x" * 245 + "..."


async def test_says_how_often_it_tried(real: World) -> None:
    real.answers(500)

    result = await real.caller.call(replace(real.hook, retries=2), PAYLOAD)

    assert result.message.endswith("answered 500 Internal Server Error (after 3 tries)")


async def test_does_not_wait_longer_than_the_hook_says(real: World) -> None:
    real.receiver.answers.extend([Answer(silent=True), Answer()])
    hook = replace(real.hook, timeout=timedelta(milliseconds=100))

    result = await real.caller.call(hook, PAYLOAD)

    assert not result.ok
    assert ": no answer within " in result.message


async def test_each_try_has_the_hooks_time(real: World) -> None:
    real.receiver.answers.extend([Answer(silent=True), Answer()])
    hook = replace(real.hook, timeout=timedelta(seconds=1), retries=1)

    result = await real.caller.call(hook, PAYLOAD)

    assert result.ok
    assert len(real.receiver.bodies) == 2


async def test_cancellation_passes_through(real: World) -> None:
    real.receiver.answers.append(Answer(silent=True))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await real.caller.call(replace(real.hook, retries=5), PAYLOAD)


async def test_says_that_nobody_listens_and_keeps_secrets_of_the_url(real: World) -> None:
    url = f"http://user:pass@127.0.0.1:{unused_port()}/hook?token=secret#part"

    result = await real.caller.call(replace(real.hook, url=url), PAYLOAD)

    assert not result.ok
    assert "/hook: no connection: Connection refused" in result.message
    for secret in ("user", "pass", "token", "secret", "part"):
        assert secret not in result.message


async def test_says_that_the_other_side_speaks_no_tls(real: World) -> None:
    url = real.hook.url.replace("http:", "https:")

    result = await real.caller.call(replace(real.hook, url=url), PAYLOAD)

    assert ": no TLS connection: the other side speaks none" in result.message


async def test_says_that_a_name_does_not_resolve(real: World) -> None:
    result = await real.caller.call(replace(real.hook, url="http://nowhere.invalid/"), PAYLOAD)

    assert result.message.endswith(": the name nowhere.invalid does not resolve")


@pytest.mark.parametrize("url", ["", "loadtester/", "ftp://loadtester/", "http://", "http://[::1"])
async def test_says_that_a_url_is_none(real: World, url: str) -> None:
    result = await real.caller.call(replace(real.hook, url=url, retries=3), PAYLOAD)

    assert result.message.endswith(": not a URL that can be called; it begins with http://")


async def test_follows_a_redirect_that_keeps_the_call_on_the_same_host(real: World) -> None:
    real.receiver.answers.extend([Answer(307, location="/there"), Answer()])

    result = await real.caller.call(real.hook, PAYLOAD)

    assert result.ok
    assert len(real.receiver.bodies) == 2


@pytest.mark.parametrize(
    ("status", "location", "shown"),
    [
        (307, "http://other.invalid/?token=x", "http://other.invalid/"),
        (308, "//other.invalid/", "//other.invalid/"),
        (302, "/there", "/there"),
        (307, "http://[::1", "(unreadable URL)"),
        (307, "mailto:x@y", "mailto:x@y"),
    ],
)
async def test_follows_no_other_redirect(
    real: World, status: int, location: str, shown: str
) -> None:
    real.receiver.answers.append(Answer(status, location=location))

    result = await real.caller.call(real.hook, PAYLOAD)

    assert result.message.endswith(
        f": answered {status}, a redirect to {shown}, which is not followed: "
        "let the hook name the final URL"
    )


async def test_ends_a_circle_of_redirects(real: World) -> None:
    real.receiver.answers.append(Answer(307, location="/"))

    result = await real.caller.call(real.hook, PAYLOAD)

    assert result.message.endswith(": redirects more than 3 times")


async def test_trusts_a_certificate_only_where_told_to() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with real_world(tls=context) as world:
        world.answers(200)

        refused = await world.caller.call(replace(world.hook, retries=3), PAYLOAD)
        passed = await world.caller.call(replace(world.hook, verify_tls=False), PAYLOAD)

    assert "its certificate is not trusted" in refused.message
    assert "disableTLS" in refused.message
    assert passed.ok
