"""Elections on leases in memory: hand-over, loss, no overlap, conflicts, failure of the work."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import pytest

from runtime.errors import RootTaskEnded, Unavailable
from runtime.lease import LeaderElector, Terms
from runtime.resources import LEASES
from tests.unit.runtime.election import CONTRACT, SHORT, Led, Rule, electing, stopped
from tests.unit.runtime.lease_store import MemoryLeases

DOWN = Unavailable(0, "Timeout", "silent")


@pytest.mark.parametrize("rule", CONTRACT, ids=lambda rule: rule.__name__)
async def test_contract(rule: Rule) -> None:
    await rule(electing(MemoryLeases(), "ns"), SHORT)


async def test_a_renewal_that_is_written_while_the_leader_stops_does_not_keep_the_lease() -> None:
    store = MemoryLeases()
    led, elect = Led([], "first"), electing(store, "ns")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(elect("first").run(led.work))
        await led.started.wait()
        store.unanswered = unanswered = asyncio.Event()
        await unanswered.wait()
        await stopped(task)
    assert store.stored is not None
    assert store.stored["spec"]["holderIdentity"] == ""


async def test_leader_without_api_server_ends_its_work_before_another_may_begin() -> None:
    store, notes = MemoryLeases(), list[str]()
    led, elect = Led(notes, "first"), electing(store, "ns")
    elector = elect("first")
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(elector.run(led.work))
        await led.started.wait()
        while_led = elector.is_leader
        store.fault, cut = DOWN, loop.time()
        await led.ended.wait()
        # The last renewal may be one retry before the cut.
        assert SHORT.renew_deadline - 2 * SHORT.retry < loop.time() - cut < SHORT.duration
        assert (while_led, elector.is_leader) == (True, False)
        store.fault = None
        await led.started.wait()
        await stopped(task)
    assert notes == ["first leads", "first ended"] * 2


async def test_candidate_takes_a_lease_over_only_after_its_whole_duration() -> None:
    store = MemoryLeases()
    store.stored = {
        "metadata": {"name": "test", "resourceVersion": "5"},
        "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 1, "leaseTransitions": 4},
    }
    led, loop = Led([], "next"), asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        begun = loop.time()
        task = group.create_task(electing(store, "ns")("next").run(led.work))
        await led.started.wait()
        assert loop.time() - begun >= 1
        assert store.stored["spec"]["leaseTransitions"] == 5
        await stopped(task)


async def test_leader_stops_when_the_lease_names_another() -> None:
    store = MemoryLeases()
    led = Led([], "first")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(electing(store, "ns")("first").run(led.work))
        await led.started.wait()
        lease = await store.get(LEASES, "ns", "test")
        lease["spec"] |= {"holderIdentity": "usurper", "leaseDurationSeconds": 60}
        await store.replace(LEASES, lease)
        await led.ended.wait()
        await stopped(task)
    assert store.holders == ["first", "usurper"]


async def test_leader_survives_a_foreign_write_that_leaves_the_holder() -> None:
    store, notes = MemoryLeases(), list[str]()
    led = Led(notes, "first")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(electing(store, "ns")("first").run(led.work))
        await led.started.wait()
        lease = await store.get(LEASES, "ns", "test")
        lease["metadata"]["labels"] = {"touched": "yes"}
        await store.replace(LEASES, lease)
        await asyncio.sleep(4 * SHORT.retry)
        assert notes == ["first leads"]
        assert store.stored is not None
        assert store.stored["metadata"]["labels"] == {"touched": "yes"}
        await stopped(task)
    assert store.holders == ["first", ""]


async def test_candidate_waits_out_an_api_server_that_is_away() -> None:
    store = MemoryLeases()
    store.fault = DOWN
    led = Led([], "first")
    async with asyncio.TaskGroup() as group:
        task = group.create_task(electing(store, "ns")("first").run(led.work))
        await asyncio.sleep(3 * SHORT.retry)
        assert not led.started.is_set()
        store.fault = None
        await led.started.wait()
        await stopped(task)


async def fails() -> NoReturn:
    raise ValueError("bug")


async def returns() -> None:
    pass


@pytest.mark.parametrize(("work", "error"), [(fails, ValueError), (returns, RootTaskEnded)])
async def test_work_that_ends_releases_the_lease_and_is_an_error(
    work: Callable[[], Awaitable[None]], error: type[Exception]
) -> None:
    store = MemoryLeases()
    elector = LeaderElector(store, "ns", "test", "first", terms=SHORT)
    with pytest.raises(ExceptionGroup) as caught:
        await elector.run(work)
    assert isinstance(caught.value.exceptions[0], error)
    assert store.holders == ["first", ""]


def test_terms_that_could_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="renew_deadline < duration"):
        Terms(duration=10, renew_deadline=10)
