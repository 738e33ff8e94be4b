"""The component of rights for metrics in the cluster gives what the two providers ask for."""

import pytest

from tests.unit.manifests.installation import (
    METRIC_RIGHTS,
    Manifest,
    documents,
    files,
    objects,
    the,
)

MORE = [
    document
    for path in files(METRIC_RIGHTS)
    if path.name != "kustomization.yaml"
    for document in documents(path)
]


def role(name: str) -> Manifest:
    (found,) = [it for it in MORE if it["kind"] == "ClusterRole" and it["metadata"]["name"] == name]
    return found


def test_the_installation_is_without_it() -> None:
    names = {it["metadata"]["name"] for it in objects()}

    assert not names & {it["metadata"]["name"] for it in MORE}


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (
            "headgate-analyzer-keptn",
            {"apiGroups": ["metrics.keptn.sh"], "resources": ["keptnmetrics"], "verbs": ["get"]},
        ),
        (
            "headgate-analyzer-external-metrics",
            {"apiGroups": ["external.metrics.k8s.io"], "resources": ["*"], "verbs": ["list"]},
        ),
    ],
)
def test_each_role_is_for_the_one_read_and_bound_to_the_analyzer(
    name: str, rule: dict[str, list[str]]
) -> None:
    (binding,) = [
        it for it in MORE if it["kind"] == "ClusterRoleBinding" and it["roleRef"]["name"] == name
    ]
    account = the("ServiceAccount", "headgate-analyzer")["metadata"]

    assert role(name)["rules"] == [rule]
    assert binding["subjects"] == [
        {
            "kind": "ServiceAccount",
            "name": account["name"],
            "namespace": account["namespace"],
        }
    ]
