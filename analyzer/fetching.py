"""Asks a metrics service one question over HTTP: bounded, and without a word of what is secret.

This is the frame of the providers that have no client library of their own: each says what is sent
and reads what comes back, and all that can go wrong between is said here, for `Canary.status`.
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
from yarl import URL

from analyzer.addresses import Guard
from analyzer.http import (
    HttpError,
    Manner,
    RedirectedError,
    Reply,
    Sent,
    UntrustedError,
    follow,
    open_session,
    shown,
    status_line,
)
from analyzer.places import Places
from analyzer.ports import ProviderError
from canary.durations import format_duration
from canary.queries.provider import ProviderSpec
from runtime.backoff import parse_retry_after
from runtime.values import too_many_values

ANSWER: Final = timedelta(seconds=10)
"""For one question, with the making of its connection and the wait for a place."""
CONNECT: Final = timedelta(seconds=5)
LONGEST: Final = 512 * 1024
"""Bytes of an answer. A day of one series at a point every 10 s has 170 000."""
MOST_VALUES: Final = 50_000
"""Values of an answer, counted before it is parsed: it is parsed at once, in a few milliseconds."""
_PER_ASKER: Final = 4
_AT_ONCE: Final = 32
"""Questions of all namespaces; each may have an answer in memory."""
_LONGEST_REST: Final = timedelta(minutes=5)
"""That a service is believed when it asks for time."""
_MOST_RESTING: Final = 1024
_QUOTED: Final = 256
"""Characters of a service's own words that a message quotes."""
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
"""What a header is made of (RFC 9110 section 5), without bytes whose meaning nobody knows."""
_OURS: Final = frozenset({"accept-encoding", "connection", "content-length", "transfer-encoding"})
"""Headers that say how an answer or a body is delimited; the client writes them."""
_OK: Final = 200
_BUSY: Final = 429
_UNAVAILABLE: Final = 503
_ADVICE: Final = {
    400: "mend the query",
    401: "see whether the Secret has the right keys",
    403: "see whether the Secret's keys may query it",
    404: "see whether the address is right",
    414: "let the query be shorter",
    422: "mend the query",
    _BUSY: "ask it less often, by a longer interval or fewer metrics",
}


def _no_words(_body: Any) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request to a metrics service.

    `service` is what messages call it, `spec` where its MetricTemplate leads to, `url` that with
    path and query. `headers` are the service's own; those of the template come before them, and
    lose where they have the same name. A `body` is sent by POST.
    """

    service: str
    spec: ProviderSpec
    url: URL = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    complaint: Callable[[Any], str] = _no_words
    """Returns the service's own words from the JSON of an answer that is no success, "" for none;
    it may fail as it likes on what is not the service's form."""

    rest_header: str = "Retry-After"
    """Says how long the service wants to be left alone, in seconds or as a date."""

    @property
    def place(self) -> str:
        """Return the service and where it is, without what may be secret."""
        # No path: some services have an account in it.
        return f"{self.service} at {shown(str(self.url.origin()))}"


class Fetcher:
    """Asks questions, each over a connection of its own.

    A service that asks for time by Retry-After is not asked with the same credentials until then.
    Nothing is tried twice: the next check asks anew.

    Args:
        guard: says which addresses may be asked.
        connect: bounds the making of a connection.
        answer: bounds a question as a whole.
        clock: the time, against which windows and dates count.

    """

    def __init__(
        self,
        guard: Guard,
        *,
        connect: timedelta = CONNECT,
        answer: timedelta = ANSWER,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.now = clock
        self._guard = guard
        self._connect = connect
        self._answer = answer
        self._places = Places[str](per_owner=_PER_ASKER, total=_AT_ONCE)
        self._resting: dict[tuple[URL, tuple[tuple[str, str], ...]], datetime] = {}

    async def json(self, question: Question) -> Any:
        """Ask, and return what the answer's JSON says; NaN and infinite numbers are such.

        Raises:
            ProviderError: there is no answer to be had, or it is no JSON.

        """
        body = await self._ask(question)
        try:
            return _parsed(body)
        except ValueError as error:
            raise ProviderError(f"{question.place} {error}") from None

    async def text(self, question: Question) -> str:
        """Ask, and return the answer as it is.

        Raises:
            ProviderError: there is no answer to be had.

        """
        return (await self._ask(question)).decode("utf-8", "replace")

    async def _ask(self, question: Question) -> bytes:
        headers = _headers(question)
        here = (question.url.origin(), tuple(sorted(headers.items())))
        self._check_rest(question, here)
        manner = Manner(verify_tls=question.spec.verify_tls, headers=headers)
        try:
            async with (
                asyncio.timeout(self._answer.total_seconds()),
                self._places.take(question.spec.asker or question.place),
            ):
                reply, body = await self._fetch(question, manner)
        except TimeoutError:
            raise ProviderError(
                f"{question.place} has not answered within {format_duration(self._answer)}; see "
                "whether it can be reached from the cluster, or make the query cheaper"
            ) from None
        except HttpError as fault:
            raise ProviderError(_unasked(question, fault)) from None
        if reply.status == _OK:
            return body
        raise ProviderError(self._refused(question, here, reply, body))

    async def _fetch(self, question: Question, manner: Manner) -> tuple[Reply, bytes]:
        async with open_session(
            connections=1, connect=self._connect, reuse=False, guard=self._guard
        ) as session:
            method = "GET" if question.body is None else "POST"
            content = {} if question.body is None else {"data": question.body}
            url = question.url
            if any(name.lower() == "authorization" for name in manner.headers):
                url = url.with_user(None)  # The client takes one of the two only.

            async def read(response: aiohttp.ClientResponse) -> tuple[Reply, bytes]:
                return await _read(response, question.rest_header)

            return await follow(session, Sent(method, url, content), manner, read)

    def _check_rest(
        self, question: Question, here: tuple[URL, tuple[tuple[str, str], ...]]
    ) -> None:
        until = self._resting.get(here)
        if until is None:
            return
        if (left := until - self.now()) > timedelta(0):
            raise ProviderError(
                f"{question.place} has answered that it is asked too often, and is not asked for "
                f"{_seconds(left)} more; {_ADVICE[_BUSY]}"
            )
        del self._resting[here]

    def _refused(
        self,
        question: Question,
        here: tuple[URL, tuple[tuple[str, str], ...]],
        reply: Reply,
        body: bytes,
    ) -> str:
        """Say what a service said, and keep in mind how long it wants to be left alone."""
        advice = _ADVICE.get(reply.status, "see its logs or its vendor's status page")
        after = None
        if reply.status in {_BUSY, _UNAVAILABLE}:
            after = parse_retry_after(reply.retry_after, self.now())
        if after:
            rest = min(timedelta(seconds=min(after, 1e6)), _LONGEST_REST)
            if len(self._resting) >= _MOST_RESTING:
                self._resting.clear()
            self._resting[here] = self.now() + rest
            advice = f"{advice}; it is asked again in {_seconds(rest)}"
        said = _own_words(question, body) or reply.reason[:_QUOTED]
        words = f": {said}" if said else ""
        return f"{question.place} answers {reply.status}{words}; {advice}"


# --- asking -----------------------------------------------------------------------------------


def base_url(service: str, spec: ProviderSpec, *, default: str = "", example: str) -> URL:
    """Return where a service is: the address of its MetricTemplate, without a slash at its end.

    Args:
        service: what messages call it.
        spec: with the address, "" for the service's own.
        default: the service's own, "" where it has none.
        example: how an address may look.

    Raises:
        ProviderError: it is no URL that can be asked.

    """
    try:
        url = URL(spec.address.strip() or default)
        usable = url.scheme in {"http", "https"} and bool(url.host) and url.port != 0
    except ValueError:
        url, usable = URL(), False
    if not usable or url.query_string or url.fragment:
        named = f" ({shown(str(url))})" if url.host else ""
        raise ProviderError(
            f"the provider's address is no URL of {service}{named}; write it as {example}"
        )
    return url.with_path(url.raw_path.rstrip("/"), encoded=True)


def credentials(service: str, spec: ProviderSpec, *names: str) -> tuple[str, ...]:
    """Return what a Secret has under some keys, without white space around it.

    Raises:
        ProviderError: there is no Secret, or one of them is not in it.

    """
    # Files that Secrets are made from end in a newline more often than not.
    found = {name: spec.secret.get(name, "").strip() for name in names}
    if missing := [name for name, value in found.items() if not value]:
        keys = " and ".join(missing)
        raise ProviderError(
            f"{service} needs {keys}, which the provider's Secret has not; name a Secret with "
            f"{'the key' if len(missing) == 1 else 'the keys'} {keys} in the MetricTemplate's "
            "secretRef"
        )
    return tuple(found.values())


def unexpected(question: Question, what: str = "") -> ProviderError:
    """Say that an answer has not the form that the service's answers have."""
    return ProviderError(
        f"what answers at {shown(str(question.url.origin()))} is not the API of "
        f"{question.service}{what}; see whether the address leads to one"
    )


def _headers(question: Question) -> dict[str, str]:
    given = {name: ", ".join(values) for name, values in question.spec.headers.items()}
    if ours := [name for name in given if name.lower() in _OURS]:
        raise ProviderError(
            f"the header {ours[0]} for {question.service} is not a template's to set; take it out "
            "of the MetricTemplate's provider"
        )
    own = {name.lower() for name in question.headers}
    kept = {name: value for name, value in given.items() if name.lower() not in own}
    headers = {**kept, **question.headers}
    sound = all(_NAME.fullmatch(it) and _VALUE.fullmatch(headers[it]) for it in headers)
    if not sound:
        raise ProviderError(
            f"the headers or credentials for {question.service} have characters that HTTP cannot "
            "carry; mend the MetricTemplate or its Secret"
        )
    return headers


# --- answers ----------------------------------------------------------------------------------


async def _read(response: aiohttp.ClientResponse, rest_header: str) -> tuple[Reply, bytes]:
    """Return an answer with its body.

    Raises:
        HttpError: it is longer than what is read of one, or packed, and may become so.

    """
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise HttpError("packs its answers, though it is asked not to")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LONGEST:
            raise HttpError(
                f"answers more than {LONGEST // 1024} KiB; let the query give one series, over a "
                "shorter time or with fewer points"
            )
    rest = response.headers.get("Retry-After", response.headers.get(rest_header))
    return replace(status_line(response), retry_after=rest), bytes(body)


def _parsed(body: bytes) -> Any:
    if too_many_values(body, MOST_VALUES):
        raise ValueError(
            f"answers more than {MOST_VALUES} values; let the query give one series, over a "
            "shorter time or with fewer points"
        )
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("answers no JSON; see whether the address leads to its API") from None


def _own_words(question: Question, body: bytes) -> str:
    """Return what the service calls its reason, if it is in its own form and shows no secret.

    Nothing else is quoted: the address is the team's to choose, and what answers there may tell
    the analyzer what it would not tell the team.
    """
    try:
        said = question.complaint(_parsed(body))
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    line = " ".join(said.split())
    secrets = (
        *question.spec.secret.values(),
        *question.headers.values(),
        question.url.password or "",
    )
    if any(secret.strip() and secret.strip() in line for secret in secrets):
        return ""
    return line if len(line) <= _QUOTED else f"{line[:_QUOTED]}..."


def _unasked(question: Question, fault: HttpError) -> str:
    match fault:
        case UntrustedError():
            advice = "; mend it, or set insecureSkipVerify in the MetricTemplate's provider"
        case RedirectedError():
            advice = "; let the provider's address be the final one"
        case _:
            advice = ""
    return f"{question.place} cannot be asked: {fault}{advice}"


def _seconds(duration: timedelta) -> str:
    return format_duration(timedelta(seconds=max(1, round(duration.total_seconds()))))
