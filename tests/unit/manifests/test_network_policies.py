"""The component of NetworkPolicies opens the ports that our pods listen at, and no others."""

import pytest

from canary.contract import SYSTEM_NAMESPACE
from tests.unit.manifests.installation import COMPONENTS, Manifest, objects, the

POLICIES = {it["metadata"]["name"]: it for it in objects(*COMPONENTS)}
DEPLOYMENTS = ("headgate-webhook", "headgate-analyzer", "headgate-certs", "flagger-loadtester")


def pods_of(name: str) -> Manifest:
    found: Manifest = the("Deployment", name)["spec"]["template"]
    return found


def test_each_of_our_deployments_has_one() -> None:
    assert sorted(POLICIES) == sorted(DEPLOYMENTS)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_it_selects_the_pods_of_its_deployment_and_of_no_other(name: str) -> None:
    selected = POLICIES[name]["spec"]["podSelector"]["matchLabels"].items()
    meant = [it for it in DEPLOYMENTS if selected <= pods_of(it)["metadata"]["labels"].items()]

    assert meant == [name]
    assert POLICIES[name]["metadata"].get("namespace") == the("Deployment", name)["metadata"].get(
        "namespace"
    )


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_it_opens_the_ports_that_its_pods_have(name: str) -> None:
    (container,) = pods_of(name)["spec"]["containers"]
    (rule,) = POLICIES[name]["spec"]["ingress"]

    assert [it["port"] for it in rule["ports"]] == [it["name"] for it in container["ports"]]


def test_nothing_leaves_the_webhook() -> None:
    spec = POLICIES["headgate-webhook"]["spec"]

    assert "Egress" in spec["policyTypes"]
    assert "egress" not in spec


def test_the_load_tester_takes_hooks_of_the_analyzer() -> None:
    (sender,) = POLICIES["flagger-loadtester"]["spec"]["ingress"][0]["from"]
    labels = pods_of("headgate-analyzer")["metadata"]["labels"]

    assert sender["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": SYSTEM_NAMESPACE
    }
    assert sender["podSelector"]["matchLabels"].items() <= labels.items()
