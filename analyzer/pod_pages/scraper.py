"""Raw counters from a pod's own page of metrics, without a Prometheus between."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Final

import aiohttp

from analyzer.http import open_session, shown
from analyzer.places import Places
from analyzer.pod_pages.exposition import (
    TooManyError,
    read_openmetrics,
    read_text,
)
from analyzer.ports import ProviderError
from canary.counting.series import Series
from canary.durations import format_duration

_MIB: Final = 1024 * 1024
_CHUNK: Final = 64 * 1024
_HEADERS: Final = {
    # Text first: it is read more cheaply, and tells the counters just as well.
    "Accept": "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5",
    # What is compressed can be a thousand times as long as what was read of it.
    "Accept-Encoding": "identity",
}
_READERS: Final[Mapping[str, Callable[[bytearray, frozenset[str]], tuple[Series, ...]]]] = {
    "text/plain": read_text,
    "application/openmetrics-text": read_openmetrics,
}
_ADVICE: Final = {
    401: "let its metrics be read without credentials",
    403: "let its metrics be read without credentials",
    404: "see whether the port and the path are those of its metrics",
}
_TIMEOUT: Final = timedelta(seconds=1)
_CONNECTIONS: Final = 4096
"""At a time: every run that is followed may read a page, and some runs more."""
_SMALL: Final = 128 * 1024
"""Bytes that every page may have."""
_LARGE_OF_AN_OWNER: Final = 3
_LARGE_AT_ONCE: Final = 8
"""Pages of more than that, whoever has them; the others wait where they are."""
_SHOWN: Final = 64
"""Characters of a header's value that a message quotes."""


@asynccontextmanager
async def open_scraper(within: timedelta = _TIMEOUT) -> AsyncIterator["PodScraper"]:
    """Give a scraper with connections of its own, of which nothing else can take any.

    No pod's cookies are kept, and no proxy is asked: pods are next door.

    Args:
        within: bounds one page, from the connection to its last byte.

    """
    # Whoever scrapes has places for fewer pages; no limit of the pool comes before them.
    async with open_session(connections=_CONNECTIONS) as session:
        scraper = PodScraper(session, timeout=within)
        try:
            yield scraper
        finally:
            scraper.close()


class PodScraper:
    """Reads pages of metrics, in the Prometheus text format or OpenMetrics.

    Redirects are not followed: a pod must not send the analyzer to an address of its choice.

    Args:
        session: makes the connections; closed by whoever made it.
        timeout: bounds one page, from the connection to its last byte.
        size: the longest page, in bytes.

    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        timeout: timedelta = _TIMEOUT,
        size: int = 4 * _MIB,
    ) -> None:
        self._session = session
        self._timeout = timeout
        self._size = size
        # One thread: the parsers hold the interpreter, a second would finish nothing sooner, and
        # make the loop wait longer for its turn. Its own: the loop's may be waiting for names that
        # do not resolve.
        self._parsing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pages")
        self._turns = Places[str](per_owner=1, total=1, strict=True)
        self._large = Places[str](per_owner=_LARGE_OF_AN_OWNER, total=_LARGE_AT_ONCE, strict=True)

    async def scrape(self, url: str, names: frozenset[str], owner: str = "") -> tuple[Series, ...]:
        """Return the page's series with these sample names, without timestamps and exemplars.

        Args:
            url: of the page, such as `http://10.0.0.7:8080/metrics`.
            names: as the page writes them: `http_requests_total`, and for a histogram
                `http_request_duration_seconds_bucket` and the like.
            owner: whose page it is; each has its turn at parsing, and a share of what is read.

        Raises:
            ProviderError: the page cannot be had, or is no page of metrics.

        """
        try:
            async with AsyncExitStack() as room:
                kind, body = await self._fetch(url, owner, room)
                await room.enter_async_context(self._turns.take(owner))
                # A wanted line takes some 50 us: a hundred of them would hold up the loop.
                return await asyncio.get_running_loop().run_in_executor(
                    self._parsing, _READERS[kind], body, names
                )
        except TimeoutError as error:
            what = (
                f"has not given its metrics within {format_duration(self._timeout)}; see whether "
                "it is overloaded, or let it expose fewer series"
            )
            raise _unread(url, what) from error
        except aiohttp.ClientError as error:
            raise _unread(url, _reason(error)) from error
        except TooManyError as error:
            raise _unread(url, f"has more than {error}; let them have fewer labels") from error
        except ValueError as error:
            what = "gives a page that cannot be parsed; mend what promtool check metrics says of it"
            raise _unread(url, what) from error

    def close(self) -> None:
        """Parse no more pages."""
        self._parsing.shutdown(wait=False, cancel_futures=True)

    async def _fetch(self, url: str, owner: str, room: AsyncExitStack) -> tuple[str, bytearray]:
        """Return the content type and the whole page, with room for it until it is parsed."""
        async with (
            asyncio.timeout(self._timeout.total_seconds()) as deadline,
            self._session.get(
                url,
                headers=_HEADERS,
                allow_redirects=False,
                # Not the session's: the deadline of a page is the scraper's.
                timeout=aiohttp.ClientTimeout(),
            ) as response,
        ):
            if fault := _fault(response):
                raise _unread(url, fault)
            body = await self._read(response.content, _SMALL)
            if len(body) > _SMALL:
                await _waiting(deadline, room.enter_async_context(self._large.take(owner)))
                body += await self._read(response.content, self._size - len(body))
            if len(body) > self._size:
                what = f"has more than {self._size / _MIB:g} MiB of metrics"
                raise _unread(url, f"{what}; let it expose fewer series")
            return response.content_type, body

    @staticmethod
    async def _read(content: aiohttp.StreamReader, size: int) -> bytearray:
        """Return what comes, until it is more than that."""
        body = bytearray()
        async for chunk in content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > size:
                break
        return body


async def _waiting(deadline: asyncio.Timeout, turn: Awaitable[object]) -> None:
    """Wait for what is no fault of the other side: its time goes on afterwards."""
    if deadline.expired():
        await asyncio.sleep(0)  # where it ends
    loop, ends = asyncio.get_running_loop(), deadline.when()
    left = None if ends is None else ends - loop.time()
    deadline.reschedule(None)
    await turn
    deadline.reschedule(None if left is None else loop.time() + left)


def _fault(response: aiohttp.ClientResponse) -> str:
    """Return what is wrong with an answer by its status and headers, in words."""
    if response.status // 100 == 3:  # noqa: PLR2004
        return f"answers {response.status}, a redirect, which is not followed; {_ADVICE[404]}"
    if response.status != 200:  # noqa: PLR2004
        advice = _ADVICE.get(response.status, "see its logs")
        return f"answers {response.status}; {advice}"
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        return f"compresses its metrics ({encoding[:_SHOWN]}) unasked; let it send them as they are"
    if response.content_type not in _READERS:
        kind = response.headers.get("Content-Type", "none")[:_SHOWN]
        return (
            f"gives no metrics (Content-Type {kind}); see whether the port and the path are those "
            "of its metrics, and let them be in the Prometheus text format or OpenMetrics"
        )
    return ""


def _reason(error: aiohttp.ClientError) -> str:
    match error:
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return "cannot be asked: that is no URL; write it as http://10.0.0.7:8080/metrics"
        case aiohttp.ClientConnectorCertificateError():
            return "has a certificate that is not trusted; let its metrics be read over http"
        case aiohttp.ClientResponseError():
            return "gives what is no HTTP, or compressed in a way that nobody asked for; mend that"
        case aiohttp.ClientConnectorDNSError():
            why = "the name does not resolve"
        case aiohttp.ClientConnectorSSLError():
            why = "it speaks no TLS, or none that is accepted"
        case aiohttp.ClientConnectorError():
            why = os.strerror(error.os_error.errno or errno.EIO)
        case _:
            why = "the connection broke"
    return f"cannot be reached ({why}); see whether it runs and serves its metrics at that port"


def _unread(url: str, what: str) -> ProviderError:
    return ProviderError(f"the pod at {shown(url)} {what}")
