"""What the write points and the model found: decisions that were half written, or half true."""

from datetime import timedelta

import pytest

from canary.contract import Command, Reason
from canary.model.fates import Starting
from canary.model.state import Phase
from canary.model.world import Place, Revision
from canary.rules.actions import SaveState
from canary.rules.decide import DEFAULT_TIMING
from canary.rules.half_way import beside_stable
from tests.fakes.world import World


def test_a_retried_candidate_is_not_marked_as_refused_though_the_process_died_at_its_start() -> (
    None
):
    world = World()
    world.values["v2"] = 5.0
    world.update("v2")
    world.run()
    assert (world.state.phase, world.marks["refused"]) == (Phase.FAILED, "v2")
    world.values["v2"] = 0.0
    world.command(Command.RETRY)
    decision = world.decide()
    world.carry_out(decision, decision.actions.index(SaveState()) + 1)
    assert (world.state.phase, world.marks["refused"]) == (Phase.PROGRESSING, "v2")
    while not world.canary:
        world.reconcile()
    assert "refused" not in world.marks
    assert not world.commands
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_what_was_promoted_beside_nothing_is_the_stable_of_what_supersedes_it() -> None:
    """Updated before its controller had made any pods, so that there is nothing to go back to."""
    world = World(pods={}, born=[])
    world.update("v2")
    world.marks["stable"] = ""
    while world.state.phase is not Phase.PROMOTING or not world.pods:
        decision = world.reconcile()
        world.roll()
        world.now += world.next_look(decision)
    world.update("v3")
    world.reconcile()
    assert (world.state.candidate, world.state.stable, world.state.undoing) == ("v3", "v2", "")
    world.run()
    assert (world.state.phase, world.pods) == (Phase.SUCCEEDED, {"v3": 4})


def test_what_was_aborted_is_not_promoted_though_its_commands_could_not_be_taken_off() -> None:
    world = World()
    world.update("v2")
    while not world.weight:
        world.reconcile()
        world.roll()
        world.now += timedelta(seconds=5)
    for command in (Command.ABORT, Command.PROMOTE, Command.RETRY):
        world.command(command)
    decision = world.decide()
    world.carry_out(decision, decision.actions.index(SaveState()) + 1)
    assert (world.state.phase, world.commands) == (
        Phase.FAILED,
        {Command.ABORT, Command.PROMOTE, Command.RETRY},
    )
    for _ in range(12):
        world.reconcile()
        world.roll()
        world.now += timedelta(seconds=5)
        assert world.state.phase is Phase.FAILED
        assert world.paused
    assert (world.commands, set(world.pods)) == (set(), {"v1"})


def beside() -> World:
    """Of v2's rollout, which another version had ended half-way, nothing is remembered."""
    world = World(pods={"v1": 3, "v2": 2}, born=["v1", "v2"])
    world.update("v3")
    world.reconcile()
    world.update("v2")
    return world


@pytest.mark.parametrize("bad", [True, False])
def test_pods_that_a_rollout_had_left_of_a_candidate_stay_until_it_is_refused(*, bad: bool) -> None:
    world = beside()
    if bad:
        world.values["v2"] = 5.0
    while world.state.phase is not (Phase.FAILED if bad else Phase.PROMOTING):
        assert world.pods == {"v1": 3, "v2": 2}
        decision = world.reconcile()
        world.now += world.next_look(decision)
    world.run()
    assert world.pods == ({"v1": 4} if bad else {"v2": 4})
    assert world.paused is bad


def test_pods_of_a_refused_version_that_come_later_are_taken_down_and_looked_at_again() -> None:
    world = World()
    world.values["v2"] = 5.0
    world.update("v2")
    world.run()
    assert (world.state.phase, world.canary) == (Phase.FAILED, "")
    world.pods["v2"] = 1  # as by `kubectl scale replicaset`
    decision = world.reconcile()
    assert world.pods == {"v1": 4}
    assert decision.requeue_after == DEFAULT_TIMING.poll


def test_no_share_is_kept_by_what_is_taken_down_in_the_target() -> None:
    """As of a promotion that is taken back: its canary serves nothing more at once."""
    world = beside()
    world.replicas = 8
    while world.weight < 50:
        world.now += world.next_look(world.reconcile())
    world.replicas = 4
    world.reconcile()
    assert world.state.needed > 4
    world.command(Command.ABORT)
    world.reconcile()
    assert (world.weight, world.state.weight, world.state.needed) == (0, 0, 0)
    assert world.state.reason == Reason.ABORTED
    world.now += world.next_look(world.reconcile())
    assert "v2" not in world.pods


def test_what_was_given_up_without_a_verdict_keeps_what_the_team_had_let_out() -> None:
    world = beside()
    world.canary_ready, world.fates = False, (Starting(pod="web-canary-0", why="no node"),)
    while world.state.phase is not Phase.FAILED:
        world.now += world.next_look(world.reconcile())
    world.reconcile()
    assert world.state.reason == Reason.PROGRESS_DEADLINE
    assert world.pods == {"v1": 3, "v2": 2}


@pytest.mark.parametrize(
    ("own", "stable", "place", "told"),
    [
        (2, 2, Place.OWNED, True),
        (0, 2, Place.OWNED, False),
        (2, 0, Place.OWNED, False),
        (2, 2, Place.PARKED, False),
        (2, 2, Place.ADRIFT, True),
    ],
)
def test_what_serves_beside_the_stable(own: int, stable: int, place: Place, *, told: bool) -> None:
    revisions = [
        Revision(name="web-v2", template_hash="v2", replicas=own, ready=own, place=place),
        Revision(name="web-v1", template_hash="v1", replicas=stable, ready=stable),
    ]
    assert beside_stable(revisions, "v2", "v1") is told
    assert not beside_stable(revisions, "v3", "v1")
    assert not beside_stable(revisions, "v2", "v3")


def test_no_share_is_kept_by_the_canary_of_another_where_a_refused_version_comes_again() -> None:
    world = World(replicas=8, pods={"v1": 8})
    world.values["v2"] = 5.0
    world.update("v2")
    world.run()
    world.update("v3")
    while world.weight < 50:
        world.now += world.next_look(world.reconcile())
    world.replicas, world.pods = 4, {"v1": 4}
    world.reconcile()
    assert world.state.needed > 4
    world.update("v2")
    world.reconcile()
    assert (world.weight, world.state.weight, world.state.needed) == (0, 0, 0)
    assert world.state.reason == Reason.REFUSED
