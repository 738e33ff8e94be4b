"""ReplicaSets of a canary that has gone, which the cluster has forgotten to delete with it.

The garbage collector follows owners by watches. Where it has lost them while a canary was deleted
and the next one made, it is told of one update instead of a deletion, keeps the owner of before for
alive, and never looks at what that owned again (processGraphChanges of k8s.io/kubernetes,
pkg/controller/garbagecollector). Its ReplicaSet has pods that wear the canary's label, so that the
Service of the next canary sends requests to them: to a version that nobody judges, or that was
refused.
"""

from collections.abc import Iterable, Sequence

from canary.contract import TARGET_LABEL
from canary.model.names import canary_name
from canary.model.values import Json
from canary.objects.fates import ENDED, of_newest_template, template_of
from canary.objects.ownership import controllers_of


def may_be_forgotten(deployment: Json, pods: list[Json]) -> bool:
    """Tell whether any pod may be of a canary before, so that the ReplicaSets are worth a look.

    Args:
        deployment: the canary's.
        pods: those that wear its label.

    """
    made = str(deployment["metadata"].get("creationTimestamp", ""))
    staying = list(filter(_stays, pods))
    # Times are whole seconds: pods of two canaries may all be the newest ones.
    templates = {template_of(pod) for pod in (*staying, *of_newest_template(pods))}
    return len(templates) > 1 or any(
        str(pod["metadata"].get("creationTimestamp", "")) < made for pod in staying
    )


def is_forgotten(replica_set: Json, deployment: Json) -> bool:
    """Tell whether a ReplicaSet was made for a canary that has gone, by its owner's uid.

    Names are unique while an object is there: of two owners of one name the other one has gone.

    Args:
        replica_set: the ReplicaSet.
        deployment: the canary's.

    """
    name, uid = deployment["metadata"]["name"], deployment["metadata"]["uid"]
    return any(one.get("name") == name and one.get("uid") != uid for one in _makers(replica_set))


def astray(pods: Iterable[Json], forgotten: Sequence[Json]) -> list[Json]:
    """Return the pods of forgotten ReplicaSets whom nobody has asked to go yet."""
    uids = {obj["metadata"]["uid"] for obj in forgotten}
    return [
        pod
        for pod in pods
        if _stays(pod) and any(one.get("uid") in uids for one in controllers_of(pod))
    ]


def canary_that_made(replica_set: Json) -> tuple[str, str] | None:
    """Return the name and uid of the canary that a ReplicaSet was made for, None for any other's.

    Its pods' label and its owner's name both follow from the target's, which the label is as long
    as it has room for it.
    """
    target = (replica_set["metadata"].get("labels") or {}).get(TARGET_LABEL)
    if not target:
        return None
    made = (one for one in _makers(replica_set) if one.get("name") == canary_name(target))
    return next(((str(one["name"]), str(one.get("uid", ""))) for one in made), None)


def _makers(replica_set: Json) -> list[Json]:
    return [one for one in controllers_of(replica_set) if one.get("kind") == "Deployment"]


def _stays(pod: Json) -> bool:
    ended = (pod.get("status") or {}).get("phase") in ENDED
    return not ended and not pod["metadata"].get("deletionTimestamp")
