"""Somebody else's webhook that comes in the middle of a run and changes templates from then on."""

import json
from typing import Any

import pytest

from canary.contract import ANALYZER_USER
from tests.cluster.kit import Kubectl, phase, wait_for
from tests.cluster.other_webhook import after_headgate, label_pods
from tests.cluster.test_edited_canary import BETTER, GOOD, deployed, has_canary, under_way

pytestmark = pytest.mark.cluster
BY_ANALYZER = f"--as={ANALYZER_USER}"
Json = dict[str, Any]
OWNER = {"app": "web", "owner": "shop"}


def serving(kubectl: Kubectl) -> set[str]:
    """Return the images of the pods that the target has."""
    return {
        it["spec"]["containers"][0]["image"]
        for it in kubectl.items("pod")
        if it["metadata"]["name"].startswith("web-")
        and not it["metadata"]["name"].startswith("web-canary-")
    }


def labels_of_pods(kubectl: Kubectl) -> dict[str, str]:
    template = kubectl.get("deployment", "web")["spec"]["template"]
    return {key: template["metadata"]["labels"].get(key, "") for key in OWNER}


def is_held(kubectl: Kubectl) -> bool:
    return bool(kubectl.get("deployment", "web")["spec"].get("paused"))


def test_what_a_webhook_makes_of_a_version_as_it_is_released_is_judged_first(
    namespace: Kubectl, host: str
) -> None:
    deployed(namespace, host, maxWeight=60, stepWeight=30, metrics=[], webhooks=[])
    under_way(namespace, BETTER)
    with after_headgate(namespace, "web", label_pods):
        assert phase(namespace) == "Progressing"
        wait_for("the other template", lambda: labels_of_pods(namespace) == OWNER, 120)
        assert (is_held(namespace), serving(namespace)) == (True, {GOOD})
        wait_for("its run", lambda: "Superseded" in said(namespace), 60)
        wait_for("its promotion", lambda: phase(namespace) == "Succeeded", 180)
    wait_for("no canary", lambda: not has_canary(namespace), 60)
    assert (labels_of_pods(namespace), serving(namespace)) == (OWNER, {BETTER})
    rolled = [it for it in namespace.items("replicaset", "-l", "app=web") if is_better(it)]
    assert {it["metadata"]["labels"].get("owner") for it in rolled} == {"shop"}


def is_better(replica_set: Json) -> bool:
    return bool(replica_set["spec"]["template"]["spec"]["containers"][0]["image"] == BETTER)


def said(kubectl: Kubectl) -> set[str]:
    return {it["reason"] for it in kubectl.items("event")}


def test_the_api_server_refuses_the_analyzer_a_template_and_nobody_else(
    namespace: Kubectl, host: str
) -> None:
    deployed(namespace, host)
    namespace("create", "rolebinding", "writer", "--clusterrole=admin", f"--user={ANALYZER_USER}")
    other = {"spec": {"template": {"metadata": {"labels": OWNER}}}}
    paused = {"spec": {**other["spec"], "paused": True}}
    bare = {"metadata": {"annotations": {"example.com/note": "x"}}}
    wait_for("its rights", lambda: not written(namespace, bare, BY_ANALYZER), 30)
    assert "headgate-templates" in written(namespace, other, BY_ANALYZER)
    assert written(namespace, paused, BY_ANALYZER) == written(namespace, other) == ""


def written(kubectl: Kubectl, patch: object, *options: str) -> str:
    """Return what is said against a write that is not stored, nothing where it would be."""
    merge = ("--type=merge", "-p", json.dumps(patch), "--dry-run=server")
    done = kubectl.run("patch", "deployment", "web", *merge, *options)
    return done.stderr if done.returncode else ""
