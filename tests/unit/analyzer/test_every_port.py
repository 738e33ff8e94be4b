"""Whatever a port raises, for one run or for all, the process and all other runs live on."""

import asyncio
import json
from collections.abc import Iterator, MutableMapping

import pytest
import structlog

from canary.contract import Command
from tests.fakes.analyzer import SICK, WELL, Analyzer, Illness, all_ports, analyzing
from tests.fakes.loop import ImpatientLoop

LOOP = ImpatientLoop
METHODS = [(port, method) for port, methods in all_ports().items() for method in methods]
NEEDED = 20
"""The weight that a run comes to that nothing ails: it has been through checks, hooks and steps."""


class Panic(BaseException):
    """As what a library in Rust raises where it panics: no `Exception`."""


NEVER_CALLED = frozenset(
    (
        ("Router", "ensure"),
        ("Router", "in_the_way"),
        *(("Cluster", it) for it in ("apply", "delete", "groups", "json_patch", "pages")),
    )
)
"""What a run has no use for that goes well, is aborted and has no route of its own."""
ERRORS = {"error": ZeroDivisionError, "panic": Panic, "cancelled": asyncio.CancelledError}


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, object]]]:
    with structlog.testing.capture_logs() as said:
        yield said


async def reaches(world: Analyzer, weight: int, within: float = 900) -> None:
    """Wait until the run that is well has a weight."""
    async with asyncio.timeout(within):
        while world.routes.weights.get(WELL, 0) < weight:
            assert not any(task.done() for task in world.running)
            await asyncio.sleep(0.5)


def said(world: Analyzer, logs: list[MutableMapping[str, object]]) -> str:
    """Return all that was said, in the log and in the cluster."""
    return repr(logs) + json.dumps(list(world.cluster.objects.values()), default=str)


@pytest.mark.parametrize("kind", ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize(("port", "method"), METHODS, ids=[".".join(one) for one in METHODS])
async def test_what_fails_for_one_run_is_said_and_costs_no_other_its_way(
    port: str, method: str, kind: type[BaseException], logs: list[MutableMapping[str, object]]
) -> None:
    world = Analyzer(illness=Illness(port, method, kind("of one run")))
    async with analyzing(world):
        world.hold(WELL)
        world.hold(SICK)
        await reaches(world, NEEDED)
        world.write(SICK, {"annotations": {Command.ABORT: "now"}})
        await asyncio.sleep(5)
        world.write(SICK, {"deletionTimestamp": "2026-01-01T13:00:00Z"})
        await asyncio.sleep(5)
    if world.illness.times:
        assert "of one run" in said(world, logs) or "cancelled" in said(world, logs)
    else:
        assert (port, method) in NEVER_CALLED


@pytest.mark.parametrize(("port", "method"), METHODS, ids=[".".join(one) for one in METHODS])
async def test_what_fails_for_everybody_for_a_minute_ends_nothing(port: str, method: str) -> None:
    world = Analyzer(illness=Illness(port, method, Panic("of all"), everybody=True))
    async with analyzing(world):
        world.hold(WELL)
        world.hold(SICK)
        await asyncio.sleep(60)
        world.illness.error = None
        await reaches(world, NEEDED)
