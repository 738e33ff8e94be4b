"""Gives back what is parked and nobody's: a process that died, or a Deployment that has gone.

A parked ReplicaSet has no owner, so nothing deletes it with its Deployment; and a target that is
not held is not looked at. So whoever leads looks at all that is parked, at its start and again
every few minutes. So it does at pods of a canary that are in a team's Service and have lost their
Deployment, as an orphaning deletion leaves them, and at ReplicaSets that were left without theirs.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, Never, Protocol

from analyzer.guards import guarded, told
from analyzer.loop.forgotten import sweep_forgotten
from analyzer.loop.listing import Place, gathered, place_of, still_there
from analyzer.loop.parked import put_back
from analyzer.ports import Cluster
from canary.contract import HOLD, JOINED, PARKED, PROMOTING, STABLE
from canary.model.names import canary_name
from canary.model.values import Json, Key
from canary.objects.joining import joined_to, leaving
from canary.objects.ownership import is_controlled
from canary.objects.parking import deployment_of
from canary.objects.workloads import annotations
from runtime.backoff import Backoff
from runtime.resources import DEPLOYMENTS, PODS, REPLICASETS
from runtime.writes import deleted, patched, stored

EVERY: Final = timedelta(minutes=5)
_AGAIN: Final = 5.0
"""Seconds after which a sweep that could not do everything is made again, at first."""
_LONGEST_NAME: Final = 253


async def again_and_again(
    sweep: Callable[[], Awaitable[bool]], every: timedelta, cannot: str
) -> Never:
    """Sweep at once, and again and again; sooner where something could not be done.

    Args:
        sweep: looks at everything once, and tells whether all of it could be done.
        every: the time between two sweeps.
        cannot: what is said of one that failed.

    """
    seconds = every.total_seconds()
    backoff = Backoff(first=_AGAIN, cap=seconds)
    while True:
        done = False
        with guarded(partial(told, cannot)):
            done = await sweep()
        if done:
            backoff.reset()
        await asyncio.sleep(seconds if done else backoff.next())


class Namespaces(Protocol):
    """Knows which namespaces are Headgate's to look at."""

    def unmanaged(self, namespace: str) -> bool:
        """Tell whether the admin keeps Headgate's hands off a namespace."""

    async def synced(self) -> None:
        """Wait until it knows any."""


class Anywhere:
    """Every namespace is: for an uninstall, which leaves nothing parked anywhere."""

    def unmanaged(self, namespace: str) -> bool:
        """Tell that it is not; see the protocol."""
        del namespace
        return False

    async def synced(self) -> None:
        """Wait for nothing."""


class Sweeper:
    """Looks at everything that is parked or has joined, in every namespace that is Headgate's.

    Args:
        cluster: the API server.
        namespaces: says which are.
        wake: has a target looked at: a hold that began meanwhile parks again.
        every: the time between two looks.

    """

    def __init__(
        self,
        cluster: Cluster,
        namespaces: Namespaces,
        wake: Callable[[Key], None],
        every: timedelta = EVERY,
    ) -> None:
        self._cluster = cluster
        self._namespaces = namespaces
        self._wake = wake
        self._every = every

    async def run(self) -> Never:
        """Sweep at once, and again and again; none before it is known what is to be left alone."""
        await self._namespaces.synced()
        await again_and_again(self.sweep, self._every, "what is parked or joined cannot be listed")

    async def sweep(self, *, all_of_them: bool = False) -> bool:
        """Look at all of it, once; what one target does not allow keeps no other's.

        Args:
            all_of_them: also what a target that is held has parked (uninstall).

        Returns:
            Whether all that there was to do could be done.

        Raises:
            ApiError: they cannot be listed.

        """
        done = True
        parked = await gathered(self._cluster, REPLICASETS, _parked, label_selector=PARKED)
        found: dict[tuple[str, str], list[_Parked]] = {}
        for one in parked:
            if self._namespaces.unmanaged(one.place[0]):
                continue
            found.setdefault((one.place[0], one.uid), []).append(one)
        for (namespace, uid), of_target in found.items():
            names = [one.place[1] for one in of_target]
            tell = partial(told, "parked ReplicaSets stay", namespace=namespace, names=names)
            with guarded(tell) as one_target:
                await self._look_at(namespace, uid, of_target, all_of_them=all_of_them)
            done &= not one_target.failed
        for pod, key in await gathered(self._cluster, PODS, _joined, label_selector=JOINED):
            with guarded(partial(told, "a pod stays in its Service", place=pod)) as one_pod:
                if not self._namespaces.unmanaged(key.namespace):
                    await self._take_out(pod, key)
            done &= not one_pod.failed
        return await sweep_forgotten(self._cluster, unmanaged=self._namespaces.unmanaged) and done

    async def _take_out(self, pod: Place, key: Key) -> None:
        """Take a pod out of a Service, if there is no canary that it could belong to."""
        name = canary_name(key.name)
        if await stored(self._cluster, DEPLOYMENTS, key.namespace, name) is not None:
            return  # who looks at its target takes it out in order
        obj = await still_there(self._cluster, PODS, pod)
        if obj is not None:
            await patched(self._cluster, PODS, obj, leaving)

    async def _look_at(
        self, namespace: str, uid: str, parked: "list[_Parked]", *, all_of_them: bool
    ) -> None:
        target = await self._deployment(namespace, uid, parked[0].deployment)
        if target is None:
            for one in parked:  # as the cluster does with all that a Deployment owned
                await self._delete(one)
            return
        notes = annotations(target)
        if all_of_them or not any(mark in notes for mark in (HOLD, PROMOTING, STABLE)):
            await put_back(self._cluster, target)
            self._wake(Key(namespace=namespace, name=target["metadata"]["name"]))

    async def _delete(self, parked: "_Parked") -> None:
        obj = await still_there(self._cluster, REPLICASETS, parked.place)
        if obj is not None and _parked(obj) == parked and not is_controlled(obj):
            await deleted(self._cluster, REPLICASETS, obj)

    async def _deployment(self, namespace: str, uid: str, name: str) -> Json | None:
        """Return the Deployment of a uid; by its name where the note has one."""
        if name:
            return await still_there(self._cluster, DEPLOYMENTS, (namespace, name, uid))

        def the_one(obj: Json) -> Place | None:
            return place_of(obj) if obj["metadata"]["uid"] == uid else None

        for place in await gathered(self._cluster, DEPLOYMENTS, the_one, namespace=namespace):
            return await still_there(self._cluster, DEPLOYMENTS, place)
        return None


@dataclass(frozen=True, slots=True)
class _Parked:
    """A parked ReplicaSet: the uid of its Deployment, and its name as far as it is known."""

    place: Place
    uid: str
    deployment: str


def _joined(pod: Json) -> tuple[Place, Key] | None:
    key = joined_to(pod)
    return None if key is None else (place_of(pod), key)


def _parked(replica_set: Json) -> _Parked | None:
    uid = (replica_set["metadata"].get("labels") or {}).get(PARKED)
    if uid is None:
        return None
    return _Parked(place_of(replica_set), uid, deployment_of(replica_set)[:_LONGEST_NAME])
