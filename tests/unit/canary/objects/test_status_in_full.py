"""The status of a run, events and conditions, every field of them, kept as text."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from canary.contract import (
    HOLD,
    REFUSED,
    REFUSED_WHY,
    STABLE,
    Reason,
)
from canary.model.announcement import Told
from canary.model.asking import Asked, HookAsk, Word
from canary.model.state import Check, Outcome, Phase, State
from canary.model.strategy import HookType, Strategy
from canary.objects import (
    conditions,
    events,
    marks,
    status,
)
from canary.objects.announcements import dumped_event, events_told
from canary.rules.actions import Emit, Pause
from canary.spec.steps import linear
from tests.fakes.objects import Json, annotated, deployment
from tests.unit.canary.objects.in_words import kept

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WORN = {"app": "web", "tier": "front"}
STRATEGY = Strategy(
    interval=timedelta(seconds=10), threshold=1, steps=linear((50,)), service_name="web"
)


WORD = Word(ok=False, message="no", at=NOW)
ASK = HookAsk(run="", step=1, round=2, hook="smoke", type=HookType.ROLLOUT)
STATE = State(
    phase=Phase.PROGRESSING,
    candidate="v2",
    stable="v1",
    step=1,
    round=2,
    weight=20,
    failed_checks=1,
    started_at=NOW + timedelta(seconds=0),
    changed_at=NOW + timedelta(seconds=1),
    checked_at=NOW + timedelta(seconds=2),
    stepped_at=NOW + timedelta(seconds=3),
    no_data_since=NOW + timedelta(seconds=4),
    incident_since=NOW + timedelta(seconds=5),
    lost_since=NOW + timedelta(seconds=6),
    unready_since=NOW + timedelta(seconds=7),
    traffic_since=NOW + timedelta(seconds=8),
    former_until=NOW + timedelta(seconds=9),
    pods=("a", "b"),
    tries=2,
    target_uid="uid",
    pre_rollout_passed=True,
    paused=True,
    undoing="v0",
    post_rollout_called=True,
    forced=True,
    reason="Advanced",
    message="it goes",
    checks=(
        Check(name="errors", outcome=Outcome.FAILED, message="bad", value=2.0, bound=1.0),
        Check(
            name="latency",
            outcome=Outcome.PASSED,
            message="good",
            value=float("inf"),
            source="pods",
            query="up",
        ),
    ),
    restarts=3,
    losses=4,
    withheld=5,
    full_size=6,
    needed=7,
    evidence={"at": 1.0},
    defaults={"threshold": "3"},
    in_force={"threshold": 3},
    accepted={"analysis": {"b": 1, "a": 2}},
)


def test_the_status_of_a_run() -> None:
    run = replace(STATE, asked=())
    asks = (
        Asked(ask=replace(ASK, run=run.run), since=NOW),
        Asked(ask=replace(ASK, run=run.run, hook="b"), since=NOW, puts=2, word=WORD),
    )
    run = replace(run, asked=asks)
    first = status.status_from_state(run, previous={}, generation=7, now=NOW)
    assert status.state_from_status(json.loads(json.dumps(first))) == replace(
        run, checks=(run.checks[0], replace(run.checks[1], value=None))
    )
    later = NOW + timedelta(minutes=1)
    denied = replace(run, denied_since=NOW, denied_why="no quota", defaults={}, in_force={"x": 1})
    failed = replace(denied, phase=Phase.FAILED, reason="", weight=0)

    def again(state: State, previous: Json = first) -> Json:
        return status.status_from_state(state, previous=previous, generation=8, now=later)

    kept(
        "status",
        first=first,
        the_same_later={key: value for key, value in again(run).items() if key != "run"},
        denied=again(denied),
        failed={key: value for key, value in again(failed).items() if key != "run"},
        conditions=[
            again(replace(run, phase=phase, reason=reason), {})["conditions"][0]
            for phase in Phase
            for reason in ("", str(Reason.INVALID))
        ],
        empty=again(State(), {}),
        other_defaults=again(replace(run, defaults={"weights": "1"}))["run"]["defaults"],
        over_nonsense=again(run, {"run": {"defaults": "x", "inForce": None}})["run"]["defaults"],
    )


def test_a_status_of_others_is_read_as_far_as_it_goes() -> None:
    run: Json = {"run": {}}
    stored: dict[str, Json] = {
        "nothing": {},
        "Flagger's": {"phase": "Succeeded", "canaryWeight": 5},
        "no fields": run,
        "null": {**run, "run": None},
        "a phase that is not known": {**run, "phase": "Waiting"},
        "a weight alone": {**run, "canaryWeight": 20, "phase": "Progressing"},
        "of another run": {"run": {"step": 2, "round": 1, "stepOf": "x@y"}},
        "of this run": {"run": {"step": 2, "stepOf": "@", "asked": [{"since": NOW.isoformat()}]}},
        "an answer without its time": {
            "run": {"stepOf": "@", "asked": [{"since": NOW.isoformat(), "ok": True}]}
        },
        "a time without its answer": {
            "run": {
                "stepOf": "@",
                "asked": [{"since": NOW.isoformat(), "answeredAt": NOW.isoformat()}],
            }
        },
        "without a step": {"canaryWeight": 3, "run": {"stepOf": "@"}},
        "mappings that are none": {"run": {"defaults": [], "inForce": 1, "accepted": "{"}},
        "accepted that is no mapping": {"run": {"accepted": "[]"}},
        "a check without words": {"run": {"checks": [{}]}},
        "words of its own": {
            "conditions": [{"reason": "A", "message": "a"}, {"reason": "B"}],
            "run": {"reason": "C"},
        },
        "words of the condition": {"conditions": [{"reason": "A", "message": "a"}], "run": {}},
    }
    read = {name: status.state_from_status(one) for name, one in stored.items()}
    kept("status_read", **{name.replace(" ", "_"): one for name, one in read.items()})


SUBJECT: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "prod", "uid": "u", "resourceVersion": "5"},
}


def test_events_conditions_and_marks() -> None:
    bare = {**SUBJECT, "metadata": {"name": "web", "namespace": "prod", "uid": "u"}}
    warning = Emit("Refused", "x" * 2000, warning=True)
    long = events.event_of(bare, warning, NOW, "run")
    assert long["message"] == "x" * 1024
    refused, reopened = conditions.refused("bad", NOW), conditions.reopened(NOW)
    stored = annotated(deployment(), {HOLD: "h", REFUSED: "r"})
    stored["status"] = {"conditions": [{"type": "Available", "status": "True"}, refused]}
    known = annotated(deployment(), {REFUSED: "v2", REFUSED_WHY: "long ago"})
    state = State(candidate="v2")
    kept(
        "written",
        event=events.event_of(SUBJECT, Emit("Held", "held"), NOW, "run"),
        warning={key: value for key, value in long.items() if key != "message"},
        refused=refused,
        reopened=reopened,
        reopening=conditions.reopening(stored, refused, NOW),
        reopening_of_what_has_gone=conditions.reopening(stored, reopened, NOW),
        reopening_of_what_is_not_held=conditions.reopening(
            annotated(stored, {HOLD: None}), refused, NOW
        ),
        with_condition=conditions.with_condition(stored, reopened),
        with_condition_of_none=conditions.with_condition(deployment(), reopened),
        carries=[
            conditions.carries(stored, refused),
            conditions.carries(stored, reopened),
            conditions.carries(deployment(), refused),
            conditions.carries_verdict(stored),
        ],
        marks=[marks.marked({HOLD: "h", STABLE: None}, pause) for pause in Pause],
        refused_marks=[
            marks.refused_marks(known, state, "now"),
            marks.refused_marks(known, State(candidate="v3"), "n" * 2000),
            marks.refused_marks(annotated(known, {REFUSED_WHY: None}), state, "now"),
        ],
        decided_on=marks.decided_on(annotated(known, {HOLD: "h"})),
    )


def test_what_is_stored_of_a_run_that_is_denied_a_write_is_read_again() -> None:
    run = replace(STATE, checks=(), denied_since=NOW, denied_why="no quota")
    stored = status.status_from_state(run, previous={}, generation=1, now=NOW)
    assert status.state_from_status(json.loads(json.dumps(stored))) == run


@pytest.mark.parametrize(
    ("changes", "moves"),
    [
        ({}, False),
        ({"message": "x"}, False),
        ({"weight": 30}, True),
        ({"phase": Phase.FAILED}, True),
    ],
)
def test_the_time_of_a_transition_moves_with_phase_or_weight(
    changes: dict[str, Any], *, moves: bool
) -> None:
    stored = status.status_from_state(STATE, previous={}, generation=1, now=NOW)
    later = NOW + timedelta(minutes=1)
    state = replace(STATE, **changes)
    now = status.status_from_state(state, previous=stored, generation=1, now=later)
    assert (now["lastTransitionTime"] != stored["lastTransitionTime"]) is moves


@pytest.mark.parametrize("warning", [True, False])
def test_what_hooks_are_yet_to_be_told_comes_back(*, warning: bool) -> None:
    told = Told(message="it goes", warning=warning, at=NOW, phase="Progressing", checksum="v2")
    assert events_told({"told": [dumped_event(told)]}) == (told,)
