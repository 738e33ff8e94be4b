"""Connections to Prometheus: what makes two queries share one, and the bounds that it has."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import urllib3
from prometheus_api_client import PrometheusConnect

from analyzer.addresses import Guard
from analyzer.metric_providers.prometheus.bounded_session import (
    MIB,
    BoundedSession,
    Credentials,
)
from analyzer.metric_providers.prometheus.room import Rooms
from analyzer.places import Places
from analyzer.ports import ProviderError
from canary.queries.provider import ProviderSpec

LONGEST_NUMBER: Final = 4 * MIB
"""Bytes of an answer. One number needs a few hundred; a query that lists series is no metric."""
LONGEST_LIST: Final = 12 * MIB
"""Bytes of an answer that lists series: as many as `MAX_VALUES` lets through of usual ones."""
_ASKERS: Final = 4
"""Namespaces that can have all of their places at one Prometheus at the same time."""
_THREADS: Final = 64
"""Of one connection; more namespaces than these wait at one Prometheus only if it stands still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What makes two queries share a connection; nothing in `address` is secret."""

    address: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    verify_tls: bool = True


@dataclass(frozen=True, slots=True)
class Connection:
    """Two clients of one Prometheus, the places to ask it, and the threads in which they wait.

    The places are by the namespace that asks: slow queries of one take no other's. `numbers` asks
    by GET and reads short answers; `lists` asks by POST, as its queries may be longer than an URL
    can be, and reads long answers.
    """

    numbers: PrometheusConnect
    lists: PrometheusConnect
    sessions: tuple[BoundedSession, ...]
    places: Places[str]
    threads: ThreadPoolExecutor

    @classmethod
    def open(
        cls, identity: Identity, guard: Guard, timeout: timedelta, threads: int, rooms: Rooms
    ) -> "Connection":
        """Make a connection; nothing is sent yet.

        Args:
            identity: where to, and with what.
            guard: says which addresses may be asked.
            timeout: bounds the wait for an answer, and again the reading of it.
            threads: queries that run at a time for one namespace.
            rooms: room for answers, which all connections share.

        """
        if not identity.verify_tls:
            # Whoever wrote the template has said so; a warning per query tells nobody more.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        short = _session(identity, guard, timeout, LONGEST_NUMBER, rooms)
        long = _session(identity, guard, timeout, LONGEST_LIST, rooms)
        return cls(
            _client(identity, timeout, short, "GET"),
            _client(identity, timeout, long, "POST"),
            (short, long),
            Places(per_owner=threads, total=_ASKERS * threads),
            ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="prometheus"),
        )

    def retire(self) -> None:
        """Take no more queries, and close when the last thread is done."""
        for session in self.sessions:
            self.threads.submit(session.close)
        self.threads.shutdown(wait=False)


def _session(
    identity: Identity, guard: Guard, timeout: timedelta, size: int, rooms: Rooms
) -> BoundedSession:
    session = BoundedSession(guard, seconds=timeout.total_seconds(), size=size, rooms=rooms)
    session.verify = identity.verify_tls
    session.headers.update(dict(identity.headers))
    session.auth = Credentials(
        username=identity.username, password=identity.password, token=identity.token
    )
    return session


def _client(
    identity: Identity, timeout: timedelta, session: BoundedSession, method: str
) -> PrometheusConnect:
    return PrometheusConnect(
        url=identity.address,
        session=session,
        timeout=timeout.total_seconds(),
        method=method,
    )


# --- from a spec ------------------------------------------------------------------------------


def identify(spec: ProviderSpec) -> Identity:
    """Read a spec.

    Raises:
        ProviderError: its address is none, or its Secret has not what is needed.

    """
    try:
        url = urlsplit(spec.address.strip())
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        usable, url = False, urlsplit("")
    if not usable or url.query or url.fragment:
        raise ProviderError(
            f"the provider's address is no URL of a Prometheus{_named(url)}; write it as "
            "http://prometheus.monitoring:9090"
        )
    return Identity(
        address=shown(url).rstrip("/"),
        headers=tuple(sorted((name, ", ".join(values)) for name, values in spec.headers.items())),
        verify_tls=spec.verify_tls,
        **_credentials(spec.secret, url),
    )


def _credentials(secret: Mapping[str, str], url: SplitResult) -> dict[str, str]:
    # Files that Secrets are made from end in a newline more often than not.
    given = {key: value.strip() for key, value in secret.items()}
    if given.get("token"):
        return {"token": given["token"]}
    if given.get("username") and "password" in given:
        return {"username": given["username"], "password": given["password"]}
    if given:
        raise ProviderError(
            f"the Secret for Prometheus at {shown(url)} has neither the key token nor the keys "
            "username and password; add them, or take secretRef out of the MetricTemplate"
        )
    return {"username": unquote(url.username or ""), "password": unquote(url.password or "")}


def shown(url: SplitResult) -> str:
    """Return the address without what may be secret in it."""
    return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _named(url: SplitResult) -> str:
    return f" ({shown(url)})" if url.netloc else ""
