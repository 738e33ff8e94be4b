"""What of the team's own the analyzer may write, told of one write by what was stored before it."""

from collections.abc import Container
from typing import Final

from canary.contract import DOMAIN, HOLD, PARKED, PROMOTING
from canary.model.values import Json
from runtime.resources import DEPLOYMENTS, REPLICASETS
from tests.harness.admitted import unpinned
from tests.harness.api import Change
from tests.harness.stage import CANARY, NAME, NEXT, NEXT_CANARY

_SERVERS: Final = frozenset({"annotations", "managedFields", "resourceVersion", "generation"})
"""Of an object's metadata: what is looked at by itself, and what the API server counts."""


def overreach(change: Change, there: Container[str]) -> str:
    """Say what the analyzer has written that is not its own to write; "" where all is.

    A target's pause, its own annotations and its status are; of ReplicaSets it deletes parked ones,
    and empty ones of a canary that has gone.

    Args:
        change: a write of the analyzer's.
        there: uids of all Deployments.

    """
    old, new = change.old, change.new
    if old is None:
        return ""
    if change.resource == REPLICASETS and new is None:
        parked = PARKED in (old["metadata"].get("labels") or {})
        may = parked or _is_left_empty(old, there)
        return "" if may else f"{old['metadata']['name']} was deleted and is not parked"
    if change.resource != DEPLOYMENTS or old["metadata"]["name"] not in {NAME, NEXT} or new is None:
        return ""
    if _of_the_team(old) != _of_the_team(new):
        return f"{old['metadata']['name']} was changed beyond its pause and its marks"
    if old["spec"]["template"] != new["spec"]["template"]:  # pinned by a webhook with our write
        rolls = not new["spec"].get("paused")
        return f"{old['metadata']['name']} rolls what a webhook has pinned" if rolls else ""
    return _pause(old, new)


def _is_left_empty(replica_set: Json, there: Container[str]) -> bool:
    owners = replica_set["metadata"].get("ownerReferences") or ()
    left = any(it["name"] in {CANARY, NEXT_CANARY} and it["uid"] not in there for it in owners)
    return left and not replica_set["spec"].get("replicas")


def _pause(old: Json, new: Json) -> str:
    """A pause is ended where it is a hold, and begun where a promotion is taken back."""
    was, now = (bool(it["spec"].get("paused")) for it in (old, new))
    notes = old["metadata"].get("annotations") or {}
    if was and not now and HOLD not in notes:
        return "a pause of the team's was ended"
    if now and not was and PROMOTING not in notes:
        return f"{NAME} was paused, and nothing of Headgate's rolled"
    return ""


def _of_the_team(target: Json) -> Json:
    metadata, spec = target["metadata"], target["spec"]
    notes = metadata.get("annotations") or {}
    theirs = {key: it for key, it in notes.items() if not key.startswith(f"{DOMAIN}/")}
    template = spec["template"]
    unpinned_pods = [
        {**it, "image": unpinned(it["image"])} for it in template["spec"]["containers"]
    ]
    return {
        "metadata": {key: it for key, it in metadata.items() if key not in _SERVERS},
        "notes": theirs,
        "spec": {key: it for key, it in spec.items() if key not in {"paused", "template"}},
        "pods": {**template, "spec": {**template["spec"], "containers": unpinned_pods}},
    }
