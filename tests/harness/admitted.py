"""The API server's side of admission: when the webhook is called, and what becomes of its answer.

The conditions are those of `manifests/webhook-configuration.yaml`; the reviews go through the
webhook's own wire format and rules.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

import jsonpatch
import orjson

from analyzer.routers.kinds import RESOURCES
from canary.admission.creations import Creation, admit_creation
from canary.admission.facts import Allowances, Write
from canary.admission.routes import RouteWrite, admit_route
from canary.admission.targets import admit
from canary.contract import (
    ANALYZER_USER,
    DOMAIN,
    NAMESPACE_ENABLED,
    NAMESPACE_LABEL,
    OPT_OUT,
    SEEN,
    SPLIT,
    TARGET_LABEL,
    TEMPLATES_POLICY,
)
from canary.model.values import Json
from runtime.errors import Forbidden
from runtime.resources import DEPLOYMENTS, Resource
from tests.harness.api import Writer
from webhook.review import Review, answer_route, answer_write, read_review

Enabled = Callable[[str], bool]


@dataclass
class Webhook:
    """Answers as the installed webhook does.

    Args:
        enabled: whether a namespace carries the label.
        routes_up: whether the one for routes can be reached (`failurePolicy: Ignore`).
        pins: the digest to which somebody else's webhook, called after it, pins the images of every
            Deployment of a team that is written in such a namespace; "" where there is none.

    """

    enabled: Enabled
    routes_up: bool = True
    pins: str = ""
    warnings: list[str] = field(default_factory=list)

    def __call__(self, resource: Resource, old: Json | None, new: Json, writer: Writer) -> Json:
        """Return an object as it is to be stored.

        Raises:
            Forbidden: the webhook denies it.

        """
        self.warnings.clear()
        if not self.enabled(new["metadata"].get("namespace", "")):
            return new
        admitted = self._admitted(resource, old, new, writer)
        if resource != DEPLOYMENTS or not self.pins or _is_canary(new):
            return admitted
        changed = _pinned(admitted, self.pins)
        # Who was asked before another has changed something is asked again, by its `IfNeeded`.
        if changed != admitted and _is_asked(old, new, writer):
            changed = self._admitted(resource, old, changed, writer)
        if old is not None and writer.user == ANALYZER_USER and _would_roll(old, changed):
            raise Forbidden(403, "Forbidden", f"{TEMPLATES_POLICY} denied request")
        return changed

    def _admitted(self, resource: Resource, old: Json | None, new: Json, writer: Writer) -> Json:
        if resource == DEPLOYMENTS and _is_asked(old, new, writer):
            return self._answered(old, new, writer, _of_target)
        is_route = resource in RESOURCES.values()
        if is_route and old is not None and self.routes_up and _is_split(old, new):
            return self._answered(old, new, writer, _of_route)
        return new

    def _answered(
        self, old: Json | None, new: Json, writer: Writer, judge: Callable[[Review], bytes]
    ) -> Json:
        request = {
            "uid": "u-1",
            "operation": "CREATE" if old is None else "UPDATE",
            "userInfo": {"username": writer.user},
            "object": new,
            "oldObject": old,
        }
        review = read_review(orjson.dumps({"request": request}))
        response = orjson.loads(judge(review))["response"]
        self.warnings += response.get("warnings") or ()
        if not response["allowed"]:
            raise Forbidden(403, "Forbidden", response["status"]["message"])
        if "patch" not in response:
            return new
        patch = orjson.loads(base64.b64decode(response["patch"]))
        stored: Json = jsonpatch.apply_patch(new, patch)
        return stored


def _of_target(review: Review) -> bytes:
    if review.old is None:
        return answer_write(review.uid, review.new, admit_creation(Creation(new=review.new)))
    write = Write(old=review.old, new=review.new, user=review.user)
    return answer_write(review.uid, review.new, admit(write, Allowances()))


def _of_route(review: Review) -> bytes:
    assert review.old is not None
    ours = review.user == ANALYZER_USER
    answer = admit_route(RouteWrite(old=review.old, new=review.new, by_analyzer=ours))
    return answer_route(review.uid, review.new, answer)


def _is_asked(old: Json | None, new: Json, writer: Writer) -> bool:
    return writer.user != ANALYZER_USER and _is_sent(old, new)


def _is_canary(obj: Json) -> bool:
    return TARGET_LABEL in (obj["metadata"].get("labels") or {})


def _would_roll(old: Json, new: Json) -> bool:
    """Tell what the policy of `manifests/templates-policy.yaml` refuses the analyzer."""
    same = old["spec"]["template"] == new["spec"]["template"]
    return not same and not new["spec"].get("paused")


def _is_sent(old: Json | None, new: Json) -> bool:
    notes = _notes(new)
    if old is None:
        return any(key not in {OPT_OUT, SEEN} for key in notes)
    resumed = bool(old["spec"].get("paused")) and not new["spec"].get("paused")
    return resumed or old["spec"]["template"] != new["spec"]["template"] or _notes(old) != notes


def _pinned(obj: Json, digest: str) -> Json:
    template = obj["spec"]["template"]
    containers = [
        {**it, "image": f"{unpinned(it['image'])}@{digest}"}
        for it in template["spec"]["containers"]
    ]
    pods = {**template, "spec": {**template["spec"], "containers": containers}}
    return {**obj, "spec": {**obj["spec"], "template": pods}}


def unpinned(image: str) -> str:
    """Return an image without what a webhook has pinned it to."""
    return image.partition("@")[0]


def _is_split(*routes: Json) -> bool:
    return any(SPLIT in (one["metadata"].get("annotations") or {}) for one in routes)


def _notes(obj: Json) -> dict[str, str]:
    notes = obj["metadata"].get("annotations") or {}
    return {key: value for key, value in notes.items() if key.startswith(f"{DOMAIN}/")}


def labelled(namespace: Json | None) -> bool:
    """Tell whether a namespace carries the label."""
    labels = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    return bool(labels.get(NAMESPACE_LABEL) == NAMESPACE_ENABLED)
