"""What a line of the API server's audit log says, and what roles grant."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import audit
from sandbox.audit import Right
from tests.unit.manifests.installation import objects, rules_of

ANALYZER = "system:serviceaccount:headgate-system:headgate-analyzer"


def line(user: str = ANALYZER, decision: str = "allow", verb: str = "patch", **what: str) -> str:
    event: dict[str, Any] = {
        "user": {"username": user},
        "verb": verb,
        "annotations": {"authorization.k8s.io/decision": decision},
    }
    if what:
        event["objectRef"] = what
    return json.dumps(event)


def test_a_request_is_a_right() -> None:
    lines = [
        line(apiGroup="apps", resource="deployments", name="web"),
        line(apiGroup="apps", resource="deployments", subresource="status"),
        line(verb="list", resource="pods"),
    ]
    assert audit.used(lines) == {
        Right("headgate-analyzer", "apps", "deployments", "patch"),
        Right("headgate-analyzer", "apps", "deployments/status", "patch"),
        Right("headgate-analyzer", "", "pods", "list"),
    }


@pytest.mark.parametrize(
    "text",
    [
        line(resource="pods", decision="forbid"),
        line(resource="pods", user="admin"),
        line(resource="pods", user="system:serviceaccount:prod:headgate-analyzer"),
        line(verb="get"),
        line(resource="pods")[:40],
        "",
    ],
    ids=["denied", "a person", "another namespace", "no object", "cut off", "empty"],
)
def test_what_is_no_use_of_a_right(text: str) -> None:
    assert audit.used([text]) == set()


def test_another_namespace_has_accounts_of_its_own() -> None:
    tester = "system:serviceaccount:prod:flagger-loadtester"
    lines = [line(user=tester, apiGroup="batch", resource="jobs", verb="create"), line()]
    assert audit.used(lines, "prod") == {Right("flagger-loadtester", "batch", "jobs", "create")}


def test_what_nobody_needed_is_idle() -> None:
    role = {
        "kind": "Role",
        "metadata": {"name": "r"},
        "rules": [
            {"apiGroups": ["g"], "resources": ["*"], "verbs": ["list", "get"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["patch", "delete"]},
        ],
    }
    binding = {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"name": "a"}]}
    found = {Right("a", "g", "queue", "list"), Right("a", "", "pods", "patch")}
    assert audit.idle([role, binding], found) == {
        Right("a", "g", "*", "get"),
        Right("a", "", "pods", "delete"),
    }


def test_what_is_granted_is_what_the_roles_say() -> None:
    found = audit.granted(objects())
    verbs = {
        (account, group, resource, verb)
        for account in audit.ACCOUNTS
        for rule in rules_of(account)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert found == {Right(*it) for it in verbs}
    assert Right("headgate-certs", "", "secrets", "update") in found


def test_the_policy_writes_nothing_of_what_is_in_a_request(
    tmp_path: Path,
) -> None:
    (first, *_) = audit.flags(tmp_path / "policy.yaml")
    policy = yaml.safe_load(Path(first.partition("=")[2]).read_text())
    assert [rule["level"] for rule in policy["rules"]] == ["Metadata", "None"]
    assert policy["rules"][0]["users"] == [
        f"system:serviceaccount:headgate-system:{name}" for name in audit.ACCOUNTS
    ]
