"""Defaults, Canary, annotations and what a run remembers: what is in force."""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from canary.contract import BAKE, EVIDENCE, EVIDENCE_ALPHA
from canary.evidence.policy import Inconclusive
from canary.model.strategy import FailureCount, InvalidStrategy, NoDataPolicy, Strategy
from canary.model.values import Json
from canary.spec import settings
from canary.spec.canary import Defaults, parse_strategy
from canary.spec.defaults import recorded, remembered
from canary.spec.in_force import in_force
from canary.spec.made import made_canary
from canary.spec.settings import Tuning
from tests.fakes.made import FLAGGERS

THEN = Defaults(
    weights=(20, 40),
    interval=timedelta(seconds=15),
    threshold=2,
    min_success_rate=95.5,
    max_duration_ms=250,
    min_interval=timedelta(seconds=12),
    tuning=Tuning(alpha=0.02),
)
NOW = Defaults(weights=(1,), interval=timedelta(minutes=9), threshold=9, min_success_rate=1)
METRICS = [{"name": "own", "query": "1", "thresholdRange": {"max": 1}}]
BY_DEFAULTS = {
    "request-success-rate": {"min": 95.5},
    "request-duration": {"max": 250},
}


def canary(analysis: Json, notes: Mapping[str, str] = {}, **spec: Any) -> Json:
    obj = made_canary("prod", "web")
    obj["metadata"] = {"name": "web", "namespace": "prod", "annotations": dict(notes)}
    obj["spec"] |= {"analysis": analysis, **spec}
    return obj


def shown(obj: Json, defaults: Defaults) -> Json:
    found = parse_strategy(obj, defaults)
    assert isinstance(found, Strategy), found
    return in_force(found)


# --- the Canary over the defaults --------------------------------------------------------------

RESOLVED: dict[str, tuple[Json, dict[str, str], Json]] = {
    "nothing said": (
        {},
        {},
        {"interval": "15s", "threshold": 2, "stepWeights": [20, 40], "alpha": "2"},
    ),
    "an interval": ({"interval": "1m"}, {}, {"interval": "60s", "stepWeights": [20, 40]}),
    "an interval below the shortest": ({"interval": "1s"}, {}, {"interval": "12s"}),
    "a threshold": ({"threshold": 7}, {}, {"threshold": 7, "interval": "15s"}),
    "a largest share": ({"maxWeight": 30}, {}, {"stepWeights": [20, 30]}),
    "a largest share below the first": ({"maxWeight": 10}, {}, {"stepWeights": [10]}),
    "steps of its own": (
        {"stepWeights": [3, 9]} | {"interval": "1m", "threshold": 1},
        {},
        {
            "stepWeights": [3, 9],
            "interval": "60s",
            "threshold": 1,
        },
    ),
    "a step of its own": (FLAGGERS, {}, {"stepWeights": [10, 20, 30, 40, 50], "threshold": 3}),
    "settings by annotation": (
        {},
        {EVIDENCE_ALPHA: "5", BAKE: "2m", EVIDENCE: "off"},
        {"alpha": "5", "bake": "120s", "evidence": "off", "stepWeights": [20, 40, 100]},
    ),
}


@pytest.mark.parametrize("row", RESOLVED)
def test_a_canary_holds_and_the_defaults_where_it_is_silent(row: str) -> None:
    analysis, notes, expected = RESOLVED[row]
    found = shown(canary(analysis, notes), THEN)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("analysis", "metrics"),
    [
        ({}, BY_DEFAULTS),
        ({"interval": "1m"}, BY_DEFAULTS),
        ({"metrics": METRICS}, {"own": {"max": 1}}),
        ({"metrics": []}, {}),
        (FLAGGERS, {}),
        ({**FLAGGERS, "metrics": METRICS}, {"own": {"max": 1}}),
    ],
)
def test_metrics_are_the_defaults_only_where_an_open_analysis_names_none(
    analysis: Json, metrics: Json
) -> None:
    found = shown(canary(analysis), THEN)["metrics"]
    assert {metric["name"]: metric["thresholdRange"] for metric in found} == metrics


@pytest.mark.parametrize(
    ("analysis", "spec", "without"),
    [
        ({}, {}, {"values", "a service"}),
        ({}, {"service": {"port": 80}}, {"values"}),
        ({"metrics": METRICS}, {}, {"a service"}),
        (FLAGGERS, {}, set()),
        ({**FLAGGERS, "metrics": [{"name": "request-duration"}]}, {}, set()),
    ],
)
def test_what_a_canary_does_without_by_the_defaults(
    analysis: Json, spec: Json, without: set[str]
) -> None:
    found = parse_strategy(canary(analysis, **spec), THEN)
    assert isinstance(found, Strategy)
    assert found.health_is_enough == ("values" in without)
    assert found.any_service == ("a service" in without)


def test_a_team_s_bounds_give_no_way_to_a_slow_stable() -> None:
    own = {**FLAGGERS, "metrics": [{"name": "request-duration", "thresholdRange": {"max": 5}}]}
    found = parse_strategy(canary(own), THEN)
    assert isinstance(found, Strategy)
    assert [metric.leeway for metric in found.metrics] == [None]


def test_nothing_is_in_force_of_what_cannot_be_followed() -> None:
    assert in_force(InvalidStrategy(problems=("x",))) == {}


# --- what a run remembers ----------------------------------------------------------------------


def any_defaults(rng: random.Random) -> Defaults:
    weights = tuple(sorted(rng.sample(range(1, 101), rng.randint(1, 5))))
    return Defaults(
        weights=weights,
        interval=timedelta(milliseconds=rng.randint(1000, 10**7)),
        threshold=rng.randint(1, 99),
        min_success_rate=rng.choice([0.0, 100.0, 99.9, rng.uniform(0, 100)]),
        max_duration_ms=rng.uniform(0, 1e5),
        min_interval=timedelta(milliseconds=rng.randint(1000, 10**6)),
        tuning=Tuning(
            evidence=rng.random() < 0.5,
            alpha=float(f"{rng.uniform(0.001, 49):.6g}") / 100,
            beta=float(f"{rng.uniform(0.001, 49):.6g}") / 100,
            gate=rng.random() < 0.5,
            error_budget=rng.choice([None, 1, 500]),
            decide_within=timedelta(seconds=rng.randint(0, 10**6)),
            on_inconclusive=rng.choice(list(Inconclusive)),
            bake=timedelta(seconds=rng.randint(0, 10**4)),
            no_data=rng.choice(list(NoDataPolicy)),
            no_data_after=timedelta(seconds=rng.randint(0, 10**4)),
            failure_count=rng.choice(list(FailureCount)),
        ),
    )


@pytest.mark.parametrize("seed", range(200))
def test_what_a_run_remembers_is_what_was_in_force(seed: int) -> None:
    defaults = any_defaults(random.Random(seed))  # noqa: S311 - a table, not a secret
    texts = recorded(defaults)
    assert remembered(texts, Defaults()) == defaults
    assert remembered(texts, replace(NOW, tuning=Tuning(gate=True))) == defaults
    assert all(isinstance(text, str) for text in texts.values())


def test_every_setting_of_a_run_is_remembered() -> None:
    fixed = {"metricsServer", "drain", "pods", "server", "onUnsuitable"}
    keys = {row.key for row in settings.TABLE} - fixed
    assert recorded(replace(THEN, tuning=Tuning(error_budget=1))).keys() == keys


def test_changed_defaults_leave_a_run_as_it_began() -> None:
    for analysis in ({}, {"threshold": 7}, FLAGGERS):
        obj = canary(analysis)
        assert shown(obj, remembered(recorded(THEN), NOW)) == shown(obj, THEN)


@pytest.mark.parametrize(
    "texts", [{}, {"weights": "x", "interval": "?", "alpha": "-1"}, {"from": "a later release"}]
)
def test_what_cannot_be_read_is_what_holds_now(texts: dict[str, str]) -> None:
    assert remembered(texts, NOW) == NOW
