"""Carries out one question, come what may: whatever an adapter does, there is an answer."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import structlog

from analyzer.guards import guarded
from analyzer.ports import Asker, HookCaller, HookInquiry, Inquiry, MetricsInquiry
from canary.durations import format_duration
from canary.model.asking import Answer, HookAnswer, MetricsAnswer, Sample
from runtime.errors import ApiError

log = structlog.get_logger("analyzer")


class Ending(StrEnum):
    """How a question ended: `FAILURE` is an answer too, `ERROR` is none that was given."""

    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """When an adapter that keeps no deadline of its own is given up.

    `check` is for all metrics of a check: each asks some queries, one after the other, of a server
    that has a few seconds for each. `slack` is what a try of a hook may take beyond its timeout:
    the wait between two tries.
    """

    check: timedelta = timedelta(minutes=2)
    slack: timedelta = timedelta(minutes=1)

    def of(self, inquiry: Inquiry) -> timedelta:
        """Return how long a question may be out."""
        match inquiry:
            case MetricsInquiry():
                return self.check
            case HookInquiry(hook=hook):
                return (hook.timeout + self.slack) * (hook.retries + 1)


class Carrier:
    """Carries out questions, one at a time for each caller.

    Args:
        hooks: calls hooks.
        metrics: asks for metrics.
        deadlines: for adapters that keep none.

    """

    def __init__(self, hooks: HookCaller, metrics: Asker, deadlines: Deadlines) -> None:
        self._hooks = hooks
        self._metrics = metrics
        self._deadlines = deadlines

    async def carry_out(self, inquiry: Inquiry) -> tuple[Answer, Ending]:
        """Return the answer to a question, which says why where there is none.

        The guard per question: an adapter may fail in any way, and neither another question nor the
        process is hurt.
        """
        longest = self._deadlines.of(inquiry)
        failed: list[BaseException] = []
        with guarded(failed.append):
            async with asyncio.timeout(longest.total_seconds()):
                answer = await self._ask(inquiry)
            return answer, _outcome(answer)
        why = _told(inquiry, failed[0], longest)
        return _unanswered(inquiry, why), Ending.ERROR

    async def _ask(self, inquiry: Inquiry) -> Answer:
        match inquiry:
            case MetricsInquiry(ask=check):
                samples = await self._metrics.ask(inquiry.queries, baselines=check.baselines)
                return MetricsAnswer(ask=check, samples=samples)
            case HookInquiry(ask=call):
                result = await self._hooks.call(inquiry.hook, inquiry.payload)
                return HookAnswer(
                    ask=call, ok=result.ok, message=result.message, faulty=result.faulty
                )


def _told(inquiry: Inquiry, error: BaseException, longest: timedelta) -> str:
    """Say in the log, and return in words, why a question has no answer."""
    match error:
        case asyncio.CancelledError():
            # Not of this question: of something that the adapter waited for.
            log.warning("question failed", ask=inquiry.ask, why="cancelled from within")
            return "what was to answer has been cancelled"
        case TimeoutError():
            log.warning("question failed", ask=inquiry.ask, why="out of time")
            return f"no answer within {format_duration(longest)}"
        case _:
            cause = _first(error)
            shown = None if isinstance(cause, ApiError) else error
            log.warning("question failed", ask=inquiry.ask, why=repr(cause), exc_info=shown)
            return f"{type(cause).__name__}: {cause}"


def _outcome(answer: Answer) -> Ending:
    match answer:
        case HookAnswer(ok=ok):
            return Ending.SUCCESS if ok else Ending.FAILURE
        case MetricsAnswer(samples=samples):
            failed = any(sample.problem for sample in samples)
            return Ending.FAILURE if failed else Ending.SUCCESS


def _unanswered(inquiry: Inquiry, why: str) -> Answer:
    match inquiry:
        case HookInquiry(ask=call):
            message = f"hook {call.hook} has no answer: {why}"
            return HookAnswer(ask=call, ok=False, message=message, faulty=True)
        case MetricsInquiry(ask=check, queries=queries):
            samples = tuple(Sample(metric=query.metric, problem=why) for query in queries)
            return MetricsAnswer(ask=check, samples=samples)


def _first(error: BaseException) -> BaseException:
    """Return the first error of a group, which is what went wrong; others followed from it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
