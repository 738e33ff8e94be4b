"""What stands beside a target on a real cluster: other Services, policies, endpoints, selectors."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.kit import (
    Json,
    Kubectl,
    Traffic,
    canary,
    message,
    phase,
    route,
    service,
    serving,
    split_of,
    wait_for,
    web,
)

pytestmark = pytest.mark.cluster
GOOD, BETTER = "headgate/demo:1.0", "headgate/demo:1.1"
ENDED = {"Succeeded", "Failed"}


def judged(kubectl: Kubectl, **analysis: Any) -> Json:
    """Return a Canary of two short steps that is judged by its pods alone."""
    steps = {"stepWeight": 20, "maxWeight": 40, "metrics": [], "webhooks": []}
    return canary(kubectl.namespace, **{**steps, **analysis})


def deploy(kubectl: Kubectl, host: str, *objects: Json) -> None:
    kubectl.apply(route(host), judged(kubectl), *objects)
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    wait_for("the target is known", lambda: phase(kubectl) == "Initialized", 30)


def push(kubectl: Kubectl) -> None:
    kubectl("set", "image", "deployment/web", f"web={BETTER}")


def share(kubectl: Kubectl) -> int:
    return split_of(kubectl.get("httproute", "web")).get("web-canary", 0)


def promoted(kubectl: Kubectl) -> None:
    wait_for("the run's end", lambda: phase(kubectl) in ENDED, 300)
    assert phase(kubectl) == "Succeeded", message(kubectl)
    ready = kubectl.get("deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert ready == BETTER


def addresses(kubectl: Kubectl, name: str) -> set[str]:
    """Return the addresses of the ready endpoints of a Service."""
    slices = kubectl.items("endpointslices", "-l", f"kubernetes.io/service-name={name}")
    ends = [end for it in slices for end in it.get("endpoints") or () if end["conditions"]["ready"]]
    return {address for end in ends for address in end["addresses"]}


def canary_addresses(kubectl: Kubectl) -> set[str]:
    pods = kubectl.items("pods", "-l", "headgate.dev/target=web")
    return {pod["status"]["podIP"] for pod in pods if pod["status"].get("podIP")}


def test_no_share_while_the_canary_s_service_has_no_ready_endpoint(
    namespace: Kubectl, host: str, traffic: Traffic
) -> None:
    leader = service()
    leader["spec"]["selector"] = {"app": "web", "role": "leader"}
    deploy(namespace, host, web(GOOD), leader)
    namespace("label", "pods", "-l", "app=web", "role=leader")
    serving(traffic)
    push(namespace)
    said = "has no ready endpoint"
    wait_for("that it has no endpoint is said", lambda: said in message(namespace), 60)
    assert share(namespace) == 0
    assert set(traffic.statuses) == {200}
    namespace("label", "pods", "-l", "headgate.dev/target=web", "role=leader")
    wait_for("its share", lambda: share(namespace) == 20, 30)


@pytest.fixture
def team_labels(together: Kubectl, namespace: Kubectl) -> Iterator[None]:
    """Refuse Deployments and Services of the namespace that have no label of a team."""
    name = f"team-label-{namespace.namespace}"
    rules = [
        {
            "apiGroups": [group],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": [plural],
        }
        for group, plural in (("apps", "deployments"), ("", "services"))
    ]
    has_label = "has(object.metadata.labels) && 'team' in object.metadata.labels"
    where = {"matchLabels": {"kubernetes.io/metadata.name": namespace.namespace}}
    kind = "ValidatingAdmissionPolicy"
    version = "admissionregistration.k8s.io/v1"
    together.apply(
        {
            "apiVersion": version,
            "kind": kind,
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": rules},
                "validations": [{"expression": has_label, "message": "label team is missing"}],
            },
        },
        {
            "apiVersion": version,
            "kind": f"{kind}Binding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": where},
            },
        },
    )
    yield
    together("delete", f"{kind}Binding,{kind}".lower(), name)


def refuses_unlabelled(kubectl: Kubectl) -> bool:
    """Tell whether the policy is in force: the API server takes a moment."""
    probe = ("create", "service", "clusterip", "probe", "--tcp=80", "--dry-run=server")
    return kubectl.run(*probe).returncode != 0


@pytest.mark.usefixtures("team_labels")
def test_a_policy_that_asks_for_a_team_s_label_lets_the_canary_in(
    namespace: Kubectl, host: str
) -> None:
    wait_for("the policy", lambda: refuses_unlabelled(namespace), 60)
    objects = [web(GOOD), service()]
    for obj in objects:
        obj["metadata"]["labels"] = {"team": "payments"}
    deploy(namespace, host, *objects)
    push(namespace)
    promoted(namespace)


def test_a_second_service_by_another_label_gets_no_canary_pods(
    namespace: Kubectl, host: str
) -> None:
    target, second = web(GOOD), service("front")
    target["spec"]["template"]["metadata"]["labels"]["tier"] = "front"
    second["spec"]["selector"] = {"tier": "front"}
    deploy(namespace, host, target, service(), second)
    push(namespace)
    wait_for("the first share", lambda: share(namespace) == 20, 90)
    assert canary_addresses(namespace)
    for name in ("front", "web"):
        assert not addresses(namespace, name) & canary_addresses(namespace), name
    assert addresses(namespace, "web-canary") <= canary_addresses(namespace)
    promoted(namespace)


def test_a_target_that_selects_by_expressions_alone_is_promoted(
    namespace: Kubectl, host: str
) -> None:
    target = web(GOOD)
    only = {"key": "app", "operator": "In", "values": ["web"]}
    target["spec"]["selector"] = {"matchExpressions": [only]}
    deploy(namespace, host, target, service())
    push(namespace)
    promoted(namespace)


def test_a_service_that_is_made_in_mid_run_ends_the_canary_and_the_run_starts_anew(
    namespace: Kubectl, host: str
) -> None:
    deploy(namespace, host, web(GOOD), service())
    push(namespace)
    wait_for("the first share", lambda: share(namespace) == 20, 90)
    before = namespace.get("deployment", "web-canary")
    stranger = service("lead")
    stranger["spec"]["selector"] = {"app": "web-canary"}
    namespace.apply(stranger)
    wait_for("it is named", lambda: "Service lead" in message(namespace), 30)
    wait_for("another canary", lambda: _is_another(namespace, before), 60)
    wait_for("no pod of the canary's behind it", lambda: not addresses(namespace, "lead"), 60)
    promoted(namespace)


def _is_another(kubectl: Kubectl, before: Json) -> bool:
    now = kubectl.find("deployment", "web-canary")
    return now is not None and now["metadata"]["uid"] != before["metadata"]["uid"]


def test_without_a_route_nothing_is_promoted_until_there_is_one(
    namespace: Kubectl, host: str
) -> None:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web"},
        "spec": {"rules": [{"host": host, "http": {"paths": [path]}}]},
    }
    namespace.apply(web(GOOD), service(), judged(namespace), ingress)
    namespace("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    wait_for("the target is known", lambda: phase(namespace) == "Initialized", 30)
    push(namespace)
    wait_for("the route is named", lambda: "Ingress web" in message(namespace), 30)
    assert namespace.find("deployment", "web-canary") is None
    namespace("delete", "ingress", "web")
    namespace.apply(route(host))
    promoted(namespace)
