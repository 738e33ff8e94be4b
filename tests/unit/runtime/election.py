"""What every lease store must give an election; run in memory and on a real API server."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from runtime.lease import LeaderElector, LeaseStore, Terms

SHORT = Terms(duration=2.0, renew_deadline=1.2, retry=0.05)


class Led:
    """A leader's work that notes when it runs."""

    def __init__(self, notes: list[str], name: str) -> None:
        self.started = asyncio.Event()
        self.ended = asyncio.Event()
        self.elector: LeaderElector | None = None
        self._notes = notes
        self._name = name

    async def work(self) -> None:
        self._notes.append(f"{self._name} leads")
        self.ended.clear()
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self._notes.append(f"{self._name} ended")
            self.started.clear()
            self.ended.set()


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


Elect = Callable[[str], LeaderElector]


def electing(store: LeaseStore, namespace: str, terms: Terms = SHORT) -> Elect:
    return lambda identity: LeaderElector(store, namespace, "test", identity, terms=terms)


async def one_leads_and_a_stop_hands_over_at_once(elect: Elect, terms: Terms) -> None:
    notes: list[str] = []
    first, second = Led(notes, "first"), Led(notes, "second")
    async with asyncio.TaskGroup() as group:
        one = group.create_task(elect("first").run(first.work))
        await first.started.wait()
        two = group.create_task(elect("second").run(second.work))
        await asyncio.sleep(3 * terms.retry)
        assert notes == ["first leads"]
        handed_over = asyncio.get_running_loop().time()
        await stopped(one)
        await second.started.wait()
        # Well below the duration, after which it would have been free anyhow.
        assert asyncio.get_running_loop().time() - handed_over < terms.duration * 0.8
        await stopped(two)
    assert notes == ["first leads", "first ended", "second leads", "second ended"]


async def of_many_candidates_one_leads(elect: Elect, terms: Terms) -> None:
    notes: list[str] = []
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(elect(f"c{n}").run(Led(notes, f"c{n}").work)) for n in range(5)]
        await asyncio.sleep(6 * terms.retry)
        for task in tasks:
            await stopped(task)
    leading = 0
    for note in notes:
        leading += 1 if note.endswith("leads") else -1
        assert leading in {0, 1}


Rule = Callable[[Elect, Terms], Awaitable[None]]
CONTRACT: list[Rule] = [
    one_leads_and_a_stop_hands_over_at_once,
    of_many_candidates_one_leads,
]
