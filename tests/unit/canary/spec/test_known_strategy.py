"""A Canary is read once for as long as it says the same, and what it says is never an old word."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from canary.contract import AUTO_LABEL, AUTO_VALUE, EVIDENCE_ALPHA
from canary.model.strategy import InvalidStrategy, Strategy
from canary.model.values import Json
from canary.spec.canary import parse_strategy
from canary.spec.defaults import Defaults, recorded, remembered
from canary.spec.known import strategy_of
from canary.spec.made import LAST_APPLIED, made_canary
from canary.spec.settings import Tuning
from tests.fakes import objects

NOW: Final = Defaults()
FORMER: Final[Json] = {
    "interval": "1m",
    "threshold": 5,
    "stepWeights": [5, 20],
    "metrics": [
        {"name": "request-success-rate", "interval": "1m", "thresholdRange": {"min": 99}},
        {"name": "request-duration", "interval": "1m", "thresholdRange": {"max": 500}},
    ],
}


def team(**spec: Any) -> Json:
    found = objects.canary(metrics=[{"name": "m", "query": "up", "thresholdRange": {"max": 1}}])
    return {**found, "spec": {**found["spec"], **spec}}


def former() -> Json:
    found = made_canary("prod", "web")
    return {**found, "spec": {**found["spec"], "analysis": deepcopy(FORMER)}}


def noted(name: str, value: str) -> Callable[[Json], None]:
    def edit(canary: Json) -> None:
        canary["metadata"].setdefault("annotations", {})[name] = value

    return edit


def stepped(canary: Json) -> None:
    canary["spec"]["analysis"]["stepWeight"] = 7


def served(canary: Json) -> None:
    canary["spec"]["service"]["name"] = "other"


def broken(canary: Json) -> None:
    canary["spec"]["analysis"]["interval"] = "soon"


def renamed(canary: Json) -> None:
    canary["metadata"]["name"] = "other"


def moved(canary: Json) -> None:
    canary["metadata"]["namespace"] = "other"


def labelled(canary: Json) -> None:
    canary["metadata"]["labels"] = {AUTO_LABEL: AUTO_VALUE}


def applied(canary: Json) -> None:
    """A team applies the very same fields over what was made: from then on they are its word."""
    fields: Json = {"f:spec": {"f:analysis": {"f:interval": {}}}}
    entry = {"manager": "kustomize-controller", "operation": "Apply", "fieldsV1": fields}
    canary["metadata"]["managedFields"] = [entry]


EDITS: Final = [
    (team(), stepped),
    (team(), served),
    (team(), broken),
    (team(), renamed),
    (team(), moved),
    (team(), labelled),
    (team(), noted(EVIDENCE_ALPHA, "5")),
    (team(), noted(EVIDENCE_ALPHA, "much")),
    (former(), noted(LAST_APPLIED, "{}")),
    (former(), applied),
]


@pytest.mark.parametrize(("canary", "edit"), EDITS)
def test_an_edit_is_read_though_no_number_tells_of_it(
    canary: Json, edit: Callable[[Json], None]
) -> None:
    """An annotation moves no generation, and the version may be of anything."""
    before = strategy_of(canary, None, NOW)
    edited = deepcopy(canary)
    edit(edited)
    after = strategy_of(edited, None, NOW)
    assert before == parse_strategy(canary, NOW)
    assert after == parse_strategy(edited, NOW)
    assert strategy_of(deepcopy(canary), None, NOW) == before


def test_each_edit_but_a_label_means_something() -> None:
    """Else nothing would tell an old word from the new one."""
    for canary, edit in EDITS:
        edited = deepcopy(canary)
        edit(edited)
        means = parse_strategy(edited, NOW) != parse_strategy(canary, NOW)
        assert means is (edit not in {labelled, moved}), edit.__name__


def test_what_says_the_same_is_read_once() -> None:
    canary = team()
    found = strategy_of(canary, None, NOW)
    written = deepcopy(canary)
    written["metadata"] |= {
        "resourceVersion": "77",
        "generation": 9,
        "managedFields": [{"manager": "headgate", "subresource": "status"}],
    }
    written["status"] = {"phase": "Progressing"}
    assert strategy_of(written, None, NOW) is found


def test_a_run_keeps_the_defaults_that_it_began_with_and_the_next_has_those_of_now() -> None:
    canary = made_canary("prod", "web")
    began = replace(NOW, interval=timedelta(seconds=90), tuning=Tuning(alpha=0.02))
    texts = recorded(began)
    for now in (NOW, replace(NOW, threshold=9), NOW):
        assert strategy_of(canary, texts, now) == parse_strategy(canary, remembered(texts, now))
        assert strategy_of(canary, {}, now) == parse_strategy(canary, remembered({}, now))
        assert strategy_of(canary, None, now) == parse_strategy(canary, now)
    assert strategy_of(canary, texts, NOW) != strategy_of(canary, None, NOW)


def test_steps_of_many_runs_are_there_once() -> None:
    """As they were, 99 steps of each run took 20 kB."""
    analysis = {"interval": "1m", "threshold": 3, "maxWeight": 99, "stepWeight": 1}
    found = [strategy_of(team(analysis=dict(analysis), x=it), None, NOW) for it in range(50)]
    strategies = [it for it in found if isinstance(it, Strategy)]
    assert len(strategies) == len(found)
    assert len({id(step) for it in strategies for step in it.steps}) == 99


def test_what_cannot_be_followed_is_said_each_time() -> None:
    canary = team(analysis={"interval": "soon", "stepWeight": 5})
    for _ in range(2):
        found = strategy_of(canary, None, NOW)
        assert isinstance(found, InvalidStrategy)
        assert found == parse_strategy(canary, NOW)
