"""Pages are read more often just after a weight has risen, and at once."""

import asyncio
from datetime import timedelta
from itertools import pairwise

from analyzer.gathering.pace import Pace
from analyzer.gathering.rhythm import Rhythm
from analyzer.gathering.strain import Strain
from tests.fakes.loop import ImpatientLoop

LOOP = ImpatientLoop
PACE = Pace(pods=timedelta(seconds=2), hurried=timedelta(seconds=0.25))


async def readings(rhythm: Rhythm, seconds: float) -> list[float]:
    """Return when a run would be read, in seconds from now, each reading taking no time."""
    loop = asyncio.get_running_loop()
    began, found = loop.time(), []
    while loop.time() - began < seconds:
        started = loop.time()
        found.append(round(started - began, 3))
        await rhythm.pause(started)
    return found


async def test_without_a_rise_the_usual_pace_holds() -> None:
    rhythm = Rhythm(PACE, 10)
    rhythm.shares(10)
    rhythm.shares(5)
    assert await readings(rhythm, 7) == [0, 2, 4, 6]


async def test_a_rise_ends_the_pause_and_the_pauses_grow_from_then_on() -> None:
    rhythm = Rhythm(PACE, 0)
    loop = asyncio.get_running_loop()
    loop.call_later(1.2, rhythm.shares, 10)
    found = await readings(rhythm, 40)
    assert found[:4] == [0, 1.2, 1.45, 1.7]
    pauses = [round(later - time, 2) for time, later in pairwise(found[1:])]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 2
    # No verdict is later by more than a tenth for it, and a rise costs a run a few readings.
    for time, pause in zip(found[1:], pauses, strict=False):
        assert pause <= max(0.25, (time - 1.2) / 10) + 0.01
    assert len([time for time in found if 1.2 <= time < 21.2]) <= 33


async def test_a_pace_that_is_quick_anyway_is_not_slowed_by_a_rise() -> None:
    rhythm = Rhythm(Pace(pods=timedelta(seconds=0.2)), 0)
    rhythm.shares(10)
    assert await readings(rhythm, 0.7) == [0, 0, 0.2, 0.4, 0.6]


async def test_what_takes_longer_than_a_pace_is_not_read_without_a_pause() -> None:
    rhythm = Rhythm(PACE, 0)
    loop = asyncio.get_running_loop()
    started = loop.time() - 60
    before = loop.time()
    await rhythm.pause(started)
    assert 0 < loop.time() - before <= 0.2


async def test_under_strain_every_pause_is_longer_and_it_is_said() -> None:
    strain = Strain()
    rhythm = Rhythm(PACE, 0, strain)
    assert rhythm.words == ""
    for _ in range(4):
        strain.found(1.0)
    assert await readings(rhythm, 11) == [0, 4.883, 9.766]
    assert rhythm.listing > PACE.listing.total_seconds() * 2
    assert rhythm.words == "the analyzer is busy: pods are read every 5 s instead of every 2 s"
