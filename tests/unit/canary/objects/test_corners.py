"""Corners of what is read and written: absent fields, and what tells two things apart."""

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from canary.contract import CANDIDATE, HOLD
from canary.model.canary_labels import CanaryLabels, canary_labels
from canary.model.fates import Unready
from canary.model.former import Identities
from canary.model.hashing import short_hash, template_hash
from canary.model.strategy import Strategy
from canary.objects.desired import canary_workload, stable_service
from canary.objects.fates import read_fates
from canary.objects.flaggers import sign_of
from canary.objects.marks import decided_on
from canary.objects.parking import doubled
from canary.objects.workloads import known_templates, read_canary, read_revisions, read_target
from canary.spec.steps import linear
from tests.fakes.objects import Json, annotated, changed, deployment
from tests.unit.canary.objects.drawn import service, target

LATE = {"reason": "ProgressDeadlineExceeded", "message": "too late"}


def with_status(obj: Json, status: Json, **metadata: Any) -> Json:
    found = deepcopy(obj)
    found["metadata"] = {**found["metadata"], **metadata}
    return {**found, "status": status}


def without_generation(obj: Json) -> Json:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "generation"}
    return {**obj, "metadata": metadata}


DONE = {"replicas": 4, "updatedReplicas": 4, "availableReplicas": 4}


@pytest.mark.parametrize(
    ("obj", "complete", "failed"),
    [
        (with_status(deployment(), DONE), False, False),
        (without_generation(with_status(deployment(), DONE)), True, False),
        (without_generation(with_status(deployment(), {"conditions": [LATE]})), False, True),
        (with_status(deployment(), {"conditions": [LATE]}), False, False),
    ],
)
def test_a_status_counts_for_the_generation_that_it_has_seen(
    obj: Json, *, complete: bool, failed: bool
) -> None:
    found = read_target(obj, enabled=True, known=Identities())
    assert (found.rollout_complete, bool(found.rollout_failed)) == (complete, failed)


def test_a_decision_rests_on_pause_template_and_marks() -> None:
    plain = deployment()
    rests = [
        decided_on(obj)
        for obj in (
            plain,
            changed(plain, paused=True),
            deployment(image="web:2"),
            annotated(plain, {HOLD: "h"}),
        )
    ]
    assert len({*rests}) == 4
    assert decided_on(changed(plain, replicas=9)) == decided_on(plain)
    assert decided_on(changed(plain, paused=False)) == decided_on(plain)


def test_templates_of_the_target_and_of_its_own_replica_sets_are_known() -> None:
    found, old = deployment(image="web:2"), deployment(image="web:1")["spec"]["template"]
    stranger = deployment(image="web:0")["spec"]["template"]

    def owned(template: Json, uid: str) -> Json:
        owner = {"uid": uid, "controller": True}
        metadata = {"name": "web-1", "labels": {"app": "web"}, "ownerReferences": [owner]}
        return {"metadata": metadata, "spec": {"template": template}}

    known = known_templates(found, [owned(old, "uid-web"), owned(stranger, "another")])
    for template in (old, found["spec"]["template"]):
        assert known.current(short_hash(template)) == template_hash(template)
    assert known.current(short_hash(stranger)) == short_hash(stranger)


def replica_set(name: str, template: Json) -> Json:
    return {"metadata": {"name": name}, "spec": {"template": template}}


TEMPLATE: Json = {
    "metadata": {"labels": {"app": "web", "pod-template-hash": "1"}, "annotations": {"a": "b"}},
    "spec": {"containers": []},
}


@pytest.mark.parametrize(
    ("metadata", "same"),
    [
        ({"labels": {"app": "web", "pod-template-hash": "2"}, "annotations": {"a": "b"}}, True),
        ({"labels": {"app": "web"}, "annotations": {"a": "b"}}, True),
        ({"labels": {"app": "db"}, "annotations": {"a": "b"}}, False),
        ({"labels": {"app": "web"}, "annotations": {"a": "c"}}, False),
        ({"labels": {"app": "web"}}, False),
        (None, False),
    ],
)
def test_two_replica_sets_are_of_one_template_whatever_their_hash(
    metadata: Json | None, *, same: bool
) -> None:
    one, other = replica_set("a", TEMPLATE), replica_set("b", {**TEMPLATE, "metadata": metadata})
    assert doubled(one, [one, other]) is same
    assert doubled(other, [one]) is same
    assert not doubled(one, [{**other, "metadata": {"name": "a"}}])


def labels_of(found: Json) -> CanaryLabels:
    services = [service("web", {"app": "web"})]
    return canary_labels(found, services, stable="web", own="web-canary")


NAMED = "kubernetes.io/metadata.name"


@pytest.mark.parametrize(
    ("term", "follows"),
    [
        ({}, True),
        ({"namespaces": ["prod"]}, True),
        ({"namespaces": ["other"]}, False),
        ({"namespaces": [], "namespaceSelector": None}, True),
        ({"namespaceSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {NAMED: "prod"}}}, True),
        ({"namespaceSelector": {"matchLabels": {NAMED: "other"}}}, False),
        ({"namespaces": ["other"], "namespaceSelector": {"matchLabels": {NAMED: "prod"}}}, True),
    ],
)
def test_a_rule_follows_where_it_is_about_the_target_s_own_namespace(
    term: Json, *, follows: bool
) -> None:
    found = target({"app": "web"}, {"matchLabels": {"app": "web"}})
    rule = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}, **term}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}
    found["spec"]["template"]["spec"]["affinity"] = {"podAntiAffinity": required}
    made = canary_workload(found, labels=labels_of(found), replicas=1)
    pod = made["spec"]["template"]["spec"]
    [now] = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert (now["labelSelector"] != rule["labelSelector"]) is follows


@pytest.mark.parametrize(
    ("condition", "denied"),
    [
        ({"message": "m", "reason": "R"}, "m"),
        ({"reason": "R"}, "R"),
        ({}, ""),
    ],
)
def test_why_pods_are_denied(condition: Json, denied: str) -> None:
    failure = {"type": "ReplicaFailure", "status": "True", **condition}
    obj = annotated(deployment(replicas=3), {CANDIDATE: "v2"})
    found = read_canary(with_status(obj, {"conditions": [failure]}), [], Identities())
    assert (found.replicas, found.pods_denied) == (3, denied)


STRATEGY = Strategy(
    interval=timedelta(seconds=10), threshold=1, steps=linear((50,)), service_name="web"
)


def test_a_service_asks_for_all_labels_where_the_selector_asks_for_none_by_value() -> None:
    worn, absent = {"app": "web", "tier": "front"}, {"key": "x", "operator": "DoesNotExist"}
    found = target(worn, {"matchExpressions": [absent]})
    assert stable_service(found, strategy=STRATEGY)["spec"]["selector"] == worn
    named = target(worn, {"matchLabels": {"app": "web"}, "matchExpressions": [absent]})
    assert stable_service(named, strategy=STRATEGY)["spec"]["selector"] == {"app": "web"}


def pod(name: str, created: str | None, template: str, **status: Any) -> Json:
    metadata: Json = {"name": name, "labels": {"pod-template-hash": template}}
    if created is not None:
        metadata["creationTimestamp"] = created
    return {"metadata": metadata, "status": status}


def test_a_pod_that_is_not_stored_yet_is_not_the_newest() -> None:
    pods = [pod("a", "2026-01-01T00:00:00Z", "1"), pod("b", None, "2")]
    assert [fate.pod for fate in read_fates(pods)] == ["a"]
    assert [fate.pod for fate in read_fates(pods[1:])] == ["b"]


READY = {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:06Z"}


def running(name: str, at: str) -> Json:
    return {"name": name, "restartCount": 0, "state": {"running": {"startedAt": at}}}


def test_a_sidecar_that_was_started_again_does_not_tell_that_a_pod_was_never_ready() -> None:
    obj = pod(
        "a",
        "2026-01-01T00:00:00Z",
        "1",
        conditions=[READY],
        containerStatuses=[running("app", "2026-01-01T00:00:05Z")],
        initContainerStatuses=[running("proxy", "2026-01-01T00:00:09Z")],
    )
    assert read_fates([obj]) == (Unready(pod="a"),)


def flagger(replicas: int, *args: str) -> Json:
    found = deployment(name="flagger", image="ghcr.io/fluxcd/flagger:1.40", replicas=replicas)
    found["spec"]["template"]["spec"]["containers"][0]["args"] = list(args)
    return found


def test_a_flagger_that_is_scaled_to_0_is_none_and_one_word_names_its_namespace() -> None:
    assert sign_of(flagger(0)) is None
    found = sign_of(flagger(1, "--namespace", "team", "--log-level", "debug"))
    assert found is not None
    assert found.namespace == "team"


def test_a_replica_set_that_does_not_say_when_it_was_made_is_the_eldest() -> None:
    owner = {"uid": "uid-web", "controller": True}
    metadata = {"name": "web-1", "ownerReferences": [owner]}
    [found] = read_revisions(
        [{"metadata": metadata, "spec": {"template": {"spec": {}}}}], deployment()
    )
    assert (found.created, found.number, found.replicas, found.ready) == ("", 0, 0, 0)
