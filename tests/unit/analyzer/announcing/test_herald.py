"""Announcements are sent beside all else, in order and so many times; what is not is said."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from prometheus_client import CollectorRegistry

from analyzer.announcing.herald import PER_NAMESPACE, Herald, Patience
from analyzer.announcing.lines import MOST_WAITING
from analyzer.ports import AlertError
from canary.model.announcement import Alert, Announcement, Room, Severity
from canary.model.values import Json
from canary.spec.alerts import admins_alerts
from runtime.errors import ApiError, Forbidden
from runtime.resources import ALERTPROVIDERS, SECRETS
from tests.fakes.loop import ImpatientLoop
from tests.fakes.stored import Stored

LOOP = ImpatientLoop
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADDRESS = "https://chat/hooks/very-secret"


@dataclass
class Chat:
    """A service that fails as it is told to; `errors` are by try, then all goes well."""

    errors: list[BaseException] = field(default_factory=list)
    hangs: bool = False
    arrived: list[tuple[str, str]] = field(default_factory=list)
    beside: list[tuple[tuple[str, str], ...]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    at_once: int = 0
    most: int = 0

    async def say(self, room: Room, said: Announcement) -> None:
        self.times.append(asyncio.get_running_loop().time())
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(10_000 if self.hangs else 0)
            if self.errors:
                raise self.errors.pop(0)
        finally:
            self.at_once -= 1
        self.arrived.append((room.channel, said.message))
        self.beside.append(said.fields)


@dataclass
class World:
    chat: Chat = field(default_factory=Chat)
    cluster: Stored = field(default_factory=Stored)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    cross: bool = False
    cluster_name: str = ""

    def herald(self) -> Herald:
        return Herald(
            self.cluster,
            {"slack": self.chat},
            registry=self.registry,
            clock=lambda: NOW,
            cross_namespace=self.cross,
            cluster_name=self.cluster_name,
            patience=Patience(),
        )

    def provider(self, namespace: str = "prod", **spec: object) -> None:
        obj = {
            "metadata": {"name": "chat", "namespace": namespace},
            "spec": {"type": "slack", "address": ADDRESS, "channel": namespace, **spec},
        }
        self.cluster.put(ALERTPROVIDERS, obj)

    def count(self, outcome: str) -> float:
        return self.registry.get_sample_value("headgate_alerts_total", {"outcome": outcome}) or 0

    def events(self) -> list[str]:
        return [
            obj["message"]
            for (plural, _, _), obj in self.cluster.objects.items()
            if plural == "events"
        ]

    def waiting(self) -> float:
        return self.registry.get_sample_value("headgate_alerts_waiting") or 0

    async def idle(self) -> None:
        """Wait until nothing is to be sent any more, ten hours at most."""
        async with asyncio.timeout(36_000):
            while self.waiting():  # noqa: ASYNC110 - what it waits for is a metric
                await asyncio.sleep(1)


def canary(name: str = "web", namespace: str = "prod") -> Json:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}"},
        "spec": {},
    }


def alert(severity: Severity = Severity.INFO, namespace: str = "prod", name: str = "a") -> Alert:
    return Alert(name=name, severity=severity, namespace=namespace, provider="chat")


def said(message: str, severity: Severity = Severity.INFO) -> Announcement:
    return Announcement(subject="web.prod", reason="Held", message=message, severity=severity)


@asynccontextmanager
async def sending(world: World) -> AsyncIterator[Herald]:
    herald = world.herald()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(herald.run())
        await asyncio.sleep(0)
        yield herald
        assert not running.done()
        running.cancel()


async def test_each_alert_hears_what_it_wants_to_in_order() -> None:
    world = World()
    world.provider()
    async with sending(world) as herald:
        alerts = [alert(), alert(Severity.ERROR, name="b")]
        herald.put(canary(), alerts, [said("1"), said("2"), said("3", Severity.ERROR)])
        await world.idle()
    assert sorted(world.chat.arrived) == [
        ("prod", "1"), ("prod", "2"), ("prod", "3"), ("prod", "3"),
    ]  # fmt: skip
    assert (world.count("sent"), world.count("failed"), world.events()) == (4, 0, [])


@pytest.mark.parametrize(
    ("name", "beside"), [("", ()), ("eu-1", (("Cluster", "eu-1"),))], ids=["", "named"]
)
async def test_the_cluster_is_said_first_where_the_admin_names_it(
    name: str, beside: tuple[tuple[str, str], ...]
) -> None:
    world = World(cluster_name=name)
    world.provider()
    target = ("Target", "Deployment/web.prod")
    async with sending(world) as herald:
        herald.put(canary(), [alert()], [replace(said("1"), fields=(target,))])
        await world.idle()
    assert world.chat.beside == [(*beside, target)]


async def test_the_first_failures_keep_the_order() -> None:
    world = World(Chat(errors=[AlertError("busy", again=True)] * 3))
    world.provider()
    async with sending(world) as herald:
        herald.put(canary(), [alert()], [said("1"), said("2")])
        await world.idle()
    assert world.chat.arrived == [("prod", "1"), ("prod", "2")]
    assert len(world.chat.times) == 5


async def test_it_is_tried_five_times_and_then_said() -> None:
    world = World(Chat(errors=[AlertError("answered 503", again=True)] * 9))
    world.provider()
    async with sending(world) as herald:
        herald.put(canary(), [alert()], [said("1")])
        await world.idle()
    assert len(world.chat.times) == 5
    assert world.count("failed") == 1
    assert world.events() == ["alert a (Held) was not sent: answered 503 (after 5 tries)"]


async def test_a_refusal_is_tried_once() -> None:
    world = World(Chat(errors=[AlertError("answered 404")]))
    world.provider()
    async with sending(world) as herald:
        herald.put(canary(), [alert()], [said("1")])
        await world.idle()
    assert world.events() == ["alert a (Held) was not sent: answered 404"]


@pytest.mark.parametrize(("asked", "waits"), [(50.0, 50.0), (86_400.0, 120.0)])
async def test_the_service_s_own_delay_is_kept_within_bounds(asked: float, waits: float) -> None:
    world = World(Chat(errors=[AlertError("busy", again=True, after=asked)]))
    world.provider()
    async with sending(world) as herald:
        herald.put(canary(), [alert()], [said("1")])
        await world.idle()
    first, second = world.chat.times
    assert waits <= second - first < waits + 5


async def test_a_service_that_hangs_holds_up_no_other_namespace_and_ends() -> None:
    world = World(Chat(hangs=True))
    world.provider()
    world.provider("blue")
    async with sending(world) as herald:
        for number in range(100):
            herald.put(canary(f"web-{number}"), [alert()], [said("1")])
        await asyncio.sleep(1)
        assert world.chat.at_once == PER_NAMESPACE
        world.chat.hangs = False
        herald.put(canary(namespace="blue"), [alert(namespace="blue")], [said("1")])
        await asyncio.sleep(1)
        assert world.chat.arrived == [("blue", "1")]
        await world.idle()
    assert world.chat.most <= PER_NAMESPACE + 1
    assert len(world.chat.arrived) == 101


async def test_of_too_many_the_newest_are_sent() -> None:
    world = World(Chat(hangs=True))
    world.provider()
    async with sending(world) as herald:
        for number in range(1000):
            herald.put(canary(), [alert()], [said(str(number))])
        assert world.waiting() <= MOST_WAITING + 1
        world.chat.hangs = False
        await world.idle()
    assert world.chat.arrived[-1] == ("prod", "999")
    assert world.count("dropped") == 1000 - MOST_WAITING


async def test_to_put_it_waits_for_nothing_and_what_is_put_before_the_start_is_sent() -> None:
    world = World()
    world.provider()
    herald = world.herald()
    herald.put(canary(), [alert()], [said("1")])
    async with asyncio.TaskGroup() as group:
        running = group.create_task(herald.run())
        await asyncio.sleep(0)
        await world.idle()
        running.cancel()
    assert world.chat.arrived == [("prod", "1")]


async def test_a_leader_that_is_stopped_sends_nothing_more() -> None:
    world = World(Chat(hangs=True))
    world.provider()
    async with sending(world) as herald:
        herald.put(canary(), [alert()], [said("1"), said("2")])
        await asyncio.sleep(1)
    assert (world.chat.arrived, world.chat.at_once, world.waiting()) == ([], 0, 0)


async def test_another_namespace_s_provider_is_not_read_unless_the_admin_allows_it() -> None:
    world = World()
    world.provider("infra")
    async with sending(world) as herald:
        herald.put(canary(), [alert(namespace="infra")], [said("1")])
        await world.idle()
    assert world.cluster.calls == ["create"]
    (event,) = world.events()
    assert "in another namespace, which the admin does not allow" in event
    assert "HEADGATE_CROSS_NAMESPACE_REFS" in event
    allowed = World(cross=True)
    allowed.provider("infra")
    async with sending(allowed) as herald:
        herald.put(canary(), [alert(namespace="infra")], [said("1")])
        await allowed.idle()
    assert allowed.chat.arrived == [("infra", "1")]


async def test_the_admin_s_own_may_be_anywhere_and_what_is_wrong_with_it_is_no_team_s() -> None:
    world = World()
    world.provider("headgate-system")
    (own,) = admins_alerts("headgate-system/chat", Severity.INFO)
    async with sending(world) as herald:
        herald.put(canary(), [own], [said("1")])
        await world.idle()
        world.cluster.remove(ALERTPROVIDERS, "headgate-system", "chat")
        herald.put(canary(), [own], [said("2")])
        await world.idle()
    assert world.chat.arrived == [("headgate-system", "1")]
    assert (world.count("failed"), world.events()) == (1, [])


def gone(world: World) -> None:
    world.cluster.remove(ALERTPROVIDERS, "prod", "chat")


def unknown(world: World) -> None:
    world.provider(type="pager")


def no_address(world: World) -> None:
    world.provider(address="")


def no_secret(world: World) -> None:
    world.provider(secretRef={"name": "hook"})


def no_right(world: World) -> None:
    no_secret(world)
    world.cluster.denials["get", "secrets"] = Forbidden(403, "Forbidden", "secrets is forbidden")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (gone, "AlertProvider prod/chat does not exist; create it or mend what names it"),
        (unknown, "AlertProvider prod/chat: unknown type pager; known: slack"),
        (no_address, "AlertProvider prod/chat: it has no address"),
        (no_secret, "Secret prod/hook does not exist"),
        (no_right, "Secret prod/hook cannot be read: secrets is forbidden"),
    ],
)
async def test_what_is_wrong_with_a_provider_is_said_once(
    broken: Callable[[World], None], why: str
) -> None:
    world = World()
    world.provider()
    broken(world)
    async with sending(world) as herald:
        herald.put(canary(), [alert()], [said("1")])
        await world.idle()
    (event,) = world.events()
    assert event.startswith(f"alert a (Held) was not sent: {why}")
    assert world.chat.times == []


async def test_an_api_server_that_is_away_is_asked_again() -> None:
    world = World()
    world.provider()
    world.cluster.denials["get", "alertproviders"] = ApiError(503, "Unavailable", "away")
    async with sending(world) as herald:
        herald.put(canary(), [alert()], [said("1")])
        await asyncio.sleep(0.1)
        world.cluster.denials.clear()
        await world.idle()
    assert world.chat.arrived == [("prod", "1")]


async def test_the_secret_s_address_and_token_are_used_and_read_anew_each_time() -> None:
    world, rooms = World(), list[Room]()

    class Keeper(Chat):
        async def say(self, room: Room, said: Announcement) -> None:
            del said
            rooms.append(room)

    world.chat = Keeper()
    world.provider(secretRef={"name": "hook"})
    async with sending(world) as herald:
        for address in ("https://chat/1", "https://chat/2"):
            data = {"address": base64.b64encode(address.encode()).decode(), "token": "eA=="}
            found = {"metadata": {"name": "hook", "namespace": "prod"}, "data": data}
            world.cluster.put(SECRETS, found)
            herald.put(canary(), [alert()], [said("1")])
            await world.idle()
    assert [(room.address, room.token) for room in rooms] == [
        ("https://chat/1", "x"),
        ("https://chat/2", "x"),
    ]


class Panic(BaseException):
    """As what a library in Rust raises where it panics: no `Exception`."""


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(ADDRESS), Panic(f"at {ADDRESS}"), asyncio.CancelledError()]
)
async def test_whatever_an_adapter_raises_ends_nothing_and_shows_no_address(
    error: BaseException,
) -> None:
    world = World(Chat(errors=[error] * 5))
    world.provider()
    with structlog.testing.capture_logs() as logs:
        async with sending(world) as herald:
            herald.put(canary(), [alert()], [said("1"), said("2")])
            await world.idle()
            world.chat.errors.clear()
            herald.put(canary(), [alert()], [said("3")])
            await world.idle()
    assert world.chat.arrived[-1] == ("prod", "3")
    assert world.events()
    assert "very-secret" not in repr(_plain(logs)) + repr(world.events())


async def test_an_event_that_is_denied_ends_nothing() -> None:
    world = World(Chat(errors=[AlertError("answered 404")]))
    world.provider()
    world.cluster.denials["create", "events"] = Forbidden(403, "Forbidden", "no")
    async with sending(world) as herald:
        herald.put(canary(), [alert()], [said("1"), said("2")])
        await world.idle()
    assert world.chat.arrived == [("prod", "2")]


def _plain(logs: list[MutableMapping[str, object]]) -> list[str]:
    return [repr(one) for one in logs]


def test_all_tries_together_have_an_end() -> None:
    patience = Patience()
    longest = patience.tries * patience.each + (patience.tries - 1) * patience.asked
    assert longest <= timedelta(minutes=11)
