"""A Canary that its team edits in mid-run, with every strategy: what is so from then on."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from canary.model.state import Phase
from canary.model.strategy import InvalidStrategy, Strategy
from canary.model.traffic import Traffic
from canary.spec.strategies import without_route
from tests.unit.canary.rules.middle import (
    ANALYSES,
    BAD,
    HOOKS,
    METRICS,
    MOMENTS,
    ROUTED,
    STRATEGIES,
    Run,
    assert_over,
    let_go,
    run_at,
    strategy,
)

BESIDE = {"name": "beside", "type": "rollout", "url": "http://gate/"}
BACK = {"name": "back", "type": "rollback", "url": "http://gate/"}
WHEN = ("at the first gate", "at the first step", "at the last gate")


def edited(name: str, **changes: Any) -> Strategy:
    """Return a strategy with another word in its Canary."""
    if name == "kubernetes":
        return without_route(strategy("kubernetes", **{"iterations": 2, **changes}))
    return strategy(**{**ANALYSES[name], **changes})


def in_the_middle(name: str, moment: str) -> Run:
    return run_at(STRATEGIES[name], MOMENTS[moment])


# --- edits after which the run goes on ----------------------------------------------------------

EDITS: Mapping[str, Mapping[str, Any]] = {
    "another metric": {"metrics": [{**METRICS[0], "name": "other"}]},
    "one more metric": {"metrics": [*METRICS, {**METRICS[0], "name": "other"}]},
    "no metric": {"metrics": []},
    "a hook beside": {"webhooks": [*HOOKS, BESIDE]},
    "no hooks": {"webhooks": []},
    "a longer interval": {"interval": "5m"},
    "a higher threshold": {"threshold": 9},
    "analysis is skipped": {"skipAnalysis": True},
}


@pytest.mark.parametrize(
    ("name", "what", "moment"),
    [*product(STRATEGIES, EDITS, ("at the first step", "at the last gate", "rolling"))],
)
def test_a_good_version_is_promoted_whatever_its_canary_is_edited_into(
    name: str, what: str, moment: str
) -> None:
    run = in_the_middle(name, moment)
    run.world.strategy = edited(name, **EDITS[what])
    let_go(run.world)
    run.rest()
    assert_over(run, Phase.SUCCEEDED, "v2")


@pytest.mark.parametrize(
    ("name", "what", "moment"),
    [
        *product(
            ROUTED,
            [what for what in EDITS if what not in {"no metric", "analysis is skipped"}],
            ["at the second step"],
        )
    ],
)
def test_a_bad_version_is_refused_whatever_its_canary_is_edited_into(
    name: str, what: str, moment: str
) -> None:
    run = in_the_middle(name, moment)
    run.world.strategy = edited(name, **EDITS[what])
    run.world.values["v2"] = BAD
    let_go(run.world)
    run.rest()
    assert_over(run, Phase.FAILED, "v1")
    assert run.served == {"v1"}


# --- another strategy ---------------------------------------------------------------------------


OTHERS = [pair for pair in product(ROUTED, ROUTED) if pair[0] != pair[1]]


def shares(sent: Iterable[Traffic], had: Traffic) -> list[Traffic]:
    """Return what is sent, each once, without the run's cookies and what it had to begin with."""
    told = [replace(one, affinity=None) for one in (had, *sent)]
    return [one for at, one in enumerate(told) if at and one != told[at - 1]]


@pytest.mark.parametrize(("before", "after"), OTHERS)
def test_another_strategy_begins_with_its_first_step_and_leaves_none_out(
    before: str, after: str
) -> None:
    run = in_the_middle(before, "at the first step")
    had, wanted = run.world.traffic, [step.traffic for step in STRATEGIES[after].steps]
    run.world.strategy = STRATEGIES[after]
    sent = []
    while run.world.state.phase is Phase.PROGRESSING:
        run.look()
        sent.append(run.world.traffic)
    said = shares(sent, had)
    if STRATEGIES[before].kind is STRATEGIES[after].kind:
        assert [it.weight for it in said] == sorted(it.weight for it in said)
        assert {*said} <= {replace(it, affinity=None) for it in wanted}
    else:
        assert said == shares(wanted, had)
    run.rest()
    assert_over(run, Phase.SUCCEEDED, "v2")


@pytest.mark.parametrize(("before", "after"), OTHERS)
def test_a_bad_version_is_refused_by_another_strategy_too(before: str, after: str) -> None:
    run = in_the_middle(before, "at the first step")
    run.world.strategy = STRATEGIES[after]
    run.world.values["v2"] = BAD
    run.rest()
    assert_over(run, Phase.FAILED, "v1")
    assert run.served == {"v1"}


WEIGHTS: Mapping[str, tuple[list[int], list[int]]] = {
    "none that it has": ([15, 60], [60]),
    "smaller ones": ([1, 2, 3], []),
    "larger ones": ([50, 90], [50, 90]),
    "to the top": ([100], [100]),
}


@pytest.mark.parametrize("what", WEIGHTS)
def test_other_weights_go_on_from_the_weight_that_it_has(what: str) -> None:
    run = run_at(strategy(stepWeights=[20, 40]), MOMENTS["at the first step"])
    weights, taken = WEIGHTS[what]
    run.world.weights.clear()
    run.world.strategy = strategy(stepWeights=weights)
    run.rest()
    assert run.world.weights == [*taken, 0]
    assert_over(run, Phase.SUCCEEDED, "v2")


# --- suspended, or edited into what nobody can follow -------------------------------------------


@dataclass(frozen=True, slots=True)
class Stop:
    """An edit after which nothing moves until it is taken back."""

    make: Callable[[str], Strategy | InvalidStrategy]
    said: str


STOPS = {
    "suspended": Stop(lambda name: edited(name, suspend=True), "suspended by spec.suspend"),
    "not to be followed": Stop(lambda _: InvalidStrategy(problems=("no",)), "stays held: no"),
}


@pytest.mark.parametrize(
    ("name", "what", "moment"), [*product(STRATEGIES, STOPS, (*WHEN, "starting"))]
)
def test_nothing_moves_while_a_canary_says_stop_and_it_is_said(
    name: str, what: str, moment: str
) -> None:
    run = in_the_middle(name, moment)
    before = run.world.strategy
    run.world.strategy = STOPS[what].make(name)
    let_go(run.world)
    had = run.world.traffic
    end = run.world.now + timedelta(minutes=20)
    while run.world.now < end:
        run.look()
        assert (run.world.traffic, run.world.pods) == (had, {"v1": 4})
    assert STOPS[what].said in run.world.state.message
    run.world.strategy = before
    run.rest()
    assert_over(run, Phase.SUCCEEDED, "v2")


@pytest.mark.parametrize(("name", "what"), [*product(STRATEGIES, STOPS)])
@pytest.mark.parametrize("version", ["v1", "v3"])
@pytest.mark.parametrize("moment", ["at the first step", "rolling"])
def test_a_stopped_run_is_taken_back_or_superseded_all_the_same(
    name: str, what: str, version: str, moment: str
) -> None:
    run = in_the_middle(name, moment)
    before = run.world.strategy
    run.world.strategy = STOPS[what].make(name)
    run.look()
    run.world.update(version)
    for _ in range(20):
        run.look()
    assert run.world.traffic.is_nothing, "what was sent to v2 is sent to it no more"
    run.world.strategy = before
    run.rest()
    assert_over(run, Phase.INITIALIZED if version == "v1" else Phase.SUCCEEDED, version)
    assert ("v2" in run.served) is (moment == "rolling")


# --- hooks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_gate_that_is_taken_away_is_waited_at_no_more(name: str) -> None:
    for moment in ("at the first gate", "at the last gate"):
        run = in_the_middle(name, moment)
        run.world.strategy = edited(name, webhooks=[])
        run.rest()
        assert_over(run, Phase.SUCCEEDED, "v2")


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_gate_that_is_put_up_is_waited_at(name: str) -> None:
    run = run_at(edited(name, webhooks=[]), MOMENTS["at the first step"])
    run.world.strategy = STRATEGIES[name]
    run.world.refuse_hooks = {"rollout", "promotion", "before"}
    run.until(MOMENTS["at the last gate"].here)
    assert run.served == {"v1"}
    let_go(run.world)
    run.rest()
    assert_over(run, Phase.SUCCEEDED, "v2")


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_rollback_hook_that_is_added_takes_the_run_back(name: str) -> None:
    run = run_at(edited(name, webhooks=[]), MOMENTS["at the first step"])
    run.world.strategy = edited(name, webhooks=[BACK])
    run.until(lambda world: world.state.phase is Phase.FAILED)
    assert run.served == {"v1"}


@pytest.mark.parametrize("name", STRATEGIES)
def test_hooks_of_before_the_first_step_are_not_called_again_in_the_middle(name: str) -> None:
    run = in_the_middle(name, "at the first step")
    called = run.world.calls.count("before")
    run.world.strategy = edited(name, interval="2m")
    run.rest()
    assert run.world.calls.count("before") == called == 1
