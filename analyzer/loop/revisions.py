"""Reads the ReplicaSets that may serve for a target, and scales one down."""

import asyncio

from canary.contract import PARKED
from canary.model.selection import listed_by
from canary.model.values import Json
from runtime.heard import Readable, not_before
from runtime.resources import REPLICASETS
from runtime.writes import Patchable, asks_the_same, patched


async def replica_sets(cluster: Readable, target: Json) -> list[Json]:
    """Return the ReplicaSets that a target's labels match, and those that are parked for it."""
    metadata = target["metadata"]
    own = listed_by(target)
    aside = f"{PARKED}={metadata['uid']}"
    async with asyncio.TaskGroup() as group:
        lists = [
            # Its status tells of them: a rollout that is seen half would look like another one.
            group.create_task(
                not_before(target, cluster).list(
                    REPLICASETS, metadata["namespace"], label_selector=selector
                )
            )
            for selector in (own, aside)
        ]
    found = [obj for task in lists for obj in task.result().items]
    # Where only expressions select, the first list is everything, with the second in it.
    return list({obj["metadata"]["name"]: obj for obj in found}.values())


async def scaled_to_0(cluster: Patchable, replica_set: Json) -> None:
    """Scale a ReplicaSet to 0.

    Args:
        cluster: the API server.
        replica_set: as it was read.

    Raises:
        Overtaken: somebody has changed it meanwhile; look again.
        NotFound: it has gone.

    """
    await patched(
        cluster,
        REPLICASETS,
        replica_set,
        lambda _: {"spec": {"replicas": 0}},
        subresource="scale",
        still=asks_the_same(replica_set),
    )
