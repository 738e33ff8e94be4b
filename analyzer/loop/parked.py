"""Parks ReplicaSets and puts them back, as `canary.rules.parking` says which."""

from contextlib import suppress

from analyzer.loop.revisions import replica_sets
from analyzer.ports import Cluster
from canary.contract import HOLD, REFUSED, STABLE
from canary.model.hashing import template_hash
from canary.model.values import Json
from canary.model.world import Place
from canary.objects.parking import copied, doubled, parking, place_of, putting_back
from canary.objects.workloads import annotations, known_templates, read_revisions
from canary.rules.parking import (
    parked,
    to_copy,
    to_park,
    to_put_back_while_held,
    to_put_back_without_stable,
)
from runtime.errors import AlreadyExists, NotFound
from runtime.resources import REPLICASETS
from runtime.writes import Overtaken, asks_the_same, deleted, patched


async def keep_apart(cluster: Cluster, target: Json) -> None:
    """Park what could serve in the stable's place of a held target while no run looks after it.

    Which one serves is told by the target's mark, where pods bear it out or there are none at all.

    Args:
        cluster: the API server.
        target: the Deployment.

    """
    notes = annotations(target)
    stable = notes.get(STABLE, "")
    if not stable or HOLD not in notes or not target["spec"].get("paused"):
        return
    revisions = read_revisions(await replica_sets(cluster, target), target)
    alive = {revision.template_hash for revision in revisions if revision.replicas}
    if stable in alive or not alive:
        with suppress(Overtaken, NotFound):  # the informer is about to tell of it
            await park(cluster, target, stable=stable)


async def park(cluster: Cluster, target: Json, *, stable: str) -> None:
    """Leave a held target's controller no choice but the stable, by what is stored now.

    Args:
        cluster: the API server.
        target: the Deployment.
        stable: hash of the template that serves.

    Raises:
        Overtaken: a ReplicaSet has been scaled meanwhile; look again.

    """
    objects = await replica_sets(cluster, target)
    found = {obj["metadata"]["name"]: obj for obj in objects}
    revisions = read_revisions(objects, target)
    spec = target["spec"]
    replicas, candidate = spec.get("replicas", 1), template_hash(spec["template"])
    for revision in to_put_back_while_held(revisions, stable=stable, replicas=replicas):
        await _put_back(cluster, found[revision.name], replicas)
    refused = known_templates(target, objects).current(annotations(target).get(REFUSED, ""))
    spared = (candidate, refused)
    for revision in to_put_back_without_stable(revisions, spared=spared, stable=stable):
        await _put_back(cluster, found[revision.name])
    limit = spec.get("revisionHistoryLimit", 10)
    for revision in to_copy(revisions, stable=stable, history_limit=limit):
        await _copy(cluster, found[revision.name], target)
    for revision in to_park(revisions, candidate=candidate, stable=stable):
        obj = found[revision.name]
        with suppress(NotFound):  # cleaned up meanwhile: it serves no more for sure
            await patched(
                cluster,
                REPLICASETS,
                obj,
                lambda current: parking(current, target),
                still=asks_the_same(obj),
            )


async def put_back(cluster: Cluster, target: Json, template: str | None = None) -> None:
    """Put parked ReplicaSets back, by what is stored now.

    One whose template the controller has made another ReplicaSet for is deleted: its place in
    `kubectl rollout history` has been taken.

    Args:
        cluster: the API server.
        target: the Deployment.
        template: hash of the template to be put back; None for all.

    Raises:
        Overtaken: a ReplicaSet has been scaled meanwhile; look again.

    """
    found = {obj["metadata"]["name"]: obj for obj in await replica_sets(cluster, target)}
    owned = [obj for obj in found.values() if place_of(obj, target) is Place.OWNED]
    for revision in parked(read_revisions(list(found.values()), target)):
        if template is not None and revision.template_hash != template:
            continue
        if doubled(found[revision.name], owned):
            await deleted(cluster, REPLICASETS, found[revision.name])
        else:
            await _put_back(cluster, found[revision.name])


async def _put_back(cluster: Cluster, replica_set: Json, replicas: int | None = None) -> None:
    """Put one back, with pods where it is to have them: one without may be cleaned up at once."""

    def patch_for(current: Json) -> Json | None:
        patch = putting_back(current)
        if patch is None or replicas is None:
            return patch
        return {**patch, "spec": {"replicas": replicas}}

    with suppress(NotFound):
        await patched(
            cluster, REPLICASETS, replica_set, patch_for, still=asks_the_same(replica_set)
        )


async def _copy(cluster: Cluster, replica_set: Json, target: Json) -> None:
    copy = copied(replica_set, target)
    if copy is not None:
        with suppress(AlreadyExists):
            await cluster.create(REPLICASETS, copy)
