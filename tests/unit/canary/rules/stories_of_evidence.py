"""Stories of what is counted, of deaths, and of what is kept apart. See `chronicle.py`."""

from dataclasses import replace

from canary.contract import Command
from canary.evidence.counters import Stratum
from canary.evidence.policy import Inconclusive, Policy
from canary.model.fates import Calm
from canary.model.strategy import FailureCount, HookType, NoDataPolicy
from canary.model.world import Place, Revision
from canary.spec.steps import judged
from tests.fakes.world import NEVER, STRATEGY
from tests.unit.canary.rules.chronicle import Chronicle
from tests.unit.canary.rules.stories import MINUTE, SHORT, at_weight, held, hooks, rolling, story

WELL = Stratum(0, 200, 0, 1800, 5)
SICK = Stratum(60, 200, 0, 1800, 5)
GATED = replace(SHORT, steps=judged(SHORT.steps, gate=True), decide_within=4 * MINUTE)
CHEAP = replace(SHORT, steps=judged(STRATEGY.steps[:3], error_budget=1), decide_within=9 * MINUTE)


@story
def counted_and_refused(c: Chronicle) -> None:
    c.world.strata["v2"] = SICK
    held(c)
    at_weight(c, 10)
    c.run()


@story
def counted_and_refused_while_it_rolls(c: Chronicle) -> None:
    rolling(c)
    c.world.strata["v2"] = SICK
    c.world.weight = 20
    c.look(6)


@story
def counted_and_forced(c: Chronicle) -> None:
    c.world.replicas, c.world.pods = 20, {"v1": 20}
    held(c)
    at_weight(c, 10)
    c.world.strata["v2"] = SICK
    c.world.command(Command.PROMOTE)
    c.look(6)


@story
def counted_and_good(c: Chronicle) -> None:
    c.world.strata["v2"] = WELL
    held(c, GATED)
    at_weight(c, 10)
    c.look(20)


@story
def a_gate_that_waits_for_nothing(c: Chronicle) -> None:
    held(c, GATED)
    at_weight(c, 10)
    c.look(14)


@story
def a_gate_that_refuses(c: Chronicle) -> None:
    held(c, replace(GATED, policy=Policy(on_inconclusive=Inconclusive.ROLLBACK)))
    at_weight(c, 10)
    c.run()


@story
def a_gate_that_gives_way(c: Chronicle) -> None:
    held(c, replace(GATED, policy=Policy(on_inconclusive=Inconclusive.PROMOTE)))
    at_weight(c, 10)
    c.run()


@story
def a_gate_without_a_judge(c: Chronicle) -> None:
    held(c, replace(GATED, policy=Policy(enabled=False)))
    at_weight(c, 10)
    c.look(6)


@story
def a_budget(c: Chronicle) -> None:
    c.world.strata["v2"] = Stratum(1, 200, 10, 1800, 5)
    held(c, CHEAP)
    at_weight(c, 10)
    c.look(60)


@story
def a_budget_that_fits(c: Chronicle) -> None:
    c.world.strata["v2"] = WELL
    held(c, replace(CHEAP, steps=judged(STRATEGY.steps[:3], error_budget=500)))
    at_weight(c, 10)
    c.look(60)


@story
def shared_until_it_is_refused(c: Chronicle) -> None:
    c.world.values = {"v1": 20.0, "v2": 20.0}
    policy = Policy(on_inconclusive=Inconclusive.ROLLBACK)
    held(c, replace(SHORT, policy=policy, decide_within=4 * MINUTE))
    at_weight(c, 10)
    c.run()


@story
def shared_until_a_person_decides(c: Chronicle) -> None:
    c.world.values = {"v1": 20.0, "v2": 20.0}
    held(c, replace(SHORT, decide_within=4 * MINUTE))
    at_weight(c, 10)
    c.look(14)
    c.says("the stable is well again")
    c.world.values["v1"] = 0.0
    c.look(4)


@story
def shared_until_it_is_passed_over(c: Chronicle) -> None:
    c.world.values = {"v1": 20.0, "v2": 20.0}
    policy = Policy(on_inconclusive=Inconclusive.PROMOTE)
    held(c, replace(SHORT, policy=policy, decide_within=4 * MINUTE))
    at_weight(c, 10)
    c.look(14)


@story
def a_bake_that_goes_bad(c: Chronicle) -> None:
    c.world.strata["v2"] = WELL
    steps = judged(SHORT.steps, bake=3 * MINUTE)
    held(c, replace(SHORT, steps=steps, failure_count=FailureCount.CUMULATIVE))
    at_weight(c, 100)
    c.look(8)
    c.world.values["v2"] = 20.0
    c.run()


@story
def it_dies_before_the_mark_of_a_refusal(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.command(Command.ABORT)
    c.dies_after(3)
    c.look(4)


@story
def it_dies_before_the_route_is_written(c: Chronicle) -> None:
    held(c, hooks(HookType.ROLLOUT))
    at_weight(c, 10)
    c.comes_to(lambda: c.world.decide().state.weight == 20)
    c.dies_after(2)
    c.look(4)


@story
def it_dies_before_a_release(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.command(Command.PROMOTE)
    c.dies_after(2)
    c.world.command(Command.PAUSE)
    c.look(4)


@story
def it_dies_in_the_middle_of_an_undo(c: Chronicle) -> None:
    rolling(c)
    c.world.command(Command.ABORT)
    c.dies_after(3)
    c.look(4)


@story
def looked_at_within_its_patience(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.canary_ready = False
    c.look(1)
    c.world.now -= MINUTE / 10
    c.look(3)


@story
def hooks_that_get_a_place(c: Chronicle) -> None:
    c.world.latency, c.world.full = {"pre-rollout-gate": NEVER}, {"pre-rollout-gate"}
    held(c, hooks(HookType.PRE_ROLLOUT))
    c.look(4)
    c.world.full = set()
    c.look(3)


def revision(template: str, replicas: int = 0, at: int = 0, **more: object) -> Revision:
    made = Revision(
        name=f"web-{template}", template_hash=template, replicas=replicas, ready=replicas
    )
    return replace(made, created=f"{at:06}", number=at, **more)  # type: ignore[arg-type]


@story
def replica_sets_that_are_kept_apart(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    own = revision("v1", 4, 1)
    for title, others in {
        "a younger one": (own, revision("v0", 0, 2)),
        "an elder one": (revision("v0", 0, 0), own),
        "the candidate's": (own, revision("v2", 0, 2)),
        "the candidate's, with pods": (own, revision("v2", 3, 2)),
        "of no stable": (revision("v0", 0, 0), revision("v2", 3, 2)),
        "the stable's, parked": (revision("v1", 0, 1, place=Place.PARKED),),
        "a parked one with pods": (own, revision("v0", 2, 0, place=Place.PARKED)),
        "two parked ones with pods, before the stable is back": (
            revision("v1", 2, 1),
            revision("v0", 2, 0, place=Place.PARKED),
            revision("v00", 1, 0, place=Place.PARKED),
        ),
        "a stable without pods": (revision("v1", 0, 1), revision("v2", 4, 2)),
    }.items():
        c.says(title)
        c.world.of_all = {"revisions": others}
        c.look(1)
    c.says("no history is kept")
    c.world.of_all = {"revisions": (own,)}
    c.world.of_target = {"history_limit": 0}
    c.look(1)


@story
def released_while_its_own_is_parked(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    own = revision("v1", 4, 1)
    c.world.command(Command.PROMOTE)
    c.world.of_all = {"revisions": (own, revision("v2", 0, 2, place=Place.PARKED))}
    c.look(3)
    c.world.of_all = {"revisions": (own, revision("v2", 0, 2, place=Place.ADRIFT))}
    c.look(2)
    c.world.of_all = {}
    c.look(2)


@story
def parked_where_nothing_is_held(c: Chronicle) -> None:
    c.look(2)
    parked = revision("v0", 0, 0, place=Place.PARKED)
    c.world.of_all = {"revisions": (revision("v1", 4, 1), parked)}
    c.look(1)
    c.world.of_all = {}
    rolling(c)
    c.world.of_all = {"revisions": (*c.world.revisions(), parked)}
    c.look(1)
    own = revision("v2", 0, 2, place=Place.PARKED)
    c.world.of_all = {"revisions": (c.world.revisions()[0], own)}
    c.look(1)


@story
def seen_before(c: Chronicle) -> None:
    c.look(2)
    c.world.of_target = {"seen_mark": "v1"}
    c.look(1)
    c.world.of_target = {"stable_mark": "v1"}
    c.look(1)


@story
def no_endpoint_while_it_rolls(c: Chronicle) -> None:
    rolling(c)
    c.look(2)
    c.says("between two ticks it loses its endpoint")
    c.world.now -= MINUTE / 2
    c.world.weight = 20
    c.world.unserved = "no endpoint of web-canary is ready"
    c.look(1)


@story
def a_younger_replica_set_beside_a_refused_candidate(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.command(Command.ABORT)
    c.comes_to(lambda: c.world.decide().requeue_after is None)
    c.world.of_all = {"revisions": (revision("v1", 4, 1), revision("v0", 0, 2))}
    c.look(2)


@story
def refused_and_then_promoted(c: Chronicle) -> None:
    held(c, hooks(HookType.POST_ROLLOUT))
    at_weight(c, 10)
    c.world.command(Command.ABORT)
    c.comes_to(lambda: c.world.decide().requeue_after is None)
    c.world.command(Command.PROMOTE)
    c.run()
    assert c.world.post_rollouts == ["Failed", "Succeeded"]


@story
def a_route_that_is_moved_while_a_hook_is_out(c: Chronicle) -> None:
    c.world.latency = {"rollout-gate": NEVER}
    held(c, hooks(HookType.ROLLOUT))
    at_weight(c, 10)
    c.look(3)
    c.world.weight = 90
    c.look(3)


@story
def released_again_with_other_words(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.command(Command.PROMOTE)
    c.dies_after(2)
    c.world.state = replace(c.world.state, reason="PodsLost", message="its pods were lost")
    c.world.commands.clear()
    c.look(2)


TO_THE_MOMENT = 2 * MINUTE + MINUTE / 300
"""Two ticks, each of which waits a tenth of a second for its answer."""


@story
def no_data_fails_to_the_moment(c: Chronicle) -> None:
    c.world.values["v2"] = None
    held(c, replace(SHORT, no_data=NoDataPolicy.FAIL, no_data_after=TO_THE_MOMENT))
    at_weight(c, 10)
    c.look(8)


@story
def no_data_passes_to_the_moment(c: Chronicle) -> None:
    c.world.values["v2"] = None
    held(c, replace(SHORT, no_data=NoDataPolicy.PASS, no_data_after=TO_THE_MOMENT))
    at_weight(c, 10)
    c.look(8)


@story
def held_with_what_serves(c: Chronicle) -> None:
    c.look(2)
    c.says("a pause of the team ends with a hold of the very template that serves")
    c.world.paused = c.world.held = True
    c.run()


@story
def a_new_process_has_not_heard_of_others(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.canary_ready = False
    c.world.weather = Calm(since=c.world.now + MINUTE / 12)
    c.look(4)
