"""What brought other versions back, with kubectl and an installed Headgate, as it was seen."""

import json
from typing import Any

import pytest

from tests.cluster.kit import (
    Kubectl,
    canary,
    metric_template,
    phase,
    route,
    service,
    wait_for,
    watching,
    web,
)

pytestmark = pytest.mark.cluster
GOOD, BETTER, BAD = "headgate/demo:1.0", "headgate/demo:1.1", "headgate/demo:bad"
PODS = ("get", "pods", "-l", "app=web", "-w", "--no-headers", "-o")
IMAGES = "custom-columns=IMAGE:.spec.containers[0].image"
STATUS = ("rollout", "status", "deployment/web", "--timeout=120s")


def deployed(kubectl: Kubectl, host: str, **fields: Any) -> None:
    target = web(GOOD, replicas=3)
    target["spec"] |= fields
    where = kubectl.namespace
    kubectl.apply(target, service(), route(host), metric_template(where), canary(where))
    kubectl(*STATUS, deadline=130)


def set_image(kubectl: Kubectl, image: str) -> None:
    kubectl("set", "image", "deployment/web", f"web={image}")


def images(kubectl: Kubectl) -> list[str]:
    pods = kubectl.items("pods", "-l", "app=web")
    return [_image_of(pod) for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def _image_of(template: dict[str, Any]) -> str:
    return str(template["spec"]["containers"][0]["image"])


def scaled(kubectl: Kubectl, replicas: int) -> None:
    kubectl("scale", "deployment/web", f"--replicas={replicas}")
    wait_for("its pods", lambda: len(images(kubectl)) == replicas, 90)


def seen_over_0(kubectl: Kubectl) -> set[str]:
    """Scale to 0 and up again; return the images of all pods that were meanwhile."""
    # A watch begins with what is there, so also with pods that are still on their way out.
    pods = ("pods", "-l", "app=web")
    wait_for("no pod that goes", lambda: len(kubectl.items(*pods)) == len(images(kubectl)), 90)
    with watching(kubectl, *PODS, IMAGES) as lines:
        wait_for("the watch", lambda: lines, 30)
        scaled(kubectl, 0)
        scaled(kubectl, 3)
        return {line.strip() for line in lines} | set(images(kubectl))


def history(kubectl: Kubectl) -> dict[str, str]:
    """Return what `kubectl rollout history` counts: numbers of owned ReplicaSets by name."""
    return {
        obj["metadata"]["name"]: obj["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
        for obj in kubectl.items("replicasets", "-l", "app=web")
        if obj["metadata"].get("ownerReferences")
    }


def test_a_refused_version_that_rolled_half_way_stays_away(namespace: Kubectl, host: str) -> None:
    deployed(namespace, host, minReadySeconds=8)
    set_image(namespace, BETTER)
    wait_for("the hold", lambda: phase(namespace) == "Progressing", 60)
    namespace("annotate", "deployment/web", "headgate.dev/promote=now")
    wait_for("pods of both", lambda: set(images(namespace)) == {GOOD, BETTER}, 60)
    namespace("annotate", "deployment/web", "headgate.dev/abort=now")
    wait_for("the verdict", lambda: phase(namespace) == "Failed", 30)
    wait_for("the old pods", lambda: images(namespace) == [GOOD] * 3, 90)
    assert seen_over_0(namespace) == {GOOD}
    marks = json.dumps(namespace.get("deployment", "web")["metadata"]["annotations"])
    assert "headgate.dev/refused" in marks
    assert phase(namespace) == "Failed"

    # Nothing of the target changes, so that nothing but the ReplicaSet itself tells of it.
    aside = namespace.items("replicasets", "-l", "headgate.dev/parked")
    assert [_image_of(one["spec"]["template"]) for one in aside] == [BETTER]
    name = aside[0]["metadata"]["name"]
    namespace("scale", f"replicaset/{name}", "--replicas=2")
    wait_for("none of it", lambda: namespace.get("replicaset", name)["spec"]["replicas"] == 0, 20)
    wait_for("the old pods", lambda: images(namespace) == [GOOD] * 3, 60)


def test_an_older_version_stays_away_and_in_the_history(namespace: Kubectl, host: str) -> None:
    deployed(namespace, host)
    for image in (BETTER, GOOD):
        set_image(namespace, image)
        wait_for("the hold", lambda: phase(namespace) == "Progressing", 60)
        namespace("annotate", "deployment/web", "headgate.dev/promote=now")
        wait_for("the promotion", lambda: phase(namespace) == "Succeeded", 120)
    before = history(namespace)
    set_image(namespace, BAD)
    wait_for("the hold", lambda: phase(namespace) == "Progressing", 60)
    assert seen_over_0(namespace) == {GOOD}
    set_image(namespace, GOOD)
    wait_for("the history as it was", lambda: history(namespace) == before, 60)
