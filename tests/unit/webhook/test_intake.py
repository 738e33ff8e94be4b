"""What is taken in of a review, and who may stay connected: over real TLS, from real sockets."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from runtime import probes
from tests.fakes.objects import Json, annotated, changed, deployment
from tests.unit.webhook.test_server import review
from webhook.doors import Doors
from webhook.intake import MAX_BODY, MAX_VALUES, SMALL, WAITING, Intake, too_many_values, uid_of
from webhook.server import Metrics, create_app
from webhook.settings import Settings

OLD, NEW = deployment(), deployment(image="web:2")
REVIEW = review(OLD, NEW)
SECONDS = 0.5
PATIENT = 40.0
"""Seconds, where it is not about how long somebody may take: a busy machine takes its time."""
FEW = 200


@dataclass
class Client:
    """One connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, body: bytes, *, length: int | None = None, more: str = "") -> None:
        size = f"Content-Length: {len(body) if length is None else length}\r\n"
        head = f"POST /targets HTTP/1.1\r\nHost: x\r\n{size}{more}\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()

    async def answer(self) -> tuple[int, Json]:
        """Return status and body of an answer; 0 where the connection is closed without one."""
        async with asyncio.timeout(10):
            try:
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0, {}
            lines = head.split("\r\n")
            length = next(x for x in lines if x.lower().startswith("content-length:"))
            body = await self.reader.readexactly(int(length.split(":")[1]))
        status = int(lines[0].split()[1])
        return status, json.loads(body) if status == 200 else {}

    async def ask(self, body: bytes = REVIEW) -> tuple[int, Json]:
        await self.send(body)
        return await self.answer()

    @property
    def closed(self) -> Awaitable[bytes]:
        return self.reader.read()


@dataclass
class Place:
    """A webhook that listens, and connections to it."""

    port: int
    trust: ssl.SSLContext
    doors: Doors
    clients: list[Client] = field(default_factory=list)

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("localhost", self.port, ssl=self.trust))
        self.clients.append(client)
        return client

    async def leave(self) -> None:
        for client in self.clients:
            client.writer.close()
            with suppress(OSError):
                await client.writer.wait_closed()


@pytest.fixture
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """Serve, with so many seconds of patience as the test asks for by a parameter."""
    seconds = getattr(request, "param", SECONDS)
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    doors = Doors(limit=4, first=seconds)
    app = create_app(
        Settings(), Metrics.create(CollectorRegistry()), intake=Intake(seconds), doors=doors
    )
    async with probes.serve(
        app, port=0, host="localhost", ssl_context=context, guard=doors.guarding
    ) as port:
        place = Place(port, trust, doors)
        yield place
        await place.leave()


# --- bodies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [len(REVIEW) + 1, SMALL + 1, MAX_BODY])
async def test_a_body_that_does_not_end_is_given_up(place: Place, length: int) -> None:
    client = await place.connect()
    await client.send(REVIEW, length=length)
    assert (await client.answer())[0] == 408
    assert not await client.closed


async def test_a_large_body_that_hangs_delays_no_small_one(place: Place) -> None:
    hanging, small = await place.connect(), await place.connect()
    await hanging.send(b"[", length=MAX_BODY)
    async with asyncio.timeout(SECONDS / 2):
        assert (await small.ask())[0] == 200
    assert (await hanging.answer())[0] == 408


async def test_of_many_large_bodies_few_wait(place: Place) -> None:
    place.doors.limit = 2 * WAITING
    clients = [await place.connect() for _ in range(WAITING + 3)]
    for client in clients:
        await client.send(b"[", length=MAX_BODY)
    statuses = sorted([(await client.answer())[0] for client in clients])
    assert statuses == [*[408] * (WAITING + 1), 503, 503]
    assert (await (await place.connect()).ask())[0] == 200


async def test_what_a_small_body_unfolds_to_is_bounded_as_well(place: Place) -> None:
    client = await place.connect()
    await client.send(gzip.compress(b"[" * (SMALL + 1)), more="Content-Encoding: gzip\r\n")
    assert (await client.answer())[0] == 413


async def test_a_review_of_too_many_values_is_refused_by_name(place: Place) -> None:
    template = json.loads(json.dumps(NEW["spec"]["template"]))
    template["spec"]["containers"][0]["env"] = [{}] * MAX_VALUES
    status, answer = await (await place.connect()).ask(review(OLD, changed(NEW, template=template)))
    assert status == 200
    assert answer["response"]["allowed"] is False
    assert answer["response"]["status"]["code"] == 413
    assert f"more than {MAX_VALUES} values" in answer["response"]["status"]["message"]


async def test_a_large_deployment_of_text_is_taken(place: Place) -> None:
    large = annotated(NEW, {"note": '{"a",[1,2,' * 150_000})
    status, answer = await (await place.connect()).ask(review(OLD, large))
    assert (status, answer["response"]["allowed"]) == (200, True)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=60,
    )
)
def test_no_value_escapes_the_count(value: object) -> None:
    def size(inner: object) -> int:
        match inner:
            case dict():
                return 1 + sum(map(size, inner.values()))
            case list():
                return 1 + sum(map(size, inner))
            case _:
                return 1

    repeated = [value] * (1 + FEW // size(value))
    assert too_many_values(json.dumps(repeated).encode(), FEW)


def test_text_counts_as_one_value() -> None:
    assert not too_many_values(json.dumps([r"\",[{" * MAX_VALUES, '"' * 9]).encode())


@pytest.mark.parametrize(
    ("body", "uid"),
    [
        (b'{"kind":"AdmissionReview","request":{"uid":"0b4a-1f","kind":{}', "0b4a-1f"),
        (b'{"request": {"uid": "<script>"}}', ""),
        (b"x" * 600 + b'{"uid":"0b4a"}', ""),
        (b"", ""),
    ],
)
def test_the_uid_is_found_where_the_api_server_writes_it(body: bytes, uid: str) -> None:
    assert uid_of(body) == uid


# --- connections --------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"POST /targets HTTP/1.1\r\nHost: x\r\n"])
async def test_who_asks_nothing_is_shown_out(place: Place, sent: bytes) -> None:
    client = await place.connect()
    client.writer.write(sent)
    assert (await client.answer())[0] == 0
    assert place.doors.open == 0


async def test_who_has_asked_may_rest(place: Place) -> None:
    client = await place.connect()
    await client.ask()
    await asyncio.sleep(2 * SECONDS)
    assert (await client.ask())[0] == 200


@pytest.mark.parametrize("place", [PATIENT], indirect=True)
async def test_where_there_is_no_room_the_longest_at_rest_goes(place: Place) -> None:
    first, second, third, waiting = [await place.connect() for _ in range(4)]
    for client in (first, second, third, first):
        await client.ask()
    await waiting.send(REVIEW[:-1], length=len(REVIEW))
    async with asyncio.timeout(PATIENT / 2):
        await third.ask()
        fifth = await place.connect()
        assert (await fifth.ask())[0] == 200
    assert (await second.answer())[0] == 0
    assert (await first.ask())[0] == (await third.ask())[0] == 200
    waiting.writer.write(REVIEW[-1:])
    assert (await waiting.answer())[0] == 200
