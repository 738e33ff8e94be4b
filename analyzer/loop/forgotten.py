"""Takes the pods away that a canary of before has left, where the cluster does not.

By scaling their ReplicaSet to 0, which its own controller sees to: who should have deleted it is
the one that has forgotten it. What is empty then is deleted by the sweep.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog

from analyzer.guards import guarded, told
from analyzer.loop.listing import Place, gathered, place_of, still_there
from analyzer.loop.revisions import scaled_to_0
from analyzer.ports import Cluster
from canary.contract import TARGET_LABEL
from canary.model.values import Json
from canary.objects.forgotten import canary_that_made, is_forgotten, may_be_forgotten
from canary.objects.parking import wants_pods
from runtime.errors import NotFound
from runtime.heard import Readable
from runtime.resources import DEPLOYMENTS, REPLICASETS
from runtime.writes import Overtaken, deleted

log = structlog.get_logger("analyzer")


async def forgotten(cluster: Readable, canary: Json, pods: list[Json], selector: str) -> list[Json]:
    """Return the ReplicaSets of canaries before that are still there, where a pod hints at any.

    Args:
        cluster: the API server, or what the watches have told, no older than the canary.
        canary: the canary Deployment.
        pods: those that wear its label.
        selector: of that label.

    """
    if not may_be_forgotten(canary, pods):
        return []
    namespace = canary["metadata"]["namespace"]
    found = await cluster.list(REPLICASETS, namespace, label_selector=selector)
    return [one for one in found.items if is_forgotten(one, canary)]


async def emptied(cluster: Cluster, replica_set: Json) -> None:
    """Scale a ReplicaSet to 0; one that has changed meanwhile is looked at again.

    Args:
        cluster: the API server.
        replica_set: as it was read.

    """
    if not wants_pods(replica_set):
        return
    with suppress(Overtaken, NotFound):
        await scaled_to_0(cluster, replica_set)


async def sweep_forgotten(cluster: Cluster, *, unmanaged: Callable[[str], bool]) -> bool:
    """Take back what canaries have left, whether there is another one or none.

    Args:
        cluster: the API server.
        unmanaged: tells whether the admin keeps Headgate's hands off a namespace.

    Returns:
        Whether all that there was to do could be done.

    Raises:
        ApiError: they cannot be listed.

    """
    done = True
    found = await gathered(cluster, REPLICASETS, _of_canary, label_selector=TARGET_LABEL)
    for place, made_by in found:
        if unmanaged(place[0]):
            continue
        with guarded(partial(told, "a canary's ReplicaSet stays", place=place)) as one:
            if await still_there(cluster, DEPLOYMENTS, (place[0], *made_by)) is None:
                await _take_back(cluster, place)
        done &= not one.failed
    return done


async def _take_back(cluster: Cluster, place: Place) -> None:
    """Scale down what has pods, and delete what has none: the cluster has forgotten those, too."""
    found = await still_there(cluster, REPLICASETS, place)
    if found is None or _of_canary(found) is None:
        return
    log.info("a ReplicaSet of a canary that has gone is taken back", place=place[:2])
    with suppress(NotFound):
        if wants_pods(found):
            await scaled_to_0(cluster, found)
        elif not (found.get("status") or {}).get("replicas"):
            await deleted(cluster, REPLICASETS, found)


def _of_canary(replica_set: Json) -> tuple[Place, tuple[str, str]] | None:
    maker = canary_that_made(replica_set)
    return None if maker is None else (place_of(replica_set), maker)
