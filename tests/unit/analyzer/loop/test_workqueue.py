"""The work queue: one key never in two hands, and nothing that was asked for is lost."""

import asyncio
from datetime import timedelta

import pytest

from analyzer.loop.workqueue import WorkQueue

SOON = timedelta(milliseconds=10)


async def waiting(queue: WorkQueue[str]) -> bool:
    """Tell whether nobody gets a key now."""
    try:
        async with asyncio.timeout(0):
            await queue.get()
    except TimeoutError:
        return True
    return False


async def test_a_key_is_queued_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    assert await queue.get() == "a"
    assert len(queue) == 0


async def test_a_key_that_is_worked_on_comes_once_more_when_it_is_given_back() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("a")
    assert await waiting(queue)
    queue.done("a")
    assert await queue.get() == "a"
    queue.done("a")
    assert await waiting(queue)


async def test_an_appointment_is_kept() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", SOON)
    assert await waiting(queue)
    async with asyncio.timeout(5):
        assert await queue.get() == "a"


@pytest.mark.parametrize("first", [True, False])
async def test_of_two_appointments_the_earlier_stands(*, first: bool) -> None:
    queue: WorkQueue[str] = WorkQueue()
    for delay in (SOON, timedelta(hours=1)) if first else (timedelta(hours=1), SOON):
        queue.add_after("a", delay)
    async with asyncio.timeout(5):
        assert await queue.get() == "a"
    queue.close()


async def test_a_change_drops_the_appointment() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("a", timedelta(hours=1))
    queue.add("a")
    assert await queue.get() == "a"
    queue.add_after("a", timedelta(hours=1))
    queue.close()


async def test_failures_come_back_later_and_later() -> None:
    queue: WorkQueue[str] = WorkQueue()
    delays = [queue.add_rate_limited("a", at_least=2.0) for _ in range(5)]
    assert min(delays) >= 2.0
    queue.forget("a")
    assert queue.add_rate_limited("a") <= 0.5
    queue.close()
