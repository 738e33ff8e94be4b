"""What a Canary says of the version before, until a look at its target says more of the next one.

Whoever waits for its condition by `kubectl wait` takes the first answer, so a verdict that stands
while another version is held already is taken for that one's.
"""

from datetime import datetime
from typing import Final

from canary.contract import HOLD, Reason
from canary.model.former import Identities
from canary.model.hashing import template_hash
from canary.model.values import Json
from canary.objects import recorded
from canary.objects.status import CONDITION
from canary.objects.workloads import annotations

_SAID: Final = ("True", "False")


def newly_held(before: Json, after: Json) -> bool:
    """Tell whether a target is held with another version than at the last time it was heard of."""
    held = annotations(after).get(HOLD)
    return held is not None and held != annotations(before).get(HOLD)


def superseded(canary: Json, target: Json, now: datetime) -> Json | None:
    """Return the patch by which a Canary's condition is Unknown for the version that is held.

    What it said stays in the record of the run, where a decision finds it.

    Args:
        canary: the object as it was heard of.
        target: its Deployment, held.
        now: the time of this reconcile.

    Returns:
        A merge patch of the status; None where the condition speaks of the version that is held, or
        of nothing yet.

    """
    status, template = canary.get("status") or {}, target["spec"]["template"]
    stored = list(recorded.mappings(status.get("conditions")))
    said = next((one for one in stored if one.get("type") == CONDITION), None)
    if "run" not in status or HOLD not in annotations(target):
        return None
    if said is None or said.get("status") not in _SAID:
        return None
    known, candidate = Identities((template,)), template_hash(template)
    hashes = (status.get("lastAppliedSpec"), status.get("lastPromotedSpec"))
    if candidate in {known.current(recorded.text(one)) for one in hashes}:
        return None
    run, time = recorded.mapping(status["run"]), now.strftime("%Y-%m-%dT%H:%M:%SZ")
    unknown = {
        "type": CONDITION,
        "status": "Unknown",
        "reason": str(Reason.HELD),
        "message": f"another version is held: {candidate}",
        "lastUpdateTime": time,
        "lastTransitionTime": time,
    }
    kept = {name: run.get(name) or said.get(name) for name in ("reason", "message")}
    conditions = [unknown if one is said else one for one in stored]
    return {"status": {"conditions": conditions, "run": kept}}
