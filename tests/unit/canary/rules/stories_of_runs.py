"""Stories of runs: what teams do, and what becomes of it. See `chronicle.py`."""

from dataclasses import replace
from datetime import timedelta

from canary.contract import Command
from canary.evidence.policy import Policy
from canary.model.asking import OwnCount, Sample
from canary.model.state import Phase
from canary.model.strategy import (
    FailureCount,
    HookType,
    InvalidStrategy,
    NoDataPolicy,
)
from canary.model.world import OnUnsuitable, Unsuitable
from tests.fakes.world import METRIC, METRICS, NEVER, START, STRATEGY
from tests.unit.canary.rules.chronicle import Chronicle
from tests.unit.canary.rules.stories import MINUTE, SHORT, at_weight, held, hooks, rolling, story


@story
def a_good_one(c: Chronicle) -> None:
    held(c, hooks(HookType.POST_ROLLOUT))
    c.run()


@story
def a_bad_one_and_its_retry(c: Chronicle) -> None:
    c.world.values["v2"] = 20.0
    held(c, hooks(HookType.POST_ROLLOUT))
    c.world.refuse_hooks = {"post-rollout-gate"}
    c.run()
    c.says("it is retried, and is good now")
    c.world.values = {}
    c.world.command(Command.RETRY)
    c.run()


@story
def refused_before(c: Chronicle) -> None:
    c.world.marks["refused"] = "v2"
    held(c)
    c.run()
    c.says("back to v1")
    c.world.update("v1")
    c.run()


@story
def superseded(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.says("v3 is pushed")
    c.world.update("v3")
    c.run()


@story
def superseded_while_it_rolls(c: Chronicle) -> None:
    rolling(c)
    c.says("v3 is pushed")
    c.world.update("v3")
    c.world.marks["stable"] = "v1"
    c.look(40)
    c.world.values["v3"] = 20.0
    c.run()


@story
def undo_that_never_ends(c: Chronicle) -> None:
    rolling(c)
    c.world.update("v3")
    c.world.marks["stable"] = "v1"
    c.look(2)
    c.world.of_all = {"revisions": c.world.revisions()}
    c.world.now += timedelta(minutes=11)
    c.look(8)


@story
def reverted(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.says("v1 is pushed again")
    c.world.update("v1")
    c.run()


@story
def aborted(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.says("aborted")
    c.world.command(Command.ABORT)
    c.run()
    c.says("aborted again, paused and retried at once")
    for command in (Command.ABORT, Command.PAUSE):
        c.world.command(command)
    c.look(3)


@story
def aborted_while_it_rolls(c: Chronicle) -> None:
    rolling(c)
    c.says("aborted")
    c.world.command(Command.ABORT)
    c.look(6)
    c.run()


@story
def promoted_by_a_person(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.says("promoted")
    c.world.command(Command.PROMOTE)
    c.run()
    c.says("commands that have nothing to do")
    c.world.command(Command.RETRY)
    c.look(2)


@story
def paused_and_resumed(c: Chronicle) -> None:
    held(c, hooks(HookType.ROLLOUT))
    at_weight(c, 10)
    c.world.command(Command.PAUSE, "now")
    c.look(6)
    c.says("resumed")
    c.world.command(Command.PAUSE, "Off")
    c.run()


@story
def paused_before_the_first_weight(c: Chronicle) -> None:
    held(c)
    c.world.command(Command.PAUSE, "now")
    c.look(6)
    c.world.command(Command.PAUSE, "false")
    c.run(until=lambda: c.world.weight == 20)


@story
def hooks_before_and_beside(c: Chronicle) -> None:
    c.world.latency = {"pre-rollout-gate": MINUTE / 3, "rollout-gate": 2 * MINUTE}
    held(c, hooks(HookType.PRE_ROLLOUT, HookType.ROLLOUT))
    c.run()


@story
def hooks_that_refuse(c: Chronicle) -> None:
    c.world.refuse_hooks = {"pre-rollout-gate"}
    held(c, hooks(HookType.PRE_ROLLOUT))
    c.run()


@story
def hooks_that_wait_for_a_place(c: Chronicle) -> None:
    c.world.latency = {"rollout-gate": NEVER}
    c.world.full = {"rollout-gate"}
    held(c, hooks(HookType.ROLLOUT))
    c.run(until=lambda: c.world.now > START + 6 * MINUTE)
    c.world.die()
    c.look(4)
    c.world.die()
    c.look(20)


@story
def metrics_that_wait_for_a_place(c: Chronicle) -> None:
    c.world.latency = {METRICS: MINUTE / 2}
    c.world.full = {METRICS}
    held(c)
    c.look(14)


@story
def no_data_holds(c: Chronicle) -> None:
    c.world.values["v2"] = None
    held(c)
    c.look(9)
    c.world.values["v2"] = 0.0
    c.look(2)


@story
def no_data_fails(c: Chronicle) -> None:
    c.world.values["v2"] = None
    held(c, replace(SHORT, no_data=NoDataPolicy.FAIL, no_data_after=2 * MINUTE))
    c.run()


@story
def no_data_passes(c: Chronicle) -> None:
    c.world.values["v2"] = None
    held(c, replace(SHORT, no_data=NoDataPolicy.PASS, no_data_after=2 * MINUTE))
    c.run()


@story
def shared_by_both(c: Chronicle) -> None:
    c.world.values = {"v1": 20.0, "v2": 20.0}
    held(c, replace(SHORT, policy=Policy(), decide_within=20 * MINUTE))
    c.look(12)
    c.world.values["v1"] = None
    c.look(3)


@story
def shared_with_one_that_has_no_data(c: Chronicle) -> None:
    other = replace(METRIC, name="latency")
    c.world.values = {"v1": 20.0, "v2": 20.0}
    c.world.counts = {"latency": OwnCount(sample=Sample(metric=other, problem="none"), alone=True)}
    held(c, replace(SHORT, policy=Policy(), metrics=(METRIC, other)))
    c.look(12)


@story
def counts_of_its_own(c: Chronicle) -> None:
    sample = Sample(metric=METRIC, value=2.0, source="pods (app)", note="of 3 pods")
    c.world.counts = {METRIC.name: OwnCount(sample=sample, alone=True)}
    held(c)
    c.run()


@story
def failures_in_a_row(c: Chronicle) -> None:
    held(c, replace(STRATEGY, failure_count=FailureCount.CONSECUTIVE))
    c.world.values["v2"] = 20.0
    c.run(until=lambda: c.world.state.failed_checks == 2)
    c.world.values["v2"] = 0.0
    c.run(until=lambda: c.world.weight == 30)
    c.world.values["v2"] = 20.0
    c.run()


@story
def invalid_and_mended(c: Chronicle) -> None:
    held(c, InvalidStrategy(problems=("first", "second")))  # type: ignore[arg-type]
    c.world.problems = ("third",)
    c.world.unsuitable = Unsuitable(why="a fourth")
    c.look(5)
    c.world.problems, c.world.unsuitable, c.world.strategy = (), None, SHORT
    c.look(4)


@story
def invalid_with_traffic(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.problems = ("a problem",)
    c.look(2)
    c.world.canary_ready = False
    c.look(2)
    c.world.problems, c.world.canary_ready = (), True
    c.look(3)


@story
def unsuitable_and_released(c: Chronicle) -> None:
    c.world.unsuitable = Unsuitable(why="it has a volume", then=OnUnsuitable.RELEASE)
    held(c)
    c.look(4)


@story
def suspended(c: Chronicle) -> None:
    held(c, replace(SHORT, suspended=True))
    c.look(3)
    c.world.strategy = SHORT
    at_weight(c, 10)
    c.world.strategy = replace(SHORT, suspended=True)
    c.look(3)
    c.world.strategy = SHORT
    c.look(3)


@story
def skipped(c: Chronicle) -> None:
    held(c, replace(SHORT, skip_analysis=True))
    c.run()


@story
def said_beforehand(c: Chronicle) -> None:
    c.world.of_all = {"forewarned": ("one", "two"), "unclear": ("three",)}
    held(c, replace(SHORT, ignored=("mirror", "x"), unknown=("a typo",)))
    c.run(until=lambda: c.world.weight == 10)


@story
def paused_by_its_team(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.says("the hold is taken off, the pause stays")
    c.world.held = False
    c.look(3)
    c.world.held = True
    c.look(3)
    c.world.state = replace(c.world.state, phase=Phase.FAILED)
    c.world.held = False
    c.look(4)


@story
def released_past_us(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.held = c.world.paused = False
    c.world.state = replace(c.world.state, phase=Phase.FAILED)
    c.look(5)


@story
def updated_without_a_canary(c: Chronicle) -> None:
    c.look(2)
    c.world.template = "v2"
    c.world.marks["promoting"] = "v2"
    c.world.command(Command.PAUSE)
    c.look(5)


@story
def disabled(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.world.enabled = False
    c.run()


@story
def created_anew(c: Chronicle) -> None:
    c.world.uid = "one"
    held(c)
    at_weight(c, 10)
    c.world.uid, c.world.held, c.world.paused = "two", False, False
    c.run()


@story
def asleep_and_awake(c: Chronicle) -> None:
    held(c)
    at_weight(c, 10)
    c.says("scaled to 0")
    c.world.replicas = 0
    c.look(8)
    c.says("scaled to 4")
    c.world.replicas = 4
    c.run()


@story
def asleep_while_it_rolls(c: Chronicle) -> None:
    rolling(c)
    c.world.replicas = 0
    c.look(8)
    c.world.replicas = 4
    c.run()


@story
def alone(c: Chronicle) -> None:
    c.world.pods, c.world.born = {}, []
    held(c)
    c.run()
