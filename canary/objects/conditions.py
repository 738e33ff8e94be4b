"""The condition on a target by which `kubectl rollout status` learns of a verdict."""

from datetime import datetime

from canary.model.values import Json
from canary.objects.workloads import VERDICT_PREFIX


def refused(message: str, now: datetime) -> Json:
    """Return the condition that ends `kubectl rollout status` with exit code 1."""
    return _progressing("False", "ProgressDeadlineExceeded", f"{VERDICT_PREFIX}{message}", now)


def reopened(now: datetime) -> Json:
    """Return the condition that the controller itself gives a paused Deployment."""
    return _progressing("Unknown", "DeploymentPaused", "Deployment is paused", now)


def carries_verdict(target: Json) -> bool:
    """Tell whether a target's progress condition is a verdict, and not the controller's own."""
    return any(
        condition["type"] == "Progressing"
        and str(condition.get("message", "")).startswith(VERDICT_PREFIX)
        for condition in (target.get("status") or {}).get("conditions") or ()
    )


def with_condition(target: Json, condition: Json) -> Json:
    """Return the patch that gives a target a condition, in place of the one of that type."""
    conditions = (target.get("status") or {}).get("conditions") or ()
    others = [found for found in conditions if found["type"] != condition["type"]]
    return {"status": {"conditions": [*others, condition]}}


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
