"""What the API server sends to the webhook, and what it does without one."""

from typing import Any

import pytest

from analyzer.routers.kinds import RESOURCES
from canary.contract import (
    ANALYZER_USER,
    DOMAIN,
    FLAGGER_GROUP,
    FLAGGER_KIND,
    NAMESPACE_ENABLED,
    NAMESPACE_LABEL,
    OPT_OUT,
    SEEN,
    SPLIT,
    SYSTEM_NAMESPACE,
)
from canary.validation.objects import KINDS
from tests.unit.manifests.installation import the
from webhook.objects import SECONDS

CONFIGURATION = the("MutatingWebhookConfiguration", "headgate")
WEBHOOKS = {it["name"]: it for it in CONFIGURATION["webhooks"]}
TARGETS, CREATIONS, ROUTES = (f"{it}.{DOMAIN}" for it in ("targets", "creations", "routes"))
each = pytest.mark.parametrize("name", [TARGETS, CREATIONS, ROUTES])
of_targets = pytest.mark.parametrize("name", [TARGETS, CREATIONS])


def condition(webhook: str, name: str) -> str:
    (only,) = [it for it in WEBHOOKS[webhook]["matchConditions"] if it["name"] == name]
    return str(only["expression"])


def test_there_are_two_webhooks_for_targets_and_one_for_routes() -> None:
    assert list(WEBHOOKS) == [TARGETS, CREATIONS, ROUTES]


@pytest.mark.parametrize(
    ("name", "group", "resource", "operations"),
    [
        (TARGETS, "apps", "deployments", ["UPDATE"]),
        (CREATIONS, "apps", "deployments", ["CREATE"]),
    ],
)
def test_only_writes_of_the_objects_themselves_are_sent(
    name: str, group: str, resource: str, operations: list[str]
) -> None:
    assert WEBHOOKS[name]["rules"] == [
        {
            "apiGroups": [group],
            "apiVersions": ["v1"],
            "operations": operations,
            "resources": [resource],
            "scope": "Namespaced",
        }
    ]


def test_of_each_kind_of_route_every_write_is_sent_that_may_carry_a_split() -> None:
    found = {
        (group, version, plural)
        for rule in WEBHOOKS[ROUTES]["rules"]
        for group in rule["apiGroups"]
        for version in rule["apiVersions"]
        for plural in rule["resources"]
    }

    assert found == {(it.group, it.version, it.plural) for it in RESOURCES.values()}
    assert all(it["operations"] == ["CREATE", "UPDATE"] for it in WEBHOOKS[ROUTES]["rules"])
    assert all(it["scope"] == "Namespaced" for it in WEBHOOKS[ROUTES]["rules"])


@each
def test_review_costs_little_and_leaves_nothing(name: str) -> None:
    expected: dict[str, Any] = {
        "sideEffects": "None",
        "timeoutSeconds": 3,
        "matchPolicy": "Equivalent",
        "reinvocationPolicy": "IfNeeded",
        "admissionReviewVersions": ["v1"],
    }

    assert {key: WEBHOOKS[name][key] for key in expected} == expected


@each
def test_namespace_is_enabled_by_its_label(name: str) -> None:
    selector = WEBHOOKS[name]["namespaceSelector"]

    assert selector["matchLabels"] == {NAMESPACE_LABEL: NAMESPACE_ENABLED}


@each
def test_webhook_never_gates_its_own_repair(name: str) -> None:
    assert WEBHOOKS[name]["namespaceSelector"]["matchExpressions"] == [
        {
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": [SYSTEM_NAMESPACE],
        }
    ]


def test_without_a_webhook_updates_are_refused_and_routes_pass() -> None:
    assert WEBHOOKS[TARGETS]["failurePolicy"] == "Fail"
    assert WEBHOOKS[CREATIONS]["failurePolicy"] == "Fail"
    assert WEBHOOKS[ROUTES]["failurePolicy"] == "Ignore"


@of_targets
def test_writes_of_targets_by_the_analyzer_are_its_own_affair(name: str) -> None:
    own = condition(name, "not-the-analyzer")

    assert own == f'request.userInfo.username != "{ANALYZER_USER}"'


def test_conditions_name_the_annotations_of_the_contract() -> None:
    assert f'startsWith("{DOMAIN}/")' in condition(TARGETS, "update-resume-or-command")
    assert f'startsWith("{DOMAIN}/")' in condition(CREATIONS, "brings-a-mark")
    assert f'!(key in ["{OPT_OUT}", "{SEEN}"])' in condition(CREATIONS, "brings-a-mark")
    assert f'"{SPLIT}" in' in condition(ROUTES, "has-or-gets-a-split")


def test_a_creation_has_no_old_object_to_look_at() -> None:
    expression = condition(ROUTES, "has-or-gets-a-split")
    assert expression.count("oldObject.") == 2
    assert expression.startswith("(oldObject != null && ")


@of_targets
def test_what_a_flagger_owns_never_leaves_the_api_server(name: str) -> None:
    own = condition(name, "not-flaggers-own")

    assert f'owner.kind == "{FLAGGER_KIND}"' in own
    assert f'owner.apiVersion.startsWith("{FLAGGER_GROUP}/")' in own
    assert ("oldObject" in own) is (name == TARGETS), "a write cannot bring its owner along"


@each
def test_calls_go_to_the_service_of_the_webhook(name: str) -> None:
    service = the("Service", "headgate-webhook")

    assert WEBHOOKS[name]["clientConfig"] == {
        "service": {
            "name": service["metadata"]["name"],
            "namespace": service["metadata"]["namespace"],
            "port": service["spec"]["ports"][0]["port"],
            "path": "/routes" if name == ROUTES else "/targets",
        }
    }


CHECKS = {it["name"]: it for it in the("ValidatingWebhookConfiguration", "headgate")["webhooks"]}


def test_every_kind_of_a_team_s_is_checked_at_its_own_path() -> None:
    paths = {it["clientConfig"]["service"]["path"] for it in CHECKS.values()}
    assert paths == {f"/{resource}" for resource in KINDS}
    for webhook in CHECKS.values():
        (rule,) = webhook["rules"]
        assert [f"/{it}" for it in rule["resources"]] == [
            webhook["clientConfig"]["service"]["path"]
        ]
        assert (rule["apiGroups"], rule["operations"]) == (["flagger.app"], ["CREATE", "UPDATE"])


def test_checks_stand_in_nobody_s_way() -> None:
    for webhook in CHECKS.values():
        assert (webhook["failurePolicy"], webhook["timeoutSeconds"]) == ("Ignore", 2)
        assert webhook["timeoutSeconds"] > SECONDS
        selector = WEBHOOKS["targets.headgate.dev"]["namespaceSelector"]
        assert webhook["namespaceSelector"] == selector
        names = [it["name"] for it in webhook["matchConditions"]]
        assert names == ["not-the-analyzer"]
