"""Whose a Canary is, and what becomes of the one that was made for a target without."""

from datetime import timedelta

import pytest

from canary.contract import AUTO_LABEL, AUTO_VALUE, BAKE, MANAGED_BY_LABEL
from canary.model.strategy import Strategy
from canary.model.values import Json
from canary.spec.canary import Defaults, parse_strategy
from canary.spec.made import (
    LAST_APPLIED,
    Whose,
    made_canary,
    preferred,
    renewed,
    rivals,
    whose,
)
from tests.fakes.made import (
    FLAGGERS,
    FORMER,
    OWNER,
    applied,
    edited,
    entry,
    former,
    made,
    noted,
    server_side,
)
from tests.fakes.objects import canary


def with_entry(obj: Json, manager: str, operation: str, spec: Json, subresource: str = "") -> Json:
    obj["metadata"]["managedFields"].append(entry(manager, operation, spec, subresource))
    return obj


def labelled(obj: Json, **labels: str) -> Json:
    obj["metadata"]["labels"] |= labels
    return obj


def test_the_one_that_is_made_says_its_target_and_nothing_else() -> None:
    obj = made_canary("prod", "web")
    assert obj["spec"]["analysis"] == {}
    assert obj["spec"].keys() == {"targetRef", "analysis"}
    assert obj["metadata"]["labels"] == {AUTO_LABEL: AUTO_VALUE}


SPEC = made_canary("prod", "web")["spec"]
STATUS = {"phase": "Progressing"}
STANDING: dict[str, tuple[Json, Whose]] = {
    "a team's": (canary(), Whose.OWN),
    "a team's that leaves all open": (
        {**made(), "metadata": {"name": "web", "namespace": "prod"}},
        Whose.OWN,
    ),
    "made": (made(), Whose.MADE),
    "made, trimmed by an informer": (made_canary("prod", "web"), Whose.MADE),
    "made, with a run of ours": (
        with_entry(made(), "headgate", "Update", STATUS, "status"),
        Whose.MADE,
    ),
    "made, beside a Flagger": (
        with_entry(made(), "flagger", "Update", STATUS, "status"),
        Whose.MADE,
    ),
    "made, labelled by a tool": (
        with_entry(labelled(made(), team="shop"), "cost-tool", "Apply", {}),
        Whose.MADE,
    ),
    "made, noted by a tool": (noted(made(), **{"tool.example/seen": "1"}), Whose.MADE),
    "applied on the client's side": (applied(made(), FLAGGERS), Whose.TAKEN),
    "applied on the client's side, leaving all open": (applied(made(), {}), Whose.TAKEN),
    "applied on the server's side": (server_side(made(), FLAGGERS), Whose.TAKEN),
    "applied on the server's side, leaving all open": (server_side(made(), {}), Whose.TAKEN),
    "applied by Flux": (server_side(made(), FLAGGERS, "kustomize-controller"), Whose.TAKEN),
    "edited": (edited(made(), stepWeight=10, interval="1m", threshold=1), Whose.TAKEN),
    "given a field beside the analysis": (
        {**made(), "spec": {**SPEC, "suspend": True}},
        Whose.TAKEN,
    ),
    "given a setting": (noted(made(), **{BAKE: "5m"}), Whose.TAKEN),
    "of the release before": (former(), Whose.FORMER),
    "of the release before, from other defaults": (
        former(interval="10s", threshold=1, stepWeights=[50]),
        Whose.FORMER,
    ),
    "of the release before, applied over": (applied(former(), {"stepWeights": [50]}), Whose.TAKEN),
    "of the release before, edited": (edited(former(), threshold=5), Whose.TAKEN),
    "of the release before, with a field more": (former(maxWeight=20), Whose.TAKEN),
    "of the release before, with a metric more": (
        former(metrics=[*FORMER["metrics"], {"name": "x", "query": "1"}]),
        Whose.TAKEN,
    ),
}


@pytest.mark.parametrize("row", STANDING)
def test_whose_it_is(row: str) -> None:
    obj, expected = STANDING[row]
    assert whose(obj) is expected


@pytest.mark.parametrize("row", [row for row in STANDING if STANDING[row][1] is Whose.TAKEN])
def test_what_is_taken_over_loses_the_marks_and_the_owner_at_once(row: str) -> None:
    patch = renewed(STANDING[row][0])
    assert patch is not None
    assert patch["metadata"]["labels"][AUTO_LABEL] is None
    assert patch["metadata"]["ownerReferences"] is None


@pytest.mark.parametrize(
    "row", [row for row in STANDING if STANDING[row][1] in {Whose.MADE, Whose.OWN}]
)
def test_what_is_as_it_should_be_is_not_written(row: str) -> None:
    assert renewed(STANDING[row][0]) is None


def test_owners_and_labels_of_others_stay() -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "web", "uid": "x"}
    obj = labelled(applied(made(), FLAGGERS), **{MANAGED_BY_LABEL: "Helm"})
    obj["metadata"]["ownerReferences"] = [OWNER, other]
    patch = renewed(obj)
    assert patch == {"metadata": {"labels": {AUTO_LABEL: None}, "ownerReferences": [other]}}


def test_the_release_before_s_own_label_goes_with_the_mark() -> None:
    patch = renewed(applied(former(), {"stepWeights": [50]}))
    assert patch is not None
    assert patch["metadata"]["labels"] == {AUTO_LABEL: None, MANAGED_BY_LABEL: None}


def left(obj: Json) -> Json:
    patch = renewed(obj)
    assert patch is not None
    return dict((patch.get("spec") or {}).get("analysis") or {})


WANTED = {"interval": "30s", "threshold": 5, "stepWeights": [50]}
"""What a team applies over one of the release before: the interval is the same by chance."""
LEFT = {
    "applied on the client's side": (applied(former(), WANTED), ["metrics"]),
    "applied on the server's side": (server_side(former(), WANTED), ["metrics"]),
    "applied with all of it": (applied(former(), FORMER), []),
    "applied over one of this release": (applied(made(), FLAGGERS), []),
    "edited, so that all of it was seen": (edited(former(), threshold=5), []),
    "applied, in words that cannot be read": (
        noted(former(), **{LAST_APPLIED: "{"}),
        [],
    ),
    "applied by nobody knows whom": (
        {
            **applied(former(), WANTED),
            "metadata": {
                **applied(former(), WANTED)["metadata"],
                "managedFields": [],
            },
        },
        [],
    ),
}


@pytest.mark.parametrize("row", LEFT)
def test_what_is_left_of_our_defaults_beside_what_a_team_applies_goes(row: str) -> None:
    obj, expected = LEFT[row]
    assert left(obj) == dict.fromkeys(expected)


def test_one_of_the_release_before_loses_the_defaults_of_its_time() -> None:
    patch = renewed(former())
    assert patch == {
        "metadata": {"labels": {AUTO_LABEL: AUTO_VALUE, MANAGED_BY_LABEL: None}},
        "spec": {"analysis": dict.fromkeys(FORMER)},
    }


def test_one_of_the_release_before_is_followed_as_it_was() -> None:
    obj = former(interval="20s", threshold=2, stepWeights=[7, 70])
    found = parse_strategy(obj, Defaults(weights=(1,), min_success_rate=50))
    assert isinstance(found, Strategy)
    assert (found.interval, found.threshold) == (timedelta(seconds=20), 2)
    assert found.weights == (7, 70)
    assert [metric.minimum for metric in found.metrics] == [99, None]
    assert all(metric.leeway for metric in found.metrics)
    assert (found.health_is_enough, found.any_service) == (True, True)


# --- two of them for one target -----------------------------------------------------------------


def dated(name: str, day: int, *, kind: str = "Deployment", going: bool = False) -> Json:
    obj = canary()
    obj["metadata"] |= {"name": name, "creationTimestamp": f"2026-01-{day:02}T00:00:00Z"}
    obj["spec"]["targetRef"]["kind"] = kind
    if going:
        obj["metadata"]["deletionTimestamp"] = "2026-02-01T00:00:00Z"
    return obj


@pytest.mark.parametrize(
    ("canaries", "followed", "told"),
    [
        ([], None, []),
        ([made()], "web", []),
        ([dated("b", 2), dated("a", 3)], "b", ["a"]),
        ([dated("b", 2), dated("a", 2)], "a", ["b"]),
        ([dated("b", 2, going=True), dated("a", 3)], "a", []),
        ([dated("b", 2, going=True)], "b", []),
        ([made(), dated("a", 3)], "a", []),
        ([made(), dated("a", 3, going=True)], "web", []),
        ([dated("c", 4), dated("b", 2), dated("a", 3)], "b", ["c", "a"]),
        ([dated("b", 2, kind="DaemonSet"), dated("a", 3)], "a", []),
        ([dated("b", 2, kind="DaemonSet"), made()], "web", []),
        ([dated("b", 2, kind="DaemonSet")], "b", []),
    ],
)
def test_the_elder_of_a_team_s_is_followed_and_the_others_are_told(
    canaries: list[Json], followed: str | None, told: list[str]
) -> None:
    for found in (canaries, canaries[::-1]):
        chosen = preferred(found)
        assert (chosen and chosen["metadata"]["name"]) == followed
        assert sorted(one["metadata"]["name"] for one in rivals(found)) == sorted(told)
