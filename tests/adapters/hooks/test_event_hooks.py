"""Event hooks on a real server: what they are told, in order, and what one that fails costs."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from prometheus_client import CollectorRegistry

from analyzer.addresses import EVERYWHERE, Guard
from analyzer.announcing.lines import MOST_WAITING
from analyzer.announcing.telling import Teller
from analyzer.hooks.http import HttpHookCaller
from canary.model.announcement import Told
from canary.model.strategy import Hook, HookType
from canary.model.values import Json
from canary.spec.hooks import listeners_of
from runtime.resources import EVENTS
from tests.fakes.listening import TestServer
from tests.fakes.stored import Stored
from tests.harness.stage import canary

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
DEADLINE = 20.0


@dataclass
class Listener:
    """The other side: answers in order, the last answer again and again."""

    statuses: deque[int] = field(default_factory=lambda: deque([200]))
    bodies: list[dict[str, Any]] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        self.heard.set()
        status = self.statuses.popleft() if len(self.statuses) > 1 else self.statuses[0]
        return web.Response(status=status)

    async def until(self, so: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not so():
                self.heard.clear()
                await self.heard.wait()


@dataclass
class World:
    listener: Listener = field(default_factory=Listener)
    cluster: Stored = field(default_factory=Stored)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    url: str = ""

    def hook(self, **changes: Any) -> Hook:
        hook = Hook(name="bus", type=HookType.EVENT, url=self.url, metadata={"team": "a"})
        return replace(hook, **changes)

    def teller(self, guard: Guard = EVERYWHERE) -> Teller:
        def caller(one: Guard) -> HttpHookCaller:
            return HttpHookCaller(one, first_delay=0.01, longest_delay=0.01)

        return Teller(
            self.cluster,
            caller(guard),
            caller(EVERYWHERE),
            registry=self.registry,
            clock=lambda: AT,
        )

    def count(self, outcome: str) -> float:
        value = self.registry.get_sample_value("headgate_event_hooks_total", {"outcome": outcome})
        return value or 0.0

    def events(self) -> list[str]:
        found = self.cluster.objects.items()
        return [one["message"] for (plural, *_), one in found if plural == EVENTS.plural]


def said(number: int) -> Told:
    return Told(
        message=f"said {number}", warning=number % 2 == 1, at=AT, phase="Waiting", checksum="abc"
    )


def obj() -> Json:
    found = canary()
    found["metadata"]["uid"] = "u"
    return found


@asynccontextmanager
async def telling(teller: Teller) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(teller.run())
        yield
        task.cancel()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world, app = World(), web.Application()
    app.router.add_post("/{path:.*}", world.listener.receive)
    async with TestServer(app) as server:
        world.url = str(server.make_url("/events"))
        yield world


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not so():  # noqa: ASYNC110 - what is looked at announces nothing
            await asyncio.sleep(0.01)


async def test_a_hook_is_told_in_order_and_in_flaggers_fields(world: World) -> None:
    teller = world.teller()
    async with telling(teller):
        hook = world.hook(metadata={"team": "a", "eventType": "mine"})
        told = obj()
        told["metadata"]["name"] = "shop"
        teller.tell(told, (hook,), (said(1), said(2)))
        await world.listener.until(lambda: len(world.listener.bodies) == 2)
    assert world.listener.bodies[0] == {
        "name": "shop",
        "namespace": "prod",
        "phase": "Waiting",
        "checksum": "abc",
        "metadata": {
            "team": "a",
            "eventMessage": "said 1",
            "eventType": "Warning",
            "timestamp": "1767268800000",
        },
    }
    assert world.listener.bodies[1]["metadata"]["eventMessage"] == "said 2"


async def test_a_hook_that_fails_is_tried_as_often_as_it_says(world: World) -> None:
    world.listener.statuses = deque([503, 503, 200])
    teller = world.teller()
    async with telling(teller):
        teller.tell(obj(), (world.hook(retries=2),), (said(1),))
        await until(lambda: world.count("sent") == 1)
    assert len(world.listener.bodies) == 3
    assert world.events() == []


async def test_a_hook_that_goes_on_failing_is_said_once(world: World) -> None:
    world.listener.statuses = deque([500])
    teller = world.teller()
    async with telling(teller):
        teller.tell(obj(), (world.hook(),), (said(1), said(2)))
        await until(lambda: world.count("failed") == 2)
        await until(lambda: bool(world.events()))
    assert len(world.listener.bodies) == 2
    assert len(world.events()) == 1
    assert "event hook bus was not told" in world.events()[0]


async def test_one_that_is_not_there_delays_no_other(world: World) -> None:
    teller = world.teller()
    gone = world.hook(name="gone", url=f"http://127.0.0.1:{unused_port()}/", retries=100)
    async with telling(teller):
        teller.tell(obj(), (gone, world.hook()), (said(1),))
        await world.listener.until(lambda: len(world.listener.bodies) == 1)


async def test_of_more_than_may_wait_the_oldest_are_left_out(world: World) -> None:
    teller = world.teller()
    teller.tell(obj(), (world.hook(),), [said(number) for number in range(MOST_WAITING + 3)])
    assert world.count("dropped") == 3
    async with telling(teller):
        await world.listener.until(lambda: len(world.listener.bodies) == MOST_WAITING)
    assert world.listener.bodies[0]["metadata"]["eventMessage"] == "said 3"


async def test_the_admins_is_asked_where_a_teams_is_not(world: World) -> None:
    teller = world.teller(Guard())
    [admins] = listeners_of(obj(), world.url)
    async with telling(teller):
        teller.tell(obj(), (world.hook(), admins), (said(1),))
        await until(lambda: world.count("failed") == 1)
        await world.listener.until(lambda: len(world.listener.bodies) == 1)
        await until(lambda: bool(world.events()))
    assert "HEADGATE_ALLOWED_ADDRESSES" in world.events()[0]
    assert len(world.events()) == 1


async def test_where_the_admins_is_stays_the_admins_to_know(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    world.listener.statuses = deque([404])
    teller = world.teller()
    async with telling(teller):
        teller.tell(obj(), listeners_of(obj(), f"{world.url}?token=very-secret"), (said(1),))
        await until(lambda: world.count("failed") == 1)
    assert world.events() == []
    assert "very-secret" not in caplog.text + capsys.readouterr().out


async def test_a_canarys_own_take_the_place_of_the_admins(world: World) -> None:
    own = {"name": "bus", "type": "event", "url": "http://bus", "timeout": "3s"}
    [hook] = listeners_of(canary(webhooks=[own]), world.url)
    assert (hook.url, hook.timeout, hook.admins) == ("http://bus", timedelta(seconds=3), False)
    assert listeners_of(canary(), "") == ()
