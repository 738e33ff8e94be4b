"""What belongs to no run any more is taken back: routes first, then Services, then Deployments.

A run can lose its target or its Canary while nobody looks, or its namespace the label. What is left
of it is found by our labels, at a leader's start and again every few minutes, and its target is
looked at. Only what was made for a target is taken, told by its owner, as it was read (uid and
resourceVersion).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Never, Protocol

import structlog

from analyzer.guards import told
from analyzer.loop.act import Actor
from analyzer.loop.listing import gathered
from analyzer.loop.observe import Scene
from analyzer.loop.records import target_of
from analyzer.loop.sweeper import EVERY, again_and_again
from analyzer.ports import Cluster, Router
from canary.contract import (
    HOLD,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PROMOTING,
    STABLE,
    TARGET_LABEL,
    Reason,
)
from canary.model.names import target_label
from canary.model.state import RUNNING_PHASES
from canary.model.values import Json, Key
from canary.model.world import Timing
from canary.objects.ownership import canary_deployment_of, canary_service_owner
from canary.objects.workloads import annotations
from canary.rules.actions import Decision, Emit
from canary.rules.transitions import settle
from runtime.errors import TooLarge
from runtime.resources import CANARIES, DEPLOYMENTS, SERVICES, Resource
from runtime.writes import deleted, stored

OURS: Final = f"{MANAGED_BY_LABEL}={MANAGED_BY},{TARGET_LABEL}"
"""Selects all Deployments and Services that Headgate makes."""
OWNERS: Final[tuple[tuple[Resource, Callable[[Json], str]], ...]] = (
    (SERVICES, canary_service_owner),
    (DEPLOYMENTS, canary_deployment_of),
)
"""The kinds of a canary's objects in the order in which they go, and who tells whose one is."""
_CANNOT: Final = "canaries' objects cannot be listed"
_SPLIT: Final = "a split that belongs to no run was taken off the routes"

log = structlog.get_logger("analyzer")


def is_marked(target: Json) -> bool:
    """Tell whether a target carries the marks of a run."""
    return any(mark in annotations(target) for mark in (HOLD, PROMOTING, STABLE))


class Doubts(Protocol):
    """Remembers of which targets there may be more than is known."""

    def doubt(self, key: Key) -> None:
        """Have the next look at a target read what there is."""

    def split_targets(self) -> tuple[Key, ...]:
        """Return the targets of all splits, whether they are there or not."""

    async def synced(self) -> None:
        """Wait until it knows anything."""


class LeftoverSweep:
    """Has all targets looked at for which something of ours is there, wherever that is.

    Args:
        cluster: the API server.
        index: is told of which targets there may be more than it knows.
        wake: has a target looked at.
        every: the time between two sweeps.

    """

    def __init__(
        self,
        cluster: Cluster,
        index: Doubts,
        wake: Callable[[Key], None],
        every: timedelta = EVERY,
    ) -> None:
        self._cluster = cluster
        self._index = index
        self._wake = wake
        self._every = every

    async def run(self) -> Never:
        """Sweep at once, and again and again; nobody would be woken before the first lists."""
        await self._index.synced()
        await again_and_again(self.sweep, self._every, _CANNOT)

    async def sweep(self) -> bool:
        """Find whose objects are there; the looks say which of them belong to a run.

        A kind of which one object is too large even for its metadata is left out, and told.

        Returns:
            That all was done: what is too large stays so, and the looks are tried again themselves.

        Raises:
            ApiError: they cannot be listed.

        """
        keys = set(self._index.split_targets())
        for resource, owner_of in OWNERS:
            take = partial(_owner, owner_of)
            try:
                keys |= set(await gathered(self._cluster, resource, take, label_selector=OURS))
            except TooLarge as error:
                told(_CANNOT, error, resource=resource.plural)
        for key in sorted(keys):
            self._index.doubt(key)
            self._wake(key)
        return True


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Takes back what is there of a target that has no run, and no Canary that would say so.

    Args:
        cluster: the API server.
        router: the routes.
        actor: writes to the target.
        timing: the admin's times.
        draining: until when the last requests of a canary may be answered, whoever wakes its
            target meanwhile; what takes its traffic off does so at once.

    """

    cluster: Cluster
    router: Router
    actor: Actor
    timing: Timing
    draining: dict[Key, datetime]

    async def take_off(self, key: Key, target: Json | None, now: datetime) -> bool:
        """Take a split off that no run has: its run died with its target or Canary, or was forged.

        Returns:
            Whether there was one.

        """
        if not await self.router.clean(key):
            return False
        if target is not None:
            event = Emit(str(Reason.LEFTOVER), _SPLIT, warning=True)
            await self.actor.report(target, event, now)
        return True

    async def take_back(self, key: Key, target: Json | None, now: datetime) -> timedelta | None:
        """Take back all that there is, one step after the other.

        Args:
            key: a target without a Canary.
            target: the Deployment as it was read; None where there is none.
            now: the time of this reconcile.

        Returns:
            When to go on; None when nothing is left.

        Raises:
            Overtaken: something of it is another one meanwhile; look again.

        """
        found = await self._made_for(key)
        # Only now: what is made from here on is another version of these, or none of them.
        if await self._is_another_s(key, target):
            return self.timing.poll  # the informer is about to tell
        serves = any(resource == DEPLOYMENTS for resource, _ in found)
        # A process that ended before may have taken the traffic off just now.
        if await self.take_off(key, target, now) or (serves and key not in self.draining):
            self.draining[key] = now + self.timing.drain
        if (left := self.draining.get(key, now) - now) > timedelta(0):
            return left
        self.draining.pop(key, None)
        gone = [f"{resource.kind} {obj['metadata']['name']}" for resource, obj in found]
        # Said first: after a death in between, what is left is said again.
        for subject in _subjects(target, found):
            await self.actor.report(subject, _said(key, target, gone), now)
        for resource, obj in found:
            await deleted(self.cluster, resource, obj)
        if target is not None and is_marked(target):
            await self.actor.on_target(target, (settle(),), now)
        if gone:
            log.info("leftovers taken back", objects=gone)
        return None

    async def _made_for(self, key: Key) -> list[tuple[Resource, Json]]:
        """Return a canary's objects in the order in which they go."""
        selector = f"{MANAGED_BY_LABEL}={MANAGED_BY},{TARGET_LABEL}={target_label(key.name)}"
        found = list[tuple[Resource, Json]]()
        for resource, owner_of in OWNERS:
            listed = await self.cluster.list(resource, key.namespace, label_selector=selector)
            found += ((resource, obj) for obj in listed.items if owner_of(obj) == key.name)
        return found

    async def _is_another_s(self, key: Key, target: Json | None) -> bool:
        """Tell whether a target or Canary has come meanwhile, which may have a run."""
        if target is None:
            there = await stored(self.cluster, DEPLOYMENTS, key.namespace, key.name)
            return there is not None and "deletionTimestamp" not in there["metadata"]
        canaries = (await self.cluster.list(CANARIES, key.namespace)).items
        return any(target_of(canary) == key for canary in canaries)


def has_no_run(scene: Scene, decision: Decision) -> bool:
    """Tell whether a split that stands is of no run: it has ended, nothing is left of its canary.

    Such as of a copy of a route that was saved in that run, and put back since.
    """
    ended = decision.state.phase not in RUNNING_PHASES and not decision.actions
    return ended and scene.canary_deployment is None


def canary_stands(scene: Scene) -> bool:
    """Tell whether anything of a canary is there, be it no more than its Service."""
    return scene.canary_deployment is not None or scene.observed.left_over


def _owner(owner_of: Callable[[Json], str], obj: Json) -> Key | None:
    """Return the target that an object was made for."""
    owner = owner_of(obj)
    return Key(namespace=obj["metadata"]["namespace"], name=owner) if owner else None


def _subjects(target: Json | None, found: Sequence[tuple[Resource, Json]]) -> list[Json]:
    """Return what an event of a clean-up is about: the target, or what goes where there is none."""
    if target is not None:
        return [target] if found or is_marked(target) else []
    return [{"apiVersion": it.api_version, "kind": it.kind, **obj} for it, obj in found]


def _said(key: Key, target: Json | None, gone: Sequence[str]) -> Emit:
    said = f"{key} has no run any more"
    if gone:
        said = f"{said}: {' and '.join(gone)} is taken back"
    if target is not None and HOLD in annotations(target):
        said = (
            f"{said}; if it is paused, its new version is released by `kubectl rollout resume` "
            "and given up by setting the previous template"
        )
    return Emit(str(Reason.LEFTOVERS), said, warning=True)
