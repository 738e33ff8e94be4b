"""Whole runs of every strategy: phase, step, traffic and iterations, look by look."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.contract import SHARE_BY_PODS, Command
from canary.model.state import Phase, State
from canary.model.strategy import Hook, HookType, Strategy
from canary.model.traffic import Comparison, Condition, RequestMatch
from canary.objects.status import state_from_status, status_from_state
from canary.rules.decide import DEFAULT_TIMING
from canary.spec.canary import parse_strategy
from canary.spec.defaults import Defaults
from canary.spec.strategies import without_route
from tests.fakes.world import START, STRATEGY, World

MATCH = [{"headers": {"x-canary": {"exact": "insider"}}}]
SAID = (RequestMatch(headers=(Condition(name="x-canary", by=Comparison.EXACT, value="insider"),)),)
METRICS = [{"name": "error-rate", "query": "errors", "thresholdRange": {"max": 1}}]


def strategy(provider: str = "gatewayapi:v1", by_pods: str = "off", **analysis: Any) -> Strategy:
    said = {"interval": "1m", "threshold": 3, "metrics": METRICS, **analysis}
    spec = {"provider": provider, "targetRef": {"kind": "Deployment", "name": "web"}}
    spec |= {"service": {"port": 80}, "analysis": said}
    notes = {SHARE_BY_PODS: by_pods}
    metadata = {"name": "web", "namespace": "prod", "annotations": notes}
    canary = {"metadata": metadata, "spec": spec}
    found = parse_strategy(canary, Defaults())
    assert isinstance(found, Strategy), found
    return found


AB = strategy(iterations=3, match=MATCH)
BLUE_GREEN = strategy(iterations=3)
MIRRORED = strategy(iterations=2, mirror=True, mirrorWeight=50)
MIRROR_FIRST = strategy(stepWeights=[20, 50], mirror=True)
STICKY = strategy(stepWeights=[20, 50], sessionAffinity={"cookieName": "kept"})
OF_THE_MATCHED = strategy(stepWeights=[20, 50], match=MATCH)
UNROUTED = without_route(strategy(provider="kubernetes", stepWeights=[20, 50]))
BY_PODS = without_route(strategy(provider="kubernetes", by_pods="on", stepWeights=[20, 40, 80]))
ALL = {
    "by pods": BY_PODS,
    "A/B": AB,
    "blue/green": BLUE_GREEN,
    "blue/green, mirrored": MIRRORED,
    "canary, mirrored first": MIRROR_FIRST,
    "canary, sticky": STICKY,
    "canary of what matches": OF_THE_MATCHED,
    "no route": UNROUTED,
    "plain canary": STRATEGY,
}


def world(followed: Strategy = AB) -> World:
    found = World(strategy=followed)
    if followed.is_unrouted:
        found.routes = 0
    found.run()
    found.update("v2")
    return found


def look(one: World) -> str:
    """Reconcile once more, and tell what the run has come to."""
    decision = one.reconcile()
    one.roll()
    one.now += max(one.next_look(decision), timedelta(milliseconds=100))
    iterations = status_from_state(one.state, previous={}, generation=1, now=one.now)["iterations"]
    traffic = replace(one.traffic, affinity=None)
    kept = ", by cookie" if one.traffic.affinity else ""
    return f"{one.state.phase} {one.state.step} [{traffic}{kept}] {iterations}"


def told(one: World, most: int = 300) -> list[str]:
    """Return each thing that a run came to, once."""
    said: list[str] = []
    for _ in range(most):
        now = look(one)
        if not said or said[-1] != now:
            said.append(now)
        if one.state.phase in {Phase.SUCCEEDED, Phase.FAILED} and not one.canary:
            break
    return said


def steps_of(said: list[str]) -> list[str]:
    return [one.removeprefix("Progressing ") for one in said if one.startswith("Progressing")]


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        (
            "A/B",
            [
                "-1 [0 %] 0",
                "0 [100 % of what matches] 1",
                "1 [100 % of what matches] 2",
                "2 [100 % of what matches] 3",
            ],
        ),
        ("blue/green", ["-1 [0 %] 0", "0 [0 %] 1", "1 [0 %] 2", "2 [0 %] 3", "3 [100 %] 4"]),
        (
            "blue/green, mirrored",
            [
                "-1 [0 %] 0",
                "0 [0 % and a copy of 50 %] 1",
                "1 [0 % and a copy of 50 %] 2",
                "2 [100 %] 3",
            ],
        ),
        (
            "canary, mirrored first",
            ["-1 [0 %] 0", "0 [0 % and a copy of 100 %] 0", "1 [20 %] 0", "2 [50 %] 0"],
        ),
        ("canary, sticky", ["-1 [0 %] 0", "0 [20 %, by cookie] 0", "1 [50 %, by cookie] 0"]),
        (
            "canary of what matches",
            ["-1 [0 %] 0", "0 [20 % of what matches] 0", "1 [50 % of what matches] 0"],
        ),
        ("by pods", ["-1 [0 %] 0", "0 [20 %] 0", "1 [40 %] 0", "2 [50 %] 0"]),
        ("no route", ["-1 [0 %] 0", *(f"{at} [0 %] {at + 1}" for at in range(10))]),
    ],
)
def test_a_good_release_takes_every_step_and_is_promoted(name: str, taken: list[str]) -> None:
    one = world(ALL[name])
    said = told(one)
    assert steps_of(said) == taken
    assert (one.state.phase, one.template, one.paused) == (Phase.SUCCEEDED, "v2", False)
    assert one.traffic.is_nothing


@pytest.mark.parametrize("name", [name for name in ALL if name != "no route"])
def test_a_bad_release_is_refused_and_gets_nothing_more(name: str) -> None:
    one = world(ALL[name])
    one.values["v2"] = 5.0
    told(one)
    assert (one.state.phase, one.traffic.is_nothing) == (Phase.FAILED, True)
    assert one.pods == {"v1": 4}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("crash", range(1, 26, 3))
def test_a_death_anywhere_changes_nothing_of_a_run(name: str, crash: int) -> None:
    one = world(ALL[name])
    one.run(until=timedelta(hours=2), crash_at=crash)
    assert (one.state.phase, one.pods) == (Phase.SUCCEEDED, {"v2": 4})
    assert one.traffic.is_nothing


def in_the_middle(followed: Strategy) -> World:
    """Return a run at its second step."""
    one = world(followed)
    while one.state.step < 1:
        look(one)
    return one


@pytest.mark.parametrize("name", ALL)
def test_a_newer_version_begins_with_the_first_step(name: str) -> None:
    one = in_the_middle(ALL[name])
    one.update("v3")
    look(one)
    assert (one.state.candidate, one.state.step) == ("v3", -1)
    assert one.traffic.is_nothing
    told(one)
    assert (one.state.phase, one.pods) == (Phase.SUCCEEDED, {"v3": 4})


@pytest.mark.parametrize("name", ALL)
def test_a_revert_ends_it_at_once(name: str) -> None:
    one = in_the_middle(ALL[name])
    one.update("v1")
    look(one)
    assert (one.state.phase, one.traffic.is_nothing) == (Phase.INITIALIZED, True)
    one.run()
    assert (one.canary, one.pods) == ("", {"v1": 4})


@pytest.mark.parametrize("name", ALL)
def test_an_abort_and_a_namespace_let_go_take_all_of_it_back(name: str) -> None:
    for what in ("abort", "let go"):
        one = in_the_middle(ALL[name])
        if what == "abort":
            one.command(Command.ABORT)
        else:
            one.enabled = False
        look(one)
        assert one.traffic.is_nothing
        assert one.state.traffic.is_nothing


@pytest.mark.parametrize("name", ALL)
def test_what_is_stored_is_what_is_read(name: str) -> None:
    state = in_the_middle(ALL[name]).state
    status = status_from_state(state, previous={}, generation=1, now=START)
    read = state_from_status(status)
    assert (read.step, read.kind, read.traffic) == (state.step, state.kind, state.traffic)


def test_traffic_that_cannot_be_read_is_none_at_all() -> None:
    state = in_the_middle(AB).state
    status = status_from_state(state, previous={}, generation=1, now=START)
    for text in ('{"traffic": {"weight": 0, "match": [{"headers": [["a"]]}]}}', "no json", "{}"):
        status["run"]["traffic"] = text
        assert state_from_status(status).traffic.is_nothing


def test_a_run_of_the_version_before_goes_on() -> None:
    one = in_the_middle(STRATEGY)
    status = status_from_state(one.state, previous={}, generation=1, now=START)
    for field in ("traffic", "kind"):
        del status["run"][field]
    assert replace(one.state, evidence={}) == replace(state_from_status(status), evidence={})


@pytest.mark.parametrize(
    ("before", "after", "step"),
    [
        (AB, strategy(iterations=9, match=MATCH), "2 [100 % of what matches] 3"),
        (AB, strategy(iterations=1, match=MATCH), "promoted"),
        (AB, strategy(iterations=3, match=[{"headers": {"a": {"exact": "b"}}}]), "0 [100 % of"),
        (AB, STRATEGY, "0 [10 %] 0"),
        (BLUE_GREEN, strategy(iterations=1), "1 [100 %] 2"),
        (BLUE_GREEN, strategy(iterations=9, mirror=True), "2 [0 % and a copy of 100 %] 3"),
        (BLUE_GREEN, AB, "0 [100 % of what matches] 1"),
        (STRATEGY, BLUE_GREEN, "0 [0 %] 1"),
        (STRATEGY, AB, "0 [100 % of what matches] 1"),
        (STRATEGY, OF_THE_MATCHED, "0 [20 % of what matches] 0"),
        (MIRROR_FIRST, strategy(stepWeights=[30, 60], mirror=True), "1 [30 %] 0"),
    ],
)
def test_an_edit_in_mid_run_holds_from_the_next_step(
    before: Strategy, after: Strategy, step: str
) -> None:
    one = in_the_middle(before)
    had = one.traffic
    one.strategy = after
    while one.traffic == had and one.state.kind is before.kind and one.state.step < 2:
        now = look(one)
        if one.state.phase is not Phase.PROGRESSING:
            break
    now = "Progressing promoted" if one.state.phase is Phase.PROMOTING else now
    assert now.removeprefix("Progressing ").startswith(step)
    told(one)
    assert (one.state.phase, one.pods) == (Phase.SUCCEEDED, {"v2": 4})


def test_no_value_holds_nothing_up_while_nothing_is_sent() -> None:
    one = world(BLUE_GREEN)
    one.values["v2"] = None
    told(one, 100)
    assert (one.state.step, one.traffic.weight) == (3, 100)
    assert "NoData" in one.state.reason


def test_with_a_load_test_there_is_a_value_to_wait_for() -> None:
    load = Hook(name="load", type=HookType.ROLLOUT, url="http://load/")
    one = world(replace(BLUE_GREEN, hooks=(load,)))
    one.values["v2"] = None
    told(one, 60)
    assert (one.state.step, one.state.reason) == (0, "NoData")


@pytest.mark.parametrize("followed", [AB, BLUE_GREEN, OF_THE_MATCHED])
def test_a_stable_that_serves_nothing_like_it_excuses_nothing(followed: Strategy) -> None:
    one = world(followed)
    one.values |= {"v1": 5.0, "v2": 5.0}
    told(one)
    assert one.state.phase is Phase.FAILED
    assert not any("the stable is at" in event for event in one.events)


@pytest.mark.parametrize("followed", [STRATEGY, MIRRORED, MIRROR_FIRST])
def test_a_stable_that_serves_the_like_excuses_what_it_fails_too(followed: Strategy) -> None:
    one = world(followed)
    one.values |= {"v1": 5.0, "v2": 5.0}
    told(one, 60)
    assert (one.state.phase, one.state.reason) == (Phase.PROGRESSING, "SharedIncident")


@pytest.mark.parametrize("name", ALL)
def test_neither_gate_nor_budget_waits_for_what_cannot_come(name: str) -> None:
    for step in ALL[name].steps:
        assert step.needs.gate is False
    assert AB.is_compared is False
    assert MIRRORED.is_compared is True


def test_traffic_comes_back_in_steps_where_it_is_asked_for() -> None:
    one = world(strategy(stepWeights=[100], stepWeightPromotion=40))
    said = [it for it in told(one) if it.startswith(("Finalising", "Succeeded"))]
    assert [it.split("[")[1].split("]")[0] for it in said] == ["60 %", "20 %", "0 %", "0 %"]
    assert one.state.phase is Phase.SUCCEEDED


def test_a_share_that_is_left_comes_back_an_interval_later_and_nothing_after_the_drain() -> None:
    one = world(strategy(stepWeights=[100], stepWeightPromotion=40))
    found = []
    while one.state.phase is not Phase.SUCCEEDED:
        decision = one.reconcile()
        if one.state.phase is Phase.FINALISING and one.state.stepped_at == one.now:
            found.append((one.state.weight, decision.requeue_after))
        one.roll()
        one.now += max(one.next_look(decision), timedelta(milliseconds=100))
    minute = timedelta(minutes=1)
    assert found[1:] == [(20, minute), (0, DEFAULT_TIMING.drain)]


def test_a_canary_that_serves_no_more_gives_all_of_it_back_at_once() -> None:
    one = world(strategy(stepWeights=[100], stepWeightPromotion=40))
    while one.state.phase is not Phase.FINALISING:
        look(one)
    one.unserved = "its Service has no ready endpoint"
    look(one)
    assert one.traffic.is_nothing
    told(one)
    assert str(one.state.phase) == "Succeeded"


def test_too_few_pods_of_the_target_hold_every_step() -> None:
    one = world(strategy(stepWeights=[20, 50], primaryReadyThreshold=75))
    one.pods = {"v1": 2}
    for _ in range(10):
        one.reconcile()
        one.now += timedelta(minutes=1)
    assert (one.state.step, one.state.reason) == (-1, "StableNotReady")
    one.pods = {"v1": 4}
    told(one)
    assert one.state.phase is Phase.SUCCEEDED


def test_a_canary_is_as_large_as_what_it_has_to_answer() -> None:
    sizes = {}
    for name, followed in ALL.items():
        one = in_the_middle(followed)
        sizes[name] = one.canary_size
    assert sizes == {
        "A/B": 4,
        "blue/green": 4,
        "blue/green, mirrored": 4,
        "by pods": 4,
        "canary, mirrored first": 4,
        "canary, sticky": 2,
        "canary of what matches": 2,
        "no route": 4,
        "plain canary": 2,
    }


def test_nothing_is_carried_over_into_another_run() -> None:
    assert (State().traffic.is_nothing, State().kind) == (True, STRATEGY.kind)
    assert AB.steps[0].traffic.match == SAID
