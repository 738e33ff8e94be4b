"""What the write points and the model found: decisions that were half written, or half true."""

from datetime import timedelta

from canary.contract import Command
from canary.model.state import Phase
from canary.rules.actions import SaveState
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
