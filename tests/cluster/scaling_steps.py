"""What is done to a target that is scaled, and waited for, in tests short and long."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from canary.contract import Command
from canary.model.state import Phase
from canary.model.world import Place
from tests.cluster.scaling_kit import DEADLINE, LOOK, Scaled


async def until(what: str, look: Callable[[], Awaitable[bool]]) -> None:
    try:
        async with asyncio.timeout(DEADLINE):
            while not await look():  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(LOOK)
    except TimeoutError as late:
        raise AssertionError(f"{what}: not within {DEADLINE:g} s") from late


async def in_phase(target: Scaled, phase: Phase) -> None:
    async def is_so() -> bool:
        return target.state().phase is phase

    await until(str(phase), is_so)


async def held(target: Scaled) -> None:
    """Wait until a hold has been taken up, as a person does who reads what kubectl says."""

    async def taken_up() -> bool:
        now = await target.read()
        return (
            target.state().phase is not Phase.INITIALIZED
            and now["metadata"]["annotations"].get("headgate.dev/hold") == target.state().candidate
        )

    await until("the hold", taken_up)


async def half_way_undone(target: Scaled, version: str) -> None:
    """Have a promotion of a version undone half-way."""
    await target.push(version)
    await held(target)
    await target.annotate(Command.PROMOTE)

    async def rolls() -> bool:
        return len([one for one in await target.revisions() if one.replicas]) > 1

    await until("pods of both", rolls)
    await target.annotate(Command.ABORT)
    await in_phase(target, Phase.FAILED)


async def scaled_at_random(target: Scaled, *, cycles: int, seed: int) -> None:
    """Scale a target to 0 and up again at random moments; no other version may ever run.

    Versions are pushed, and the analyzer is killed and started again, in between.

    Args:
        target: one that is not deployed yet.
        cycles: how often it is scaled to 0.
        seed: of the moments.

    """
    # The moments are to differ, and to be found again.
    chance = random.Random(seed)  # noqa: S311
    await target.deploy("1.0", "1.1", "1.0")
    async with target.analyzed():
        await half_way_undone(target, "1.2")
        await target.rolled_out("1.0")
        target.versions.clear()
        for cycle in range(cycles):
            if chance.random() < 0.5:
                await target.push(chance.choice(["1.1", "1.2", "bad", "slow"]))
                await held(target)
            await asyncio.sleep(chance.uniform(0, 1.5))
            await target.scale(0, by_autoscaler=chance.random() < 0.5)
            if chance.random() < 0.3:
                await target.restart(after=chance.uniform(0, 1))
            await asyncio.sleep(chance.uniform(0, 1.5))
            await target.scale(chance.randint(1, 3), by_autoscaler=chance.random() < 0.5)
            await asyncio.sleep(chance.uniform(0, 0.5))
            await target.scale(chance.randint(1, 3), by_autoscaler=True)
            if chance.random() < 0.5:
                await target.rolled_out("1.0")
            assert target.versions <= {"1.0"}, f"seed {seed}, cycle {cycle}"
        await target.rolled_out("1.0")
        await target.push("1.0")

        async def none_parked() -> bool:
            return all(one.place is Place.OWNED for one in await target.revisions())

        await until("nothing parked", none_parked)
    assert target.versions <= {"1.0"}
    assert {"1.0", "1.1", "1.2"} <= set((await target.history()).values())
