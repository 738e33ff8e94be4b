"""The serving certificate under real TLS: swapped without one refused connection."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from prometheus_client import CollectorRegistry

from certs.issue import Pair, expiry, issue_ca, issue_serving
from certs.reload import ServingCertificate
from runtime import probes

NOW = datetime.now(UTC)
LIFE = timedelta(days=1)
CA = issue_ca("test CA", now=NOW, lifetime=LIFE)
FIRST, SECOND = (issue_serving(CA, ["localhost"], now=NOW, lifetime=LIFE) for _ in range(2))


def put(folder: Path, pair: Pair) -> None:
    for name, text in (("tls.crt", pair.certificate), ("tls.key", pair.key)):
        fresh = folder / f".{name}"
        fresh.write_text(text)
        fresh.rename(folder / name)


def serial(pair: Pair) -> int:
    return x509.load_pem_x509_certificate(pair.certificate.encode()).serial_number


@asynccontextmanager
async def listening(certificate: ServingCertificate) -> AsyncIterator[int]:
    served = probes.serve(
        web.Application(), port=0, host="localhost", ssl_context=certificate.context
    )
    async with served as port:
        yield port


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=CA.certificate)
    return context


async def handshake(port: int, *, name: str | None = "localhost") -> int:
    """Connect and return the serial number of the certificate that was shown."""
    context = trusting()
    if name is None:
        context.check_hostname = False
    _, writer = await asyncio.open_connection(
        "localhost", port, ssl=context, server_hostname=name or ""
    )
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(shown).serial_number


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def certificate(tmp_path: Path, registry: CollectorRegistry) -> ServingCertificate:
    put(tmp_path, FIRST)
    serving = ServingCertificate(tmp_path / "tls.crt", tmp_path / "tls.key", registry)
    await serving.load()
    return serving


@pytest.mark.parametrize("name", ["localhost", None], ids=["SNI", "no SNI"])
async def test_a_new_certificate_is_shown_to_every_client(
    certificate: ServingCertificate, tmp_path: Path, name: str | None
) -> None:
    async with listening(certificate) as port:
        assert await handshake(port, name=name) == serial(FIRST)
        put(tmp_path, SECOND)
        await certificate.load()
        assert await handshake(port, name=name) == serial(SECOND)


async def test_two_hundred_connections_through_a_swap_and_none_refused(
    certificate: ServingCertificate, tmp_path: Path
) -> None:
    shown: list[int] = []
    async with listening(certificate) as port:

        async def connect() -> None:
            shown.append(await handshake(port))

        for batch in range(10):
            if batch == 5:
                put(tmp_path, SECOND)
                await certificate.load()
            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(connect())
    assert shown == [serial(FIRST)] * 100 + [serial(SECOND)] * 100


async def test_the_end_of_the_certificate_is_a_metric(
    certificate: ServingCertificate, tmp_path: Path, registry: CollectorRegistry
) -> None:
    name = "headgate_certificate_expiration_timestamp_seconds"
    assert registry.get_sample_value(name) == expiry(FIRST.certificate).timestamp()
    put(tmp_path, SECOND)
    await certificate.load()
    assert registry.get_sample_value(name) == expiry(SECOND.certificate).timestamp()


async def test_a_pair_that_does_not_match_leaves_the_old_one(
    certificate: ServingCertificate, tmp_path: Path, registry: CollectorRegistry
) -> None:
    async with listening(certificate) as port:
        (tmp_path / "tls.key").write_text(SECOND.key)
        await certificate.load()
        assert await handshake(port) == serial(FIRST)
    count = registry.get_sample_value("headgate_certificate_reloads_total", {"result": "error"})
    assert count == 1


async def test_a_certificate_that_comes_later_is_picked_up(
    tmp_path: Path, registry: CollectorRegistry
) -> None:
    serving = ServingCertificate(tmp_path / "tls.crt", tmp_path / "tls.key", registry, poll=0.01)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        following = group.create_task(serving.follow())
        before = serving.present
        assert not before
        put(tmp_path, FIRST)
        while not serving.present:  # noqa: ASYNC110 - the file system has no event for it
            await asyncio.sleep(0.01)
        following.cancel()


async def test_tls_below_1_2_is_refused(certificate: ServingCertificate) -> None:
    async with listening(certificate) as port:
        old = trusting()
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = ssl.TLSVersion.TLSv1_1
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("localhost", port, ssl=old)
