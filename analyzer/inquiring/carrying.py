"""Carries out one question, come what may: whatever an adapter does, there is an answer."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import structlog

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
        try:
            async with asyncio.timeout(longest.total_seconds()):
                answer = await self._ask(inquiry)
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            # Not of this question: of something that the adapter waited for.
            log.warning("question failed", ask=inquiry.ask, why="cancelled from within")
            return _unanswered(inquiry, "what was to answer has been cancelled"), Ending.ERROR
        except TimeoutError:
            log.warning("question failed", ask=inquiry.ask, why="out of time")
            why = f"no answer within {format_duration(longest)}"
            return _unanswered(inquiry, why), Ending.ERROR
        except Exception as error:
            cause = _first(error)
            expected = isinstance(cause, ApiError)
            log.warning("question failed", ask=inquiry.ask, why=repr(cause), exc_info=not expected)
            return _unanswered(inquiry, f"{type(cause).__name__}: {cause}"), Ending.ERROR
        return answer, _outcome(answer)

    async def _ask(self, inquiry: Inquiry) -> Answer:
        match inquiry:
            case MetricsInquiry(ask=check):
                samples = await self._metrics.ask(inquiry.queries, baselines=check.baselines)
                return MetricsAnswer(ask=check, samples=samples)
            case HookInquiry(ask=call):
                result = await self._hooks.call(inquiry.hook, inquiry.payload)
                return HookAnswer(ask=call, ok=result.ok, message=result.message)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


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
            return HookAnswer(ask=call, ok=False, message=f"hook {call.hook} has no answer: {why}")
        case MetricsInquiry(ask=check, queries=queries):
            samples = tuple(Sample(metric=query.metric, problem=why) for query in queries)
            return MetricsAnswer(ask=check, samples=samples)


def _first(error: Exception) -> Exception:
    """Return the first error of a group, which is what went wrong; others followed from it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
