"""What the cluster forgot to delete is told by uids, and looked for where a pod hints at it."""

from typing import Any, Final

import pytest

from canary.contract import TARGET_LABEL
from canary.model.names import canary_name
from canary.model.values import Json
from canary.objects.forgotten import astray, canary_that_made, is_forgotten, may_be_forgotten

MADE: Final = "2026-01-01T00:10:00Z"
BEFORE, AFTER = "2026-01-01T00:09:59Z", "2026-01-01T00:10:01Z"
CANARY: Final[Json] = {
    "metadata": {"name": "web-canary", "uid": "now", "creationTimestamp": MADE},
}


def pod(name: str, created: str, template: str = "new", **more: Any) -> Json:
    owner = {"kind": "ReplicaSet", "name": f"rs-{template}", "uid": f"uid-{template}"}
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": created,
            "labels": {"pod-template-hash": template},
            "ownerReferences": [{**owner, "controller": True}],
            **more.pop("metadata", {}),
        },
        **more,
    }


def replica_set(uid: str = "before", *, name: str = "web-canary", **owner: Any) -> Json:
    maker = {"kind": "Deployment", "name": name, "uid": uid, "controller": True, **owner}
    return {
        "metadata": {
            "name": "rs-old",
            "uid": "uid-old",
            "labels": {TARGET_LABEL: "web"},
            "ownerReferences": [maker],
        }
    }


@pytest.mark.parametrize(
    ("pods", "hints"),
    [
        ([], False),
        ([pod("a", AFTER)], False),
        ([pod("a", MADE)], False),
        ([pod("a", BEFORE)], True),
        ([pod("a", AFTER), pod("b", MADE, "old")], True),
        ([pod("a", AFTER), pod("b", AFTER, "old")], True),
        ([pod("a", AFTER), pod("b", BEFORE, "old", metadata={"deletionTimestamp": AFTER})], False),
        ([pod("a", AFTER), pod("b", BEFORE, "old", status={"phase": "Failed"})], False),
        ([pod("a", AFTER), pod("b", BEFORE, "old", status={"phase": "Running"})], True),
    ],
)
def test_a_pod_hints_at_a_canary_before_by_its_age_or_template_unless_it_ends(
    pods: list[Json], *, hints: bool
) -> None:
    assert may_be_forgotten(CANARY, pods) is hints


@pytest.mark.parametrize(
    ("found", "is_left"),
    [
        (replica_set(), True),
        (replica_set("now"), False),
        (replica_set(name="other"), False),
        (replica_set(kind="Rollout"), False),
        (replica_set(controller=False), False),
        ({"metadata": {"name": "rs-old", "uid": "uid-old"}}, False),
    ],
)
def test_it_is_of_a_canary_before_by_a_controller_of_that_name_and_another_uid(
    found: Json, *, is_left: bool
) -> None:
    assert is_forgotten(found, CANARY) is is_left


def test_astray_are_its_pods_that_nobody_has_asked_to_go() -> None:
    stays = pod("stays", BEFORE, "old")
    goes = pod("goes", BEFORE, "old", metadata={"deletionTimestamp": AFTER})
    done = pod("done", BEFORE, "old", status={"phase": "Succeeded"})
    own = pod("own", AFTER)
    assert astray([stays, goes, done, own], [replica_set()]) == [stays]
    assert astray([stays, goes, done, own], []) == []


def test_who_made_it_is_told_where_label_and_name_fit() -> None:
    assert canary_that_made(replica_set()) == ("web-canary", "before")
    assert canary_that_made(replica_set(name="web")) is None
    unlabelled = replica_set()
    del unlabelled["metadata"]["labels"]
    assert canary_that_made(unlabelled) is None
    long = replica_set(name=canary_name("w" * 63))
    long["metadata"]["labels"][TARGET_LABEL] = "w" * 63
    assert canary_that_made(long) == (canary_name("w" * 63), "before")
