"""Hooks over HTTP, as Flagger calls them: a JSON payload by POST, success up to status 202."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import aiohttp

from analyzer.addresses import Guard
from analyzer.http import (
    CONNECT,
    HttpError,
    Manner,
    RedirectedError,
    Reply,
    UntrustedError,
    open_session,
    post_json,
    shown,
)
from canary.durations import format_duration
from canary.model.strategy import Hook
from canary.model.world import HookResult
from runtime.backoff import Backoff

_BUSY: Final = 429
_FAULTS: Final = 500
_NOT_IMPLEMENTED: Final = 501
_LAST_SUCCESS: Final = 202
"""Flagger's rule (its `CallWebhook`): a hook has passed unless its status is above this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """How one try ended; `again` is whether another one could end differently.

    `faulty` is whether it is no word of the hook's.
    """

    ok: bool
    message: str = ""
    again: bool = False
    faulty: bool = True


class HttpHookCaller:
    """Calls hooks by HTTP POST, each call over connections of its own.

    A try that met no answer, 429 or a fault of the server (5xx but 501) is repeated as often as the
    hook's `retries` say, after a jittered delay; any other status is the hook's word. A redirect is
    followed within the same origin, and only where it keeps the POST. A call that is cancelled
    closes its connection.

    Args:
        guard: says which addresses may be called.
        connect: bounds the making of a connection; the hook's own timeout does so too.
        first_delay: the longest that the first retry waits, in seconds.
        longest_delay: the longest that any retry waits, in seconds.

    """

    def __init__(
        self,
        guard: Guard,
        *,
        connect: timedelta = CONNECT,
        first_delay: float = 1.0,
        longest_delay: float = 10.0,
    ) -> None:
        self._guard = guard
        self._connect = connect
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
        # A session of its own: no connection, cookie or name of one team's call is another's.
        async with open_session(
            connections=1, connect=self._connect, reuse=False, guard=self._guard
        ) as session:
            answer, tries = await self._insist(session, hook, body)
        if answer.ok:
            return HookResult(hook=hook, ok=True)
        after = f" (after {tries} tries)" if tries > 1 else ""
        message = f"hook {hook.name}, POST {shown(hook.url)}: {answer.message}{after}"
        return HookResult(hook=hook, ok=False, message=message, faulty=answer.faulty)

    async def _insist(
        self, session: aiohttp.ClientSession, hook: Hook, body: Mapping[str, Any]
    ) -> tuple[_Answer, int]:
        """Return the last answer, and how many tries it took."""
        backoff = Backoff(first=self._first_delay, cap=self._longest_delay)
        answer = await _try(session, hook, body)
        tries = 1
        while answer.again and tries <= hook.retries:
            await asyncio.sleep(backoff.next())
            answer = await _try(session, hook, body)
            tries += 1
        return answer, tries


async def _try(session: aiohttp.ClientSession, hook: Hook, body: Mapping[str, Any]) -> _Answer:
    try:
        async with asyncio.timeout(hook.timeout.total_seconds()):
            reply = await post_json(session, hook.url, body, Manner(verify_tls=hook.verify_tls))
    except TimeoutError:
        reason = f"no answer within {format_duration(hook.timeout)}"
        return _Answer(ok=False, message=reason, again=True)
    except UntrustedError as fault:
        return _Answer(ok=False, message=f"{fault}; see disableTLS")
    except RedirectedError as fault:
        return _Answer(ok=False, message=f"{fault}: let the hook name the final URL")
    except HttpError as fault:
        return _Answer(ok=False, message=str(fault), again=fault.again)
    return _read(reply)


def _read(reply: Reply) -> _Answer:
    if reply.status <= _LAST_SUCCESS:
        return _Answer(ok=True, faulty=False)
    again = reply.status == _BUSY or (reply.status >= _FAULTS and reply.status != _NOT_IMPLEMENTED)
    status = f"answered {reply.status}"
    return _Answer(
        ok=False,
        message=f"{status}: {reply.text}" if reply.text else f"{status} {reply.reason}".rstrip(),
        again=again,
        faulty=again,
    )
