"""Gives back what is parked and nobody's: a process that died, or a Deployment that has gone.

A parked ReplicaSet has no owner, so nothing deletes it with its Deployment; and a target that is
not held is not looked at. So whoever leads looks at all that is parked, at its start and again
every few minutes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Final, Never

import structlog

from analyzer.guards import guarded
from analyzer.loop.parked import put_back
from analyzer.ports import Cluster
from canary.contract import HOLD, PARKED, PROMOTING, STABLE
from canary.model.values import Json, Key
from canary.objects.ownership import is_controlled
from canary.objects.parking import deployment_of
from canary.objects.workloads import annotations
from runtime.errors import HeadgateError
from runtime.resources import DEPLOYMENTS, REPLICASETS
from runtime.writes import deleted, stored

EVERY: Final = timedelta(minutes=5)

log = structlog.get_logger("analyzer")


async def again_and_again(
    sweep: Callable[[], Awaitable[None]], every: timedelta, cannot: str
) -> Never:
    """Sweep at once, and again and again; what the API server cannot do is tried the next time.

    Args:
        sweep: looks at everything once.
        every: the time between two sweeps.
        cannot: what is said of one that failed.

    """
    while True:
        with guarded(partial(told, cannot)):
            await sweep()
        await asyncio.sleep(every.total_seconds())


class Sweeper:
    """Looks at everything that is parked, wherever it is.

    Args:
        cluster: the API server.
        wake: has a target looked at: a hold that began meanwhile parks again.
        every: the time between two looks.

    """

    def __init__(
        self, cluster: Cluster, wake: Callable[[Key], None], every: timedelta = EVERY
    ) -> None:
        self._cluster = cluster
        self._wake = wake
        self._every = every

    async def run(self) -> Never:
        """Sweep at once, and again and again."""
        await again_and_again(self.sweep, self._every, "parked ReplicaSets cannot be listed")

    async def sweep(self, *, all_of_them: bool = False) -> None:
        """Look at all that is parked, once; what one target does not allow keeps no other's.

        Args:
            all_of_them: also what a target that is held has parked (uninstall).

        Raises:
            ApiError: they cannot be listed.

        """
        found: dict[tuple[str, str], list[Json]] = {}
        for obj in (await self._cluster.list(REPLICASETS, label_selector=PARKED)).items:
            metadata = obj["metadata"]
            found.setdefault((metadata["namespace"], metadata["labels"][PARKED]), []).append(obj)
        for (namespace, uid), replica_sets in found.items():
            names = [obj["metadata"]["name"] for obj in replica_sets]
            tell = partial(told, "parked ReplicaSets stay", namespace=namespace, names=names)
            with guarded(tell):
                await self._look_at(namespace, uid, replica_sets, all_of_them=all_of_them)

    async def _look_at(
        self, namespace: str, uid: str, replica_sets: list[Json], *, all_of_them: bool
    ) -> None:
        target = await self._deployment(namespace, uid, deployment_of(replica_sets[0]))
        if target is None:
            for obj in replica_sets:  # as the cluster does with all that a Deployment owned
                if not is_controlled(obj):
                    await deleted(self._cluster, REPLICASETS, obj)
            return
        notes = annotations(target)
        if all_of_them or not any(mark in notes for mark in (HOLD, PROMOTING, STABLE)):
            await put_back(self._cluster, target)
            self._wake(Key(namespace=namespace, name=target["metadata"]["name"]))

    async def _deployment(self, namespace: str, uid: str, name: str) -> Json | None:
        """Return the Deployment of a uid; by its name where the note has one."""
        if name:
            found = await stored(self._cluster, DEPLOYMENTS, namespace, name)
            return found if found is not None and found["metadata"]["uid"] == uid else None
        everyone = (await self._cluster.list(DEPLOYMENTS, namespace)).items
        return next((obj for obj in everyone if obj["metadata"]["uid"] == uid), None)


def told(event: str, error: BaseException, **what: object) -> None:
    """Log what failed, with its trace where nobody expects it."""
    shown = None if isinstance(error, HeadgateError) else error
    log.warning(event, why=str(error) or repr(error), exc_info=shown, **what)
