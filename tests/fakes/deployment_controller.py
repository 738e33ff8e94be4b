"""What the Deployment controller does with the ReplicaSets of a paused Deployment, in small.

Seen on Kubernetes 1.36.3, for each order in which revisions can come to be, and read in
`deployment_util.go` (`FindActiveOrLatest`, `FindNewReplicaSet`), `sync.go` (`scale`,
`cleanupDeployment`) and `controller_ref_manager.go`.
"""

from collections.abc import Iterable
from copy import deepcopy

from canary.contract import POD_TEMPLATE_HASH
from canary.model.selection import selects, workload_selector
from canary.model.values import Json
from canary.model.world import Place, Revision


def chosen(revisions: Iterable[Revision], template: str) -> Revision | None:
    """Return the one that gets the pods when a paused Deployment is scaled.

    Args:
        revisions: all of its ReplicaSets; only what it owns, or would adopt, counts.
        template: hash of the template that the Deployment carries.

    """
    owned = [one for one in revisions if one.place is not Place.PARKED]
    active = [one for one in owned if one.replicas]
    if active:
        return active[0] if len(active) == 1 else None
    own = [one for one in owned if one.template_hash == template]
    if own:
        return min(own, key=lambda one: (one.created, one.name))
    return max(owned, key=lambda one: (one.created, one.name), default=None)


def cleaned_up(revisions: Iterable[Revision], template: str, limit: int) -> tuple[Revision, ...]:
    """Return those that are left when old ones are cleaned up, as at each sync of a paused one.

    Args:
        revisions: all of its ReplicaSets.
        template: hash of the template that the Deployment carries.
        limit: its `revisionHistoryLimit`.

    """
    everyone = tuple(revisions)
    old = [
        one for one in everyone if one.place is not Place.PARKED and one.template_hash != template
    ]
    beyond = sorted(old, key=lambda one: one.number)[: max(0, len(old) - limit)]
    gone = {one.name for one in beyond if not one.replicas}
    return tuple(one for one in everyone if one.name not in gone)


def claimed(replica_set: Json, target: Json) -> Json:
    """Return a ReplicaSet after the controller has adopted it, or let it go, by its labels."""
    after, uid = deepcopy(replica_set), target["metadata"]["uid"]
    owners = after["metadata"].get("ownerReferences") or []
    matches = selects(workload_selector(target), after["metadata"].get("labels") or {})
    if matches and not owners:
        owner = {"kind": "Deployment", "uid": uid, "controller": True}
        after["metadata"]["ownerReferences"] = [owner]
    if not matches:
        left = [owner for owner in owners if owner["uid"] != uid]
        after["metadata"]["ownerReferences"] = left
    return after


def replica_set(name: str, target: Json, *, version: str, number: int, replicas: int = 0) -> Json:
    """Return a ReplicaSet as the controller makes one from a target's template."""
    template = deepcopy(target["spec"]["template"])
    template["metadata"]["labels"] |= {POD_TEMPLATE_HASH: name}
    template["spec"]["containers"][0]["image"] = f"demo:{version}"
    selector = deepcopy(target["spec"]["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), POD_TEMPLATE_HASH: name}
    made: Json = {
        "metadata": {
            "name": name,
            "namespace": target["metadata"]["namespace"],
            "uid": f"uid-{name}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": dict(template["metadata"]["labels"]),
            "annotations": {"deployment.kubernetes.io/revision": str(number)},
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }
    return claimed(made, target)
