"""Deployments, ReplicaSets, pods and Services with as little or as much as the API lets through."""

from typing import Any, Final

import pytest
from hypothesis import strategies as st

from canary.contract import CANDIDATE, COMMANDS, HOLD, PARKED_FROM, PROMOTING, STABLE
from canary.counting.endpoint import endpoint_of
from canary.model.former import Identities
from canary.model.values import Json
from canary.objects.exclusive import claims_of
from canary.objects.flaggers import sign_of
from canary.objects.marks import decided_on
from canary.objects.ownership import is_in_front, taken, told_apart
from canary.objects.parking import number_of, parking, putting_back
from canary.objects.workloads import known_templates, read_canary, read_revisions, read_target
from tests.fakes.fuzzed import DEEP, VALUES, Property
from tests.fakes.storable import metadata

COUNTS: Final = st.sampled_from([0, 1, 2, 2**31 - 1])
TIMES: Final = st.sampled_from(["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z"])
WORDS: Final = st.sampled_from(["", "Ready", "True", "False", "Unknown", "CrashLoopBackOff", "x"])
CONDITIONS: Final = st.lists(
    st.fixed_dictionaries(
        {"type": WORDS | st.sampled_from(["Progressing", "DisruptionTarget", "PodScheduled"])},
        optional={"status": WORDS, "reason": WORDS, "message": WORDS, "lastTransitionTime": TIMES},
    ),
    max_size=3,
)
ENDS: Final = st.fixed_dictionaries(
    {"exitCode": st.integers(-1, 255)},
    optional={"reason": WORDS, "message": WORDS, "startedAt": TIMES, "finishedAt": TIMES},
)
STATES: Final = st.fixed_dictionaries(
    {},
    optional={
        "waiting": st.fixed_dictionaries({}, optional={"reason": WORDS, "message": WORDS}),
        "running": st.fixed_dictionaries({}, optional={"startedAt": TIMES}),
        "terminated": ENDS,
    },
)
STATUSES: Final = st.lists(
    st.fixed_dictionaries(
        {"name": WORDS, "restartCount": COUNTS, "ready": st.booleans()},
        optional={"state": STATES, "lastState": STATES, "started": st.booleans()},
    ),
    max_size=2,
)
CONTAINERS: Final = st.lists(
    st.fixed_dictionaries(
        {"name": WORDS},
        optional={
            "image": st.sampled_from(["", "flagger:1", "x/flagger@sha256:0"]),
            "args": st.lists(
                st.sampled_from(["-namespace=$(A)", "-namespace", "$(", ""]), max_size=2
            ),
            "env": st.lists(
                st.fixed_dictionaries({"name": WORDS}, optional={"value": WORDS}), max_size=2
            ),
            "ports": st.lists(
                st.fixed_dictionaries(
                    {"containerPort": st.integers(1, 65535)},
                    optional={"hostPort": st.integers(0, 65535), "name": WORDS},
                ),
                max_size=2,
            ),
        },
    ),
    max_size=2,
)
NOTES: Final = st.sampled_from(
    [
        *(HOLD, PROMOTING, STABLE, CANDIDATE, PARKED_FROM, *COMMANDS),
        *("deployment.kubernetes.io/revision", "prometheus.io/port", "prometheus.io/scrape"),
    ]
)
PODS: Final = st.fixed_dictionaries(
    {"metadata": metadata(NOTES)},
    optional={
        "spec": st.fixed_dictionaries({"containers": CONTAINERS}),
        "status": st.fixed_dictionaries(
            {},
            optional={
                "phase": st.sampled_from(["Running", "Failed", "Succeeded", "Pending"]),
                "podIP": st.sampled_from(["10.0.0.1", "fe80::1", ""]),
                "reason": WORDS,
                "message": WORDS,
                "conditions": CONDITIONS,
                "containerStatuses": STATUSES,
                "initContainerStatuses": STATUSES,
            },
        ),
    },
)
WORKLOADS: Final = st.fixed_dictionaries(
    {
        "metadata": metadata(NOTES),
        "spec": st.fixed_dictionaries(
            {
                "selector": st.fixed_dictionaries(
                    {}, optional={"matchLabels": st.dictionaries(WORDS, WORDS, max_size=2)}
                ),
                "template": st.fixed_dictionaries(
                    {
                        "metadata": st.fixed_dictionaries(
                            {}, optional={"labels": st.dictionaries(WORDS, WORDS, max_size=2)}
                        ),
                        "spec": st.fixed_dictionaries({"containers": CONTAINERS}),
                    }
                ),
            },
            optional={
                "replicas": COUNTS,
                "paused": st.booleans(),
                "revisionHistoryLimit": COUNTS,
            },
        ),
    },
    optional={
        "status": st.fixed_dictionaries(
            {},
            optional={
                **dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), COUNTS),
                "observedGeneration": COUNTS,
                "conditions": CONDITIONS,
            },
        )
    },
)
SERVICES: Final = st.fixed_dictionaries(
    {
        "metadata": metadata(NOTES),
        "spec": st.fixed_dictionaries(
            {}, optional={"selector": st.none() | st.dictionaries(WORDS, WORDS, max_size=2)}
        ),
    }
)


def is_read(drawn: tuple[Json, Json, list[Json], Json]) -> None:
    """Whatever there is of them, a target, its canary and its pods are read."""
    target, replica_set, pods, service = drawn
    target["metadata"].setdefault("uid", "u")
    known = known_templates(target, [replica_set])
    read_target(target, enabled=True, known=known)
    read_revisions([replica_set], target)
    found = read_canary(replica_set, pods, Identities())
    assert len(found.pods) <= len(pods)
    decided_on(target)
    claims_of(target)
    taken(target, service, replica_set)
    own, strange = told_apart(target["metadata"]["name"], pods)
    assert len(own) + len(strange) == len(pods)
    is_in_front(service, [pod["metadata"].get("labels") or {} for pod in pods])
    sign_of(target)
    for pod in pods:
        address = endpoint_of(pod)
        assert address is None or "//10.0.0.1:" in address or "//[fe80::1]:" in address


def is_parked_and_put_back(drawn: tuple[Json, Json, str]) -> None:
    """Whatever is noted on a ReplicaSet, it is parked, put back, or left."""
    target, replica_set, note = drawn
    target["metadata"].setdefault("uid", "u")
    replica_set["metadata"].setdefault("annotations", {})[PARKED_FROM] = note
    assert number_of(replica_set) >= 0
    parking(replica_set, target)
    putting_back(replica_set)


PROPERTIES: Final[dict[str, Property[Any]]] = {
    "read": Property(
        st.tuples(WORKLOADS, WORKLOADS, st.lists(PODS, max_size=3), SERVICES), is_read, few=60
    ),
    "parked": Property(
        st.tuples(WORKLOADS, WORKLOADS, DEEP | VALUES.map(str) | st.text(max_size=20)),
        is_parked_and_put_back,
        few=40,
    ),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("what", PROPERTIES)
def test_any_workload_is_read(what: str) -> None:
    PROPERTIES[what].try_few()


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("what", PROPERTIES)
def test_many_workloads_are_read(what: str) -> None:
    PROPERTIES[what].try_many()
