"""Learns from the stable's past how much its requests say, before the canary gets the first one."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from analyzer.gathering.limits import LESSON_DEADLINE
from analyzer.ports import HistorySource, ProviderError
from canary.counting.series import merged
from canary.evidence.dispersion import Calibration, calibrate
from canary.measuring.history import Past, histories, misdated
from canary.measuring.run import Run
from canary.measuring.watch import Lesson
from canary.queries.provider import ProviderSpec

_STEP: Final = timedelta(seconds=30)
"""Bursts of half a minute show at this step; a day of it is below what Prometheus gives at once."""


class Calibrator:
    """Asks metrics servers for the stable's past.

    Args:
        sources: metrics servers by provider type.
        clock: seconds since the epoch.

    """

    def __init__(self, sources: Mapping[str, HistorySource], clock: Callable[[], float]) -> None:
        self._sources = sources
        self._clock = clock
        # The arithmetic holds the interpreter: two at a time would finish nothing sooner, and take
        # the threads that others need.
        self._working_out = asyncio.Lock()

    async def teach(self, run: Run, specs: Mapping[str, ProviderSpec]) -> str:
        """Have a run learn from the past, a metric as soon as its counters are found.

        Each is asked for once, whatever comes of it: a day of the past is much to ask for.

        Args:
            run: whose metrics they are.
            specs: by metric: the server that has its counters.

        Returns:
            What kept it from being learned, "" where nothing did.

        """
        lessons = run.lessons()
        if not lessons:
            return ""
        run.learn(lessons, {})
        try:
            async with asyncio.timeout(LESSON_DEADLINE):
                found = await self._learn(run, lessons, specs)
        except ProviderError as error:
            return str(error)
        except TimeoutError:
            return "the stable's past cannot be read in time"
        except asyncio.CancelledError:
            run.taught -= {lesson.plan for lesson in lessons}
            raise
        run.learn(lessons, found)
        return ""

    async def _learn(
        self, run: Run, lessons: Iterable[Lesson], specs: Mapping[str, ProviderSpec]
    ) -> dict[str, Calibration]:
        """Return a calibration by plan; a metric without a past is left out."""
        found = {}
        for lesson in lessons:
            spec = specs.get(lesson.metric)
            if spec is None or spec.type not in self._sources:
                continue
            learned = await self._calibrate(run, lesson, spec, 1 / len(run.tallies))
            if learned is not None:
                found[lesson.plan] = learned
        return found

    async def _calibrate(
        self, run: Run, lesson: Lesson, spec: ProviderSpec, share: float
    ) -> Calibration | None:
        policy = run.watch.policy
        step = _STEP.total_seconds()
        steps = int(policy.history_longest / step)
        end = self._clock()
        start = end - steps * step
        past: list[Past] = []
        for query in merged(lesson.counted.selectors):
            try:
                past += await self._sources[spec.type].history(
                    spec, query, start=_time(start), end=_time(end), step=_STEP
                )
            except ProviderError as error:
                raise ProviderError(f"the stable's past cannot be read: {error}") from error
        # A day of many pods is a second of arithmetic.
        async with self._working_out:
            return await asyncio.to_thread(
                _work_out, lesson, past, start=start, steps=steps, run=run, share=share
            )


def _work_out(
    lesson: Lesson, past: list[Past], *, start: float, steps: int, run: Run, share: float
) -> Calibration | None:
    step = _STEP.total_seconds()
    if odd := misdated(past, start=start, step=step, steps=steps):
        raise ProviderError(
            f"the stable's past says nothing: {odd} of its points are of no time in it"
        )
    pods = histories(lesson.counted, past, start=start, step=step, steps=steps)
    first = min((_first(pod.requests) for pod in pods), default=steps)
    pods = [type(pod)(bad=pod.bad[first:], requests=pod.requests[first:]) for pod in pods]
    if not any(sum(pod.requests) for pod in pods):
        return None
    return calibrate(pods, step=step, policy=run.watch.policy, share=share)


def _first(requests: tuple[float, ...]) -> int:
    """Return the first step in which anything was counted: the past is as long as that."""
    return next((index for index, count in enumerate(requests) if count), len(requests))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
