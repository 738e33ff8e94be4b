"""The policies that guard marks and records name what the code names."""

from canary.contract import (
    ANALYZER_USER,
    DOMAIN,
    NAMESPACE_ENABLED,
    NAMESPACE_LABEL,
    TEMPLATES_POLICY,
)
from tests.unit.manifests.installation import of_kind

POLICIES = {it["metadata"]["name"]: it for it in of_kind("ValidatingAdmissionPolicy")}
GUARDS = ("headgate-marks", "headgate-records")
BINDINGS = {it["spec"]["policyName"]: it for it in of_kind("ValidatingAdmissionPolicyBinding")}


def test_every_policy_is_in_force_in_enabled_namespaces() -> None:
    assert BINDINGS.keys() == POLICIES.keys() == {*GUARDS, TEMPLATES_POLICY}
    for binding in BINDINGS.values():
        assert binding["spec"]["validationActions"] == ["Deny"]
        chosen = binding["spec"]["matchResources"]["namespaceSelector"]
        assert chosen == {"matchLabels": {NAMESPACE_LABEL: NAMESPACE_ENABLED}}


def test_a_policy_lets_the_analyzer_alone_through() -> None:
    for policy in (POLICIES[name] for name in GUARDS):
        first = policy["spec"]["matchConditions"][0]["expression"]
        assert first == f'request.userInfo.username != "{ANALYZER_USER}"'
        assert policy["spec"]["failurePolicy"] == "Fail"


def test_marks_are_known_by_the_domain_of_the_contract() -> None:
    [changed] = (
        variable["expression"]
        for variable in POLICIES["headgate-marks"]["spec"]["variables"]
        if variable["name"] == "changed"
    )
    assert changed.count(f'startsWith("{DOMAIN}/")') == 2
