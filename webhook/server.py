"""The review server: a path for each kind of write, one guard.

The guard is one of the few places with a broad `except`: an error of ours must neither let an
update through ungated nor block a team, so the write is held and the analyzer looks at it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Self

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram

from canary.admission.creations import Creation, admit_creation, bare_creation
from canary.admission.facts import Allowed, Answer, Write
from canary.admission.routes import RouteWrite, admit_route, admit_route_creation
from canary.admission.targets import admit, bare_hold
from canary.model.canary_labels import finding
from canary.model.values import Json
from webhook.clients import Clients
from webhook.doors import Doors
from webhook.intake import MAX_BODY, MAX_VALUES, Intake, too_many_values, uid_of
from webhook.objects import add_objects
from webhook.review import (
    BadReview,
    Review,
    answer_route,
    answer_write,
    denied,
    identity,
    read_review,
)
from webhook.settings import Settings

log = structlog.get_logger("webhook")


@dataclass(frozen=True, slots=True)
class Metrics:
    """What the webhook counts."""

    reviews: Counter
    seconds: Histogram

    @classmethod
    def create(cls, registry: CollectorRegistry) -> Self:
        """Register the metrics."""
        return cls(
            reviews=Counter(
                "headgate_webhook_reviews",
                "Admission reviews by path and outcome.",
                ["path", "outcome"],
                registry=registry,
            ),
            seconds=Histogram(
                "headgate_webhook_review_duration_seconds",
                "Time from the request's body to its answer.",
                ["path"],
                buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1),
                registry=registry,
            ),
        )


TOO_MANY: Final = (
    f"headgate: object and oldObject have more than {MAX_VALUES} values in all, which is more than "
    "Headgate reads; move what is generated into a ConfigMap or a volume"
)
Judge = Callable[[Review], tuple[bytes, str]]
_BEGINNINGS: Final = frozenset({"held", "superseded"})
"""Outcomes after which a run begins."""


def create_app(
    settings: Settings,
    metrics: Metrics,
    *,
    intake: Intake | None = None,
    doors: Doors | None = None,
    clients: Clients | None = None,
) -> web.Application:
    """Return the application that answers reviews.

    Args:
        settings: the webhook's settings.
        metrics: where reviews are counted.
        intake: reads the bodies.
        doors: those of the listener that the application is served at.
        clients: who may ask, everybody where it is left out.

    """
    entrance = _Entrance(doors or Doors(), metrics, clients or Clients())
    taking = intake or Intake()

    def judge_target(review: Review) -> tuple[bytes, str]:
        answer = decide(review)
        return answer_write(review.uid, review.new, answer), answer.outcome

    def decide(review: Review) -> Answer:
        if review.old is None:
            return admit_creation(Creation(new=review.new))
        write = Write(old=review.old, new=review.new, user=review.user)
        return _forewarned(admit(write, settings.allowances), review.new)

    def judge_route(review: Review) -> tuple[bytes, str]:
        by_analyzer = review.user == settings.analyzer_user
        if review.old is None:
            answer = admit_route_creation(review.new, by_analyzer=by_analyzer)
        else:
            write = RouteWrite(old=review.old, new=review.new, by_analyzer=by_analyzer)
            answer = admit_route(write)
        return answer_route(review.uid, review.new, answer), answer.outcome

    app = web.Application(client_max_size=MAX_BODY)
    for path, judge, fallback in (
        ("targets", judge_target, _hold),
        ("routes", judge_route, _pass),
    ):
        answer = partial(_at_once, path, judge, fallback)
        app.router.add_post(f"/{path}", entrance.handler(path, taking, answer))
    add_objects(app, settings.terms, entrance.handler)
    return app


def _forewarned(answer: Answer, new: Json) -> Answer:
    """Say of what is held whether it can have no canary, as far as the Deployment shows it."""
    if not isinstance(answer, Allowed) or answer.outcome not in _BEGINNINGS:
        return answer
    why = finding(new)
    return replace(answer, warnings=(*answer.warnings, f"headgate: {why}")) if why else answer


def _hold(review: Review) -> bytes:
    """Hold an update; a creation has nothing that would serve meanwhile, and passes."""
    created = review.old is None
    answer = bare_creation(review.new) if created else bare_hold(review.name)
    return answer_write(review.uid, review.new, answer)


def _pass(review: Review) -> bytes:
    """Let the route through: the analyzer puts a lost split back."""
    return answer_write(review.uid, review.new, Allowed(outcome="error"))


@dataclass(frozen=True, slots=True)
class _Entrance:
    """The way from a connection to a judge and back."""

    doors: Doors
    metrics: Metrics
    clients: Clients

    def handler(
        self, path: str, intake: Intake, answering: Callable[[bytes], Awaitable[tuple[bytes, str]]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return what answers the reviews of a path.

        Args:
            path: what they are counted under.
            intake: reads their bodies.
            answering: from a body to an answer and its outcome.

        """
        seconds = self.metrics.seconds.labels(path)

        async def handle(request: web.Request) -> web.StreamResponse:
            self.doors.asks(request)
            try:
                self.clients.check(request)
                async with intake.body(request) as body:
                    with seconds.time():
                        answer, outcome = await answering(body)
            except web.HTTPError as error:
                self.metrics.reviews.labels(path, "not-taken").inc()
                log.warning("review not taken", path=path, error=error.text)
                raise
            finally:
                self.doors.answered(request)
            self.metrics.reviews.labels(path, outcome).inc()
            response = web.Response(body=answer, content_type="application/json")
            if self.clients.outlived(request):
                response.force_close()
            return response

        return handle


async def _at_once(
    path: str, judge: Judge, fallback: Callable[[Review], bytes], body: bytes
) -> tuple[bytes, str]:
    if too_many_values(body):
        log.warning("review too large", path=path, bytes=len(body), request_uid=uid_of(body))
        return denied(uid_of(body), TOO_MANY, code=413), "too-large"
    try:
        review = read_review(body)
    except BadReview as error:
        log.warning("review unreadable", path=path, error=str(error), request_uid=error.uid)
        return denied(error.uid, str(error), code=400), "unreadable"
    try:
        answer, outcome = judge(review)
    except Exception:
        answer, outcome = fallback(review), "error"
        log.exception("review failed", path=path, **identity(review))
        return answer, outcome
    log.info("review", path=path, outcome=outcome, dry_run=review.dry_run, **identity(review))
    return answer, outcome
