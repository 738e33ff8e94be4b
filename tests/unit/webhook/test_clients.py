"""Who may send a review: over real TLS, with a certificate, without one, and with a wrong one."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import trustme
import uvloop
from prometheus_client import CollectorRegistry

from certs.reload import ServingCertificate
from runtime import probes
from tests.fakes.objects import deployment
from tests.unit.webhook.test_server import review
from webhook.clients import Clients, names_of
from webhook.doors import Doors
from webhook.server import Metrics, create_app
from webhook.settings import Settings, read_settings

REVIEW = review(deployment(), deployment(image="web:2"))
API_SERVER = "kube-apiserver"
REFUSED = (ssl.SSLError, aiohttp.ClientError, ConnectionError)
YESTERDAY = datetime.now(UTC) - timedelta(days=1)

pytestmark = pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)


@pytest.fixture
def loop(request: pytest.FixtureRequest) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the loop: that of the process is uvloop's."""
    uv = request.param == "uvloop"
    return uvloop.new_event_loop if uv else asyncio.new_event_loop


@dataclass
class Place:
    """Files of certificates, and the webhook that serves with them."""

    folder: Path
    names: frozenset[str] = frozenset()
    asks: bool = True
    serving: trustme.CA = field(default_factory=trustme.CA)
    clients: trustme.CA = field(default_factory=trustme.CA)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    certificate: ServingCertificate = field(init=False)
    port: int = 0

    def __post_init__(self) -> None:
        pair = self.serving.issue_cert("localhost")
        pair.cert_chain_pems[0].write_to_path(self.folder / "tls.crt")
        pair.private_key_pem.write_to_path(self.folder / "tls.key")
        self.trust(self.clients)
        self.certificate = ServingCertificate(
            self.folder / "tls.crt",
            self.folder / "tls.key",
            self.registry,
            clients=self.folder / "clients.crt" if self.asks else None,
        )

    def trust(self, *authorities: trustme.CA) -> None:
        text = b"".join(it.cert_pem.bytes() for it in authorities)
        (self.folder / "clients.crt").write_bytes(text)

    @asynccontextmanager
    async def serve(self, *, loaded: bool = True) -> AsyncIterator["Place"]:
        if loaded:
            await self.certificate.load()
        doors, who = Doors(), Clients(self.names, lambda: self.certificate.current)
        app = create_app(Settings(), Metrics.create(self.registry), doors=doors, clients=who)
        context, guard = self.certificate.context, doors.guarding
        async with probes.serve(
            app, port=0, host="localhost", ssl_context=context, guard=guard
        ) as self.port:
            yield self

    def showing(self, pair: trustme.LeafCert | None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.serving.configure_trust(context)
        if pair is not None:
            pair.configure_cert(context)
        return context

    @asynccontextmanager
    async def client(self, pair: trustme.LeafCert | None) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.TCPConnector(ssl=self.showing(pair))
        async with aiohttp.ClientSession(connector=connector) as session:
            yield session

    async def ask(self, pair: trustme.LeafCert | None) -> int:
        """Send a review on a connection of its own; 0 where there is no answer."""
        async with self.client(pair) as session:
            return await self.post(session)

    async def post(self, session: aiohttp.ClientSession) -> int:
        url = f"https://localhost:{self.port}/targets"
        try:
            async with session.post(url, data=REVIEW) as answer:
                return answer.status
        except REFUSED:
            return 0

    def not_taken(self) -> float:
        labels = {"path": "targets", "outcome": "not-taken"}
        return self.registry.get_sample_value("headgate_webhook_reviews_total", labels) or 0


def run(loop: Callable[[], asyncio.AbstractEventLoop], work: Callable[[], object]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(work())  # type: ignore[arg-type]


Loop = Callable[[], asyncio.AbstractEventLoop]


def test_a_client_is_let_in_by_a_certificate_of_the_authority_alone(
    loop: Loop, tmp_path: Path
) -> None:
    async def work() -> None:
        async with Place(tmp_path).serve() as place:
            signed = place.clients.issue_cert(API_SERVER)
            by_another = trustme.CA().issue_cert(API_SERVER)
            by_ours = place.serving.issue_cert(API_SERVER)
            late = place.clients.issue_cert(API_SERVER, not_after=YESTERDAY)
            assert await place.ask(signed) == 200
            for wrong in (None, by_another, by_ours, late):
                assert await place.ask(wrong) == 0

    run(loop, work)


def test_nobody_is_asked_where_the_admin_names_no_authority(loop: Loop, tmp_path: Path) -> None:
    async def work() -> None:
        async with Place(tmp_path, asks=False).serve() as place:
            assert await place.ask(None) == 200
            assert await place.ask(trustme.CA().issue_cert(API_SERVER)) == 200

    run(loop, work)


def test_of_those_that_the_authority_signs_for_a_name_is_picked(loop: Loop, tmp_path: Path) -> None:
    async def work() -> None:
        async with Place(tmp_path, names=frozenset({API_SERVER})).serve() as place:
            kubelet = place.clients.issue_cert("node", common_name="system:node:node")
            by_common_name = place.clients.issue_cert(common_name=API_SERVER)
            assert await place.ask(place.clients.issue_cert(API_SERVER)) == 200
            assert await place.ask(by_common_name) == 200
            assert await place.ask(kubelet) == 403
            assert await place.ask(place.clients.issue_cert(f"{API_SERVER}.example")) == 403
            assert place.not_taken() == 2

    run(loop, work)


def test_another_authority_is_asked_at_once_and_old_connections_end(
    loop: Loop, tmp_path: Path
) -> None:
    async def work() -> None:
        async with Place(tmp_path).serve() as place:
            before, next_one = place.clients, trustme.CA()
            old, new = (it.issue_cert(API_SERVER) for it in (before, next_one))
            async with place.client(old) as session:
                assert await place.post(session) == 200
                assert await place.ask(new) == 0
                place.trust(next_one)
                await place.certificate.load()
                assert await place.ask(new) == 200
                assert await place.ask(old) == 0
                # Its connection ends with the next answer; another one is not let in.
                assert await place.post(session) == 200
                assert await place.post(session) == 0

    run(loop, work)


def test_two_authorities_are_trusted_while_one_takes_over(loop: Loop, tmp_path: Path) -> None:
    async def work() -> None:
        async with Place(tmp_path).serve() as place:
            next_one = trustme.CA()
            place.trust(place.clients, next_one)
            await place.certificate.load()
            for authority in (place.clients, next_one):
                assert await place.ask(authority.issue_cert(API_SERVER)) == 200

    run(loop, work)


def test_an_authority_below_another_can_be_named_alone(loop: Loop, tmp_path: Path) -> None:
    async def work() -> None:
        async with Place(tmp_path).serve() as place:
            below = place.clients.create_child_ca()
            place.trust(below)
            await place.certificate.load()
            assert await place.ask(below.issue_cert(API_SERVER)) == 200
            assert await place.ask(place.clients.issue_cert(API_SERVER)) == 0

    run(loop, work)


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----"])
def test_a_file_that_goes_or_breaks_leaves_what_was_trusted(
    loop: Loop, tmp_path: Path, content: bytes | None
) -> None:
    async def work() -> None:
        async with Place(tmp_path).serve() as place:
            file = tmp_path / "clients.crt"
            file.unlink() if content is None else file.write_bytes(content)
            await place.certificate.load()
            assert await place.ask(place.clients.issue_cert(API_SERVER)) == 200
            assert await place.ask(None) == 0

    run(loop, work)


def test_without_a_file_nobody_is_let_in_until_it_comes(loop: Loop, tmp_path: Path) -> None:
    async def work() -> None:
        place = Place(tmp_path)
        (tmp_path / "clients.crt").unlink()
        async with place.serve():
            signed = place.clients.issue_cert(API_SERVER)
            assert not place.certificate.present
            assert [await place.ask(pair) for pair in (None, signed)] == [0, 0]
            place.trust(place.clients)
            await place.certificate.load()
            assert await place.ask(signed) == 200

    run(loop, work)


def test_a_session_of_before_is_not_taken_up_again(loop: Loop, tmp_path: Path) -> None:
    """It would show no certificate."""

    async def work() -> None:
        async with Place(tmp_path).serve() as place:
            context = place.showing(place.clients.issue_cert(API_SERVER))
            reader, writer = await asyncio.open_connection("localhost", place.port, ssl=context)
            head = f"POST /targets HTTP/1.1\r\nHost: x\r\nContent-Length: {len(REVIEW)}\r\n\r\n"
            writer.write(head.encode() + REVIEW)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            tls = writer.get_extra_info("ssl_object")
            assert (tls.version(), tls.session_reused) == ("TLSv1.3", False)
            assert tls.session is None or not tls.session.has_ticket
            writer.close()

    run(loop, work)


def test_the_names_of_a_certificate(loop: Loop) -> None:
    del loop
    shown = {
        "subject": ((("organizationName", "o"),), (("commonName", "a"),)),
        "subjectAltName": (("DNS", "b"), ("IP Address", "10.0.0.1")),
    }
    assert list(names_of(shown)) == ["a", "b"]
    assert list(names_of({})) == []


def test_names_without_an_authority_are_refused_at_the_start(loop: Loop) -> None:
    del loop
    with pytest.raises(ValueError, match="HEADGATE_CLIENT_CA"):
        read_settings({"HEADGATE_CLIENT_NAMES": API_SERVER})
    settings = read_settings(
        {"HEADGATE_CLIENT_CA": "/clients/ca.crt", "HEADGATE_CLIENT_NAMES": "a, b,"}
    )
    assert (settings.client_ca, settings.client_names) == (
        Path("/clients/ca.crt"),
        frozenset({"a", "b"}),
    )
