"""The policy that keeps the analyzer from rolling out what another webhook makes of a template."""

from canary.contract import ANALYZER_USER, TARGET_LABEL, TEMPLATES_POLICY
from tests.unit.manifests.installation import the

POLICY = the("ValidatingAdmissionPolicy", TEMPLATES_POLICY)["spec"]


def test_it_is_about_the_analyzer_s_updates_of_targets_themselves() -> None:
    (rule,) = POLICY["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["operations"]) == (["deployments"], ["UPDATE"])
    whose, no_canary = (it["expression"] for it in POLICY["matchConditions"])
    assert whose == f'request.userInfo.username == "{ANALYZER_USER}"'
    assert f'"{TARGET_LABEL}" in oldObject.metadata.labels' in no_canary
    assert POLICY["failurePolicy"] == "Fail"


def test_its_refusal_is_known_by_its_name() -> None:
    (check,) = POLICY["validations"]
    assert (check["reason"], TEMPLATES_POLICY in check["message"]) == ("Forbidden", True)
