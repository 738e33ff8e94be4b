"""Which pods are a run's own, and until when there were others: one look each."""

from dataclasses import replace
from datetime import timedelta

import pytest

from canary.model.state import Phase, State
from canary.model.world import CanaryAbsent, CanaryPod, CanaryPresent, Timing
from canary.rules.actions import Decision, DeleteCanary, Emit, SaveState
from canary.rules.context import Context
from canary.rules.former import UNLEARNED, ending, own_pods, remembered, takes_over
from tests.fakes.world import START, World

BEFORE, AFTER = START - timedelta(minutes=5), START + timedelta(seconds=3)
NOW = START + timedelta(minutes=1)
RUN = State(phase=Phase.PROGRESSING, candidate="v2", stable="v1", step=0, started_at=START)
OLD = CanaryPod(name="old", created=BEFORE, newest=False)
SAME = CanaryPod(name="same", created=BEFORE)
NEW = CanaryPod(name="new", created=AFTER)


def canary(*pods: CanaryPod, template: str = "v2", current: bool = True) -> CanaryPresent:
    return CanaryPresent(template_hash=template, replicas=1, ready=1, pods=pods, current=current)


def looked(
    present: CanaryPresent | CanaryAbsent,
    before: State = RUN,
    after: State | None = None,
    *actions: DeleteCanary | Emit,
) -> Decision:
    observed = replace(World().observe(), canary=present)
    ctx = Context(before, observed, NOW, Timing())
    return remembered(ctx, Decision(state=after or before, actions=actions))


@pytest.mark.parametrize(
    ("pods", "own", "taken_over"),
    [
        ((NEW,), {"new"}, False),
        ((NEW, OLD), {"new"}, False),
        ((NEW, SAME), {"new"}, True),
        ((NEW, replace(SAME, leaving=True)), {"new"}, False),
        ((NEW, replace(SAME, ended=True)), {"new"}, False),
        ((replace(NEW, ended=True), replace(NEW, name="next")), {"new", "next"}, False),
        ((replace(NEW, created=START - timedelta(seconds=1)),), {"new"}, False),
    ],
)
def test_which_pods_are_the_runs_own(
    pods: tuple[CanaryPod, ...], own: set[str], *, taken_over: bool
) -> None:
    assert {pod.name for pod in own_pods(canary(*pods), RUN)} == own
    assert takes_over(canary(*pods), RUN) is taken_over


def test_a_canary_of_another_template_has_none() -> None:
    assert own_pods(canary(NEW, template="v1"), RUN) == ()


IDLE = State(phase=Phase.SUCCEEDED, candidate="v2", started_at=START)
NEXT = replace(RUN, candidate="v3", started_at=NOW, step=-1)


@pytest.mark.parametrize(
    ("present", "before", "after", "former"),
    [
        (canary(NEW), RUN, RUN, None),
        (canary(NEW, SAME), RUN, RUN, None),
        (canary(NEW, OLD), RUN, RUN, NOW),
        (canary(NEW, replace(OLD, ended=True)), RUN, RUN, None),
        (canary(NEW, replace(OLD, leaving=True)), RUN, RUN, NOW),
        (canary(NEW), RUN, NEXT, NOW),
        (canary(NEW), NEXT, NEXT, NOW),
        (canary(NEW), IDLE, IDLE, NOW),
        (canary(NEW), RUN, replace(RUN, step=-1), NOW),
        (CanaryAbsent(), RUN, NEXT, None),
        (CanaryAbsent(), replace(RUN, former_until=BEFORE), NEXT, BEFORE),
        (CanaryAbsent(), replace(IDLE, former_until=BEFORE), State(), BEFORE),
    ],
)
def test_until_when_others_were_there(
    present: CanaryPresent | CanaryAbsent, before: State, after: State, former: object
) -> None:
    assert looked(present, before, after).state.former_until == former


def test_what_goes_is_stored_before_it_goes() -> None:
    ended = replace(RUN, phase=Phase.FAILED)
    said = Emit("Refused", "it goes")
    decision = looked(canary(NEW), ended, ended, said, DeleteCanary())
    assert decision.actions == (said, SaveState(), DeleteCanary())
    assert decision.state.former_until == NOW


def test_a_new_pod_is_stored_at_once_and_a_gone_one_is_kept() -> None:
    run = replace(RUN, pods=("gone",))
    decision = looked(canary(NEW), run)
    assert (decision.state.pods, decision.actions) == (("gone", "new"), (SaveState(),))
    assert looked(canary(NEW), decision.state).actions == ()


def test_pods_are_not_taken_for_the_runs_before_the_canary_is_its_own() -> None:
    early = replace(RUN, step=-1)
    assert looked(canary(NEW, current=False), early).state.pods == ()
    assert looked(canary(NEW), early).state.pods == ("new",)


def test_others_that_stay_are_not_stored_at_every_look() -> None:
    decision = looked(canary(NEW, OLD), replace(RUN, pods=("new",)))
    assert decision.actions == (SaveState(),)
    again = replace(decision.state, former_until=NOW - timedelta(seconds=3))
    assert looked(canary(NEW, OLD), again).actions == ()


GOING = replace(OLD, leaving=True, left_at=NOW)


@pytest.mark.parametrize(
    ("pod", "after", "may_answer"),
    [
        (GOING, timedelta(0), True),
        (GOING, UNLEARNED - timedelta(seconds=1), True),
        (GOING, UNLEARNED, False),
        (replace(GOING, ended=True), timedelta(0), False),
        (replace(GOING, newest=True), timedelta(0), False),
        (OLD, timedelta(0), False),
    ],
)
def test_a_pod_of_the_version_before_that_goes_may_answer_for_a_while(
    pod: CanaryPod, after: timedelta, *, may_answer: bool
) -> None:
    assert ending(canary(NEW, pod), NOW + after) == ("old" if may_answer else "")
    assert ending(CanaryAbsent(), NOW + after) == ""
