"""What is left where a process ended in the middle of a decision: found by the write points."""

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
