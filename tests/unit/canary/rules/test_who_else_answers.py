"""Somebody else answers in the canary's place: pods of one before, or nobody, where one was."""

from datetime import timedelta

import pytest

from canary.contract import Reason
from canary.model.state import Phase
from canary.model.world import CanaryAbsent, CanaryPod, CanaryPresent
from canary.rules.actions import Emit, EmptyForgotten
from canary.rules.former import COLLECTED, may_answer
from tests.fakes.world import World
from tests.unit.canary.rules.test_reach import at_weight, held

GONE = "its Service web-canary still sends requests to pod web-canary-old-x, which is gone"
LONG = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
A_LOOK = timedelta(seconds=1)


def made() -> World:
    """Return a world with a canary that has had no weight yet."""
    world = held()
    world.outdated = GONE
    world.run(MINUTE)
    world.outdated = ""
    return world


def with_stray(world: World) -> World:
    world.ending = (CanaryPod(name="old", created=world.now, newest=False, astray=True),)
    return world


def test_no_weight_while_the_service_sends_to_a_pod_that_is_gone() -> None:
    world = held()
    world.outdated = GONE
    world.run(LONG)
    assert (world.state.phase, world.weights) == (Phase.PROGRESSING, [])
    assert world.state.reason == Reason.WAITING_FOR_CANARY
    assert world.state.message.endswith(f"gets no traffic yet: {GONE}")
    assert world.next_look(world.reconcile()) <= A_LOOK
    world.outdated = ""
    world.run()
    assert world.weights == [10, 20, 30, 40, 50, 0]


def test_no_step_while_the_service_sends_to_a_pod_that_is_gone() -> None:
    world = at_weight(20)
    world.outdated = GONE
    world.run(LONG)
    assert (world.state.phase, world.state.weight) == (Phase.PROGRESSING, 20)
    assert world.state.reason == Reason.WAITING_FOR_CANARY
    assert world.state.message == f"web.prod stays at weight 20: {GONE}"
    world.outdated = ""
    world.run()
    assert world.weights == [10, 20, 30, 40, 50, 0]


def test_a_failed_check_counts_whoever_answers_besides() -> None:
    world = at_weight(20)
    world.outdated, world.values = GONE, {"v2": 99.0}
    world.run(LONG)
    assert world.state.phase is Phase.FAILED


@pytest.mark.parametrize("weight", [0, 20])
def test_what_a_canary_before_has_left_is_taken_away_and_waited_for(weight: int) -> None:
    world = at_weight(weight) if weight else made()
    with_stray(world).made_at = world.now - COLLECTED
    decision = world.reconcile()
    assert EmptyForgotten() in decision.actions
    said = [it for it in decision.actions if isinstance(it, Emit)]
    assert [(it.reason, it.warning) for it in said] == [(Reason.LEFTOVERS, True)]
    assert "ReplicaSet web-canary-old" in said[0].message
    assert world.state.weight == weight
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_the_cluster_has_its_time_to_take_it_away_itself_and_nothing_is_given_meanwhile() -> None:
    world = with_stray(made())
    world.made_at = world.now
    decision = world.reconcile()
    assert EmptyForgotten() not in decision.actions
    assert "pod old of a canary before" in decision.state.message
    assert world.weights == []


def test_whom_a_service_has_reason_to_send_requests_to() -> None:
    pods = [
        CanaryPod(name="old", created=held().now, newest=False),
        CanaryPod(name="new", created=held().now),
        CanaryPod(name="leaves", created=held().now, leaving=True),
        CanaryPod(name="ended", created=held().now, ended=True),
    ]
    canary = CanaryPresent(template_hash="v2", replicas=1, ready=1, pods=tuple(pods))
    assert may_answer(canary) == {"old", "new"}
    assert may_answer(CanaryAbsent()) == frozenset()
