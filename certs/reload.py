"""A serving certificate that follows its files while the listener stays open.

A changed pair is loaded into a *new* context, and the listener's callback hands every new
handshake over to it: loading into the live context would break it where certificate and key do
not belong together, and a new listener would leave a gap.
"""

import asyncio
import hashlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Never

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from certs.issue import expiry

POLL: Final = 1.0
"""Seconds between two looks at the files; the kubelet swaps a mounted Secret by a symlink."""

log = structlog.get_logger("certs")


@dataclass(slots=True)
class _Loaded:
    """The context in use and the content that it was made of."""

    digest: str = ""
    context: ssl.SSLContext | None = None


@dataclass(slots=True)
class ServingCertificate:
    """The TLS side of a listener.

    Args:
        certificate: PEM file of the certificate.
        key: PEM file of its private key.
        registry: where reloads are counted, and where the end of the certificate is told.
        clients: PEM file of the authorities that sign for clients; nobody is asked for a
            certificate where it is None. Until one has been loaded nobody is let in; what cannot be
            loaded later leaves the authorities before it trusted, and is logged and counted.
        poll: seconds between two looks at the files.

    """

    certificate: Path
    key: Path
    registry: CollectorRegistry
    clients: Path | None = None
    poll: float = POLL
    context: ssl.SSLContext = field(init=False)
    _loaded: _Loaded = field(init=False, default_factory=_Loaded)
    _reloads: Counter = field(init=False)
    _ends: Gauge = field(init=False)

    def __post_init__(self) -> None:
        self.context = self._new_context()
        self.context.sni_callback = self._hand_over
        self._reloads = Counter(
            "headgate_certificate_reloads",
            "Loads of the serving certificate by result.",
            ["result"],
            registry=self.registry,
        )
        self._ends = Gauge(
            "headgate_certificate_expiration_timestamp_seconds",
            "When the serving certificate ends, 0 while there is none.",
            registry=self.registry,
        )

    @property
    def present(self) -> bool:
        """Whether there is a certificate to serve with."""
        return self._loaded.context is not None

    @property
    def current(self) -> ssl.SSLContext | None:
        """What new connections are made with, None while there is no certificate."""
        return self._loaded.context

    async def follow(self) -> Never:
        """Load the files whenever they change, until cancelled."""
        while True:
            await self.load()
            await asyncio.sleep(self.poll)

    async def load(self) -> None:
        """Load the files if all are there and one has changed; what is bad leaves the present."""
        digest = await asyncio.to_thread(_digest, *self._files())
        if digest in {"", self._loaded.digest}:
            return
        context = self._new_context()
        end = await asyncio.to_thread(_end, self.certificate)
        try:
            await asyncio.to_thread(context.load_cert_chain, self.certificate, self.key)
            if self.clients is not None:
                await asyncio.to_thread(context.load_verify_locations, self.clients)
        except (ssl.SSLError, OSError) as error:
            self._reloads.labels("error").inc()
            log.warning("certificate not loaded", error=str(error))
            return
        self._loaded = _Loaded(digest, context)
        self._ends.set(end)
        self._reloads.labels("success").inc()
        log.info("certificate loaded", file=str(self.certificate))

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _: ssl.SSLContext) -> None:
        """Give a handshake the newest context; OpenSSL asks also where the client sent no name."""
        if self._loaded.context is not None:
            connection.context = self._loaded.context

    def _files(self) -> list[Path]:
        return [self.certificate, self.key, *([] if self.clients is None else [self.clients])]

    def _new_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.clients is not None:
            # Whether a client is asked is settled before the handshake is handed over.
            context.verify_mode = ssl.CERT_REQUIRED
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            # A session that is taken up again shows no certificate, whatever has become of its
            # authority; only in TLS 1.3 can all of that be turned off from here.
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.num_tickets = 0
        return context


def _end(file: Path) -> float:
    """Return when a certificate ends, in seconds since the epoch; 0 if it cannot be read."""
    try:
        return expiry(file.read_text()).timestamp()
    except (OSError, ValueError):
        return 0.0


def _digest(*files: Path) -> str:
    """Return what identifies the content of the files; "" while one of them is missing."""
    whole = hashlib.sha256()
    try:
        for file in files:
            whole.update(file.read_bytes())
    except OSError:
        return ""
    return whole.hexdigest()
