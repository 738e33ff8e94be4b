"""Releases behind an HTTPProxy: the team's own, one made from the Canary, and one applied again."""

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
    proxy,
    service,
    serving,
    wait_for,
    web,
)

pytestmark = pytest.mark.cluster
GOOD, BETTER = "headgate/demo:1.0", "headgate/demo:1.1"
ENDED = {"Succeeded", "Failed"}


def share(kubectl: Kubectl) -> int:
    """Return the share of the canary in percent, of all routes that lead to its stable."""
    found = set()
    for route in kubectl.get("httpproxy", "web")["spec"]["routes"]:
        weights = {it["name"]: it.get("weight") for it in route["services"]}
        of_canary = weights.get("web-canary", 0)
        found.add(of_canary and round(100 * of_canary / (of_canary + weights["web"])))
    [only] = found
    return int(only)


def deploy(kubectl: Kubectl, *objects: Json) -> None:
    kubectl.apply(web(GOOD, replicas=1), service(), *objects)
    kubectl("rollout", "status", "deployment/web", "--timeout=120s", deadline=130)
    wait_for("the target is known", lambda: phase(kubectl) == "Initialized", 30)


def test_a_release_is_promoted_without_a_lost_request(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    deploy(namespace, proxy(host), judged_canary(interval="10s"))
    before = namespace.get("httpproxy", "web")["spec"]
    with Traffic(gateway, host=host) as load:
        serving(load)
        namespace("set", "image", "deployment/web", f"web={BETTER}")
        wait_for("half of the traffic", lambda: share(namespace) == 50, 60)
        wait_for("the end", lambda: phase(namespace) in ENDED, 200)
        assert phase(namespace) == "Succeeded", message(namespace)
        wait_for("the end of the split", lambda: share(namespace) == 0, 60)
    assert set(load.statuses) == {200}, load.statuses
    assert "headgate demo 1.1" in load.versions()
    wait_for("what the team wrote", lambda: namespace.get("httpproxy", "web")["spec"] == before, 60)


def test_a_bad_release_is_refused_and_only_its_own_answers_fail(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    deploy(namespace, proxy(host), judged_canary(weight=20))
    with Traffic(gateway, host=host) as load:
        serving(load)
        namespace("set", "env", "deployment/web", "VERSION=bad", "ERROR_SHARE=0.5")
        wait_for("its share", lambda: share(namespace) == 20, 60)
        wait_for("the end", lambda: phase(namespace) in ENDED, 120)
        assert phase(namespace) == "Failed", message(namespace)
        wait_for("the end of the split", lambda: share(namespace) == 0, 60)
    failed = {version for _, status, version in load.answers if status != 200}
    assert not [status for _, status, _ in load.answers if status not in {200, 500}]
    assert all("bad" in version for version in failed), failed


@pytest.mark.parametrize("server_side", [False, True], ids=["client-side", "server-side"])
def test_a_proxy_that_is_applied_again_in_mid_run_does_not_drift(
    namespace: Kubectl, host: str, *, server_side: bool
) -> None:
    apply = namespace.applier(server_side=server_side)
    apply(proxy(host))
    record = canary(
        namespace.namespace, interval="10m", stepWeight=50, maxWeight=50, metrics=[], webhooks=[]
    )
    deploy(namespace, record)
    namespace("set", "image", "deployment/web", f"web={BETTER}")
    wait_for("half of the traffic", lambda: share(namespace) == 50, 120)
    split = namespace.get("httpproxy", "web")
    apply(proxy(host))
    again = namespace.get("httpproxy", "web")
    assert again["spec"] == split["spec"]
    assert again["metadata"]["generation"] == split["metadata"]["generation"]
    if server_side:
        namespace.diff(proxy(host))
    edited = proxy(host)
    edited["spec"]["routes"][0]["timeoutPolicy"] = {"response": "7s"}
    apply(edited)
    [route] = namespace.get("httpproxy", "web")["spec"]["routes"]
    assert route["timeoutPolicy"] == {"response": "7s"}
    assert share(namespace) == 50
    namespace("annotate", "deployment/web", "headgate.dev/abort=now")
    wait_for("the run's end", lambda: phase(namespace) == "Failed", 60)
    wait_for(
        "what the team wrote",
        lambda: namespace.get("httpproxy", "web")["spec"] == edited["spec"],
        60,
    )


def test_an_own_proxy_is_included_by_the_team_s_and_carries_the_split(
    namespace: Kubectl, host: str, gateway: str
) -> None:
    root = proxy(host, name="root")
    root["spec"] |= {"routes": [], "includes": [{"name": "web"}]}
    record = judged_canary(interval="10s")
    record["spec"]["provider"] = "contour"
    deploy(namespace, root, record)
    wait_for("the proxy", lambda: namespace.find("httpproxy", "web"), 30)
    with Traffic(gateway, host=host) as load:
        serving(load)
        namespace("set", "image", "deployment/web", f"web={BETTER}")
        wait_for("half of the traffic", lambda: share(namespace) == 50, 60)
        namespace("annotate", "deployment/web", "headgate.dev/promote=now")
        wait_for("the end", lambda: phase(namespace) in ENDED, 120)
        assert phase(namespace) == "Succeeded", message(namespace)
    assert set(load.statuses) == {200}, load.statuses
    assert "web-canary" not in json.dumps(namespace.get("httpproxy", "root"))
