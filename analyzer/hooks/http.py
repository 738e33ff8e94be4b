"""Hooks over HTTP, as Flagger calls them: a JSON payload by POST, success up to status 202."""

import asyncio
import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from yarl import URL

from analyzer.urls import shown
from canary.durations import format_duration
from canary.model.strategy import Hook
from canary.model.world import HookResult
from runtime.backoff import Backoff

_LAST_SUCCESS: Final = 202
"""Flagger's rule (its `CallWebhook`): a hook has passed unless its status is above this one."""
_SHOWN: Final = 256
"""Characters of a failed hook's answer that the message quotes."""
_KEEPS_METHOD: Final = frozenset({307, 308})
"""Redirects after which the request is the same (RFC 9110 section 15.4); others make it a GET."""
_MAX_REDIRECTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """How one try ended; `again` is whether another one could end differently."""

    ok: bool
    message: str = ""
    again: bool = False


class HttpHookCaller:
    """Calls hooks by HTTP POST.

    A try that met no answer, 429 or a fault of the server (5xx but 501) is repeated as often as the
    hook's `retries` say, after a jittered delay; any other status is the hook's word. A redirect is
    followed within the same origin, and only where it keeps the POST.

    Args:
        session: makes the connections; closed by whoever made it.
        first_delay: the longest that the first retry waits, in seconds.
        longest_delay: the longest that any retry waits, in seconds.

    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        first_delay: float = 1.0,
        longest_delay: float = 10.0,
    ) -> None:
        self._session = session
        self._first_delay = first_delay
        self._longest_delay = longest_delay

    async def call(self, hook: Hook, payload: Mapping[str, Any]) -> HookResult:
        """POST the payload; never raises for what the other side does wrong.

        Args:
            hook: what to call; its `timeout` bounds each try by itself.
            payload: `{name, namespace, phase, checksum}`; the hook's own metadata is added unless
                the payload brings one.

        """
        body = {"metadata": dict(hook.metadata), **payload}
        backoff = Backoff(first=self._first_delay, cap=self._longest_delay)
        answer = await self._try(hook, body)
        tries = 1
        while answer.again and tries <= hook.retries:
            await asyncio.sleep(backoff.next())
            answer = await self._try(hook, body)
            tries += 1
        if answer.ok:
            return HookResult(hook=hook, ok=True)
        after = f" (after {tries} tries)" if tries > 1 else ""
        message = f"hook {hook.name}, POST {shown(hook.url)}: {answer.message}{after}"
        return HookResult(hook=hook, ok=False, message=message)

    async def _try(self, hook: Hook, body: Mapping[str, Any]) -> _Answer:
        try:
            async with asyncio.timeout(hook.timeout.total_seconds()):
                return await self._post(hook, body)
        except TimeoutError:
            reason = f"no answer within {format_duration(hook.timeout)}"
            return _Answer(ok=False, message=reason, again=True)
        # Before ValueError, which it is too.
        except aiohttp.ClientConnectorCertificateError as error:
            reason = f"its certificate is not trusted ({error.certificate_error}); see disableTLS"
            return _Answer(ok=False, message=reason)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError):
            return _Answer(ok=False, message="not a URL that can be called; it begins with http://")
        except aiohttp.ClientError as error:
            return _Answer(ok=False, message=_reason(error), again=True)

    async def _post(self, hook: Hook, body: Mapping[str, Any]) -> _Answer:
        url = URL(hook.url)
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._session.post(
                url,
                json=body,
                # Calls are a minute apart: a kept connection is one that the other side closes
                # just as the next call is written, and a POST cannot be repeated on suspicion.
                headers={"Connection": "close"},
                ssl=hook.verify_tls,
                allow_redirects=False,
                # Not the session's: the deadline of a try is the hook's.
                timeout=aiohttp.ClientTimeout(),
            ) as response:
                if response.status <= _LAST_SUCCESS:
                    return _Answer(ok=True)
                if "Location" not in response.headers:
                    return await _failure(response)
                target = _next_url(response)
                if target is None:
                    return _not_followed(response)
                url = target
        return _Answer(ok=False, message=f"redirects more than {_MAX_REDIRECTS} times")


def _next_url(response: aiohttp.ClientResponse) -> URL | None:
    try:
        target = response.url.join(URL(response.headers["Location"]))
        same = target.origin() == response.url.origin()
    except ValueError:
        return None
    return target if same and response.status in _KEEPS_METHOD else None


def _not_followed(response: aiohttp.ClientResponse) -> _Answer:
    to = shown(response.headers["Location"])
    message = f"answered {response.status}, a redirect to {to}, which is not followed"
    return _Answer(ok=False, message=f"{message}: let the hook name the final URL")


async def _failure(response: aiohttp.ClientResponse) -> _Answer:
    text = await _beginning(response)
    status = f"answered {response.status}"
    return _Answer(
        ok=False,
        message=f"{status}: {text}" if text else f"{status} {response.reason or ''}".rstrip(),
        again=response.status == 429 or (response.status >= 500 and response.status != 501),  # noqa: PLR2004
    )


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """Return the beginning of the body as one line, without reading more of it than that."""
    read = bytearray()
    async for chunk in response.content.iter_chunked(_SHOWN * 4):
        read += chunk
        if len(read) >= _SHOWN * 4:
            break
    line = " ".join(bytes(read).decode("utf-8", "replace").split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def _reason(error: aiohttp.ClientError) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} does not resolve"
        case aiohttp.ClientConnectorSSLError():
            return "no TLS connection: the other side speaks none, or none that is accepted"
        case aiohttp.ClientConnectorError():
            return f"no connection: {os.strerror(error.os_error.errno or errno.EIO)}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
        case _:
            return f"no usable answer ({type(error).__name__})"
