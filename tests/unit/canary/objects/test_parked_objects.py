"""A parked ReplicaSet is let go by its Deployment, and put back as it was."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.contract import PARKED, PARKED_FROM
from canary.model.world import Place
from canary.objects.parking import (
    copied,
    deployment_of,
    doubled,
    number_of,
    parking,
    place_of,
    putting_back,
)
from tests.fakes.deployment_controller import claimed, replica_set

Json = dict[str, Any]
LABELS = {"app": "web", "tier": "front", "team": "a"}
EXPRESSIONS = [
    {"key": "app", "operator": "In", "values": ["web", "other"]},
    {"key": "tier", "operator": "Exists"},
    {"key": "stage", "operator": "NotIn", "values": ["test"]},
    {"key": "legacy", "operator": "DoesNotExist"},
]


def deployment(selector: Json) -> Json:
    return {
        "metadata": {"name": "web", "namespace": "prod", "uid": "u1"},
        "spec": {
            "selector": selector,
            "template": {
                "metadata": {"labels": dict(LABELS)},
                "spec": {"containers": [{"name": "web", "image": "demo:1.0"}]},
            },
        },
    }


WEB = deployment({"matchLabels": {"app": "web"}})


def merged(obj: Json, patch: Json) -> Json:
    """Return an object after a merge patch (RFC 7386)."""
    after = deepcopy(obj)
    for key, value in patch.items():
        if value is None:
            after.pop(key, None)
        elif isinstance(value, dict):
            after[key] = merged(after.get(key) or {}, value)
        else:
            after[key] = value
    return after


def parked(found: Json, target: Json) -> Json:
    patch = parking(found, target)
    assert patch is not None
    return claimed(merged(found, patch), target)


def put_back(found: Json, target: Json) -> Json:
    patch = putting_back(found)
    assert patch is not None
    return claimed(merged(found, patch), target)


@st.composite
def _selectors(draw: st.DrawFn) -> Json:
    labels = draw(st.sets(st.sampled_from(sorted(LABELS))))
    expressions = draw(st.lists(st.sampled_from(EXPRESSIONS), max_size=4))
    if not labels and not expressions:
        labels = {"app"}  # the API server takes no empty selector
    return {
        "matchLabels": {key: LABELS[key] for key in labels},
        "matchExpressions": expressions,
    }


@given(selector=_selectors())
def test_parked_it_is_let_go_and_put_back_it_is_as_it_was(selector: Json) -> None:
    target = deployment(selector)
    before = replica_set("web-1", target, version="1.1", number=2)
    assert place_of(before, target) is Place.OWNED
    away = parked(before, target)
    assert not away["metadata"]["ownerReferences"]
    assert place_of(away, target) is Place.PARKED
    assert put_back(away, target) == before


@given(selector=_selectors())
def test_its_own_pods_are_selected_as_before(selector: Json) -> None:
    target = deployment(selector)
    before = replica_set("web-1", target, version="1.1", number=2)
    assert parked(before, target)["spec"] == before["spec"]


@pytest.mark.parametrize(
    ("selector", "change"),
    [
        pytest.param({"matchLabels": {"app": "web"}}, {"app": None}, id="matchLabels"),
        pytest.param({"matchExpressions": EXPRESSIONS[:1]}, {"app": None}, id="In"),
        pytest.param({"matchExpressions": EXPRESSIONS[1:2]}, {"tier": None}, id="Exists"),
        pytest.param({"matchExpressions": EXPRESSIONS[2:3]}, {"stage": "test"}, id="NotIn"),
        pytest.param({"matchExpressions": EXPRESSIONS[3:]}, {"legacy": "parked"}, id="absent"),
        pytest.param(
            {
                "matchExpressions": [
                    {"key": "tier", "operator": "NotIn", "values": ["back"]},
                    EXPRESSIONS[1],
                ]
            },
            {"tier": None},
            id="a removal where one is enough",
        ),
    ],
)
def test_one_label_is_changed_and_no_more(selector: Json, change: Json) -> None:
    target = deployment(selector)
    patch = parking(replica_set("web-1", target, version="1.1", number=2), target)
    assert patch is not None
    assert patch["metadata"]["labels"] == {**change, PARKED: "u1"}


@pytest.mark.parametrize(
    ("replicas", "ready", "left"), [(0, 0, 0), (3, 0, 0), (3, 1, 3), (3, 3, 3)]
)
def test_pods_that_serve_stay_and_those_that_only_start_go(
    replicas: int, ready: int, left: int
) -> None:
    found = replica_set("web-1", WEB, version="1.1", number=2)
    found["spec"]["replicas"] = replicas
    found["status"] = {"replicas": replicas, "readyReplicas": ready}
    assert parked(found, WEB)["spec"]["replicas"] == left


def test_another_deployments_is_neither_its_own_nor_parked_for_it() -> None:
    later = deepcopy(WEB)
    later["metadata"]["uid"] = "u2"
    found = replica_set("web-1", WEB, version="1.1", number=2)
    assert place_of(found, later) is None
    assert place_of(parked(found, WEB), later) is None


def test_labels_are_right_again_before_it_is_adopted() -> None:
    away = parked(replica_set("web-1", WEB, version="1.1", number=2), WEB)
    patch = putting_back(away)
    assert patch is not None
    assert place_of(merged(away, patch), WEB) is Place.ADRIFT


@pytest.mark.parametrize("note", ["", "no JSON", "[]", '{"labels": 1}'])
def test_a_lost_note_is_made_up_for_by_the_labels_of_its_pods(note: str) -> None:
    before = replica_set("web-1", WEB, version="1.1", number=2)
    away = parked(before, WEB)
    away["metadata"]["annotations"][PARKED_FROM] = note
    assert put_back(away, WEB) == before
    assert deployment_of(away) == ""


def test_a_copy_is_parked_has_no_pods_and_becomes_what_it_was_made_of() -> None:
    before = replica_set("web-1", WEB, version="1.1", number=2, replicas=3)
    copy = copied(before, WEB)
    assert copy is not None
    assert place_of(copy, WEB) is Place.PARKED
    assert copy["spec"] == {**before["spec"], "replicas": 0}
    back = put_back(copy, WEB)
    assert back["metadata"]["labels"] == before["metadata"]["labels"]
    assert number_of(back) == 2
    assert doubled(back, [before])
    again = copied(back, WEB)
    assert again is not None
    assert (back["metadata"]["name"], again["metadata"]["name"]) == ("web-1e", "web-1")


def test_the_note_names_the_deployment_for_whoever_finds_it_alone() -> None:
    assert deployment_of(parked(replica_set("a", WEB, version="1.1", number=2), WEB)) == "web"


def test_what_is_not_parked_is_not_put_back() -> None:
    assert putting_back(replica_set("web-1", WEB, version="1.1", number=2)) is None


def test_a_double_is_one_of_the_very_same_template() -> None:
    one = replica_set("web-1", WEB, version="1.1", number=2)
    assert doubled(one, [one, replica_set("web-2", WEB, version="1.1", number=4)])
    assert not doubled(one, [one, replica_set("web-3", WEB, version="1.2", number=4)])
    restarted = deepcopy(WEB)
    notes = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    restarted["spec"]["template"]["metadata"]["annotations"] = notes
    # Two entries in `rollout history`, though they are one version to Headgate.
    assert not doubled(one, [replica_set("web-4", restarted, version="1.1", number=5)])


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), ("9" * 18, 10**18 - 1), ("9" * 19, 0), ("", 0), ("x", 0), ("9" * 5_000, 0)],
)
def test_the_revision_is_the_one_of_rollout_history(text: str, number: int) -> None:
    found = replica_set("web-1", WEB, version="1.1", number=2)
    found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = text
    assert number_of(found) == number
