"""Plays a story with something done to its writes or watches, and looks at what is left."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from runtime.resources import EVENTS
from tests.fakes.loop import ImpatientLoop
from tests.harness.client import Gate, Write
from tests.harness.ears import Ears, Hearing
from tests.harness.faults import Fault, Recorder, Trap
from tests.harness.ledger import Ledger
from tests.harness.stage import Stage
from tests.harness.stories import PATIENT, STORIES, Story

MOST: float = 1200.0
"""Seconds that a story may take, of the time that passes at once."""
EVERY: Final = 4
RARELY: Final = 12
"""Every how-manyth write has its turn where not all of them have: of all, and of events."""


@dataclass(frozen=True, slots=True)
class Point:
    """One write of a story, and what is done to it."""

    story: Story
    number: int
    fault: Fault
    times: int = 1

    def __str__(self) -> str:
        again = f", {self.times} times" if self.times > 1 else ""
        return f"{self.story.name}[{self.number}]: {self.fault.value}{again}"


def writes_of(story: Story) -> list[Write]:
    """Return all writes of a story in which nothing goes wrong."""
    recorder = Recorder()
    play(story, lambda _: recorder)
    return recorder.writes


def try_out(point: Point) -> str:
    """Play a story with a fault; return what is wrong in the end, "" for nothing."""

    def gate(stage: Stage) -> Gate:
        return Trap(point.number, point.fault, stage.installation.kill, times=point.times)

    return _told(lambda: play(point.story, gate))


def hear(story: Story, hearing: Hearing) -> str:
    """Play a story with other watches; return what is wrong in the end, "" for nothing."""

    def ears(stage: Stage) -> None:
        stage.ears = lambda: Ears(stage.api, hearing=hearing)

    return _told(lambda: play(story, lambda _: Recorder(), ears))


def points_of(story: Story, writes: Sequence[Write]) -> list[Point]:
    """Return everything that is tried with a story."""
    return [Point(story, number, fault) for number in range(len(writes)) for fault in Fault]


def some_points_of(story: Story, writes: Sequence[Write]) -> list[Point]:
    """Return a fault for a part of a story's writes: all kinds of both, each with others each time.

    Of the events, which are every other write and are all written alike, fewer have their turn.
    """
    faults, found = tuple(Fault), []
    first = STORIES.index(story)
    others = [number for number, write in enumerate(writes) if write.resource != EVENTS]
    events = [number for number, write in enumerate(writes) if write.resource == EVENTS]
    chosen = [*others[first % EVERY :: EVERY], *events[first % RARELY :: RARELY]]
    for turn, number in enumerate(sorted(chosen)):
        found.append(Point(story, number, faults[(turn + first) % len(faults)]))
    return found


def _told(run: Callable[[], None]) -> str:
    try:
        run()
    except (AssertionError, TimeoutError) as failure:
        return str(failure) or repr(failure)
    return ""


def play(
    story: Story,
    gate: Callable[[Stage], Gate] = lambda _: Recorder(),
    prepare: Callable[[Stage], None] = lambda _: None,
) -> None:
    """Play a story; without a gate no write goes wrong.

    Raises:
        AssertionError: it does not end as it should, or something was wrong on the way.

    """

    async def played() -> None:
        stage = Stage(**story.stage)
        ledger = Ledger(stage, story.never)
        stage.gate = gate(stage)
        prepare(stage)
        async with asyncio.timeout(MOST), stage.playing():
            await story.plays(stage)
            await stage.until(f"the end of {story.name}", lambda: story.is_over(stage))
            await stage.wait(PATIENT)
            assert story.is_over(stage), f"it did not stay so: {stage.summary()}"
        ledger.settle()
        assert ledger.released == dict(story.released), dict(ledger.released)

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    loop = ImpatientLoop()
    try:
        loop.run_until_complete(played())
    except BaseExceptionGroup as group:
        raise _first(group) from group
    finally:
        loop.close()
        structlog.reset_defaults()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
