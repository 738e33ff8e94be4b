"""Reviews of the objects that teams write: judged beside the loop, and never in anybody's way.

A query takes a parser and some matching, up to a tenth of a second, and the loop gates updates
meanwhile. So objects are judged in a thread of their own, one after the other; what is too large,
too late or one too many passes with a warning, for the analyzer judges it again before it holds.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiohttp import web

from canary.model.values import Json
from canary.validation.objects import KINDS, check
from canary.validation.verdict import InTime, Terms, Verdict
from webhook.intake import Intake, too_many_values, uid_of
from webhook.review import BadReview, Review, denied, identity, passed, read_review

MOST_BYTES: Final = 1024 * 1024
"""Of a review, with both objects in it: a Canary has 2 to 30 kB."""
MOST_VALUES: Final = 50_000
MOST_WAITING: Final = 8
SECONDS: Final = 1.0
"""Half of what the API server waits (`timeoutSeconds`)."""
READING_SECONDS: Final = 0.1
"""After which no further query of an object is read."""
MOST_SAID: Final = 20
"""Problems that a refusal lists."""
_SHOWN: Final = 600
"""Characters of one of them."""

log = structlog.get_logger("webhook")
_Answer = tuple[bytes, str]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Entrance = Callable[[str, Intake, Callable[[bytes], Awaitable[_Answer]]], _Handler]


@dataclass(slots=True)
class Objects:
    """Judges objects in a thread.

    Args:
        terms: the admin's.
        seconds: within which a review is answered.
        judge: judges a write: resource, old object, new object, the terms, whether there is time.

    """

    terms: Terms
    seconds: float = SECONDS
    judge: Callable[[str, Json | None, Json, Terms, InTime], Verdict] = check
    _thread: ThreadPoolExecutor = field(
        init=False, default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="objects")
    )
    _waiting: int = field(init=False, default=0)

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """Have the thread while the application is served."""
        yield
        self._thread.shutdown(wait=False, cancel_futures=True)

    def answering(self, resource: str) -> Callable[[bytes], Coroutine[Any, Any, _Answer]]:
        """Return what answers the reviews of a resource."""

        async def answer(body: bytes) -> _Answer:
            if len(body) > MOST_BYTES or too_many_values(body, MOST_VALUES):
                log.warning("object too large to check", path=resource, bytes=len(body))
                return _unchecked(uid_of(body), "it is too large"), "too-large"
            try:
                review = read_review(body, needs_spec=False)
            except BadReview as error:
                log.warning("review unreadable", path=resource, error=str(error))
                return _unchecked(error.uid, str(error)), "unreadable"
            return await self._answered(resource, review)

        return answer

    async def _answered(self, resource: str, review: Review) -> _Answer:
        try:
            verdict = await self._judged(resource, review)
        except TimeoutError:
            log.warning("object not checked in time", path=resource, **identity(review))
            return _unchecked(review.uid, "others are checked just now"), "late"
        except Exception:
            log.exception("object not checked", path=resource, **identity(review))
            return _unchecked(review.uid, "that failed, as the webhook's log says"), "error"
        outcome = "refused" if verdict.refused else "warned" if verdict.warnings else "passed"
        log.info("review", path=resource, outcome=outcome, **identity(review))
        if verdict.refused:
            return denied(review.uid, _refusal(resource, verdict.refused)), outcome
        return passed(review.uid, tuple(f"headgate: {it}" for it in verdict.warnings)), outcome

    async def _judged(self, resource: str, review: Review) -> Verdict:
        """Have an object judged.

        Raises:
            TimeoutError: there was no time for it.

        """
        if self._waiting >= MOST_WAITING:
            raise TimeoutError
        self._waiting += 1
        try:
            async with asyncio.timeout(self.seconds):
                return await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._judge, resource, review
                )
        finally:
            self._waiting -= 1

    def _judge(self, resource: str, review: Review) -> Verdict:
        until = time.monotonic() + READING_SECONDS
        try:
            return self.judge(
                resource, review.old, review.new, self.terms, lambda: time.monotonic() < until
            )
        except Exception:
            raise
        except BaseException as error:
            # A panic of the parser's is no end of the process.
            raise RuntimeError(repr(error)) from error


def add_objects(app: web.Application, terms: Terms, entrance: Entrance) -> None:
    """Answer the reviews of all kinds, each at a path that is called after its resource.

    Args:
        app: the application.
        terms: the admin's.
        entrance: the way from a connection to what answers and back.

    """
    # Places of their own: however many are written, updates are gated.
    objects, intake = Objects(terms), Intake()
    app.cleanup_ctx.append(objects.running)
    for resource in KINDS:
        handler = entrance(resource, intake, objects.answering(resource))
        app.router.add_post(f"/{resource}", handler)


def _unchecked(uid: str, why: str) -> bytes:
    said = f"headgate: this object was not checked: {why}; its status says what is wrong with it"
    return passed(uid, (said,))


def _refusal(resource: str, problems: tuple[str, ...]) -> str:
    shown = [one if len(one) <= _SHOWN else f"{one[:_SHOWN]}..." for one in problems[:MOST_SAID]]
    if left := len(problems) - len(shown):
        shown.append(f"and {left} more")
    if len(shown) == 1:
        return f"headgate: {shown[0]}"
    return "\n- ".join((f"headgate: this is wrong with it ({resource}):", *shown))
