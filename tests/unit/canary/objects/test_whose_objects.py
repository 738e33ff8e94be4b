"""Whose an object is: a table of everything that may have a name of ours and is not ours."""

import pytest

from canary.contract import MANAGED_BY, MANAGED_BY_LABEL, POD_TEMPLATE_HASH, TARGET_LABEL
from canary.model.values import Json
from canary.objects.ownership import (
    Ownership,
    canary_deployment_of,
    canary_service_owner,
    is_in_front,
    may_be_in_front,
    owned_by,
    ownership,
    strange_pods_said,
    taken,
    told_apart,
)
from tests.fakes.objects import deployment

TARGET = deployment()
MARKS = {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: "web"}
OWNER: Json = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "uid-web"}
OURS, FORMER, STRANGERS = Ownership.OURS, Ownership.FORMER, Ownership.STRANGERS


def obj(labels: dict[str, str] = MARKS, *owners: Json, name: str = "web-canary") -> Json:
    metadata = {"name": name, "namespace": "prod", "labels": labels, "ownerReferences": [*owners]}
    return {"kind": "Deployment", "metadata": metadata, "spec": {}}


OBJECTS: dict[str, tuple[Json, Ownership]] = {
    "made for it": (obj(MARKS, OWNER), OURS),
    "made for it, and somebody else's too": (obj(MARKS, {**OWNER, "uid": "x"}, OWNER), OURS),
    "the team's": (obj({}), STRANGERS),
    "the team's, owned by the target": (obj({}, OWNER), STRANGERS),
    "a copy of its labels": (obj(MARKS), STRANGERS),
    "labels of another target": (obj({**MARKS, TARGET_LABEL: "api"}, OWNER), STRANGERS),
    "another Deployment's": (obj(MARKS, {**OWNER, "name": "api", "uid": "uid-api"}), STRANGERS),
    "another kind's of that name": (obj(MARKS, {**OWNER, "kind": "StatefulSet"}), STRANGERS),
    "of a target of before": (obj(MARKS, {**OWNER, "uid": "uid-before"}), FORMER),
    "Helm's": (obj({**MARKS, MANAGED_BY_LABEL: "Helm"}, OWNER), STRANGERS),
}


@pytest.mark.parametrize("what", OBJECTS)
def test_ours_is_what_label_and_owner_say(what: str) -> None:
    found, whose = OBJECTS[what]
    assert ownership(found, TARGET) is whose


@pytest.mark.parametrize("what", OBJECTS)
def test_what_is_a_strangers_is_named_with_the_target_and_whose_it_is(what: str) -> None:
    found, whose = OBJECTS[what]
    said = taken(TARGET, found, None)
    assert bool(said) is (whose is STRANGERS)
    for text in said:
        assert "Deployment web-canary exists and is not the canary of deployment web" in text
        owners = found["metadata"]["ownerReferences"]
        assert not owners or f"it belongs to {owners[0]['kind']} {owners[0]['name']}" in text


def test_an_object_without_any_label_or_owner_is_nobody_s() -> None:
    bare: Json = {"metadata": {"name": "web-canary"}, "spec": {}}
    assert ownership(bare, TARGET) is STRANGERS
    assert (canary_deployment_of(bare), canary_service_owner(bare)) == ("", "")
    (said,) = taken(TARGET, bare)
    assert "Headgate has not made it" in said


@pytest.mark.parametrize(
    ("uid", "name", "whose"),
    [("u-1", "web", OURS), ("u-0", "web", FORMER), ("u-1", "other", STRANGERS)],
)
def test_an_own_route_is_its_canary_s(uid: str, name: str, whose: Ownership) -> None:
    owner = {"kind": "Canary", "name": name, "uid": uid}
    route = obj({MANAGED_BY_LABEL: MANAGED_BY}, owner, name="web")
    assert owned_by(route, {"kind": "Canary", "metadata": {"name": "web", "uid": "u-1"}}) is whose


def test_a_copy_under_another_name_is_a_deployment_of_its_own() -> None:
    assert canary_deployment_of(obj(MARKS, OWNER)) == "web"
    assert canary_deployment_of(obj(MARKS, OWNER, name="api")) == ""


@pytest.mark.parametrize(
    ("selector", "owner"),
    [({TARGET_LABEL: "web"}, "web"), ({"app": "web"}, ""), (None, ""), ({TARGET_LABEL: "b"}, "")],
)
def test_a_service_that_was_made_for_a_team_s_own_pods_is_no_canary_s(
    selector: dict[str, str] | None, owner: str
) -> None:
    service = {**obj(MARKS, OWNER, name="web"), "spec": {"selector": selector}}
    assert canary_service_owner(service) == owner


# --- pods -----------------------------------------------------------------------------------------


def pod(called: str, worn: dict[str, str] | None = None, **controller: str) -> Json:
    owners = [{"controller": True, **controller}] if controller else []
    labels = {TARGET_LABEL: "web", **(worn or {})}
    return {"metadata": {"name": called, "labels": labels, "ownerReferences": owners}}


OWN = [
    pod("a", kind="ReplicaSet", name="web-canary-5d9f7c8b9d"),
    pod("b", {POD_TEMPLATE_HASH: "76b5"}, kind="ReplicaSet", name="web-canary-76b5"),
    pod("c"),
]
STRANGE = [
    pod("d", kind="ReplicaSet", name="web-canary-copy-5d9f7c8b9d"),
    pod("e", {POD_TEMPLATE_HASH: "76b5"}, kind="ReplicaSet", name="web-canary-copy"),
    pod("f", kind="ReplicaSet", name="api-5d9f7c8b9d"),
    pod("g", kind="StatefulSet", name="web-canary-0"),
    pod("h", kind="Job", name="web-canary-5d9f7c8b9d"),
]


def test_pods_of_other_workloads_that_wear_the_label_are_not_the_canary_s() -> None:
    assert told_apart("web", [*OWN, *STRANGE]) == (OWN, STRANGE)
    assert strange_pods_said("web", []) == ()
    (said,) = strange_pods_said("web", STRANGE)
    assert f"{TARGET_LABEL}=web: d, e, f and 2 more" in said
    assert "ReplicaSet web-canary-copy-5d9f7c8b9d" in said


# --- the Service whose traffic is split -----------------------------------------------------------

WEB, LEADER = {"app": "web", "tier": "front"}, {"app": "web", "role": "leader"}


@pytest.mark.parametrize(
    ("selector", "labels", "front"),
    [
        ({"app": "web"}, [WEB], True),
        ({"app": "web", "role": "leader"}, [WEB], True),
        ({"app": "api"}, [WEB], False),
        ({"app": "api", "tier": "front"}, [WEB], False),
        ({"role": "leader"}, [WEB], False),
        ({"role": "leader"}, [WEB, LEADER], True),
        ({"app": "web", "version": "1"}, [{**WEB, "version": "2"}, {**WEB, "version": "1"}], True),
        ({}, [WEB], False),
        (None, [WEB], False),
        ({"app": "web"}, [], False),
    ],
)
def test_a_service_is_in_front_of_what_it_selects_as_far_as_labels_tell(
    selector: dict[str, str] | None, labels: list[dict[str, str]], *, front: bool
) -> None:
    service = {"metadata": {"name": "x"}, "spec": {"selector": selector}}
    assert is_in_front(service, labels) is front


@pytest.mark.parametrize(
    ("selector", "may"),
    [
        ({"app": "web"}, True),
        ({"role": "leader"}, True),
        ({"app": "api"}, False),
        ({"app": "api", "role": "leader"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_one_by_labels_that_pods_give_themselves_may_be_in_front(
    selector: dict[str, str] | None, *, may: bool
) -> None:
    service = {"metadata": {"name": "x"}, "spec": {"selector": selector}}
    assert may_be_in_front(service, WEB) is may


def test_a_name_of_another_host_is_in_front_of_nothing() -> None:
    spec = {"type": "ExternalName", "externalName": "db.example", "selector": {"app": "web"}}
    assert not is_in_front({"metadata": {"name": "x"}, "spec": spec}, [WEB])
