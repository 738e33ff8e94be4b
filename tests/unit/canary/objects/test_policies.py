"""Policies that the canary's pods fall out of are named."""

from typing import Any

import pytest

from canary.contract import TARGET_LABEL
from canary.model.canary_labels import CanaryLabels
from canary.objects.policies import left_behind, message

Json = dict[str, Any]

MARK = {TARGET_LABEL: "web"}
LABELS = CanaryLabels(
    template={"app": "web", "tier": "front"},
    pods={"app": "web-canary", "tier": "front", **MARK},
    selector=MARK,
    service=MARK,
)
WEB = {"matchLabels": {"app": "web"}}
FRONT = {"matchLabels": {"tier": "front"}}
BOTH = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "web-canary"]}]}
HERE = {"matchLabels": {"kubernetes.io/metadata.name": "prod"}}


def named(name: str, **spec: Any) -> Json:
    return {"metadata": {"name": name, "namespace": "prod"}, "spec": spec}


def test_policies_about_the_target_alone_are_named() -> None:
    found = left_behind(
        LABELS,
        network_policies=[
            named("to-database", podSelector=WEB),
            named("deny-all", podSelector={}),
            named("no-selector"),
            named("front", podSelector=FRONT),
            named("others", podSelector={"matchLabels": {"app": "api"}}),
            named("both", podSelector=BOTH),
        ],
        disruption_budgets=[
            named("web", selector=WEB, minAvailable=1),
            named("none"),
            named("all", selector={}),
        ],
    )
    assert [str(one) for one in found] == ["NetworkPolicy to-database", "PodDisruptionBudget web"]
    told = message(found, LABELS)
    assert told.startswith("NetworkPolicy to-database, PodDisruptionBudget web: about the target")
    assert "app=web-canary, headgate.dev/target=web" in told


@pytest.mark.parametrize(
    ("peer", "falls_out"),
    [
        ({"podSelector": WEB}, True),
        ({"podSelector": FRONT}, False),
        ({"podSelector": BOTH}, False),
        ({"podSelector": {}}, False),
        ({"podSelector": WEB, "namespaceSelector": HERE}, True),
        ({"podSelector": WEB, "namespaceSelector": {}}, True),
        ({"podSelector": WEB, "namespaceSelector": {"matchLabels": {"team": "x"}}}, False),
        ({"namespaceSelector": {}}, False),
        ({"ipBlock": {"cidr": "192.0.2.0/24"}}, False),
    ],
)
def test_a_policy_of_others_that_lets_the_target_in_is_named(
    peer: Json, *, falls_out: bool
) -> None:
    database = {"matchLabels": {"app": "database"}}
    policies = [
        named("in", podSelector=database, ingress=[{"ports": [{"port": 5432}]}, {"from": [peer]}]),
        named("out", podSelector=database, egress=[{"to": [peer]}, {}]),
    ]
    found = left_behind(LABELS, network_policies=policies, disruption_budgets=())
    assert [one.name for one in found] == (["in", "out"] if falls_out else [])
