"""The condition on a target by which `kubectl rollout status` learns of a verdict."""

from datetime import datetime

from canary.contract import HOLD, REFUSED
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.pointers import annotation_path
from canary.model.values import Json
from canary.objects.workloads import VERDICT_PREFIX, annotations


def refused(message: str, now: datetime) -> Json:
    """Return the condition that ends `kubectl rollout status` with exit code 1."""
    return _progressing("False", "ProgressDeadlineExceeded", f"{VERDICT_PREFIX}{message}", now)


def reopened(now: datetime) -> Json:
    """Return the condition that the controller itself gives a paused Deployment."""
    return _progressing("Unknown", "DeploymentPaused", "Deployment is paused", now)


def verdict_in(target: Json) -> Json | None:
    """Return a target's progress condition if it is a verdict, None if the controller's own."""
    return next(
        (
            condition
            for condition in _conditions(target)
            if condition["type"] == "Progressing"
            and str(condition.get("message", "")).startswith(VERDICT_PREFIX)
        ),
        None,
    )


def carries_verdict(target: Json) -> bool:
    """Tell whether a target's progress condition is a verdict, and not the controller's own."""
    return verdict_in(target) is not None


def outlived(before: Json, after: Json) -> bool:
    """Tell whether the verdict on a candidate still stands while the next one is held already.

    By the target alone: the verdict that stood before the template changed is on none that came
    with the change. One that comes again after it was refused keeps it.

    Args:
        before: the Deployment as it was heard of.
        after: the same one, as it is heard of now.

    """
    verdict, notes = verdict_in(after), annotations(after)
    if verdict is None or HOLD not in notes or verdict_in(before) != verdict:
        return False
    template = after["spec"]["template"]
    candidate = template_hash(template)
    if candidate == template_hash(before["spec"]["template"]):
        return False
    return candidate != Identities((template,)).current(notes.get(REFUSED, ""))


def reopening(target: Json, verdict: Json, now: datetime) -> list[Json] | None:
    """Return the operations that put the controller's own condition in place of a verdict.

    They test what they rest on: the Deployment, what is held and what was refused last, and that
    very verdict. A resourceVersion would make them meet the controller's own write of the status,
    which comes at the same moment. The message is not tested: the API server compares texts byte by
    byte as they are written in JSON, and it writes `>` and whatever is not ASCII otherwise.

    Args:
        target: the Deployment as it is stored.
        verdict: the condition that is to go.
        now: the time of this reconcile.

    Returns:
        RFC 6902; None where that verdict, or the hold, has gone.

    """
    conditions, notes = _conditions(target), annotations(target)
    if HOLD not in notes or verdict not in conditions:
        return None
    place = f"/status/conditions/{conditions.index(verdict)}"
    marks = {annotation_path(mark): notes[mark] for mark in (HOLD, REFUSED) if mark in notes}
    parts = {f"{place}/{name}": part for name, part in verdict.items() if name != "message"}
    rests_on = {"/metadata/uid": target["metadata"]["uid"], **marks, **parts}
    tests = ({"op": "test", "path": path, "value": value} for path, value in rests_on.items())
    return [*tests, {"op": "replace", "path": place, "value": reopened(now)}]


def carries(target: Json, condition: Json) -> bool:
    """Tell whether a target has a condition that says the same already."""
    said = ("type", "status", "reason", "message")
    return any(
        all(found.get(field) == condition[field] for field in said)
        for found in (target.get("status") or {}).get("conditions") or ()
    )


def with_condition(target: Json, condition: Json) -> Json:
    """Return the patch that gives a target a condition, in place of the one of that type."""
    others = [found for found in _conditions(target) if found["type"] != condition["type"]]
    return {"status": {"conditions": [*others, condition]}}


def _conditions(target: Json) -> list[Json]:
    return list((target.get("status") or {}).get("conditions") or ())


def _progressing(status: str, reason: str, message: str, now: datetime) -> Json:
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "Progressing",
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": time,
        "lastTransitionTime": time,
    }
