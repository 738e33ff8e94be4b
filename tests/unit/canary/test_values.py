"""Hashes, checks, status and desired objects: tables of small pure functions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from canary.contract import HOLD, Command
from canary.model.asking import Sample
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.state import Check, Outcome, Phase, State
from canary.model.steps import canary_size
from canary.model.strategy import Builtin, Metric
from canary.model.world import Hold
from canary.objects.status import state_from_status, status_from_state
from canary.objects.workloads import VERDICT_PREFIX, read_canary, read_revisions, read_target
from canary.rules.checks import check_sample, overall
from tests.fakes.objects import Json, deployment

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOTHING = Identities()
TEMPLATE = deployment()["spec"]["template"]
MADE = {**deployment(), "status": {"observedGeneration": 1, "updatedReplicas": 4}}
"""A canary Deployment whose controller has made its pods."""


# --- identity -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"app": "web", "pod-template-hash": "abc"}},
        {"labels": {"app": "web"}, "annotations": {"kubectl.kubernetes.io/restartedAt": "now"}},
        {"labels": {"app": "web"}, "creationTimestamp": None},
    ],
    ids=["hash of a ReplicaSet", "restartedAt", "creationTimestamp"],
)
def test_what_changes_nothing_changes_no_hash(metadata: Json) -> None:
    assert template_hash({**TEMPLATE, "metadata": metadata}) == template_hash(TEMPLATE)


def test_an_image_a_label_or_an_annotation_is_a_new_version() -> None:
    others = [
        deployment(image="web:2"),
        deployment(name="other"),
        deployment(template_annotations={"checksum/config": "1"}),
    ]
    hashes = {template_hash(obj["spec"]["template"]) for obj in others}
    assert len(hashes | {template_hash(TEMPLATE)}) == 4


# --- checks -------------------------------------------------------------------------------------

ERRORS = Metric(name="error-rate", source="q", maximum=1)
SUCCESS = Metric(name="request-success-rate", source=Builtin.SUCCESS_RATE, minimum=99)
LATENCY = Metric(name="request-duration", source=Builtin.DURATION, maximum=500, leeway=0.25)


@pytest.mark.parametrize(
    ("sample", "outcome", "words"),
    [
        (Sample(metric=ERRORS, value=1.0), Outcome.PASSED, "error-rate 1 is within"),
        (Sample(metric=ERRORS, value=19.8), Outcome.FAILED, "19.8 > 1, above its bound by 18.8"),
        (Sample(metric=SUCCESS, value=99.0), Outcome.PASSED, "99%"),
        (Sample(metric=SUCCESS, value=80), Outcome.FAILED, "80% < 99%, below its bound by 19%"),
        (Sample(metric=ERRORS), Outcome.NO_DATA, "no values found"),
        (Sample(metric=ERRORS, problem="refused"), Outcome.NO_DATA, "error-rate: refused"),
        (Sample(metric=LATENCY, value=600, baseline=100), Outcome.FAILED, "> 500ms"),
        (Sample(metric=LATENCY, value=600, baseline=500), Outcome.PASSED, "600ms"),
        (Sample(metric=LATENCY, value=700, baseline=500), Outcome.FAILED, "> 625ms"),
    ],
)
def test_a_sample_against_its_bound(sample: Sample, outcome: Outcome, words: str) -> None:
    check = check_sample(sample)
    assert check.outcome is outcome
    assert words in check.message


@pytest.mark.parametrize(
    ("metric", "value", "stable", "outcome"),
    [
        (ERRORS, 3.0, 2.5, Outcome.SHARED),
        (ERRORS, 3.75, 2.5, Outcome.SHARED),
        (ERRORS, 3.8, 2.5, Outcome.FAILED),
        (ERRORS, 1.2, 1.0, Outcome.FAILED),
        (ERRORS, 3.0, None, Outcome.FAILED),
        (ERRORS, 0.5, 9.0, Outcome.PASSED),
        (SUCCESS, 80, 85, Outcome.SHARED),
        (SUCCESS, 80, 98, Outcome.FAILED),
        (SUCCESS, 80, 99, Outcome.FAILED),
        (replace(ERRORS, maximum=None, minimum=100), 75, 80, Outcome.SHARED),
        (replace(ERRORS, maximum=None, minimum=100), 60, 80, Outcome.FAILED),
        (replace(ERRORS, maximum=None, minimum=99), 67, 98.9, Outcome.FAILED),
        (replace(ERRORS, maximum=None, minimum=0.99), 0.67, 0.989, Outcome.FAILED),
    ],
)
def test_a_miss_that_the_stable_shares(
    metric: Metric, value: float, stable: float | None, outcome: Outcome
) -> None:
    sample = Sample(metric=metric, value=value, baseline=stable)
    assert check_sample(sample, margin=1.5).outcome is outcome
    blamed = Outcome.FAILED if outcome is Outcome.SHARED else outcome
    assert check_sample(sample).outcome is blamed


def test_without_metrics_on_either_side_health_is_judged_and_said() -> None:
    check = check_sample(Sample(metric=SUCCESS), health_is_enough=True)
    assert (check.outcome, "health alone" in check.message) == (Outcome.PASSED, True)
    only_stable = Sample(metric=SUCCESS, baseline=99.9)
    assert check_sample(only_stable, health_is_enough=True).outcome is Outcome.NO_DATA


def test_a_failure_outweighs_missing_data() -> None:
    def check(outcome: Outcome) -> Check:
        return Check(name="x", outcome=outcome, message="")

    assert overall((check(Outcome.NO_DATA), check(Outcome.FAILED))) is Outcome.FAILED
    assert overall((check(Outcome.SHARED), check(Outcome.FAILED))) is Outcome.FAILED
    assert overall((check(Outcome.NO_DATA), check(Outcome.SHARED))) is Outcome.SHARED
    assert overall((check(Outcome.PASSED), check(Outcome.NO_DATA))) is Outcome.NO_DATA
    assert overall(()) is Outcome.PASSED


# --- status -------------------------------------------------------------------------------------


def test_a_state_survives_its_status() -> None:
    state = State(
        phase=Phase.PROMOTING,
        candidate="c",
        stable="s",
        weight=30,
        failed_checks=2,
        started_at=NOW,
        changed_at=NOW,
        checked_at=NOW + timedelta(microseconds=5),
        no_data_since=NOW,
        incident_since=NOW,
        pre_rollout_passed=True,
        paused=True,
        undoing="u",
        post_rollout_called=True,
        forced=True,
        reason="Advanced",
        message="m",
        checks=(Check(name="x", outcome=Outcome.FAILED, message="m", value=1.5, bound=1),),
        restarts=3,
    )
    status = status_from_state(state, previous={}, generation=4, now=NOW)
    assert state_from_status(status) == state
    assert status["observedGeneration"] == 4


def test_a_status_of_flagger_or_none_is_read() -> None:
    assert state_from_status({}) == State()
    assert state_from_status({"phase": "WaitingPromotion"}).phase is Phase.INITIALIZED


def test_transition_times_stand_while_nothing_moves() -> None:
    first = status_from_state(State(reason="Held"), previous={}, generation=1, now=NOW)
    later = NOW + timedelta(minutes=1)
    second = status_from_state(State(reason="Held"), previous=first, generation=1, now=later)
    assert second["lastTransitionTime"] == first["lastTransitionTime"]
    moved = status_from_state(State(weight=10), previous=first, generation=1, now=later)
    assert moved["lastTransitionTime"] == "2026-01-01T12:01:00Z"


# --- desired objects ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replicas", "weights", "size"), [(4, (10, 50), 2), (1, (5,), 1), (3, (100,), 3), (0, (50,), 1)]
)
def test_the_canary_is_as_large_as_its_largest_share(
    replicas: int, weights: tuple[int, ...], size: int
) -> None:
    assert canary_size(replicas, weights) == size


def labelled(labels: dict[str, str]) -> Json:
    target = deployment()
    target["spec"]["selector"]["matchLabels"] = labels
    target["spec"]["template"]["metadata"]["labels"] = dict(labels)
    return target


# --- reading ------------------------------------------------------------------------------------


def test_whose_pause_it_is() -> None:
    assert read_target(deployment(), enabled=True, known=NOTHING).hold is Hold.NONE
    assert read_target(deployment(paused=True), enabled=True, known=NOTHING).hold is Hold.THEIRS
    ours = deployment(paused=True, annotations={HOLD: "x", Command.ABORT: "now"})
    assert not read_target(ours, enabled=True, known=NOTHING).outlived
    resumed = deployment(annotations={HOLD: "x"})
    assert read_target(resumed, enabled=True, known=NOTHING).outlived
    target = read_target(ours, enabled=True, known=NOTHING)
    assert target.hold is Hold.OURS
    assert target.commands == frozenset({Command.ABORT})


def rolling(**status: Any) -> Json:
    full = {"observedGeneration": 1, "replicas": 4, "updatedReplicas": 4, "availableReplicas": 4}
    return {**deployment(), "status": {**full, **status}}


@pytest.mark.parametrize(
    ("status", "complete"),
    [
        ({}, True),
        ({"observedGeneration": 0}, False),
        ({"updatedReplicas": 3}, False),
        ({"replicas": 5}, False),
        ({"availableReplicas": 3}, False),
    ],
)
def test_when_a_rollout_is_complete(status: dict[str, int], *, complete: bool) -> None:
    assert read_target(rolling(**status), enabled=True, known=NOTHING).rollout_complete is complete


@pytest.mark.parametrize(("message", "failed"), [("late", True), (f"{VERDICT_PREFIX}x", False)])
def test_our_own_verdict_is_no_failed_rollout(message: str, *, failed: bool) -> None:
    late = {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": message}
    found = read_target(rolling(conditions=[late]), enabled=True, known=NOTHING)
    assert bool(found.rollout_failed) is failed


def test_only_revisions_of_the_target_count() -> None:
    def replicaset(uid: str) -> Json:
        owner = {"uid": uid, "controller": True}
        return {
            "metadata": {"name": f"rs-{uid}", "ownerReferences": [owner]},
            "spec": {"replicas": 2, "template": TEMPLATE},
            "status": {"readyReplicas": 1},
        }

    found = read_revisions([replicaset("uid-web"), replicaset("other")], deployment())
    assert [(r.name, r.replicas, r.ready) for r in found] == [("rs-uid-web", 2, 1)]


def test_a_crash_loop_is_told_with_the_container_s_last_words() -> None:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off"}
    last = {"reason": "Error", "exitCode": 3, "message": "no database"}
    container = {
        "name": "app",
        "restartCount": 2,
        "state": {"waiting": waiting},
        "lastState": {"terminated": last},
    }
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [container]}}
    found = read_canary(MADE, [pod], NOTHING)
    assert found.restarts == 2
    assert "CrashLoopBackOff: Error, exit code 3: no database" in found.trouble


def test_a_restart_is_told_with_the_end_of_the_log() -> None:
    last = {"reason": "OOMKilled", "exitCode": 137, "message": "x" * 1000 + "out of memory"}
    container = {"name": "app", "restartCount": 1, "lastState": {"terminated": last}}
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [container]}}
    found = read_canary(MADE, [pod], NOTHING)
    assert found.trouble == ""
    assert found.crash.startswith(
        "container app of pod p ended under traffic: OOMKilled, exit code"
    )
    assert found.crash.endswith("out of memory")
    assert len(found.crash) < 500


def test_a_container_that_has_just_ended_is_told_before_it_is_started_again() -> None:
    ended = {"reason": "Error", "exitCode": 1, "message": "no disk"}
    container = {"name": "app", "restartCount": 0, "state": {"terminated": ended}}
    pod = {"metadata": {"name": "p"}, "status": {"containerStatuses": [container]}}
    found = read_canary(MADE, [pod], NOTHING)
    assert found.crash == "container app of pod p ended under traffic: Error, exit code 1: no disk"
