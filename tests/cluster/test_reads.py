"""What tests read without kubectl is what kubectl says."""

import json

import pytest

from canary.contract import NAMESPACE_LABEL
from tests.cluster.kit import Json, Kubectl, service, web
from tests.cluster.reads import UnreadError, reader

pytestmark = pytest.mark.cluster
OBJECTS = [
    ("deployment", "web"),
    ("deployments.apps", "web"),
    ("deploy", "web"),
    ("Service", "web"),
    ("svc", "web"),
    ("mutatingwebhookconfiguration", "headgate"),
    ("customresourcedefinition", "canaries.flagger.app"),
    ("namespace", "kube-system"),
    ("canary", "web"),
    ("ingress", "web"),
]
LISTS = [
    ("services",),
    ("services", "-A", "--field-selector=metadata.name=kubernetes"),
    ("namespaces", "-l", "kubernetes.io/metadata.name in (default,kube-system)"),
    ("secrets", "-l", "no=where"),
]


def said(kubectl: Kubectl, *arguments: str) -> Json | None:
    text = kubectl("get", *arguments, "-o", "json", "--ignore-not-found")
    return json.loads(text) if text.strip() else None


@pytest.fixture
def paused(namespace: Kubectl) -> Kubectl:
    """Return a namespace in which no controller writes."""
    resting = web("headgate/demo:1.0", replicas=0)
    resting["spec"]["paused"] = True
    namespace("label", "namespace", namespace.namespace, f"{NAMESPACE_LABEL}-")
    namespace.apply(resting, service())
    namespace("wait", "--for=jsonpath={.status.observedGeneration}=1", "deployment/web")
    return namespace


def test_what_is_read_is_what_kubectl_says(paused: Kubectl) -> None:
    reads = reader(paused.kubeconfig, 0)
    for kind, name in OBJECTS:
        assert reads.find(kind, name, paused.namespace) == said(paused, kind, name)
    assert reads.find("deployment", "other", paused.namespace) is None
    for kind, *arguments in LISTS:
        wanted = said(paused, kind, *arguments) or {"items": []}
        assert reads.items(kind, paused.namespace, *arguments) == wanted["items"]


@pytest.mark.parametrize("kind", ["nosuch", "deployments.nosuch"])
def test_a_kind_that_is_not_known_is_left_to_kubectl(namespace: Kubectl, kind: str) -> None:
    with pytest.raises(UnreadError):
        reader(namespace.kubeconfig, 0).find(kind, "web", namespace.namespace)
    with pytest.raises(UnreadError):
        reader(namespace.kubeconfig, 0).items(kind, namespace.namespace)


def test_a_read_of_another_form_is_left_to_kubectl(namespace: Kubectl) -> None:
    with pytest.raises(UnreadError):
        reader(namespace.kubeconfig, 0).items("pods", namespace.namespace, "--sort-by=.kind")
    wanted = said(namespace, "services", "--sort-by=.metadata.name") or {"items": []}
    assert namespace.items("services", "--sort-by=.metadata.name") == wanted["items"]
