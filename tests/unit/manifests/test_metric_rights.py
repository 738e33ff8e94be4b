"""Components of rights give what two providers, and shares by the number of pods, ask for."""

import pytest

from tests.unit.manifests.installation import (
    METRIC_RIGHTS,
    POD_SHARES,
    Manifest,
    documents,
    files,
    objects,
    the,
)

MORE = [
    document
    for component in (METRIC_RIGHTS, POD_SHARES)
    for path in files(component)
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
    ("name", "rules"),
    [
        (
            "headgate-analyzer-keptn",
            [
                {
                    "apiGroups": ["metrics.keptn.sh"],
                    "resources": ["keptnmetrics"],
                    "verbs": ["get"],
                },
                {
                    "apiGroups": ["metrics.keptn.sh"],
                    "resources": ["analyses"],
                    "verbs": ["create", "delete", "get", "list"],
                },
            ],
        ),
        (
            "headgate-analyzer-pod-shares",
            [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "patch"]}],
        ),
        (
            "headgate-analyzer-external-metrics",
            [{"apiGroups": ["external.metrics.k8s.io"], "resources": ["*"], "verbs": ["list"]}],
        ),
    ],
)
def test_each_role_is_for_what_is_asked_and_bound_to_the_analyzer(
    name: str, rules: list[dict[str, list[str]]]
) -> None:
    (binding,) = [
        it for it in MORE if it["kind"] == "ClusterRoleBinding" and it["roleRef"]["name"] == name
    ]
    account = the("ServiceAccount", "headgate-analyzer")["metadata"]

    assert role(name)["rules"] == rules
    assert binding["subjects"] == [
        {
            "kind": "ServiceAccount",
            "name": account["name"],
            "namespace": account["namespace"],
        }
    ]
