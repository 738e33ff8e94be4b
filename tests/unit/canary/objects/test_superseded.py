"""No condition of a Canary that is True or False speaks of another version than the one held."""

from datetime import UTC, datetime
from typing import Any

import pytest

from canary.contract import HOLD
from canary.model.hashing import template_hash
from canary.model.state import Phase, State
from canary.model.values import Json
from canary.objects.status import is_edited, state_from_status, status_from_state
from canary.objects.superseded import newly_held, superseded

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEMPLATE: Json = {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}
HELD = template_hash(TEMPLATE)


def target(hold: str | None = HELD) -> Json:
    notes = {} if hold is None else {HOLD: hold}
    return {"metadata": {"annotations": notes}, "spec": {"template": TEMPLATE}}


def canary(phase: Phase = Phase.SUCCEEDED, **said: Any) -> Json:
    state = State(**{"phase": phase, "reason": "Succeeded", "message": "done", **said})
    status = status_from_state(state, previous={}, generation=3, now=NOW)
    return {"metadata": {"generation": 3}, "status": status}


@pytest.mark.parametrize("phase", [Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED])
def test_a_verdict_of_before_is_unknown_as_soon_as_another_version_is_held(phase: Phase) -> None:
    before = canary(phase, candidate="v1", stable="v1")
    patch = superseded(before, target(), NOW)

    assert patch is not None
    after = {**before["status"], "conditions": patch["status"]["conditions"]}
    after["run"] = {**after["run"], **patch["status"]["run"]}
    assert (after["conditions"][0]["status"], after["conditions"][0]["reason"]) == (
        "Unknown",
        "Held",
    )
    assert HELD in after["conditions"][0]["message"]
    # What is decided by is what it was.
    assert state_from_status(after) == state_from_status(before["status"])


@pytest.mark.parametrize(
    ("stored", "held"),
    [
        pytest.param(canary(candidate="v1", stable=HELD), target(), id="what serves"),
        pytest.param(canary(Phase.FAILED, candidate=HELD), target(), id="refused"),
        pytest.param(canary(Phase.PROGRESSING, candidate="v1"), target(), id="a run"),
        pytest.param(canary(candidate="v1"), target(hold=None), id="not held"),
        pytest.param({"metadata": {}, "status": {}}, target(), id="nothing known"),
        pytest.param({"metadata": {}, "status": {"run": 1, "conditions": 2}}, target(), id="odd"),
    ],
)
def test_what_speaks_of_the_held_version_stays(stored: Json, held: Json) -> None:
    assert superseded(stored, held, NOW) is None


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (target(None), target(), True),
        (target("v1"), target(), True),
        (target(), target(), False),
        (target(), target(None), False),
    ],
)
def test_when_another_version_is_held(before: Json, after: Json, expected: bool) -> None:  # noqa: FBT001 - a table
    assert newly_held(before, after) is expected


def test_a_version_that_is_held_by_suspend_is_not_said_to_be_promoted() -> None:
    held = canary(reason="Suspended")

    assert held["status"]["conditions"][0]["status"] == "Unknown"


def test_an_edit_is_told_by_its_generation() -> None:
    seen = canary()
    assert not is_edited(seen)
    assert is_edited({**seen, "metadata": {"generation": 4}})
    assert not is_edited({"metadata": {"generation": 4}, "status": {"phase": "Succeeded"}})
