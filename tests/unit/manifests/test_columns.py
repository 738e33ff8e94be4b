"""`kubectl get` shows what it shows of Flagger's objects, in its order, and more where wide."""

import pytest

from tests.unit.manifests.test_crds import version

STATUS = ".status"
ANALYSIS = ".spec.analysis"
FLAGGERS = {
    "Canary": [
        ("Status", f"{STATUS}.phase", 0),
        ("Weight", f"{STATUS}.canaryWeight", 0),
        ("Suspended", ".spec.suspend", 1),
        ("FailedChecks", f"{STATUS}.failedChecks", 1),
        ("Interval", f"{ANALYSIS}.interval", 1),
        ("Mirror", f"{ANALYSIS}.mirror", 1),
        ("StepWeight", f"{ANALYSIS}.stepWeight", 1),
        ("StepWeights", f"{ANALYSIS}.stepWeights", 1),
        ("MaxWeight", f"{ANALYSIS}.maxWeight", 1),
        ("LastTransitionTime", f"{STATUS}.lastTransitionTime", 0),
    ],
    "MetricTemplate": [("Provider", ".spec.provider.type", 0)],
    "AlertProvider": [("Type", ".spec.type", 0)],
}
OURS = {"InForce", "Reason", "Message"}


@pytest.mark.parametrize("kind", FLAGGERS)
def test_columns(kind: str) -> None:
    shown = [
        (it["name"], it["jsonPath"], it.get("priority", 0))
        for it in version(kind)["additionalPrinterColumns"]
    ]

    assert [it for it in shown if it[0] not in OURS] == FLAGGERS[kind]
    assert all(priority == 1 for name, _, priority in shown if name in OURS)
