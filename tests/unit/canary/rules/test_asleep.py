"""Scaled by anybody, to anything, at any moment: the target runs its stable version."""

from datetime import timedelta

import pytest

from canary.contract import Command
from canary.model.state import Phase
from tests.fakes.world import World

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


def look(world: World, times: int = 1) -> None:
    """Let the analyzer and the Deployment controller go on, a second at a time."""
    for _ in range(times):
        world.reconcile()
        world.roll()
        world.now += SECOND


def scale(world: World, replicas: int, looks: int = 3) -> None:
    world.replicas = replicas
    world.roll()
    look(world, looks)


def refused(version: str = "bad") -> World:
    world = World(values={version: 9.0})
    world.update(version)
    world.run()
    assert phase_of(world) is Phase.FAILED
    return world


def phase_of(world: World) -> Phase:
    return world.state.phase


def older_again() -> World:
    """1.0, 1.1, 1.0 again: its ReplicaSet is the older one."""
    return World(template="v1", born=["v1", "v1.1"])


def half_way_undone() -> World:
    world = World()
    world.update("v2")
    world.command(Command.PROMOTE)
    while world.pods.get("v2", 0) < 2:
        look(world)
    world.command(Command.ABORT)
    world.run()
    assert phase_of(world) is Phase.FAILED
    assert world.pods == {"v1": 4}
    return world


def test_a_refused_version_that_rolled_half_way_does_not_come_back() -> None:
    world = half_way_undone()
    scale(world, 0)
    scale(world, 3)
    assert world.pods == {"v1": 3}
    assert phase_of(world) is Phase.FAILED
    assert world.marks["refused"] == "v2"
    assert world.paused


def test_an_older_version_does_not_come_back() -> None:
    world = older_again()
    world.update("bad")
    look(world)
    scale(world, 0)
    scale(world, 4)
    assert world.pods == {"v1": 4}


def test_without_the_analyzer_it_would_come_back() -> None:
    world = older_again()
    world.update("bad")
    world.replicas = 0
    world.roll()
    world.replicas = 4
    world.roll()
    assert world.pods == {"v1.1": 4}  # what the test above is worth


@pytest.mark.parametrize("version", ["bad", "v1.1"])
def test_the_analyzer_brings_the_stable_back_where_it_came_too_late(version: str) -> None:
    world = older_again()
    look(world, 2)  # it has seen what serves
    world.update(version)
    world.replicas = 0
    world.roll()
    world.replicas = 4
    world.roll()
    assert world.pods == {"v1.1": 4}
    look(world)
    assert sum(world.pods.values()) >= 4, "nothing serves until the stable's pods are there"
    look(world, 4)
    assert world.pods == {"v1": 4}


def test_an_older_version_as_the_candidate_is_parked_and_promoted_from_where_it_was() -> None:
    world = older_again()
    world.update("v1.1")
    look(world)
    assert world.parked == {"v1.1"}
    scale(world, 0)
    scale(world, 4)
    assert world.pods == {"v1": 4}
    world.run()
    assert phase_of(world) is Phase.SUCCEEDED
    assert world.pods == {"v1.1": 4}
    assert not world.parked


@pytest.mark.parametrize("end", ["promoted", "reverted", "superseded", "label gone"])
def test_whatever_ends_the_run_nothing_stays_parked(end: str) -> None:
    world = older_again()
    world.update("v2")
    look(world)
    assert world.parked == {"v1.1"}
    match end:
        case "reverted":
            world.update("v1")
        case "superseded":
            world.update("v3")
        case "label gone":
            world.enabled = False
        case _:
            pass
    world.run()
    assert not world.parked


def test_refused_it_stays_parked_for_it_is_held() -> None:
    world = older_again()
    world.values = {"bad": 9.0}
    world.update("bad")
    world.run()
    assert phase_of(world) is Phase.FAILED
    assert world.parked == {"v1.1"}
    world.update("v1")
    world.run()
    assert not world.parked


def test_held_at_0_replicas_nothing_of_the_app_runs_and_the_run_waits() -> None:
    world = World()
    scale(world, 0)
    world.update("v2")
    look(world, 30)
    assert (world.canary, world.pods, world.weight) == ("", {}, 0)
    assert phase_of(world) is Phase.PROGRESSING
    assert world.state.reason == "ScaledToZero"
    assert "the run begins when it is scaled up" in world.state.message
    scale(world, 4)
    assert world.pods == {"v1": 4}
    world.run()
    assert phase_of(world) is Phase.SUCCEEDED
    assert world.weights == [10, 20, 30, 40, 50, 0]


def test_scaled_to_0_in_a_run_the_canary_goes_and_the_run_starts_from_its_first_step() -> None:
    world = World()
    world.update("v2")
    while world.weight < 30:
        world.reconcile()
        world.now += timedelta(seconds=10)
    scale(world, 0, looks=1)
    assert world.weight == 0
    assert world.canary == "v2", "connections get their time"
    look(world, 30)
    assert (world.canary, world.pods) == ("", {})
    assert not world.state.begun
    world.weights.clear()
    scale(world, 4)
    world.run()
    assert world.weights == [10, 20, 30, 40, 50, 0]
    assert phase_of(world) is Phase.SUCCEEDED
    assert not [text for text in world.events if "Restarting" in text]


def test_scaled_to_0_while_a_promotion_rolls_it_is_held_again_and_never_complete() -> None:
    world = World()
    world.update("v2")
    while world.pods.get("v2", 0) < 2:
        world.reconcile()
        world.roll()
        world.now += timedelta(seconds=10)
    assert phase_of(world) is Phase.PROMOTING
    scale(world, 0, looks=1)
    assert world.paused
    assert world.held
    assert world.parked == {"v2"}
    look(world, 30)
    assert (world.canary, world.pods) == ("", {})
    assert phase_of(world) is Phase.PROGRESSING
    world.weights.clear()
    scale(world, 4)
    assert world.pods == {"v1": 4}
    world.run()
    assert world.weights == [10, 20, 30, 40, 50, 0]
    assert world.pods == {"v2": 4}
    assert not world.parked


@pytest.mark.parametrize("crash_at", range(6))
def test_a_death_while_a_promotion_is_held_again_changes_nothing(crash_at: int) -> None:
    world = World()
    world.update("v2")
    while world.pods.get("v2", 0) < 2:
        world.reconcile()
        world.roll()
        world.now += timedelta(seconds=10)
    world.replicas = 0
    world.reconcile(crash_at)
    world.roll()
    look(world, 30)
    assert world.held
    assert world.state.reason == "ScaledToZero"
    scale(world, 4)
    assert world.pods == {"v1": 4}


def test_what_a_person_promotes_at_0_replicas_is_theirs_to_answer_for() -> None:
    world = World()
    scale(world, 0)
    world.update("v2")
    look(world, 2)
    world.command(Command.PROMOTE)
    world.run()
    scale(world, 4)
    assert phase_of(world) is Phase.SUCCEEDED
    assert world.pods == {"v2": 4}


def test_a_refused_version_stays_refused_at_0_replicas() -> None:
    world = refused()
    scale(world, 0)
    scale(world, 4)
    assert phase_of(world) is Phase.FAILED
    assert world.pods == {"v1": 4}


@pytest.mark.parametrize("born", [["v1"], ["v1", "v1.1"], ["v0", "v1", "v2", "v1.1"]])
@pytest.mark.parametrize("moment", range(0, 60, 3))
@pytest.mark.parametrize("away", [1, 2, 20])
def test_at_whatever_moment_only_the_stable_comes_back(
    born: list[str], moment: int, away: int
) -> None:
    world = World(template="v1", born=list(born))
    world.update("v2")
    look(world)
    for _ in range(moment):
        world.reconcile()
        world.roll()
        world.now += timedelta(seconds=7)
    promoted = world.state.phase in {Phase.FINALISING, Phase.SUCCEEDED}
    scale(world, 0, looks=away)
    assert not world.pods
    scale(world, 4, looks=2)
    assert world.pods == {"v2" if promoted else "v1": 4}
    world.run()
    assert phase_of(world) is Phase.SUCCEEDED
    assert not world.parked
    assert world.pods == {"v2": 4}


def test_where_no_other_version_is_left_there_is_nothing_to_wait_for() -> None:
    world = World(template="v2", paused=True, held=True, pods={}, born=[], marks={"stable": "v1"})
    world.run()
    assert phase_of(world) is Phase.SUCCEEDED
    assert world.pods == {"v2": 4}
    assert [text for text in world.events if "no other version is left" in text]


def test_but_a_refused_version_is_not_let_go_for_that() -> None:
    world = World(template="v2", paused=True, held=True, pods={}, born=[], marks={"refused": "v2"})
    world.run()
    assert phase_of(world) is Phase.FAILED
    assert world.pods == {}
