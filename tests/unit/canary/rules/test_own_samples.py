"""A check rests on samples of its own candidate, through whole runs of a world in miniature."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from canary.contract import Reason
from canary.model.asking import OwnCount, Sample
from canary.model.state import Outcome, Phase
from canary.objects.status import state_from_status, status_from_state
from tests.fakes.world import METRIC, NEVER, STRATEGY, World

MINUTE = timedelta(minutes=1)
SHORT = replace(STRATEGY, interval=timedelta(seconds=10))
NOBODY = "its Service web-canary has no ready endpoint"
MOST_WRITES = 200


def patterned() -> World:
    """Return a world whose metrics server finds all candidates' pods of the last minute.

    What would find another's is not asked, as the analyzer does.
    """
    return World(strategy=SHORT, reach=MINUTE)


def until(world: World, so: Callable[[World], bool]) -> None:
    for _ in range(500):
        if so(world):
            return
        decision = world.reconcile()
        world.roll()
        world.now += max(world.next_look(decision), timedelta(milliseconds=100))
    raise AssertionError(world.state)


def refused(world: World, template: str) -> None:
    world.values[template] = 20.0
    world.update(template)
    until(world, lambda it: it.state.phase is Phase.FAILED and not it.canary)


def test_a_fix_that_follows_a_refusal_is_judged_by_its_own_requests() -> None:
    world = patterned()
    refused(world, "v2")
    left = world.now
    world.now += timedelta(seconds=2)
    world.update("v3")
    until(world, lambda it: it.state.candidate == "v3" and it.state.step > 0)
    assert world.now - left >= MINUTE
    assert world.state.failed_checks == 0
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert sum("still finds samples of the canary before" in text for text in world.events) == 1


@pytest.mark.parametrize("crash_at", range(0, MOST_WRITES, 3))
def test_when_others_were_there_last_survives_a_death(crash_at: int) -> None:
    world = patterned()
    world.values["v2"] = 20.0
    world.update("v2")
    world.run(timedelta(minutes=10), crash_at=crash_at)
    gone = world.now
    assert world.state.phase is Phase.FAILED
    assert world.state.former_until is not None
    assert gone - world.state.former_until <= timedelta(minutes=10)
    world.update("v3")
    world.run(timedelta(seconds=30))
    waits = [check.outcome for check in world.state.checks if check.name == METRIC.name]
    assert waits in ([Outcome.WAITING], [])


def test_a_bad_version_pushed_while_the_last_run_finalises_is_refused() -> None:
    world = patterned()
    world.update("v2")
    until(world, lambda it: it.state.phase is Phase.FINALISING)
    world.values["v3"] = 20.0
    world.update("v3")
    until(world, lambda it: it.state.phase in {Phase.FAILED, Phase.PROMOTING})
    assert world.state.phase is Phase.FAILED
    assert world.pods == {"v2": 4}


def test_a_first_run_takes_no_longer_and_waits_for_nothing() -> None:
    ended = []
    for world in (World(strategy=SHORT), patterned()):
        world.update("v2")
        world.run(timedelta(minutes=30))
        assert world.state.phase is Phase.SUCCEEDED
        assert not any("before, until" in text for text in world.events)
        ended.append((world.now, world.metrics_asked))
    assert ended[0] == ended[1]


def test_a_wait_is_said_and_is_neither_a_failure_nor_a_step() -> None:
    world = patterned()
    refused(world, "v2")
    world.update("v3")
    until(world, lambda it: it.state.reason == Reason.LOOKS_BACK)
    (check,) = (one for one in world.state.checks if one.name == METRIC.name)
    assert check.outcome is Outcome.WAITING
    assert world.state.former_until is not None
    when = (world.state.former_until + MINUTE).strftime("%H:%M:%S")
    assert f"until {when} UTC" in world.state.message
    assert (world.state.failed_checks, world.state.no_data_since, world.weight) == (0, None, 10)
    looked = world.now
    until(world, lambda it: it.state.checked_at is not None and it.state.checked_at > looked)
    assert world.now - looked <= SHORT.interval + timedelta(seconds=1)


def test_a_failure_of_another_metric_counts_while_one_waits() -> None:
    world = patterned()
    refused(world, "v2")
    world.update("v3")
    until(world, lambda it: it.weight > 0)
    world.canary_ready = False
    until(world, lambda it: it.state.phase is Phase.FAILED)
    assert world.state.candidate == "v3"


def test_a_promotion_waits_too_however_long() -> None:
    world = replace(patterned(), strategy=replace(SHORT, steps=SHORT.steps[:1]))
    refused(world, "v2")
    left = world.now
    world.update("v3")
    until(world, lambda it: it.state.phase is Phase.PROMOTING)
    assert world.now - left >= MINUTE


def test_the_run_remembers_its_pods_and_its_first_traffic() -> None:
    world = patterned()
    world.update("v2")
    until(world, lambda it: it.weight == 10)
    began = world.state.stepped_at
    until(world, lambda it: it.weight == 20)
    assert world.state.traffic_since == began
    assert world.state.pods == ("web-canary-v2-0", "web-canary-v2-1")
    assert world.state.former_until is None


def test_what_is_remembered_comes_back_from_the_status() -> None:
    world = patterned()
    refused(world, "v2")
    world.update("v3")
    until(world, lambda it: it.state.reason == Reason.LOOKS_BACK)
    stored = status_from_state(world.state, previous={}, generation=1, now=world.now)
    back = state_from_status(stored)
    for name in ("former_until", "traffic_since", "pods", "checks"):
        assert getattr(back, name) == getattr(world.state, name)


# --- what is counted needs no answer --------------------------------------------------------------


def own(value: float, *, alone: bool = True) -> dict[str, OwnCount]:
    sample = Sample(metric=METRIC, value=value, baseline=0.0, source="pods (errors)")
    return {METRIC.name: OwnCount(sample=sample, alone=alone)}


@pytest.mark.parametrize(("value", "phase"), [(0.5, Phase.SUCCEEDED), (5.0, Phase.FAILED)])
def test_a_counted_metric_is_never_asked_for(value: float, phase: Phase) -> None:
    world = World(latency={"metrics": NEVER}, counts=own(value))
    world.update("v2")
    world.run()
    assert (world.state.phase, world.metrics_asked) == (phase, 0)
    assert "pods (errors)" in {check.source for check in world.state.checks}


def test_what_sees_more_is_asked_first_and_its_word_goes_first() -> None:
    world = World(counts=own(0.0, alone=False), values={"v2": 20.0})
    world.update("v2")
    world.run()
    assert world.state.phase is Phase.FAILED


@pytest.mark.parametrize("said", [None, "waits"])
def test_without_its_word_the_count_is_taken(said: str | None) -> None:
    world = World(counts=own(5.0, alone=False), values={"v2": None})
    if said:
        world.reach, world.state = MINUTE, replace(world.state, former_until=world.now)
    world.update("v2")
    world.run()
    assert world.state.phase is Phase.FAILED


def test_a_count_that_is_lost_on_the_way_is_asked_for() -> None:
    world = World(counts=own(0.0))
    world.update("v2")
    until(world, lambda it: it.weight == 20)
    world.counts = {}
    until(world, lambda it: it.weight == 30)
    assert world.metrics_asked > 0


def test_a_count_that_comes_and_goes_does_not_put_the_question_anew() -> None:
    other = replace(METRIC, name="other")
    world = World(strategy=replace(STRATEGY, metrics=(METRIC, other)))
    world.latency["metrics"] = timedelta(seconds=20)
    world.update("v2")
    until(world, lambda it: it.weight == 10 and bool(it.out))
    asked = world.metrics_asked
    for number in range(10):
        world.counts = own(0.0) if number % 2 else {}
        world.now += timedelta(seconds=1)
        world.reconcile()
    assert world.metrics_asked == asked
    world.counts = own(0.5)
    until(world, lambda it: it.weight == 20)
    assert world.metrics_asked == asked
    by_name = {check.name: check for check in world.state.checks}
    assert (by_name[METRIC.name].value, by_name["other"].value) == (0.5, 0.0)


def test_what_is_counted_after_all_waits_for_no_answer() -> None:
    world = World(latency={"metrics": NEVER})
    world.update("v2")
    until(world, lambda it: it.weight == 10 and bool(it.out))
    world.counts = own(0.0)
    until(world, lambda it: it.weight == 20)
    assert not world.out


# --- what belongs to the run and was deleted ------------------------------------------------------


def test_a_service_that_was_deleted_is_made_again_and_no_step_passes_without_it() -> None:
    world = patterned()
    world.update("v2")
    until(world, lambda it: it.weight == 20)
    step = world.state.step
    world.gone, world.unserved = ("Service web-canary",), NOBODY
    world.reconcile()
    assert (world.weight, len(world.gone), world.state.step) == (0, 0, step)
    assert "Service web-canary of web.prod was deleted: it is made again" in world.events
    for _ in range(10):
        world.now += SHORT.interval
        world.reconcile()
        assert (world.weight, world.state.step) == (0, step)
    world.unserved = ""
    world.reconcile()
    assert (world.weight, world.state.step) == (20, step)
    back = world.now
    until(world, lambda it: it.weight == 30)
    assert world.now - back >= SHORT.interval


@pytest.mark.parametrize("weight", [10, 50])
def test_a_service_that_was_deleted_while_it_rolls_is_made_again(weight: int) -> None:
    world = replace(patterned(), strategy=replace(SHORT, steps=SHORT.steps[: weight // 10]))
    world.update("v2")
    until(world, lambda it: it.state.phase is Phase.PROMOTING)
    world.gone, world.unserved = ("Service web-canary",), NOBODY
    world.reconcile()
    assert (world.weight, len(world.gone)) == (0, 0)
    world.unserved = ""
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_nothing_is_made_again_of_a_run_that_is_over() -> None:
    world = patterned()
    refused(world, "v2")
    world.gone = ("Service web-canary",)
    world.run(timedelta(minutes=1))
    assert not any("made again" in text for text in world.events)
