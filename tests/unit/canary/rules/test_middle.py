"""Another version, or the one that serves, in the middle of every run: one table of outcomes."""

from datetime import timedelta
from itertools import product

import pytest

from canary.contract import Reason
from canary.model.state import Phase
from canary.model.strategy import Strategy
from tests.fakes.world import STRATEGY, World
from tests.unit.canary.rules.chronicle import Seen
from tests.unit.canary.rules.middle import (
    BAD,
    GONE_OUT,
    IS_STABLE,
    MOMENTS,
    ROUTED,
    STRATEGIES,
    Run,
    assert_over,
    let_go,
    run_at,
)

JUDGED = [*product(ROUTED, MOMENTS)]
# What answers nobody is refused by its health alone.
ALL = [*JUDGED, *(("kubernetes", moment) for moment in MOMENTS if "refused" not in moment)]


def in_the_middle(name: str, moment: str) -> Run:
    return run_at(STRATEGIES[name], MOMENTS[moment])


def took_all_steps(run: Run, version: str) -> bool:
    strategy = run.world.strategy
    assert isinstance(strategy, Strategy)
    return {*range(len(strategy.steps))} <= run.steps.get(version, set())


@pytest.mark.parametrize(("name", "moment"), ALL)
def test_another_version_is_judged_from_its_first_step_and_the_one_before_never_serves(
    name: str, moment: str
) -> None:
    run = in_the_middle(name, moment)
    run.world.update("v3")
    let_go(run.world)
    run.rest()
    assert_over(run, Phase.SUCCEEDED, "v3")
    assert took_all_steps(run, "v3")
    assert run.served == {"v1", "v3"} | ({"v2"} if moment in GONE_OUT else set())


@pytest.mark.parametrize(("name", "moment"), JUDGED)
def test_another_version_that_is_bad_is_refused_and_what_served_serves(
    name: str, moment: str
) -> None:
    run = in_the_middle(name, moment)
    run.world.values["v3"] = BAD
    run.world.update("v3")
    let_go(run.world)
    run.rest()
    assert_over(run, Phase.FAILED, "v2" if moment in IS_STABLE else "v1")
    assert "v3" not in run.served


@pytest.mark.parametrize(("name", "moment"), [one for one in ALL if one[1] not in IS_STABLE])
def test_what_serves_written_again_ends_the_run_and_is_no_new_one(name: str, moment: str) -> None:
    run = in_the_middle(name, moment)
    run.world.update("v1")
    run.rest()
    assert_over(run, Phase.INITIALIZED, "v1")
    assert ("v2" in run.served) is (moment in GONE_OUT)
    let_go(run.world)
    run.rest()
    assert_over(run, Phase.INITIALIZED, "v1")


@pytest.mark.parametrize(("name", "moment"), [one for one in ALL if one[1] in IS_STABLE])
def test_what_served_before_is_judged_like_any_other_version(name: str, moment: str) -> None:
    run = in_the_middle(name, moment)
    run.world.update("v1")
    run.rest()
    assert_over(run, Phase.SUCCEEDED, "v1")
    assert took_all_steps(run, "v1")


@pytest.mark.parametrize(
    ("seconds", "phase"),
    [(-60, Phase.SUCCEEDED), (0, Phase.FAILED), (5, Phase.FAILED), (None, Phase.FAILED)],
)
def test_only_its_own_rollout_is_held_against_a_version(seconds: int | None, phase: Phase) -> None:
    world: World = Seen(strategy=STRATEGY)
    world.run()
    world.update("v2")
    Run(world).until(lambda it: it.state.phase is Phase.PROMOTING)
    assert isinstance(world, Seen)
    at = None if seconds is None else world.now + timedelta(seconds=seconds)
    world.of_target = {"rollout_failed": "it did not progress", "rollout_failed_at": at}
    world.run()
    assert world.state.phase is phase
    assert (world.state.reason == Reason.REFUSED) is (phase is Phase.FAILED)
