"""What the rules do with evidence: refuse between ticks, gate a promotion, bake."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.evidence.counters import Stratum
from canary.evidence.policy import Inconclusive, Policy
from canary.evidence.report import recall
from canary.evidence.verdict import Refuse, describe
from canary.model.state import Phase
from canary.model.strategy import Metric, Strategy
from canary.objects.status import state_from_status, status_from_state
from canary.spec.canary import Defaults, parse_strategy
from canary.spec.steps import judged, linear
from tests.fakes.world import START, STRATEGY, World

SICK = Stratum(20, 100, 0, 900, 5)
HEALTHY = Stratum(0, 100, 1, 900, 5)
GATED = replace(STRATEGY, steps=judged(STRATEGY.steps, gate=True))


def world_with(stratum: Stratum, strategy: Strategy = STRATEGY) -> World:
    world = World(strategy=strategy)
    world.strata["v2"] = stratum
    world.update("v2")
    return world


def until(world: World, phase: Phase) -> None:
    while world.state.phase is not phase:
        world.reconcile()
        world.now += timedelta(seconds=10)


def test_sufficient_evidence_refuses_before_any_tick_and_says_all_its_numbers() -> None:
    world = world_with(SICK)
    world.run(until=timedelta(seconds=59))
    assert world.state.phase is Phase.FAILED
    assert world.weights == [10, 0]
    assert world.state.failed_checks == 0
    figures = ("20 %", "> 0.1 %, above its bound by", "of the canary's", "of the stable's")
    for part in ("error-rate", *figures, "counted from pods (app)"):
        assert part in world.verdict, world.verdict


def test_the_verdict_can_be_computed_again_from_what_is_stored() -> None:
    world = world_with(SICK)
    world.run()
    stored = status_from_state(world.state, previous={}, generation=1, now=START)
    judge, state = recall(state_from_status(stored).evidence)
    verdict = judge.verdict(state)
    assert isinstance(verdict, Refuse)
    assert describe(verdict.finding) in world.verdict


def without_nulls(value: Any) -> Any:
    """Return what is stored once a merge patch has taken the nulls for deletions."""
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return value


def test_a_record_survives_being_stored_by_a_merge_patch() -> None:
    world = world_with(HEALTHY)
    world.run(until=timedelta(minutes=3))
    record = world.state.evidence
    judge, state = recall(without_nulls(json.loads(json.dumps(record))))
    kept, seen = recall(record)
    assert (judge.plans, judge.policy, state) == (kept.plans, kept.policy, seen)


def test_evidence_is_stored_between_two_ticks_so_that_a_death_costs_little() -> None:
    world = world_with(HEALTHY, replace(STRATEGY, interval=timedelta(minutes=10)))
    world.run(until=timedelta(minutes=2))
    (counts,) = world.state.evidence["state"]["metrics"]
    assert counts["canary_all"] >= 60 / 5 * 100


def test_healthy_traffic_is_promoted_and_its_evidence_kept() -> None:
    world = world_with(HEALTHY)
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert world.state.evidence["sources"] == {"error-rate": "pods (app)"}


def test_evidence_while_it_rolls_undoes_the_promotion() -> None:
    world = world_with(HEALTHY)
    world.replicas, world.pods = 40, {"v1": 40}
    until(world, Phase.PROMOTING)
    world.roll()
    world.strata["v2"] = SICK
    world.run()
    assert world.state.phase is Phase.FAILED
    assert world.pods == {"v1": 40}


def test_what_a_person_has_promoted_is_not_refused() -> None:
    world = world_with(SICK)
    world.state = replace(world.state, forced=True)
    world.run(until=timedelta(seconds=59))
    assert world.state.phase is not Phase.FAILED or not world.state.forced


def test_a_policy_that_is_off_leaves_layer_1_alone() -> None:
    off = replace(STRATEGY, policy=Policy(enabled=False))
    world = world_with(SICK, off)
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


def test_the_gate_lets_a_candidate_pass_that_is_shown_to_be_no_worse() -> None:
    world = world_with(Stratum(0, 500, 4, 4500, 5), GATED)
    world.run()
    assert world.state.phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("then", "phase"),
    [
        (Inconclusive.HOLD, Phase.PROGRESSING),
        (Inconclusive.ROLLBACK, Phase.FAILED),
        (Inconclusive.PROMOTE, Phase.SUCCEEDED),
    ],
)
def test_too_little_traffic_is_what_the_policy_says(then: Inconclusive, phase: Phase) -> None:
    policy = Policy(on_inconclusive=then)
    strategy = replace(GATED, policy=policy, decide_within=timedelta(minutes=5))
    world = world_with(Stratum(0, 1, 0, 9, 60), strategy)
    world.run(until=timedelta(minutes=30))
    assert world.state.phase is phase
    assert world.weights[0] == 10
    assert then is Inconclusive.PROMOTE or set(world.weights) <= {10, 0}


def test_while_the_gate_is_shut_the_message_says_how_many_requests_are_missing() -> None:
    world = world_with(Stratum(0, 10, 0, 90, 60), GATED)
    world.run(until=timedelta(minutes=3))
    assert "requests to the canary" in world.state.message
    assert "waiting until 01:00:" in world.state.message
    assert sum("not yet shown" in event for event in world.events) == 1


BUDGETED = replace(STRATEGY, steps=judged(STRATEGY.steps, error_budget=20))


def test_a_step_waits_until_it_fits_the_error_budget() -> None:
    # 6 requests per second at weight 10, 12 at 20, so 720 in a minute: U must be below 2.8 %.
    world = world_with(Stratum(0, 12, 0, 108, 2), BUDGETED)
    world.run(until=timedelta(seconds=70))
    assert world.weight == 10
    assert "weight 20 may cost " in world.state.message
    assert "(error-rate), over the error budget of 20" in world.state.message
    assert "more are needed, if they are good" in world.state.message
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert world.weights[:6] == [10, 20, 30, 40, 50, 0]


def test_a_budget_that_nothing_counts_for_is_said_and_kept() -> None:
    world = World(strategy=BUDGETED)
    world.update("v2")
    world.run(until=timedelta(minutes=10))
    assert (world.state.phase, world.weight) == (Phase.PROGRESSING, 10)
    assert "no metric counts bad answers" in world.state.message


def test_what_never_fits_the_error_budget_is_what_the_policy_says() -> None:
    strategy = replace(
        STRATEGY,
        steps=judged(STRATEGY.steps, error_budget=1),
        decide_within=timedelta(minutes=5),
    )
    strategy = replace(strategy, policy=Policy(on_inconclusive=Inconclusive.ROLLBACK))
    world = world_with(Stratum(0, 12, 0, 108, 2), strategy)
    world.run(until=timedelta(minutes=10))
    assert world.state.phase is Phase.FAILED
    assert "over the error budget of 1" in world.verdict


def test_a_bake_is_judged_at_weight_100_before_the_old_pods_go() -> None:
    bake = replace(STRATEGY, steps=judged(linear((50, 100)), bake=timedelta(minutes=10)))
    world = world_with(HEALTHY, bake)
    world.run(until=timedelta(minutes=11))
    assert (world.state.phase, world.weight, world.pods) == (Phase.PROGRESSING, 100, {"v1": 4})
    world.run()
    assert world.state.phase is Phase.SUCCEEDED
    assert any("baking" in event for event in world.events)


def test_a_late_refusal_in_the_bake_costs_no_old_pod() -> None:
    bake = replace(STRATEGY, steps=judged(linear((50, 100)), bake=timedelta(minutes=10)))
    world = world_with(HEALTHY, bake)
    world.run(until=timedelta(minutes=5))
    world.strata["v2"] = SICK
    world.run()
    assert world.state.phase is Phase.FAILED
    assert world.pods == {"v1": 4}


def canary(**notes: str) -> dict[str, object]:
    return {
        "metadata": {
            "name": "web",
            "annotations": {f"headgate.dev/{k.replace('_', '-')}": v for k, v in notes.items()},
        },
        "spec": {
            "targetRef": {"name": "web"},
            "analysis": {"interval": "1m", "stepWeight": 10, "maxWeight": 50},
        },
    }


def test_annotations_set_the_policy() -> None:
    notes = {
        "evidence_alpha": "0.5",
        "evidence_beta": "2%",
        "promotion_gate": "non-inferiority",
        "error_budget": "50",
        "decide_within": "30m",
        "on_inconclusive": "rollback",
        "bake": "10m",
    }
    strategy = parse_strategy(canary(**notes), Defaults())
    assert isinstance(strategy, Strategy)
    policy = strategy.policy
    assert (policy.alpha, policy.alpha_history, policy.beta) == (0.005, 0.0005, 0.02)
    assert policy.on_inconclusive is Inconclusive.ROLLBACK
    assert (strategy.gate, strategy.error_budget) == (True, 50)
    assert (strategy.decide_within, strategy.bake) == (timedelta(minutes=30), timedelta(minutes=10))
    assert strategy.weights == (10, 20, 30, 40, 50, 100)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("evidence", "maybe"),
        ("evidence_alpha", "0"),
        ("evidence_alpha", "half"),
        ("promotion_gate", "strict"),
        ("error_budget", "0"),
        ("error_budget", "2 %"),
        ("on_inconclusive", "shrug"),
        ("bake", "soon"),
    ],
)
def test_a_mistaken_annotation_is_named(name: str, value: str) -> None:
    found = parse_strategy(canary(**{name: value}), Defaults())
    assert not isinstance(found, Strategy)
    assert any(name.replace("_", "-") in problem for problem in found.problems)


def test_a_metric_that_only_layer_1_knows_goes_on_beside_the_evidence() -> None:
    strategy = replace(STRATEGY, metrics=(Metric(name="queue", source="q", maximum=1),))
    world = world_with(HEALTHY, strategy)
    world.values["v2"] = 5.0
    world.run()
    assert world.state.phase is Phase.FAILED
    assert "queue 5 > 1" in world.verdict
