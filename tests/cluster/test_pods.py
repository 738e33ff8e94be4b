"""What becomes of a canary's pods on a real cluster, and whose doing it is."""

import json

import pytest

from tests.cluster.judged import judged_canary
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
NOTICED = 5
"""Seconds within which a script that polls sees that the share of lost pods is the stable's."""
LOST_AT_MOST = 10
"""Answers sent to pods that are going until the share is taken: 2 of 20 a second are theirs."""


def share(kubectl: Kubectl) -> int:
    return split_of(kubectl.get("httproute", "web")).get("web-canary", 0)


def reason(kubectl: Kubectl) -> str:
    return str(kubectl.get("canary", "web")["status"]["conditions"][0]["reason"])


def marks(kubectl: Kubectl) -> dict[str, str]:
    return kubectl.get("deployment", "web")["metadata"].get("annotations") or {}


def said(kubectl: Kubectl, why: str) -> list[str]:
    found = kubectl.items("events", "--field-selector", f"reason={why},involvedObject.kind=Canary")
    return [str(event["message"]) for event in found]


def ready_pods(kubectl: Kubectl) -> int:
    return int(kubectl.get("deployment", "web")["status"].get("readyReplicas", 0))


def ready_by_sets(kubectl: Kubectl) -> int:
    """Return how many pods are ready as the ReplicaSets say, which the Deployment says later."""
    sets = kubectl.items("replicasets", "-l", "app=web")
    return sum(int(it["status"].get("readyReplicas", 0)) for it in sets)


def is_marked_as_refused(kubectl: Kubectl) -> None:
    """Wait for the mark: it is written after the verdict, which stands in the status by then."""
    wait_for("the mark", lambda: "headgate.dev/refused" in marks(kubectl), 20)


def canary_pods(kubectl: Kubectl) -> list[str]:
    pods = kubectl.items("pods", "-l", "app=web-canary", "--field-selector", "status.phase=Running")
    return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def evict(kubectl: Kubectl, pod: str) -> None:
    """Evict a pod as a drain of its node does."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": kubectl.namespace},
    }
    where = f"/api/v1/namespaces/{kubectl.namespace}/pods/{pod}/eviction"
    kubectl("create", "--raw", where, "-f", "-", stdin=json.dumps(body))


def start(kubectl: Kubectl, traffic: Traffic, *objects: Json) -> None:
    kubectl.apply(*objects)
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    serving(traffic)


def test_evicted_pods_and_a_deleted_canary_are_waited_for(
    namespace: Kubectl, host: str, traffic: Traffic
) -> None:
    # Health alone is judged: what is looked at is how long pods are waited for, and no metric.
    steps = canary(namespace.namespace, interval="15s", maxWeight=20, metrics=[], webhooks=[])
    start(namespace, traffic, web(GOOD), service(), route(host))
    namespace.apply(steps)
    namespace("set", "image", "deployment/web", f"web={BETTER}")
    wait_for("weight 10", lambda: share(namespace) == 10, 90)

    # As on a drained node that leaves no room elsewhere: the next pod cannot be made for a while.
    namespace("create", "quota", "full", "--hard=pods=1")
    wait_for("the quota", lambda: namespace.get("quota", "full").get("status", {}).get("used"), 20)
    (pod,) = canary_pods(namespace)
    evict(namespace, pod)
    wait_for("no share for a canary without pods", lambda: share(namespace) == 0, NOTICED)
    # The share goes before anything is said.
    wait_for("the reason", lambda: reason(namespace) == "PodsLost", 20)
    assert phase(namespace) == "Progressing"
    # The status goes on to what keeps the next one from being made; the event stays.
    evicted = f"pod {pod} was evicted"
    wait_for("why", lambda: any(evicted in text for text in said(namespace, "PodsLost")), 30)
    quiet = len(traffic.answers)

    def all_answered() -> bool:
        last = traffic.answers[-40:]
        return len(traffic.answers) > quiet + 40 and {status for _, status, _ in last} == {200}

    # The gateway follows a moment after the route; what is lost until then is counted in the end.
    wait_for("two seconds of answers", all_answered, 20)

    namespace("delete", "quota", "full")
    wait_for("the same step again", lambda: share(namespace) == 10, 90)
    wait_for("the next step", lambda: share(namespace) == 20, 60, every=0.1)
    namespace("delete", "deployment", "web-canary", "--wait=false")
    wait_for("the step again", lambda: len(said(namespace, "PodsLost")) == 2, 30)
    assert any(
        "the canary's Deployment was deleted" in text for text in said(namespace, "PodsLost")
    )

    wait_for("the end", lambda: phase(namespace) in ENDED, 180)
    assert phase(namespace) == "Succeeded", message(namespace)
    assert "headgate.dev/refused" not in marks(namespace)
    lost = [one for one in traffic.answers if one[1] != 200]
    assert len(lost) <= LOST_AT_MOST, lost


def test_an_eviction_for_a_limit_of_the_pod_s_own_is_evidence(
    namespace: Kubectl, host: str, traffic: Traffic
) -> None:
    start(namespace, traffic, web(GOOD), service(), route(host), judged_canary(interval="5m"))
    hungry = web(BETTER)
    spec = hungry["spec"]["template"]["spec"]
    mount = {"name": "cache", "mountPath": "/cache"}
    write = "import time; time.sleep(8); open('/cache/x', 'wb').write(bytes(9_000_000))"
    spec["volumes"] = [{"name": "cache", "emptyDir": {"sizeLimit": "1Mi"}}]
    spec["containers"].append(
        {
            "name": "cache",
            "image": GOOD,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python3", "-c", f"{write}; time.sleep(3600)"],
            "volumeMounts": [mount],
        }
    )
    namespace.apply(hungry)
    wait_for("the verdict", lambda: phase(namespace) in ENDED, 150)
    assert phase(namespace) == "Failed"
    assert "evicted for a limit of its own: Usage of EmptyDir volume" in message(namespace)
    is_marked_as_refused(namespace)
    assert share(namespace) == 0


def test_a_stable_that_was_made_smaller_takes_its_traffic_back_as_it_grows(
    namespace: Kubectl, host: str, traffic: Traffic
) -> None:
    start(
        namespace,
        traffic,
        web(GOOD, replicas=4),
        service(),
        route(host),
        judged_canary(interval="5m", weight=50),
    )
    namespace("set", "image", "deployment/web", f"web={BETTER}")
    wait_for("weight 50", lambda: share(namespace) == 50, 90)

    # What an autoscaler writes that sees half of the load.
    namespace("scale", "deployment/web", "--replicas=2")
    (noticed,) = wait_for("that it is seen", lambda: said(namespace, "StableShrunk"), 30)
    assert "has 2 pods beside its canary at weight 50 and needs about 4" in noticed
    wait_for("two pods", lambda: ready_pods(namespace) == 2, 30)
    namespace("annotate", "deployment/web", "headgate.dev/abort=now")
    wait_for("the verdict", lambda: phase(namespace) == "Failed", 30)
    is_marked_as_refused(namespace)
    assert (share(namespace), "it keeps 38 %" in message(namespace)) == (38, True)

    # And what it writes that sees a load of 62 % on half of the pods.
    namespace("scale", "deployment/web", "--replicas=4")
    wait_for("all of the traffic on the stable", lambda: share(namespace) == 0, 60)
    assert ready_by_sets(namespace) == 4
    # The share goes before that is written down.
    wait_for("no word of a share", lambda: "keeps" not in message(namespace), 20)
    wait_for("no canary", lambda: namespace.find("deployment", "web-canary") is None, 60)
    assert set(traffic.statuses) == {200}
