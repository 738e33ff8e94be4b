"""The canary's objects as a whole: told apart, carrying the team's labels, named to fit."""

from copy import deepcopy
from datetime import timedelta

import pytest

from canary.contract import CANDIDATE, MANAGED_BY, MANAGED_BY_LABEL, TARGET_LABEL
from canary.model.canary_labels import CanaryLabels, canary_labels
from canary.model.names import target_label
from canary.model.strategy import Strategy
from canary.objects.desired import (
    canary_name,
    canary_service_of,
    canary_workload,
    keeps_selector,
    stable_service,
)
from canary.spec.steps import linear
from tests.unit.canary.objects.drawn import Json, selected, target

STRATEGY = Strategy(
    interval=timedelta(seconds=10), threshold=1, steps=linear((50,)), service_name="web"
)
WORN = {"app": "web", "tier": "front"}
LONG = "a-rather-long-name.with-parts." + "x" * 200


def the_target(name: str = "web") -> Json:
    found = target(WORN, {"matchLabels": {"app": "web"}}, name)
    found["metadata"] |= {
        "labels": {"team": "payments", "helm.sh/chart": "web-1.0"},
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": '{"env": "a password"}',
            "example.com/owner": "payments@example.com",
            "headgate.dev/hold": "abc",
        },
    }
    rule = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "web"}}}
    found["spec"]["template"]["spec"]["topologySpreadConstraints"] = [rule]
    return found


def the_service(name: str = "web") -> Json:
    return {
        "metadata": {
            "name": name,
            "labels": {"team": "payments", "monitored": "yes"},
            "annotations": {"external-dns.alpha.kubernetes.io/hostname": "web.example"},
        },
        "spec": {"type": "LoadBalancer", "selector": {"tier": "front"}, "ports": [{"port": 80}]},
    }


def labels_of(found: Json, *services: Json) -> CanaryLabels:
    return canary_labels(found, services, stable="web", own="web-canary")


def test_the_canary_is_what_the_policy_of_its_team_asks_for() -> None:
    found, stable = the_target(), the_service()
    labels = labels_of(found, stable)
    made = canary_workload(found, labels=labels, replicas=2)["metadata"]
    marks = {MANAGED_BY_LABEL: MANAGED_BY, TARGET_LABEL: "web"}
    assert made["labels"] == {"team": "payments", **marks}
    assert made["annotations"].keys() == {CANDIDATE, "example.com/owner"}
    service = canary_service_of(found, labels=labels, strategy=STRATEGY, stable=stable)
    assert service["metadata"]["labels"] == {"team": "payments", "monitored": "yes", **marks}
    assert service["metadata"]["annotations"] == {}
    assert service["spec"] == {
        "type": "ClusterIP",
        "selector": {TARGET_LABEL: "web"},
        "ports": [{"port": 80}],
    }


def test_services_that_only_we_make_have_the_teams_labels_too() -> None:
    found = the_target()
    made = stable_service(found, strategy=STRATEGY)["metadata"]
    assert made["labels"]["team"] == "payments"
    assert made["annotations"] == {}
    labels = labels_of(found)
    canarys = canary_service_of(found, labels=labels, strategy=STRATEGY, stable=None)["metadata"]
    assert canarys["labels"]["team"] == "payments"
    assert canarys["annotations"] == {}


def test_the_pods_are_told_apart_by_every_service_and_spread_from_each_other() -> None:
    found, stable = the_target(), the_service()
    written = deepcopy(found)
    made = canary_workload(found, labels=labels_of(found, stable), replicas=2)["spec"]
    worn = made["template"]["metadata"]["labels"]
    assert worn == {"app": "web-canary", "tier": "front-canary", TARGET_LABEL: "web"}
    assert made["selector"] == {"matchLabels": {TARGET_LABEL: "web"}}
    assert not selected(made["selector"], WORN)
    rule = made["template"]["spec"]["topologySpreadConstraints"][0]
    assert rule["labelSelector"] == {"matchLabels": {"app": "web-canary"}}
    assert found == written


def test_a_target_of_expressions_alone_has_a_canary_and_a_service() -> None:
    by_values = [
        {"key": "app", "operator": "In", "values": ["web", "shop"]},
        {"key": "track", "operator": "DoesNotExist"},
        {"key": "tier", "operator": "NotIn", "values": ["back"]},
    ]
    found = target(WORN, {"matchExpressions": by_values})
    assert stable_service(found, strategy=STRATEGY)["spec"]["selector"] == {"app": "web"}
    made = canary_workload(found, labels=labels_of(found), replicas=1)["spec"]
    assert not selected(found["spec"]["selector"], made["template"]["metadata"]["labels"])
    nothing_worn = target(WORN, {"matchExpressions": by_values[1:]})
    assert stable_service(nothing_worn, strategy=STRATEGY)["spec"]["selector"] == WORN


@pytest.mark.parametrize("name", ["web", LONG])
def test_a_long_name_is_made_to_fit_everywhere(name: str) -> None:
    found = the_target(name)
    made = canary_workload(found, labels=labels_of(found), replicas=1)
    worn = made["spec"]["template"]["metadata"]["labels"]
    assert made["metadata"]["name"] == canary_name(name)
    assert len(made["metadata"]["name"]) <= 63
    for labels in (made["metadata"]["labels"], worn, made["spec"]["selector"]["matchLabels"]):
        assert labels[TARGET_LABEL] == target_label(name)
        assert all(len(value) <= 63 for value in labels.values())
    assert made["metadata"]["ownerReferences"][0]["name"] == name


def test_a_canary_that_stands_keeps_its_selector_while_that_tells_its_pods() -> None:
    found = the_target()
    labels = labels_of(found)
    standing = {"spec": {"selector": {"matchLabels": {"app": "web-canary"}}}}
    assert keeps_selector(standing, labels)
    made = canary_workload(found, labels=labels, replicas=1, standing=standing)
    assert made["spec"]["selector"] == standing["spec"]["selector"]


@pytest.mark.parametrize("selector", [{"app": "shop-canary"}, {"tier": "front"}])
def test_a_canary_whose_selector_is_another_has_to_be_made_anew(selector: dict[str, str]) -> None:
    found = the_target()
    labels = labels_of(found)
    standing = {"spec": {"selector": {"matchLabels": selector}}}
    assert not keeps_selector(standing, labels)
    made = canary_workload(found, labels=labels, replicas=1, standing=standing)
    assert made["spec"]["selector"] == {"matchLabels": {TARGET_LABEL: "web"}}
