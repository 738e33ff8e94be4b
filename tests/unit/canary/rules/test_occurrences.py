"""Events that hooks are told of: each once, whatever happens to the process."""

from collections import Counter
from dataclasses import replace

import pytest

from canary.model.announcement import Told
from canary.model.state import Phase
from canary.model.strategy import Hook, HookType, InvalidStrategy
from canary.objects.status import state_from_status, status_from_state
from canary.rules.occurrences import MOST
from tests.fakes.world import STRATEGY, World

BUS = Hook(name="bus", type=HookType.EVENT, url="http://bus")
HEARS = replace(STRATEGY, hooks=(BUS,), listeners=(BUS,))


def handed_over(world: World, heard: list[Told]) -> None:
    """Take out of the status what is to be told, as the loop does before it decides."""
    heard += world.state.told
    world.state = replace(world.state, told=())


def played(world: World, crash_at: int | None = None) -> list[Told]:
    heard: list[Told] = []
    looks = 0
    while looks < 400 and not (world.state.phase is Phase.SUCCEEDED and not world.state.told):
        handed_over(world, heard)
        decision = world.reconcile(crash_after=1 if looks == crash_at else None)
        world.roll()
        world.now += world.next_look(decision)
        looks += 1
    handed_over(world, heard)
    assert world.state.phase is Phase.SUCCEEDED
    return heard


def test_every_event_of_a_run_is_told() -> None:
    world = World(strategy=HEARS)
    world.update("v2")
    heard = played(world)
    assert len(heard) == len(world.events)
    assert all(one.message in text for one, text in zip(heard, world.events, strict=True))
    assert {one.phase for one in heard} >= {"Progressing", "Promoting", "Succeeded"}
    assert {one.checksum for one in heard} >= {"v2"}


@pytest.mark.parametrize("crash_at", range(12))
def test_no_event_is_told_twice_over_a_death(crash_at: int) -> None:
    world = World(strategy=HEARS)
    world.update("v2")
    times = Counter((one.message, one.at) for one in played(world, crash_at))
    assert max(times.values()) == 1


def test_nothing_is_stored_where_nobody_listens() -> None:
    world = World()
    world.update("v2")
    for _ in range(30):
        world.reconcile()
        assert not world.state.told


def test_an_event_of_a_canary_that_cannot_be_followed_is_told() -> None:
    world = World(strategy=InvalidStrategy(problems=("no",), listeners=(BUS,)))
    world.update("v2")
    world.reconcile()
    world.reconcile()
    assert any("no" in one.message for one in world.state.told)


def test_the_oldest_of_too_many_are_left_out() -> None:
    world = World(strategy=HEARS)
    world.update("v2")
    world.run()
    assert len(world.state.told) <= MOST


def test_what_is_stored_is_read_and_what_cannot_be_is_left_out() -> None:
    world = World(strategy=HEARS)
    world.update("v2")
    world.reconcile()
    world.reconcile()
    status = status_from_state(world.state, previous={}, generation=1, now=world.now)
    assert world.state.told
    assert state_from_status(status).told == world.state.told
    status["run"]["told"] = [{"at": "soon"}, "x", *status["run"]["told"]]
    assert state_from_status(status).told == world.state.told
