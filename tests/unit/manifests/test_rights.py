"""Each process has the rights that it needs and no others."""

from typing import Any

import pytest

from canary.contract import ANALYZER_USER, SYSTEM_NAMESPACE
from tests.unit.manifests.installation import of_kind, rules_of

ROLES = [*of_kind("Role"), *of_kind("ClusterRole")]
READ = {"get", "list", "watch"}


def rights(account: str, scope: str) -> dict[str, set[str]]:
    """Verbs by resource that are not limited to names."""
    found: dict[str, set[str]] = {}
    for rule in rules_of(account):
        if rule["scope"] == scope and "resourceNames" not in rule:
            for resource in rule["resources"]:
                found.setdefault(resource, set()).update(rule["verbs"])
    return found


def named_rights(account: str) -> list[tuple[str, str, list[str], list[str]]]:
    return [
        (rule["scope"], resource, rule["resourceNames"], rule["verbs"])
        for rule in rules_of(account)
        if "resourceNames" in rule
        for resource in rule["resources"]
    ]


def test_webhook_has_none() -> None:
    assert rules_of("headgate-webhook") == []


def test_nobody_can_list_or_watch_secrets() -> None:
    secret_rules = [
        rule
        for role in ROLES
        for rule in role["rules"]
        if {"secrets", "*"} & set(rule["resources"])
    ]

    assert secret_rules
    assert all(
        set(rule["verbs"]) <= READ - {"list", "watch"} | {"create", "update"}
        for rule in secret_rules
    )


def test_no_rule_is_a_wildcard_or_a_way_to_more_rights() -> None:
    for role in ROLES:
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])
            assert not [it for it in rule["resources"] if it.startswith("pods/")]


def test_certs_writes_two_secrets_and_two_webhook_configurations() -> None:
    assert named_rights("headgate-certs") == [
        (
            SYSTEM_NAMESPACE,
            "secrets",
            ["headgate-ca", "headgate-webhook-tls"],
            ["get", "update"],
        ),
        ("cluster", "mutatingwebhookconfigurations", ["headgate"], ["get", "patch"]),
        ("cluster", "validatingwebhookconfigurations", ["headgate"], ["get", "patch"]),
    ]
    assert rights("headgate-certs", SYSTEM_NAMESPACE) == {"secrets": {"create"}}
    assert rights("headgate-certs", "cluster") == {}


def test_analyzer_rights_in_the_cluster() -> None:
    make = {"get", "list", "create", "patch"}

    assert rights("headgate-analyzer", "cluster") == {
        "namespaces": READ - {"get"},
        "deployments": make | {"watch", "delete"},
        "deployments/status": {"patch"},
        "replicasets": make | {"watch", "delete"},
        "replicasets/scale": {"patch"},
        "pods": READ - {"get"},
        "services": make | {"watch", "delete"},
        "endpointslices": READ - {"get"},
        "networkpolicies": {"list"},
        "poddisruptionbudgets": {"list"},
        "persistentvolumeclaims": {"get"},
        "events": {"create"},
        "httproutes": make | {"watch"},
        "canaries": READ | {"create", "patch"},
        "canaries/status": {"patch"},
        "metrictemplates": READ,
        "alertproviders": {"get"},
        "secrets": {"get"},
    }


def test_analyzer_rights_in_its_namespace_are_its_lease() -> None:
    assert rights("headgate-analyzer", SYSTEM_NAMESPACE) == {"leases": {"create"}}
    assert named_rights("headgate-analyzer") == [
        (SYSTEM_NAMESPACE, "leases", ["headgate-analyzer"], ["get", "update"]),
        ("cluster", "customresourcedefinitions", ["canaries.flagger.app"], ["get"]),
    ]


def test_secrets_of_the_teams_are_a_role_of_their_own_that_can_be_left_out() -> None:
    holders = [
        role["metadata"]["name"]
        for role in of_kind("ClusterRole")
        for rule in role["rules"]
        if "secrets" in rule["resources"]
    ]

    assert holders == ["headgate-analyzer-secrets"]


@pytest.mark.parametrize("binding", [*of_kind("RoleBinding"), *of_kind("ClusterRoleBinding")])
def test_binding_leads_from_a_role_that_exists_to_an_account_that_exists(
    binding: dict[str, Any],
) -> None:
    roles = {(role["kind"], role["metadata"]["name"]) for role in ROLES}
    accounts = {it["metadata"]["name"] for it in of_kind("ServiceAccount")}

    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
    for subject in binding["subjects"]:
        assert subject["kind"] == "ServiceAccount"
        assert subject["name"] in accounts
        assert subject["namespace"] == SYSTEM_NAMESPACE


def test_analyzer_account_is_the_user_that_the_contract_names() -> None:
    _, _, namespace, name = ANALYZER_USER.split(":")

    assert (namespace, name) in [
        (it["metadata"]["namespace"], it["metadata"]["name"]) for it in of_kind("ServiceAccount")
    ]
