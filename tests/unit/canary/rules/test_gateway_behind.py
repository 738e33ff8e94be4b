"""A gateway that has not seen what was written: what waits for it, and what does not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from canary.contract import Reason
from canary.model.state import Phase
from canary.model.traffic import NOTHING
from canary.model.world import CanaryPod
from canary.rules.actions import SetTraffic
from canary.rules.former import UNLEARNED
from tests.fakes.world import STRATEGY, World
from tests.unit.canary.rules.test_reach import at_weight, held, until

UNHEARD = "HTTPRoute web: Gateway edge says ResolvedRefs: False (BackendNotFound)"
LAG = "HTTPRoute web: Gateway edge has seen its generation 3 of 5"
LONG = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)


def behind(world: World) -> World:
    world.lag, world.confirmed = LAG, False
    return world


def caught_up(world: World) -> World:
    world.lag, world.confirmed = "", True
    return world


def test_no_weight_before_the_gateway_has_the_canary_and_it_is_said() -> None:
    world = behind(held())
    world.run(LONG)
    assert (world.state.phase, world.state.weight, world.weights) == (Phase.PROGRESSING, 0, [])
    assert world.state.reason == Reason.GATEWAY_BEHIND
    assert world.state.message.endswith(f"gets no traffic yet: {LAG}")
    assert world.next_look(world.reconcile()) <= timedelta(seconds=1)
    caught_up(world).run()
    assert world.state.phase is Phase.SUCCEEDED
    assert world.weights == [10, 20, 30, 40, 50, 0]


def test_no_weight_while_a_pod_of_the_version_before_may_be_sent_to() -> None:
    world = held()
    left = CanaryPod(
        name="old", created=world.now, newest=False, leaving=True, left_at=world.now + MINUTE
    )
    world.ending = (left,)
    world.run(MINUTE)
    assert (world.state.phase, world.weights) == (Phase.PROGRESSING, [])
    assert world.state.message.endswith("pod old of the version before is still ending")
    assert world.next_look(world.reconcile()) <= timedelta(seconds=1)
    world.run(UNLEARNED + timedelta(seconds=2))
    assert world.weights == [10], "it is not sent to any more, and finishes what it has"


def test_no_step_is_taken_on_a_share_that_nobody_had() -> None:
    world = behind(at_weight(20))
    world.run(LONG)
    assert (world.state.phase, world.state.weight) == (Phase.PROGRESSING, 20)
    assert world.state.message == f"web.prod stays at weight 20: {LAG}"
    caught_up(world).run()
    assert world.weights == [10, 20, 30, 40, 50, 0]


def test_no_weight_before_the_gateway_has_heard_of_the_canary_s_service() -> None:
    world = held()
    world.unheard = UNHEARD
    world.run(LONG)
    assert (world.state.phase, world.state.weight, world.weights) == (Phase.PROGRESSING, 0, [])
    assert world.state.reason == Reason.GATEWAY_BEHIND
    assert world.state.message.endswith(f"gets no traffic yet: {UNHEARD}")
    world.unheard = ""
    world.run()
    assert world.weights == [10, 20, 30, 40, 50, 0]


def test_a_run_whose_service_a_gateway_knows_no_more_holds_and_goes_on() -> None:
    world = at_weight(20)
    world.unheard, world.traffic = UNHEARD, NOTHING  # as the router has it then
    decision = world.reconcile()
    assert decision.state.reason == Reason.ROUTE_REFUSED
    assert decision.state.message == f"web.prod is held at weight 20: {UNHEARD}"
    assert any(isinstance(it, SetTraffic) for it in decision.actions), "given back by this"
    world.unheard = ""
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_no_step_is_taken_on_a_share_of_a_service_that_the_gateway_does_not_know() -> None:
    world = at_weight(50)
    world.unheard = UNHEARD
    world.run(LONG)
    assert (world.state.phase, world.state.weight) == (Phase.PROGRESSING, 50)
    assert world.state.message == f"web.prod stays at weight 50: {UNHEARD}"


def test_a_check_that_looks_back_on_less_than_half_an_interval_of_its_share_takes_no_step() -> None:
    world = at_weight(20)
    half = STRATEGY.interval / 2
    world.carried_for = half - timedelta(seconds=1)
    world.run(LONG)
    assert (world.state.phase, world.state.weight) == (Phase.PROGRESSING, 20)
    assert world.state.reason == Reason.GATEWAY_BEHIND
    assert world.state.message == (
        "web.prod stays at weight 20: the gateway has had this share for 29 of the 60 s that a "
        "check looks back"
    )
    world.carried_for = half
    world.run()
    assert world.weights == [10, 20, 30, 40, 50, 0]


def test_a_failed_check_counts_however_short_the_gateway_has_had_the_share() -> None:
    world = at_weight(20)
    world.carried_for, world.values = timedelta(0), {"v2": 99.0}
    world.run(LONG)
    assert world.state.phase is Phase.FAILED


@pytest.mark.parametrize(("lasted", "moves"), [(3, True), (59, False), (None, False)])
def test_the_first_traffic_is_what_the_gateway_has_had(lasted: int | None, *, moves: bool) -> None:
    world = at_weight(10)
    written = world.state.traffic_since
    world.carried_for = None if lasted is None else timedelta(seconds=lasted)
    assert written is not None
    until(world, lambda it: it.now >= written + STRATEGY.interval)
    world.reconcile()
    assert (world.state.traffic_since != written) is moves
    if lasted is not None and moves:
        assert world.state.traffic_since == world.now - timedelta(seconds=lasted)


def test_at_a_later_share_the_first_one_stays_what_it_was() -> None:
    world = at_weight(20)
    written = world.state.traffic_since
    world.carried_for = timedelta(seconds=1)
    world.run(LONG)
    assert (world.state.weight, world.state.traffic_since) == (20, written)


def test_no_pod_of_the_stable_is_replaced_meanwhile() -> None:
    world = behind(at_weight(50))
    world.run(LONG)
    assert world.pods == {"v1": 4}
    caught_up(world).run()
    assert world.pods == {"v2": 4}


def test_a_candidate_that_fails_is_refused_all_the_same_and_its_pods_stay_for_its_requests() -> (
    None
):
    world = behind(at_weight(20))
    world.values["v2"] = 50.0
    until(world, lambda it: it.state.phase is Phase.FAILED)
    assert world.weight == 0
    world.run(LONG)
    assert world.canary == "v2"
    caught_up(world).run()
    assert world.canary == ""


def test_pods_of_the_candidate_before_are_not_replaced_while_they_may_be_sent_requests() -> None:
    world = behind(at_weight(20))
    world.update("v3")
    world.run(LONG)
    assert (world.canary, world.weight) == ("v2", 0)
    assert world.state.message == f"the previous canary stays for a while: {LAG}"
    caught_up(world).run()
    assert (world.state.phase, world.pods) == (Phase.SUCCEEDED, {"v3": 4})


def test_what_is_not_analysed_waits_for_no_gateway() -> None:
    world = behind(held(strategy=replace(STRATEGY, skip_analysis=True)))
    world.run(LONG)
    assert (world.state.phase, world.pods) == (Phase.FINALISING, {"v2": 4})
    assert world.canary == "v2", "requests may come to it yet"


def test_a_target_at_0_keeps_no_pod_for_a_gateway() -> None:
    world = behind(at_weight(20))
    world.replicas = 0
    world.run(timedelta(minutes=2))
    assert (world.canary, world.weight) == ("", 0)


@pytest.mark.parametrize(
    ("carried", "stood", "is_there"),
    [
        (timedelta(0), LONG, True),
        (timedelta(seconds=4.9), LONG, True),
        (LONG, timedelta(0), False),
        (None, timedelta(seconds=4.9), True),
        (None, LONG, False),
    ],
)
def test_a_canary_goes_once_the_gateway_has_had_it_without_a_share_for_long_enough(
    carried: timedelta | None, stood: timedelta, *, is_there: bool
) -> None:
    """The verdict may have been stored long before the route could be written."""
    world = at_weight(20)
    world.values["v2"] = 5.0
    until(world, lambda it: it.state.phase is Phase.FAILED)
    world.carried_for, world.stood_for = carried, stood
    world.run(MINUTE)
    assert (world.state.weight, bool(world.canary)) == (0, is_there)
