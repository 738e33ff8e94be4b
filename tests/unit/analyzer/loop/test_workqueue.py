"""The work queue: one key never in two hands, and nothing that was asked for is lost."""

import asyncio
from datetime import timedelta
from functools import partial

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


@pytest.mark.parametrize(
    ("reasons", "again"),
    [([True], False), ([False], True), ([True, True], False), ([True, False], True)],
)
async def test_what_is_no_reason_in_the_end_has_a_key_not_come_again(
    reasons: list[bool], *, again: bool
) -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    none: list[bool] = []
    for at in range(len(reasons)):
        queue.add("a", unless=partial(lambda at: none[at], at))
    none += reasons  # what is no reason is known at the end alone
    queue.done("a")
    assert len(queue) == again


@pytest.mark.parametrize("first", [True, False])
async def test_a_reason_for_certain_has_it_come_again_whatever_else_there_is(
    *, first: bool
) -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    for certain in (True, False) if first else (False, True):
        queue.add("a", unless=None if certain else lambda: True)
    queue.done("a")
    assert await queue.get() == "a"


async def test_a_key_that_waits_or_rests_comes_whatever_is_no_reason_later() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", unless=lambda: True)
    assert await queue.get() == "a"


async def test_its_appointment_stands_where_it_does_not_come_again() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a", unless=lambda: True)
    queue.add_after("a", SOON)
    queue.done("a")
    assert await waiting(queue)
    async with asyncio.timeout(5):
        assert await queue.get() == "a"


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


async def test_who_waits_gets_each_of_two_that_come_together() -> None:
    queue: WorkQueue[str] = WorkQueue()
    got: list[str] = []

    async def work(*, urgent_only: bool) -> None:
        while True:
            got.append(await queue.get(urgent_only=urgent_only))

    async with asyncio.TaskGroup() as group:
        workers = [
            group.create_task(work(urgent_only=urgent_only)) for urgent_only in (False, False, True)
        ]
        await asyncio.sleep(0)
        queue.add("usual")
        queue.add("urgent", urgent=True)
        for _ in range(5):
            await asyncio.sleep(0)
        assert sorted(got) == ["urgent", "usual"]
        for worker in workers:
            worker.cancel()


async def test_whoever_is_cancelled_as_it_is_called_leaves_the_key_to_another() -> None:
    queue: WorkQueue[str] = WorkQueue()
    async with asyncio.TaskGroup() as group:
        first, second = (group.create_task(queue.get()) for _ in range(2))
        await asyncio.sleep(0)
        queue.add("a")
        first.cancel()
    assert second.result() == "a"
    assert first.cancelled()


async def test_what_is_worked_on_and_becomes_urgent_is_next_when_it_is_given_back() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("b")
    queue.add("a", urgent=True)
    queue.add("a")
    queue.done("a")
    assert [await queue.get(), await queue.get()] == ["a", "b"]


async def test_a_failure_and_a_second_look_at_once_stay_urgent() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", urgent=True)
    await queue.get()
    queue.add_after("a", timedelta(0))
    queue.add("b")
    queue.done("a")
    assert await queue.get() == "a"
    queue.add_rate_limited("a")
    queue.done("a")
    async with asyncio.timeout(5):
        assert await queue.get(urgent_only=True) == "a"
    assert await queue.get() == "b"


async def test_a_second_look_at_a_usual_one_waits_its_turn() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("b")
    queue.done("a")
    queue.add("a")
    assert await queue.get() == "b"


async def test_the_bound_of_an_owner_frees_a_worker_for_others_and_is_given_back() -> None:
    queue: WorkQueue[str] = WorkQueue(lambda key: key[0], at_once=1)
    queue.add("a1")
    queue.add("a2")
    assert await queue.get() == "a1"
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(queue.get())
        await asyncio.sleep(0)
        assert not waits.done()
        queue.done("a1")
    assert waits.result() == "a2"
