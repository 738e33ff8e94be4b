"""In a whole analyzer: alerts that hang or fail delay no run, and a restart sends none twice."""

import asyncio
from dataclasses import dataclass

import pytest

from analyzer.ports import AlertError
from canary.contract import Command
from canary.model.announcement import Announcement, Room
from tests.fakes.analyzer import WELL, Analyzer, Outside, analyzing
from tests.fakes.loop import ImpatientLoop

LOOP = ImpatientLoop
NEEDED = 20


@dataclass
class Trouble(Outside):
    """A chat service that takes every message and never answers, or fails."""

    fails: bool = False
    taken: int = 0

    async def say(self, room: Room, said: Announcement) -> None:
        del room, said
        self.taken += 1
        if self.fails:
            raise AlertError("answered 503", again=True, after=86_400)
        await asyncio.Event().wait()


async def comes_to(world: Analyzer, weight: int) -> float:
    """Wait until the run has a weight, and return when that was, in seconds."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(900):
        while world.routes.weights.get(WELL, 0) < weight:  # noqa: ASYNC110 - as it is in a cluster
            await asyncio.sleep(0.5)
    return loop.time()


async def taken_by(world: Analyzer) -> float:
    """Return how long a run takes to a weight, and through an abort, in seconds."""
    began = asyncio.get_running_loop().time()
    async with analyzing(world):
        world.hold(WELL)
        await comes_to(world, NEEDED)
        world.write(WELL, {"annotations": {Command.ABORT: "now"}})
        async with asyncio.timeout(60):
            while world.routes.weights.get(WELL):  # noqa: ASYNC110 - as it is in a cluster
                await asyncio.sleep(0.5)
        return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("fails", [False, True])
async def test_alerts_that_hang_or_fail_delay_no_run(*, fails: bool) -> None:
    usual = await taken_by(Analyzer())
    outside = Trouble(fails=fails)
    assert await taken_by(Analyzer(outside=outside)) == pytest.approx(usual, abs=2)
    assert outside.taken


async def test_a_restart_in_mid_run_sends_nothing_twice_and_what_comes_then_once() -> None:
    world = Analyzer()
    async with analyzing(world):
        world.hold(WELL)
        await comes_to(world, NEEDED)
    for _ in range(2):
        async with analyzing(world):
            await asyncio.sleep(5)
    async with analyzing(world):
        world.write(WELL, {"annotations": {Command.ABORT: "now"}})
        await asyncio.sleep(30)
    async with analyzing(world):
        await asyncio.sleep(30)
    reasons = [reason for _, subject, reason in world.outside.said if subject == "web.prod"]
    assert reasons == ["Held", "Aborted"]
