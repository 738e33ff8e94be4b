"""A successor goes on with the time of its predecessor, whatever the clocks of both say."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from runtime.clock import ServerClock
from runtime.lease import LeaderElector, Terms
from tests.unit.runtime.election import Led, stopped
from tests.unit.runtime.lease_store import MemoryLeases
from tests.unit.runtime.test_clock import http_date

TERMS = Terms(duration=1.0, renew_deadline=0.8, retry=0.05)
SERVER = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOURS = [timedelta(hours=-1), timedelta(0), timedelta(hours=1)]


def clock_at(when: datetime) -> ServerClock:
    """Return the clock of a process that has heard the server say so."""
    clock = ServerClock()
    at = clock.monotonic()
    clock.hear(http_date(when.timestamp()), sent=at, received=at)
    return clock


@pytest.mark.parametrize("step", HOURS)
async def test_the_next_leader_tells_the_time_that_the_last_one_told(step: timedelta) -> None:
    store, notes = MemoryLeases(), list[str]()
    clocks = clock_at(SERVER), clock_at(SERVER + step)
    leds = Led(notes, "first"), Led(notes, "second")
    async with asyncio.TaskGroup() as group:
        tasks = []
        for name, led, clock in zip(("first", "second"), leds, clocks, strict=True):
            elector = LeaderElector(store, "ns", "test", name, terms=TERMS, clock=clock)
            tasks.append(group.create_task(elector.run(led.work)))
            if name == "first":
                await led.started.wait()
        await asyncio.sleep(6 * TERMS.retry)  # some renewals
        await stopped(tasks[0])
        await leds[1].started.wait()
        assert abs(clocks[0].now() - clocks[1].now()) < timedelta(seconds=5)
        await stopped(tasks[1])


async def test_a_lease_that_nobody_renews_tells_no_time() -> None:
    store = MemoryLeases()
    store.stored = {
        "metadata": {"name": "test", "resourceVersion": "5"},
        "spec": {
            "holderIdentity": "dead",
            "leaseDurationSeconds": 1,
            "renewTime": "2020-01-01T00:00:00.000000Z",
        },
    }
    clock, led = clock_at(SERVER), Led([], "next")
    async with asyncio.TaskGroup() as group:
        elector = LeaderElector(store, "ns", "test", "next", terms=TERMS, clock=clock)
        task = group.create_task(elector.run(led.work))
        await led.started.wait()
        assert abs(clock.now() - SERVER) < timedelta(minutes=1)
        await stopped(task)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-01"])
async def test_a_time_that_cannot_be_read_hinders_nobody(text: str) -> None:
    store = MemoryLeases()
    clock, led = clock_at(SERVER), Led([], "next")
    spec = {"holderIdentity": "other", "leaseDurationSeconds": 1, "renewTime": text}
    metadata = {"name": "test", "resourceVersion": "5"}
    store.stored = {"metadata": metadata, "spec": {**spec, "leaseTransitions": 1}}
    async with asyncio.TaskGroup() as group:
        elector = LeaderElector(store, "ns", "test", "next", terms=TERMS, clock=clock)
        task = group.create_task(elector.run(led.work))
        await asyncio.sleep(3 * TERMS.retry)
        store.stored = {"metadata": metadata, "spec": {**spec, "leaseTransitions": 2}}
        await led.started.wait()
        await stopped(task)
