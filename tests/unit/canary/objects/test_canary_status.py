"""What the status of a canary's Deployment says: what it still has to do, and what it may not."""

from datetime import UTC, datetime, timedelta

import pytest

from canary.model.fates import Starting
from canary.model.former import Identities
from canary.model.state import Check, Outcome, Phase, State
from canary.model.values import Json
from canary.objects.fates import read_fates
from canary.objects.status import state_from_status, status_from_state
from canary.objects.workloads import read_canary

NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUOTA = 'pods "web-canary-1-x" is forbidden: exceeded quota: full'


def deployment(status: Json) -> Json:
    metadata = {"name": "web-canary", "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": metadata, "spec": {"replicas": 2}, "status": status}


@pytest.mark.parametrize(
    ("status", "rolling"),
    [
        ({}, "its controller has not seen its latest change yet"),
        ({"observedGeneration": 1}, "its controller has not seen its latest change yet"),
        ({"observedGeneration": 2}, "0 of 2 pods of this version are made"),
        (
            {"observedGeneration": 2, "updatedReplicas": 1, "replicas": 2},
            "1 of 2 pods of this version are made",
        ),
        (
            {"observedGeneration": 2, "updatedReplicas": 2, "replicas": 3},
            "pods of a version before are still there: 1",
        ),
        ({"observedGeneration": 2, "updatedReplicas": 2, "replicas": 2}, ""),
    ],
)
def test_what_is_waited_for_has_words(status: Json, rolling: str) -> None:
    canary = read_canary(deployment(status), [], Identities())
    assert (canary.rolling, canary.current) == (rolling, not rolling)
    assert canary.made_at == NOW


@pytest.mark.parametrize(
    ("condition", "denied"),
    [
        ({"type": "ReplicaFailure", "status": "True", "message": QUOTA}, QUOTA),
        ({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}, "FailedCreate"),
        ({"type": "ReplicaFailure", "status": "False", "message": QUOTA}, ""),
        ({"type": "Progressing", "status": "True", "message": QUOTA}, ""),
    ],
)
def test_why_no_pods_may_be_made_is_read_from_the_deployment(condition: Json, denied: str) -> None:
    canary = read_canary(deployment({"conditions": [condition]}), [], Identities())
    assert canary.pods_denied == denied


def test_since_when_a_pod_that_is_not_ready_runs_is_read() -> None:
    started = [{"state": {"running": {"startedAt": f"2026-01-01T00:00:0{n}Z"}}} for n in (4, 7)]
    pod = {"metadata": {"name": "a"}, "status": {"containerStatuses": started}}
    (fate,) = read_fates([pod])
    assert isinstance(fate, Starting)
    assert fate.since == NOW + timedelta(seconds=7)


def test_a_denial_is_what_the_condition_says_and_what_it_said_comes_back_afterwards() -> None:
    state = State(
        phase=Phase.PROGRESSING,
        reason="Advanced",
        message="Advance web.prod canary weight 10",
        denied_since=NOW,
        denied_why="no",
        tries=2,
        target_uid="uid",
    )
    status = status_from_state(state, previous={}, generation=1, now=NOW)
    (condition,) = status["conditions"]
    assert (condition["reason"], condition["message"]) == ("WriteDenied", "no")
    assert state_from_status(status) == state


def test_a_verdict_stands_above_a_denial() -> None:
    state = State(phase=Phase.FAILED, reason="Refused", message="slow", denied_since=NOW)
    status = status_from_state(state, previous={}, generation=1, now=NOW)
    (condition,) = status["conditions"]
    assert (condition["reason"], condition["message"]) == ("Refused", "slow")


def test_what_another_hand_wrote_into_a_record_counts_as_not_written() -> None:
    run: Json = {
        "restarts": "many",
        "fullSize": 1e300,
        "startedAt": "yesterday",
        "changedAt": "2026-01-01",
        "lostSince": "9999-12-31T23:59:59+00:00",
        "checks": [1, {"name": "m", "outcome": "later", "value": "x"}],
        "asked": [{"hook": "h", "type": "later", "since": "2026-01-01T00:00:00+00:00"}, 7],
        "stepOf": "@",
        "pods": "web",
        "evidence": [1],
        "noticed": {"reason": "x"},
    }
    found = state_from_status({"run": run, "phase": "Progressing", "canaryWeight": 1e300})
    assert (found.restarts, found.full_size, found.weight, found.pods) == (0, 0, 0, ())
    assert (found.started_at, found.changed_at, found.lost_since) == (None, None, None)
    assert (found.asked, found.evidence, found.noticed) == ((), {}, ())
    assert found.checks == (Check(name="m", outcome=Outcome.NO_DATA, message=""),)


def test_a_condition_without_its_time_is_written_with_one() -> None:
    stored = {"run": {}, "conditions": [{"type": "Promoted", "status": "True", "reason": "x"}]}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    written = status_from_state(State(), previous=stored, generation=1, now=now)
    assert written["conditions"][0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"
