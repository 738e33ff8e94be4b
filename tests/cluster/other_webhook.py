"""A mutating webhook of somebody else's, called after Headgate's, in the process of the tests."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.cluster.kit import Kubectl, wait_for
from tests.cluster.tls_server import JsonHandler, node_address, serving

Json = dict[str, Any]
Change = Callable[[Json], list[Json]]
"""From a Deployment under review to the operations of a JSON patch."""
MARK = "seen-by-the-other"
"""Label on what it has seen: another value at each call."""


def label(_: Json) -> list[Json]:
    """Mark the object itself, as one that labels owners does."""
    return []


def label_pods(obj: Json) -> list[Json]:
    """Change the template too, as one that labels pods or pins digests does."""
    labels = {**obj["spec"]["template"]["metadata"].get("labels", {}), "owner": "shop"}
    return [{"op": "add", "path": "/spec/template/metadata/labels", "value": labels}]


def _marked(obj: Json, call: str, change: Change) -> list[Json]:
    labels = {**obj["metadata"].get("labels", {}), MARK: call}
    return [{"op": "add", "path": "/metadata/labels", "value": labels}, *change(obj)]


class _Reviews(JsonHandler):
    def __init__(self, change: Change, *args: Any) -> None:
        self._change = change
        super().__init__(*args)

    def do_POST(self) -> None:  # noqa: N802 - http.server's name
        length = int(self.headers["Content-Length"])
        request = json.loads(self.rfile.read(length))["request"]
        patch = json.dumps(_marked(request["object"], request["uid"], self._change)).encode()
        response = {
            "uid": request["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(patch).decode(),
        }
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
        self.answer(200, {**review, "response": response})


@contextmanager
def after_headgate(team: Kubectl, target: str, change: Change) -> Iterator[None]:
    """Change every UPDATE of a namespace's Deployments after Headgate has seen it.

    Args:
        team: kubectl of the namespace.
        target: a Deployment in it, by which it is seen that the API server calls the webhook.
        change: what it does beside marking the object.

    """
    address = node_address(team)
    name = f"zz-other-{team.namespace}"  # in the order of names, after headgate
    with serving(address, address, partial(_Reviews, change)) as (port, bundle):
        created = _configuration(name, team.namespace, f"https://{address}:{port}/", bundle)
        team("create", "-f", "-", stdin=json.dumps(created))
        try:
            wait_for("calls of the other webhook", partial(_called, team, target), 30)
            yield
        finally:
            team("delete", "mutatingwebhookconfiguration", name, "--wait=true")
            # What comes next is not to meet a webhook that nobody serves any more.
            wait_for("no calls of it", lambda: not _called(team, target), 30)


def _called(team: Kubectl, target: str) -> bool:
    """Tell whether a write that is not stored comes back with a new mark of the webhook's."""
    annotate = ("annotate", "deployment", target, "other.example/probe=x", "--overwrite")
    done = team.run(*annotate, "--dry-run=server", "-o", "json")
    if done.returncode:
        return True  # called, and not there any more
    mark = json.loads(done.stdout)["metadata"].get("labels", {}).get(MARK)
    stored = team.get("deployment", target)["metadata"].get("labels", {}).get(MARK)
    return bool(mark != stored)


def _configuration(name: str, namespace: str, url: str, bundle: str) -> Json:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": "other.example.com",
                "clientConfig": {"url": url, "caBundle": bundle},
                "rules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["UPDATE"],
                        "resources": ["deployments"],
                    }
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "timeoutSeconds": 30,
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
