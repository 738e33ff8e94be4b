"""The candidate of the run on record: since when it was judged, and the hashes in its pods' names.

The API server still knows the ReplicaSets of the last run, the canary Deployment while there is
one, and the Canary's status. Of runs before that only what the metrics server has is left.
"""

import math
from dataclasses import dataclass

from canary.contract import CANDIDATE, POD_TEMPLATE_HASH
from canary.model.names import canary_name
from canary.model.state import State
from canary.model.values import Json
from canary.objects.parking import number_of
from canary.objects.status import state_from_status
from canary.objects.workloads import annotations, read_revisions
from kubectl_headgate.naming import Sides
from kubectl_headgate.objects import Reader
from runtime.errors import ApiError, NotFound
from runtime.resources import DEPLOYMENTS, REPLICASETS


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What is known of the run on record: `since` is its start, infinite where there is none.

    It is in seconds since the epoch.

    `canary` is the hash of its canary's pods, "" where that is not known any more; `promoted` are
    those with which the target's own pods run it. `remark` says what could not be read.
    """

    since: float = math.inf
    canary: str = ""
    promoted: frozenset[str] = frozenset()
    remark: str = ""


async def candidate_on_record(cluster: Reader, canary: Json) -> Candidate:
    """Return what is known of the candidate of a Canary's last run.

    Args:
        cluster: the API server; a team that may not read ReplicaSets learns less.
        canary: the object, stored or made from defaults.

    """
    state = state_from_status(canary.get("status") or {})
    if state.started_at is None or not state.candidate:
        return Candidate()
    since, known = state.started_at.timestamp(), _by_status(canary)
    namespace = canary["metadata"]["namespace"]
    name = canary["spec"]["targetRef"]["name"]
    try:
        found = (await cluster.list(REPLICASETS, namespace)).items
        target = await cluster.get(DEPLOYMENTS, namespace, name)
        own = known or await _by_workload(cluster, namespace, name, state, found)
    except ApiError as error:
        return Candidate(
            since=since,
            canary=known,
            remark=f"{error}: pods are told apart by what the metrics server has of them alone",
        )
    promoted = {
        one.name.removeprefix(f"{name}-")
        for one in read_revisions(found, target)
        if one.template_hash == state.candidate
    }
    return Candidate(since=since, canary=own, promoted=frozenset(promoted))


def _by_status(canary: Json) -> str:
    """Return the hash in the names of the run's own pods, where its status has them."""
    sides = Sides(target=canary["spec"]["targetRef"]["name"])
    names = canary["status"].get("run", {}).get("pods") or ()
    return next((found for name in reversed(names) if (found := sides.candidate(name))), "")


async def _by_workload(
    cluster: Reader, namespace: str, target: str, state: State, replica_sets: list[Json]
) -> str:
    """Return the hash that the pods of the canary Deployment have, while it is this candidate's."""
    try:
        workload = await cluster.get(DEPLOYMENTS, namespace, canary_name(target))
    except NotFound:
        return ""
    if annotations(workload).get(CANDIDATE) != state.candidate:
        return ""
    uid = workload["metadata"]["uid"]
    own = [
        one
        for one in replica_sets
        if any(owner["uid"] == uid for owner in one["metadata"].get("ownerReferences") or ())
    ]
    newest = max(own, key=number_of, default=None)
    labels = newest["metadata"].get("labels") or {} if newest else {}
    return str(labels.get(POD_TEMPLATE_HASH, ""))
