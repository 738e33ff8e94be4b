"""Sends a message to a chat service: bounded, and without a word of where it went.

The URL of a chat service's webhook is a password. So nothing of it is in an error, nor of an answer
what may quote it.
"""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from analyzer.addresses import Guard
from analyzer.http import (
    CONNECT,
    HttpError,
    Manner,
    RedirectedError,
    Reply,
    open_session,
    post_json,
)
from analyzer.ports import AlertError
from canary.durations import format_duration
from canary.model.announcement import Post
from runtime.backoff import parse_retry_after

ANSWER: Final = timedelta(seconds=10)
"""For one message, with the making of its connection."""
_WORD: Final = re.compile(r"[a-z]+(?:_[a-z]+)+")
_ERROR: Final = re.compile(rf'"error": ?"({_WORD.pattern})"')
"""What services answer with where they refuse: `invalid_payload`, `channel_not_found`."""
_BUSY: Final = 429
_NOT_IMPLEMENTED: Final = 501
_FAULTS: Final = 500


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class Poster:
    """Sends messages, each over a connection of its own.

    Args:
        guard: says which addresses may be asked; of a proxy its own counts.
        connect: bounds the making of a connection.
        answer: bounds a message as a whole.
        clock: against which the date of a Retry-After counts.

    """

    def __init__(
        self,
        guard: Guard,
        *,
        connect: timedelta = CONNECT,
        answer: timedelta = ANSWER,
        clock: Callable[[], datetime] = _wall_clock,
    ) -> None:
        self._guard = guard
        self._connect = connect
        self._answer = answer
        self._clock = clock

    async def send(self, post: Post, proxy: str = "") -> None:
        """POST a message, once.

        Args:
            post: the request.
            proxy: URL of an HTTP proxy on the way, "" for none.

        Raises:
            AlertError: it did not arrive, as far as is known.

        """
        manner = Manner(headers=post.headers, proxy=proxy, reads_success=bool(post.refused_by))
        async with open_session(
            connections=1, connect=self._connect, reuse=False, guard=self._guard
        ) as session:
            try:
                async with asyncio.timeout(self._answer.total_seconds()):
                    reply = await post_json(session, post.url, post.body, manner)
            except TimeoutError:
                why = f"no answer within {format_duration(self._answer)}"
                raise AlertError(why, again=True) from None
            except RedirectedError:
                # Where it leads may be the address once more.
                raise AlertError("it answered with a redirect, which is not followed") from None
            except HttpError as fault:
                raise AlertError(str(fault), again=fault.again) from None
        self._judge(post, reply)

    def _judge(self, post: Post, reply: Reply) -> None:
        status = reply.status
        if status // 100 == 2:  # noqa: PLR2004
            if post.refused_by and post.refused_by in reply.text.replace(" ", ""):
                raise AlertError(f"it was refused{_word(post, reply.text)}")
            return
        busy = status == _BUSY or (status >= _FAULTS and status != _NOT_IMPLEMENTED)
        raise AlertError(
            f"answered {status}{_word(post, reply.text)}",
            again=busy,
            after=parse_retry_after(reply.retry_after, self._clock()) if busy else None,
        )


def _word(post: Post, text: str) -> str:
    """Return what the service calls its reason, where that is a plain word that is no secret."""
    plain, error = _WORD.fullmatch(text), _ERROR.search(text)
    word = plain[0] if plain else error[1] if error else ""
    secrets = (post.url, *post.headers.values())
    return f": {word}" if word and not any(word in secret for secret in secrets) else ""
